// A number line with a handle: the guess, what is ruled out, and in the end the answer with the gap between.

import { attr, cssVar, h, put } from "./dom.js";

const STOPS_A_DECADE = 24;

/**
 * @typedef {object} Line
 * @property {number} low
 * @property {number} high
 * @property {boolean} log equal steps along the line are equal factors
 * @property {number | null} step of the handle
 * @property {string} unit in the plural
 * @property {string[]} ends a word for each end
 */

/** Where a value lies on a line, 0 to 1. @param {Line} line @param {number} value */
export function placeOn({ low, high, log }, value) {
  const part = log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.min(1, Math.max(0, part));
}

/** How many steps the handle has. @param {Line} line */
export function stopsOf({ low, high, log, step }) {
  return Math.round(log || !step ? STOPS_A_DECADE * Math.log10(high / low) : (high - low) / step);
}

/** The value of one of the handle's stops. @param {Line} line @param {number} stop */
export function valueAt(line, stop) {
  const { low, high, log, step } = line;
  if (!log) return Number(Math.min(high, low + stop * Number(step)).toPrecision(12));
  const value = Number((low * (high / low) ** (stop / stopsOf(line))).toPrecision(2));
  return step ? Math.max(low, Math.round(value / step) * step) : value;
}

/** A number with its unit. @param {Line} line @param {number} value */
export function sayValue({ unit, step }, value) {
  const size = Math.abs(value);
  const whole = (step ?? 0) >= 1 || size >= 1000;
  // Halves to even, as Python's sentences round them.
  const rounding = { maximumFractionDigits: 0, roundingMode: "halfEven" };
  const text = whole ? value.toLocaleString("en", rounding) : `${Number(value.toPrecision(size >= 100 ? 4 : 3))}`;
  const word = text === "1" ? unit.replace(/s$/, "") : unit;
  return text.replace("-", "−") + (unit && unit !== "%" ? " " : "") + word;
}

/**
 * A number as people type it: "0.25", "0,25", "10,213", "1 000", "12 %"; NaN if it is none.
 *
 * @param {string} text
 * @param {string} [unit]
 */
