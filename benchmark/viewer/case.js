// One case: the radiograph and the reference on one side, every model's report on the other, and under them the case in two tables.

const FIXED_REPORT = "constant"; // one text for every case

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
    el(
      "div",
      { class: "trouble", role: "alert" },
      el("h1", {}, "No such case"),
      el("p", {}, `This run has no case "${named(state.case)}".`),
      el("p", {}, el("a", { href: "#cases" }, "All cases")),
    ),
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
  record.reports.forEach(
    (report, place) =>
      report?.boxes &&
      Object.keys(report.boxes).length &&
      sources.push({ name: run.models[place].label, title: named(run.models[place].label), boxes: report.boxes }),
  );
  const head = el("header", { class: "case-head" });
  const reading = el("div", { class: "reading" });
  const reference = el("section", { class: "card reference", id: "reference", "aria-labelledby": "reference-title" });
  const after = el("div", { class: "case-after" });
  const radiograph = buildRadiograph(
    record,
    images,
    sources.filter((source) => source.name || Object.keys(source.boxes).length),
    lightRegion,
  );
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
  const show = () => {
    desk.replaceChildren(element);
    drawHead();
    drawReading();
  };
  keepFocus(desk, show, "case-title"); // who leafs with a button leafs on with it
  desk.scrollTop = 0;
  fitStage(radiograph);
  document.title = `${named(record.id)} · ${named(run.title)}`;
  announceCase();
}

function drawHead() {
  const { built, record, index, head } = current;
  const { order } = built.found;
  const where =
    index < 0 ? el("span", { class: "soft" }, " not among the filtered cases") : el("span", { class: "soft" }, ` of ${grouped(order.length)}`);
  const step = (id, words, label, by) =>
    el(
      "button",
      {
        type: "button",
        id,
        title: label,
        "aria-label": label,
        disabled: index < 0 ? !order.length : index + by < 0 || index + by >= order.length,
        onclick: () => stepCase(by),
      },
      words,
    );
  const views = record.images.map((image) => image.view).filter(Boolean);
  const parts = [
    el("button", { type: "button", id: "back-to-list", class: "quiet", onclick: backToList }, "‹ List"),
    el(
      "div",
      { class: "case-name" },
      el("h1", { id: "case-title", tabindex: "-1" }, "Case ", index < 0 ? grouped(record.place + 1) : grouped(index + 1), where),
      el(
        "p",
        { class: "case-ids" },
        [
          ["Case", record.id],
          ["Patient", record.patient],
          ["Study", record.study],
          ["Views", views.join(", ")],
        ]
          .filter(([, words]) => words)
          .map(([name, words]) => [el("span", { class: "pair" }, `${name} `, el("code", {}, named(words))), " "]),
      ),
    ),
    el(
      "div",
      { class: "case-tools" },
      el(
        "button",
        { type: "button", id: "toggle-list", class: "quiet", title: "The list of cases (l)", onclick: toggleList },
        built.element.dataset.list === "away" ? "Show list" : "Hide list",
      ),
      step("previous-case", "‹ Previous", "Previous case (k)", -1),
      step("next-case", "Next ›", "Next case (j)", 1),
      el("button", { type: "button", id: "copy-link", title: "Copy a link to what is shown (c)", onclick: copyLink }, "Copy link"),
      el("button", { type: "button", id: "print-case", onclick: () => window.print() }, "Print"),
    ),
  ];
  keepFocus(head, () => head.replaceChildren(...parts), "case-title");
}

function buildContext(record) {
  if (!record.context?.length) return null;
  return el(
    "section",
    { class: "context", "aria-label": "Context" },
    el("h2", {}, "Context"),
    el(
      "dl",
      {},
      record.context.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]),
    ),
  );
}

/** Everything that depends on which models are shown and which is in focus. */
function drawReading() {
  keepFocus(current.element, rebuildReading, "case-title");
}

function rebuildReading() {
  const { run, record, reading, reference, after } = current;
  const focus = focusedModel(run);
  const shown = shownModels(run);
  reading.replaceChildren(
    ...[
      buildChips(run, record, shown, focus),
      buildLegend(run),
      el(
        "div",
        { class: shown.length > 4 ? "cards many" : "cards" },
        shown.map((place) => buildCard(run, record, place, place === focus)),
      ),
      shown.length ? null : el("p", { class: "nothing" }, "No model is shown. Choose one above."),
      el("p", { class: "soft small print-only", id: "left-out" }),
    ].filter(Boolean),
  );
  reference.replaceChildren(...buildReference(run, record, focus).filter(Boolean));
  after.replaceChildren(...[buildLesionTable(run, record, shown, focus), buildNumberTable(run, record, shown, focus)].filter(Boolean));
}

