// What views of a training share: the button with its progress, texts that learners wrote, the curves as a table.

import { attr, cssVar, h, put } from "./dom.js";
import { count, fixed } from "./format.js";

/**
 * The button that trains or stops, and how far it is.
 *
 * @param {{train: () => void, stop: () => void}} acts
 */
export function trainButton({ train, stop }) {
  let busy = false;
  const button = h("button.tt-btn", { "data-line": true, click: () => (busy ? stop() : train()) }, "Train here");
  const [bar, words] = [h("i"), h("span.tt-note", { role: "status" })];
  const track = h("span.tt-train-track", { hidden: true }, bar);
  return {
    node: h("div.tt-train-act", {}, button, track, words),
    /** @param {{state: string, done: number, total: number, rate: number}} status @param {boolean} waiting */
    show(status, waiting) {
      busy = waiting || status.state !== "idle";
      put(button, busy ? "Stop" : "Train here");
      track.hidden = !busy;
      cssVar(bar, "--done", status.total ? status.done / status.total : 0);
      put(words, sayProgress(status, busy));
    },
  };
}

/** How far a training is. @param {{state: string, done: number, total: number, rate: number}} status @param {boolean} busy */
export function sayProgress({ state, done, total, rate }, busy) {
  if (!busy) return "";
  if (state === "measuring") return "Measuring …";
  if (state !== "running") return "Starting …";
  const left = rate ? `, about ${Math.max(1, Math.round((total - done) / rate))} s left` : "";
  return `${count(done)} of ${count(total)} updates${left}`;
}

/**
 * Texts that a learner wrote. Where a sentence first leaves the language the word is marked.
 *
 * @param {string[][]} samples
 * @param {number[][]} wrong
 */
export function sampleTexts(samples, wrong) {
  const texts = samples.map((words, row) => {
    const out = new Set(wrong[row]);
    const parts = words.flatMap((word, place) => [out.has(place) ? h("mark.tt-sample-out", { title: "not allowed here" }, word) : word, " "]);
    return h("p.tt-sample.tt-words", {}, ...parts);
  });
  return h("div.tt-samples", {}, ...texts);
}

/** A table of numbers. @param {string[]} heads @param {(string | number)[][]} rows */
export function numberTable(heads, rows) {
  const table = h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((text, i) => h(i ? "th.tt-num" : "th", { scope: "col" }, text)))));
  table.append(h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, i) => h(i ? "td.tt-num" : "td", {}, typeof cell === "number" ? fixed(cell, 3) : cell))))));
  return table;
}

/** A button that shows and hides a box with a table. @param {HTMLElement} box @param {() => void} [shown] */
export function tableToggle(box, shown) {
  const toggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  function flip() {
    box.hidden = !box.hidden;
    attr(toggle, "aria-pressed", String(!box.hidden));
    if (!box.hidden) shown?.();
  }
  return toggle;
}
