// Strategies side by side: a lane each, one prompt, and the same random number for all at every step.

import { attr, cssVar, h, icon, put } from "./shared/dom.js";
import { count, describeSettings, fixed, percent } from "./shared/format.js";
import { Run } from "./shared/trace.js";
import { textView } from "./shared/text.js";
import { drawView } from "./shared/draw.js";
import { playClock } from "./shared/clock.js";
import { keyAction } from "./shared/keys.js";
import { ownKeys } from "./shared/own_keys.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { sayDistinct, sayLoop } from "./shared/repetition.js";

const PER_SECOND = 2;

/** How a lane picks, in a line. @param {any} settings */
export function sayLane(settings) {
  if (settings.strategy === "beam") return `beam search, ${settings.num_beams} beams: no draw`;
  return describeSettings(settings);
}

/** How many tokens the filters left, as a median over the steps so far. @param {Run} run @param {number} step */
export function medianKept(run, step) {
  if (run.settings.strategy === "beam" || step < 0) return null;
  const kept = run.columns.kept.slice(0, step + 1).sort((a, b) => a - b);
  return kept[kept.length >> 1];
}

/** @param {string} name @param {(step: number) => void} seek */
function laneView(name, seek) {
  const text = textView({ pick: seek });
  const draw = drawView();
  const how = h("p.tt-note");
  const fact = h("p.tt-lane-fact");
  const node = h(
    "section.tt-lane",
    { "aria-label": name },
    h("div.tt-lane-who", {}, h("h3.tt-h", {}, name), how),
    h("div.tt-lane-run", {}, text.node, h("div.tt-lane-now", {}, draw.node, fact)),
  );
  return {
    node,
    /** @param {Run} run @param {number} at step of all lanes; a lane that has ended stays at its end */
    show(run, at) {
      const step = Math.min(at, run.length - 1);
      const beam = run.settings.strategy === "beam";
      put(how, sayLane(run.settings));
      text.show(run, step);
      const now = step >= 0 ? run.step(step) : null;
      draw.node.hidden = beam;
      if (!beam) draw.show(now);
      if (beam) put(fact, now ? "no draw: the search took the whole text, beam by beam, and shares no random number" : "");
      else put(fact, now ? `kept ${count(now.kept)} of ${count(run.vocabSize)} · picked with ${percent(now.filtered)}` : "");
    },
  };
}

