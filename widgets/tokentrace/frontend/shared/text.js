// The text as chips: what was given, what is written, and what will be written as dotted lines.

import { attr, forkIcon, h } from "./dom.js";
import { percent, ramp } from "./format.js";
import { sharedSteps } from "./trace.js";

/**
 * @typedef {import("./trace.js").Run} Run
 * @typedef {import("./format.js").Piece} Piece
 */

/**
 * One chip with the space before it and the line break after it.
 *
 * @param {Piece} piece
 * @param {Record<string, any>} props
 * @returns {{chip: HTMLElement, nodes: ChildNode[]}}
 */
export function tokenChip(piece, props = {}) {
  const chip = h(
    "span.tt-chip",
    { "data-space": piece.space, "data-kind": piece.kind, title: piece.title || null, ...props },
    h("span", {}, piece.shown),
  );
  const space = document.createTextNode(piece.space ? " " : "");
  return { chip, nodes: piece.breaks ? [space, chip, h("br")] : [space, chip] };
}

/**
 * A run's text. `show` a run up to a step; nodes of an earlier run are kept as far as the two agree.
 *
 * @param {{pick?: (step: number) => void}} [options] `pick` hears clicks on written tokens
 */
export function textView({ pick } = {}) {
  const node = h("p.tt-text", { click });
  const wait = h("i.tt-wait", { title: "Waiting for the model", hidden: true });
  /** @type {HTMLElement[]} */
  let chips = [];
  /** @type {ChildNode[][]} what stands in the page for each step */
  let groups = [];
  /** @type {Run | null} */
  let run = null;
  let at = -1;
  let drawn = 0;

  /** @param {any} event */
  function click({ target }) {
    const index = chips.indexOf(target.closest(".tt-chip"));
    if (index >= 0) pick?.(index);
  }

  /** @param {number} from drop the chips from here on */
  function cut(from) {
    for (const node of groups.splice(from).flat()) node.remove();
    chips.length = from;
  }

  /** @param {Run} next */
  function grow(next) {
    const fresh = document.createDocumentFragment();
    for (let i = chips.length; i < next.length; i++) {
      const p = next.columns.probability[i];
      const { chip, nodes } = tokenChip(next.piece(next.columns.token[i]), {
        "--tt-chip": `var(--tt-p${ramp(p)})`,
        "--tt-p": p,
        "data-unwritten": true,
      });
      chip.title = `token ${i + 1}, ${percent(p)}${chip.title && "; "}${chip.title}`;
      if (next.columns.forced[i]) nodes.splice(2, 0, forkIcon());
      fresh.append(...nodes);
      groups.push(nodes);
      chips.push(chip);
    }
    node.insertBefore(fresh, wait);
  }

  return {
    node,
    /**
     * @param {Run} next
     * @param {number} step last token written; -1 shows the prompt alone
     * @param {{waiting?: boolean, ring?: boolean}} [options] `waiting`: the model is at work on the token after it;
     *   `ring`: mark the last token as the one that is looked at
     */
    show(next, step, { waiting = false, ring = true } = {}) {
      if (next !== run || next.length !== drawn) {
        const shared = run === next ? chips.length : run ? sharedSteps(run, next) : -1;
        if (shared < 0) {
          node.replaceChildren(...next.prompt.flatMap((piece) => tokenChip(piece, { "data-given": true }).nodes), wait);
          chips = [];
          groups = [];
        } else if (shared < chips.length) cut(shared);
        at = Math.min(at, chips.length - 1);
        grow(next);
        run = next;
        drawn = next.length;
      }
      if (chips[at]) attr(chips[at], "data-now", false);
      for (let i = at + 1; i <= step; i++) attr(chips[i], "data-unwritten", false);
      for (let i = step + 1; i <= at; i++) attr(chips[i], "data-unwritten", true);
      at = step;
      if (chips[at]) attr(chips[at], "data-now", ring);
      wait.hidden = !waiting;
    },
    /** The chip of a step. @param {number} i @returns {HTMLElement | undefined} */
    chip: (i) => chips[i],
  };
}
