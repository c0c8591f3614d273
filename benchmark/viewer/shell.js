// The frame around the views: navigation, theme, what is read aloud, and trouble said in words. It starts the page.

const THEMES = ["auto", "light", "dark"];
const THEME_WORDS = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };
let shownView = "";

start();

async function start() {
  setTheme(keptTheme());
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
  drawNavigation(view);
  const isNew = view !== shownView;
  if (isNew) {
    root.replaceChildren();
    root.className = `view-${view}`;
    document.body.dataset.view = view;
    shownView = view;
    window.scrollTo(0, 0);
  }
  if (view === "cases") {
    casesView(root, run).catch((error) => sayTrouble(root, error));
  } else if (isNew) {
    document.title = `${run.title}: overview`;
    try {
      overviewView(root, run);
    } catch (error) {
      sayTrouble(root, error);
    }
    announce(`Overview of ${run.title}`);
  }
}

function drawNavigation(view) {
  const link = (name, words, hash) => el("a", { href: hash, "aria-current": view === name ? "page" : null }, words);
  document
    .getElementById("views")
    .replaceChildren(
      link("overview", "Overview", "#overview"),
      link(
        "cases",
        ["Cases ", el("span", { class: "count" }, grouped(run.cases))],
        view === "cases" ? hashOf({ view: "cases", case: "" }) : "#cases",
      ),
    );
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

function keptTheme() {
  try {
    return localStorage.getItem("clala-theme") ?? "auto";
  } catch {
    return "auto"; // some browsers keep nothing for pages opened from a file
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = THEMES.includes(theme) ? theme : "auto";
}

function turnTheme() {
  const root = document.documentElement;
  setTheme(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
  try {
    localStorage.setItem("clala-theme", root.dataset.theme);
  } catch {
    // it holds for this window then
  }
  nameTheme();
  announce(`Theme: ${root.dataset.theme}`);
}

function nameTheme() {
  const theme = document.documentElement.dataset.theme;
  const button = document.getElementById("theme");
  button.textContent = THEME_WORDS[theme];
  button.setAttribute("aria-label", `Theme: ${theme}. Switch`);
}
