// The heat map: models by lesions, one measure at a time. A cell says its value in figures too, and leads to the cases behind it.

const MEASURES = [
  { name: "f1", title: "F1", error: "", words: "Precision and recall in one: 1 where every report names the lesion exactly where the reference does." },
  { name: "recall", title: "Recall", error: "missed", words: "Of the reports whose reference has the lesion, the share that names it." },
  { name: "precision", title: "Precision", error: "invented", words: "Of the reports that name the lesion, the share whose reference has it." },
  { name: "hallucination", title: "Hallucination", error: "invented", words: "Of the reports whose reference lacks the lesion, the share that names it all the same." },
  { name: "omission", title: "Omission", error: "missed", words: "Of the reports whose reference has the lesion, the share that leaves it out." },
  { name: "wrong_side", title: "Wrong side", error: "wrong-side", words: "Of the lesions found whose reference says a side, the share given another side." },
];
const IS_ERROR = new Set(["hallucination", "omission", "wrong_side"]);
const AVERAGES = [
  ["Macro", "mean of the lesions", (measure) => `macro_${measure.name}`],
  ["Micro", "all lesions pooled", (measure) => (measure.name === "wrong_side" ? "wrong_side" : `micro_${measure.name}`)],
];
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** What each model does with each lesion, in counts: the shares of rows.csv turned back into the cases they are of. */
function lesionCounts(run, numbers, model) {
  const metric = lesionMetric(run);
  return run.lesions.map((lesion) => {
    const row = (name) => numbers.get(model, metric, `${lesion}.${name}`);
    const times = (name, count) => Math.round((row(name)?.value ?? 0) * (count ?? 0));
    const support = row("support")?.value ?? null;
    const scored = row("support")?.scored ?? 0;
    const missed = times("omission", support);
    return {
      lesion,
      support,
      scored,
      f1: row("f1"),
      missed,
      hit: support === null ? 0 : support - missed,
      invented: times("hallucination", scored - (support ?? 0)),
      wrongSide: times("wrong_side", row("side_support")?.value),
    };
  });
}

/** The metric that the lesions were measured by: "lesions", or "lesions:..." where a labeller was named. */
function lesionMetric(run) {
  return run.rows.find((row) => row.metric.split(":")[0] === "lesions")?.metric ?? "lesions";
}

/** The heat map with its choice of measure, which is kept in the link. */
function heatMap(run, numbers) {
  const models = run.models.filter((model) => !model.failed);
  const counts = new Map(models.map((model) => [model.label, lesionCounts(run, numbers, model.label)]));
  const place = el("div", { class: "sheet", tabindex: "-1" });
  const told = el("p", { class: "told" }); // for the eye: a screen reader hears the cell itself
  const select = el(
    "select",
    { id: "measure", onchange: () => draw() },
    MEASURES.map((measure) => el("option", { value: measure.name, selected: measure.name === state.measure }, measure.title)),
  );
  function draw() {
    const measure = MEASURES.find((one) => one.name === select.value);
    if (measure.name !== (state.measure || "f1")) go({ measure: measure.name === "f1" ? "" : measure.name }, { replace: true });
    told.textContent = HEAT_HELP;
    place.replaceChildren(el("p", { class: "remark", id: "measure-words" }, measure.words), heatTable(run, numbers, models, counts, measure, told), heatLegend(measure), told);
  }
  draw();
  followers.push(() => {
    const wanted = MEASURES.some((measure) => measure.name === state.measure) ? state.measure : MEASURES[0].name;
    if (select.value === wanted) return;
    select.value = wanted;
    draw();
  });
  return [el("div", { class: "controls" }, el("label", {}, "Measure ", select)), place];
}

const HEAT_HELP = "Point at a cell, or move through them with the arrow keys, to read it in words. A click or Enter shows its cases.";

