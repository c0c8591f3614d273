// One case: the radiograph and the reference on one side, every model's report on the other, and under them the case in two tables.

const SIGNS = { hit: "✓", missed: "−", invented: "+", "wrong side": "⇄" };
const STRENGTH = ["hit", "wrong side", "missed", "invented"]; // of several marks on the same words, the last of these gives the look
const openDrawers = new Set(); // what a reader opens under one report is open under all of them, and in the next case
let current = null; // the case on the page: its record, elements and radiograph

/** Shows the case that the hash names. `index` is its place in the list, or -1 where the filters leave it out. */
async function showCase(built, index) {
  const { run, data, desk } = built;
  const place = data.places.get(state.case);
  if (place === undefined) return sayUnknown(desk);
  if (current?.record.place === place && desk.contains(current.element)) {
    current.index = index;
    drawHead();
    return drawReading();
  }
  const ticket = (showCase.ticket = (showCase.ticket ?? 0) + 1);
  desk.setAttribute("aria-busy", "true");
  let block, images;
  try {
    [block, images] = await Promise.all([loadPart(`block-${Math.floor(place / run.block_size)}`), loadPart("images")]);
  } catch (error) {
    if (ticket === showCase.ticket) sayUnread(desk, error);
    return;
  } finally {
    desk.removeAttribute("aria-busy");
  }
  if (ticket !== showCase.ticket || state.view !== "case") return; // the reader has moved on while it was read
  buildCase(built, block[place % run.block_size], images, index);
  prepareNext(built, index, images);
}

function closeCase() {
  showCase.ticket = (showCase.ticket ?? 0) + 1;
  current = null;
  viewer = null;
}

function sayUnknown(desk) {
  closeCase();
  desk.replaceChildren(
    el("div", { class: "trouble", role: "alert" }, el("h1", {}, "No such case"), el("p", {}, `This run has no case "${state.case}".`), el("p", {}, el("a", { href: "#cases" }, "All cases"))),
  );
}

function sayUnread(desk, error) {
  closeCase();
  desk.replaceChildren(el("div", { class: "trouble", role: "alert" }, el("h1", {}, "This case could not be shown"), el("p", {}, error.message)));
}

/** Reads ahead, so that the next key press finds its text and image. */
function prepareNext({ run, data, found }, index, images) {
  const next = found.order[index + 1];
  if (next === undefined) return;
  loadPart(`block-${Math.floor(next / run.block_size)}`).then(
    (block) => {
      const record = block[next % run.block_size];
      if (!whyAbsent(record, images, 0)) new Image().src = imageAddress(record, 0);
    },
    () => {}, // said when the case is opened
  );
}

// ---- the page of a case

function buildCase(built, record, images, index) {
  const { run, desk } = built;
  const sources = [{ name: "", title: "the reference", boxes: record.boxes ?? {} }];
  record.reports.forEach((report, place) => report?.boxes && Object.keys(report.boxes).length && sources.push({ name: run.models[place].label, title: run.models[place].label, boxes: report.boxes }));
  const head = el("header", { class: "case-head" });
  const reading = el("div", { class: "reading" });
  const reference = el("section", { class: "card reference", "aria-labelledby": "reference-title" });
  const after = el("div", { class: "case-after" });
  const radiograph = buildRadiograph(record, images, sources.filter((source) => source.name || Object.keys(source.boxes).length), lightRegion);
  const element = el(
    "article",
    { class: "case", "aria-labelledby": "case-title" },
    head,
    el("div", { class: "case-body" }, el("div", { class: "case-left" }, radiograph.element, reference, buildContext(record)), reading),
    after,
  );
  current = { built, run, record, index, element, head, reading, reference, after, radiograph };
  element.addEventListener("pointerover", followPointer);
  element.addEventListener("focusin", followPointer);
  element.addEventListener("pointerleave", () => lightRegion(""));
  desk.replaceChildren(element);
  desk.scrollTop = 0;
  drawHead();
  drawReading();
  fitStage(radiograph);
  document.title = `${record.id} · ${run.title}`;
  announceCase();
}

