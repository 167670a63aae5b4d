// Beam search: the tree of hypotheses, step by step; what is kept, what is pruned, and how the finished ones rank.

import { pieceText, Tree } from "./shared/beams.js";
import { playClock } from "./shared/clock.js";
import { attr, cssVar, h, icon, put, segments, shape } from "./shared/dom.js";
import { clamp, count, fixed, percent, ramp } from "./shared/format.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { keyAction } from "./shared/keys.js";
import { ownKeys } from "./shared/own_keys.js";
import { sayRepetition } from "./shared/repetition.js";

/** @typedef {import("./shared/beams.js").BeamRow} BeamRow */

const BEAM_STEPS_PER_SECOND = 1.5;
// In pixels: from step to step, from rank to rank, and the most that a word may be wide.
const TREE_COLUMN = 96;
const TREE_ROW = 26;
const TREE_WORD = 78;
const FATE_WORDS = { kept: "kept", finished: "finished", pruned: "pruned" };

/** How many times as probable one text is as another, in words. @param {number} nats by which it leads */
export function timesAsProbable(nats) {
  const times = Math.exp(Math.abs(nats));
  if (times >= 1e6) return "more than a million times";
  return `${times < 10 ? fixed(times, 2) : count(Number(times.toPrecision(3)))} times`;
}

/** The beam beside greedy, in a sentence. @param {Tree} tree @param {number} step */
export function sayLead(tree, step) {
  const best = tree.best(step);
  if (!best) return "";
  const greedy = tree.greedyLogprob(Math.min(step, tree.greedy.length - 1));
  const lead = best.logprob - greedy;
  const both = `Best hypothesis ${fixed(best.logprob, 2)} nats, greedy ${fixed(greedy, 2)} nats`;
  if (best.greedy) return `${both}: they are the same text.`;
  if (tree.greedy.length <= step || best.step !== step) return `${both}; their lengths differ.`;
  const which = lead > 0 ? "the beam's text is" : "greedy's text is";
  return `${both}: ${which} ${timesAsProbable(lead)} as probable.`;
}

