// The text twin: every step of a run as a row of a table.

import { attr, h } from "./dom.js";
import { count, fixed, percent } from "./format.js";

/**
 * @typedef {import("./trace.js").Run} Run
 * @typedef {import("./trace.js").Step} Step
 */

const HEADS = ["#", "token", "raw", "after the filter", "rank", "entropy, bits", "kept", "u", "log p so far", "ms"];

/** Cells of a step's row. @param {Run} run @param {Step} step */
export function twinRow(run, step) {
  return [
    count(step.index + 1),
    (step.piece.space ? "·" : "") + step.piece.shown,
    percent(step.probability),
    step.filtered ? percent(step.filtered) : "cut",
    count(step.rank),
    fixed(step.entropy, 2),
    count(step.kept),
    step.uniform === null ? (step.forced ? "your choice" : "none") : fixed(step.uniform, 3),
    fixed(run.logprob(step.index), 2),
    fixed(step.ms, 1),
  ];
}

/** The table, kept up to date only while it is shown. */
export function twinView() {
  const body = h("tbody");
  const head = h("tr", {}, ...HEADS.map((text, i) => h(i === 1 ? "th" : "th.tt-num", { scope: "col" }, text)));
  const table = h("table.tt-table", {}, h("thead", {}, head), body);
  const props = { hidden: true, tabindex: 0, role: "region", "aria-label": "The run as a table" };
  const node = h("div.tt-twin", props, table);
  /** @type {Run | null} */
  let run = null;
  let at = -1;
  return {
    node,
    /** @param {Run | null} next @param {number} step */
    show(next, step) {
      if (node.hidden) return;
      const rows = body.children;
      if (next !== run || rows.length > (next?.length ?? 0)) body.replaceChildren();
      run = next;
      for (let i = rows.length; next && i < next.length; i++) {
        const cells = twinRow(next, next.step(i));
        body.append(h("tr", {}, ...cells.map((text, c) => h(c === 1 ? "td.tt-words" : "td.tt-num", {}, text))));
      }
      if (rows[at]) attr(rows[at], "aria-current", null);
      at = step;
      if (rows[at]) attr(rows[at], "aria-current", "step");
    },
  };
}