function heatTable(run, numbers, models, counts, measure, told) {
  const metric = lesionMetric(run);
  const supports = counts.get(models[0]?.label) ?? [];
  const order = [...supports].sort((a, b) => (b.support ?? 0) - (a.support ?? 0)); // most seen first: what stands below is known less well
  const line = (head, title, cells, look) => el("tr", { class: look }, el("th", { scope: "row", class: "words" }, head), title, cells);
  const body = order.map(({ lesion, support }) =>
    line(
      lesion,
      el("td", { class: "support" }, support === null ? "–" : grouped(support)),
      models.map((model) => heatCell(numbers.get(model.label, metric, `${lesion}.${measure.name}`), measure, told, model.label, counts, lesion)),
    ),
  );
  const averages = AVERAGES.map(([name, words, key]) => [name, words, models.map((model) => numbers.get(model.label, metric, key(measure)))]);
  const foot = averages
    .filter(([, , rows]) => rows.some(Boolean))
    .map(([name, words, rows], place) =>
      line([name, " ", el("small", {}, words)], el("td", { class: "support" }), rows.map((row, at) => heatCell(row, measure, told, models[at].label)), place ? "average" : "average first"),
    );
  const table = el(
    "table",
    { class: `heat ${IS_ERROR.has(measure.name) ? "of-errors" : ""}`, role: "grid", "aria-label": `${measure.title} of each model for each lesion`, "aria-describedby": "measure-words", style: { "--models": String(models.length) }, onkeydown: moveInHeat },
    el(
      "thead",
      {},
      el("tr", {}, el("th", { scope: "col", class: "words" }, "Lesion"), el("th", { scope: "col" }, "In references"), models.map((model) => el("th", { scope: "col" }, named(model.label)))),
    ),
    el("tbody", {}, body, foot),
  );
  table.querySelector("a")?.setAttribute("tabindex", "0");
  return table;
}

/** One cell: a link to the cases of its model and lesion; a dash where there is nothing to count. */
function heatCell(row, measure, told, model, counts = null, lesion = "") {
  const words = heatWords(row, measure, model, counts, lesion);
  const value = row?.value ?? null;
  const text = writtenNumber(value, 2);
  const link = el(
    "a",
    {
      href: hashOf({ view: "cases", model, lesion, error: value === null ? "" : measure.error }, { fresh: true }),
      tabindex: "-1",
      title: words,
      "aria-label": words,
      onfocus: () => (told.textContent = words),
      onmouseenter: () => (told.textContent = words),
    },
    value === null ? "–" : text,
    value === null || row.low === null ? null : el("small", { "aria-hidden": "true" }, writtenInterval(row.low, row.high, 2)),
  );
  return el("td", { class: value === null ? "nothing" : "", role: "gridcell", style: value === null ? null : { "--share": value.toFixed(4) } }, link);
}

/** A cell in words, for the line under the map, for a screen reader and for the pointer. */
function heatWords(row, measure, model, counts, lesion) {
  const what = `${named(model)}, ${lesion || "all lesions"}`;
  const count = counts?.get(model)?.find((one) => one.lesion === lesion);
  if (!row || row.value === null) return `${what}: no ${measure.title.toLowerCase()}, ${nothingToCount(measure, count)}`;
  const interval = row.low === null ? "" : ` ${writtenInterval(row.low, row.high, 3)}`;
  const said = `${what}: ${measure.title} ${writtenNumber(row.value, 3)}${interval}`;
  if (!count || count.support === null) return `${said}.`;
  const errors = [`${grouped(count.hit)} found`, `${grouped(count.missed)} missed`, `${grouped(count.invented)} invented`, `${grouped(count.wrongSide)} on the wrong side`];
  return `${said}. In ${counted(count.support, "reference")}: ${errors.join(", ")}.`;
}

function nothingToCount(measure, count) {
  if (measure.name === "wrong_side") return "for no lesion was found whose reference says a side.";
  if (count && count.support === 0) return count.invented ? "for no reference has it." : "for no reference has it and no report names it.";
  return "for there is nothing to count.";
}

function heatLegend(measure) {
  const ends = IS_ERROR.has(measure.name) ? ["0, no such error", "1, always"] : ["0", "1, all right"];
  return el(
    "p",
    { class: `key ${IS_ERROR.has(measure.name) ? "of-errors" : ""}` },
    el("span", {}, ends[0]),
    el("span", { class: "scale", "aria-hidden": "true" }),
    el("span", {}, ends[1]),
    el("span", { class: "apart" }, "– nothing to count"),
  );
}

/** Arrow keys move from cell to cell; Home and End to the ends of a line. One stop for the Tab key, however many cells. */
function moveInHeat(event) {
  const cell = event.target.closest("td");
  const step = ARROWS[event.key];
  if (!cell || event.ctrlKey || event.metaKey || event.altKey || !(step || event.key === "Home" || event.key === "End")) return;
  const lines = [...event.currentTarget.tBodies[0].rows].map((line) => [...line.querySelectorAll("a")]);
  const y = lines.findIndex((line) => line.includes(event.target));
  const x = lines[y].indexOf(event.target);
  const last = lines[y].length - 1;
  const to = step ? lines[y + step[0]]?.[x + step[1]] : lines[y][event.key === "Home" ? 0 : last];
  event.preventDefault();
  if (!to) return;
  event.target.setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  to.focus();
}
