// Where to look first: a line for each model, made of nothing but what follows from the numbers.

const ENOUGH_SUPPORT = 20; // references with a lesion, below which its F1 hangs on single cases

function lookFirst(run, numbers) {
  const models = run.models.filter((model) => !model.failed);
  const counts = models.map((model) => [model.label, lesionCounts(run, numbers, model.label)]);
  const canSort = run.numbers.some((number) => number.key === "disagreement");
  return el(
    "div",
    { class: "sheet", tabindex: "0", role: "region", "aria-label": "Where to look first" },
    el(
      "table",
      { class: "look" },
      el(
        "thead",
        {},
        el("tr", {}, ["Model", "Commonest error", "Hardest lesion", canSort ? "Metrics disagree" : ""].filter(Boolean).map((title) => el("th", { scope: "col", class: "words" }, title))),
      ),
      el(
        "tbody",
        {},
        counts.map(([model, lesions]) =>
          el(
            "tr",
            {},
            el("th", { scope: "row", class: "words" }, model),
            el("td", { class: "words" }, commonestError(model, lesions)),
            el("td", { class: "words" }, hardestLesion(model, lesions)),
            canSort ? el("td", { class: "words" }, el("a", { href: casesLink({ model, sort: "disagreement", order: "down" }) }, "most disputed cases")) : null,
          ),
        ),
      ),
    ),
    el(
      "p",
      { class: "remark" },
      `Errors are counted over all lesions and reports. The hardest lesion is the one with the lowest F1 among those that at least ${ENOUGH_SUPPORT} references have.`,
    ),
  );
}

/** The counts of the three kinds of error, the commonest one first. */
function commonestError(model, lesions) {
  const total = (name) => lesions.reduce((sum, lesion) => sum + lesion[name], 0);
  const kinds = [
    ["missed", "missed", total("missed")],
    ["invented", "invented", total("invented")],
    ["wrong_side", "on the wrong side", total("wrongSide")],
  ].sort((a, b) => b[2] - a[2]);
  if (!kinds[0][2]) return "none found";
  return kinds.map(([error, words, count], place) => {
    const said = `${grouped(count)} ${words}`;
    const link = count ? el("a", { href: casesLink({ model, error }), class: place ? "less" : "" }, said) : said;
    return [place ? ", " : "", link];
  });
}

function hardestLesion(model, lesions) {
  const known = lesions.filter((one) => one.support >= ENOUGH_SUPPORT && one.f1 && one.f1.value !== null);
  if (!known.length) return `no lesion in ${ENOUGH_SUPPORT} references or more`;
  const least = Math.min(...known.map((one) => one.f1.value));
  const lowest = known.filter((one) => one.f1.value === least);
  const link = (one) => el("a", { href: casesLink({ model, lesion: one.lesion }) }, one.lesion);
  const value = `F1 ${writtenNumber(least, 3)}`;
  if (lowest.length === known.length && lowest.length > 1) return `all ${known.length} alike, ${value}`;
  if (lowest.length > 1) return [lowest.map((one, place) => [place ? ", " : "", link(one)]), `: ${value}`];
  const [{ f1 }] = lowest;
  const reached = known.filter((one) => one.f1 !== f1 && one.f1.low !== null && f1.high !== null && one.f1.low <= f1.high);
  const doubt = reached.length ? el("span", { class: "soft" }, `, overlapping ${reached.length === 1 ? reached[0].lesion : `${reached.length} others`}`) : "";
  return [link(lowest[0]), `: ${value} ${writtenInterval(f1.low, f1.high, 3)}`, doubt];
}

function casesLink(filters) {
  return hashOf({ view: "cases", ...filters }, { fresh: true });
}
