// Lines over a number axis, with bands, labelled marks and levels; it draws itself anew when its place changes.

import { attr, h, put, shape } from "./dom.js";

/**
 * A line without a name has no label of its own: its marks say what it is.
 *
 * @typedef {[number, number | null]} Point
 * @typedef {"free" | "teacher" | "draft" | "now" | "other" | "ink"} Hue
 * @typedef {{name: string, kind: Hue, points: Point[], band?: [number, number, number][], dashed?: boolean, dots?: boolean, step?: boolean}} Line
 * @typedef {{label?: string, low?: number, high?: number, ticks?: number[], log?: boolean, format?: (value: number) => string}} Axis
 * @typedef {{x: number, y: number, text?: string, kind: Hue, drop?: boolean}} Mark
 * @typedef {{y: number, name: string, kind: Hue}} Level
 */

const NARROW = 560; // pixels: below, names stand above the chart
const EM = 6.7; // pixels: about the width of a letter of 12 px

/** Round numbers from low to high, about n of them. @param {number} low @param {number} high @param {number} [n] */
export function roundTicks(low, high, n = 5) {
  const rough = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999) ?? 10 * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Powers of ten between two numbers, or of two where those are few. @param {number} low @param {number} high */
export function powerTicks(low, high) {
  const powers = (/** @type {number} */ base) => {
    const ticks = [];
    for (let i = Math.ceil(Math.log(low) / Math.log(base) - 1e-9); base ** i <= high * (1 + 1e-9); i++) ticks.push(Number((base ** i).toPrecision(12)));
    return ticks;
  };
  const tens = powers(10);
  return tens.length > 2 ? tens : powers(2);
}

/**
 * Where labels stand that would like to be at `wanted`: in the same order, at least `gap` apart, within the chart.
 *
 * @param {number[]} wanted
 * @param {number} gap
 * @param {number} low
 * @param {number} high
 */
export function spreadLabels(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const at = [...wanted];
  order.forEach((i, n) => (at[i] = Math.max(at[i], n ? at[order[n - 1]] + gap : low)));
  for (let n = order.length - 1, most = high; n >= 0; n--) {
    at[order[n]] = Math.min(at[order[n]], most);
    most = at[order[n]] - gap;
  }
  return at;
}

/** A path through points, interrupted where there is none. @param {(readonly [number, number] | null)[]} points @param {boolean} [step] */
export function linePath(points, step = false) {
  let pen = "M";
  return points
    .map((point, i) => {
      if (!point) {
        pen = "M";
        return "";
      }
      const [x, y] = point.map((each) => each.toFixed(1));
      const before = points[i - 1];
      const corner = step && pen === "L" && before ? `H${x}` : "";
      const drawn = `${corner}${pen}${x} ${y}`;
      pen = "L";
      return drawn;
    })
    .join("");
}

/** @param {number} value */
const plain = (value) => String(value).replace("-", "−");

/** The axis with what was left out filled in. @param {Axis} axis @param {number[]} values @returns {Required<Omit<Axis, "label">> & {label: string}} */
function whole(axis, values) {
  const known = values.filter(Number.isFinite);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const log = axis.log ?? false;
  let low = axis.low ?? (log ? least : Math.min(0, least));
  let high = axis.high ?? most;
  if (high <= low) high = log ? low * 2 : low + 1;
  const ticks = axis.ticks ?? (log ? powerTicks(low, high) : roundTicks(low, high));
  if (!axis.ticks && !log) {
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : high - low;
    if (axis.low === undefined && ticks[0] - low > step * 1e-6) ticks.unshift(Number((ticks[0] - step).toPrecision(12)));
    if (axis.high === undefined && high - ticks[ticks.length - 1] > step * 1e-6) ticks.push(Number((ticks[ticks.length - 1] + step).toPrecision(12)));
    [low, high] = [Math.min(low, ticks[0]), Math.max(high, ticks[ticks.length - 1])];
  }
  return { label: axis.label ?? "", low, high, ticks, log, format: axis.format ?? plain };
}

/**
 * A chart; `draw` shows lines, and everything is drawn again when the place gets wider or narrower.
 *
 * @param {{label: string, height?: number}} options what is drawn, in words; pixels
 */
