// Lanes of a batch over time: the same requests served in static batches above, in continuous ones below.

import { roundTicks } from "./shared/chart.js";
import { playClock } from "./shared/clock.js";
import { attr, cssVar, h, icon, put, segments } from "./shared/dom.js";
import { clamp, fixed, percent } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { ownKeys } from "./shared/own_keys.js";

/**
 * @typedef {{arrival: number, tokens: number}} LaneRequest
 * @typedef {{lane: number, begin: number, first: number, end: number, released: number, tokens: number}} LaneServed
 */

const TICKS = 240; // places of the time slider
const SETTLE_MS = 60;
const LANE_POLICIES = /** @type {const} */ (["static", "continuous"]);

/**
 * How many requests have not come yet, wait, are being served, and are done at a time.
 *
 * @param {LaneRequest[]} requests
 * @param {LaneServed[]} served
 * @param {number} time seconds
 */
export function standAt(requests, served, time) {
  const stand = { coming: 0, waiting: 0, working: 0, done: 0 };
  served.forEach(({ begin, end }, i) => {
    if (end <= time) stand.done += 1;
    else if (begin <= time) stand.working += 1;
    else if (requests[i].arrival <= time) stand.waiting += 1;
    else stand.coming += 1;
  });
  return stand;
}

/** The least and the most tokens that are wanted, in words. @param {LaneRequest[]} requests */
export function sayLengths(requests) {
  const tokens = requests.map((each) => each.tokens);
  const [least, most] = [Math.min(...tokens), Math.max(...tokens)];
  return least === most ? `${least} tokens each` : `${least} to ${most} tokens`;
}

/** @param {number} rate requests a second, 0 for all at once */
export function sayRate(rate) {
  return rate ? `${rate} a second` : "all at once";
}