function drawHead() {
  const { built, record, index, head } = current;
  const { order } = built.found;
  const held = document.activeElement?.id;
  const where = index < 0 ? el("span", { class: "soft" }, " not among the filtered cases") : el("span", { class: "soft" }, ` of ${grouped(order.length)}`);
  const step = (id, words, label, by) => el("button", { type: "button", id, title: label, "aria-label": label, disabled: index >= 0 && (index + by < 0 || index + by >= order.length), onclick: () => stepCase(by) }, words);
  const views = record.images.map((image) => image.view).filter(Boolean);
  head.replaceChildren(
    el("button", { type: "button", id: "back-to-list", class: "quiet", onclick: backToList }, "‹ List"),
    el(
      "div",
      { class: "case-name" },
      el("h1", { id: "case-title", tabindex: "-1" }, "Case ", index < 0 ? grouped(record.place + 1) : grouped(index + 1), where),
      el("p", { class: "case-ids" }, [["Case", record.id], ["Patient", record.patient], ["Study", record.study], ["Views", views.join(", ")]].filter(([, words]) => words).map(([name, words]) => [el("span", { class: "pair" }, `${name} `, el("code", {}, words)), " "])),
    ),
    el(
      "div",
      { class: "case-tools" },
      el("button", { type: "button", id: "toggle-list", class: "quiet", title: "Hide or show the list of cases (l)", "aria-pressed": String(built.element.dataset.list === "away"), onclick: toggleList }, "Hide list"),
      step("previous-case", "‹ Previous", "Previous case (k)", -1),
      step("next-case", "Next ›", "Next case (j)", 1),
      el("button", { type: "button", id: "copy-link", title: "Copy a link to what is shown (c)", onclick: copyLink }, "Copy link"),
      el("button", { type: "button", id: "print-case", onclick: () => window.print() }, "Print"),
    ),
  );
  if (held) document.getElementById(held)?.focus();
}

function buildContext(record) {
  if (!record.context?.length) return null;
  return el("section", { class: "context", "aria-label": "Context" }, el("h2", {}, "Context"), el("dl", {}, record.context.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)])));
}

/** Everything that depends on which models are shown and which is in focus. */
function drawReading() {
  const { run, record, reading, reference, after } = current;
  const held = document.activeElement?.id;
  const focus = focusedModel(run);
  const shown = shownModels(run);
  reading.replaceChildren(
    buildChips(run, record, shown, focus),
    buildLegend(run),
    el("div", { class: shown.length > 4 ? "cards many" : "cards" }, shown.map((place) => buildCard(run, record, place, place === focus))),
    shown.length ? "" : el("p", { class: "nothing" }, "No model is shown. Choose one above."),
  );
  reference.replaceChildren(...buildReference(run, record, focus).filter(Boolean));
  after.replaceChildren(...[buildLesionTable(run, record, shown, focus), buildNumberTable(run, record, shown, focus)].filter(Boolean));
  if (held && document.activeElement?.id !== held) document.getElementById(held)?.focus();
}

function announceCase() {
  const { built, run, record, index } = current;
  const focus = focusedModel(run);
  const where = index < 0 ? `Case ${record.id}` : `Case ${index + 1} of ${built.found.order.length}`;
  announce(focus < 0 ? where : `${where}: ${outcomeWords(record.reports[focus])} by ${run.models[focus].label}`);
}