export function lineChart({ label, height = 300 }) {
  const legend = h("div.tt-plot-legend");
  const svg = shape("svg", { role: "img", "aria-label": label });
  const node = h("div.tt-plot", {}, legend, svg);
  /** @type {{x?: Axis, y?: Axis, lines: Line[], marks?: Mark[], levels?: Level[]}} */
  let shown = { lines: [] };
  let width = 0;

  function paint() {
    if (!width) return;
    const k = Number(getComputedStyle(node).getPropertyValue("--tt-k")) || 1;
    const { lines, marks = [], levels = [] } = shown;
    const ys = [...lines.flatMap(({ points, band = [] }) => [...points.map(([, y]) => y ?? NaN), ...band.flatMap(([, low, high]) => [low, high])]), ...levels.map(({ y }) => y), ...marks.map(({ y }) => y)];
    const x = whole({ low: Math.min(...lines.flatMap(({ points }) => points.map((point) => point[0]))), ...shown.x }, lines.flatMap(({ points }) => points.map((point) => point[0])));
    const y = whole(shown.y ?? {}, ys);
    const named = [...lines, ...levels].filter(({ name }) => name);
    const longest = Math.max(0, ...named.map(({ name }) => name.length)) * EM * k;
    const direct = width >= NARROW * Math.min(k, 1.3) && longest < width * 0.3;
    const tall = Math.round(Math.min(height * k, Math.max(200 * k, width * 0.6)));
    const left = Math.max(24, ...y.ticks.map((tick) => y.format(tick).length * EM)) * k + 10;
    const [right, top, bottom] = [direct ? longest + 16 : 16, 26 * k, (x.label ? 42 : 24) * k];
    const scale = (/** @type {typeof x} */ axis, /** @type {number} */ from, /** @type {number} */ to) => (/** @type {number} */ value) => {
      const [low, high, at] = axis.log ? [axis.low, axis.high, Math.max(value, axis.low * 1e-3)].map(Math.log) : [axis.low, axis.high, value];
      return from + ((at - low) / (high - low)) * (to - from);
    };
    const across = scale(x, left, width - right);
    const down = scale(y, tall - bottom, top);
    const text = (/** @type {number} */ atX, /** @type {number} */ atY, /** @type {string} */ words, /** @type {Record<string, any>} */ props = {}) => {
      const made = shape("text", { x: atX.toFixed(1), y: atY.toFixed(1), ...props });
      put(made, words);
      return made;
    };
    const drawn = [];
    for (const tick of y.ticks) {
      drawn.push(shape("line", { class: tick === y.low ? "tt-plot-axis" : "tt-plot-grid", x1: left, x2: width - right, y1: down(tick), y2: down(tick) }));
      drawn.push(text(left - 8, down(tick) + 4 * k, y.format(tick), { "text-anchor": "end" }));
    }
    const room = (width - right - left) / Math.max(1, x.ticks.length - 1);
    const every = Math.max(1, Math.ceil((Math.max(...x.ticks.map((tick) => x.format(tick).length), 1) * EM * k + 10) / room));
    x.ticks.forEach((tick, i) => i % every || drawn.push(text(across(tick), tall - bottom + 17 * k, x.format(tick), { "text-anchor": "middle" })));
    drawn.push(text(0, 12 * k, y.label), text((left + width - right) / 2, tall - 5 * k, x.label, { "text-anchor": "middle" }));
    for (const { y: at, kind } of levels) drawn.push(shape("line", { class: "tt-plot-level", "data-kind": kind, x1: left, x2: width - right, y1: down(at), y2: down(at) }));
    for (const { kind, band } of lines) {
      if (!band?.length) continue;
      const edge = [...band.map(([at, , high]) => /** @type {const} */ ([across(at), down(high)])), ...band.map(([at, low]) => /** @type {const} */ ([across(at), down(low)])).reverse()];
      drawn.push(shape("path", { class: "tt-plot-band", "data-kind": kind, d: `${linePath(edge)}Z` }));
    }
    for (const { kind, points, dashed, dots, step } of lines) {
      const at = points.map(([px, py]) => (py === null ? null : /** @type {const} */ ([across(px), down(py)])));
      drawn.push(shape("path", { class: "tt-plot-line", "data-kind": kind, "data-dashed": dashed, d: linePath(at, step) }));
      if (dots) for (const each of at) if (each) drawn.push(shape("circle", { class: "tt-plot-dot", "data-kind": kind, cx: each[0], cy: each[1], r: 3 * k }));
    }
    for (const { x: px, y: py, text: words, kind, drop } of marks) {
      const [cx, cy] = [across(px), down(py)];
      if (drop) drawn.push(shape("line", { class: "tt-plot-drop", "data-kind": kind, x1: cx, x2: cx, y1: cy, y2: tall - bottom }));
      drawn.push(shape("circle", { class: "tt-plot-mark", "data-kind": kind, cx, cy, r: 5 * k }));
      const late = cx > (left + width - right) / 2;
      if (words) drawn.push(text(cx + (late ? -10 : 10) * k, Math.max(cy - 10 * k, top + 4), words, { class: "tt-plot-name", "data-kind": kind, "text-anchor": late ? "end" : "start" }));
    }
    if (direct) {
      const ends = named.map((each) => down("points" in each ? ([...each.points].reverse().find((point) => point[1] !== null)?.[1] ?? y.low) : each.y));
      spreadLabels(ends.map((end) => Math.max(top, Math.min(tall - bottom, end))), 15 * k, top, tall - bottom).forEach((at, i) => drawn.push(text(width - right + 8, at + 4 * k, named[i].name, { class: "tt-plot-name", "data-kind": named[i].kind })));
    }
    legend.replaceChildren(...(direct ? [] : named.map((each) => h("span", { "data-kind": each.kind, "data-dashed": "points" in each ? each.dashed : true }, h("i"), each.name))));
    attr(svg, "viewBox", `0 0 ${width} ${tall}`);
    attr(svg, "height", tall);
    svg.replaceChildren(...drawn);
  }

  // Not at once: a chart that grows within its own observer's call would be reported as a loop.
  new ResizeObserver(([entry]) => {
    const wide = Math.round(entry.contentRect.width);
    if (wide !== width) requestAnimationFrame(() => ((width = wide), paint()));
  }).observe(node);

  return {
    node,
    /** @param {typeof shown} next */
    draw(next) {
      shown = next;
      paint();
    },
    /** Say anew what is drawn. @param {string} words */
    say: (words) => attr(svg, "aria-label", words),
  };
}
