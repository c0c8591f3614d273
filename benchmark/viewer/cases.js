// The cases of a run: the controls of the filters, the list that they leave, and what is shown beside it.

const ROW_PX = 54; // of style.css, .row
const OVERSCAN = 8; // rows drawn beyond the window, so that a quick scroll shows no gap
const STATE_WORDS = { failed: "failed", empty: "empty", unscored: "not scored" };
const ERRORS = [
  ["any", "Any error"],
  ["hit", "✓ Hit"],
  ["missed", "− Missed"],
  ["invented", "+ Invented"],
  ["wrong-side", "⇄ Wrong side"],
  ["failed", "Failed"],
  ["empty", "Empty report"],
  ["right", "All right"],
  ["unscored", "Not scored"],
];

let bench = null; // the view while it stands: its elements, the data, and which cases the filters leave

/** Builds the view once and then follows the reader's place: filters, list, and the case that is open. */
async function casesView(root, run) {
  if (!bench || bench.root !== root || !root.contains(bench.element)) {
    root.replaceChildren(el("p", { class: "waiting" }, "Reading the cases…"));
    const data = await readCases(run);
    if (state.view === "overview") return; // the reader has left while it was read
    bench = buildBench(root, run, data);
  }
  await findAndShow();
}

async function readCases(run) {
  const [cases, ...models] = await Promise.all([
    loadPart("cases"),
    ...run.models.map((model, place) => (model.failed ? null : loadPart(`model-${place}`))),
  ]);
  return {
    ids: cases.ids,
    patients: cases.patients,
    places: new Map(cases.ids.map((id, place) => [id, place])),
    searched: cases.ids.map((id, place) => `${id}\n${cases.patients[place]}`.toLowerCase()),
    views: { words: cases.views.words, codes: column(cases.views.codes) },
    reference: column(cases.reference_lesions),
    models: models.map((model) => model && readMasks(model)),
    numbers: new Map(), // place of a number -> its columns, once they were asked for
  };
}

/** In the file a lesion on the wrong side is a hit as well, as the metric has it; here each lesion is one thing, as under a report. */
function readMasks(model) {
  const [hit, wrongSide] = [column(model.hit), column(model.wrong_side)];
  if (hit) for (let at = 0; at < hit.length; at += 1) hit[at] &= ~wrongSide[at];
  return { state: column(model.state), hit, wrongSide, missed: column(model.missed), invented: column(model.invented) };
}

async function readNumber(run, data, key) {
  const place = run.numbers.findIndex((number) => number.key === key);
  if (place < 0) return null;
  if (!data.numbers.has(place)) data.numbers.set(place, (await loadPart(`number-${place}`)).values.map(column));
  return data.numbers.get(place);
}

// ---- the view

function buildBench(root, run, data) {
  const outcomes = outcomesOf(run, data);
  const filters = buildFilters(run, outcomes);
  const unknown = el("p", { class: "unknown" });
  const tally = el("p", { class: "tally" });
  const runway = el("div", { class: "runway", role: "presentation" });
  const list = el("div", { class: "list", id: "list", role: "listbox", tabindex: "0", "aria-label": "Cases" }, runway);
  const finder = el("section", { class: "finder", "aria-label": "Find cases" }, filters.element, unknown, tally, list);
  const desk = el("section", { class: "desk", id: "desk", "aria-label": "Case" });
  const element = el("div", { class: "bench" }, finder, desk);
  const built = {
    root,
    run,
    data,
    element,
    finder,
    filters,
    outcomes,
    unknown,
    tally,
    runway,
    list,
    desk,
    found: { order: [], key: null, sort: "" },
    ranged: null,
    filter: state,
    active: 0,
    opened: -1,
    asked: "",
    ticket: 0,
  };
  list.addEventListener("scroll", () => requestAnimationFrame(() => bench === built && drawRows()));
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) openCase(Number(row.dataset.index));
  });
  list.addEventListener("keydown", walkList);
  built.observer = new ResizeObserver(() => bench === built && drawRows());
  built.observer.observe(list);
  root.replaceChildren(element);
  return built;
}