function announceCase() {
  const { built, run, record, index } = current;
  const focus = focusedModel(run);
  const where = index < 0 ? `Case ${named(record.id)}` : `Case ${index + 1} of ${built.found.order.length}`;
  const report = record.reports[focus];
  if (run.has_lesions && report && !("failure" in report) && !isScored(report)) return announce(`${where}: ${whyUnscored(record)}`);
  announce(focus < 0 ? where : `${where}: ${outcomeWords(run, report)} by ${named(run.models[focus].label)}`);
}

function outcomeWords(run, report) {
  if (!report || "failure" in report) return "no report";
  if (!run.has_lesions) return report.text ? "a report" : "empty report";
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

let lastFocus = ""; // kept from case to case, also where a link does not say it

/** The model whose errors the reference shows: the one asked for, the one filtered by, the one looked at last, or else the best. */
function focusedModel(run) {
  const place = (label) => run.models.findIndex((model) => model.label === label);
  const asked = [state.focus, state.model, lastFocus]
    .filter(Boolean)
    .map(place)
    .find((found) => found >= 0);
  return asked ?? leadingModel(run);
}

/** The best by the first headline, or the first with reports; the fixed report, whose errors say nothing of a model, where it is alone. */
function leadingModel(run) {
  const places = run.models.map((_, place) => place).filter((place) => !run.models[place].failed);
  const free = places.filter((place) => run.models[place].label.split(":")[0] !== FIXED_REPORT);
  const models = free.length ? free : places;
  const first = run.rows.find((row) => row.headline && row.better);
  const value = (place) =>
    run.rows.find((row) => row.model === run.models[place].label && row.metric === first?.metric && row.name === first?.name)?.value ?? null;
  const known = models.filter((place) => value(place) !== null);
  const isBetter = (one, other) => (first.better === "lower" ? value(one) < value(other) : value(one) > value(other));
  return known.length ? known.reduce((best, place) => (isBetter(place, best) ? place : best)) : Math.max(0, models[0] ?? 0);
}

function focusModel(place) {
  if (!current || !current.run.models[place]) return false;
  const hidden = hiddenModels(current.run);
  hidden.delete(place);
  lastFocus = current.run.models[place].label;
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
    el(
      "button",
      {
        type: "button",
        class: "chip",
        id: `chip-${place}`,
        "aria-pressed": String(shown.includes(place)),
        "data-focus": place === focus ? "yes" : null,
        title: "Show or hide this report",
        onclick: () => turn(place),
      },
      named(model.label),
    ),
  );
  return el(
    "div",
    { class: "chips", role: "group", "aria-label": "Models shown" },
    el("span", { class: "soft small" }, "Shown"),
    chips,
    run.models.length > 1 ? el("button", { type: "button", class: "quiet small", id: "show-all", onclick: () => hide([]) }, "All") : null,
    run.models.length > 1
      ? el(
          "button",
          { type: "button", class: "quiet small", id: "show-focus", title: "Only the report of the model in focus", onclick: () => hide(everyOther) },
          "Only in focus",
        )
      : null,
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
    entries.map(([kind, words]) =>
      el(
        "li",
        {},
        el("mark", { class: className(kind) }, el("b", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), " ", kind),
        el("span", { class: "soft" }, ` ${words}`),
      ),
    ),
  );
}

/** Paper has no drawers to open: it says what the closed ones hold back. */
window.addEventListener("beforeprint", () => {
  const closed = [...document.querySelectorAll(".case .card .drawer:not([open]) > summary")].map((summary) => summary.firstChild.textContent.trim());
  const place = document.getElementById("left-out");
  if (place) place.textContent = closed.length ? `Closed on the page, and not printed: ${[...new Set(closed)].join(", ")}.` : "";
});

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
  for (const place of item.dataset.into.split(" ").filter(Boolean))
    item
      .closest(".card")
      .querySelector(`.sentence[data-sentence="${Number(place)}"]`)
      ?.classList.add("lit");
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
