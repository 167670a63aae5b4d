// One text, two lanes: fed the true words above, fed its own below; and the lower lane with an error in it.

import { attr, h, icon, put, segments } from "./shared/dom.js";
import { clamp, describeSettings, fixed, readPiece } from "./shared/format.js";
import { lineChart } from "./shared/chart.js";
import { playClock } from "./shared/clock.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { ceilingOf, lanesView, sayApart } from "./shared/lanes.js";
import { lanesForm } from "./shared/lanes_form.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { trianglesView } from "./shared/triangles.js";

const PLACES_A_SECOND = 4;
const PLACE_REST = 150; // ms without a step before the kernel is told where we are
const ERROR_KINDS = ["near miss", "random word", "repeated word"];
const OWN_ERROR = "your word";
const FEED_ROWS = [["Teacher-forced", "fed the true text"], ["Divergence", ""], ["Free-running", "fed its own words"]];
const ERROR_ROWS = [["Without the error", "fed its own words"], ["Divergence", ""], ["With the error", "the same random numbers"]];
const APART_UNITS = { tv: "total variation of the two guesses, 0 to 1", kl: "KL of the two guesses, nats" };

/** Token that each kind of error would put at a place; none where it is the token that stands there. @param {any} run @param {number} at */
export function errorsAt({ near, random, repeat, own }, at) {
  return [near[at], random[at], repeat[at]].map((token) => (token === own[at] ? null : token));
}

/** Ticks of a scale that counts from 1. @param {number} end */
export function countTicks(end) {
  const step = end > 20 ? 8 : end > 10 ? 4 : 2;
  return [1, ...Array.from({ length: Math.floor(end / step) }, (_, i) => (i + 1) * step)];
}

/** Points of a line up to a place. @param {number[]} values @param {number} from @param {number} to @returns {[number, number | null][]} */
export function pointsTo(values, from, to) {
  return values.map((value, i) => [i + from, i + from <= to ? value : null]);
}

