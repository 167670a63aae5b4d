// Three regressors side by side: what each looks at, what it guesses, what it writes, what the same texts cost it.

import { h, put, shape } from "./shared/dom.js";
import { count, fixed, percent, readPiece } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { scoreForm } from "./shared/score_form.js";

/** A part of a column: a label and what stands under it. @param {string} label @param {...(Node | string)} nodes */
const part = (label, ...nodes) => h("div.tt-reg-part", {}, h("h4.tt-label", {}, label), ...nodes);

/** Bars of the best next tokens. @param {[string, number][]} candidates @param {number} end */
function guessRows(candidates, end) {
  return h(
    "div.tt-reg-guesses",
    { role: "list" },
    ...candidates.map(([token, p], i) => h("div.tt-reg-guess", { role: "listitem", "data-first": i === 0 }, h("span.tt-words", {}, readPiece(token).shown), h("span.tt-reg-track", {}, h("i", { style: `width:${(p / end) * 100}%` })), h("span.tt-num", {}, percent(p)))),
  );
}

/** A prompt with what was written after it. @param {string} prompt @param {string} text @param {number} seed */
function written(prompt, text, seed) {
  return h("p.tt-reg-text.tt-words", {}, h("span.tt-reg-given", {}, prompt), h("span", {}, text), h("span.tt-note", {}, `  seed ${seed}`));
}

/** Past and rolled-forward numbers as a small line. @param {number[]} past @param {number[]} own */
function sparkline(past, own) {
  const top = Math.max(...past, ...own);
  const path = (/** @type {number[]} */ values, /** @type {number} */ at) => values.map((value, i) => `${i ? "L" : "M"}${at + i} ${(top - value).toFixed(1)}`).join("");
  const line = (/** @type {string} */ name, /** @type {string} */ d) => shape("path", { class: name, d });
  return shape("svg", { class: "tt-reg-spark", viewBox: `0 0 ${past.length + own.length} ${top}`, preserveAspectRatio: "none", role: "img", "aria-label": "The numbers before, and its own guesses after them, which die down to the mean" }, line("tt-reg-past", path(past, 0)), line("tt-reg-own", path([past[past.length - 1], ...own], past.length - 1)));
}