/** The view is left: nothing of it draws any more. */
function leaveCases() {
  bench?.observer.disconnect();
  bench = null;
  closeCase();
}

/** The outcomes that this run can have: of lesions if they were measured, and those of reports that occur. */
function outcomesOf(run, data) {
  const occurs = (error) => data.models.some((model) => model?.state.some(STATES[error]));
  return ERRORS.filter(([error]) => (error in STATES ? (run.has_lesions && error !== "unscored") || occurs(error) : run.has_lesions));
}

function buildFilters(run, outcomes) {
  const choose = (name, label, options) => {
    const select = el("select", { id: `filter-${name}`, onchange: () => go({ [name]: select.value }) }, options);
    return el("div", { class: "field" }, el("label", { for: select.id }, label), select);
  };
  const option = (value, words) => el("option", { value }, words);
  const type = (name, label, attributes) => {
    const input = el("input", {
      id: `filter-${name}`,
      autocomplete: "off",
      oninput: () => go({ [name]: input.value }, { replace: true }),
      ...attributes,
    });
    return el("div", { class: "field" }, el("label", { for: input.id, class: attributes.type === "search" ? "unseen" : null }, label), input);
  };
  const numbers = () => run.numbers.map((number) => option(number.key, number.title));
  const range = el(
    "details",
    { class: "range" },
    el("summary", {}, "A number in a range"),
    el(
      "div",
      { class: "fields" },
      choose("number", "Number", [option("", "None"), numbers()]),
      type("from", "From", { type: "number", step: "any" }),
      type("to", "To", { type: "number", step: "any" }),
    ),
  );
  const element = el(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Filters",
      onsubmit: (event) => (event.preventDefault(), document.getElementById("list").focus()),
    },
    type("q", "Search by case or patient", { type: "search", placeholder: "Search case or patient", "aria-keyshortcuts": "/" }),
    el(
      "div",
      { class: "fields" },
      choose("model", "Model", [
        option("", "Any model"),
        run.models.filter((model) => !model.failed).map((model) => option(model.label, named(model.label))),
      ]),
      run.has_lesions ? choose("lesion", "Lesion", [option("", "Any lesion"), run.lesions.map((lesion) => option(lesion, lesion))]) : null,
      outcomes.length ? choose("error", "Outcome", [option("", "Any outcome"), outcomes.map(([value, words]) => option(value, words))]) : null,
      choose("sort", "Sorted by", [option("", "Order of the run"), run.has_lesions ? option("errors", "Number of errors") : null, numbers()]),
    ),
    run.numbers.length ? range : null,
  );
  return { element, range };
}

/** The controls say what the hash says, wherever it came from. */
function fillFilters() {
  for (const name of FILTERS) {
    const control = document.getElementById(`filter-${name}`);
    if (!control?.matches("input, select") || control.value === state[name]) continue;
    control.value = state[name];
    if (control.selectedIndex < 0) control.selectedIndex = 0; // a word of an old link that this run does not know
  }
  const { known, unknown } = readFilters(bench.run, bench.outcomes);
  bench.filter = known;
  bench.unknown.textContent = unknown.length ? `The link asks for what this run does not have, which is left out: ${unknown.join(", ")}.` : "";
  if (state.number || state.from || state.to) bench.filters.range.open = true;
}

/** The filters of the link that name something of this run, and words about those that do not: they are left out, and all is shown. */
function readFilters(run, outcomes) {
  const isNumber = (key) => run.numbers.some((number) => number.key === key);
  const isBound = (bound) => !Number.isNaN(Number(bound));
  const isKnown = {
    model: (label) => run.models.some((model) => model.label === label && !model.failed),
    lesion: (name) => run.has_lesions && run.lesions.includes(name),
    error: (error) => outcomes.some(([value]) => value === error),
    number: isNumber,
    from: isBound,
    to: isBound,
    sort: (key) => (key === "errors" && run.has_lesions) || isNumber(key),
    focus: (label) => run.models.some((model) => model.label === label),
  };
  const titles = { error: "outcome", from: "lower bound", to: "upper bound", sort: "order by", focus: "model in focus" };
  const unknown = Object.keys(isKnown).filter((name) => state[name] && !isKnown[name](state[name]));
  return {
    known: { ...state, ...Object.fromEntries(unknown.map((name) => [name, ""])) },
    unknown: unknown.map((name) => `${titles[name] ?? name} "${named(state[name])}"`),
  };
}

