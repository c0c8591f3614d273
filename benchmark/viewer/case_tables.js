// A case in two tables: which lesions each model found, and the numbers of each report.

function buildLesionTable(run, record, shown, focus) {
  if (!run.has_lesions || !record.reference.text.trim()) return null; // without a reference nothing of it was missed
  const affirms = (said, name) => said?.lesions?.find((lesion) => lesion.name === name && lesion.status === "positive");
  const reports = shown.map((place) => [place, record.reports[place]]);
  const names = run.lesions.filter(
    (name) => affirms(record.reference, name) || reports.some(([, report]) => affirms(report, name) || report?.lesions_found?.[name]),
  );
  const heads = reports.map(([place]) => el("th", { scope: "col", "data-focus": place === focus ? "yes" : null }, named(run.models[place].label)));
  const cell = (report, name) => {
    if (!report || "failure" in report)
      return el("td", { class: "soft" }, el("span", { "aria-hidden": "true" }, "✕"), el("span", { class: "unseen" }, "no report"));
    if (!isScored(report)) return el("td", { class: "soft" }, "not scored");
    const kind = report.lesions_found?.[name];
    const side = sideOf(affirms(report, name));
    if (!kind) return el("td", { class: "soft" }, el("span", { "aria-hidden": "true" }, "·"), el("span", { class: "unseen" }, "not affirmed"));
    return el(
      "td",
      {},
      el("span", { class: `verdict ${className(kind)}` }, el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), ` ${kind}`),
      side ? el("small", {}, side) : null,
    );
  };
  const rows = names.map((name) => {
    const said = affirms(record.reference, name);
    const theirs = said
      ? el("td", {}, "affirmed", sideOf(said) ? el("small", {}, said.side) : null)
      : el("td", { class: "soft" }, "–", el("span", { class: "unseen" }, "not affirmed"));
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      theirs,
      reports.map(([, report]) => cell(report, name)),
    );
  });
  const body = names.length
    ? el(
        "table",
        { class: "lesion-table" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Lesion"), el("th", { scope: "col" }, "Reference"), heads)),
        el("tbody", {}, rows),
      )
    : el("p", { class: "soft" }, noneAffirmed(reports.map(([, report]) => report)));
  return el(
    "section",
    { class: "after lesions", "aria-labelledby": "lesions-title" },
    el("h2", { id: "lesions-title" }, "Lesions of this case"),
    el("div", { class: "sheet scrolls", id: "lesions-sheet", tabindex: "0", role: "region", "aria-labelledby": "lesions-title" }, body),
    el(
      "p",
      { class: "soft small" },
      `Read from the texts by ${run.labelled_by}. ✓ hit, − missed, + invented, ⇄ wrong side, · not affirmed, ✕ no report.`,
    ),
  );
}

function noneAffirmed(reports) {
  const written = reports.filter((report) => report && !("failure" in report));
  if (written.some((report) => !isScored(report))) return "Not scored: the lesions of a text could not be read.";
  return written.length ? "Neither the reference nor a model affirms a lesion here." : "The reference affirms no lesion, and there is no report.";
}

function buildNumberTable(run, record, shown, focus) {
  if (!run.numbers.length || !shown.length) return null;
  const heads = shown.map((place) => el("th", { scope: "col", "data-focus": place === focus ? "yes" : null }, named(run.models[place].label)));
  const rows = run.numbers.map((number, at) => {
    const values = shown.map((place) => record.reports[place]?.numbers?.[at] ?? null);
    const known = values.filter((value) => value !== null);
    const isTold = number.lower_is_better !== null && new Set(known).size > 1; // where all are alike none is best
    const best = !isTold ? null : number.lower_is_better ? Math.min(...known) : Math.max(...known);
    const cells = values.map((value) =>
      el(
        "td",
        { class: value === null ? "soft" : null },
        value !== null && value === best
          ? el("b", { class: "best", title: "the best of those shown" }, numberWords(number, value))
          : numberWords(number, value),
      ),
    );
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, number.title, number.lower_is_better ? el("span", { class: "soft", title: "the lower the better" }, " ↓") : null),
      cells,
    );
  });
  return el(
    "section",
    { class: "after numbers-of-case", "aria-labelledby": "numbers-title" },
    el("h2", { id: "numbers-title" }, "Numbers of this case"),
    el(
      "div",
      { class: "sheet scrolls", id: "numbers-sheet", tabindex: "0", role: "region", "aria-labelledby": "numbers-title" },
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Number"), heads)), el("tbody", {}, rows)),
    ),
    el("p", { class: "soft small" }, "One case says little: these numbers explain a report, they do not rank models."),
  );
}
