// Forest plots: numbers with their intervals on one axis, drawn as SVG. What a number means is not known here; overview.js says so.

const PLOT_LINE_PX = 30;
const STACKED_LINE_PX = 42;
const AXIS_PX = 30;
const STACKED_BELOW_PX = 560; // narrower plots write a name above its line, not beside it
const LETTER_PX = 7.1; // of the plot's 13 px type, on the wide side
let plotsDrawn = 0; // so that each has ids of its own

/** A rounded number with a minus as wide as the plus; never a negative zero. */
function writtenNumber(value, digits, isSigned = false) {
  if (value === null || value === undefined) return "no value";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return value < 0 ? `\u2212${text}` : isSigned ? `+${text}` : text;
}

function writtenInterval(low, high, digits, isSigned = false) {
  if (low === null || high === null || low === undefined || high === undefined) return "";
  return `[${writtenNumber(low, digits, isSigned)}, ${writtenNumber(high, digits, isSigned)}]`;
}

/** Digits that tell such values apart without feigning more: none for counts, two for scales of points, three for shares. */
function digitsOf(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const most = Math.max(0, ...known.map(Math.abs));
  if (most > 1 && known.every(Number.isInteger)) return 0;
  return most > 2 ? 2 : 3;
}

/** 1, 2 or 5 times a power of ten: the smallest step that needs at most `count` of them. */
function tickStep(span, count) {
  const power = 10 ** Math.floor(Math.log10(span / count));
  return power * [1, 2, 5, 10].find((times) => times * power * count >= span * (1 - 1e-9));
}

/**
 * An axis that holds all values: {low, high, ticks, digits, left, right}, the last two in px.
 * It begins at zero where the values come near it, so that a share is seen as one.
 */
function axisOf(values, left, right, holdsZero = false) {
  const known = values.filter((value) => value !== null && value !== undefined);
  let low = Math.min(...known, holdsZero ? 0 : Infinity);
  let high = Math.max(...known, holdsZero ? 0 : -Infinity);
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  if (low > 0 && low < 0.4 * high) low = 0;
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 10, high + Math.abs(high) / 10];
  const step = tickStep(high - low, Math.max(2, Math.min(8, Math.floor((right - left) / 55))));
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let at = first; at <= last; at += 1) ticks.push(Number((at * step).toFixed(digits)));
  return { low: ticks[0], high: ticks[ticks.length - 1], ticks, digits, left, right };
}

/** Where a value lies on the axis, in px. */
function placeOn(axis, value) {
  return axis.left + ((value - axis.low) / (axis.high - axis.low)) * (axis.right - axis.left);
}

/** A name that fits into `px`, cut with an ellipsis where it does not. */
function fitted(text, px) {
  const most = Math.max(4, Math.floor(px / LETTER_PX));
  return text.length <= most ? text : `${text.slice(0, most - 1)}\u2026`;
}

/**
 * The plot.
 *
 * rows       {label, value, low, high, text, words, look}, in order from the top: text stands at the right, words after it; look: "", "first", "open"
 * asked      {title, description, width, values, isSigned, reference, ends}: width in px; values: what the axis must hold beside the rows;
 *            reference: null or where the dashed line stands; ends: what the two ends of the axis mean, or null
 */
