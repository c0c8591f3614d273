// The overview: where to look first, the tables, forest plots, the heat map, failures, and how all of it was made.

const followers = []; // what redraws itself where a link has changed while the view stands

function followLink() {
  for (const follow of followers) follow();
}

/** Builds the view. Its choices (plot, against, measure) are kept in the link. */
function overviewView(root, run) {
  followers.length = 0;
  const numbers = rowsOf(run);
  const sections = [
    ["look", "Where to look first", run.has_lesions ? lookFirst(run, numbers) : null],
    ["tables", "Tables", [tablesWithTabs(run), el("p", { class: "remark print-only", id: "tables-left-out" })]],
    ["plots", "Forest plots", run.rows.length ? plotSection(run, numbers) : null],
    ["lesions", "Lesion by lesion", run.has_lesions ? heatMap(run, numbers) : null],
    ["failures", "Failures", failures(run)],
    ["made", "How it was made", howItWasMade(run)],
  ].filter(([, , content]) => content);
  root.append(
    el(
      "div",
      { class: "overview", onclick: rememberPlace },
      el("header", { class: "lead" }, el("h1", { id: "overview-title", tabindex: "-1" }, named(run.title)), el("p", { class: "facts" }, facts(run).join(" · "))),
      contents(sections),
      el(
        "div",
        { class: "sections" },
        sections.map(([name, title, content]) =>
          el("section", { id: `overview-${name}`, "aria-labelledby": `overview-heading-${name}` }, el("h2", { id: `overview-heading-${name}`, tabindex: "-1" }, title), content),
        ),
      ),
    ),
  );
  returnToPlace();
}

/** Notes in the history where the reader leaves for a case, so that the back button leads there. */
function rememberPlace(event) {
  const link = event.target.closest("a[href^='#']");
  if (link) history.replaceState({ scroll: window.scrollY, link: link.getAttribute("href") }, "", location.href);
}

function returnToPlace() {
  const left = history.state;
  if (!left?.link) return;
  const link = [...document.querySelectorAll(".overview a")].find((one) => one.getAttribute("href") === left.link);
  link?.focus({ preventScroll: true });
  // plots are drawn when their width is known, a moment later
  requestAnimationFrame(() => requestAnimationFrame(() => window.scrollTo(0, left.scroll)));
}

/** Every number by model, metric and name. */
function rowsOf(run) {
  const known = new Map(run.rows.map((row) => [[row.model, row.metric, row.name].join("\n"), row]));
  return { get: (model, metric, name) => known.get([model, metric, name].join("\n")) };
}

function facts(run) {
  const { patients } = run.dataset;
  return [
    counted(run.cases, "case") + (patients === null ? "" : ` of ${counted(patients, "patient")}`),
    counted(run.models.length, "model"),
    run.has_lesions ? `${run.lesions.length} lesions, found in the texts by ${run.labelled_by}` : "",
  ].filter(Boolean);
}

/** Not by links within the page: the hash says where the reader is. */
function contents(sections) {
  const jump = (name) => () => {
    const heading = document.getElementById(`overview-heading-${name}`);
    heading.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    heading.focus({ preventScroll: true });
  };
  return el(
    "nav",
    { class: "contents", "aria-label": "On this page" },
    el("ul", {}, sections.map(([name, title]) => el("li", {}, el("button", { type: "button", class: "plain", onclick: jump(name) }, title)))),
  );
}

// ---- tables: they stand in the page without script, one under the other; here each has a tab