async function findAndShow() {
  const { run, data } = bench;
  const built = bench;
  const ticket = (built.ticket += 1);
  fillFilters();
  const asked = JSON.stringify(FILTERS.filter((name) => name !== "focus" && name !== "hide").map((name) => state[name]));
  const isAskedAnew = asked !== built.asked && built.asked !== "";
  if (asked !== built.asked) {
    const [sorted, ranged] = await Promise.all([readNumber(run, data, built.filter.sort), readNumber(run, data, built.filter.number)]);
    if (ticket !== built.ticket) return; // a later move has overtaken this one
    const before = performance.now();
    built.found = findCases(run, data, built.filter, sorted, ranged);
    built.ranged = ranged;
    built.finder.dataset.milliseconds = (performance.now() - before).toFixed(1);
    built.asked = asked;
    built.active = 0;
    built.list.scrollTop = 0;
    drawTally();
  }
  if (state.view === "case") {
    const index = built.found.order.indexOf(data.places.get(state.case) ?? -1);
    if (index >= 0) built.active = index;
    bench.element.dataset.open = "case";
    showActive();
    const shown = current?.record.place;
    await showCase(built, index);
    if (isAskedAnew && shown !== undefined && current?.record.place === shown) announce(filteredWords(index));
  } else {
    bench.element.dataset.open = "";
    bench.element.dataset.list = "";
    showActive();
    closeCase();
    showSummary();
    const { order } = built.found;
    document.title = `${named(bench.run.title)}: cases`;
    announce(`${grouped(order.length)} of ${counted(run.cases, "case")}`);
  }
}

/** What filters leave while a case stays open. */
function filteredWords(index) {
  const { order } = bench.found;
  const open = index < 0 ? "the open case is not among them" : `the open case is number ${grouped(index + 1)}`;
  return `${grouped(order.length)} of ${counted(bench.run.cases, "case")}; ${open}`;
}

function drawTally() {
  keepFocus(bench.tally, rebuildTally, "list");
}

function rebuildTally() {
  const { run, found, tally } = bench;
  const isFiltered = ["model", "lesion", "error", "number", "from", "to", "q", "sort"].some((name) => state[name]);
  const isUp = state.order === "up";
  const turn = () => go({ order: isUp ? "" : "up" });
  tally.replaceChildren(
    el("span", {}, el("strong", {}, grouped(found.order.length)), ` of ${counted(run.cases, "case")}`),
    bench.filter.sort
      ? el(
          "button",
          { type: "button", class: "plain", id: "filter-order", title: "Turn the order", onclick: turn },
          isUp ? "lowest first ↑" : "highest first ↓",
        )
      : "",
    isFiltered ? el("button", { type: "button", class: "plain", id: "reset", onclick: resetFilters }, "Reset") : "",
  );
  bench.runway.style.setProperty("height", `${found.order.length * ROW_PX}px`);
}

function resetFilters() {
  go({ view: state.view, case: state.case, focus: state.focus, hide: state.hide }, { fresh: true });
  document.getElementById("filter-q").focus();
}

// ---- the list: only the rows in sight exist

function drawRows() {
  const { run, data, list, runway, found } = bench;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - OVERSCAN);
  const last = Math.min(found.order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + OVERSCAN);
  const models = chosenModels(run, data, bench.filter.model);
  const lesion = run.lesions.indexOf(bench.filter.lesion);
  const wanted = lesion < 0 ? ALL_LESIONS : 1 << lesion;
  const rows = [];
  for (let index = first; index < last; index += 1) rows.push(drawRow(index, models, wanted));
  runway.replaceChildren(...rows);
  if (!found.order.length) runway.append(el("p", { class: "nothing" }, "No case is left by these filters."));
  const active = document.getElementById(`row-${bench.active}`);
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}

