// The cache as a grid: a column a position, a row a layer, its halves the key and the value.

import { attr, cssVar, h, icon, put, segments } from "./shared/dom.js";
import { clamp, count, readPiece } from "./shared/format.js";
import { playClock } from "./shared/clock.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { raceForm } from "./shared/race_form.js";

const COLUMN_MS = 800;
const ROWS_SHOWN = 6;
const FATES = {
  pre: "cached when the prompt was read",
  dec: "cached while writing",
  new: "new at this step",
  redo: "computed again at this step",
  stale: "must be computed anew",
  free: "not there yet",
};

/** Layers that get a row; null stands for those left out. @param {number} n @returns {(number | null)[]} */
export function layerRows(n) {
  const all = Array.from({ length: n }, (_, layer) => layer);
  return n <= ROWS_SHOWN ? all : [0, 1, 2, null, n - 2, n - 1];
}

/** Bytes as a person would say them. @param {number} n */
export function sayBytes(n) {
  if (n < 1024) return `${n} B`;
  const power = n < 2 ** 20 ? 1 : n < 2 ** 30 ? 2 : 3;
  const value = n / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(power > 1 ? 2 : 1)} ${["KiB", "MiB", "GiB"][power - 1]}`;
}

/**
 * What became of one half of a cell at a step.
 *
 * @param {{prompt: number, step: number, cache: boolean, edit: {changed: string[]} | null}} at
 * @param {number} layer
 * @param {number} place
 * @returns {keyof typeof FATES}
 */
export function fateOf({ prompt, step, cache, edit }, layer, place) {
  const end = prompt + step;
  if (place >= end) return "free";
  if (edit) return edit.changed[layer][place] === "1" ? "stale" : place < prompt ? "pre" : "dec";
  if (step && place === end - 1) return "new";
  if (step && !cache) return "redo";
  return place < prompt ? "pre" : "dec";
}

/** What a step did, in a sentence. @param {any} run @param {number} step @param {boolean} cache @param {string} name of the token that was read */
export function sayStep(run, step, cache, name) {
  const n = run.length[step];
  if (!step) return `Prefill: one pass reads the ${n} tokens of the prompt and fills ${n} columns in every layer.`;
  if (cache) return `Pass ${step} reads one token, ${name}, and adds one column; the ${n - 1} columns before it stay.`;
  return `Without the cache, pass ${step} reads all ${n} tokens again: ${n - 1} columns are computed a second time to add one.`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderCacheGrid({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const form = raceForm({
    send: (prompt, _n, name) => (stop(), asked.ask({ type: "race", prompt, model: name }), drawStatus()),
    stop: () => model.send({ type: "stop" }),
  });
  const asked = inquiry({ model, draw: drawStatus });
  const formula = h("div.tt-cachegrid-formula");
  const words = h("div.tt-cachegrid-row", { role: "presentation" });
  const layers = h("div.tt-cachegrid-row");
  const braces = h("div.tt-cachegrid-row", { "aria-hidden": "true" });
  const grid = h("div.tt-cachegrid-grid", { role: "grid", "aria-label": "Cache: layers by positions", mouseleave: () => tell(null) }, words, layers, braces);
  const scroll = h("div.tt-cachegrid-scroll", {}, grid);
  const tip = h("p.tt-note.tt-cachegrid-tip");
  const sentence = h("p.tt-cachegrid-say", { role: "status" });
  const button = (/** @type {any} */ name, /** @type {string} */ label, /** @type {() => void} */ act) => h("button.tt-btn", { "aria-label": label, "data-main": name === "play", click: act }, icon(name));
  const play = button("play", "Play", toggle);
  const range = h("input.tt-cachegrid-range", { type: "range", min: 0, "aria-label": "Pass", input: () => go(Number(range.value)) });
  const switches = segments("Cache", [{ value: true, text: "cache on" }, { value: false, text: "cache off" }], (value) => (setTrait("cache", value), putBack()));
  const back = h("button.tt-btn", { "data-line": true, hidden: true, click: putBack }, "Put the token back");
  const controls = h("div.tt-cachegrid-controls", {}, button("first", "The prompt’s pass", () => go(0)), button("back", "One pass back", () => go(step - 1)), play, button("forward", "One pass forward", () => go(step + 1)), button("last", "The last pass", () => go(last())), range, switches.node, back);
  const key = (/** @type {string} */ fate, /** @type {string} */ text) => h("span", {}, h("i.tt-cachegrid-key", { "data-fate": fate }), text);
  const again = h("span");
  const hatch = h("span", {}, h("i.tt-cachegrid-key", { "data-fate": "redo" }), again);
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const legend = h("p.tt-cachegrid-legend.tt-note", {}, key("pre", "cached at prefill"), key("dec", "cached while writing"), key("new", "new at this step"), hatch, h("span", {}, "Click a word to replace it."), tableToggle);
  const meters = h("div.tt-cachegrid-meters");
  const counts = h("p.tt-note");
  const twin = h("div.tt-cachegrid-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The run as a table" });
  const root = ownKeys(h("div.tt-root.tt-cachegrid", { keydown: onKey }, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, formula, controls, sentence, scroll, tip, legend, meters, counts, twin)));
  el.append(root);

  /** @type {any} */
  let drawn = null;
  let step = get("step");
  /** @type {HTMLElement[][]} rows of half-cells, each as long as the text */
  let halves = [];
  let focused = [0, 0];
  const clock = playClock({ last: () => last(), duration: () => COLUMN_MS, show: (at, _ms, done) => done && draw(at), end: stop });
  const run = () => get("run");
  const last = () => run().tokens.length - 1;
  const ids = () => [...run().prompt_tokens, ...run().tokens.slice(0, -1)];
  const piece = (/** @type {number} */ token) => readPiece(run().vocabulary[token]);
  const editOf = () => (get("edited") < 0 ? null : run().edits[get("edited")]);
  const now = () => ({ prompt: run().prompt_tokens.length, step, cache: get("cache"), edit: editOf() });

  /** @param {string} name @param {any} value */
  function setTrait(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  function toggle() {
    if (clock.running) return stop();
    putBack();
    const from = step >= last() ? 0 : step;
    draw(from);
    clock.start(from + 1);
    drawPlay();
  }
  function stop() {
    clock.stop();
    drawPlay();
    if (step !== get("step")) setTrait("step", step);
  }
  /** @param {number} to */
  function go(to) {
    putBack();
    draw(clamp(to, 0, last()));
    stop();
  }
  /** Put another token at a place: the last pass is shown, so that all that is spoiled can be seen. @param {number} place */
  function edit(place) {
    if (!run().edits.length) return;
    const chosen = place === get("edited") ? -1 : place;
    draw(last());
    stop();
    setTrait("edited", chosen);
  }
  function putBack() {
    if (get("edited") >= 0) setTrait("edited", -1);
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (grid.contains(target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const [row, place] = focused;
      const to = { ArrowRight: [row, place + 1], ArrowLeft: [row, place - 1], ArrowDown: [row + 1, place], ArrowUp: [row - 1, place], Home: [row, 0], End: [row, run().length[step] - 1] }[event.key];
      if (to) focusCell(to);
      else if (event.key === "Enter" && target.role === "gridcell") edit(place);
      else if (event.key === "Escape") putBack();
      else return;
      event.preventDefault();
      return;
    }
    const act = { play: target instanceof HTMLButtonElement ? null : toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(last()), home: putBack }[keyAction(event)];
    if (!act) return;
    event.preventDefault();
    act();
  }
  /** @param {number[]} to */
  function focusCell([row, place]) {
    attr(halves[focused[0]][focused[1]], "tabindex", -1);
    focused = [clamp(row, 0, halves.length - 1), clamp(place, 0, run().length[step] - 1)];
    const cell = halves[focused[0]][focused[1]];
    attr(cell, "tabindex", 0);
    cell.focus();
  }
  /** A cell that has the focus says what it is, also aloud. @param {number[]} at */
  function heard(at) {
    attr(halves[at[0]][at[1]], "aria-label", describe(at));
    tell(at);
  }
  /** @param {number[]} at */
  function describe([row, place]) {
    const { n_layer, n_kv_head, d_head, n_bytes } = run().shape;
    const layer = Number(halves[row][0].dataset.layer);
    const half = n_kv_head * d_head * n_bytes;
    const fate = FATES[fateOf(now(), layer, place)];
    const whole = count(2 * n_layer * half);
    return `Layer ${layer}, ${row % 2 ? "value" : "key"} of position ${place}, ${piece(ids()[place]).name}: ${n_kv_head} heads × ${d_head} numbers × ${n_bytes} bytes = ${count(half)} bytes, ${fate}. The whole column, ${n_layer} layers: ${whole} bytes.`;
  }
  /** @param {number[] | null} at */
  function tell(at) {
    put(tip, describe(at ?? [0, get("edited") < 0 ? run().length[step] - 1 : get("edited")]));
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(tableToggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }
  function drawPlay() {
    play.replaceChildren(icon(clock.running ? "pause" : "play"));
    attr(play, "aria-label", clock.running ? "Pause" : "Play");
  }

  /** A new run: its rows and columns. */
  function build() {
    drawn = run();
    const [text, p] = [ids(), drawn.prompt_tokens.length];
    cssVar(grid, "--p", p);
    cssVar(grid, "--d", Math.max(1, text.length - p));
    attr(range, "max", last());
    const gap = (/** @type {number} */ place) => place === p && h("span");
    const along = (/** @type {(place: number) => HTMLElement} */ make) => text.flatMap((/** @type {number} */ _, /** @type {number} */ place) => [gap(place), make(place)]).filter(Boolean);
    words.replaceChildren(h("span"), h("span"), ...along((place) => h("button.tt-cachegrid-word", { tabindex: -1, title: "Replace this token", click: () => edit(place) }, h("span.tt-words"))));
    halves = [];
    layers.replaceChildren(
      ...layerRows(drawn.shape.n_layer).map((layer) => {
        if (layer === null) return h("span.tt-cachegrid-more.tt-note", {}, `⋮ ${drawn.shape.n_layer - ROWS_SHOWN + 1} more layers, just as large`);
        const pair = ["K", "V"].map((name, half) => {
          const row = halves.length;
          const cells = text.map((/** @type {number} */ _, /** @type {number} */ place) => h("i", { role: "gridcell", "data-layer": layer, "data-half": name, tabindex: -1, click: () => edit(place), mouseenter: () => tell([row, place]), focus: () => heard([row, place]) }));
          halves.push(cells);
          const label = h("span.tt-cachegrid-layer", {}, half ? "" : layer ? String(layer) : "layer 0");
          return h("div.tt-cachegrid-row", { role: "row", "data-half": name }, label, h("span.tt-cachegrid-half.tt-note", {}, name), ...along((place) => cells[place]));
        });
        return h("div.tt-cachegrid-row", { role: "presentation" }, ...pair);
      }),
    );
    focused = [0, 0];
    attr(halves[0][0], "tabindex", 0);
  }

  /** @param {number} at */
  function draw(at) {
    step = at;
    const [data, state] = [run(), now()];
    const n = data.length[step];
    const chosen = get("edited");
    range.value = String(step);
    attr(range, "aria-valuetext", step ? `pass ${step} of ${last()}` : "the prompt’s pass");
    switches.press(get("cache"));
    back.hidden = chosen < 0;
    put(again, chosen < 0 ? "computed again" : "must be computed anew");
    [...words.querySelectorAll("button")].forEach((word, place) => {
      const edited = place === chosen;
      attr(word, "data-given", place < state.prompt);
      attr(word, "data-now", edited || (chosen < 0 && step > 0 && place === n - 1));
      word.disabled = place >= n;
      put(/** @type {Element} */ (word.firstElementChild), place < n ? piece(edited ? data.edits[chosen].token : ids()[place]).shown : "");
    });
    halves.forEach((row) => row.forEach((cell, place) => attr(cell, "data-fate", fateOf(state, Number(cell.dataset.layer), place))));
    drawBraces(state.prompt);
    drawFormula(n);
    drawMeters();
    put(sentence, chosen < 0 ? sayStep(data, step, get("cache"), piece(ids()[n - 1]).name) : get("edit_sentences")[chosen]);
    tell(null);
    reveal(halves[0][chosen < 0 ? n - 1 : chosen]);
    drawTwin();
  }
  /** Where the grid is wider than its place, bring a column into view. @param {HTMLElement} cell */
  function reveal(cell) {
    if (scroll.scrollWidth <= scroll.clientWidth) return;
    const place = cell.getBoundingClientRect().left - grid.getBoundingClientRect().left;
    scroll.scrollLeft = Math.max(0, place - 0.7 * scroll.clientWidth);
  }
  /** @param {number} p */
  function drawBraces(p) {
    const prefill = h("span.tt-cachegrid-brace", { style: `grid-column: 3 / span ${p}` }, h("span", {}, `prefill: ${p} ${p === 1 ? "column" : "columns"} in one pass`));
    const decode = step > 0 && h("span.tt-cachegrid-brace", { style: `grid-column: ${p + 4} / span ${step}` }, h("span", {}, step < 5 ? `decode: ${step}` : `decode: ${step} columns, ${step} passes`));
    braces.replaceChildren(...[prefill, decode].filter(Boolean));
  }
  /** @param {number} n */
  function drawFormula(n) {
    const { n_layer, n_kv_head, d_head, n_bytes } = run().shape;
    const factors = [[2, "", "K and V"], [n_layer, "L", "layers"], [n_kv_head, "n", "KV heads", "kv"], [d_head, "d", "head size", "head"], [n, "n", "positions"], [1, "B", "texts"], [n_bytes, "b", `bytes, ${run().model.precision}`]];
    const shown = factors.map(([value, letter, name, low], i) => h("span.tt-cachegrid-factor", { "data-now": i === 4 }, h("b", {}, String(value)), h("em.tt-words", {}, String(letter), low && h("sub", {}, String(low))), h("span", {}, String(name))));
    const row = h("div.tt-cachegrid-factors", {}, ...shown.flatMap((each, i) => [i ? h("span.tt-cachegrid-times", { "aria-hidden": "true" }, "×") : null, each]));
    const [by, live] = [run().formula_bytes[step], run().nbytes[step]];
    const sides = h("div.tt-cachegrid-sides", {}, h("span", {}, h("b", {}, count(by)), h("span", {}, `bytes by the formula, ${sayBytes(by)}`)), h("span.tt-cachegrid-equals", { "data-agree": by === live }, by === live ? "=" : "≠"), h("span", {}, h("b", {}, count(live)), h("span", {}, "bytes of the live tensors", h("span.tt-cachegrid-agree", { "data-agree": by === live }, by === live ? " ✓ agree" : " differ"))));
    formula.replaceChildren(row, sides);
  }
  function drawMeters() {
    const { counted } = run();
    const meter = (/** @type {string} */ name, /** @type {string} */ way, /** @type {string} */ label, /** @type {string} */ unit) => {
      const [value, most] = [counted[way][name][step], counted.uncached[name][last()]];
      return h("div.tt-cachegrid-meter", {}, h("span", {}, label), h("span.tt-cachegrid-meter-track", {}, h("i", { "data-way": way, "--w": value / most })), h("b.tt-num", {}, `${count(value)} ${unit}`));
    };
    const group = (/** @type {string} */ head, /** @type {string} */ name, /** @type {string} */ unit) => h("section", {}, h("h3.tt-h", {}, head), meter(name, "cached", "with cache", unit), meter(name, "uncached", "without", unit));
    meters.replaceChildren(group("Keys and values computed so far, in each layer", "projections", "columns"), group("Queries set against keys so far, in each head", "pairs", "pairs"));
  }
  function drawTwin() {
    if (twin.hidden) return;
    const { counted, length, formula_bytes, nbytes, tokens } = run();
    const heads = ["pass", "columns", "bytes, formula", "bytes, measured", "K and V computed, with cache", "without", "pairs, with cache", "without", "token written"];
    const rows = length.map((/** @type {number} */ n, /** @type {number} */ k) => {
      const cells = [k, n, formula_bytes[k], nbytes[k], ...["projections", "pairs"].flatMap((name) => ["cached", "uncached"].map((way) => counted[way][name][k]))];
      return h("tr", { "aria-current": k === step && "step" }, ...cells.map((value) => h("td.tt-num", {}, count(value))), h("td.tt-words", {}, piece(tokens[k]).shown));
    });
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((text, i) => h(i < 8 ? "th.tt-num" : "th", { scope: "col" }, text)))), h("tbody", {}, ...rows)));
  }
  function drawStatus() {
    put(title, get("title"));
    liveBadge(badge, get("mode"), get("status").state !== "idle", run().model.name);
    form.node.hidden = !get("can_live");
    form.show(get("status"), asked.waiting);
    asked.show();
  }
  function onRun() {
    if (run() !== drawn) {
      clock.stop();
      build();
      form.fill(run().prompt, get("model_names"), get("model"));
    }
    put(counts, get("counts"));
    draw(clamp(get("step"), 0, last()));
    drawStatus();
  }
  const redraw = () => run() === drawn && draw(clock.running ? step : clamp(get("step"), 0, last()));
  asked.listen([["change:run", onRun], ["change:step", redraw], ["change:cache", redraw], ["change:edited", redraw], ["change:edit_sentences", redraw]]);
  onRun();
  return () => {
    clock.stop();
    asked.stop();
  };
}

export default { render: renderCacheGrid };
