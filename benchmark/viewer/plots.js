// The choice of a plot: one number of all models, the same in parts of the cases, or paired differences from one model, each as figures, too.

const ALPHA = 0.05; // what a corrected p must be below before a difference is called one

/** Numbers to choose from: headlines, F1 of each lesion, then all of each metric. */
function plotGroups(run) {
  const seen = new Map();
  for (const row of run.rows) {
    const key = `${row.metric}.${row.name}`;
    if (!seen.has(key)) seen.set(key, { key, metric: row.metric, name: row.name, title: row.title || plainName(row.name), better: row.better, headline: row.headline });
  }
  const all = [...seen.values()];
  const lesion = all.filter((one) => one.metric === lesionMetric(run) && run.lesions.some((name) => one.name === `${name}.f1`));
  const groups = [["Headlines", all.filter((one) => one.headline)], ["F1 of each lesion", lesion]];
  for (const metric of new Set(all.map((one) => one.metric))) groups.push([`All of ${metric}`, all.filter((one) => one.metric === metric)]);
  return groups.filter(([, group]) => group.length);
}

function plainName(name) {
  return name.split(".").pop().replaceAll("_", " ");
}

function plotSection(run, numbers) {
  const groups = plotGroups(run);
  const all = new Map(groups.flatMap(([, group]) => group).map((one) => [one.key, one]));
  const labels = run.models.filter((model) => !model.failed).map((model) => model.label);
  const first = all.has(state.plot) ? state.plot : groups[0][1][0].key;
  const number = el(
    "select",
    { id: "plot-number", onchange: () => draw() },
    groups.map(([title, group]) => el("optgroup", { label: title }, group.map((one) => el("option", { value: one.key }, one.title)))),
  );
  number.value = first;
  const against = el(
    "select",
    { id: "plot-against", onchange: () => draw() },
    el("option", { value: "" }, "each model by itself"),
    el("optgroup", { label: "paired differences" }, labels.map((label) => el("option", { value: label }, `difference from ${named(label)}`))),
  );
  against.value = run.differences.length && labels.includes(state.against) ? state.against : "";
  followers.push(() => {
    const wanted = all.has(state.plot) ? state.plot : groups[0][1][0].key;
    const from = run.differences.length && labels.includes(state.against) ? state.against : "";
    if (number.value === wanted && against.value === from) return;
    [number.value, against.value] = [wanted, from];
    draw();
  });
  const place = el("div", { class: "plots" });
  let width = 0;
  function draw() {
    const chosen = all.get(number.value);
    const plot = chosen.key === groups[0][1][0].key ? "" : chosen.key;
    if (plot !== state.plot || against.value !== state.against) go({ plot, against: against.value }, { replace: true });
    place.replaceChildren(...(against.value ? differencePlot(run, numbers, chosen, against.value, width) : valuePlot(run, numbers, chosen, labels, width)));
  }
  new ResizeObserver(([entry]) => {
    const wide = Math.min(1000, Math.floor(entry.contentRect.width) - 42); // less the sheet's own edges
    if (wide <= 0 || Math.abs(wide - width) < 4) return;
    width = wide;
    draw();
  }).observe(place);
  const hasPairs = run.differences.length > 0;
  return [el("div", { class: "controls" }, el("label", {}, "Number ", number), hasPairs ? el("label", {}, "Show ", against) : null), place];
}