function forestPlot(rows, asked) {
  const isStacked = asked.width < STACKED_BELOW_PX;
  const labelPx = isStacked ? 0 : Math.min(0.28 * asked.width, 16 + LETTER_PX * Math.max(...rows.map((row) => row.label.length)));
  const textPx = isStacked ? 0 : 18 + 6.9 * Math.max(...rows.map((row) => row.text.length + (row.words ? row.words.length + 2 : 0)));
  const values = [...rows.flatMap((row) => [row.value, row.low, row.high]), ...(asked.values || [])];
  const axis = axisOf(values, labelPx + (isStacked ? 14 : 12), asked.width - textPx - (isStacked ? 14 : 12), asked.isSigned);
  const rowPx = isStacked ? STACKED_LINE_PX : PLOT_LINE_PX;
  const top = asked.ends ? 24 : 8;
  const bottom = top + rows.length * rowPx + 4;
  plotsDrawn += 1;
  const ids = [`plot-title-${plotsDrawn}`, `plot-words-${plotsDrawn}`];
  const plot = svg("svg", {
    class: "forest",
    viewBox: `0 0 ${asked.width} ${bottom + AXIS_PX}`,
    width: asked.width,
    height: bottom + AXIS_PX,
    role: "img",
    "aria-labelledby": ids[0],
    "aria-describedby": ids[1],
  });
  plot.append(svg("title", { id: ids[0] }, asked.title), svg("desc", { id: ids[1] }, asked.description));
  for (const tick of axis.ticks) {
    const x = placeOn(axis, tick);
    plot.append(svg("line", { class: asked.isSigned && tick === 0 ? "zero" : "tick", x1: x, x2: x, y1: top, y2: bottom }));
    plot.append(svg("text", { class: "soft middle", x, y: bottom + 18 }, writtenNumber(tick, axis.digits, asked.isSigned)));
  }
  plot.append(svg("line", { class: "axis", x1: axis.left, x2: axis.right, y1: bottom, y2: bottom }));
  if (asked.ends) {
    plot.append(svg("text", { class: "soft end", x: placeOn(axis, 0) - 10, y: 13 }, `\u2190 ${asked.ends[0]}`));
    plot.append(svg("text", { class: "soft", x: placeOn(axis, 0) + 10, y: 13 }, `${asked.ends[1]} \u2192`));
  }
  if (asked.reference !== null && asked.reference !== undefined) {
    const x = placeOn(axis, asked.reference);
    // where figures stand above their line, it runs only beside the marks
    const parts = isStacked ? rows.map((_, place) => top + place * rowPx).map((y) => [y + 20, y + 38]) : [[top, bottom]];
    for (const [y1, y2] of parts) plot.append(svg("line", { class: "reference", x1: x, x2: x, y1, y2 }));
  }
  rows.forEach((row, place) => plot.append(forestRow(row, axis, top + place * rowPx, { isStacked, labelPx, width: asked.width })));
  return plot;
}

/** One model: its name, its interval with the value on it, and both in figures. */
function forestRow(row, axis, y, { isStacked, labelPx, width }) {
  const middle = y + (isStacked ? 29 : PLOT_LINE_PX / 2);
  const group = svg("g", { class: `model ${row.look}`.trim() }, svg("title", {}, [row.label, row.text, row.words].filter(Boolean).join("  ")));
  const figures = [svg("tspan", {}, row.text)];
  if (row.words) figures.push(svg("tspan", { class: "words", dx: 8 }, row.words));
  if (isStacked) {
    group.append(svg("text", { class: "name", x: 0, y: y + 15 }, fitted(row.label, width - LETTER_PX * (row.text.length + 3))));
    group.append(svg("text", { class: "figures end", x: width, y: y + 15 }, svg("tspan", {}, row.text)));
    if (row.words) group.append(svg("text", { class: "figures words end", x: width, y: y + 29 }, row.words));
  } else {
    group.append(svg("text", { class: "name end", x: labelPx, y: middle + 4.5 }, fitted(row.label, labelPx)));
    group.append(svg("text", { class: "figures", x: axis.right + 20, y: middle + 4.5 }, ...figures));
  }
  if (row.value === null || row.value === undefined) return group;
  if (row.low !== null && row.high !== null) {
    const [left, right] = [placeOn(axis, row.low), placeOn(axis, row.high)];
    group.append(svg("line", { class: "interval", x1: left, x2: right, y1: middle, y2: middle }));
    for (const x of [left, right]) group.append(svg("line", { class: "interval", x1: x, x2: x, y1: middle - 4, y2: middle + 4 }));
  }
  group.append(svg("circle", { class: "mark", cx: placeOn(axis, row.value), cy: middle, r: 4.5 }));
  return group;
}
