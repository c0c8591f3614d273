// The texts of a case: the reference and every report, their lesions marked in the sentences, and what stands under a report.

const SIGNS = { hit: "✓", missed: "−", invented: "+", "wrong side": "⇄" };
const STRENGTH = ["hit", "wrong side", "missed", "invented"]; // of several marks on the same words, the last of these gives the look
const LONG_TEXT = 900; // characters, from which a report may be cut by the end of a printed column
const openDrawers = new Set(); // what a reader opens under one report is open under all of them, and in the next case

/** Whether its lesions were compared with those of the reference. */
function isScored(report) {
  return report.scored !== false;
}

function whyUnscored(record) {
  return record.reference.text.trim() ? "not scored: the lesions could not be read" : "not scored: the reference is empty";
}

function className(kind) {
  return kind.replace(" ", "-");
}

/** The reference, marked with what the model in focus made of it. */
function buildReference(run, record, focus) {
  const report = record.reports[focus];
  const found = report?.lesions_found ?? {};
  const label = named(run.models[focus]?.label ?? "");
  const side = (name) => sideOf(report?.lesions?.find((lesion) => lesion.name === name && lesion.status === "positive"));
  const explain = (lesion) => {
    const kind = found[lesion.name] ?? "";
    if (lesion.status === "negative") return kind === "invented" ? [kind, `${deniedWords(lesion)}, and ${label} affirms it`] : null;
    if (kind === "hit") return [kind, `${sided(lesion)}: ${label} says it too`];
    if (kind === "missed") return [kind, `${sided(lesion)}: missed by ${label}`];
    if (kind === "wrong side") return [kind, `${sided(lesion)}: ${label} says ${side(lesion.name) || "another side"}`];
    return ["affirmed", `${sided(lesion)}: affirmed`];
  };
  const text = record.reference.text;
  return [
    el("h2", { id: "reference-title" }, "Reference"),
    el(
      "p",
      { class: "under-title" },
      run.has_lesions && label
        ? markedWith(record, report, label)
        : run.has_lesions
          ? ""
          : "lesions were not measured in this run",
    ),
    text ? drawText(record.reference, explain) : el("p", { class: "nothing" }, "The reference is empty."),
    unplaced(record.reference, explain),
    buildRegions(record.reference.regions, "reference"),
  ];
}

function markedWith(record, report, label) {
  const isWritten = report && !("failure" in report);
  if (isWritten && !isScored(report)) return [el("strong", {}, label), ` is ${whyUnscored(record)}`];
  return ["marked with what ", el("strong", {}, label), isWritten ? " made of it" : " made of it: it wrote no report"];
}

function buildCard(run, record, place, isFocus) {
  const report = record.reports[place];
  const model = { ...run.models[place], label: named(run.models[place].label) };
  const key = place < 9 ? el("kbd", { "aria-hidden": "true" }, place + 1) : null;
  const title = el(
    "h2",
    {},
    el(
      "button",
      {
        type: "button",
        class: "plain focus-button",
        id: `focus-${place}`,
        "aria-pressed": String(isFocus),
        title: `Put ${model.label} in focus${place < 9 ? ` (${place + 1})` : ""}`,
        onclick: () => focusModel(place),
      },
      model.label,
    ),
  );
  const card = el(
    "section",
    {
      class: "card report",
      id: `card-${place}`,
      "aria-label": `Report of ${model.label}`,
      "data-model": place,
      "data-focus": isFocus ? "yes" : null,
      "data-long": (report?.text ?? report?.failure ?? "").length > LONG_TEXT ? "yes" : null,
    },
    el("header", { class: "card-head" }, title, key),
  );
  if (report === null)
    card.append(el("p", { class: "failure" }, el("strong", {}, "No reports. "), model.failed || "This model wrote no reports in this run."));
  else if ("failure" in report) card.append(el("p", { class: "failure" }, el("strong", {}, "No report of this case. "), report.failure));
  else card.append(...buildReport(run, record, report, place).filter(Boolean));
  return card;
}