/** The shared random numbers: a dot a step at height u; it scrubs. @param {(step: number) => void} seek */
function numbersView(seek) {
  const node = h("div.tt-numbers", { role: "slider", tabindex: 0, "aria-label": "Step", "aria-valuemin": 1 });
  /** @type {HTMLElement[]} */
  let dots = [];
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const { left, width } = node.getBoundingClientRect();
    seek(Math.floor(((event.clientX - left) / width) * dots.length));
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    node.setPointerCapture(event.pointerId);
    follow(event);
  });
  node.addEventListener("pointermove", (event) => node.hasPointerCapture(event.pointerId) && follow(event));
  return {
    node,
    /** @param {(number | null)[]} numbers @param {number} step */
    show(numbers, step) {
      while (dots.length > numbers.length) dots.pop()?.remove();
      while (dots.length < numbers.length) dots.push(node.appendChild(h("i")));
      numbers.forEach((u, i) => {
        cssVar(dots[i], "--u", u ?? 0);
        attr(dots[i], "data-none", u === null);
        attr(dots[i], "data-now", i === step);
        attr(dots[i], "data-after", i > step);
      });
      const u = numbers[step];
      attr(node, "aria-valuemax", numbers.length);
      attr(node, "aria-valuenow", step + 1);
      attr(node, "aria-valuetext", `step ${step + 1} of ${numbers.length}${u === null ? "" : `, u = ${fixed(u ?? 0, 3)}`}`);
    },
  };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderStrategies({ model, el }) {
  const listening = new AbortController();
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const prompt = h("textarea.tt-field.tt-lanes-prompt", { rows: 1, "aria-label": "Prompt" });
  const seed = h("input.tt-field.tt-lanes-seed", { type: "number", min: 0, step: 1, "aria-label": "Seed of the random numbers" });
  const write = h("button.tt-btn", { type: "submit", "data-line": true }, "Write all lanes");
  const progress = h("span.tt-note", { role: "status" });
  const form = h(
    "form.tt-lanes-form",
    { submit: onWrite },
    prompt,
    h("label.tt-note", {}, "seed ", seed),
    write,
    progress,
  );
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const play = h("button.tt-btn", { type: "button", "data-main": true, click: toggle }, icon("play"));
  const back = h("button.tt-btn", { type: "button", "aria-label": "One step back", click: () => go(step - 1) }, icon("back"));
  const forward = h("button.tt-btn", { type: "button", "aria-label": "One step forward", click: () => go(step + 1) }, icon("forward"));
  const where = h("span.tt-lanes-where");
  const numbers = numbersView((at) => go(at));
  const lanesNode = h("div.tt-lanes");
  const table = h("table.tt-table");
  const twinToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "Every step as a table");
  const twin = h("table.tt-table");
  const twinBox = h("div.tt-scroll.tt-lanes-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The lanes step by step" }, twin);
  const live = h("p.tt-sr", { "aria-live": "polite" });
  const root = h(
    "div.tt-root.tt-strategies",
    {},
    h(
      "div.tt-page",
      {},
      h("header.tt-head", {}, title, badge),
      form,
      problem,
      h(
        "div.tt-lanes-transport",
        { keydown: onKey },
        h("div.tt-lanes-buttons", {}, back, play, forward),
        h("div.tt-lanes-scrub", {}, numbers.node, h("p.tt-note", {}, "the random number of each step, 0 at the bottom, 1 at the top")),
        where,
      ),
      lanesNode,
      h("div.tt-scroll", {}, table),
      h("div", {}, twinToggle),
      twinBox,
      live,
    ),
  );
  el.append(ownKeys(root));

  /** @type {Run[]} */
  let runs = [];
  /** @type {ReturnType<typeof laneView>[]} */
  let lanes = [];
  /** @type {(Run | undefined)[] | null} runs on their way */
  let coming = null;
  let step = 0;
  let silent = false;

  const line = kernelLine({
    send: (message) => model.send(message),
    silence: (is) => ((silent = is), drawStatus()),
  });
  const clock = playClock({
    last: () => length() - 1,
    duration: () => 1000 / PER_SECOND,
    show: (at, _ms, done) => done && draw(at),
    end: pause,
  });

  const length = () => Math.max(0, ...runs.map((run) => run.length));

  /** @param {Event} event */
  function onWrite(event) {
    event.preventDefault();
    if (model.get("status").state !== "idle") return model.send({ type: "stop" });
    pause();
    line.ask({ type: "generate", prompt: prompt.value, seed: seed.value === "" ? null : Number(seed.value), model: model.get("model") });
  }
  function toggle() {
    if (clock.running) return pause();
    clock.start(step >= length() - 1 ? 0 : step + 1);
    drawPlay();
  }
  function pause() {
    clock.stop();
    drawPlay();
    save();
  }
  function save() {
    if (model.get("step") === step) return;
    model.set("step", step);
    model.save_changes();
  }
  /** @param {number} at */
  function go(at) {
    clock.stop();
    draw(Math.max(0, Math.min(length() - 1, at)));
    drawPlay();
    save();
    put(live, runs.map((run, i) => `${model.get("names")[i]}: ${nameAt(run)}`).join("; "));
  }
  /** @param {Run} run */
  const nameAt = (run) => (step < run.length ? run.piece(run.columns.token[step]).name : "ended");

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const act = { play: toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(length() - 1) }[keyAction(event)];
    if (!act || (event.key === " " && event.target !== numbers.node)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  function drawPlay() {
    play.replaceChildren(icon(clock.running ? "pause" : "play"));
    attr(play, "aria-label", clock.running ? "Pause" : "Play");
  }

  /** @param {number} at */
  function draw(at) {
    step = at;
    lanes.forEach((lane, i) => runs[i] && lane.show(runs[i], step));
    const columns = runs.map((run) => run.columns.uniform);
    const all = Array.from({ length: length() }, (_, i) => columns.map((column) => column[i]).find((u) => u != null) ?? null);
    numbers.show(all, step);
    const u = all[step];
    put(where, length() ? `step ${step + 1} of ${length()}${u == null ? "" : `, u = ${fixed(u, 3)}`}` : "");
    drawTable();
  }

  function flip() {
    twinBox.hidden = !twinBox.hidden;
    attr(twinToggle, "aria-pressed", String(!twinBox.hidden));
    drawTwin();
  }

  /** Each step of each lane: the token, and how many it was picked among. */
  function drawTwin() {
    if (twinBox.hidden) return;
    const rows = Array.from({ length: length() }, (_, i) => {
      const cells = runs.flatMap((run) => {
        if (i >= run.length) return [h("td", {}, "ended"), h("td.tt-num", {}, "")];
        const { piece, kept, uniform } = run.step(i);
        return [h("td.tt-words", {}, (piece.space ? "·" : "") + piece.shown), h("td.tt-num", {}, uniform === null ? "no draw" : count(kept))];
      });
      const u = runs.map((run) => run.columns.uniform[i]).find((each) => each != null);
      return h("tr", { "aria-current": i === step ? "step" : null }, h("td.tt-num", {}, `${i + 1}`), h("td.tt-num", {}, u == null ? "" : fixed(u, 3)), ...cells);
    });
    const heads = model.get("names").flatMap((/** @type {string} */ name) => [h("th", { scope: "col" }, name), h("th.tt-num", { scope: "col" }, "kept")]);
    twin.replaceChildren(
      h("thead", {}, h("tr", {}, h("th.tt-num", { scope: "col" }, "#"), h("th.tt-num", { scope: "col" }, "u"), ...heads)),
      h("tbody", {}, ...rows),
    );
  }

  function drawTable() {
    drawTwin();
    const names = model.get("names");
    // While a run is written, the counts of the one before would be another text's.
    const counted = coming ? [] : model.get("repetition");
    const rows = runs.map((run, i) => {
      const at = Math.min(step, run.length - 1);
      const sum = run.logprob(at);
      const kept = medianKept(run, at);
      const so_far = [`${at + 1}`, fixed(sum, 1), at < 0 ? "—" : fixed(sum / (at + 1), 2), kept === null ? "—" : count(kept)];
      const found = counted[i];
      const whole = found ? [sayDistinct(found.distinct_1), sayDistinct(found.distinct_2), sayDistinct(found.distinct_3), `${found.longest}`, sayLoop(found)] : Array(5).fill("…");
      return h("tr", {}, h("th", { scope: "row" }, names[i]), ...[...so_far, ...whole].map((cell) => h("td.tt-num", {}, cell)));
    });
    const groups = h("tr", {}, h("th"), h("th.tt-lanes-group", { colspan: 4, scope: "colgroup" }, "up to this step"), h("th.tt-lanes-group", { colspan: 5, scope: "colgroup" }, "of the whole text"));
    const head = ["tokens", "log-probability, nats", "a token, nats", "kept, median", "distinct-1", "distinct-2", "distinct-3", "longest said twice, tokens", "loop at the end"];
    table.replaceChildren(
      h("thead", {}, groups, h("tr", {}, h("th", { scope: "col" }, "strategy"), ...head.map((each) => h("th.tt-num", { scope: "col" }, each)))),
      h("tbody", {}, ...rows),
    );
  }

  function drawRuns() {
    coming = null;
    line.rest();
    runs = model.get("runs").map((/** @type {any} */ trace) => new Run(trace));
    lanes = model.get("names").map((/** @type {string} */ name) => laneView(name, go));
    lanesNode.replaceChildren(...lanes.map((lane) => lane.node));
    draw(Math.min(Math.max(0, model.get("step")), length() - 1));
    drawStatus();
  }

  function drawStatus() {
    const { state, done, total, rate } = model.get("status");
    const busy = state !== "idle";
    const kind = busy || model.get("mode") === "live" ? "live" : "recorded";
    put(title, model.get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${runs[0]?.trace.model.name ?? model.get("model")}`);
    put(write, busy ? "Stop" : "Write all lanes");
    put(progress, state === "loading" ? `Loading ${model.get("model")} …` : busy ? `${done} of ${total} tokens, ${rate} tokens/s` : "");
    const sentence = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !sentence;
    put(problem, sentence);
    form.hidden = !model.get("can_live");
  }

  /** @param {any} message */
  function onMessage(message) {
    line.heard();
    if (message.type === "begin") {
      if (message.lane === 0) coming = [];
      if (coming) coming[message.lane] = new Run(message.trace);
      if (coming?.length === lanes.length) runs = /** @type {Run[]} */ (coming);
    } else if (message.type === "steps" && coming) {
      coming[message.lane]?.append(message.first, message.steps, message.vocabulary);
      draw(Math.max(0, length() - 1));
    }
  }

  const form_ = () => {
    prompt.value = model.get("prompt");
    seed.value = String(model.get("seed"));
  };
  const onStatus = () => {
    line.heard();
    if (model.get("status").state === "idle") line.rest();
    // A run that broke off leaves what was there before.
    if (model.get("status").state === "idle" && coming) drawRuns();
    drawStatus();
  };
  /** @type {[string, () => void][]} */
  const heard = [["change:runs", drawRuns], ["change:repetition", drawTable], ["change:status", onStatus], ["change:error", drawStatus], ["change:mode", drawStatus], ["change:prompt", form_], ["change:seed", form_]];
  for (const [name, act] of heard) model.on(name, act);
  model.on("msg:custom", onMessage);
  prompt.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
  }, { signal: listening.signal });

  form_();
  drawRuns();
  drawPlay();
  return () => {
    listening.abort();
    clock.stop();
    line.rest();
    for (const [name, act] of heard) model.off(name, act);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderStrategies };
