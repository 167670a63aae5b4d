// The scrubber that is the run: a column a token, its surprise as bar, its entropy as tick.

import { attr, cssVar, h, shape } from "./dom.js";
import { clamp } from "./format.js";

/** @typedef {import("./trace.js").Run} Run */

const GAP = 0.08; // of a column, on either side of its bar

/** Bits at the upper edge: in steps, so that it rests while a run grows. @param {number[]} bits */
export function waveTop(bits) {
  return Math.ceil(Math.max(1, ...bits) / 4) * 4;
}

/**
 * Outlines of bars and ticks in units of columns and bits, as SVG paths.
 *
 * @param {number[]} surprise
 * @param {number[]} entropy
 * @param {number} top
 */
export function wavePaths(surprise, entropy, top) {
  const bars = surprise.map((bits, i) => `M${i + GAP} ${top}v${-bits}h${1 - 2 * GAP}v${bits}z`);
  const ticks = entropy.map((bits, i) => `M${i} ${top - bits}h1`);
  return { bars: bars.join(""), ticks: ticks.join("") };
}

/**
 * @param {object} options
 * @param {(step: number) => void} options.seek
 * @param {(held: boolean) => void} options.hold whether a finger or the mouse holds it
 */
export function scrubberView({ seek, hold }) {
  // Drawn twice, as written and as not yet written: a step only moves the edge between the two.
  const layers = ["after", "before"].map((name) => {
    const [bars, ticks] = [shape("path", {}), shape("path", { class: "tt-wave-ticks" })];
    return shape("svg", { class: `tt-wave-${name}`, preserveAspectRatio: "none", "aria-hidden": "true" }, bars, ticks);
  });
  const forks = h("div");
  const now = h("i.tt-wave-now");
  const listeners = { pointerdown: grip, pointermove: follow, lostpointercapture: () => hold(false) };
  const slider = { role: "slider", tabindex: 0, "aria-label": "Token", "aria-valuemin": 0 };
  const node = h("div.tt-wave", { ...slider, ...listeners }, ...layers, now, forks);
  /** @type {Run | null} */
  let run = null;
  let length = 0;
  let columns = 0;
  let top = 1;

  /** @param {PointerEvent} event */
  function grip(event) {
    if (event.button || !length) return;
    node.setPointerCapture(event.pointerId);
    hold(true);
    follow(event);
  }

  /** @param {PointerEvent} event */
  function follow(event) {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const { left, width } = node.getBoundingClientRect();
    seek(clamp(Math.floor(((event.clientX - left) / width) * columns), 0, length - 1));
  }

  /** @param {Run} next */
  function build(next) {
    const { entropy, forced } = next.columns;
    const surprise = Array.from(entropy, (_, i) => next.surprise(i));
    top = waveTop([...surprise, ...entropy]);
    const paths = wavePaths(surprise, entropy, top);
    for (const layer of layers) {
      attr(layer, "viewBox", `0 0 ${columns} ${top}`);
      attr(layer.children[0], "d", paths.bars);
      attr(layer.children[1], "d", paths.ticks);
    }
    const mark = (/** @type {number} */ i) => h("i.tt-wave-fork", { style: `left:${(i / columns) * 100}%` });
    forks.replaceChildren(...forced.flatMap((is, i) => (is ? mark(i) : [])));
    attr(node, "data-dense", columns > 100);
    cssVar(node, "--column", `${100 / columns}%`);
  }

  return {
    node,
    /** @param {Run} next @param {number} step @param {number} total columns to make room for */
    show(next, step, total) {
      const wanted = Math.max(total, next.length);
      if (next !== run || next.length !== length || wanted !== columns) {
        [run, length, columns] = [next, next.length, wanted];
        build(next);
      }
      now.hidden = step < 0;
      cssVar(node, "--at", step + 1);
      if (step >= 0) cssVar(now, "--size", `${(next.surprise(step) / top) * 100}%`);
      attr(node, "aria-valuemax", length);
      attr(node, "aria-valuenow", step + 1);
      const token = step < 0 ? "the prompt alone" : next.piece(next.columns.token[step]).name;
      attr(node, "aria-valuetext", `token ${step + 1} of ${length}: ${token}`);
    },
  };
}