/** @param {{model: any, el: HTMLElement}} context */
function renderRegressors({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const seed = h("input.tt-field.tt-reg-seed", { type: "number", min: 0, step: 1, "aria-label": "Seed" });
  const form = scoreForm({
    labels: ["Text to go on from"],
    action: "Compare",
    send([text], name) {
      asked.ask({ type: "compare", text, seed: Number.isInteger(seed.valueAsNumber) ? seed.valueAsNumber : null, model: name });
      drawStatus();
    },
  });
  form.node.insertBefore(h("label.tt-label.tt-reg-seed-label", {}, "seed ", seed), form.node.querySelector("button"));
  const asked = inquiry({ model, draw: drawStatus });
  const columns = h("div.tt-reg-columns");
  const table = h("table.tt-table");
  const scores = h("div.tt-reg-scores", { tabindex: 0, role: "region", "aria-label": "Bits per byte of the same sentences" }, table);
  const refused = h("p.tt-reg-refused", { hidden: true });
  el.append(ownKeys(h("div.tt-root.tt-reg", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, refused, columns, h("h3.tt-h.tt-reg-scores-title", {}, "The same sentences, bits per byte"), scores))));
  /** @type {any} */
  let drawn = null;

  function build() {
    drawn = get("record");
    const { series, bigram, gpt2, prompt, seeds } = drawn;
    const [one, two] = series.coefficients;
    const sign = (/** @type {number} */ value) => `${value < 0 ? "−" : "+"} ${fixed(Math.abs(value), 2)}`;
    // One scale for both, or a table's 1% would look as sure as a network's 50%.
    const most = Math.max(...[...bigram.candidates, ...gpt2.candidates].map(([, p]) => p));
    const column = (/** @type {string} */ name, /** @type {string} */ kind, /** @type {(Node | string)[]} */ ...parts) => h("section.tt-reg-column", {}, h("h3.tt-reg-name", {}, name), h("p.tt-note", {}, kind), ...parts.flat());
    columns.replaceChildren(
      column("AR(2)", "numbers; a weighted sum; Yule 1927", [
        part("Looks at", h("p", {}, `the last two years: ${series.given.map((/** @type {number} */ each) => fixed(each, 1)).join(", ")}`)),
        part("One step", h("p", {}, `${fixed(series.constant, 1)} ${sign(one)} · ${fixed(series.given[1], 1)} ${sign(two)} · ${fixed(series.given[0], 1)} = `, h("b", {}, fixed(series.next, 1))), h("p.tt-note", {}, `${series.origin + 1} brought ${fixed(series.truth, 1)}`)),
        part("On its own guesses", sparkline(series.history, series.own), h("p.tt-note", {}, `sunspot numbers, ${series.origin - series.history.length + 1} to ${series.origin + series.own.length}: without noise it dies down`)),
        part("Misses by", h("p.tt-reg-bits", {}, h("b", {}, fixed(series.spread, 1)), h("span.tt-note", {}, " spread of the residuals, in sunspot numbers"))),
      ]),
      column("2-gram", `tokens; a table of ${count(drawn.pairs)} pairs; Markov 1913, Shannon 1948`, drawn.refused ? [] : [
        part("Looks at", h("p", {}, "the last token: ", h("span.tt-words.tt-reg-seen", {}, readPiece(bigram.given).shown))),
        part("One step", guessRows(bigram.candidates, most)),
        part("On its own guesses", ...bigram.texts.map((/** @type {string} */ text, /** @type {number} */ i) => written(prompt, text, seeds[i]))),
        part("All sentences below", h("p.tt-reg-bits", {}, h("b", {}, fixed(get("bits")[0], 2)), h("span.tt-note", {}, " bits per byte"))),
      ]),
      column("GPT-2", `tokens; a network of ${count(drawn.model.n_parameters)} learned numbers; ${drawn.model.name}`, [
        part("Looks at", h("p", {}, "all tokens: ", h("span.tt-words.tt-reg-seen", {}, gpt2.given))),
        part("One step", guessRows(gpt2.candidates, most)),
        part("On its own guesses", ...gpt2.texts.map((/** @type {string} */ text, /** @type {number} */ i) => written(prompt, text, seeds[i]))),
        part("All sentences below", h("p.tt-reg-bits", {}, h("b", {}, fixed(get("bits")[1], 2)), h("span.tt-note", {}, " bits per byte"))),
      ]),
    );
    refused.hidden = !drawn.refused;
    put(refused, drawn.refused);
    const bits = (/** @type {number | null} */ value) => (value === null ? "not counted" : fixed(value, 2));
    table.replaceChildren(
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "sentence"), ...["2-gram", "GPT-2"].map((name) => h("th.tt-num", { scope: "col" }, name)))),
      h("tbody", {}, ...drawn.sentences.map((/** @type {any} */ row) => h("tr", {}, h("td.tt-words", {}, row.text), h("td.tt-num", {}, bits(row.bigram)), h("td.tt-num", {}, bits(row.gpt2))))),
    );
  }
  function drawStatus() {
    const { state } = get("status");
    put(title, get("title"));
    liveBadge(badge, get("mode"), state !== "idle", drawn.model.name);
    form.node.hidden = !get("can_live");
    form.show(state, asked.waiting);
    asked.show();
  }
  function onRecord() {
    if (get("record") === drawn) return;
    build();
    form.fill([drawn.prompt], get("model_names"), get("model"));
    seed.value = drawn.seeds[0];
    drawStatus();
  }
  asked.listen([["change:bits", onRecord], ["change:record", onRecord]]);
  onRecord();
  return () => {
    asked.stop();
  };
}

export default { render: renderRegressors };