function drawRow(index, models, wanted) {
  const { run, data, found, active } = bench;
  const place = found.order[index];
  const id = data.ids[place];
  const view = data.views.words[data.views.codes[place]] ?? "";
  const counts = countsOf(data, models, place, wanted);
  const isScored = run.has_lesions && counts.failed + counts.unscored < models.length; // what nobody compared has no count, and zero is one
  const kinds = isScored ? Object.keys(KINDS) : [];
  const words = [
    ...kinds.filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${KINDS[kind].words}`),
    ...["failed", "empty", ...(run.has_lesions ? ["unscored"] : [])].filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${STATE_WORDS[kind]}`),
  ];
  const nothing = isScored ? "no lesion said" : "";
  const key = found.key ? keyWords(run, found.sort, found.key[place]) : "";
  return el(
    "div",
    {
      class: "row",
      id: `row-${index}`,
      role: "option",
      "data-index": index,
      "data-place": place,
      "aria-selected": String(state.view === "case" && state.case === id),
      "aria-setsize": found.order.length,
      "aria-posinset": index + 1,
      "aria-label": [named(id), view, words.join(", ") || nothing, key].filter(Boolean).join(". "),
      "data-active": index === active ? "yes" : null,
      style: { top: `${index * ROW_PX}px` },
    },
    el("span", { class: "row-id", title: named(id) }, named(id)),
    el("span", { class: "row-view" }, view),
    el(
      "span",
      { class: "row-counts" },
      kinds.map((kind) =>
        el(
          "span",
          {
            class: `count-${kind.replace(" ", "-")}`,
            "data-none": counts[kind] ? null : "yes",
            title: `${counts[kind]} ${KINDS[kind].words}, ${named(bench.filter.model) || "all models together"}`,
          },
          `${KINDS[kind].sign}${counts[kind]}`,
        ),
      ),
      counts.failed ? el("span", { class: "count-failed" }, `${counts.failed} failed`) : null,
      counts.empty ? el("span", { class: "count-failed" }, `${counts.empty} empty`) : null,
      counts.unscored && run.has_lesions ? el("span", { class: "count-failed" }, `${counts.unscored} not scored`) : null,
    ),
    el("span", { class: "row-key" }, key),
  );
}

function keyWords(run, sort, value) {
  if (sort === "errors") return counted(value, "error");
  return numberWords(
    run.numbers.find((number) => number.key === sort),
    value,
  );
}

/** Brings the active row into sight and draws. */
function showActive() {
  const { list, active } = bench;
  const top = active * ROW_PX;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
  drawRows();
}

function walkList(event) {
  const page = Math.max(1, Math.floor(bench.list.clientHeight / ROW_PX) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in steps) moveActive(steps[event.key]);
  else if (event.key === "Enter" || event.key === " ") openCase(bench.active);
  else return;
  event.preventDefault();
}

function moveActive(by) {
  const last = bench.found.order.length - 1;
  bench.active = Math.max(0, Math.min(last, bench.active + by));
  showActive();
}

function openCase(index) {
  const place = bench.found.order[index];
  if (place === undefined) return false;
  go({ view: "case", case: bench.data.ids[place] });
}

/** The next or the former case: opens it where one is open, and only marks it in the list otherwise. */
function stepCase(by) {
  if (!bench || state.view === "overview" || !bench.found.order.length) return false;
  if (state.view === "cases") return void moveActive(by);
  const { order } = bench.found;
  const now = order.indexOf(bench.data.places.get(state.case) ?? -1);
  const index = now < 0 ? 0 : now + by;
  if (index < 0 || index >= order.length) return void announce(by > 0 ? "This is the last case." : "This is the first case.");
  go({ case: bench.data.ids[order[index]] }, { replace: true });
}

