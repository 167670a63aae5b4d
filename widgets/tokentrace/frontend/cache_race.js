// Two lanes in measured time: a block a pass, as wide as it took; and what both ways differ in.

import { attr, cssVar, h, put, segments } from "./shared/dom.js";
import { lineChart, roundTicks } from "./shared/chart.js";
import { count, fixed, readPiece } from "./shared/format.js";
import { playClock } from "./shared/clock.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { raceForm } from "./shared/race_form.js";
import { tiny } from "./shared/tiny.js";

const WAYS = [["cached", "with the cache"], ["uncached", "without"]];
const RACE_SPEEDS = [
  { value: 1, text: "true time" },
  { value: 10, text: "10 times slower" },
];
const COUNTED = [
  ["projections", "positions whose K and V each layer computed"],
  ["pairs", "query–key pairs each head looked at"],
];

/** When each pass ended, from the start of the run. @param {number[]} ms */
export function passEnds(ms) {
  let sum = 0;
  return ms.map((each) => (sum += each));
}

/** How many passes were over at a time. @param {number[]} ends @param {number} at */
export function passesBy(ends, at) {
  return ends.filter((end) => end <= at + 1e-9).length;
}

/** Milliseconds as a reader takes them in. @param {number} ms */
export function sayMs(ms) {
  return ms < 10 ? `${fixed(ms, 1)} ms` : ms < 10_000 ? `${count(Math.round(ms))} ms` : `${fixed(ms / 1000, 1)} s`;
}

