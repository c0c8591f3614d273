// What the page holds: parts of the run as they are read, where the reader is, and how elements are made.

const FORMAT = 1;
const KEPT_BLOCKS = 40; // of 50 cases: a long walk through 31,255 cases must not fill the memory
const WRITE_AGAIN = "Write the page again: python -m benchmark view RUN --again";

let run = null; // part "run", set once by the shell
const arrived = new Map(); // what a part file handed over and nobody has taken yet
const parts = new Map(); // name -> promise of its value; the order of a Map is the order of use

window.CLALA = { part: (name, value) => arrived.set(name, value) };

/** A promise of a part. Files are scripts because fetch() is refused on file://; each calls CLALA.part once. */
function loadPart(name) {
  const known = parts.get(name);
  if (known) {
    parts.delete(name);
    parts.set(name, known);
    return known;
  }
  const promise = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `page/${name}.js`;
    script.onload = () => {
      script.remove();
      if (arrived.has(name)) resolve(arrived.get(name));
      else reject(new Error(`page/${name}.js was read, but it does not hold the part "${name}": it is damaged or of another format. ${WRITE_AGAIN}`));
      arrived.delete(name);
    };
    script.onerror = () => {
      script.remove();
      reject(new Error(`page/${name}.js could not be read: it is missing, or this page was moved without its folder "page". ${WRITE_AGAIN}`));
    };
    document.head.append(script);
  });
  parts.set(name, promise);
  promise.catch(() => parts.delete(name)); // so that a file put back is found without loading the page anew
  forgetOldBlocks();
  return promise;
}

function forgetOldBlocks() {
  const blocks = [...parts.keys()].filter((name) => name.startsWith("block-"));
  for (const name of blocks.slice(0, Math.max(0, blocks.length - KEPT_BLOCKS))) parts.delete(name);
}

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };

/** The typed array of a column; null stays null. Columns are little-endian, as every machine with a browser is. */
function column(packed) {
  if (!packed) return null;
  const Kind = ARRAYS[packed.type];
  if (!Kind) throw new Error(`A column of type "${packed.type}" was found; this page knows ${Object.keys(ARRAYS).join(", ")}. ${WRITE_AGAIN}`);
  const letters = atob(packed.data);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  return new Kind(bytes.buffer);
}

// ---- where the reader is: all of it is in the hash, so that a link brings another reader to the same place

// the last three: what the overview shows
const FILTERS = ["model", "lesion", "error", "number", "from", "to", "sort", "order", "q", "focus", "hide", "plot", "against", "measure"];
const state = { view: "overview", case: "", ...Object.fromEntries(FILTERS.map((name) => [name, ""])) };
let whenMoved = () => {}; // the shell shows the view

/** The state that a hash says; unknown words are ignored, so that an old link still opens. */
function readHash(hash) {
  const [place, query = ""] = splitOnce(hash.replace(/^#/, ""), "?");
  const said = new URLSearchParams(query);
  const found = { view: "overview", case: "" };
  for (const name of FILTERS) found[name] = said.get(name) ?? "";
  if (place === "cases") found.view = "cases";
  if (place.startsWith("case=")) Object.assign(found, { view: "case", case: unescapeText(place.slice("case=".length)) });
  return found;
}

/** The link to a state: `changes` to where the reader is now, or to a bare state if `fresh`. */
function hashOf(changes, { fresh = false } = {}) {
  const target = { ...(fresh ? {} : state), ...changes };
  const query = new URLSearchParams();
  for (const name of FILTERS) if (target[name]) query.set(name, target[name]);
  const place = target.view === "case" ? `case=${encodeURIComponent(target.case)}` : target.view || "overview";
  return `#${place}${query.size ? `?${query}` : ""}`;
}

/** Moves to another state. `replace` leaves no step for the back button: typing and leafing would bury it. */
function go(changes, { fresh = false, replace = false } = {}) {
  const hash = hashOf(changes, { fresh });
  if (hash === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", hash);
  whenMoved();
}

function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}

function unescapeText(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a link cut short by a mail program
  }
}

// ---- elements: every text becomes a text node, so a script in a report stays text

/** An element. Strings among the children become text; null and false are left out; `onclick` and the like are listeners; `style` is an object. */
function el(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same for a drawing. */
function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g; // they would turn round the words that follow
const FROM_THE_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A name of others (model, case, patient, reason) as it stands among our words: it cannot turn round what is beside it. */
function named(name) {
  const text = String(name ?? "").replace(BIDI_CONTROLS, (mark) => `\u27e8U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
  return FROM_THE_RIGHT.test(text) ? `\u2068${text}\u2069` : text;
}

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";

/** Which control within `root` has the focus, in words that a rebuilt page understands; null where none has. */
function focusWithin(root) {
  const active = document.activeElement;
  if (!active || active === document.body || !root.contains(active)) return null;
  if (active.id) return { id: active.id };
  const owner = active.closest("[id]");
  return { owner: owner.id, tag: active.tagName, at: [...owner.querySelectorAll(FOCUSABLE)].indexOf(active) };
}

/** Rebuilds a part of the page and gives the focus back to the control that had it, or to `fallback` where that is gone. */
function keepFocus(root, rebuild, fallback = "") {
  const held = focusWithin(root);
  rebuild();
  if (!held || root.contains(document.activeElement)) return;
  const like = held.id ? document.getElementById(held.id) : document.getElementById(held.owner)?.querySelectorAll(FOCUSABLE)[held.at];
  if (like && (held.id || like.tagName === held.tag)) like.focus({ preventScroll: true });
  if (!root.contains(document.activeElement)) document.getElementById(fallback)?.focus({ preventScroll: true });
}

/** What a browser keeps for this page, or `otherwise`. */
function kept(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise; // some browsers keep nothing for pages opened from a file
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it holds for this window then
  }
}

/** A number for people: three places, a true minus, and a dash where there is none. */
function written(value, places = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value.toFixed(places).replace("-", "−");
}

/** 31255 as 31,255. */
function grouped(count) {
  return count.toLocaleString("en-US");
}

/** "1 case", "2 cases". */
function counted(count, one, many = `${one}s`) {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}
