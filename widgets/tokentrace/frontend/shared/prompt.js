// The prompt line: a text to continue, how to pick tokens, Write and Stop.

import { attr, cssVar, h, put, segments } from "./dom.js";
import { describeSettings, fixed } from "./format.js";

/**
 * @typedef {import("./trace.js").Settings} Settings
 * @typedef {{prompt: string, settings: Settings, seed: number, model: string}} Wish what to write
 * @typedef {{state: string, done: number, total: number, rate: number}} Status
 */

const FIELDS = [
  { name: "temperature", label: "temperature", min: 0.05, max: 10, step: 0.1 },
  { name: "top_k", label: "top-k", min: 1, placeholder: "off" },
  { name: "top_p", label: "top-p", min: 0.05, max: 1, step: 0.05, placeholder: "off" },
  { name: "seed", label: "seed", min: 0 },
  { name: "max_new_tokens", label: "tokens", min: 1, max: 1024 },
];

/** Settings in one line, as the closed prompt line shows them. @param {Settings} settings @param {number} seed */
export function summary(settings, seed) {
  const tokens = `${settings.max_new_tokens} tokens`;
  if (settings.strategy === "greedy") return `greedy · ${tokens}`;
  return `sample · ${describeSettings(settings, " · ")} · seed ${seed} · ${tokens}`;
}

/** A measured speed. @param {number} rate tokens a second */
export function tokensPerSecond(rate) {
  return rate ? ` · ${fixed(rate, rate < 10 ? 1 : 0)} tokens/s` : "";
}

/** How far the writing is, in words. @param {Status} status @param {boolean} waiting */
export function progress({ state, done, total, rate }, waiting) {
  if (state === "loading") return "Loading the model.";
  if (state === "running") return `${done} of ${total}${tokensPerSecond(rate)}`;
  return waiting ? "Waiting for the model." : "";
}

/**
 * @param {object} options
 * @param {() => void} options.write
 * @param {() => void} options.stop
 */
export function promptView({ write, stop }) {
  const text = h("textarea.tt-prompt-text.tt-words", {
    rows: 1,
    spellcheck: "false",
    "aria-label": "Prompt: the text to continue",
    placeholder: "Type how the story begins.",
    keydown: enter,
  });
  const button = h("button.tt-btn", { type: "submit", "data-line": true });
  const line = h("i");
  const far = h("span.tt-prompt-far");
  const gist = h("button.tt-toggle", { title: "Settings", "aria-expanded": "false", click: unfold });
  /** @type {Settings["strategy"]} */
  let strategy = "sample";
  let running = false;
  const strategies = segments(
    "Strategy",
    [
      { value: /** @type {const} */ ("sample"), text: "sample" },
      { value: /** @type {const} */ ("greedy"), text: "greedy" },
    ],
    pick,
  );
  const inputs = FIELDS.map(({ label: _, ...field }) => h("input.tt-field", { type: "number", ...field, input: tell }));
  const models = h("select.tt-field", { name: "model" });
  /** @param {string} label @param {HTMLElement} input */
  const setting = (label, input) => h("label.tt-setting.tt-label", {}, h("span", {}, label), input);
  const modelSetting = setting("model", models);
  const fields = FIELDS.map(({ label }, i) => setting(label, inputs[i]));
  const panel = h("div.tt-settings", { hidden: true }, strategies.node, ...fields, modelSetting);
  const node = h(
    "form.tt-prompt",
    { novalidate: true, submit },
    h("div.tt-prompt-line", {}, text, h("div.tt-prompt-under.tt-label", {}, gist, far), button),
    h("div.tt-progress", {}, line),
    panel,
  );

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (running) stop();
    else write();
  }

  /** @param {KeyboardEvent} event */
  function enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running) write();
  }

  function unfold() {
    panel.hidden = !panel.hidden;
    attr(gist, "aria-expanded", String(!panel.hidden));
  }

  /** @param {Settings["strategy"]} value */
  function pick(value) {
    strategy = value;
    strategies.press(value);
    inputs.forEach((input, i) => (input.disabled = value === "greedy" && FIELDS[i].name !== "max_new_tokens"));
    tell();
  }

  /** @returns {Wish} what cannot be read as a number is null; Python says what is wrong with it */
  function wish() {
    const numbers = inputs.map(({ valueAsNumber: value }) => (Number.isNaN(value) ? null : value));
    const [temperature, top_k, top_p, seed, max_new_tokens] = /** @type {number[]} */ (numbers);
    const settings = { strategy, temperature, top_k, top_p, max_new_tokens };
    return { prompt: text.value, settings, seed, model: models.value };
  }

  function tell() {
    const { settings, seed } = wish();
    put(gist, summary(settings, seed));
  }

  return {
    node,
    wish,
    /** Fill in what is to be written. @param {(trait: string) => any} get */
    fill(get) {
      const names = get("model_names");
      const values = { ...get("settings"), seed: get("seed") };
      if (document.activeElement !== text) text.value = get("prompt");
      models.replaceChildren(...names.map((/** @type {string} */ name) => h("option", {}, name)));
      models.value = get("model");
      modelSetting.hidden = names.length < 2;
      inputs.forEach((input, i) => (input.value = values[FIELDS[i].name] ?? ""));
      pick(values.strategy);
    },
    /** @param {Status} status @param {boolean} busy whether Stop is offered @param {boolean} waiting */
    show(status, busy, waiting) {
      running = busy;
      put(button, busy ? "Stop" : "Write");
      put(far, progress(status, waiting));
      attr(node, "data-busy", busy);
      cssVar(line, "--done", `${status.total ? (status.done / status.total) * 100 : 0}%`);
    },
  };
}
