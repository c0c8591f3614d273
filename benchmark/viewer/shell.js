// The frame around the views: navigation, theme, what is read aloud, and trouble said in words. It starts the page.

const THEMES = ["auto", "light", "dark"];
const THEME_WORDS = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };
let shownView = "";
let overviewLink = "#overview"; // with what was last shown there

start();

async function start() {
  setTheme(kept("clala-theme", "auto"));
  document
    .getElementById("tools")
    .append(
      el("button", { type: "button", id: "help-button", class: "quiet", onclick: openHelp, "aria-haspopup": "dialog" }, "Keys ", el("kbd", {}, "?")),
      el("button", { type: "button", id: "theme", class: "quiet", onclick: turnTheme }),
    );
  nameTheme();
  whenMoved = showView;
  window.addEventListener("hashchange", showView);
  document.querySelector(".skip").addEventListener("click", skipToContent);
  listenToKeys();
  try {
    run = await loadPart("run");
    if (run.format !== FORMAT) throw new Error(`page/run.js is of format ${run.format}; this page reads format ${FORMAT}. ${WRITE_AGAIN}`);
    showView();
  } catch (error) {
    sayTrouble(document.getElementById("view"), error);
  }
}

/** Shows what the hash says. The view is built when it is entered, and told of every move within it. */
function showView() {
  if (!run) return;
  Object.assign(state, readHash(location.hash));
  const root = document.getElementById("view");
  const view = state.view === "overview" ? "overview" : "cases"; // a case is seen beside the list that it is in
  if (view === "overview") overviewLink = location.hash || "#overview";
  drawNavigation(view);
  const isNew = view !== shownView;
  const hasMoved = isNew && shownView !== "";
  if (isNew) {
    leaveCases();
    root.replaceChildren();
    root.className = `view-${view}`;
    document.body.dataset.view = view;
    shownView = view;
    window.scrollTo(0, 0);
  }
  if (view === "cases") {
    casesView(root, run).then(
      () => hasMoved && focusView(state.view === "case" ? "case-title" : "list"),
      (error) => sayTrouble(root, error),
    );
  } else if (isNew) {
    document.title = `${named(run.title)}: overview`;
    try {
      overviewView(root, run);
    } catch (error) {
      sayTrouble(root, error);
    }
    announce(`Overview of ${named(run.title)}`);
    if (hasMoved && !root.contains(document.activeElement)) focusView("overview-title");
  } else {
    followLink();
  }
}

/** After a move of the reader the focus goes with them, unless they are typing in a field by now. */
function focusView(id) {
  if (!document.activeElement?.matches("input, select")) document.getElementById(id)?.focus({ preventScroll: true });
}

function drawNavigation(view) {
  const place = document.getElementById("views");
  if (!place.firstChild) place.append(el("a", {}, "Overview"), el("a", {}, "Cases ", el("span", { class: "count" }, grouped(run.cases))));
  const [overview, cases] = place.children; // the same two all along: a link that has the focus keeps it
  overview.setAttribute("href", overviewLink);
  cases.setAttribute("href", view === "cases" ? hashOf({ view: "cases", case: "" }) : "#cases");
  for (const [link, name] of [
    [overview, "overview"],
    [cases, "cases"],
  ])
    if (view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
}

/** Text that a screen reader says without moving there. */
function announce(text) {
  const live = document.getElementById("live");
  if (live.textContent !== text) live.textContent = text;
}

/** An error in the place where its content would stand. */
function sayTrouble(root, error) {
  shownView = ""; // so that the next move builds the view anew
  root.replaceChildren(el("div", { class: "trouble", role: "alert" }, el("h1", {}, "This could not be shown"), el("p", {}, error.message)));
}

/** Not by the hash, which says where the reader is. */
function skipToContent(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

// ---- theme

function setTheme(theme) {
  document.documentElement.dataset.theme = THEMES.includes(theme) ? theme : "auto";
}

function turnTheme() {
  const root = document.documentElement;
  setTheme(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
  keep("clala-theme", root.dataset.theme);
  nameTheme();
  announce(`Theme: ${root.dataset.theme}`);
}

function nameTheme() {
  const theme = document.documentElement.dataset.theme;
  const button = document.getElementById("theme");
  button.textContent = THEME_WORDS[theme];
  button.setAttribute("aria-label", `Theme: ${theme}. Switch`);
}
