// A prompt to write from, how many tokens, and a button that becomes Stop; with how far the run is.

import { attr, cssVar, h, put, segments } from "./dom.js";

/**
 * @param {object} options
 * @param {(prompt: string, n: number | undefined, model: string) => void} options.send
 * @param {() => void} options.stop
 * @param {number[]} [options.lengths] tokens that may be written; without them the view decides
 */
export function raceForm({ send, stop, lengths = [] }) {
  const field = h("textarea.tt-score-text.tt-words", { rows: 1, spellcheck: "false", "aria-label": "Text to continue", placeholder: "Type how the text begins.", keydown: enter });
  const button = h("button.tt-btn", { type: "submit", "data-line": true }, "Write it");
  const models = h("select.tt-field", { "aria-label": "Model" });
  const counts = segments("Tokens to write", lengths.map((n) => ({ value: n, text: `${n} tokens` })), choose);
  const bar = h("i");
  const track = h("span.tt-race-track", { hidden: true }, bar);
  const far = h("span.tt-note", { role: "status" });
  const node = h("form.tt-score-form", { novalidate: true, submit }, h("div.tt-score-fields", {}, field), lengths.length > 1 && counts.node, models, button, track, far);
  let n = lengths[0];
  let busy = false;
  counts.press(n);

  /** @param {number} value */
  function choose(value) {
    n = value;
    counts.press(n);
  }
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    if (busy) stop();
    else send(field.value, n, models.value);
  }
  /** @param {KeyboardEvent} event */
  function enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!busy) submit(event);
  }

  return {
    node,
    /** @param {string} prompt @param {string[]} names @param {string} model @param {number} [written] tokens of the run that is shown */
    fill(prompt, names, model, written) {
      if (written && lengths.includes(written)) choose(written);
      field.value = prompt;
      models.replaceChildren(...names.map((name) => h("option", {}, name)));
      models.value = model;
      models.hidden = names.length < 2;
    },
    /** @param {{state: string, done: number, total: number}} status @param {boolean} waiting */
    show({ state, done, total }, waiting) {
      busy = state === "running";
      put(button, busy ? "Stop" : "Write it");
      attr(button, "disabled", !busy && (waiting || state !== "idle"));
      track.hidden = !busy;
      cssVar(bar, "--done", total ? done / total : 0);
      put(far, busy ? `${Math.round((100 * done) / (total || 1))}%` : state === "loading" ? "Loading the model …" : waiting ? "Waiting for the model." : "");
    },
  };
}
