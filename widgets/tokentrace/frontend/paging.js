// One memory for many texts: how four ways to share it fare, and a map of its slots at every step.

import { playClock } from "./shared/clock.js";
import { attr, h, icon, put, segments, shape } from "./shared/dom.js";
import { clamp, count } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

const SERVE_MS = 90; // a step when played
const MAP_ROW = 256; // slots in a row of the map
const MAP_HIGH = 10; // and how high it is, in slots' widths
const SERVE_SEND_MS = 60;
const USES = ["tokens", "reserved", "internal", "external", "free"];
const USE_WORDS = { tokens: "holds tokens", reserved: "reserved for later", internal: "never filled", external: "free, but in no use", free: "free" };
const POLICY_WORDS = { maximum: "one piece for the longest text", "power of two": "one piece, up to a power of two", exact: "one piece, length foreseen", pages: "pages, as the text grows" };

/** @typedef {[number, number, number, number, number, number, number, number]} ServeStay request, start, size, begin, end, admitted, base, offset */

/**
 * How many slots of a piece hold tokens at a step, will later, and never will; as `paging.Stay.parts`.
 *
 * @param {ServeStay} stay
 * @param {number} total positions of the request's text at its end
 * @param {number} step
 */
export function partsOf([, , size, , , admitted, base, offset], total, step) {
  const filled = clamp(base + step - admitted - offset, 0, size);
  const used = Math.max(filled, Math.min(size, total - offset));
  return [filled, used - filled, size - used];
}