/** The last characters of a text, from a blank on. @param {string} text @param {number} [most] */
export function tail(text, most = 90) {
  if (text.length <= most) return text;
  const cut = text.slice(-most);
  return `… ${cut.slice(cut.indexOf(" ") + 1)}`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderCacheRace({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const form = raceForm({
    lengths: get("lengths"),
    send: (prompt, n, name) => (stop(), asked.ask({ type: "race", prompt, n, model: name }), drawStatus()),
    stop: () => model.send({ type: "stop" }),
  });
  const asked = inquiry({ model, draw: drawStatus });
  const start = h("button.tt-btn", { "data-line": true, click: toggle }, "Run the race");
  const speeds = segments("Speed", RACE_SPEEDS, (value) => (stop(), (slower = value), speeds.press(value)));
  const clockText = h("span.tt-note.tt-race-clock");
  const head = h("div.tt-race-head", {}, start, speeds.node, clockText);
  const lanes = WAYS.map(([way, name]) => {
    const [blocks, done, needle, text, tokens] = [h("div.tt-race-blocks", { "data-way": way }), h("span.tt-race-done"), h("i.tt-race-needle"), h("p.tt-race-text.tt-words"), h("b")];
    const node = h("div.tt-race-lane", {}, h("span.tt-race-name", {}, name), h("div.tt-race-place", {}, h("div.tt-race-inner", {}, blocks, done, needle)), h("span.tt-race-num.tt-note", {}, tokens, " tokens"), text);
    return { way, node, blocks, done, needle, text, tokens, ends: /** @type {number[]} */ ([]), shown: -1 };
  });
  const axis = h("div.tt-race-axis.tt-note", { "aria-hidden": "true" });
  const legend = h("p.tt-note.tt-race-legend", {}, h("span", {}, h("i", { "data-key": "cached" }), "a pass that reads one token"), h("span", {}, h("i", { "data-key": "first" }), "the prompt’s pass"), h("span", {}, h("i", { "data-key": "uncached" }), "a pass that reads all again"));
  const which = h("p.tt-note");
  const sentence = h("p.tt-race-say", { role: "status" });
  const chart = lineChart({ label: "Milliseconds of each pass against its position, with the cache and without", height: 260 });
  const body = h("tbody");
  const counts = h("p.tt-note");
  const work = h("table.tt-table.tt-race-work", {}, h("thead", {}, h("tr", {}, ...["work of the whole run", "without", "with the cache", "times less"].map((text, i) => h(i ? "th.tt-num" : "th", { scope: "col" }, text)))), body);
  const beyond = segments("Tokens, by the formula", get("run").beyond.map((/** @type {{n: number}} */ { n }) => ({ value: n, text: count(n) })), (n) => ((formulaFor = n), drawBeyond()));
  const beyondText = h("p.tt-race-beyond-say");
  const formulas = h("div.tt-race-beyond", {}, h("span.tt-badge", { "data-kind": "recorded" }, h("b", {}, "FORMULA ONLY")), h("span.tt-note", {}, "tokens written from one:"), beyond.node, beyondText);
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("div.tt-race-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "Passes as a table" });
  const root = ownKeys(h("div.tt-root.tt-race", { keydown: onKey }, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, head, h("div.tt-race-lanes", {}, ...lanes.map(({ node }) => node), axis), legend, which, sentence, h("h3.tt-h", {}, "Each pass"), chart.node, tableToggle, twin, h("h3.tt-h.tt-race-h", {}, "What was computed"), work, counts, formulas)));
  el.append(root);

  let slower = 1;
  let formulaFor = 1000;
  /** @type {any} */
  let drawn = null;
  /** @type {number[]} when a pass of either lane ends */
  let moments = [];
  const run = () => get("run");
  const clock = playClock({
    last: () => moments.length - 1,
    duration: (i) => (moments[i] - (moments[i - 1] ?? 0)) * slower,
    show: (i, ms, done) => drawAt(done ? moments[i] : (moments[i - 1] ?? 0) + ms / slower),
    end: stop,
  });
  /** Characters that a line below a lane has room for. */
  const room = () => Math.round((lanes[0].text.clientWidth || 500) / (8 * (Number(getComputedStyle(root).getPropertyValue("--tt-k")) || 1)));
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const finish = () => moments[moments.length - 1];

  function toggle() {
    if (clock.running) return stop();
    if (still()) return drawAt(finish());
    drawAt(0);
    clock.start(0);
    put(start, "Stop");
    attr(root, "data-running", true);
  }
  function stop() {
    clock.stop();
    put(start, "Run the race");
    attr(root, "data-running", null);
    if (drawn) drawAt(finish());
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (keyAction(event) !== "play" || event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    toggle();
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(tableToggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }

  /** A new run: blocks, axis, chart, tables. */
  function build() {
    drawn = run();
    const ends = lanes.map((lane) => (lane.ends = passEnds(drawn[`${lane.way}_ms`][drawn.replay[lane.way]])));
    const whole = Math.max(...ends.map((each) => each[each.length - 1]));
    moments = [...new Set(ends.flat())].sort((a, b) => a - b);
    for (const lane of lanes) {
      const ms = drawn[`${lane.way}_ms`][drawn.replay[lane.way]];
      lane.blocks.replaceChildren(...ms.map((/** @type {number} */ each, /** @type {number} */ k) => h("i", { "data-first": !k, title: `pass ${k}: ${sayMs(each)}`, style: `left:${((100 * (lane.ends[k] - each)) / whole).toFixed(3)}%;width:${((100 * each) / whole).toFixed(3)}%` })));
      cssVar(lane.node, "--whole", whole);
      cssVar(lane.node, "--end", lane.ends[lane.ends.length - 1] / whole);
      lane.shown = -1;
    }
    axis.replaceChildren(h("span"), h("div", {}, ...roundTicks(0, whole).map((tick) => h("span", { style: `left:${(100 * tick) / whole}%` }, tick ? sayMs(tick) : "0"))), h("span"));
    const rounds = drawn.cached_ms.length;
    put(which, `Replayed is the middle one of ${rounds} rounds of each way, as it happened; in brackets the least and the most of all rounds.`);
    drawChart();
    drawWork();
    drawBeyond();
  }
  /** @param {number} at milliseconds of the run */
  function drawAt(at) {
    const all = at >= finish() - 1e-9;
    for (const lane of lanes) {
      const end = lane.ends[lane.ends.length - 1];
      const passes = passesBy(lane.ends, at);
      cssVar(lane.node, "--at", Math.min(at, end).toFixed(2));
      lane.needle.hidden = all || at >= end;
      if (passes !== lane.shown) {
        lane.shown = passes;
        const written = (lane.way === "cached" ? drawn.tokens : drawn.uncached_tokens).slice(0, passes);
        put(lane.tokens, String(passes));
        put(lane.text, tail(written.map((/** @type {number} */ token) => spelled(token)).join("").replace(/\s+/g, " "), room()));
      }
      const over = at >= end - 1e-9;
      lane.done.hidden = !over;
      if (!over) continue;
      const totals = drawn[`${lane.way}_ms`].map((/** @type {number[]} */ row) => row.reduce((sum, each) => sum + each, 0));
      lane.done.replaceChildren(h("b", {}, sayMs(end)), h("span", {}, ` (${sayMs(Math.min(...totals))} to ${sayMs(Math.max(...totals))})`));
    }
    put(clockText, all ? "" : `${sayMs(at)}${slower > 1 ? `, shown ${slower} times slower` : ""}`);
  }
  /** @param {number} token */
  function spelled(token) {
    const entry = drawn.vocabulary[token];
    return typeof entry === "string" ? entry : readPiece(entry).shown;
  }
  function drawChart() {
    const first = drawn.length[0];
    const lines = WAYS.map(([way, name]) => {
      const points = drawn.passes[way].map((/** @type {number[]} */ each, /** @type {number} */ k) => [first + k, each[1]]);
      const band = drawn.quartiles[way].map((/** @type {number[]} */ each, /** @type {number} */ k) => [first + k, ...each]);
      return { name, kind: way === "cached" ? "free" : "other", points, band };
    });
    chart.draw({ x: { label: "tokens in the text", low: first, high: drawn.length[drawn.length.length - 1] }, y: { label: `milliseconds, median and middle half of ${drawn.cached_ms.length} rounds`, low: 0 }, lines: /** @type {any} */ (lines) });
  }
  function drawWork() {
    const end = drawn.tokens.length - 1;
    const rows = COUNTED.map(([name, label]) => {
      const [less, more] = ["cached", "uncached"].map((way) => drawn.counted[way][name][end]);
      const formula = drawn.by_formula.uncached[name][end] === more && drawn.by_formula.cached[name][end] === less;
      return h("tr", {}, h("td", {}, label), h("td.tt-num", {}, count(more)), h("td.tt-num", {}, count(less)), h("td.tt-num", {}, `${fixed(more / less, 1)}${formula ? "" : " ≠ formula"}`));
    });
    const gaps = drawn.gaps.filter((/** @type {number | null} */ gap) => gap !== null);
    const gap = Math.max(...gaps);
    const note = h("tr", {}, h("td", {}, "largest difference of a logit"), h("td.tt-num.tt-race-wide", { colspan: 3 }, gap ? tiny(gap) : "0", `; the closest choice was won by ${tiny(drawn.margin || 0)}`));
    body.replaceChildren(...rows, note);
    put(counts, get("counts"));
  }
  function drawBeyond() {
    beyond.press(formulaFor);
    const row = drawn.beyond.find((/** @type {{n: number}} */ each) => each.n === formulaFor);
    const why = row.fits ? "Not run here." : `Not run here: the window of ${drawn.model.name} ends at ${count(drawn.model.n_ctx)}.`;
    const part = (/** @type {string} */ name, /** @type {number[]} */ [more, less]) => `${name} ${count(more)} → ${count(less)}`;
    put(beyondText, `${part("K and V of", row.projections)} positions; ${part("query–key pairs", row.pairs)}. ${why}`);
  }
  function drawTwin() {
    if (twin.hidden) return;
    const heads = ["pass", "position", "with the cache, ms", "least to most", "without, ms", "least to most", "largest difference of a logit", "token written"];
    const spread = (/** @type {number[]} */ [least, , most]) => `${fixed(least, 2)} to ${fixed(most, 2)}`;
    const rows = drawn.tokens.map((/** @type {number} */ token, /** @type {number} */ k) => {
      const [fast, slow] = [drawn.passes.cached[k], drawn.passes.uncached[k]];
      const gap = drawn.gaps[k];
      const cells = [String(k), String(drawn.length[k]), fixed(fast[1], 2), spread(fast), fixed(slow[1], 2), spread(slow), gap === null ? "other text" : gap ? tiny(gap) : "0"];
      return h("tr", {}, ...cells.map((text) => h("td.tt-num", {}, text)), h("td.tt-words", {}, readPiece(drawn.vocabulary[token]).shown));
    });
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((text, i) => h(i < 7 ? "th.tt-num" : "th", { scope: "col" }, text)))), h("tbody", {}, ...rows)));
  }
  function drawStatus() {
    put(title, get("title"));
    liveBadge(badge, get("mode"), get("status").state !== "idle", run().where);
    form.node.hidden = !get("can_live");
    form.show(get("status"), asked.waiting);
    asked.show();
  }
  function onRun() {
    if (run() !== drawn) {
      clock.stop();
      build();
      form.fill(run().prompt, get("model_names"), get("model"), run().tokens.length);
      stop();
      drawTwin();
    }
    put(sentence, get("sentence"));
    put(counts, get("counts"));
    drawStatus();
  }
  const watch = new ResizeObserver(() => requestAnimationFrame(() => {
    for (const lane of lanes) lane.shown = -1;
    if (!clock.running) drawAt(finish());
  }));
  watch.observe(lanes[0].text);
  speeds.press(slower);
  asked.listen([["change:run", onRun], ["change:sentence", onRun], ["change:counts", onRun]]);
  onRun();
  return () => {
    watch.disconnect();
    clock.stop();
    asked.stop();
  };
}

export default { render: renderCacheRace };
