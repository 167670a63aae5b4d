// The draw: kept tokens end to end from 0 to 1, and the random number as a needle.

import { attr, cssVar, h, put } from "./dom.js";
import { clamp, count, fixed } from "./format.js";

/** @typedef {import("./trace.js").Step} Step */

const SLICES = 10;

/** How a token came to be written, in a sentence. @param {Step} step */
export function sayDraw({ uniform, forced, piece, low, filtered }) {
  if (forced) return "not drawn: chosen by you";
  if (uniform === null) return "no draw: the most probable token is taken";
  const digits = clamp(1 - Math.floor(Math.log10(filtered)), 2, 6);
  return `u falls on ${piece.name}: ${fixed(low, digits)} to ${fixed(low + filtered, digits)}`;
}

/** What fits on a slice. @param {number} width as a part of 1 @param {import("./format.js").Piece} piece */
function label(width, { shown }) {
  return width > 0.03 + 0.02 * shown.length ? shown : "";
}

/** The drawing of one draw. */
export function drawView() {
  const slices = Array.from({ length: SLICES + 1 }, () => h("span.tt-cdf-slice"));
  const others = slices[SLICES];
  const chosen = h("span.tt-cdf-chosen");
  const needle = h("i.tt-needle");
  const bar = h("div.tt-cdf", { role: "img" }, ...slices, chosen, needle);
  const say = h("span");
  const axis = h("div.tt-cdf-axis.tt-note", {}, h("span", {}, "0"), say, h("span", {}, "1"));
  return {
    node: h("section.tt-draw", { "aria-label": "The draw" }, h("h3.tt-h", {}, "The draw"), bar, axis),
    /** @param {Step | null} step @param {number} [move] how far the step is told; 3 is the draw */
    show(step, move = 4) {
      const kept = step ? step.candidates.filter((candidate) => candidate.kept) : [];
      const rest = kept.reduce((left, { after }) => left - after, 1);
      slices.forEach((slice, i) => {
        slice.hidden = !kept[i];
        if (!kept[i]) return;
        slice.style.flexGrow = String(kept[i].after);
        put(slice, label(kept[i].after, kept[i].piece));
      });
      others.hidden = !step || step.kept <= kept.length;
      others.style.flexGrow = String(Math.max(0, rest));
      if (step) put(others, rest > 0.2 ? `${count(step.kept - kept.length)} others` : "");

      const sentence = step && move > 2 ? sayDraw(step) : "";
      put(say, sentence);
      attr(bar, "aria-label", sentence || "not drawn yet");
      attr(bar, "data-waits", move < 2);
      chosen.hidden = needle.hidden = !sentence;
      if (!step || !sentence) return;
      const { piece, low, filtered, uniform } = step;
      chosen.hidden = !filtered;
      cssVar(chosen, "--from", `${low * 100}%`);
      cssVar(chosen, "--size", `${filtered * 100}%`);
      put(chosen, label(filtered, piece));
      needle.hidden = uniform === null;
      if (uniform === null) return;
      cssVar(needle, "--u", `${uniform * 100}%`);
      attr(needle, "data-u", `u = ${fixed(uniform, 3)}`);
    },
  };
}
