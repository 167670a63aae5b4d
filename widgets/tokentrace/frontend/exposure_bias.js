// Exposure bias, measured by both sides of the dispute: ratios by prefix length, excess by decoder, a map of contexts.

import { lineChart } from "./shared/chart.js";
import { attr, cssVar, h, put, segments } from "./shared/dom.js";
import { fixed } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

const BIAS_MEASURES = { total_variation: "total variation", jensen_shannon: "Jensen-Shannon", quality: "quality" };
const BIAS_PLAIN = "T 1";

/** An estimate with its band. @param {any} curve @param {number} i @param {number} digits */
function biasCell(curve, i, digits) {
  const [value, low, high] = [curve.value[i], curve.low[i], curve.high[i]].map((each) => fixed(each, digits));
  return `${value}  [${low}, ${high}]`;
}

/** A curve as a line of the chart. @param {any} curve @param {boolean} banded */
function biasLine(curve, banded) {
  const points = curve.at.map((/** @type {number} */ at, /** @type {number} */ i) => [at, curve.value[i]]);
  return { points, band: banded ? curve.at.map((/** @type {number} */ at, /** @type {number} */ i) => [at, curve.low[i], curve.high[i]]) : undefined };
}

/** Texts as dots that no line joins, their mean last: there the name stands. @param {any} group */
export function biasDots(group) {
  const mean = (/** @type {number} */ i) => group.texts.reduce((/** @type {number} */ sum, /** @type {number[]} */ each) => sum + each[i], 0) / group.texts.length;
  const middle = [mean(0), mean(1)];
  return { middle, points: [...group.texts, middle].flatMap(([x, y]) => [[x, y], [x, null]]).slice(0, -1) };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderExposureBias({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const set = (/** @type {string} */ name) => (/** @type {any} */ value) => {
    model.set(name, value);
    model.save_changes();
  };
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const asked = inquiry({ model, draw: drawStatus });

  const [oracle, learner] = ["Oracle, plays the data", "Learner"].map((label) => h("select.tt-field", { "aria-label": label }));
  const size = h("select.tt-field", { "aria-label": "Texts of each kind" });
  const boxes = get("offered").map((/** @type {string} */ name) => h("input", { type: "checkbox", value: name, disabled: name === BIAS_PLAIN, title: name === BIAS_PLAIN ? "Plain sampling is always measured: the others are compared with it" : null }));
  const chosen = h("div.tt-bias-boxes", { role: "group", "aria-label": "Decoders to measure" }, ...boxes.map((/** @type {any} */ box) => h("label.tt-label", {}, box, ` ${box.value}`)));
  const button = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Measure here");
  const bar = h("i");
  const track = h("span.tt-bias-track", { hidden: true }, bar);
  const far = h("span.tt-note", { role: "status" });
  const form = h("div.tt-bias-form", {}, h("label.tt-label", {}, "oracle ", oracle), h("label.tt-label", {}, "learner ", learner), h("label.tt-label", {}, "texts of each kind ", size), chosen, h("div.tt-bias-act", {}, button, track, far));

  const measures = segments("Measured in", Object.entries(BIAS_MEASURES).map(([value, text]) => ({ value, text })), set("measure"));
  const scales = segments("Scale", [{ value: "excess", text: "% excess" }, { value: "acc_err", text: "AccErr" }], set("scale"));
  const choices = get("offered").map((/** @type {string} */ name) => ({ value: name, text: name }));
  const decoders = segments("Decoder to look at", choices, set("decoder"));
  const charts = ["He et al.’s ratio by prefix length", "Excess of the accumulated error by number of tokens", "Every text as a dot: its surprise and the learner’s error along it"].map((label) => lineChart({ label, height: 270 }));
  const says = [0, 1, 2].map(() => h("p.tt-bias-says"));
  const part = (/** @type {string} */ name, /** @type {string} */ head, /** @type {string} */ note, /** @type {number} */ i, /** @type {...Node} */ ...controls) =>
    h("section.tt-bias-part", { class: `tt-bias-part tt-bias-${name}` }, h("h3.tt-bias-name", {}, head), h("p.tt-note", {}, note), h("div.tt-bias-controls", {}, ...controls), charts[i].node, says[i]);
  const text = h("p.tt-bias-text.tt-words");
  const example = h("div.tt-bias-example", {}, h("h4.tt-label"), text);
  const contexts = part("contexts", "The one picture: which contexts are visited", "Each dot is one text. To the right: more surprising to the oracle. Higher up: the learner’s guesses are further from the oracle’s.", 2);
  contexts.append(example);
  const toggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const tables = h("div.tt-bias-tables", { hidden: true, tabindex: 0, role: "region", "aria-label": "Both measurements as tables" });
  const live = h("p.tt-sr", { role: "status" });
  el.append(
    ownKeys(
      h("div.tt-root.tt-bias", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form, asked.problem,
        h("div.tt-bias-parts", {},
          part("prefixes", "Own prefixes against the data’s", "He et al. 2021: the learner’s distance from the truth after its own prefixes, divided by the distance after the data’s. 1: no bias.", 0, measures.node),
          part("decoders", "Error gathered along the way", "Arora et al. 2022: KL(oracle ‖ learner), added up along a decoder’s text and divided by the same sum along the data. 0%: own text costs nothing. Grey: the decoders not chosen below.", 1, scales.node)),
        h("div.tt-bias-pick", {}, h("span.tt-label", {}, "decoder "), decoders.node), contexts, toggle, tables, live)),
    ),
  );
  /** @type {any} */
  let drawn = null;

  function onMeasure() {
    if (get("status").state !== "idle") return model.send({ type: "stop" });
    const names = boxes.filter((/** @type {any} */ box) => box.checked).map((/** @type {any} */ box) => box.value);
    asked.ask({ type: "generate", model: oracle.value, learner: learner.value, texts: Number(size.value), decoders: names });
    drawStatus();
  }
  function flip() {
    tables.hidden = !tables.hidden;
    attr(toggle, "aria-pressed", String(!tables.hidden));
  }
  function onRecord() {
    if (get("record") === drawn) return draw();
    drawn = get("record");
    const names = drawn.groups.slice(1).map((/** @type {any} */ group) => group.name);
    decoders.buttons.forEach((/** @type {HTMLElement} */ each, /** @type {number} */ i) => (each.hidden = !names.includes(choices[i].value)));
    measures.buttons.forEach((/** @type {HTMLElement} */ each, /** @type {number} */ i) => (each.hidden = !(Object.keys(BIAS_MEASURES)[i] in drawn.prefix)));
    tables.replaceChildren(prefixTable(), decoderTable());
    draw();
    drawStatus();
  }
  function draw() {
    const [data, ...others] = drawn.groups;
    const [measure, scale, decoder] = ["measure", "scale", "decoder"].map(get);
    measures.press(measure);
    scales.press(scale);
    decoders.press(decoder);
    const curve = drawn.prefix[measure];
    charts[0].draw({
      x: { label: "prefix length, tokens", low: 0, high: drawn.context + drawn.length },
      y: { label: measure === "quality" ? "EB-M, quality after data’s / after own prefixes" : `EB-C in ${BIAS_MEASURES[measure]}, after own / after data’s prefixes`, low: Math.min(0.8, Math.floor(Math.min(...curve.low) * 10) / 10), format: (value) => fixed(value, 1) },
      lines: [{ name: measure === "quality" ? "EB-M" : "EB-C", kind: "free", dots: true, ...biasLine(curve, true) }],
      levels: [{ y: 1, name: "no bias", kind: "teacher" }],
    });
    const kind = (/** @type {string} */ name) => (name === decoder ? "now" : name === BIAS_PLAIN ? "free" : "other");
    const lines = others.map((/** @type {any} */ group) => ({ name: group.name, kind: kind(group.name), ...biasLine(group[scale], group.name === decoder) }));
    const straight = { name: "as on data", kind: "teacher", dashed: true, ...biasLine(data.acc_err, false) };
    charts[1].draw({
      x: { label: `tokens after the first ${drawn.context}`, low: 0, high: drawn.length },
      y: { label: scale === "excess" ? "%ExAccErr" : "AccErr, steps’ worth of error", format: (value) => fixed(value, 0) },
      lines: scale === "excess" ? lines : [straight, ...lines],
      levels: scale === "excess" ? [{ y: 0, name: "as on data", kind: "teacher" }] : [],
    });
    const shown = [data, ...others.filter((/** @type {any} */ group) => group.name === BIAS_PLAIN), ...others.filter((/** @type {any} */ group) => group.name === decoder && decoder !== BIAS_PLAIN)];
    const dots = shown.map((group) => ({ group, ...biasDots(group) }));
    const called = (/** @type {string} */ name) => (name === BIAS_PLAIN ? "ancestral (T 1)" : name);
    const hue = (/** @type {string} */ name) => (name === "data" ? "teacher" : kind(name));
    charts[2].draw({
      x: { label: "surprise of the text to the oracle, nats a token", low: 0 },
      y: { label: "KL(oracle ‖ learner) along it, nats a token", format: (value) => fixed(value, 1) },
      lines: dots.map(({ group, points }) => ({ name: "", kind: hue(group.name), points, dots: true })),
      marks: dots.map(({ group, middle: [x, y] }) => ({ x, y, kind: hue(group.name), text: called(group.name) })),
      levels: [{ y: dots[0].middle[1], name: "mean on data", kind: "teacher" }],
    });
    get("sentences").forEach((/** @type {string} */ words, /** @type {number} */ i) => {
      put(says[i], words);
      charts[i].say(words);
    });
    const group = others.find((/** @type {any} */ each) => each.name === decoder);
    put(example.firstElementChild, group ? `One of its texts: ${decoder}, after ${drawn.context} tokens of the data` : "");
    text.replaceChildren(...(group ? [h("span.tt-bias-given", {}, group.given.trimStart()), group.example] : []));
  }
  function prefixTable() {
    const curves = Object.entries(drawn.prefix);
    const lengths = [...new Set(curves.flatMap(([, curve]) => curve.at))].sort((a, b) => a - b);
    const at = (/** @type {any} */ curve, /** @type {number} */ length) => (curve.at.includes(length) ? biasCell(curve, curve.at.indexOf(length), 2) : "");
    return biasTable("Own prefixes against the data’s, with 95% bands", ["prefix length", ...curves.map(([name]) => BIAS_MEASURES[/** @type {keyof typeof BIAS_MEASURES} */ (name)])], [
      ...lengths.map((length) => [String(length), ...curves.map(([, curve]) => at(curve, length))]),
      ["all", ...curves.map(([name]) => { const [value, low, high] = drawn.overall[name]; return biasCell({ value: [value], low: [low], high: [high] }, 0, 2); })],
    ]);
  }
  function decoderTable() {
    const last = drawn.groups[0].excess.at.length - 1;
    const places = [...new Set([...[8, 32].map((step) => drawn.groups[0].excess.at.indexOf(step)).filter((i) => i > 0), last])];
    const heads = ["texts", "surprise, nats", "KL, nats", ...places.map((i) => `%ExAccErr after ${drawn.groups[0].excess.at[i]}`), `AccErr after ${drawn.length}`];
    return biasTable("Error gathered along the way, with 95% bands", heads, drawn.groups.map((/** @type {any} */ group) => [group.name, ...biasDots(group).middle.map((each, i) => fixed(each, i + 1)), ...places.map((i) => biasCell(group.excess, i, 1)), biasCell(group.acc_err, last, 1)]));
  }
  function drawStatus() {
    const { state, done, total } = get("status");
    const busy = state !== "idle";
    put(title, get("title"));
    liveBadge(badge, get("mode"), busy, `${drawn.oracle.name} is the truth, ${drawn.learner.name} the learner, ${drawn.texts} texts of each kind`);
    form.hidden = !get("can_live");
    put(button, busy ? "Stop" : "Measure here");
    attr(button, "disabled", asked.waiting && !busy);
    track.hidden = state !== "running";
    cssVar(bar, "--done", total ? done / total : 0);
    put(far, state === "loading" ? "Loading the models …" : busy ? `${Math.round((100 * done) / (total || 1))}%` : asked.waiting ? "Waiting for the kernel." : "");
    asked.show();
  }
  function onChoice() {
    draw();
    put(live, get("sentences")[2]);
  }
  for (const [field, names, value] of [[oracle, get("model_names"), get("model")], [learner, get("model_names"), get("learner")], [size, get("sizes"), 32]]) {
    field.replaceChildren(...names.map((/** @type {any} */ name) => h("option", {}, String(name))));
    field.value = value;
  }
  asked.listen([["change:record", onRecord], ["change:sentences", onChoice], ["change:measure", draw], ["change:scale", draw], ["change:decoder", draw]]);
  onRecord();
  for (const box of boxes) box.checked = drawn.groups.some((/** @type {any} */ group) => group.name === box.value);
  return () => asked.stop();
}

/** @param {string} caption @param {string[]} heads @param {string[][]} rows */
function biasTable(caption, heads, rows) {
  const cell = (/** @type {string} */ tag, /** @type {string} */ words, /** @type {number} */ i) => h(i ? `${tag}.tt-num` : tag, tag === "th" ? { scope: "col" } : {}, words);
  return h("table.tt-table", {}, h("caption.tt-h", {}, caption), h("thead", {}, h("tr", {}, ...heads.map((head, i) => cell("th", head, i)))), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((words, i) => cell("td", words, i))))));
}

export default { render: renderExposureBias };