/** Each model's number, the best one on top, and the same in parts of the cases. */
function valuePlot(run, numbers, chosen, labels, width) {
  const rows = labels.map((label) => numbers.get(label, chosen.metric, chosen.name)).filter(Boolean);
  const digits = digitsOf(rows.map((row) => row.value));
  const sign = chosen.better === "lower" ? 1 : -1;
  const order = [...rows].sort((a, b) => (a.value === null) - (b.value === null) || sign * (a.value - b.value));
  const best = chosen.better && order.length > 1 && order[0].value !== null ? order[0] : null; // one model alone is nobody's best
  const ties = best ? order.filter((row) => row.value === best.value) : [];
  const lines = order.map((row) => plotLine(row, digits, ties.includes(row)));
  const words = [
    directionWords(chosen.better),
    best ? `The dashed line stands at the ${chosen.better === "lower" ? "lowest" : "highest"} value, ${ties.length === 1 ? `that of ${named(best.model)}` : `shared by ${ties.length} models`}.` : "",
    intervalWords(run),
  ];
  const asked = { title: chosen.title, description: spokenLines(lines), width, reference: best?.value ?? null, isSigned: false, ends: null };
  return [
    plotFigure(chosen.title, words, forestPlot(lines, asked), plotTable(["Model", chosen.title, "Interval", "Scored", "Not scored"], order, digits)),
    strataPlots(run, chosen, order.map((row) => row.model), digits, width),
  ].filter(Boolean);
}

function plotLine(row, digits, isFirst) {
  const text = `${writtenNumber(row.value, digits)} ${writtenInterval(row.low, row.high, digits)}`.trim();
  return { label: named(row.model), value: row.value, low: row.low, high: row.high, text, words: "", look: isFirst ? "first" : "" };
}

/** The number in parts of the cases, as small plots on one axis and in one order, so that a model is found at the same height. */
function strataPlots(run, chosen, order, digits, width) {
  const rows = run.strata.filter((row) => row.metric === chosen.metric && row.name === chosen.name && !saysNothing(row));
  const parts = [...new Set(rows.map((row) => row.part))].filter((part) => rows.some((row) => row.part === part && row.value !== null));
  if (!parts.length || !width) return null;
  const columns = Math.max(1, Math.min(3, Math.floor(width / 300)));
  const small = Math.floor((width + 42 - (columns - 1) * 16) / columns) - 34;
  const values = rows.flatMap((row) => [row.value, row.low, row.high]);
  const plots = parts.map((part) => {
    const lines = order
      .map((model) => rows.find((row) => row.part === part && row.model === model))
      .filter(Boolean)
      .map((row) => plotLine(row, digits, false));
    const scored = Math.max(...rows.filter((row) => row.part === part).map((row) => row.scored));
    const title = `${chosen.title}, ${part}`;
    const plot = forestPlot(lines, { title, description: spokenLines(lines), width: small, values, reference: null, isSigned: false, ends: null });
    return el("figure", { class: "sheet small-plot" }, el("figcaption", {}, el("h4", {}, part), el("span", { class: "soft" }, counted(scored, "case"))), plot);
  });
  return el(
    "div",
    { class: "strata" },
    el("h3", {}, `${chosen.title} in parts of the cases`),
    el("p", { class: "remark" }, "All on one axis, in the order of the plot above. Parts may share cases; a part without the number is left out."),
    el("div", { class: "grid", style: { "--columns": String(columns) } }, plots),
  );
}

/** True where no lesion is there to be found: F1 and omission are left out there, as in the table of strata. */
function saysNothing(row) {
  return row.part.startsWith("normal") && row.metric.split(":")[0] === "lesions" && !row.name.includes("hallucination");
}

