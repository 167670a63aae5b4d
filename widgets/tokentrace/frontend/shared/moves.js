// The four moves of a token, and the word that flies from its bar into the text.

import { attr, h, put } from "./dom.js";
import { describeSettings } from "./format.js";

/**
 * @typedef {import("./trace.js").Run} Run
 * @typedef {import("./trace.js").Step} Step
 */

const NAMES = ["1 Guess", "2 Filter", "3 Draw", "4 Write"];
const FLIGHT = { duration: 520, easing: "cubic-bezier(.6, 0, .2, 1)", fill: /** @type {FillMode} */ ("forwards") };

/** What each move does in this run. @param {Run} run @param {Step | null} step */
export function sayMoves(run, step) {
  const drawn = run.settings.strategy === "greedy" ? "no draw" : "one random number";
  const draw = step?.forced ? "not drawn: chosen by you" : drawn;
  return ["a probability for every token", describeSettings(run.settings), draw, "append, and repeat"];
}

/** The rail of moves; each can be entered. @param {{pick: (move: number) => void}} options */
export function movesView({ pick }) {
  const says = NAMES.map(() => h("span"));
  const buttons = NAMES.map((name, i) =>
    h("button", { tabindex: -1, click: () => pick(i + 1) }, h("b", {}, name), " ", says[i]),
  );
  return {
    node: h("ol.tt-moves", { "aria-label": "The four moves" }, ...buttons.map((button) => h("li", {}, button))),
    buttons,
    /** @param {Run} run @param {Step | null} step @param {number} move */
    show(run, step, move) {
      sayMoves(run, step).forEach((text, i) => put(says[i], text));
      buttons.forEach((button, i) => attr(button, "aria-current", i + 1 === move ? "step" : null));
    },
  };
}

/**
 * Let a word fly within a view.
 *
 * @param {HTMLElement} root what positions the flight
 * @param {Element} from
 * @param {Element} to
 */
export function fly(root, from, to) {
  const range = document.createRange();
  range.selectNodeContents(from);
  const [start, end, origin] = [range, to, root].map((each) => each.getBoundingClientRect());
  const word = h("span.tt-fly", { "aria-hidden": "true" }, from.textContent);
  word.style.fontSize = getComputedStyle(to).fontSize;
  root.append(word);
  const { height } = word.getBoundingClientRect();
  /** @param {number} left @param {number} top @param {number} scale */
  const at = (left, top, scale) => ({
    transform: `translate(${left - origin.left}px, ${top - origin.top}px) scale(${scale})`,
  });
  const flight = word.animate(
    [at(start.left, start.top, start.height / height), at(end.left, end.top + (end.height - height) / 2, 1)],
    FLIGHT,
  );
  const remove = () => word.remove();
  flight.finished.then(remove, remove);
  return flight;
}
