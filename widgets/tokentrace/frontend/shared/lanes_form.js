// Which text the two lanes read, how much of it both are given, and how tokens are picked.

import { attr, h, put, segments } from "./dom.js";

/**
 * @typedef {{passage: string, words: number | null, seed: number | null, settings: object, model: string}} LanesWish
 * @typedef {{name: string, title: string, style: string}} PassageName
 */

const PICKING = [
  { name: "temperature", label: "temperature", min: 0.05, max: 10, step: 0.1 },
  { name: "top_k", label: "top-k", min: 1, placeholder: "off" },
  { name: "top_p", label: "top-p", min: 0.05, max: 1, step: 0.05, placeholder: "off" },
  { name: "seed", label: "seed", min: 0 },
];

/** Words that white space divides. @param {string} text */
export function wordsIn(text) {
  return text.split(/\s+/).filter(Boolean).length;
}

/** @param {{send: (wish: LanesWish) => void, stop: () => void}} options */
export function lanesForm({ send, stop }) {
  const texts = h("select.tt-field", {});
  const words = h("input.tt-field", { type: "number", min: 0, max: 100 });
  const numbers = PICKING.map(({ label: _, ...field }) => h("input.tt-field", { type: "number", ...field }));
  const models = h("select.tt-field", {});
  const button = h("button.tt-btn", { type: "submit", "data-line": true }, "Write");
  const far = h("span.tt-note", { role: "status" });
  let running = false;
  let strategy = "greedy";
  const strategies = segments("Picking", [{ value: "greedy", text: "greedy" }, { value: "sample", text: "sample" }], choose);
  /** @param {string} label @param {HTMLElement} input */
  const setting = (label, input) => (attr(input, "aria-label", label), h("label.tt-lanes-setting.tt-label", {}, h("span", {}, label), input));
  const sampling = PICKING.map(({ label }, i) => setting(label, numbers[i]));
  const modelSetting = setting("model", models);
  const node = h("form.tt-lanes-form", { novalidate: true, submit }, setting("text", texts), setting("words given", words), strategies.node, ...sampling, modelSetting, button, far);

  /** @param {string} value */
  function choose(value) {
    strategy = value;
    strategies.press(value);
    sampling.forEach((each) => (each.hidden = value === "greedy"));
  }
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (running) return stop();
    const read = (/** @type {HTMLInputElement} */ input) => (Number.isNaN(input.valueAsNumber) ? null : input.valueAsNumber);
    const [temperature, top_k, top_p, seed] = numbers.map(read);
    const settings = strategy === "greedy" ? { strategy } : { strategy, temperature, top_k, top_p };
    send({ passage: texts.value, words: read(words), seed, settings, model: models.value });
  }

  return {
    node,
    /** @param {any} run @param {PassageName[]} passages @param {string[]} names @param {string} model */
    fill(run, passages, names, model) {
      const styles = [...new Set(passages.map(({ style }) => style))];
      texts.replaceChildren(...styles.map((style) => h("optgroup", { label: style }, ...passages.filter((each) => each.style === style).map((each) => h("option", { value: each.name }, each.title)))));
      texts.value = run.passage;
      words.value = wordsIn(openingOf(run));
      const values = { ...run.settings, seed: run.seed };
      numbers.forEach((input, i) => (input.value = values[PICKING[i].name] ?? ""));
      models.replaceChildren(...names.map((name) => h("option", {}, name)));
      models.value = names.includes(run.model.name) ? run.model.name : model;
      modelSetting.hidden = names.length < 2;
      choose(run.settings.strategy);
    },
    /** @param {{state: string, done: number, total: number}} status @param {boolean} busy @param {boolean} waiting */
    show({ state, done, total }, busy, waiting) {
      running = busy;
      put(button, busy ? "Stop" : "Write");
      attr(button, "disabled", waiting && !busy);
      put(far, state === "loading" ? "Loading the model …" : state === "running" ? `${done} of ${total} passes` : waiting ? "Waiting for the model." : "");
    },
  };
}

/** The text that both lanes were given. @param {any} run */
function openingOf(run) {
  const pieces = run.opening.map((/** @type {number} */ token) => run.vocabulary[token]);
  return pieces.map((/** @type {any} */ each) => (typeof each === "string" ? each : "�")).join("");
}
