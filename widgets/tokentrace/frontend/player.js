// The player: one run on screen, one token at a time. The browser owns the clock.

import { barsView } from "./shared/bars.js";
import { footView, transportView } from "./shared/controls.js";
import { attr, h, put } from "./shared/dom.js";
import { drawView } from "./shared/draw.js";
import { percent } from "./shared/format.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { keyAction, rovingFocus } from "./shared/keys.js";
import { movesView } from "./shared/moves.js";
import { ownKeys } from "./shared/own_keys.js";
import { promptView, tokensPerSecond } from "./shared/prompt.js";
import { runsView } from "./shared/runs.js";
import { scrollBox } from "./shared/scroll_box.js";
import { scrubberView } from "./shared/scrubber.js";
import { Stage } from "./shared/stage.js";
import { statsView } from "./shared/stats.js";
import { tellingClock } from "./shared/telling.js";
import { textView } from "./shared/text.js";
import { twinView } from "./shared/twin.js";

const BUSY = "The model is still writing: stop it first.";
const SAVE_AFTER = 120; // milliseconds without a further step before Python is told

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const stage = new Stage();
  let scrubbing = false;
  /** what was asked of Python and has not begun */
  let pending = "";
  let problemHere = "";
  let frame = 0;
  let saving = 0;
  /** whether Python has said that what was asked is over */
  let settled = false;
  let seen = { runs: null, run: 0, step: 0 };

  // ---- the page
  const title = h("h2.tt-title");
  const mode = h("b");
  const origin = h("span");
  const badge = h("span.tt-badge", {}, h("span", {}, mode, origin));
  const prompt = promptView({ write, stop: () => model.send({ type: "stop" }) });
  const recorded = h("p.tt-note", {}, "Recorded: to write and to branch, a model has to be loaded.");
  const text = textView({ pick: jump });
  const page = scrollBox(text.node);
  const empty = h("p.tt-text.tt-empty");
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const runs = runsView({ pick: choose });
  const moves = movesView({ pick: enter });
  const bars = barsView({ pick: branch });
  const drawing = drawView();
  const stats = statsView();
  const mid = h("div.tt-mid", {}, bars.node, h("div", {}, drawing.node, stats.node));
  const wave = scrubberView({ seek: jump, hold });
  const transport = transportView(wave.node, act);
  const foot = footView(act);
  const twin = twinView();
  const say = h("div.tt-sr", { "aria-live": "polite" });

  const shows = [page.node, empty, problem, runs.node, moves.node, mid, transport.node];
  const group = h("div.tt-stage", { role: "group", "aria-label": "Player", click: take }, ...shows);
  const head = h("header.tt-head", {}, title, badge);
  const view = h("div.tt-page", {}, head, prompt.node, recorded, group, foot.node, twin.node, say);
  const root = h("div.tt-root.tt-player", { "data-lm-suppress-shortcuts": "true", keydown: onKey }, view);
  el.append(ownKeys(root));
  const focus = rovingFocus(group, wave.node);

  /** @type {Record<string, (event?: any) => void>} */
  const actions = {
    first: () => jump(-1),
    back: () => jump(stage.step - 1),
    play,
    forward,
    last: () => jump(stage.head),
    move: nextMove,
    run: () => choose((stage.index + 1) % stage.runs.length),
    home: () => (stage.index || stage.onFresh) && choose(0),
    up: () => chooseRow(-1),
    down: () => chooseRow(1),
    speed: setSpeed,
    spaces() {
      root.classList.toggle("tt-show-space", foot.flip("spaces"));
      page.forget();
    },
    table: () => (twin.node.hidden = !foot.flip("table")),
    large: () => root.classList.toggle("tt-projector", foot.flip("large")),
  };

  const told = tellingClock({
    stage,
    root,
    draw,
    speed: () => get("speed"),
    ends: () => [bars.chosen, text.chip(stage.step)?.firstElementChild],
    written: announce,
    rest() {
      save();
      drawSoon();
    },
  });

  // ---- moving through the run
  function play() {
    const from = stage.step >= stage.head ? 0 : stage.step + (told.move < 4 ? 0 : 1);
    if (told.running || stage.head < 0) return jump(stage.step);
    stage.go(from - 1);
    told.start(from);
  }

  /** @param {number} step @param {number} [at] one of the moves */
  function jump(step, at = 4) {
    told.stop(at);
    stage.go(step);
    save();
    announce();
    drawSoon();
  }

  /** @param {KeyboardEvent} [event] a key that is held down moves on without telling */
  function forward(event) {
    const next = stage.step + 1;
    if (told.move < 4 && !told.slowly) jump(stage.step);
    else if (get("speed") !== 1 || event?.repeat || next > stage.head || stage.writing) jump(next);
    else told.start(next, true);
  }

  /** Show the step on stage as it was at one of its moves. @param {number} which */
  function enter(which) {
    if (stage.head >= 0) jump(Math.max(0, stage.step), which);
  }

  function nextMove() {
    if (stage.step < 0) enter(2);
    else if (told.move < 4) enter(told.move + 1);
    else if (stage.step < stage.head) jump(stage.step + 1, 1);
  }

  /** @param {boolean} held whether the scrubber is */
  function hold(held) {
    scrubbing = held;
    save();
    announce();
  }

  /** @param {number} speed */
  function setSpeed(speed) {
    told.stop();
    model.set("speed", speed);
    model.save_changes();
  }

  /** Tell Python where the reader is, once they rest there. */
  function save() {
    clearTimeout(saving);
    saving = setTimeout(() => {
      const { index: run, step } = stage;
      if (scrubbing || stage.fresh || told.running || (get("run") === run && get("step") === step)) return;
      Object.assign(seen, { run, step });
      model.set("run", run);
      model.set("step", step);
      model.save_changes();
    }, SAVE_AFTER);
  }

  // ---- asking Python
  const line = kernelLine({
    send: (message) => model.send(message),
    silence(silent) {
      problemHere = silent ? NO_ANSWER : "";
      if (silent) quit();
      drawSoon();
    },
  });
  const busy = () => Boolean(pending) || stage.writing;

  /** @param {string} what @param {object} message */
  function request(what, message) {
    problemHere = busy() ? BUSY : "";
    if (!problemHere) {
      told.stop();
      pending = what;
      line.ask({ type: what, ...message });
    }
    draw();
  }

  function write() {
    request("generate", prompt.wish());
  }

  /** Write another token where the reader is. @param {number} token */
  function branch(token) {
    const at = Math.max(0, stage.step);
    const there = stage.find(at, token);
    if (there < 0) request("branch", { run: stage.index, at, token });
    else choose(there, at);
  }

  /** @param {number} index @param {number} [step] */
  function choose(index, step = stage.step) {
    stage.select(index);
    jump(step);
  }

  /** Nothing more will come. */
  function quit() {
    pending = "";
    stage.halt();
  }

  model.on("msg:custom", (/** @type {any} */ message) => {
    line.heard();
    if (message.type === "begin") {
      told.stop();
      pending = "";
      stage.begin(message.trace);
    } else if (message.type === "steps") stage.append(message.first, message.steps, message.vocabulary);
    drawSoon();
  });
  for (const name of ["runs", "modes", "run", "step", "speed", "status", "error", "title", "can_live"]) {
    model.on(`change:${name}`, drawSoon);
  }
  // Noted as they come: within one frame a run may begin and be refused, and the frame sees no difference.
  model.on("change:status", () => {
    line.heard();
    settled ||= get("status").state === "idle";
  });
  model.on("change:error", () => (settled ||= Boolean(get("error"))));
  for (const name of ["prompt", "settings", "seed", "model", "model_names"]) {
    model.on(`change:${name}`, () => prompt.fill(get));
  }

  /** Take over what Python has set since the last frame. */
  function reconcile() {
    const [traces, run, step] = ["runs", "run", "step"].map(get);
    const before = seen;
    seen = { runs: traces, run, step };
    if (traces !== before.runs) {
      told.stop();
      stage.load(traces, run, step);
      save();
    } else if (run !== before.run || step !== before.step) {
      told.stop();
      if (!stage.fresh) stage.select(run);
      stage.go(step);
    }
    if (settled && get("status").state === "idle") {
      line.rest();
      quit();
    }
    settled = false;
  }

  // ---- drawing
  function drawSoon() {
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    cancelAnimationFrame(frame);
    frame = 0;
    reconcile();
    const { run, step } = stage;
    const live = get("can_live");
    const atWork = stage.onFresh && stage.writing;
    const sentence = problemHere || get("error");
    put(title, get("title"));
    prompt.node.hidden = !live;
    prompt.show(get("status"), busy(), Boolean(pending));
    recorded.hidden = live || !run;
    put(problem, sentence);
    problem.hidden = !sentence;
    empty.hidden = Boolean(run);
    put(empty, live ? "Type how the story begins, then press Write." : "Nothing has been recorded here.");
    badge.hidden = page.node.hidden = moves.node.hidden = mid.hidden = transport.node.hidden = !run;
    runs.show(stage);
    if (!run) return;
    // Before its first token a run shows the guess that the token will be drawn from.
    const shown = run.length ? run.step(Math.max(0, step)) : null;
    const at = step < 0 ? 1 : told.move;
    const written = step >= 0 && (at < 4 || told.flying) ? step - 1 : step;
    const waiting = pending === "branch" || (atWork && step === stage.head);
    text.show(run, written, { waiting, ring: at === 4 && !told.flying });
    page.reveal(text.chip(Math.max(0, written)));
    moves.show(run, shown, at);
    attr(mid, "data-telling", told.slowly);
    bars.show(run, shown, { live, move: at });
    drawing.show(shown, at);
    stats.show(run, shown, at);
    wave.show(run, written, atWork ? run.settings.max_new_tokens : run.length);
    const place = step < 0 ? `the prompt; ${run.length} tokens follow` : `token ${step + 1} of ${run.length}`;
    transport.show(place, get("speed"), told.running);
    twin.show(run, written);
    showBadge(run, atWork);
  }

  /** @param {import("./shared/trace.js").Run} run @param {boolean} atWork */
  function showBadge(run, atWork) {
    const live = stage.onFresh || get("modes")[stage.index] === "live";
    const ms = run.columns.ms.reduce((sum, each) => sum + each, 0);
    const rate = atWork ? get("status").rate : ms && (run.length / ms) * 1000;
    const kind = live ? "live" : "recorded";
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", atWork);
    put(mode, kind.toUpperCase());
    put(origin, `\u2002${run.trace.model.name}${live ? tokensPerSecond(rate) : ""}`);
  }

  /** One sentence for those who listen; silent where it would only be noise. */
  function announce() {
    const { run, step } = stage;
    if (!run?.length || scrubbing) return;
    if (step < 0) return put(say, "The prompt alone.");
    const { piece, probability, rank } = run.step(step);
    put(say, `Token ${step + 1}: ${piece.name}, ${percent(probability)}, rank ${rank}.`);
  }

  // ---- keys and buttons
  /** @param {number} by */
  function chooseRow(by) {
    const rows = bars.choices;
    const at = rows.indexOf(focus.stop);
    const next = document.activeElement === focus.stop && at >= 0 ? at + by : by > 0 ? 0 : -1;
    rows.at(next % rows.length)?.focus();
  }

  /** @param {string} name an action and perhaps a value @param {any} [event] */
  function act(name, event) {
    const [what, value] = name.split(" ");
    actions[what](value ? Number(value) : event);
    draw();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const name = keyAction(event);
    // Outside the stage a button is an ordinary button: Space presses it.
    if (!name || (!group.contains(/** @type {Node} */ (event.target)) && !/^(spaces|table|large)$/.test(name))) return;
    event.preventDefault();
    event.stopPropagation();
    act(name, event);
  }

  /** A click on something that takes no focus still means: the keys are for this view now. */
  function take() {
    if (!group.contains(document.activeElement)) focus.stop.focus({ preventScroll: true });
  }

  prompt.fill(get);
  draw();
  if (get("autoplay") && stage.runs.length) {
    jump(-1);
    if (!told.calm) play();
  } else if (get("autoplay") && get("can_live") && get("status").state === "idle") write();

  return () => {
    told.stop();
    line.rest();
    clearTimeout(saving);
    cancelAnimationFrame(frame);
  };
}

export default { render };