function tablesWithTabs(run) {
  const given = run.tables.map((table) => ({ ...table, content: staticTable(table.name) })).filter((table) => table.content);
  if (!given.length) return run.tables.length ? el("ul", { class: "files" }, run.tables.map((table) => el("li", {}, table.title, fileLinks(table)))) : null;
  const tabs = given.map((table, place) =>
    el(
      "button",
      { type: "button", role: "tab", id: `tab-${table.name}`, "aria-controls": `panel-${table.name}`, "aria-selected": String(!place), tabindex: place ? "-1" : "0", title: table.title, onclick: (event) => choose(event.currentTarget) },
      tabTitle(table.name),
    ),
  );
  const panels = given.map((table, place) =>
    el(
      "div",
      { role: "tabpanel", id: `panel-${table.name}`, "aria-labelledby": `tab-${table.name}`, class: place ? "panel put-away" : "panel" },
      table.content,
      fileLinks(table),
    ),
  );
  function choose(tab) {
    tabs.forEach((one, place) => {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      panels[place].classList.toggle("put-away", one !== tab);
    });
  }
  function turn(event) {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    choose(tab);
    tab.focus();
  }
  return [el("div", { role: "tablist", "aria-label": "Tables", class: "tabs", onkeydown: turn }, tabs), panels];
}

/** A copy of a table that stands in the page, without ids, its heading a step lower; null where the page was written without it. */
function staticTable(name) {
  const given = document.getElementById(`table-${name}`);
  if (!given) return null;
  const copy = el("div", { class: "table" }, [...given.cloneNode(true).childNodes]);
  for (const marked of copy.querySelectorAll("[id]")) marked.removeAttribute("id");
  for (const heading of copy.querySelectorAll("h2")) heading.replaceWith(el("h3", { class: heading.textContent === tabTitle(name) ? "print-only" : "" }, heading.textContent));
  for (const notes of copy.querySelectorAll(".notes")) {
    const details = el("details", {}, el("summary", {}, `Notes of this table (${notes.children.length})`));
    notes.replaceWith(details);
    details.append(notes);
  }
  return copy;
}

/** What is short enough for a tab: "Table 2a" of "table2a", the name itself of others. */
function tabTitle(name) {
  const said = name === "mcnemar" ? "McNemar" : name.replace(/^(table|figure)(?=\d)/, "$1 ").replaceAll("_", " ");
  return said[0].toUpperCase() + said.slice(1);
}

function fileLinks(table) {
  if (!table.files.length) return null;
  const links = table.files.map((file, place) => [place ? ", " : "", el("a", { href: encodeURI(file) }, file)]);
  return el("p", { class: "remark files" }, "The same in files beside this page: ", links);
}

// ---- failures

function failures(run) {
  const lost = run.models.filter((model) => model.failed);
  const empty = run.models.filter((model) => model.empty);
  const said = [];
  if (lost.length) said.push(el("h3", {}, "Models without any report"), el("dl", { class: "told-of" }, lost.map((model) => [el("dt", {}, named(model.label)), el("dd", {}, named(model.failed))])));
  if (run.failure_kinds.length) {
    said.push(el("h3", {}, "Cases that a model failed on"), el("p", { class: "remark" }, "They have no report and no score; the tables say how many each number leaves out."));
    said.push(el("ul", { class: "kinds" }, run.failure_kinds.map((kind) => failureKind(run, kind))));
  }
  if (!lost.length && !run.failure_kinds.length) said.push(el("p", {}, "None: every model wrote a report about every case."));
  if (empty.length) {
    const links = empty.map((model, place) => [place ? ", " : "", `${named(model.label)} `, el("a", { href: casesLink({ model: model.label, error: "empty" }) }, grouped(model.empty))]);
    said.push(el("p", {}, "Empty reports, scored as they are: ", links, "."));
  }
  if (run.empty_references) {
    const have = run.empty_references === 1 ? "has" : "have";
    said.push(el("p", { id: "empty-references" }, `${counted(run.empty_references, "reference")} ${have} no text: no number is of ${run.empty_references === 1 ? "it" : "them"}.`));
  }
  if (run.problems.length) {
    said.push(el("h3", {}, "What was stepped over while the data were read"));
    said.push(el("dl", { class: "told-of counts" }, run.problems.map(([what, count]) => [el("dt", {}, what), el("dd", {}, grouped(count))])));
  }
  return el("div", { class: "sheet" }, said);
}