function outcomeWords(report) {
  if (!report || "failure" in report) return "no report";
  const counts = countFound(report);
  const words = ["missed", "invented", "wrong side", "hit"].filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${kind}`);
  return words.join(", ") || (report.text ? "nothing missed or invented" : "empty report");
}

function countFound(report) {
  const counts = { hit: 0, missed: 0, invented: 0, "wrong side": 0 };
  for (const kind of Object.values(report.lesions_found ?? {})) counts[kind] += 1;
  return counts;
}

// ---- which models

function hiddenModels(run) {
  const hidden = state.hide.split(",").map(Number);
  return new Set(state.hide ? hidden.filter((place) => run.models[place]) : []);
}

function shownModels(run) {
  const hidden = hiddenModels(run);
  return run.models.map((_, place) => place).filter((place) => !hidden.has(place));
}

/** The model whose errors the reference shows: the one asked for, the one filtered by, or the first with reports. */
function focusedModel(run) {
  const place = (label) => run.models.findIndex((model) => model.label === label);
  const asked = [state.focus, state.model].filter(Boolean).map(place).find((found) => found >= 0);
  return asked ?? Math.max(0, run.models.findIndex((model) => !model.failed));
}

function focusModel(place) {
  if (!current || !current.run.models[place]) return;
  const hidden = hiddenModels(current.run);
  hidden.delete(place);
  go({ focus: current.run.models[place].label, hide: [...hidden].join(",") }, { replace: true });
  announceCase();
  document.getElementById(`card-${place}`)?.scrollIntoView({ block: "nearest" });
}

function buildChips(run, record, shown, focus) {
  const hide = (places) => go({ hide: [...places].sort((one, other) => one - other).join(",") }, { replace: true });
  const turn = (place) => {
    const hidden = hiddenModels(run);
    if (!hidden.delete(place)) hidden.add(place);
    hide(hidden);
  };
  const everyOther = run.models.map((_, place) => place).filter((place) => place !== focus);
  const chips = run.models.map((model, place) =>
    el("button", { type: "button", class: "chip", id: `chip-${place}`, "aria-pressed": String(shown.includes(place)), "data-focus": place === focus ? "yes" : null, title: "Show or hide this report", onclick: () => turn(place) }, model.label),
  );
  return el(
    "div",
    { class: "chips", role: "group", "aria-label": "Models shown" },
    el("span", { class: "soft small" }, "Shown"),
    chips,
    run.models.length > 1 ? el("button", { type: "button", class: "quiet small", id: "show-all", onclick: () => hide([]) }, "All") : null,
    run.models.length > 1 ? el("button", { type: "button", class: "quiet small", id: "show-focus", title: "Only the report of the model in focus", onclick: () => hide(everyOther) }, "Only in focus") : null,
  );
}

function buildLegend(run) {
  if (!run.has_lesions) return null;
  const entries = [
    ["hit", "in both"],
    ["missed", "only in the reference"],
    ["invented", "only in the report"],
    ["wrong side", "in both, sides differ"],
  ];
  return el(
    "ul",
    { class: "mark-legend", "aria-label": "Marks" },
    entries.map(([kind, words]) => el("li", {}, el("mark", { class: className(kind) }, el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), " ", kind), el("span", { class: "soft" }, ` ${words}`))),
  );
}

// ---- the texts

function className(kind) {
  return kind.replace(" ", "-");
}

/** The reference, marked with what the model in focus made of it. */
function buildReference(run, record, focus) {
  const report = record.reports[focus];
  const found = report?.lesions_found ?? {};
  const label = run.models[focus]?.label ?? "";
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
    el("p", { class: "under-title" }, run.has_lesions && label ? ["marked with what ", el("strong", {}, label), report && !("failure" in report) ? " made of it" : " made of it: it wrote no report"] : ""),
    text ? drawText(record.reference, explain) : el("p", { class: "nothing" }, "The reference is empty."),
    unplaced(record.reference, explain),
    buildRegions(record.reference.regions, "reference"),
  ];
}

function buildCard(run, record, place, isFocus) {
  const report = record.reports[place];
  const model = run.models[place];
  const key = place < 9 ? el("kbd", { "aria-hidden": "true" }, place + 1) : null;
  const title = el(
    "h2",
    {},
    el("button", { type: "button", class: "plain focus-button", id: `focus-${place}`, "aria-pressed": String(isFocus), title: `Put ${model.label} in focus${place < 9 ? ` (${place + 1})` : ""}`, onclick: () => focusModel(place) }, model.label),
  );
  const card = el("section", { class: "card report", id: `card-${place}`, "aria-label": `Report of ${model.label}`, "data-model": place, "data-focus": isFocus ? "yes" : null }, el("header", { class: "card-head" }, title, key));
  if (report === null) card.append(el("p", { class: "failure" }, el("strong", {}, "No reports. "), model.failed || "This model wrote no reports in this run."));
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
    return run.has_lesions ? null : ["affirmed", `${sided(lesion)}: affirmed`];
  };
  return [
    run.has_lesions ? buildOutcome(found) : null,
    report.text ? drawText(report, explain) : el("p", { class: "nothing" }, "The report is empty."),
    unplaced(report, explain),
    report.told?.length ? el("p", { class: "aside" }, el("span", { class: "soft" }, "Hints it was told: "), report.told.join(", ")) : null,
    report.disagreement ? el("p", { class: "aside" }, disagreementWords(run, report.disagreement)) : null,
    buildRegions(report.regions, "report"),
    buildNumbers(run, report),
    ...(report.evidence ?? []).map(buildEvidence),
    report.details?.length ? buildDrawer("details", "Details", report.details.length, el("dl", { class: "detail-pairs" }, report.details.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]))) : null,
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
  return el("ul", { class: "outcome", "aria-label": "Lesions" }, entries.map(([lesion, kind]) => el("li", { class: className(kind) }, el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), ` ${lesion} `, el("span", { class: "unseen" }, kind))));
}

/** Lesions that were decided, but not by words that could be found in the text. */
function unplaced(said, explain) {
  const entries = said.lesions.filter((lesion) => lesion.start === null).map(explain).filter(Boolean);
  if (!entries.length) return null;
  return el("p", { class: "aside" }, el("span", { class: "soft" }, "Not tied to words: "), entries.map(([kind, words], at) => [at ? "; " : "", SIGNS[kind] ? `${SIGNS[kind]} ` : "", words]));
}

function disagreementWords(run, [highest, lowest]) {
  const title = (key) => run.numbers.find((number) => number.key === key)?.title ?? key;
  return [el("span", { class: "soft" }, "Metrics disagree: "), `${title(highest)} ranks this case high, ${title(lowest)} low`];
}

/** A text in its sentences, with marks on the words of lesions. Offsets count as JavaScript does. */
function drawText(said, explain) {
  const marks = said.lesions.filter((lesion) => lesion.start !== null).map((lesion) => [lesion, explain(lesion)]).filter(([, explained]) => explained).map(([{ start, end }, [kind, words]]) => ({ start, end, kind, words }));
  const sentences = said.sentences?.length ? said.sentences : [[0, said.text.length]];
  const children = [];
  let at = 0;
  sentences.forEach(([start, end], place) => {
    if (start > at) children.push(...drawPieces(said.text, at, start, marks));
    children.push(el("span", { class: "sentence", "data-sentence": place }, drawPieces(said.text, start, end, marks)));
    at = end;
  });
  children.push(...drawPieces(said.text, at, said.text.length, marks));
  return el("p", { class: "text", dir: "auto" }, children);
}

/** The words from start to end, cut wherever a mark begins or ends. */
function drawPieces(text, start, end, marks) {
  const inside = marks.filter((mark) => mark.start < end && mark.end > start);
  const cuts = [...new Set([start, end, ...inside.flatMap((mark) => [mark.start, mark.end])])].filter((cut) => cut >= start && cut <= end).sort((one, other) => one - other);
  return cuts.slice(1).map((cut, place) => {
    const words = text.slice(cuts[place], cut);
    const over = inside.filter((mark) => mark.start <= cuts[place] && mark.end >= cut);
    if (!over.length) return words;
    const strongest = over.reduce((one, other) => (STRENGTH.indexOf(other.kind) > STRENGTH.indexOf(one.kind) ? other : one));
    const said = over.map((mark) => mark.words).join("; ");
    const isLast = over.some((mark) => mark.end === cut);
    return el("mark", { class: className(strongest.kind), title: said }, words, isLast ? [SIGNS[strongest.kind] ? el("b", { class: "sign", "aria-hidden": "true" }, `\u2060${SIGNS[strongest.kind]}`) : null, el("span", { class: "unseen" }, ` (${said})`)] : null);
  });
}

// ---- under a report

function buildDrawer(kind, title, count, ...children) {
  const drawer = el("details", { class: "drawer", "data-kind": kind, open: openDrawers.has(kind) }, el("summary", {}, `${title} `, count === null ? null : el("span", { class: "soft" }, count)), children);
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
      el("button", { type: "button", class: "plain region-name", onclick: () => announce(intoWords(into, whose)) }, region),
      el("span", { class: "region-text", dir: "auto" }, ` ${text} `),
      el("span", { class: "into", title: intoWords(into, whose) }, el("span", { "aria-hidden": "true" }, into?.length ? `→ ${into.map((place) => place + 1).join(", ")}` : "→ nowhere"), el("span", { class: "unseen" }, intoWords(into, whose))),
    ),
  );
  return buildDrawer(`regions of the ${whose}`, "Sentences by region", regions.length, el("ul", { class: "regions" }, items));
}

/** Marks out of 20 need no third place, shares in 0..1 do. */
function numberWords(number, value) {
  return written(value, number.most > 1 ? 1 : 3);
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
  return buildDrawer(`evidence ${metric}`, title, items.length, el("dl", { class: "evidence" }, items.map(({ about, value, words }) => [el("dt", {}, about, value ? el("b", {}, value) : null), el("dd", {}, words)])));
}

// ---- the case in two tables

function buildLesionTable(run, record, shown, focus) {
  if (!run.has_lesions) return null;
  const affirms = (said, name) => said?.lesions?.find((lesion) => lesion.name === name && lesion.status === "positive");
  const reports = shown.map((place) => [place, record.reports[place]]);
  const names = run.lesions.filter((name) => affirms(record.reference, name) || reports.some(([, report]) => affirms(report, name) || report?.lesions_found?.[name]));
  const heads = reports.map(([place]) => el("th", { scope: "col", "data-focus": place === focus ? "yes" : null }, run.models[place].label));
  const cell = (report, name) => {
    if (!report || "failure" in report) return el("td", { class: "soft" }, el("span", { "aria-hidden": "true" }, "✕"), el("span", { class: "unseen" }, "no report"));
    const kind = report.lesions_found?.[name];
    const side = sideOf(affirms(report, name));
    if (!kind) return el("td", { class: "soft" }, el("span", { "aria-hidden": "true" }, "·"), el("span", { class: "unseen" }, "not affirmed"));
    return el("td", {}, el("span", { class: `verdict ${className(kind)}` }, el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), ` ${kind}`), side ? el("small", {}, side) : null);
  };
  const rows = names.map((name) => {
    const said = affirms(record.reference, name);
    const theirs = said ? el("td", {}, "affirmed", sideOf(said) ? el("small", {}, said.side) : null) : el("td", { class: "soft" }, "–", el("span", { class: "unseen" }, "not affirmed"));
    return el("tr", {}, el("th", { scope: "row" }, name), theirs, reports.map(([, report]) => cell(report, name)));
  });
  const body = names.length
    ? el("table", { class: "lesion-table" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Lesion"), el("th", { scope: "col" }, "Reference"), heads)), el("tbody", {}, rows))
    : el("p", { class: "soft" }, "Neither the reference nor a model affirms a lesion here.");
  return el("section", { class: "after lesions", "aria-labelledby": "lesions-title" }, el("h2", { id: "lesions-title" }, "Lesions of this case"), el("div", { class: "sheet scrolls", tabindex: "0", role: "region", "aria-labelledby": "lesions-title" }, body), el("p", { class: "soft small" }, `Read from the texts by ${run.labelled_by}. ✓ hit, − missed, + invented, ⇄ wrong side, · not affirmed, ✕ no report.`));
}

function buildNumberTable(run, record, shown, focus) {
  if (!run.numbers.length || !shown.length) return null;
  const heads = shown.map((place) => el("th", { scope: "col", "data-focus": place === focus ? "yes" : null }, run.models[place].label));
  const rows = run.numbers.map((number, at) => {
    const values = shown.map((place) => record.reports[place]?.numbers?.[at] ?? null);
    const known = values.filter((value) => value !== null);
    const isTold = number.lower_is_better !== null && new Set(known).size > 1; // where all are alike none is best
    const best = !isTold ? null : number.lower_is_better ? Math.min(...known) : Math.max(...known);
    const cells = values.map((value) => el("td", { class: value === null ? "soft" : null }, value !== null && value === best ? el("b", { class: "best", title: "the best of those shown" }, numberWords(number, value)) : numberWords(number, value)));
    return el("tr", {}, el("th", { scope: "row" }, number.title, number.lower_is_better ? el("span", { class: "soft", title: "the lower the better" }, " ↓") : null), cells);
  });
  return el("section", { class: "after numbers-of-case", "aria-labelledby": "numbers-title" }, el("h2", { id: "numbers-title" }, "Numbers of this case"), el("div", { class: "sheet scrolls", tabindex: "0", role: "region", "aria-labelledby": "numbers-title" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Number"), heads)), el("tbody", {}, rows))), el("p", { class: "soft small" }, "One case says little: these numbers explain a report, they do not rank models."));
}

// ---- what belongs together lights up together

function followPointer(event) {
  if (!current || event.target.closest("rect, .stage-regions")) return; // the radiograph lights its own
  const region = event.target.closest(".region");
  const sentence = event.target.closest(".sentence");
  if (region) lightRegion(region.dataset.region, region.closest(".card"));
  else if (sentence) lightSentence(sentence);
  else lightRegion("");
}

/** Lights a region's box and its sentences: in one card, or in all of them where the pointer is on the box. */
function lightRegion(name, card = null) {
  if (!current) return;
  for (const lit of current.element.querySelectorAll(".sentence.lit, .region.lit")) lit.classList.remove("lit");
  const boxes = card?.dataset.model === undefined ? null : current.record.reports[card.dataset.model]?.boxes;
  lightBox(current.radiograph, name, boxes);
  if (!name) return;
  for (const item of (card ?? current.element).querySelectorAll(".region")) if (item.dataset.region === name) lightItem(item);
}

function lightItem(item) {
  item.classList.add("lit");
  for (const place of item.dataset.into.split(" ").filter(Boolean)) item.closest(".card").querySelector(`.sentence[data-sentence="${Number(place)}"]`)?.classList.add("lit");
}

/** From a sentence of a report to the regions that it was made of. */
function lightSentence(sentence) {
  const card = sentence.closest(".card");
  const items = [...card.querySelectorAll(".region")].filter((item) => item.dataset.into.split(" ").includes(sentence.dataset.sentence));
  lightRegion(items.length === 1 ? items[0].dataset.region : "", card);
  if (!items.length) return;
  sentence.classList.add("lit");
  items.forEach((item) => item.classList.add("lit"));
}