function buildReport(run, record, report, place) {
  const found = report.lesions_found ?? {};
  const theirs = (name) => record.reference.lesions.find((lesion) => lesion.name === name && lesion.status === "positive");
  const explain = (lesion) => {
    const kind = found[lesion.name] ?? "";
    if (lesion.status === "negative") return kind === "missed" ? [kind, `${deniedWords(lesion)}, and the reference affirms it`] : null;
    if (kind === "hit") return [kind, `${sided(lesion)}: hit, the reference says it too`];
    if (kind === "invented") return [kind, `${sided(lesion)}: invented, the reference does not affirm it`];
    if (kind === "wrong side") return [kind, `${sided(lesion)}: wrong side, the reference says ${sideOf(theirs(lesion.name)) || "another one"}`];
    return run.has_lesions && isScored(report) ? null : ["affirmed", `${sided(lesion)}: affirmed`];
  };
  return [
    !run.has_lesions ? null : isScored(report) ? buildOutcome(found) : el("p", { class: "outcome soft" }, whyUnscored(record)),
    report.text ? drawText(report, explain) : el("p", { class: "nothing" }, "The report is empty."),
    unplaced(report, explain),
    report.told?.length ? el("p", { class: "aside" }, el("span", { class: "soft" }, "Hints it was told: "), report.told.join(", ")) : null,
    report.disagreement ? el("p", { class: "aside" }, disagreementWords(run, report.disagreement)) : null,
    buildRegions(report.regions, "report"),
    buildNumbers(run, report),
    ...(report.evidence ?? []).map(buildEvidence),
    report.details?.length
      ? buildDrawer(
          "details",
          "Details",
          report.details.length,
          el(
            "dl",
            { class: "detail-pairs" },
            report.details.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]),
          ),
        )
      : null,
  ];
}

/** A lesion that is only thought possible counts as denied under some policies; then that is said. */
function deniedWords(lesion) {
  return lesion.certainty === "hedged" ? `${lesion.name} is left open here, which counts as denied` : `${lesion.name} is denied here`;
}

function sided(lesion) {
  return [lesion.name, sideOf(lesion), lesion.certainty === "hedged" ? "hedged" : ""].filter(Boolean).join(", ");
}

/** "left", "right", "bilateral", or "" where the text gives no side. */
function sideOf(lesion) {
  return !lesion?.side || lesion.side === "not mentioned" ? "" : lesion.side;
}

/** What came of each lesion, in words: the marks in the sentences say the same where the words are found. */
function buildOutcome(found) {
  const entries = Object.entries(found).sort(([, one], [, other]) => STRENGTH.indexOf(other) - STRENGTH.indexOf(one));
  if (!entries.length) return el("p", { class: "outcome soft" }, "no lesion, missed or said");
  return el(
    "ul",
    { class: "outcome", "aria-label": "Lesions" },
    entries.map(([lesion, kind]) =>
      el(
        "li",
        { class: className(kind) },
        el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]),
        ` ${lesion} `,
        el("span", { class: "unseen" }, kind),
      ),
    ),
  );
}

/** Lesions that were decided, but not by words that could be found in the text. */
function unplaced(said, explain) {
  const entries = said.lesions
    .filter((lesion) => lesion.start === null)
    .map(explain)
    .filter(Boolean);
  if (!entries.length) return null;
  return el(
    "p",
    { class: "aside" },
    el("span", { class: "soft" }, "Not tied to words: "),
    entries.map(([kind, words], at) => [at ? "; " : "", SIGNS[kind] ? `${SIGNS[kind]} ` : "", words]),
  );
}

function disagreementWords(run, [highest, lowest]) {
  const title = (key) => run.numbers.find((number) => number.key === key)?.title ?? key;
  return [el("span", { class: "soft" }, "Metrics disagree: "), `${title(highest)} ranks this case high, ${title(lowest)} low`];
}

/** A text in its sentences, with marks on the words of lesions. Offsets count as JavaScript does. */
function drawText(said, explain) {
  const marks = said.lesions
    .filter((lesion) => lesion.start !== null)
    .map((lesion) => [lesion, explain(lesion)])
    .filter(([, explained]) => explained)
    .flatMap(([{ start, end, also }, [kind, words]]) => [[start, end], ...(also ?? [])].map(([from, to]) => ({ start: from, end: to, kind, words })));
  const sentences = said.sentences?.length ? said.sentences : [[0, said.text.length]];
  const children = [];
  let at = 0;
  sentences.forEach(([start, end], place) => {
    if (start > at) children.push(...drawPieces(said.text, at, start, marks));
    children.push(el("span", { class: "sentence", "data-sentence": place, "data-number": place + 1 }, drawPieces(said.text, start, end, marks)));
    at = end;
  });
  children.push(...drawPieces(said.text, at, said.text.length, marks));
  return el("p", { class: "text", dir: "auto" }, children);
}