/** The tree in its scrolling box. @param {(step: number) => void} seek */
function treeView(seek) {
  const edges = shape("svg", { class: "tt-tree-edges", "aria-hidden": "true" });
  const nodes = h("div");
  const ground = h("div.tt-tree-ground", {}, edges, nodes);
  const node = h("div.tt-tree", { tabindex: 0, role: "img" }, ground);
  /** @type {Tree | null} */
  let tree = null;
  /** @type {Map<BeamRow, {word: HTMLElement, edge: SVGElement}>} */
  let drawn = new Map();
  let rank = 0;
  let at = 0;

  /** Scroll to the step that is shown; in the page's own measure, since large type zooms the tree. */
  function reveal() {
    const column = nodes.querySelectorAll(".tt-tree-step")[at]?.getBoundingClientRect();
    const box = node.getBoundingClientRect();
    if (column && column.right + 12 > box.right) node.scrollLeft += column.right + 12 - box.right;
    else if (column && column.left < box.left) node.scrollLeft += column.left - 40 - box.left;
  }
  const resized = new ResizeObserver(reveal);
  resized.observe(node);
  resized.observe(ground);

  /** @param {BeamRow} row */
  function middle(row) {
    return [row.step * TREE_COLUMN + 18, row.rank * TREE_ROW + TREE_ROW / 2];
  }
  /** About how wide a word is drawn; asking the page would cost a layout each. @param {BeamRow} row */
  const about = ({ piece }) => Math.min(TREE_WORD, 13 + 7.2 * piece.shown.length);
  /** @param {Tree} next */
  function build(next) {
    tree = next;
    drawn = new Map();
    rank = Math.max(1, ...next.steps.map((rows) => rows.length));
    const [width, height] = [next.length * TREE_COLUMN + 24, rank * TREE_ROW + 22];
    ground.style.cssText = `width:${width}px;height:${height}px`;
    for (const [name, value] of [["width", width], ["height", height]]) attr(edges, `${name}`, value);
    const heads = next.steps.map((_, i) =>
      h("button.tt-tree-step", { tabindex: -1, style: `left:${i * TREE_COLUMN + 18}px`, click: () => seek(i), "aria-label": `Step ${i + 1}` }, `${i + 1}`));
    for (const row of next.steps.flat()) {
      const [x, y] = middle(row);
      const start = row.from ? [middle(row.from)[0] + about(row.from), middle(row.from)[1]] : [0, TREE_ROW / 2];
      const bend = (x + start[0]) / 2;
      const edge = shape("path", { d: `M${start[0]} ${start[1]}C${bend} ${start[1]} ${bend} ${y} ${x} ${y}`, "data-greedy": row.greedy });
      const title = `${row.piece.name}: ${percent(row.p)}, whole text ${fixed(row.logprob, 2)} nats, ${FATE_WORDS[row.fate]}`;
      const word = h("span.tt-tree-node.tt-words",
        { style: `left:${x}px;top:${y - TREE_ROW / 2 + 2}px`, title, "data-fate": row.fate, "data-greedy": row.greedy, "--tt-chip": `var(--tt-p${ramp(row.p)})`, "--tt-p": row.p },
        h("span", {}, row.piece.shown));
      drawn.set(row, { word, edge });
    }
    edges.replaceChildren(...[...drawn.values()].map(({ edge }) => edge));
    nodes.replaceChildren(...heads, ...[...drawn.values()].map(({ word }) => word));
  }
  return {
    node,
    /** @param {Tree} next @param {number} step */
    show(next, step) {
      if (next !== tree) build(next);
      const living = next.living(step);
      const best = next.best(step);
      const path = new Set(next.path(best));
      for (const [row, { word, edge }] of drawn) {
        const hidden = row.step > step;
        word.hidden = hidden;
        attr(edge, "visibility", hidden ? "hidden" : null);
        for (const each of [word, edge]) {
          attr(each, "data-dead", row.fate === "pruned" || !living.has(row));
          attr(each, "data-path", path.has(row));
        }
        attr(word, "data-now", row === best);
      }
      [...nodes.querySelectorAll(".tt-tree-step")].forEach((head, i) => {
        attr(head, "data-after", i > step);
        attr(head, "aria-current", i === step ? "step" : null);
      });
      at = step;
      reveal();
      const alive = next.alive(step).map((row) => pieceText(next.path(row).map((each) => each.piece)).trim());
      attr(node, "aria-label", `Tree of hypotheses after step ${step + 1}. Kept: ${alive.join("; ")}.`);
    },
  };
}

