// Keys: one table says what each does, and the help dialog prints the same table.

const onCase = (act) => () => (state.view === "case" && viewer ? act(viewer) : false);
const KEYS = [
  { keys: ["j", "ArrowRight"], shown: ["j", "→"], words: "Next case", act: () => stepCase(1) },
  { keys: ["k", "ArrowLeft"], shown: ["k", "←"], words: "Previous case", act: () => stepCase(-1) },
  { keys: [], shown: ["↑", "↓"], words: "Walk in the list of cases, when it has the focus" },
  { keys: ["Enter"], shown: ["Enter"], words: "Open the case marked in the list", act: openMarked },
  { keys: ["/"], shown: ["/"], words: "Search", act: () => focusSearch() },
  {
    keys: [..."123456789"],
    shown: ["1", "…", "9"],
    words: "Put a model in focus: the reference shows what it missed",
    act: (key) => (state.view === "case" ? focusModel(Number(key) - 1) : false),
  },
  { keys: ["l"], shown: ["l"], words: "Hide or show the list beside a case", act: () => toggleList() },
  { keys: ["b"], shown: ["b"], words: "Region boxes on or off", act: onCase(toggleBoxes) },
  { keys: ["i"], shown: ["i"], words: "Invert the radiograph", act: onCase(toggleInvert) },
  { keys: ["+", "="], shown: ["+"], words: "Zoom in", act: onCase((made) => zoomStage(made, ZOOM_STEP)) },
  { keys: ["-", "_"], shown: ["−"], words: "Zoom out", act: onCase((made) => zoomStage(made, 1 / ZOOM_STEP)) },
  { keys: ["0"], shown: ["0"], words: "Fit the radiograph", act: onCase(fitStage) },
  { keys: ["w"], shown: ["w"], words: "Reset window and level", act: onCase(resetWindow) },
  { keys: [], shown: ["← ↑ → ↓"], words: "Move the radiograph, when it has the focus" },
  { keys: ["c"], shown: ["c"], words: "Copy a link to what is shown", act: () => copyLink() },
  { keys: ["?"], shown: ["?"], words: "This help", act: () => openHelp() },
  { keys: ["Escape"], shown: ["Esc"], words: "Close the help; from a case back to the list", act: stepBack },
];
let helpDialog = null;
let hasLetters = true; // keys of a single character, which some who speak to their machine must be able to switch off (WCAG 2.2, 2.1.4)

/** Each `act` gives false where there is nothing that it could do: the key is the browser's then. */
function listenToKeys() {
  const acts = new Map(KEYS.flatMap(({ keys, act }) => keys.map((key) => [key, act])));
  hasLetters = kept("clala-keys", "on") !== "off";
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return; // it has all keys, and Escape closes it
    const act = acts.get(event.key);
    if (!act || isTaken(event) || (event.key.length === 1 && !hasLetters)) return;
    if (act(event.key) !== false) event.preventDefault();
  });
}

/** Where a key belongs to the control that has the focus: letters to a field, arrows to a slider, Enter to a button. */
function isTaken(event) {
  const target = event.target;
  if (target.matches("input[type=search], input[type=number], input[type=text]")) return event.key !== "Escape";
  if (target.matches("select, input[type=range]")) return event.key !== "Escape" && (target.matches("select") || event.key.startsWith("Arrow"));
  if (event.key.startsWith("Arrow")) return Boolean(target.closest("[role=tablist], [role=grid]")) || scrollsAcross(target);
  if (event.key === "Enter") return target !== document.body && target.id !== "main";
  return false;
}

/** Whether an arrow scrolls something sideways that holds the focus. */
function scrollsAcross(target) {
  for (let part = target; part && part !== document.body; part = part.parentElement)
    if (part.scrollWidth > part.clientWidth && /auto|scroll/.test(getComputedStyle(part).overflowX)) return true;
  return false;
}

function openMarked() {
  if (state.view !== "cases" || !bench) return false;
  return openCase(bench.active);
}

function focusSearch(tries = 40) {
  if (state.view === "overview") go({ view: "cases" }, { fresh: true });
  if (bench?.element.dataset.list === "away") toggleList();
  const search = document.getElementById("filter-q");
  if (!search) return void (tries && setTimeout(focusSearch, 50, tries - 1)); // the cases are being read
  if (search.offsetParent === null) backToList(); // a small window shows the case alone
  search.focus();
  search.select();
}

function stepBack() {
  if (document.activeElement?.matches(".filters *")) return void document.getElementById("list").focus();
  return state.view === "case" ? backToList() : false;
}

/** The dialog gives the focus back by itself when it closes. */
function openHelp() {
  if (!helpDialog) {
    const rows = KEYS.map(({ shown, words }) =>
      el(
        "tr",
        {},
        el(
          "td",
          {},
          shown.map((key) => (key === "…" ? " … " : [el("kbd", {}, key), " "])),
        ),
        el("td", {}, words),
      ),
    );
    helpDialog = el(
      "dialog",
      { class: "help", "aria-labelledby": "help-title" },
      el("h2", { id: "help-title" }, "Keys"),
      el("table", {}, el("tbody", {}, rows)),
      el(
        "p",
        { class: "soft small" },
        "On the radiograph: the wheel zooms, a drag moves, a drag with the right button or Shift sets window (across) and level (along), a double click fits.",
      ),
      el(
        "p",
        {},
        el(
          "label",
          {},
          el("input", { type: "checkbox", id: "letter-keys", checked: hasLetters, onchange: (event) => switchLetters(event.target.checked) }),
          "Keys of a single letter, figure or sign are on",
        ),
      ),
      el("form", { method: "dialog" }, el("button", { autofocus: true }, "Close")),
    );
    document.body.append(helpDialog);
  }
  helpDialog.showModal();
}

function switchLetters(isOn) {
  hasLetters = isOn;
  keep("clala-keys", isOn ? "on" : "off");
  announce(isOn ? "Keys of a single character are on" : "Keys of a single character are off");
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    announce("Link copied");
    flashCopied("Copied");
  } catch {
    const field = el("input", { type: "text", readonly: true, value: location.href, "aria-label": "Link" });
    const dialog = el(
      "dialog",
      { class: "help", "aria-label": "Link to what is shown", onclose: () => dialog.remove() },
      el("p", {}, "The browser does not let this page write to the clipboard. The link:"),
      field,
      el("form", { method: "dialog" }, el("button", {}, "Close")),
    );
    document.body.append(dialog);
    dialog.showModal();
    field.select();
  }
}

function flashCopied(words) {
  const button = document.getElementById("copy-link");
  if (!button) return;
  button.textContent = words;
  setTimeout(() => (button.textContent = "Copy link"), 1500);
}
