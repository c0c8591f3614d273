// Which cases the filters leave, and in which order: by the bits of their lesions, so that 31,255 cases of ten models take no time.

const KINDS = {
  hit: { sign: "✓", words: "hit", of: "hit" },
  missed: { sign: "−", words: "missed", of: "missed" },
  invented: { sign: "+", words: "invented", of: "invented" },
  "wrong side": { sign: "⇄", words: "wrong side", of: "wrongSide" },
};
const ALL_LESIONS = 0xffff;
const ERROR_MASKS = {
  hit: ["hit"],
  missed: ["missed"],
  invented: ["invented"],
  "wrong-side": ["wrongSide"],
  any: ["missed", "invented", "wrongSide"],
};
const FAILED = 1;
const EMPTY = 2;
const UNSCORED = 3; // its lesions were not compared: the reference is empty, or nobody could read them
const EMPTY_UNSCORED = 4;
let bitCounts = null;

function isEmptyState(found) {
  return found === EMPTY || found === EMPTY_UNSCORED;
}

function isUnscoredState(found) {
  return found === UNSCORED || found === EMPTY_UNSCORED;
}

/** How many bits are set in each of 65,536 masks: counting lesions becomes one look. */
function bitTable() {
  if (!bitCounts) {
    bitCounts = new Uint8Array(65536);
    for (let value = 1; value < 65536; value += 1) bitCounts[value] = bitCounts[value >> 1] + (value & 1);
  }
  return bitCounts;
}

/** The models that a filter is about: the chosen one, or all that wrote reports. */
function chosenModels(run, data, label) {
  const all = run.models.map((_, place) => place).filter((place) => data.models[place]);
  const one = run.models.findIndex((model) => model.label === label);
  return one < 0 ? all : all.filter((place) => place === one);
}

/** The places of the cases that the filters leave, in the order asked for, and the number that each is sorted by. */
function findCases(run, data, filter, sorted, ranged) {
  const models = chosenModels(run, data, filter.model);
  const lesion = run.lesions.indexOf(filter.lesion);
  const wanted = lesion < 0 ? ALL_LESIONS : 1 << lesion;
  const keeps = whichCases(run, data, models, filter.error, wanted, lesion >= 0);
  keepAskedFor(keeps, run, data, models, filter, ranged);
  const key = sorted ? meanOver(run.cases, models, sorted) : filter.sort === "errors" ? errorCounts(run.cases, data, models, wanted) : null;
  const order = [];
  for (let place = 0; place < run.cases; place += 1) if (keeps[place]) order.push(place);
  return { order: key ? sortBy(order, key, filter.order === "up" ? 1 : -1) : order, key, sort: key ? filter.sort : "" };
}

/** By what has nothing to do with lesions: the search, and the range of a number. */
function keepAskedFor(keeps, run, data, models, filter, ranged) {
  const query = filter.q.trim().toLowerCase();
  if (query) for (let place = 0; place < run.cases; place += 1) if (keeps[place] && !data.searched[place].includes(query)) keeps[place] = 0;
  const number = run.numbers.find((one) => one.key === filter.number);
  if (ranged) keepInRange(keeps, models, ranged, filter, numberPlaces(number));
}

function whichCases(run, data, models, error, wanted, isOneLesion) {
  const keeps = new Uint8Array(run.cases);
  if (error === "right") {
    keeps.fill(models.length ? 1 : 0);
    for (const place of models) keepWithout(keeps, data.models[place], wanted);
  } else if (STATES[error]) {
    for (const place of models) data.models[place].state.forEach((found, at) => STATES[error](found) && (keeps[at] = 1));
  } else if (ERROR_MASKS[error] || isOneLesion) {
    // a lesion without an error kind: the cases in which the reference or a chosen model affirms it
    for (const place of models) keepWith(keeps, data.models[place], ERROR_MASKS[error] ?? ["hit", "missed", "invented", "wrongSide"], wanted);
    if (!ERROR_MASKS[error] && data.reference) data.reference.forEach((mask, at) => mask & wanted && (keeps[at] = 1));
  } else {
    keeps.fill(1);
  }
  return keeps;
}