/** @param {{model: any, el: HTMLElement}} context */
function renderBatching({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const asked = inquiry({ model, draw: drawStatus });
  /** @param {string} name @param {string} label @param {[number, number, number]} line @param {(value: number) => string} say */
  const laneSlider = (name, label, [low, high, step], say) => {
    const said = h("b");
    const input = h("input", { type: "range", min: low, max: high, step, "aria-label": label, input: () => (put(said, say(Number(input.value))), send(name, Number(input.value))) });
    return { name, input, said, say, node: h("label", {}, h("span.tt-label", {}, `${label}: `, said), input) };
  };
  const sliders = [
    laneSlider("requests", "requests", [1, get("most_requests"), 1], String),
    laneSlider("rate", "they come", [0, get("rates").length - 1, 1], (at) => sayRate(get("rates")[at])),
    laneSlider("spread", "lengths differ", [0, 1, 0.1], (value) => `±${percent(value)}`),
  ];
  const laneSizes = segments("Rows of the batch", get("lane_choices").map((/** @type {number} */ value) => ({ value, text: `${value} rows` })), (value) => send("lanes", value));
  const again = h("button.tt-btn", { "data-line": true, click: () => send("seed", get("seed") + 1) }, "Draw again");
  const sentence = h("p.tt-lanes-say", { role: "status" });

  const panels = LANE_POLICIES.map((policy) => {
    const [account, stand, lanes, future] = [h("span.tt-note"), h("span.tt-lanes-stand.tt-note"), h("div.tt-lanes-rows"), h("i.tt-lanes-future")];
    const name = policy === "static" ? "Static batches" : "Continuous batching";
    const plot = h("div.tt-lanes-plot", { role: "img" }, lanes, future);
    return { policy, account, stand, lanes, plot, node: h("section", {}, h("div.tt-lanes-head", {}, h("h3.tt-h", {}, name), account, stand), plot) };
  });
  const axis = h("div.tt-lanes-axis.tt-note", { "aria-hidden": "true" });
  const chosen = h("p.tt-lanes-chosen.tt-note", { role: "status" });
  const stage = h("div.tt-lanes-stage", { tabindex: 0, role: "group", "aria-label": "Requests; arrow keys choose one", keydown: onKey, click: onPick }, ...panels.map(({ node }) => node), axis);

  const play = h("button.tt-btn", { "data-main": true, "aria-label": "Play", title: "Play", click: onPlay }, icon("play"));
  const when = h("input.tt-lanes-when", { type: "range", min: 0, max: TICKS, step: 1, value: TICKS, "aria-label": "Time", input: () => (clock.stop(), go(Number(when.value))) });
  const whenSaid = h("b.tt-num");
  let slower = 4;
  const pace = segments("Pace", [{ value: 1, text: "true time" }, { value: 4, text: "4 times slower" }], (value) => ((slower = value), pace.press(value)));
  const key = (/** @type {string} */ name, /** @type {string} */ text) => h("span", {}, h(`i.tt-lanes-key.tt-lanes-${name}`), text);
  const toggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("div.tt-lanes-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The requests as a table" });
  const measure = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Measure step times here");
  const progress = h("span.tt-note");
  const legend = h("p.tt-note.tt-lanes-legend", {}, key("read", "prompt being read"), key("write", "tokens being written"), key("pad", "padding: done, but the batch goes on"), key("idle", "empty row"));
  const transport = h("div.tt-lanes-transport", {}, play, when, whenSaid, pace.node);
  const foot = h("div.tt-lanes-foot", {}, measure, progress, toggle);
  const caption = h("p.tt-note.tt-lanes-caption", {}, "A simulation: who is served when is worked out exactly; the seconds a pass takes were measured, the model and machine are named above. Between measured batch sizes a straight line is drawn.");
  const controls = h("div.tt-lanes-controls", {}, ...sliders.map(({ node }) => node), laneSizes.node, again);
  el.append(ownKeys(h("div.tt-root.tt-lanes", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), asked.problem, controls, sentence, stage, transport, legend, chosen, foot, caption, twin))));
  pace.press(slower);

  let at = TICKS; // time, as a place of the slider
  let picked = 0; // the request that is marked
  let sending = 0;
  /** @type {Record<string, number>} */
  let wishes = {};

  const served = () => get("served");
  const seconds = () => Math.max(...LANE_POLICIES.flatMap((policy) => served()[policy].served.map((/** @type {LaneServed} */ each) => each.released)));
  const clock = playClock({
    last: () => TICKS - 1,
    duration: () => (seconds() * 1000 * slower) / TICKS,
    show: (step, spent) => go(step + spent / ((seconds() * 1000 * slower) / TICKS)),
    end: () => drawTime(),
  });

  /** @param {string} name @param {number} value */
  function send(name, value) {
    wishes[name] = value;
    clearTimeout(sending);
    sending = setTimeout(() => {
      for (const each in wishes) model.set(each, wishes[each]);
      wishes = {};
      model.save_changes();
    }, SETTLE_MS);
  }
  function onMeasure() {
    if (get("status").state !== "idle") return model.send({ type: "stop" });
    asked.ask({ type: "generate" });
    drawStatus();
  }
  function onPlay() {
    if (clock.running) clock.stop();
    else clock.start(at >= TICKS ? 0 : Math.floor(at));
    drawTime();
  }
  /** @param {number} place */
  function go(place) {
    at = clamp(place, 0, TICKS);
    drawTime();
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(toggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const last = served().requests.length - 1;
    const to = { ArrowRight: picked + 1, ArrowLeft: picked - 1, ArrowDown: picked + 1, ArrowUp: picked - 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    pick(clamp(to, 0, last));
  }
  /** @param {MouseEvent} event */
  function onPick(event) {
    const block = event.target instanceof Element ? event.target.closest("[data-request]") : null;
    if (block) pick(Number(block.getAttribute("data-request")));
  }
  /** @param {number} number */
  function pick(number) {
    picked = number;
    for (const block of stage.querySelectorAll("[data-request]")) attr(block, "data-now", Number(block.getAttribute("data-request")) === number);
    const { arrival, tokens } = served().requests[number];
    const [before, after] = LANE_POLICIES.map((policy) => served()[policy].served[number]);
    const told = (/** @type {LaneServed} */ one) => `first token after ${fixed(one.first - arrival, 3)} s, last after ${fixed(one.end - arrival, 3)} s`;
    put(chosen, `Request ${number + 1} came at ${fixed(arrival, 2)} s and wants ${tokens} token${tokens === 1 ? "" : "s"}. Static: ${told(before)}. Continuous: ${told(after)}.`);
  }

  /** @param {any} account */
  const sayAccount = ({ rate, busy, padded, idle, wait }) => `${fixed(rate, 0)} tokens/s · at work ${percent(busy)}, padding ${percent(padded)}, empty ${percent(idle)} · mean wait ${fixed(wait, 2)} s`;

  function draw() {
    const [found, whole] = [served(), seconds()];
    const place = (/** @type {number} */ time) => `${((time / whole) * 100).toFixed(3)}%`;
    for (const { policy, account, lanes, plot } of panels) {
      const rows = Array.from({ length: found.lanes }, () => h("div.tt-lanes-row"));
      found[policy].served.forEach((/** @type {LaneServed} */ one, /** @type {number} */ i) => {
        const block = (/** @type {string} */ kind, /** @type {number} */ from, /** @type {number} */ to) => h(`i.tt-lanes-${kind}`, { "data-request": i, style: `left:${place(from)};width:${place(to - from)}` });
        const writing = block("write", one.first, one.end);
        writing.append(h("b", {}, String(i + 1)));
        rows[one.lane].append(block("read", one.begin, one.first), writing);
        if (one.released > one.end) rows[one.lane].append(block("pad", one.end, one.released));
      });
      lanes.replaceChildren(...rows);
      cssVar(lanes, "--lanes", found.lanes);
      put(account, sayAccount(found[policy].account));
      attr(plot, "aria-label", `${policy}: ${account.textContent}`);
    }
    const ticks = roundTicks(0, whole, 6);
    axis.replaceChildren(...ticks.map((tick) => h("span", { style: `left:${place(tick)}` }, tick ? String(tick) : "0 s")));
    for (const { name, input, said, say } of sliders) {
      if (name === "rate") attr(input, "max", get("rates").length - 1);
      if (name in wishes) continue;
      input.value = String(get(name));
      put(said, name === "spread" ? sayLengths(found.requests) : say(get(name)));
      attr(input, "aria-valuetext", said.textContent);
    }
    laneSizes.press(get("lanes"));
    put(sentence, get("sentence"));
    pick(Math.min(picked, found.requests.length - 1));
    drawTime();
    drawTwin();
    drawStatus();
  }

  function drawTime() {
    const time = (at / TICKS) * seconds();
    when.value = String(Math.round(at));
    put(whenSaid, `${fixed(time, 2)} s`);
    attr(when, "aria-valuetext", whenSaid.textContent);
    cssVar(stage, "--at", `${(at / TICKS) * 100}%`);
    attr(stage, "data-whole", at >= TICKS);
    for (const { policy, stand } of panels) {
      const { coming, waiting, working, done } = standAt(served().requests, served()[policy].served, time);
      put(stand, `${waiting} waiting, ${working} being served, ${done} done${coming ? `, ${coming} to come` : ""}`);
    }
    if (play.getAttribute("aria-label") === (clock.running ? "Pause" : "Play")) return;
    attr(play, "aria-label", clock.running ? "Pause" : "Play");
    attr(play, "title", clock.running ? "Pause" : "Play");
    play.replaceChildren(icon(clock.running ? "pause" : "play"));
  }

  function drawTwin() {
    if (twin.hidden) return;
    const cells = (/** @type {string} */ tag, /** @type {string[]} */ row) => h("tr", {}, ...row.map((text) => h(`${tag}.tt-num`, tag === "th" ? { scope: "col" } : {}, text)));
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, cells("th", get("heads"))), h("tbody", {}, ...get("rows").map((/** @type {string[]} */ row) => cells("td", row)))));
  }

  function drawStatus() {
    const { state, done, total } = get("status");
    const busy = state !== "idle";
    const kind = busy || get("mode") === "live" ? "live" : "recorded";
    put(title, get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` step times: ${get("machine")}`);
    put(measure, busy ? "Stop" : "Measure step times here");
    measure.hidden = !get("can_live");
    put(progress, state === "loading" ? `Loading ${get("model")} …` : busy ? `${Math.round((100 * done) / (total || 1))}%` : "");
    asked.show();
  }

  asked.listen([["change:served", draw], ["change:rates", draw], ["change:machine", drawStatus]]);
  draw();
  return () => {
    clock.stop();
    clearTimeout(sending);
    asked.stop();
  };
}

export default { render: renderBatching };
