// Texts to score: one field or two, a button, and what the model is doing.

import { attr, h, put } from "./dom.js";

/**
 * @param {object} options
 * @param {string[]} options.labels of the fields
 * @param {string} options.action on the button
 * @param {(texts: string[], model: string) => void} options.send
 */
export function scoreForm({ labels, action, send }) {
  const fields = labels.map((label) =>
    h("textarea.tt-score-text.tt-words", { rows: 1, spellcheck: "false", "aria-label": label, placeholder: "Type a sentence.", keydown: enter }),
  );
  const button = h("button.tt-btn", { type: "submit", "data-line": true }, action);
  const models = h("select.tt-field", { "aria-label": "Model" });
  const far = h("span.tt-note", { role: "status" });
  const node = h("form.tt-score-form", { novalidate: true, submit }, h("div.tt-score-fields", {}, ...fields), models, button, far);

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (!button.disabled) send(fields.map((field) => field.value), models.value);
  }

  /** @param {KeyboardEvent} event */
  function enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(event);
  }

  return {
    node,
    fields,
    /** @param {string[]} texts @param {string[]} names @param {string} model */
    fill(texts, names, model) {
      fields.forEach((field, i) => (field.value = texts[i]));
      models.replaceChildren(...names.map((name) => h("option", {}, name)));
      models.value = model;
      models.hidden = names.length < 2;
    },
    /** @param {string} state @param {boolean} waiting */
    show(state, waiting) {
      attr(button, "disabled", waiting || state !== "idle");
      put(far, state === "loading" ? "Loading the model …" : state === "running" ? "Scoring …" : waiting ? "Waiting for the model." : "");
    },
  };
}