/** A run of slots cut where the map's rows end. @param {number} start @param {number} size @returns {[number, number, number][]} row, column, size */
export function cutRows(start, size) {
  /** @type {[number, number, number][]} */
  const parts = [];
  while (size > 0) {
    const column = start % MAP_ROW;
    const here = Math.min(size, MAP_ROW - column);
    parts.push([Math.floor(start / MAP_ROW), column, here]);
    start += here;
    size -= here;
  }
  return parts;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderPaging({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const asked = inquiry({ model, draw: drawStatus });
  const again = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Answer the prompts here");
  const far = h("span.tt-note", { role: "status" });
  const about = h("span.tt-note");
  /** @param {string} name @param {string} label @param {number} low @param {number} high @param {number} step */
  function slider(name, label, low, high, step) {
    const value = h("b");
    const input = h("input", { type: "range", min: low, max: high, step, "aria-label": label, input: () => (put(value, count(Number(input.value))), send({ [name]: Number(input.value) })) });
    return { input, value, node: h("label.tt-pages-slider", {}, h("span.tt-label", {}, `${label} `, value), input) };
  }
  const slots = slider("slots", "memory, slots", 256, 4096, 128);
  const longest = slider("longest", "longest text there may be", 128, 2048, 32);
  const page = segments("Slots of a page", [1, 8, 16, 32, 64, 128].map((value) => ({ value, text: String(value) })), (value) => send({ page: value }));
  const controls = h("div.tt-pages-controls", {}, slots.node, longest.node, h("div.tt-pages-size", {}, h("span.tt-label", {}, "slots of a page"), page.node));
  const rows = Object.entries(POLICY_WORDS).map(([policy, words]) => {
    const bar = h("span.tt-pages-bar", { role: "img" }, ...USES.map((use) => h("i", { "data-use": use })));
    const [share, steps] = [h("span.tt-num"), h("span.tt-num")];
    const name = h("span.tt-pages-name", {}, h("b", {}, policy), h("span.tt-note", {}, words));
    const node = h("button.tt-pages-row", { click: () => send({ policy }), title: "Show this memory below" }, name, bar, share, steps);
    return { policy, node, bar, share, steps };
  });
  const heads = h("div.tt-pages-row.tt-pages-heads.tt-note", { "aria-hidden": "true" }, h("span", {}, "how memory is set aside"), h("span", {}, "what it is used for while somebody waits"), h("span.tt-num", {}, "tokens"), h("span.tt-num", {}, "steps"));
  const legend = h("p.tt-pages-legend.tt-note", {}, ...USES.slice(0, 4).map((use) => h("span", {}, h("i", { "data-use": use }), USE_WORDS[/** @type {keyof USE_WORDS} */ (use)])));
  const sentence = h("p.tt-pages-say", { role: "status" });
  const mapTitle = h("h3.tt-h");
  const map = shape("svg", { class: "tt-pages-map", role: "img" });
  const button = (/** @type {any} */ name, /** @type {string} */ label, /** @type {() => void} */ act) => h("button.tt-btn", { "aria-label": label, "data-main": name === "play", click: act }, icon(name));
  const play = button("play", "Play", toggle);
  const place = h("input", { type: "range", min: 0, "aria-label": "Step", input: () => go(Number(place.value)) });
  const where = h("span.tt-pages-where.tt-label");
  const transport = h("div.tt-pages-transport", {}, button("first", "First step", () => go(0)), button("back", "Step back", () => go(step - 1)), play, button("forward", "Step forward", () => go(step + 1)), button("last", "Last step", () => go(last())), place);
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("div.tt-pages-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The four ways as a table" });
  el.append(
    ownKeys(
      h("div.tt-root.tt-pages", { keydown: onKey }, h("div.tt-page", {},
        h("header.tt-head", {}, title, badge),
        h("div.tt-pages-run", {}, again, far, about),
        asked.problem,
        controls,
        h("div.tt-pages-rows", { role: "group", "aria-label": "Ways to set memory aside" }, heads, ...rows.map((row) => row.node)),
        legend,
        sentence,
        mapTitle,
        map,
        transport,
        where,
        h("p.tt-pages-foot", {}, tableToggle),
        twin)),
    ),
  );

  let step = get("step");
  let sending = 0;
  /** @type {Record<string, any>} */
  let wishes = {};
  const clock = playClock({ last: () => last(), duration: () => SERVE_MS, show: (at, _ms, done) => done && drawMap(at), end: stop });
  const last = () => get("shown").steps - 1;

  /** @param {Record<string, any>} fields */
  function send(fields) {
    stop();
    Object.assign(wishes, fields);
    clearTimeout(sending);
    sending = setTimeout(() => {
      asked.ask({ type: "change", fields: wishes });
      wishes = {};
    }, SERVE_SEND_MS);
  }
  function onMeasure() {
    if (get("status").state !== "idle") model.send({ type: "stop" });
    else asked.ask({ type: "measure" });
    drawStatus();
  }
  function toggle() {
    if (clock.running) return keep();
    const from = step >= last() ? -1 : step;
    clock.start(from + 1);
    drawPlay();
  }
  function stop() {
    clock.stop();
    drawPlay();
  }
  /** Stop here, and let Python know where. */
  function keep() {
    stop();
    if (model.get("step") === step) return;
    model.set("step", step);
    model.save_changes();
  }
  /** @param {number} to */
  function go(to) {
    drawMap(clamp(to, 0, last()));
    keep();
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const onButton = event.target instanceof HTMLButtonElement;
    const act = { play: onButton ? null : toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(last()) }[keyAction(event)];
    if (!act) return;
    event.preventDefault();
    act();
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

  const percentOf = (/** @type {number} */ share) => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;

  function drawSettings() {
    const settings = get("settings");
    for (const [name, { input, value }] of /** @type {[string, any][]} */ ([["slots", slots], ["longest", longest]])) {
      if (name in wishes) continue;
      input.value = settings[name];
      put(value, count(settings[name]));
    }
    page.press(settings.page);
  }
  function draw() {
    const settings = get("settings");
    put(title, get("title"));
    drawSettings();
    get("services").forEach((/** @type {any} */ service, /** @type {number} */ i) => {
      const { node, bar, share, steps } = rows[i];
      attr(node, "aria-pressed", String(service.policy === settings.policy));
      attr(node, "disabled", Boolean(service.why));
      const shares = service.shares ?? {};
      [...bar.children].forEach((part, u) => (part.style.width = `${(shares[USES[u]] ?? 0) * 100}%`));
      attr(bar, "aria-label", service.why || USES.map((use) => `${USE_WORDS[/** @type {keyof USE_WORDS} */ (use)]} ${percentOf(shares[use])}`).join(", "));
      put(share, service.why ? "" : percentOf(shares.tokens));
      put(steps, service.why ? "too small" : count(service.steps));
    });
    put(sentence, get("sentence"));
    put(mapTitle, `The memory with ${settings.policy === "pages" ? `pages of ${settings.page}` : POLICY_WORDS[/** @type {keyof POLICY_WORDS} */ (settings.policy)]}`);
    attr(place, "max", last());
    drawMap(clamp(get("step"), 0, last()));
    drawTwin();
    drawStatus();
  }

  /** @param {number} at */
  function drawMap(at) {
    step = at;
    const { slots: size, stays, use, running, waiting } = get("shown");
    const { prompts, outputs } = get("lengths");
    const high = Math.ceil(size / MAP_ROW) * MAP_HIGH;
    attr(map, "viewBox", `0 0 ${MAP_ROW} ${high}`);
    const drawn = [];
    const put_in = (/** @type {number} */ start, /** @type {number} */ n, /** @type {string} */ kind, /** @type {string} */ title) => {
      for (const [row, column, length] of cutRows(start, n)) {
        const rect = shape("rect", { class: "tt-pages-slot", "data-use": kind, x: column, y: row * MAP_HIGH, width: length, height: MAP_HIGH - 3 });
        if (title) rect.append(Object.assign(shape("title", {}), { textContent: title }));
        drawn.push(rect);
      }
    };
    put_in(0, size, "empty", "");
    for (const stay of stays) {
      const [request, start, length, begin, end] = stay;
      if (at < begin || at >= end) continue;
      const [filled, later, never] = partsOf(stay, prompts[request] + outputs[request] - 1, at);
      const name = `request ${request + 1}`;
      put_in(start, filled, "tokens", `${name}: ${filled} tokens`);
      put_in(start + filled, later, "reserved", `${name}: ${later} reserved`);
      put_in(start + filled + later, never, "internal", `${name}: ${never} never filled`);
      for (const [row, column, n] of cutRows(start, length)) drawn.push(shape("rect", { class: "tt-pages-edge", x: column, y: row * MAP_HIGH, width: n, height: MAP_HIGH - 3 }));
      const [row, column] = cutRows(start, 1)[0];
      if (filled >= 12) drawn.push(Object.assign(shape("text", { class: "tt-pages-who", x: column + 1.5, y: row * MAP_HIGH + 5 }), { textContent: request + 1 }));
    }
    map.replaceChildren(hatch(), ...drawn);
    const [tokens, reserved, internal, external, free] = use[at];
    const words = `Step ${count(at + 1)} of ${count(last() + 1)}: ${running[at]} served, ${waiting[at]} waiting. Of ${count(size)} slots ${count(tokens)} hold tokens, ${count(reserved)} are reserved, ${count(internal)} will never be filled, ${count(external + free)} are free.`;
    attr(map, "aria-label", words);
    put(where, words);
    place.value = String(at);
  }

  function hatch() {
    const lines = shape("path", { d: "M0 3L3 0M2.5 3.5L3.5 2.5M-.5 .5L.5 -.5" });
    return shape("defs", {}, shape("pattern", { id: "tt-pages-hatch", width: 3, height: 3, patternUnits: "userSpaceOnUse" }, lines));
  }

  function drawTwin() {
    if (twin.hidden) return;
    const named = ["way", ...USES.map((use) => USE_WORDS[/** @type {keyof USE_WORDS} */ (use)]), "steps", "served at once", "pages lost"];
    const body = get("services").map((/** @type {any} */ service) =>
      h("tr", {}, h("th", { scope: "row" }, service.policy), ...(service.why ? [h("td", { colspan: 8 }, service.why)] : [...USES.map((use) => percentOf(service.shares[use])), count(service.steps), String(service.running), String(service.preempted)].map((cell) => h("td.tt-num", {}, cell)))),
    );
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...named.map((text, i) => h(i ? "th.tt-num" : "th", { scope: "col" }, text)))), h("tbody", {}, ...body)));
  }

  function drawStatus() {
    const { state, done, total } = get("status");
    const busy = state !== "idle";
    const { prompts, outputs, ended, model: writer } = get("lengths");
    liveBadge(badge, get("mode"), busy, writer.name);
    const mean = (/** @type {number[]} */ list) => Math.round(list.reduce((a, b) => a + b, 0) / list.length);
    const cut = ended.filter((/** @type {number} */ each) => !each).length;
    put(about, `${prompts.length} prompts of ${mean(prompts)} tokens on average, a paragraph written to each, ${mean(outputs)} on average${cut ? `, ${cut} of them cut off` : ""}. Served in this order; the simulation runs here.`);
    again.hidden = !get("can_live");
    put(again, busy ? "Stop" : "Answer the prompts here");
    put(far, state === "loading" ? "Loading the model …" : state === "running" ? `Prompt ${done} of ${total} …` : "");
    asked.show();
  }
  const onStep = () => !clock.running && get("step") !== step && drawMap(clamp(get("step"), 0, last()));
  asked.listen([...["settings", "services", "shown", "sentence", "lengths"].map((name) => /** @type {[string, () => void]} */ ([`change:${name}`, draw])), ["change:step", onStep]]);
  // What was refused goes back to what it was.
  model.on("change:error", drawSettings);
  draw();
  return () => {
    clearTimeout(sending);
    model.off("change:error", drawSettings);
    clock.stop();
    asked.stop();
  };
}

export default { render: renderPaging };