/** What to call a run at hand. @param {any} told */
function nameOf({ run, live }) {
  return `${run.title}, ${run.settings.strategy === "greedy" ? "greedy" : "sampled"}${live ? ", live" : ""}`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderLanes({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const form = lanesForm({ send: (wish) => ask({ type: "lanes", ...wish }), stop: () => model.send({ type: "stop" }) });
  const asked = inquiry({ model, draw: drawStatus });
  const runs = h("div.tt-seg", { role: "group", "aria-label": "Runs at hand" });
  const measures = segments("Divergence", [{ value: "tv", text: "total variation" }, { value: "kl", text: "KL" }], (value) => setTrait("measure", value));
  const given = h("p.tt-lanes-given");
  const lanes = lanesView({ pick: choose });
  const button = (/** @type {any} */ name, /** @type {string} */ label, /** @type {() => void} */ act) => h("button.tt-btn", { "aria-label": label, "data-main": name === "play", click: act }, icon(name));
  const play = button("play", "Play", toggle);
  const say = h("p.tt-lanes-say", { "aria-live": "polite" });
  const clear = h("button.tt-toggle", { click: () => showError(-1) }, "Remove the error");
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const transport = h("div.tt-lanes-transport", {}, h("div.tt-lanes-buttons", {}, button("first", "First place", () => go(0)), button("back", "One place back", () => go(place - 1)), play, button("forward", "One place forward", () => go(place + 1)), button("last", "Last place", () => go(length() - 1))), say, h("div.tt-lanes-toggles", {}, clear, tableToggle));
  const twin = h("div.tt-lanes-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The lanes as a table" });
  const chart = lineChart({ label: "Divergence", height: 250 });
  const chartTitle = h("h3.tt-h");
  const where = h("p.tt-lanes-where");
  const kindButtons = ERROR_KINDS.map((kind) => h("button", { click: () => offer(kind) }, h("span", {}, kind), h("span.tt-words")));
  const kinds = h("div.tt-lanes-kinds", { role: "group", "aria-label": "Kind of error" }, ...kindButtons);
  const own = h("input.tt-field.tt-words", { "aria-label": "Your word for this place", placeholder: "or a word of yours", maxlength: 60, spellcheck: "false" });
  const put_in = h("button.tt-btn", { type: "submit", "data-line": true }, "Put in");
  const ownForm = h("form.tt-lanes-own", { submit: onOwn }, own, put_in);
  const found = h("dl.tt-lanes-found");
  const tris = trianglesView();
  const low = h("div.tt-lanes-low", {}, h("section", {}, chartTitle, chart.node), h("section", {}, h("h3.tt-h", {}, "Put an error in"), where, kinds, ownForm, found));
  const page = h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, h("div.tt-lanes-choices", {}, runs, measures.node), given, lanes.node, transport, twin, low, tris.node);
  el.append(ownKeys(h("div.tt-root.tt-exposure", { keydown: onKey }, page)));

  let place = 0;
  let chosen = 0; // where the next error would be put
  let saving = 0;
  let playNext = false; // the error that comes next is one that the reader put in
  /** @type {any} */
  let drawn = null;

  const clock = playClock({ last: () => length() - 1, duration: () => 1000 / PLACES_A_SECOND, show: (at, _ms, done) => done && draw(at), end: stop });
  const told = () => get("runs")[clamp(get("shown"), 0, get("runs").length - 1)];
  const run = () => told().run;
  const length = () => run().true.length;
  const busy = () => get("status").state !== "idle" || asked.waiting;
  const at = () => clamp(get("error_shown"), -1, run().errors.length - 1);
  const error = () => run().errors[at()] ?? null;
  const piece = (/** @type {number | null | undefined} */ token) => (token === null || token === undefined ? null : readPiece(run().vocabulary[token]));
  const shown = (/** @type {number | null | undefined} */ token) => piece(token)?.shown ?? "";

  // ---- asking and setting
  /** @param {object} message */
  function ask(message) {
    stop();
    asked.ask(message);
    drawStatus();
  }
  /** @param {string} name @param {any} value */
  function setTrait(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  /** @param {number} index */
  function showRun(index) {
    stop();
    model.set("error_shown", -1);
    model.set("place", get("runs")[index].run.true.length - 1);
    setTrait("shown", index);
  }
  /** @param {number} index */
  function showError(index) {
    stop();
    playNext = index >= 0;
    setTrait("error_shown", index);
  }
  /** The error of this kind at the chosen place: one that is at hand, or a new one. @param {string} kind */
  function offer(kind) {
    if (busy()) return;
    const known = run().errors.findIndex((/** @type {any} */ each) => each.at === chosen && each.kind === kind);
    if (known >= 0) return known === at() ? play.click() : showError(known);
    playNext = true;
    ask({ type: "error", run: get("shown"), at: chosen, kind });
  }
  /** @param {Event} event */
  function onOwn(event) {
    event.preventDefault();
    const word = own.value.trim();
    playNext = true;
    ask({ type: "error", run: get("shown"), at: chosen, kind: OWN_ERROR, word: (word && piece(run().own[chosen])?.space ? " " : "") + word });
  }
  /** @param {number} to */
  function choose(to) {
    chosen = to;
    go(to);
    lanes.focus(to);
  }

  // ---- moving
  function toggle() {
    if (clock.running) return stop();
    const from = place >= length() - 1 ? 0 : place + 1;
    draw(from ? place : 0);
    clock.start(from || 1);
    drawPlay();
  }
  function stop() {
    clock.stop();
    drawPlay();
    clearTimeout(saving);
    saving = setTimeout(() => !clock.running && get("place") !== place && setTrait("place", place), PLACE_REST);
  }
  /** @param {number} to */
  function go(to) {
    const focused = lanes.focused;
    stop();
    draw(clamp(to, 0, length() - 1));
    if (focused) lanes.focus(place);
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const onButton = event.target instanceof HTMLButtonElement;
    const act = { play: onButton ? null : toggle, forward: () => go(place + 1), back: () => go(place - 1), first: () => go(0), last: () => go(length() - 1), home: () => error() && showError(-1), table: flip }[keyAction(event)];
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
    attr(say, "aria-live", clock.running ? "off" : "polite");
  }

  // ---- a run, and what of it is looked at
  /** @param {boolean} other */
  function build(other) {
    const data = run();
    const wrong = error();
    const measure = /** @type {"tv" | "kl"} */ (get("measure"));
    const apart = wrong ? data.true.map((/** @type {number} */ _, /** @type {number} */ i) => wrong[measure][i] ?? 0) : data[measure];
    const labels = (wrong ? ERROR_ROWS : FEED_ROWS).map(([name, line], row) => [name, row === 1 ? APART_UNITS[measure] : line]);
    lanes.build({
      upper: (wrong ? data.own : data.true).map(piece),
      lower: data.true.map((/** @type {number} */ _, /** @type {number} */ i) => piece(wrong ? wrong.own[i] : data.own[i])),
      said: wrong ? null : data.choices.map(piece),
      right: data.choices.map((/** @type {number} */ token, /** @type {number} */ i) => !wrong && token === data.true[i]),
      apart,
      ceiling: ceilingOf(measure, apart),
      error: wrong?.at ?? -1,
      labels,
    });
    given.replaceChildren(h("span.tt-note", {}, "Given to both "), h("span.tt-words", {}, data.opening.map((/** @type {number} */ token) => (piece(token)?.space ? " " : "") + shown(token)).join("").trim()), " …");
    tris.build(data);
    tris.node.hidden = Boolean(wrong);
    if (runs.children.length !== get("runs").length || other) runs.replaceChildren(...get("runs").map((/** @type {any} */ each, /** @type {number} */ i) => h("button", { title: describeSettings(each.run.settings), click: () => showRun(i) }, nameOf(each))));
    [...runs.children].forEach((each, i) => attr(each, "aria-pressed", String(i === get("shown"))));
    runs.hidden = get("runs").length < 2;
    measures.press(measure);
    if (wrong) chosen = wrong.at;
  }

  /** @param {number} to */
  function draw(to) {
    place = clamp(to, 0, length() - 1);
    const wrong = error();
    lanes.show(place, chosen);
    put(say, (wrong ? told().errors[at()] : told()).sentences[place]);
    clear.hidden = !wrong;
    tris.show(run(), place);
    drawChart();
    drawKinds();
    drawFound();
    const marked = twin.querySelector("[aria-current]");
    if (marked) attr(marked, "aria-current", null);
    const row = twin.querySelectorAll("tbody tr")[place];
    if (row) attr(row, "aria-current", "step");
  }

  function drawChart() {
    const data = run();
    const wrong = error();
    if (!wrong) {
      put(chartTitle, "Loss on the true word: −ln p, nats");
      const line = (/** @type {string} */ name, /** @type {any} */ kind, /** @type {number[]} */ logprobs) => ({ name, kind, points: pointsTo(logprobs.map((each) => -each), 1, place + 1), dots: true });
      chart.say("Loss on the true word at each place, fed the true text and fed its own words; the table holds the numbers.");
      const dearest = -Math.min(...data.free_logprobs, ...data.forced_logprobs);
      return chart.draw({ x: { label: "place", low: 1, high: Math.max(2, length()), ticks: countTicks(length()) }, y: { label: "", low: 0, high: Math.ceil(dearest / 5) * 5 }, lines: [line("own words", "free", data.free_logprobs), line("true text", "teacher", data.forced_logprobs)] });
    }
    const measure = /** @type {"tv" | "kl"} */ (get("measure"));
    const after = (/** @type {any} */ each) => each[measure].slice(each.at + 1);
    const end = Math.max(2, length() - 1 - wrong.at);
    const others = data.errors.filter((/** @type {any} */ each) => each !== wrong && each.at === wrong.at).map((/** @type {any} */ each) => ({ name: each.kind, kind: "other", points: pointsTo(after(each), 1, end) }));
    const half = told().errors[at()].halved[measure];
    const seen = place - wrong.at;
    const marks = half && half <= seen ? [{ x: half, y: after(wrong)[half - 1], text: `half or less after ${half}`, kind: "ink", drop: true }] : [];
    put(chartTitle, measure === "tv" ? "Divergence after the error: total variation" : "Divergence after the error: KL, nats");
    chart.say("Divergence of the run with the error from the run without, by distance from the error; the table holds the numbers.");
    chart.draw({ x: { label: "tokens after the error", low: 1, high: end, ticks: countTicks(end) }, y: { low: 0, ...(measure === "tv" ? { high: 1, ticks: [0, 0.25, 0.5, 0.75, 1] } : {}) }, lines: [...others, { name: wrong.kind, kind: "free", points: pointsTo(after(wrong), 1, seen), dots: true }], marks: /** @type {any} */ (marks) });
  }

  function drawKinds() {
    const data = run();
    const wrong = error();
    const old = shown(data.own[chosen]);
    where.replaceChildren(`Place ${chosen + 1}, `, h("span.tt-words", {}, old), get("can_live") ? ". Click another word of the lower lane to move it." : ". Recorded errors only: no model is at hand here.");
    const tokens = errorsAt(data, chosen);
    kindButtons.forEach((each, i) => {
      const kind = ERROR_KINDS[i];
      const known = data.errors.some((/** @type {any} */ one) => one.at === chosen && one.kind === kind);
      attr(each, "aria-pressed", String(Boolean(wrong) && wrong.at === chosen && wrong.kind === kind));
      attr(each, "disabled", tokens[i] === null || (!known && !get("can_live")));
      put(each.children[1], tokens[i] === null ? "none here" : `${old} → ${shown(tokens[i])}`);
    });
    ownForm.hidden = !get("can_live");
    attr(put_in, "disabled", busy());
  }

  /** @param {string} label @param {string} value @param {string} unit @param {string} [line] */
  const stat = (label, value, unit, line = "") => h("div.tt-stat", {}, h("dt.tt-label", {}, label), h("dd.tt-stat-value", {}, value, h("small", {}, unit)), line && h("dd.tt-note", {}, line));

  function drawFound() {
    const data = run();
    const wrong = error();
    if (wrong) {
      const { halved, found: says } = told().errors[at()];
      const measure = get("measure");
      const done = place >= length() - 1 || place >= wrong.own.length - 1;
      const half = done ? halved[measure] : null;
      found.replaceChildren(stat("Half of the divergence was gone after", !done ? "…" : half ? String(half) : "none", half ? "tokens" : "", done ? says[measure] : "Known at the last place."));
      return;
    }
    const mean = (/** @type {number[]} */ logprobs) => fixed(-logprobs.slice(0, place + 1).reduce((sum, each) => sum + each, 0) / (place + 1), 2);
    const right = data.choices.slice(0, place + 1).filter((/** @type {number} */ token, /** @type {number} */ i) => token === data.true[i]).length;
    const same = data.own.slice(0, place + 1).filter((/** @type {number} */ token, /** @type {number} */ i) => token === data.true[i]).length;
    found.replaceChildren(
      stat("Mean loss, fed the true text", mean(data.forced_logprobs), "nats", `it would have written ${right} of ${place + 1} true words`),
      stat("Mean loss, fed its own words", mean(data.free_logprobs), "nats", `it wrote ${same} of ${place + 1} true words`),
    );
  }

  function drawTwin() {
    if (twin.hidden) return;
    const data = run();
    const wrong = error();
    const heads = wrong ? ["place", "without the error", "with the error", "total variation", "KL, nats"] : ["place", "true word", "fed the true text it says", "loss", "fed its own words it says", "loss on the true word", "total variation", "KL, nats"];
    const rows = data.true.map((/** @type {number} */ token, /** @type {number} */ i) => {
      const apart = wrong ? (i < wrong.own.length ? [sayApart(wrong.tv[i]), sayApart(wrong.kl[i])] : ["", ""]) : [sayApart(data.tv[i]), sayApart(data.kl[i])];
      if (wrong) return [String(i + 1), shown(data.own[i]), shown(wrong.own[i]), ...apart];
      return [String(i + 1), shown(token), shown(data.choices[i]), fixed(-data.forced_logprobs[i], 4), shown(data.own[i]), fixed(-data.free_logprobs[i], 4), ...apart];
    });
    const isWord = (/** @type {number} */ c) => (wrong ? c === 1 || c === 2 : c === 1 || c === 2 || c === 4);
    const cells = (/** @type {string[]} */ row) => row.map((cell, c) => h(isWord(c) ? "td.tt-words" : "td.tt-num", {}, cell));
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((head, c) => h(isWord(c) ? "th" : "th.tt-num", { scope: "col" }, head)))), h("tbody", {}, ...rows.map((/** @type {string[]} */ row, /** @type {number} */ i) => h("tr", { "aria-current": i === place ? "step" : null }, ...cells(row))))));
  }

  function drawStatus() {
    const status = get("status");
    const running = status.state !== "idle";
    const live = error() ? told().errors[at()].live : told().live;
    put(title, get("title"));
    liveBadge(badge, live ? "live" : "recorded", running, run().model.name);
    form.node.hidden = !get("can_live");
    form.show(status, running, asked.waiting);
    drawKinds();
    asked.show();
  }
  function onRuns() {
    const key = `${get("shown")} ${run().passage} ${run().recorded}`;
    const other = drawn?.key !== key;
    if (!other && drawn.error === error() && drawn.measure === get("measure") && drawn.told === told()) return;
    const again = drawn?.names !== get("runs").map(nameOf).join("\n");
    if (other) {
      stop();
      form.fill(run(), get("passages"), get("model_names"), get("model"));
      chosen = run().errors[0]?.at ?? Math.min(4, length() - 1);
    }
    build(again);
    drawn = { key, told: told(), error: error(), measure: get("measure"), names: get("runs").map(nameOf).join("\n") };
    draw(other ? get("place") : place);
    drawTwin();
    drawStatus();
    if (playNext && error()) {
      playNext = false;
      draw(error().at);
      clock.start(Math.min(error().at + 1, length() - 1));
      drawPlay();
    }
  }
  function onPlace() {
    if (!clock.running && get("place") !== place) draw(get("place"));
  }
  asked.listen([["change:runs", onRuns], ["change:shown", onRuns], ["change:error_shown", onRuns], ["change:measure", onRuns], ["change:place", onPlace]]);
  onRuns();
  return () => {
    clock.stop();
    clearTimeout(saving);
    asked.stop();
  };
}

export default { render: renderLanes };