/** The words from start to end, cut wherever a mark begins or ends. */
function drawPieces(text, start, end, marks) {
  const inside = marks.filter((mark) => mark.start < end && mark.end > start);
  const cuts = [...new Set([start, end, ...inside.flatMap((mark) => [mark.start, mark.end])])]
    .filter((cut) => cut >= start && cut <= end)
    .sort((one, other) => one - other);
  return cuts.slice(1).map((cut, place) => {
    const words = text.slice(cuts[place], cut);
    const over = inside.filter((mark) => mark.start <= cuts[place] && mark.end >= cut);
    if (!over.length) return words;
    const strongest = over.reduce((one, other) => (STRENGTH.indexOf(other.kind) > STRENGTH.indexOf(one.kind) ? other : one));
    const said = over.map((mark) => mark.words).join("; ");
    const isLast = over.some((mark) => mark.end === cut);
    return el(
      "mark",
      { class: className(strongest.kind), title: said },
      words,
      isLast
        ? [
            SIGNS[strongest.kind] ? el("b", { class: "sign", "aria-hidden": "true" }, `\u2060${SIGNS[strongest.kind]}`) : null,
            el("span", { class: "unseen" }, ` (${said})`),
          ]
        : null,
    );
  });
}

// ---- under a report

function buildDrawer(kind, title, count, ...children) {
  const drawer = el(
    "details",
    { class: "drawer", "data-kind": kind, open: openDrawers.has(kind) },
    el("summary", {}, `${title} `, count === null ? null : el("span", { class: "soft" }, count)),
    children,
  );
  drawer.querySelector("summary").addEventListener("click", (event) => {
    event.preventDefault();
    const isOpen = !drawer.open;
    openDrawers[isOpen ? "add" : "delete"](kind);
    document.querySelectorAll(".card .drawer").forEach((other) => other.dataset.kind === kind && (other.open = isOpen));
  });
  return drawer;
}

function buildRegions(regions, whose) {
  if (!regions?.length) return null;
  const items = regions.map(({ region, text, into }) =>
    el(
      "li",
      { class: "region", "data-region": region, "data-into": (into ?? []).join(" ") },
      el("button", { type: "button", class: "plain region-name", onclick: () => announce(intoWords(into, whose)) }, named(region)),
      el("span", { class: "region-text", dir: "auto" }, ` ${text} `),
      el(
        "span",
        { class: "into", title: intoWords(into, whose) },
        el("span", { "aria-hidden": "true" }, into?.length ? `→ ${into.map((place) => place + 1).join(", ")}` : "→ nowhere"),
        el("span", { class: "unseen" }, intoWords(into, whose)),
      ),
    ),
  );
  return buildDrawer(`regions of the ${whose}`, "Sentences by region", regions.length, el("ul", { class: "regions" }, items));
}

function numberWords(number, value) {
  return written(value, numberPlaces(number));
}

/** Marks out of 20 need no third place, shares in 0..1 do. */
function numberPlaces(number) {
  return number?.most > 1 ? 1 : 3;
}

function intoWords(into, whose) {
  if (!into?.length) return `found in no sentence of the ${whose}`;
  return `in sentence ${into.map((place) => place + 1).join(" and ")} of the ${whose}`;
}

function buildNumbers(run, report) {
  if (!run.numbers.length) return null;
  const pairs = run.numbers.map((number, place) => [el("dt", {}, number.title), el("dd", {}, numberWords(number, report.numbers[place]))]);
  return buildDrawer("numbers", "Numbers of this case", null, el("dl", { class: "detail-pairs numbers" }, pairs));
}

function buildEvidence({ metric, title, items }) {
  if (!items?.length) return null;
  return buildDrawer(
    `evidence ${metric}`,
    title,
    items.length,
    el(
      "dl",
      { class: "evidence" },
      items.map(({ about, value, words }) => [el("dt", {}, about, value ? el("b", {}, value) : null), el("dd", {}, words)]),
    ),
  );
}
