// Where to look first: a line for each model, made of nothing but what follows from the numbers.

const ENOUGH_SUPPORT = 20; // references with a lesion, below which its F1 hangs on single cases

const MOST_NAMED = 3; // lesions that share the lowest F1; the map names the others
const ERROR_KINDS = [
  ["missed", "Missed", (lesion) => lesion.missed],
  ["invented", "Invented", (lesion) => lesion.invented],
  ["wrong-side", "Wrong side", (lesion) => lesion.wrongSide],
];

function lookFirst(run, numbers) {
  const models = run.models.filter((model) => !model.failed).map((model) => model.label);
  const canSort = run.numbers.some((number) => number.key === "disagreement");
  const headOf = (title, look, more = {}) => el("th", { scope: "col", class: look, ...more }, title);
  const lines = models.map((model) => {
    const lesions = lesionCounts(run, numbers, model);
    const head = el("th", { scope: "row", class: "words" }, named(model));
    if (lesions.every((lesion) => !lesion.scored)) return el("tr", {}, head, el("td", { class: "words soft", colspan: canSort ? 5 : 4 }, "no case was scored"));
    const cells = [...errorCells(model, lesions), el("td", { class: "words opens", "data-head": "Lowest F1" }, hardestLesion(model, lesions)), canSort ? el("td", { class: "words opens", "data-head": "Metrics disagree" }, disputed(model)) : null];
    return el("tr", {}, head, cells);
  });
  const groups = el("tr", {}, el("td"), el("th", { scope: "colgroup", colspan: "3" }, el("span", {}, "Lesions")), el("td"), canSort ? el("td") : null);
  const heads = el(
    "tr",
    {},
    headOf("Model", "words"),
    ERROR_KINDS.map(([, title]) => headOf(title, "")),
    headOf("Lowest F1", "words opens"),
    canSort ? headOf("Metrics disagree", "words opens") : null,
  );
  return el(
    "div",
    { class: "sheet", tabindex: "0", role: "region", "aria-label": "Where to look first" },
    el("table", { class: "look" }, el("thead", {}, groups, heads), el("tbody", {}, lines)),
    el(
      "p",
      { class: "remark" },
      `Bold: the commonest error of a model, all lesions and reports together. Lowest F1: among the lesions that at least ${ENOUGH_SUPPORT} references have. `,
      "Each entry leads to its cases.",
    ),
  );
}

/** How often each kind of error occurs, the commonest in bold. */
function errorCells(model, lesions) {
  const counts = ERROR_KINDS.map(([, , count]) => lesions.reduce((sum, lesion) => sum + count(lesion), 0));
  const most = Math.max(...counts);
  return counts.map((count, place) => {
    const [error, title] = ERROR_KINDS[place];
    if (!count) return el("td", { class: "soft", "data-head": title }, "0");
    const link = el("a", { href: casesLink({ model, error }), "aria-label": `${named(model)}, ${title.toLowerCase()}: ${grouped(count)}, show the cases` }, grouped(count));
    return el("td", { "data-head": title }, count === most ? el("b", {}, link) : link);
  });
}

function disputed(model) {
  return el("a", { href: casesLink({ model, sort: "disagreement" }), "aria-label": `cases of ${named(model)} where metrics disagree most` }, "most in these cases");
}

/** The lesion with the lowest F1 and its interval, and how many others that interval reaches; what is alike is not ranked. */
function hardestLesion(model, lesions) {
  const known = lesions.filter((one) => one.support >= ENOUGH_SUPPORT && one.f1 && one.f1.value !== null);
  if (!known.length) return `no lesion in ${ENOUGH_SUPPORT} references or more`;
  const least = Math.min(...known.map((one) => one.f1.value));
  const lowest = known.filter((one) => one.f1.value === least);
  const link = (one) => el("a", { href: casesLink({ model, lesion: one.lesion }) }, one.lesion);
  const value = `F1 ${writtenNumber(least, 3)}`;
  if (lowest.length === known.length && lowest.length > 1) return `all ${known.length} lesions alike: ${value}`;
  if (lowest.length > 1) {
    const others = lowest.length - MOST_NAMED;
    return [lowest.slice(0, MOST_NAMED).map((one, place) => [place ? ", " : "", link(one)]), others > 0 ? ` and ${counted(others, "other")}` : "", `: ${value}`];
  }
  const [{ f1 }] = lowest;
  const reached = known.filter((one) => one.f1 !== f1 && one.f1.low !== null && f1.high !== null && one.f1.low <= f1.high);
  const doubt = reached.length ? el("span", { class: "soft" }, ` (its interval reaches ${reached.length === 1 ? `that of ${reached[0].lesion}` : `those of ${reached.length} others`})`) : "";
  return [link(lowest[0]), `: ${value} ${writtenInterval(f1.low, f1.high, 3)}`, doubt];
}

function casesLink(filters) {
  return hashOf({ view: "cases", ...filters }, { fresh: true });
}
