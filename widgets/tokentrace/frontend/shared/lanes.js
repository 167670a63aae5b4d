// Two lanes of tokens, place under place, and between them how far the two guesses are apart.

import { attr, cssVar, h, put } from "./dom.js";
import { fixed } from "./format.js";
import { tiny } from "./tiny.js";

/**
 * @typedef {import("./format.js").Piece} Piece
 * @typedef {object} Lanes
 * @property {(Piece | null)[]} upper
 * @property {(Piece | null)[]} lower null where a lane has ended
 * @property {(Piece | null)[] | null} said what the upper lane would have written
 * @property {boolean[]} right whether that is the true word
 * @property {number[]} apart
 * @property {number} ceiling of the bars
 * @property {number} error place of the error; -1 if there is none
 * @property {string[][]} labels of the three rows: a name and a line of explanation
 */

/** A divergence as readers see it; only a true zero is called 0. @param {number} value */
export function sayApart(value) {
  if (value === 0) return "0";
  return value < 0.005 ? tiny(value) : fixed(value, value < 9.995 ? 2 : 1);
}

/** The top of the bars: 1 for a share, a round number for nats. @param {string} measure @param {number[]} values */
export function ceilingOf(measure, values) {
  if (measure === "tv") return 1;
  const most = Math.max(...values, 0);
  return [1, 2, 5, 10, 15, 20, 30, 50, 100].find((each) => each >= most) ?? most;
}

/** @param {{pick: (place: number) => void}} options hears which place the reader points at */
export function lanesView({ pick }) {
  const [labels, columns] = [h("div.tt-lanes-labels"), h("div.tt-lanes-columns")];
  const node = h("div.tt-lanes", {}, labels, columns);
  /** @type {Lanes | null} */
  let drawn = null;

  /** @param {Piece | null} piece */
  const word = (piece) => piece?.shown ?? "";

  return {
    node,
    /** Put in other lanes. @param {Lanes} lanes */
    build(lanes) {
      drawn = lanes;
      attr(node, "data-error", lanes.error >= 0);
      labels.replaceChildren(h("span.tt-note", {}, lanes.said ? "it would write" : ""), ...lanes.labels.map(([name, line]) => h("div", {}, h("b", {}, name), h("span.tt-note", {}, line))));
      columns.replaceChildren(
        ...lanes.upper.map((upper, place) => {
          const said = lanes.said?.[place];
          const lower = lanes.lower[place];
          const hint = said ? `fed the true text it would write ${lanes.right[place] ? "the true word" : said.name}` : null;
          return h(
            "div.tt-lanes-place",
            { "data-place": place },
            h("span.tt-lanes-said", { "data-right": lanes.right[place], title: hint }, said && (lanes.right[place] ? "✓" : h("span.tt-words", {}, word(said)))),
            h("span.tt-lanes-token.tt-words", { "data-lane": "upper", title: upper?.title || null }, word(upper)),
            h("div.tt-lanes-apart", {}, h("i", {}, h("span"))),
            h("button.tt-lanes-token.tt-words", { tabindex: -1, "data-lane": "lower", "data-error": place === lanes.error, "data-ended": !lower, "aria-label": `Place ${place + 1}, ${lower?.name ?? "ended"}`, title: "Choose this word", click: () => pick(place) }, word(lower)),
          );
        }),
      );
    },
    /** @param {number} at the last place shown @param {number} chosen the place that an error would be put in */
    show(at, chosen) {
      [...columns.children].forEach((column, place) => {
        const value = drawn?.apart[place] ?? 0;
        const later = place > at;
        attr(column, "data-later", later);
        attr(column, "data-now", place === at);
        attr(column, "data-chosen", place === chosen);
        const [, , apart, lower] = column.children;
        const bar = /** @type {HTMLElement} */ (apart.firstElementChild);
        const over = !drawn?.lower[place];
        attr(apart, "data-zero", value === 0);
        cssVar(bar, "--h", later || over ? 0 : (value / (drawn?.ceiling || 1)).toFixed(4));
        put(/** @type {Element} */ (bar.firstElementChild), later || over ? "" : sayApart(value));
        attr(lower, "tabindex", place === at ? 0 : -1);
        attr(lower, "aria-pressed", String(place === chosen));
      });
    },
    /** @param {number} place */
    focus: (place) => /** @type {HTMLElement} */ (columns.children[place].lastElementChild).focus({ preventScroll: true }),
    /** Whether one of the words has the focus. */
    get focused() {
      return columns.contains(document.activeElement);
    },
  };
}