/** Gives the room of the list to the reports, and takes it back. */
function toggleList() {
  if (!bench || state.view !== "case") return false;
  const isAway = bench.element.dataset.list !== "away";
  bench.element.dataset.list = isAway ? "away" : "";
  drawHead();
  announce(isAway ? "List hidden" : "List shown");
}

function backToList() {
  if (bench) bench.element.dataset.list = "";
  go({ view: "cases", case: "" });
  document.getElementById("list")?.focus();
}

// ---- beside the list while no case is open: what the models did in the cases that are left

function showSummary() {
  keepFocus(bench.desk, buildSummary, "summary-title");
}

function buildSummary() {
  const { run, data, desk, found, outcomes, filter } = bench;
  const lesion = run.lesions.indexOf(filter.lesion);
  const wanted = lesion < 0 ? ALL_LESIONS : 1 << lesion;
  const kinds = outcomes.filter(([value]) => value !== "any");
  const rows = run.models.map((model, place) => {
    if (!data.models[place])
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, named(model.label)),
        el("td", { class: "reason", colspan: Math.max(1, kinds.length) }, `no reports: ${model.failed}`),
      );
    const counts = countCases(run, data, place, wanted);
    const cells = kinds.map(([kind]) =>
      el(
        "td",
        {},
        counts[kind]
          ? el("a", { id: `count-${place}-${kind}`, href: hashOf({ view: "cases", case: "", model: model.label, error: kind }) }, grouped(counts[kind]))
          : el("span", { class: "soft" }, "0"),
      ),
    );
    return el("tr", {}, el("th", { scope: "row" }, named(model.label)), cells);
  });
  const about = lesion < 0 ? "" : `, of ${filter.lesion} alone`;
  const others = filter.model || filter.error ? " The filters of model and outcome are left aside here: a number says what its own would find." : "";
  const said = kinds.length ? `How many cases have one or more of each${about}, by model. A number leads to its cases.${others}` : "No report failed, and none is empty.";
  desk.replaceChildren(
    el(
      "div",
      { class: "summary" },
      el(
        "h1",
        { id: "summary-title", tabindex: "-1" },
        found.order.length === run.cases ? `All ${counted(run.cases, "case")}` : `${grouped(found.order.length)} of ${counted(run.cases, "case")}`,
      ),
      el("p", { class: "soft" }, said, run.has_lesions ? "" : " Lesions were not measured in this run."),
      el(
        "div",
        { class: "sheet scrolls", id: "summary-sheet", tabindex: "0", role: "region", "aria-label": "Cases by model and outcome" },
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col" }, "Model"),
              kinds.map(([, words]) => el("th", { scope: "col" }, words)),
            ),
          ),
          el("tbody", {}, rows),
        ),
      ),
      el(
        "p",
        { class: "soft small" },
        "Open a case from the list: click it, or walk with ",
        el("kbd", {}, "j"),
        " and ",
        el("kbd", {}, "k"),
        " and press ",
        el("kbd", {}, "Enter"),
        ".",
      ),
    ),
  );
}

/** How many cases each outcome would leave, asked of one model with the other filters as they are. */
function countCases(run, data, model, wanted) {
  const columns = data.models[model];
  const counts = { hit: 0, missed: 0, invented: 0, "wrong-side": 0, failed: 0, empty: 0, right: 0, unscored: 0 };
  const keeps = new Uint8Array(run.cases).fill(1);
  keepAskedFor(keeps, run, data, [model], bench.filter, bench.ranged);
  for (let at = 0; at < run.cases; at += 1) {
    if (!keeps[at]) continue;
    const found = columns.state[at];
    for (const [kind, is] of Object.entries(STATES)) counts[kind] += is(found);
    if (!columns.missed || found === FAILED || isUnscoredState(found)) continue;
    for (const kind of ["hit", "missed", "invented", "wrong-side"]) counts[kind] += (columns[ERROR_MASKS[kind][0]][at] & wanted) > 0;
    counts.right += !((columns.missed[at] | columns.invented[at] | columns.wrongSide[at]) & wanted);
  }
  return counts;
}