function keepWith(keeps, model, kinds, wanted) {
  for (const kind of kinds) {
    const masks = model[kind];
    if (masks) for (let at = 0; at < keeps.length; at += 1) if (masks[at] & wanted) keeps[at] = 1;
  }
}

/** "All right" is said of reports that were scored; with several models, of all of them. */
function keepWithout(keeps, model, wanted) {
  for (let at = 0; at < keeps.length; at += 1) {
    const isScored = model.missed !== null && model.state[at] !== FAILED && !isUnscoredState(model.state[at]);
    if (!isScored || (model.missed[at] | model.invented[at] | model.wrongSide[at]) & wanted) keeps[at] = 0;
  }
}

/** A number lies in a range if what is shown of it does: 0.3998 stands there as 0.400. Bounds that are no numbers bound nothing. */
function keepInRange(keeps, models, values, filter, places) {
  const bound = (typed, none) => (typed === "" || Number.isNaN(Number(typed)) ? none : Number(typed));
  const slack = (typed) => ((typed.split(".")[1] ?? "").length > places ? SINGLE_STEP : 0.5 * 10 ** -places + SINGLE_STEP);
  const from = bound(filter.from, -Infinity) - slack(filter.from);
  const to = bound(filter.to, Infinity) + slack(filter.to);
  for (let at = 0; at < keeps.length; at += 1) {
    if (keeps[at] && !models.some((model) => values[model] && values[model][at] >= from && values[model][at] <= to)) keeps[at] = 0;
  }
}

const SINGLE_STEP = 1e-6; // numbers are kept in single precision
const STATES = { failed: (found) => found === FAILED, empty: isEmptyState, unscored: isUnscoredState };

/** A case's number: of the chosen model, or the mean of the models that have one. */
function meanOver(count, models, values) {
  const sums = new Float64Array(count);
  const found = new Uint8Array(count);
  for (const model of models) {
    const column = values[model];
    if (!column) continue;
    for (let at = 0; at < count; at += 1) {
      if (Number.isNaN(column[at])) continue;
      sums[at] += column[at];
      found[at] += 1;
    }
  }
  return sums.map((sum, at) => (found[at] ? sum / found[at] : NaN));
}

function errorCounts(count, data, models, wanted) {
  const key = new Float64Array(count);
  const bits = bitTable();
  for (const place of models) {
    const { missed, invented, wrongSide } = data.models[place];
    if (!missed) continue;
    for (let at = 0; at < count; at += 1) key[at] += bits[missed[at] & wanted] + bits[invented[at] & wanted] + bits[wrongSide[at] & wanted];
  }
  return key;
}

const PLACES = 2 ** 21; // 32 bits of a number and 21 of a place are the 53 that a double holds

/**
 * Cases without the number come last in either direction; equals keep the run's order.
 * Number and place are packed into one double each, because doubles are sorted without a call per comparison: 31,255 cases in a few ms.
 */
function sortBy(order, key, direction) {
  const known = order.filter((at) => !Number.isNaN(key[at]));
  const bits = new Uint32Array(Float32Array.from(known, (at) => key[at]).buffer);
  const packed = Float64Array.from(known, (at, rank) => {
    const rising = bits[rank] & 0x80000000 ? ~bits[rank] >>> 0 : bits[rank] + 0x80000000; // the bits of a float, in the order of the floats
    return (direction > 0 ? rising : 0xffffffff - rising) * PLACES + at;
  });
  packed.sort();
  return [...Array.from(packed, (one) => one % PLACES), ...order.filter((at) => Number.isNaN(key[at]))];
}

/** How many lesions of each kind the chosen models have in a case, and how many of the models failed or wrote nothing. */
function countsOf(data, models, place, wanted) {
  const counts = { hit: 0, missed: 0, invented: 0, "wrong side": 0, failed: 0, empty: 0, unscored: 0 };
  for (const model of models) {
    const columns = data.models[model];
    counts.failed += columns.state[place] === FAILED;
    counts.empty += isEmptyState(columns.state[place]);
    counts.unscored += isUnscoredState(columns.state[place]);
    for (const [kind, { of }] of Object.entries(KINDS)) if (columns[of]) counts[kind] += bitTable()[columns[of][place] & wanted];
  }
  return counts;
}
