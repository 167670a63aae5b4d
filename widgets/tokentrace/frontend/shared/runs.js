// The switcher: the first run, its branches, and the one being written.

import { forkIcon, h } from "./dom.js";

/** @typedef {import("./stage.js").Stage} Stage */

/** What to call a run. @param {Stage} stage @param {number} index */
export function runName(stage, index) {
  const run = stage.runs[index];
  if (!run) return stage.writing ? "being written" : "broken off";
  const fork = run.trace.branch;
  return fork ? `at token ${fork.at + 1}: ${run.piece(fork.token).name}` : "first run";
}

/** @param {{pick: (index: number) => void}} options `pick` hears the index of a run, -1 for the one being written */
export function runsView({ pick }) {
  const node = h("div.tt-seg.tt-runs", { role: "group", "aria-label": "Runs" });
  let shown = "";
  return {
    node,
    /** @param {Stage} stage */
    show(stage) {
      const count = stage.runs.length;
      const names = Array.from({ length: count + (stage.fresh ? 1 : 0) }, (_, index) => runName(stage, index));
      const current = stage.onFresh ? count : stage.index;
      // A run that will take the place of all others is no choice beside them.
      node.hidden = names.length < 2 || (stage.writing && !stage.fresh?.trace.branch);
      if (shown === (shown = [current, ...names].join("\n"))) return;
      node.replaceChildren(
        ...names.map((name, index) => {
          const title = index ? "B" : "Esc";
          const click = () => pick(index < count ? index : -1);
          const props = { tabindex: -1, title, click, "aria-pressed": String(index === current) };
          return h("button", props, index > 0 && forkIcon(), ` ${name}`);
        }),
      );
    },
  };
}