/** Every other model minus the chosen one, on the same cases. */
function differencePlot(run, numbers, chosen, against, width) {
  const known = run.differences
    .filter((row) => row.metric === chosen.metric && row.name === chosen.name && (row.first === against || row.second === against))
    .map((row) => (row.second === against ? { ...row, model: row.first } : turnedRound(row)));
  if (!known.length) return [el("p", { class: "sheet" }, `No paired differences are kept for ${chosen.title}: they are of headlines and of each lesion's F1.`)];
  const digits = Math.max(2, digitsOf(run.rows.filter((row) => row.metric === chosen.metric && row.name === chosen.name).map((row) => row.value)));
  const sign = chosen.better === "lower" ? 1 : -1;
  const order = known.sort((a, b) => (a.value === null) - (b.value === null) || sign * (a.value - b.value));
  const lines = order.map((row) => {
    const verdict = differenceVerdict(row, chosen.better);
    return {
      ...plotLine(row, digits, false),
      text: row.value === null ? "no value" : `${writtenNumber(row.value, digits, true)} ${writtenInterval(row.low, row.high, digits, true)}`,
      words: row.value === null ? "" : verdict.words,
      look: verdict.isTold ? "" : "open",
    };
  });
  const ends = { higher: ["worse", "better"], lower: ["better", "worse"], "": ["less", "more"] }[chosen.better || ""];
  const title = `${chosen.title}: difference from ${named(against)}`;
  const words = [
    `Each model minus ${named(against)}, which is the line at zero, on the cases that both scored. ${directionWords(chosen.better)}`,
    "An open circle: it cannot be told which is better.",
    order.some((row) => row.p_holm !== null) ? "p is corrected by Holm over all pairs of the table of differences." : "p is not corrected: this number is not in the table of differences.",
    intervalWords(run),
  ];
  const asked = { title, description: spokenLines(lines), width, isSigned: true, reference: null, ends };
  return [plotFigure(title, words, forestPlot(lines, asked), plotTable(["Model", "Difference", "Interval", "p", "p (Holm)", "In words"], order, digits, lines))];
}

/** The difference seen from the other model. */
function turnedRound(row) {
  const minus = (value) => (value === null ? null : -value);
  return { ...row, model: row.second, value: minus(row.value), low: minus(row.high), high: minus(row.low) };
}

/** What a difference allows one to say: nothing where its interval holds zero, or where the corrected p is not below 0.05. */
function differenceVerdict(row, better) {
  const p = writtenP(row.p_holm ?? row.p);
  const holdsZero = row.low === null || row.high === null || (row.low <= 0 && row.high >= 0);
  if (holdsZero) return { isTold: false, words: `cannot be told, p ${p}` };
  const decided = pNumber(row.p_holm ?? row.p);
  if (decided !== null && decided >= ALPHA) return { isTold: false, words: `cannot be told once corrected, p ${p}` };
  const direction = better ? ((better === "higher") === row.value > 0 ? "better" : "worse") : row.value > 0 ? "more" : "less";
  return { isTold: true, words: `${direction}, p ${p}` };
}

/** A p-value as the tables write it. */
function writtenP(p) {
  if (p === null || p === undefined) return "n/a";
  if (typeof p === "string") return p;
  return p < 0.001 ? "<0.001" : p.toFixed(3);
}

function pNumber(p) {
  if (p === null || p === undefined) return null;
  const value = Number(String(p).replace("<", ""));
  return Number.isNaN(value) ? null : value;
}

function directionWords(better) {
  return { higher: "The higher the better.", lower: "The lower the better." }[better] ?? "";
}

function intervalWords(run) {
  const said = run.settings.find(([name]) => name === "Intervals");
  return said ? `Lines are intervals: ${said[1]}.` : "";
}

/** The whole plot for who hears it. */
function spokenLines(lines) {
  return lines.map((line) => [line.label, line.text, line.words].filter(Boolean).join(": ")).join(". ");
}

function plotFigure(title, words, plot, table) {
  return el(
    "figure",
    { class: "sheet plot" },
    el("figcaption", {}, el("h3", {}, title), el("p", { class: "remark" }, words.filter(Boolean).join(" "))),
    plot,
    el("details", {}, el("summary", {}, "The same as a table"), el("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, table)),
  );
}

function plotTable(heads, rows, digits, lines = null) {
  const isSigned = Boolean(lines);
  const cells = (row, place) => [
    writtenNumber(row.value, digits, isSigned),
    writtenInterval(row.low, row.high, digits, isSigned),
    ...(lines ? [writtenP(row.p), writtenP(row.p_holm), lines[place].words] : [grouped(row.scored), grouped(row.unscored)]),
  ];
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, heads.map((head, place) => el("th", { scope: "col", class: place ? "" : "words" }, head)))),
    el("tbody", {}, rows.map((row, place) => el("tr", {}, el("th", { scope: "row", class: "words" }, named(row.model)), cells(row, place).map((cell) => el("td", {}, cell))))),
  );
}