/** One reason of one model; its cases are listed when it is opened, since their names are in a file of their own. */
function failureKind(run, kind) {
  const { label } = run.models[kind.model];
  const known = run.failed_cases.filter((one) => one.model === kind.model && one.why === kind.why);
  const head = [el("b", {}, named(label)), `: ${named(kind.why)} `, el("span", { class: "soft" }, `(${counted(kind.count, "case")})`)];
  if (!known.length) return el("li", {}, head);
  const list = el("p", { class: "links" }, "Reading the names of the cases…");
  let isListed = false;
  async function showCases(event) {
    if (!event.currentTarget.open || isListed) return;
    isListed = true;
    try {
      const { ids } = await loadPart("cases");
      const links = known.map(({ case: place }, at) => [at ? ", " : "", el("a", { href: hashOf({ view: "case", case: ids[place], model: label }, { fresh: true }) }, named(ids[place]))]);
      list.replaceChildren(...links.flat(), ...(known.length < kind.count ? [" and ", el("a", { href: casesLink({ model: label, error: "failed" }) }, `${grouped(kind.count - known.length)} more`)] : []));
    } catch (error) {
      list.replaceChildren(error.message);
    }
  }
  return el("li", {}, el("details", { ontoggle: showCases }, el("summary", {}, head), list));
}

// ---- how it was made: closed, but open to the browser's own search

function howItWasMade(run) {
  const pairs = (list) => el("dl", { class: "told-of" }, list.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const opened = (title, ...content) => el("details", {}, el("summary", {}, title), content);
  const cards = run.models.filter((model) => model.card.length);
  const dataset = [
    ["Data", `${run.dataset.name}, ${run.dataset.split} split${run.dataset.is_private ? "; may not be passed on" : ""}`],
    ["Fingerprint", el("code", {}, run.dataset.fingerprint)],
  ];
  return el(
    "div",
    { class: "sheet made" },
    opened("Settings of the run", pairs([...dataset, ...run.settings, ["Made by", `clala-benchmark ${run.made_by}`]])),
    run.notes.length ? opened(`Notes (${run.notes.length})`, el("ul", { class: "notes" }, run.notes.map((note) => el("li", {}, note)))) : null,
    cards.length ? opened(`Models (${cards.length})`, cards.map((model) => [el("h3", {}, named(model.label)), pairs(model.card)])) : null,
    run.signatures.length
      ? opened(
          "Signatures of the metrics",
          el("p", { class: "remark" }, "Two numbers compare only where these agree."),
          pairs(run.signatures.map(([name, signature]) => [name, el("code", {}, signature)])),
        )
      : null,
  );
}

// ---- print: the plots and the map before the tables, of these the summary and the one that is chosen; what is put away is opened

let afterPrint = [];
window.addEventListener("beforeprint", () => {
  const overview = document.querySelector(".overview");
  if (!overview) return;
  const tables = document.getElementById("overview-tables");
  const next = tables?.nextElementSibling;
  if (tables) {
    (document.getElementById("overview-lesions") ?? document.getElementById("overview-plots") ?? tables.previousElementSibling ?? tables).after(tables);
    afterPrint.push(() => next?.before(tables));
    leaveOutTables(tables);
  }
  for (const details of overview.querySelectorAll("details:not([open], .kinds *, .plot *)")) {
    details.open = true;
    afterPrint.push(() => (details.open = false));
  }
});
window.addEventListener("afterprint", () => {
  for (const undo of afterPrint) undo();
  afterPrint = [];
});

/** Says which tables are not printed and where they are, and prints a note that stands under several of the others once. */
function leaveOutTables(section) {
  const panels = [...section.querySelectorAll("[role=tabpanel]")];
  panels[0]?.classList.add("printed");
  const isPrinted = (panel) => panel.matches(".printed, :not(.put-away)");
  const left = panels.filter((panel) => !isPrinted(panel)).map((panel) => panel.id.replace("panel-", ""));
  const place = document.getElementById("tables-left-out");
  place.textContent = left.length ? `Not printed here: ${left.map((name) => `${tabTitle(name)} (${name}.html)`).join(", ")}. Each is a file beside this page.` : "";
  const seen = new Set();
  for (const note of panels.filter(isPrinted).flatMap((panel) => [...panel.querySelectorAll(".notes li:not(.footnote)")])) {
    note.classList.toggle("said-before", seen.has(note.textContent));
    seen.add(note.textContent);
  }
}