/** Steps as bars: how far the best hypothesis is ahead of greedy; it scrubs. @param {(step: number) => void} seek */
function leadView(seek) {
  const node = h("div.tt-lead", { role: "slider", tabindex: 0, "aria-label": "Step", "aria-valuemin": 1 });
  let n = 1;
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const { left, width } = node.getBoundingClientRect();
    seek(Math.floor(((event.clientX - left) / width) * n));
  };
  node.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (event.button) return;
    node.setPointerCapture(event.pointerId);
    follow(event);
  });
  node.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => node.hasPointerCapture(event.pointerId) && follow(event));
  return {
    node,
    /** @param {Tree} tree @param {number} step */
    show(tree, step) {
      n = tree.length;
      const leads = tree.steps.map((_, i) => Math.max(0, (tree.best(i)?.logprob ?? 0) - tree.greedyLogprob(i)));
      const top = Math.max(0.5, ...leads);
      while (node.childElementCount > n) node.lastElementChild?.remove();
      while (node.childElementCount < n) node.append(h("i"));
      leads.forEach((lead, i) => {
        const bar = /** @type {HTMLElement} */ (node.children[i]);
        cssVar(bar, "--size", lead / top);
        attr(bar, "data-after", i > step);
        attr(bar, "data-now", i === step);
      });
      attr(node, "aria-valuemax", n);
      attr(node, "aria-valuenow", step + 1);
      attr(node, "aria-valuetext", `step ${step + 1} of ${n}, ${fixed(leads[step] ?? 0, 2)} nats ahead of greedy`);
    },
  };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderBeams({ model, el }) {
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const prompt = h("textarea.tt-field.tt-lanes-prompt", { rows: 1, "aria-label": "Prompt", keydown: onEnter });
  const beams = h("input.tt-field", { type: "number", min: 1, max: 8, "aria-label": "Number of beams" });
  const tokens = h("input.tt-field", { type: "number", min: 1, max: 60, "aria-label": "Tokens at most" });
  let sentence = false;
  const ends = segments("A hypothesis ends", [{ value: false, text: "at the length only" }, { value: true, text: "with a sentence" }], (is) => {
    sentence = is;
    ends.press(is);
  });
  const search = h("button.tt-btn", { type: "submit", "data-line": true }, "Search");
  const progress = h("span.tt-note", { role: "status" });
  const form = h("form.tt-beam-form", { novalidate: true, submit: onSearch }, prompt,
    h("label.tt-note", {}, "beams ", beams), h("label.tt-note", {}, "tokens ", tokens),
    h("span.tt-note", {}, "ends ", ends.node), search, progress);
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const play = h("button.tt-btn", { "data-main": true, click: toggle });
  const back = h("button.tt-btn", { "aria-label": "One step back", click: () => go(step - 1) }, icon("back"));
  const forward = h("button.tt-btn", { "aria-label": "One step forward", click: () => go(step + 1) }, icon("forward"));
  const where = h("b.tt-beam-where");
  const lead = leadView((at) => go(at));
  const tree_ = treeView((at) => go(at));
  const lead_ = h("p.tt-beam-lead");
  const cut = h("p.tt-note");
  const texts = h("table.tt-table.tt-beam-texts");
  const twinToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("table.tt-table");
  const twinBox = h("div.tt-scroll", { hidden: true, tabindex: 0, role: "region", "aria-label": "This step as a table" }, twin);
  const penalty = h("input", { type: "range", min: 0, max: 2, step: 0.1, "aria-label": "Length penalty", input: drawRanking });
  const formula = h("p.tt-beam-formula");
  const why = h("p.tt-note");
  const ranking = h("table.tt-table.tt-beam-texts");
  const says = h("p.tt-note");
  const choice = h("div.tt-seg", { role: "group", "aria-label": "Searches" });
  const live = h("p.tt-sr", { "aria-live": "polite" });
  const key = (/** @type {string} */ kind, /** @type {string} */ words) => h("span", {}, h(`i.tt-beam-key`, { "data-kind": kind }), words);
  const root = h("div.tt-root.tt-beams", {}, h("div.tt-page", {},
    h("header.tt-head", {}, title, badge), form, problem, choice,
    h("div.tt-beam-transport", { keydown: onKey },
      h("div.tt-lanes-buttons", {}, back, play, forward),
      h("div", {}, lead.node, h("p.tt-note", {}, "by how many nats the best hypothesis is ahead of greedy")), where),
    tree_.node,
    h("p.tt-note.tt-beam-keys", {}, key("kept", "kept, underlined by its probability"), key("best", "the best one"), key("greedy", "greedy's path"), key("pruned", "pruned")),
    lead_, cut, says, texts,
    h("div", {}, twinToggle), twinBox,
    h("section.tt-beam-rank", {}, h("h3.tt-h", {}, "Which of the finished ones wins"), formula,
      h("label.tt-note.tt-beam-penalty", {}, "length penalty α ", penalty), why, ranking),
    live));
  el.append(ownKeys(root));

  let tree = new Tree(model.get("records")[0]);
  let step = 0;
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), drawStatus()) });
  const clock = playClock({
    last: () => tree.length - 1,
    duration: () => 1000 / BEAM_STEPS_PER_SECOND,
    show: (at, _ms, done) => done && draw(at),
    end: pause,
  });

  /** @param {KeyboardEvent} event */
  function onEnter(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  }
  /** @param {Event} event */
  function onSearch(event) {
    event.preventDefault();
    if (model.get("status").state !== "idle") return model.send({ type: "stop" });
    pause();
    const number = (/** @type {HTMLInputElement} */ { valueAsNumber: value }) => (Number.isNaN(value) ? null : value);
    line.ask({ type: "generate", prompt: prompt.value, num_beams: number(beams), max_new_tokens: number(tokens), sentence, model: model.get("model") });
  }
  function toggle() {
    if (clock.running) return pause();
    const from = step >= tree.length - 1 ? 0 : step + 1;
    if (!from) draw(0);
    clock.start(from);
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
    draw(clamp(at, 0, tree.length - 1));
    drawPlay();
    save();
    const pruned = tree.steps[step].filter((row) => row.fate === "pruned").length;
    put(live, `Step ${step + 1}: best “${textOf(tree.best(step)).trim()}”. ${pruned} pruned. ${lead_.textContent}`);
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const act = { play: toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(tree.length - 1) }[keyAction(event)];
    if (!act || (event.key === " " && event.target !== lead.node)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
  function flip() {
    twinBox.hidden = !twinBox.hidden;
    attr(twinToggle, "aria-pressed", String(!twinBox.hidden));
    drawTwin();
  }

  /** @param {BeamRow | null} row */
  const textOf = (row) => pieceText(tree.path(row).map(({ piece }) => piece));
  /** @param {string[]} heads @param {any[][]} rows a text is words, a number stands right */
  function fill(table, heads, rows, marks = []) {
    const cell = (/** @type {any} */ value, /** @type {number} */ i, /** @type {string} */ tag) =>
      h(`${tag}${heads[i] === "text" || heads[i] === "token" ? (tag === "td" ? ".tt-words" : "") : ".tt-num"}`, tag === "th" ? { scope: "col" } : {}, value);
    table.replaceChildren(
      h("thead", {}, h("tr", {}, ...heads.map((text, i) => cell(text, i, "th")))),
      h("tbody", {}, ...rows.map((row, r) => h("tr", { "data-mark": marks[r] || null }, ...row.map((value, i) => cell(value, i, "td"))))));
    table.querySelectorAll("td").forEach((/** @type {Element} */ td, /** @type {number} */ i) => attr(td, "data-head", heads[i % heads.length]));
  }

  function drawPlay() {
    play.replaceChildren(icon(clock.running ? "pause" : "play"));
    attr(play, "aria-label", clock.running ? "Pause" : "Play");
  }
  /** @param {number} at */
  function draw(at) {
    step = at;
    tree_.show(tree, step);
    lead.show(tree, step);
    put(where, tree.length ? `step ${step + 1} of ${tree.length}` : "");
    put(lead_, sayLead(tree, step));
    const out = tree.greedyPruned;
    put(cut, out >= 0 && out <= step
      ? `Greedy's text was pruned at step ${out + 1}: ${tree.record.num_beams} other beginnings were more probable by then.`
      : "Greedy's text is still in the beam.");
    const alive = tree.alive(step);
    const rows = alive.map((row, i) => [`${i + 1}`, textOf(row), fixed(row.logprob, 2), row.greedy ? "greedy" : row.fate === "finished" ? "finished" : ""]);
    const shown = Math.min(step, tree.greedy.length - 1);
    if (!alive.some((row) => row.greedy)) {
      const path = tree.greedy.slice(0, shown + 1).map((/** @type {number} */ token) => tree.piece(token));
      rows.push(["", pieceText(path), fixed(tree.greedyLogprob(shown), 2), "greedy, not in the beam"]);
    }
    fill(texts, ["rank", "text", "log-probability, nats", "what it is"], rows, alive.map((_, i) => (i ? "" : "best")));
    drawTwin();
  }
  function drawTwin() {
    if (twinBox.hidden) return;
    const rows = tree.steps[step].map((row, i) => [`${i + 1}`, textOf(row.from) || "(the prompt)", row.piece.name, percent(row.p), fixed(row.logprob, 2), row.fate + (row.greedy ? ", greedy" : "")]);
    fill(twin, ["rank", "text", "token", "its probability", "log-probability, nats", "fate"], rows);
  }
  function drawRanking() {
    const alpha = penalty.valueAsNumber;
    const ranked = tree.ranking(alpha);
    formula.replaceChildren("score = log-probability / length", h("sup", {}, "α"), `, now with α = ${fixed(alpha, 1)}`);
    const lengths = new Set(ranked.map(({ length }) => length));
    const searched = `The search itself ran with α = ${fixed(tree.record.length_penalty, 1)}.`;
    put(why, lengths.size < 2
      ? `All ${ranked.length} are ${[...lengths][0]} tokens long, so the penalty changes no order. Let the hypotheses end with a sentence to see what it is for. ${searched}`
      : `With α = 0 short texts win, for every further token costs some probability; α = 1 compares the mean of a token; more favours long texts. ${searched}`);
    fill(ranking, ["rank", "text", "log-probability, nats", "length, tokens", "score"],
      ranked.slice(0, 8).map(({ row, length, score }, i) => [`${i + 1}`, textOf(row), fixed(row.logprob, 2), `${length}`, fixed(score, 3)]), ["best"]);
  }
  function drawRecord() {
    line.rest();
    const shown = model.get("shown");
    tree = new Tree(model.get("records")[shown]);
    choice.replaceChildren(...model.get("names").map((/** @type {string} */ name, /** @type {number} */ i) =>
      h("button", { "aria-pressed": `${i === shown}`, click: () => choose(i) }, name)));
    put(says, `The best text: ${sayRepetition(model.get("repetition")[shown])}`);
    prompt.value = tree.record.prompt;
    beams.value = String(tree.record.num_beams);
    tokens.value = String(tree.record.max_new_tokens);
    sentence = tree.record.ends.length > 1;
    ends.press(sentence);
    penalty.value = String(tree.record.length_penalty);
    draw(clamp(model.get("step"), 0, tree.length - 1));
    drawRanking();
    drawStatus();
  }
  /** @param {number} index */
  function choose(index) {
    pause();
    model.set("shown", index);
    model.set("step", model.get("records")[index].steps.length - 1);
    model.save_changes();
    drawRecord();
  }
  function drawStatus() {
    const { state, done, total, rate } = model.get("status");
    const busy = state !== "idle";
    const kind = busy || model.get("names")[model.get("shown")] === "yours" ? "live" : "recorded";
    put(title, model.get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${tree.record.model.name}`);
    put(search, busy ? "Stop" : "Search");
    put(progress, state === "loading" ? `Loading ${model.get("model")} …` : busy ? `${done} of ${total} steps, ${rate} a second` : "");
    const sentence_ = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !sentence_;
    put(problem, sentence_);
    form.hidden = !model.get("can_live");
  }
  const onStatus = () => {
    line.heard();
    if (model.get("status").state === "idle") line.rest();
    drawStatus();
  };
  const onMessage = () => line.heard();
  /** @type {[string, () => void][]} */
  const heard = [["change:records", drawRecord], ["change:status", onStatus], ["change:error", drawStatus]];
  for (const [name, act] of heard) model.on(name, act);
  model.on("msg:custom", onMessage);
  drawRecord();
  drawPlay();
  return () => {
    clock.stop();
    line.rest();
    for (const [name, act] of heard) model.off(name, act);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderBeams };
