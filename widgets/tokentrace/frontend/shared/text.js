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
 * @returns {{chip: HTMLElement, nodes: (Node | string)[]}}
 */
export function tokenChip(piece, props = {}) {
  const chip = h(
    "span.tt-chip",
    { "data-space": piece.space, "data-kind": piece.kind, title: piece.title || null, ...props },
    h("span", {}, piece.shown),
  );
  return { chip, nodes: [piece.space ? " " : "", chip, piece.breaks ? h("br") : ""] };
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
  /** @type {Node[]} first node of each step, to cut the text there */
  let starts = [];
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
    while (starts[from]?.nextSibling && starts[from].nextSibling !== wait) starts[from].nextSibling.remove();
    starts[from]?.remove();
    chips.length = starts.length = Math.min(chips.length, from);
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
      chip.title = [`token ${i + 1}, ${percent(p)}`, chip.title].filter(Boolean).join("; ");
      if (next.columns.forced[i]) nodes.splice(2, 0, forkIcon());
      const start = document.createTextNode(String(nodes.shift()));
      fresh.append(start, ...nodes.filter((each) => each !== ""));
      starts.push(start);
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
          starts = [];
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