export function readNumber(text, unit = "") {
  let bare = text.trim().replace(/[\s\u00a0\u202f_']/g, "").replace("−", "-").toLowerCase();
  for (const word of [unit.toLowerCase(), unit.toLowerCase().replace(/s$/, ""), "%"]) {
    if (word && bare.endsWith(word.replace(/\s/g, ""))) bare = bare.slice(0, -word.replace(/\s/g, "").length);
  }
  if (/^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/.test(bare)) bare = bare.replaceAll(",", "");
  else if (/^[+-]?\d*,\d+$/.test(bare)) bare = bare.replace(",", ".");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(bare) ? Number(bare) : NaN;
}

/** Round values to write under a line. @param {Line} line @returns {number[]} */
export function ticksOf(line) {
  const { low, high, log } = line;
  const ticks = [];
  if (log) {
    const decades = Math.log10(high / low);
    for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power++) {
      for (const factor of decades < 2 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
    }
  } else {
    const rough = (high - low) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const size = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999) ?? rough;
    for (let i = Math.ceil(low / size - 1e-9); i * size <= high + size * 1e-9; i++) ticks.push(i * size);
  }
  const inside = ticks.filter((tick) => tick > low && tick < high);
  const clear = inside.filter((tick) => Math.abs(placeOn(line, tick) - 0.5) < 0.41);
  return [low, ...clear, high].map((tick) => Number(tick.toPrecision(12)));
}

/** @param {number} value */
function shortNumber(value) {
  const power = Math.round(Math.log10(Math.abs(value)));
  if (power < 5 || value !== 10 ** power) return value.toLocaleString("en", { maximumFractionDigits: 6 }).replace("-", "−");
  return `10${[...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("")}`;
}

/**
 * @param {Line} line
 * @param {{labelledby: string, changed: () => void}} options
 */
export function numberLine(line, { labelledby, changed }) {
  const stops = stopsOf(line);
  /** @type {number | null} */
  let guess = null;

  const handle = h("input.tt-line-handle", { type: "range", min: 0, max: stops, step: 1, "aria-labelledby": labelledby });
  const said = h("output.tt-line-said", { "aria-hidden": "true" });
  const found = h("div.tt-line-found", { hidden: true }, h("b", {}));
  const gap = h("i.tt-line-gap", { hidden: true });
  const out = [h("i.tt-line-out", { hidden: true }), h("i.tt-line-out", { hidden: true })];
  const tried = h("div.tt-line-tried");
  const ticks = ticksOf(line).map((tick, i, all) => {
    const [first, last] = [i === 0, i === all.length - 1];
    const words = [last && line.ends[1], shortNumber(tick), first && line.ends[0]].filter(Boolean).join(" ");
    const x = placeOn(line, tick);
    const tight = !first && !last && Math.min(x, 1 - x) < 0.18;
    return h("span.tt-line-tick", { "--tt-x": x, "data-end": first || last, "data-tight": tight }, words);
  });
  const node = h("div.tt-line", {}, ...out, gap, tried, found, said, handle, ...ticks);

  /** @param {number | null} value @param {boolean} [moved] whether the handle itself moved */
  function set(value, moved = false) {
    guess = value;
    const x = value === null ? 0.5 : placeOn(line, value);
    if (!moved) handle.value = String(Math.round(x * stops));
    attr(node, "data-unset", value === null);
    cssVar(node, "--tt-guess", x);
    const words = value === null ? "no guess yet" : sayValue(line, value);
    put(said, value === null ? "drag the handle" : words);
    attr(handle, "aria-valuetext", words);
  }

  handle.addEventListener("input", () => {
    set(valueAt(line, Number(handle.value)), true);
    changed();
  });
  // A click where the handle already stands is a guess too, and gives no input event.
  handle.addEventListener("pointerup", () => guess === null && (set(valueAt(line, Number(handle.value)), true), changed()));
  handle.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!way || handle.disabled) return;
    event.preventDefault();
    const from = Number(handle.value);
    let stop = guess === null ? from : from + way;
    // Where neighbouring stops are rounded to one number, a key press still moves on to the next.
    while (guess !== null && stop > 0 && stop < stops && valueAt(line, stop) === guess) stop += way;
    handle.value = String(Math.min(stops, Math.max(0, stop)));
    set(valueAt(line, Number(handle.value)), true);
    changed();
  });

  set(null);
  return {
    node,
    handle,
    set,
    get value() {
      return guess;
    },
    /**
     * Show what is known: tries that were too low or too high rule out their side, the answer ends it.
     *
     * @param {{answer: number, low: boolean}[]} wrong
     * @param {number | null} answer
     */
    show(wrong, answer) {
      const open = answer === null;
      const below = wrong.filter((each) => each.low).map((each) => placeOn(line, each.answer));
      const above = wrong.filter((each) => !each.low).map((each) => placeOn(line, each.answer));
      const bounds = [Math.max(0, ...below), Math.min(1, ...above)];
      [[0, bounds[0]], [bounds[1], 1]].forEach(([from, to], i) => {
        out[i].hidden = !open || to <= from;
        cssVar(out[i], "--tt-from", from);
        cssVar(out[i], "--tt-to", to);
      });
      tried.replaceChildren(...wrong.map((each) => h("i", { "--tt-x": placeOn(line, each.answer) })));
      found.hidden = gap.hidden = open;
      handle.disabled = !open;
      if (open) return;
      const [x, y] = [placeOn(line, answer), placeOn(line, guess ?? answer)];
      cssVar(found, "--tt-x", x);
      put(found.firstChild, sayValue(line, answer));
      cssVar(gap, "--tt-from", Math.min(x, y));
      cssVar(gap, "--tt-to", Math.max(x, y));
      attr(gap, "data-back", x < y);
      // Beside the handle, away from the answer, where there is room for the words.
      attr(said, "data-lean", x <= y && y < 0.7 ? "right" : x > y && y > 0.3 ? "left" : null);
    },
  };
}
