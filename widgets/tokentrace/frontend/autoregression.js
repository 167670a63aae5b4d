// A series, a fit on its own past, and its guesses after a year: given the truth, and on its own guesses.

import { attr, h, put, segments, shape } from "./shared/dom.js";
import { fixed } from "./shared/format.js";
import { ownKeys } from "./shared/own_keys.js";

const BEFORE = 60; // years of history that are drawn
const SEND_MS = 60;

/**
 * A line through yearly values as an SVG path in units of years and of the axis.
 *
 * @param {number[]} values
 * @param {number} at the year of the first one, counted from the left edge
 * @param {[number, number]} axis lowest and highest value
 */
export function yearPath(values, at, [low, high]) {
  return values.map((value, i) => `${i ? "L" : "M"}${at + i} ${(high - value).toFixed(2)}`).join("");
}

/** Round ends of an axis that holds all values. @param {number[]} values @returns {[number, number]} */
export function seriesAxis(values) {
  return [Math.min(0, Math.floor(Math.min(...values) / 50) * 50), Math.max(50, Math.ceil(Math.max(...values) / 50) * 50)];
}

/** The fit as a formula. @param {{constant: number, coefficients: number[]}} fit */
export function saySeriesFit({ constant, coefficients }) {
  const terms = coefficients.map((each, i) => ` ${each < 0 ? "−" : "+"} ${fixed(Math.abs(each), 2)}·x(t−${i + 1})`);
  return `x(t) = ${fixed(constant, 1)}${terms.join("")}`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderSeries({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const title = h("h2.tt-title");
  const badge = h("span.tt-badge", { "data-kind": "live" }, h("b", {}, "LIVE"), " least squares");
  const slider = (/** @type {string} */ name, /** @type {number} */ low, /** @type {number} */ high) => {
    const said = h("b");
    const input = h("input", { type: "range", min: low, max: high, step: 1, input: () => (put(said, input.value), send(name, Number(input.value))) });
    return { input, said };
  };
  const order = slider("order", get("orders")[0], get("orders")[1]);
  const origin = slider("origin", get("origins")[0], get("origins")[1]);
  order.input.setAttribute("aria-label", "Order p: years it looks back");
  origin.input.setAttribute("aria-label", "Last year it is told");
  const noise = segments("Noise", [{ value: false, text: "no noise" }, { value: true, text: "with drawn residuals" }], (value) => send("noisy", value));
  const again = h("button.tt-btn", { "data-line": true, click: () => send("seed", get("seed") + 1) }, "Draw again");
  const controls = h("div.tt-ar-controls", {}, h("label", {}, h("span.tt-label", {}, "looks back p = ", order.said, " years"), order.input), h("label", {}, h("span.tt-label", {}, "told the truth up to ", origin.said), origin.input), noise.node, again);
  const formula = h("p.tt-ar-formula");
  const lines = Object.fromEntries(["truth", "given", "own"].map((name) => [name, shape("path", { class: `tt-ar-${name}` })]));
  const svg = shape("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, ...Object.values(lines));
  const now = h("i.tt-ar-now");
  const grid = h("div.tt-ar-grid");
  const yearsAxis = h("div.tt-ar-years.tt-note");
  const valuesAxis = h("div.tt-ar-values.tt-note");
  const plot = h("div.tt-ar-plot", { role: "img" }, grid, svg, now);
  const key = (/** @type {string} */ name, /** @type {string} */ text) => h("span", {}, h(`i.tt-ar-key.tt-ar-key-${name}`), text);
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const ownKey = h("span");
  const legend = h("p.tt-note.tt-ar-legend", {}, key("truth", "what was observed"), key("given", "guess, given the true years before it"), h("span", {}, h("i.tt-ar-key.tt-ar-key-own"), ownKey), tableToggle);
  const sentence = h("p.tt-ar-say", { role: "status" });
  const tiles = h("dl.tt-stats.tt-ar-stats");
  const twin = h("div.tt-ar-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The guesses as a table" });
  const chart = h("div.tt-ar-chart", {}, h("span.tt-ar-unit.tt-note", {}, "sunspot number, yearly mean"), valuesAxis, plot, yearsAxis);
  const caption = h("p.tt-note.tt-ar-caption");
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  el.append(ownKeys(h("div.tt-root.tt-ar", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), problem, controls, formula, chart, legend, sentence, tiles, caption, twin))));

  let sending = 0;
  /** @type {Record<string, any>} */
  let wishes = {};
  /** @param {string} name @param {any} value */
  function send(name, value) {
    wishes[name] = value;
    clearTimeout(sending);
    sending = setTimeout(() => {
      for (const each in wishes) model.set(each, wishes[each]);
      wishes = {};
      model.save_changes();
    }, SEND_MS);
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(tableToggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }

  /** @param {string} label @param {string} value @param {string} unit @param {string} words */
  const tile = (label, value, unit, words) => h("div.tt-stat", {}, h("dt", {}, label), h("dd.tt-stat-value", {}, value, h("small", {}, unit)), h("dd.tt-note", {}, words));

  function draw() {
    const [found, first, values, noisy] = ["forecast", "first", "values", "noisy"].map(get);
    const start = Math.max(first, found.origin - BEFORE);
    const own = noisy ? found.noisy : found.own;
    const end = found.origin + own.length;
    const observed = values.slice(start - first, end - first + 1);
    const last = values[found.origin - first];
    const axis = seriesAxis([...observed, ...found.given, ...own]);
    attr(svg, "viewBox", `0 0 ${end - start} ${axis[1] - axis[0]}`);
    attr(lines.truth, "d", yearPath(observed, 0, axis));
    // Both begin at the last true value: what they hang on.
    attr(lines.given, "d", yearPath([last, ...found.given], found.origin - start, axis));
    attr(lines.own, "d", yearPath([last, ...own], found.origin - start, axis));
    const across = (/** @type {number} */ year) => ((year - start) / (end - start)) * 100;
    now.style.left = `${across(found.origin)}%`;
    const years = Array.from({ length: end - start + 1 }, (_, i) => start + i).filter((year) => year % 20 === 0);
    yearsAxis.replaceChildren(...years.map((year) => h("span", { style: `left:${across(year)}%` }, String(year))));
    const levels = [];
    for (let level = axis[0]; level <= axis[1]; level += axis[1] - axis[0] > 300 ? 100 : 50) levels.push(level);
    const down = (/** @type {number} */ level) => ((axis[1] - level) / (axis[1] - axis[0])) * 100;
    valuesAxis.replaceChildren(...levels.map((level) => h("span", { style: `top:${down(level)}%` }, fixed(level, 0))));
    grid.replaceChildren(...levels.map((level) => h("i", { style: `top:${down(level)}%`, "data-zero": level === 0 })));
    put(ownKey, noisy ? "on its own guesses, a drawn residual added to each" : "on its own guesses");
    attr(plot, "aria-label", get("sentence"));
    put(sentence, get("sentence"));
    put(formula, saySeriesFit(found));
    tiles.replaceChildren(
      tile("Period", found.period ? fixed(found.period, 1) : "none", found.period ? "years" : "", "of its own wave, from the roots"),
      tile("Wave kept each year", fixed(found.damping, 2), "", "the rest dies down"),
      tile("Spread of the residuals", fixed(found.spread, 1), "", "what it cannot tell one year ahead"),
      tile("Missed by, given / own", `${fixed(found.given_error, 0)} / ${fixed(found.own_error, 0)}`, "", "root mean square, years after the line"),
    );
    const [from, to] = get("fitted");
    put(caption, `Fitted by least squares to ${from}–${to}, the years that Yule had; the line marks the last true year the second guess is told. Yearly means, Zürich series.`);
    for (const [{ input, said }, name] of /** @type {[any, string][]} */ ([[order, "order"], [origin, "origin"]])) {
      if (!(name in wishes)) {
        input.value = get(name);
        put(said, String(get(name)));
      }
    }
    noise.press(noisy);
    again.hidden = !noisy;
    put(title, get("title"));
    problem.hidden = !get("error");
    put(problem, get("error"));
    drawTwin();
  }

  function drawTwin() {
    if (twin.hidden) return;
    const [found, first, values, noisy] = ["forecast", "first", "values", "noisy"].map(get);
    const own = noisy ? found.noisy : found.own;
    const rows = own.map((/** @type {number} */ value, /** @type {number} */ i) => {
      const truth = values[found.first + i - first];
      return [String(found.first + i), truth === undefined ? "—" : fixed(truth, 1), found.given[i] === undefined ? "—" : fixed(found.given[i], 1), fixed(value, 1)];
    });
    const heads = ["year", "observed", "given the truth", "on its own guesses"].map((text) => h("th.tt-num", { scope: "col" }, text));
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows.map((/** @type {string[]} */ row) => h("tr", {}, ...row.map((cell) => h("td.tt-num", {}, cell)))))));
  }

  const heard = ["forecast", "sentence", "noisy", "order", "origin", "error"].map((name) => `change:${name}`);
  for (const name of heard) model.on(name, draw);
  draw();
  return () => {
    clearTimeout(sending);
    for (const name of heard) model.off(name, draw);
  };
}

export default { render: renderSeries };
