// Why one lane is one pass and the other n: the rows of the mask, all at once, or one after the other.

import { attr, h, put, shape } from "./dom.js";
import { count, fixed } from "./format.js";
import { tiny } from "./tiny.js";

const TRIANGLE = 120;
const GIVEN_COLUMNS = 5; // columns that stand for all that was given

/** Positions that n passes read without a cache, the first of them `given` long. @param {number} given @param {number} n */
export function positionsOfPasses(given, n) {
  return n * given + (n * (n - 1)) / 2;
}

/** @param {string} label */
function triangle(label) {
  const svg = shape("svg", { class: "tt-tri", viewBox: `0 0 ${TRIANGLE} ${TRIANGLE}`, role: "img", "aria-label": label });
  return {
    svg,
    /** @param {number} n */
    build(n) {
      const cell = TRIANGLE / (n + GIVEN_COLUMNS);
      const rows = TRIANGLE / n;
      svg.replaceChildren(...Array.from({ length: n }, (_, i) => shape("rect", { x: 0, y: (i * rows).toFixed(2), width: ((GIVEN_COLUMNS + i) * cell + cell / 2).toFixed(2), height: Math.max(0.8, rows - 0.8).toFixed(2) })));
    },
  };
}

/** The two pictures, and what was counted and measured. */
export function trianglesView() {
  const one = triangle("The rows of one pass: every row at once");
  const many = triangle("The rows of n passes: one row after the other");
  const [oneSays, manySays] = [h("p"), h("p")];
  const note = h("p.tt-note");
  const node = h("div.tt-tris", {}, h("figure.tt-tri-one", {}, one.svg, h("figcaption", {}, h("b", {}, "Fed the true text"), oneSays)), h("figure.tt-tri-many", {}, many.svg, h("figcaption", {}, h("b", {}, "Fed its own words"), manySays)), note);
  return {
    node,
    /** @param {any} run */
    build(run) {
      const [n, given] = [run.true.length, run.opening.length + 1];
      one.build(n);
      many.build(n);
      put(oneSays, `All words are known, so 1 pass reads all ${count(given + n - 1)} positions and makes all ${n} guesses: ${fixed(run.one_ms, 1)} ms.`);
      const rounding = run.gap ? ` Where both have read the same, their logits differ by ${tiny(run.gap)} at most: rounding.` : "";
      put(note, `A row is a guess, and its length what the guess may see. The n passes use a cache, as in chapter 4: after the first each reads one position. Without it they would read ${count(positionsOfPasses(given, n))}.${rounding}`);
    },
    /** @param {any} run @param {number} place */
    show(run, place) {
      [...many.svg.children].forEach((row, i) => {
        attr(row, "data-now", i === place);
        attr(row, "data-later", i > place);
      });
      const spent = run.n_ms.slice(0, place + 1).reduce((/** @type {number} */ sum, /** @type {number} */ each) => sum + each, 0);
      put(manySays, `Each word must be chosen before the next pass can read it. Pass ${place + 1} of ${run.true.length}: ${fixed(spent, 1)} ms so far.`);
    },
  };
}
