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
