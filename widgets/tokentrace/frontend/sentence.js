// A text on a real model: a bar a token, the sum and the product along it, and one number in four dresses.

import { attr, cssVar, h, icon, put, shape } from "./shared/dom.js";
import { clamp, count, fixed, percent, ramp, readPiece } from "./shared/format.js";
import { chanceNodes, chanceText, costAxis, nats } from "./shared/costs.js";
import { playClock } from "./shared/clock.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { ownKeys } from "./shared/own_keys.js";
import { scoreForm } from "./shared/score_form.js";
import { tokenChip } from "./shared/text.js";

const TOKENS_A_SECOND = 3;
const DENSE = 26; // columns beyond which there is no room for words
const REST_MS = 150;

/** @typedef {{token: number[], logprob: number[], rank: number[], entropy: number[], candidates: number[][], candidate_logprobs: number[][]}} ScoreColumns */

/** A line that goes one step a column, as an SVG path in units of columns and of the axis. @param {number[]} values @param {number} end */
export function stairs(values, end) {
  return values.map((value, i) => `${i ? "L" : "M"}${i} ${clamp(value / end, 0, 1)}H${i + 1}`).join("");
}

/** What a float type holds after each token, in words. @param {string} name @param {number | null} zero @param {(i: number) => string} word */
export function sayZero(name, zero, word) {
  return zero === null ? `${name}: above 0 to the end` : `${name}: 0 from token ${zero + 1} on, ${word(zero)}`;
}

/** A panel: an axis on the left, a drawing on the right. @param {string} name @param {string} title @param {string} unit @param {...Node} inside */
function panel(name, title, unit, ...inside) {
  const axis = h("div.tt-panel-axis.tt-note", { "aria-hidden": "true" });
  const plot = h("div.tt-panel-plot", {}, ...inside);
  const value = h("span.tt-panel-value");
  const what = h("span", {}, ` ${unit}`);
  const node = h(`section.tt-panel.tt-panel-${name}`, {}, h("h3.tt-panel-title", {}, h("b", {}, title), what, value), axis, plot);
  return {
    node,
    plot,
    /** What stands at the token looked at. @param {...(Node | string)} nodes */
    say: (...nodes) => value.replaceChildren(...nodes),
    /** What is drawn. @param {...(Node | string)} words */
    explain: (...words) => what.replaceChildren(" ", ...words),
    /** @param {{at: number, text: string}[]} marks `at` from 0, the top, to 1 */
    marks(marks) {
      axis.replaceChildren(...marks.map(({ at, text }) => h("span", { style: `top:${at * 100}%` }, text)));
      plot.querySelectorAll(".tt-panel-line").forEach((each) => each.remove());
      plot.prepend(...marks.map(({ at }) => h("i.tt-panel-line", { style: `top:${at * 100}%` })));
    },
  };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderSentence({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const title = h("h2.tt-title");
  const badge = h("span.tt-badge");
  const form = scoreForm({
    labels: ["Text to score"],
    action: "Score",
    send([text], name) {
      stop();
      asked.ask({ type: "score", text, model: name });
      drawStatus();
    },
  });
  const asked = inquiry({ model, draw: drawStatus });
  const text = h("p.tt-text.tt-sent-text");
  const bars = h("div.tt-costs");
  const words = h("div.tt-cost-words.tt-words", { "aria-hidden": "true" });
  const ranks = h("div.tt-cost-words.tt-cost-ranks.tt-note", { "aria-hidden": "true" });
  const sumLine = shape("path", {});
  const productLine = shape("path", {});
  const lineIn = (/** @type {any} */ path) => shape("svg", { class: "tt-stairs", preserveAspectRatio: "none", "aria-hidden": "true" }, path);
  const [sumSvg, productSvg] = [lineIn(sumLine), lineIn(productLine)];
  const floors = h("div.tt-floors");
  const costs = panel("costs", "ln p", "", bars);
  const sums = panel("sums", "running sum of ln p,", "nats", sumSvg, floors);
  const product = panel("product", "running product,", "the probability of the text so far", productSvg);
  const lanes = h("div.tt-float-lanes", { role: "list", "aria-label": "The product in three float types" });
  const now = h("i.tt-panel-now");
  const panels = h("div.tt-panels", { role: "slider", tabindex: 0, "aria-label": "Token", "aria-valuemin": 1, pointerdown: grip, pointermove: follow }, costs.node, words, ranks, sums.node, product.node, lanes, h("div.tt-panel-over", {}, now));
  const button = (/** @type {any} */ name, /** @type {string} */ label, /** @type {() => void} */ act) => h("button.tt-btn", { "aria-label": label, "data-main": name === "play", click: act }, icon(name));
  const play = button("play", "Play", toggle);
  const where = h("b.tt-sent-where");
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const transport = h("div.tt-sent-transport", {}, button("first", "First token", () => go(0)), button("back", "One token back", () => go(step - 1)), play, button("forward", "One token forward", () => go(step + 1)), button("last", "Last token", () => go(length() - 1)), where, tableToggle);
  const question = h("p.tt-sent-question");
  const rows = h("div.tt-guesses", { role: "list", "aria-label": "Most probable tokens here" });
  const dresses = h("dl.tt-stats");
  const reading = h("h3.tt-h");
  const mid = h("div.tt-sent-mid", {}, h("div", {}, question, rows), h("div", {}, reading, dresses));
  const twin = h("div.tt-sent-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "The text as a table" });
  const say = h("p.tt-sr", { "aria-live": "polite" });
  const root = ownKeys(h("div.tt-root.tt-sentence", { keydown: onKey }, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, text, transport, panels, mid, twin, say)));
  el.append(root);

  let step = 0;
  let saving = 0;
  /** @type {any} */
  let drawn = null;
  /** @type {HTMLElement[]} */
  let chips = [];

  const clock = playClock({
    last: () => length() - 1,
    duration: () => 1000 / (length() > DENSE ? 6 * TOKENS_A_SECOND : TOKENS_A_SECOND),
    show: (at, _ms, done) => done && draw(at),
    end: stop,
  });

  /** @returns {ScoreColumns} */
  const columns = () => get("scored").tokens;
  const length = () => columns().token.length;
  const piece = (/** @type {number} */ token) => readPiece(get("scored").vocabulary[token]);
  const word = (/** @type {number} */ i) => piece(columns().token[i]).name;

  // ---- moving
  function toggle() {
    if (clock.running) return stop();
    if (step >= length() - 1) draw(0);
    clock.start(step >= length() - 1 ? 0 : step + 1);
    drawPlay();
  }
  function stop() {
    clock.stop();
    drawPlay();
    save();
  }
  function save() {
    clearTimeout(saving);
    saving = setTimeout(() => {
      if (clock.running || get("step") === step) return;
      model.set("step", step);
      model.save_changes();
    }, REST_MS);
  }
  /** @param {number} at */
  function go(at) {
    clock.stop();
    draw(clamp(at, 0, length() - 1));
    drawPlay();
    save();
    const { logprob, rank } = columns();
    put(say, `Token ${step + 1}, ${word(step)}: probability ${chanceText(logprob[step])}, rank ${count(rank[step])}.`);
  }
  /** A click on a token also means: the keys are for this view now. @param {number} at */
  function choose(at) {
    go(at);
    panels.focus({ preventScroll: true });
  }
  /** @param {PointerEvent} event */
  function grip(event) {
    if (event.button) return;
    panels.setPointerCapture(event.pointerId);
    follow(event);
  }
  /** @param {PointerEvent} event */
  function follow(event) {
    if (!panels.hasPointerCapture(event.pointerId)) return;
    const { left, width } = costs.plot.getBoundingClientRect();
    go(Math.floor(((event.clientX - left) / width) * length()));
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const onButton = event.target instanceof HTMLButtonElement;
    const act = { play: onButton ? null : toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(length() - 1), table: flip }[keyAction(event)];
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

  // ---- a new text
  function build() {
    const { token, logprob, rank } = columns();
    const curves = get("curves");
    const n = token.length;
    drawn = get("scored");
    chips = [];
    const nodes = token.flatMap((id, i) => {
      const p = Math.exp(logprob[i]);
      const made = tokenChip(piece(id), { "--tt-chip": `var(--tt-p${ramp(p)})`, "--tt-p": p, click: () => choose(i) });
      made.chip.title = `token ${i + 1}, ${percent(p)}, rank ${count(rank[i])}`;
      chips.push(made.chip);
      return made.nodes;
    });
    text.replaceChildren(...nodes);
    attr(panels, "data-dense", n > DENSE);
    costs.explain("of each token given all before it, nats", n > DENSE ? "" : h("span.tt-wide-only", {}, "; under it the token and its rank"));
    attr(text, "data-long", n > 60);
    cssVar(panels, "--n", n);

    const { end, ticks } = costAxis(Math.max(...logprob.map((each) => -each)));
    costs.marks(ticks.map((tick) => ({ at: tick / end, text: tick ? nats(-tick).replace(/\.?0+$/, "") : "0" })));
    bars.replaceChildren(...logprob.map((each) => h("i", { style: `height:${(-each / end) * 100}%;background:var(--tt-p${Math.min(5, ramp(Math.exp(each)) + 1)})` })));
    words.replaceChildren(...token.map((id) => h("span", {}, piece(id).shown)));
    ranks.replaceChildren(...rank.map((each) => h("span", {}, `#${count(each)}`)));

    const deep = costAxis(-curves.logprob[n - 1]);
    const depth = deep.end;
    attr(sumSvg, "viewBox", `0 0 ${n} 1`);
    attr(sumLine, "d", stairs(curves.logprob.map((/** @type {number} */ each) => -each), depth));
    sums.marks(deep.ticks.map((tick) => ({ at: tick / depth, text: tick ? `−${count(tick)}` : "0" })));
    const types = /** @type {[string, any][]} */ (Object.entries(curves.products));
    floors.hidden = lanes.hidden = !get("floats");
    product.node.hidden = get("floats");
    const seen = types.filter(([, { floor }]) => -floor < depth);
    floors.replaceChildren(...seen.map(([name, { floor }]) => h("span", { style: `top:${(-floor / depth) * 100}%` }, h("b", {}, `${name} ends`), " at ", ...chanceNodes(floor))));
    lanes.replaceChildren(
      ...types.map(([name, { zero }]) => {
        const alive = zero === null ? n : zero;
        return h(
          "div.tt-float-lane",
          { role: "listitem" },
          h("b.tt-float-name", {}, name),
          h("div.tt-float-strip", {}, h("i", { style: `width:${(alive / n) * 100}%` }), zero !== null && h("i.tt-float-zero", { style: `left:${(alive / n) * 100}%` })),
          h("span.tt-float-value"),
          h("span.tt-note.tt-float-say", {}, sayZero(name, zero, word)),
        );
      }),
    );
    const top = Math.exp(curves.logprob[0]);
    attr(productSvg, "viewBox", `0 0 ${n} 1`);
    attr(productLine, "d", stairs(curves.logprob.map((/** @type {number} */ each) => 1 - Math.exp(each) / top), 1));
    product.marks([{ at: 0, text: chanceText(Math.log(top)) }, { at: 1, text: "0" }]);
    attr(panels, "aria-valuemax", n);
  }

  // ---- the token looked at
  /** @param {number} at */
  function draw(at) {
    step = at;
    const { token, logprob, rank } = columns();
    const curves = get("curves");
    chips.forEach((chip, i) => {
      attr(chip, "data-now", i === step);
      attr(chip, "data-later", i > step);
    });
    if (text.hasAttribute("data-long")) {
      // In a frame of its own: before the first one the page has no layout.
      requestAnimationFrame(() => (text.scrollTop = Math.max(0, chips[step].offsetTop - text.offsetTop - text.clientHeight / 2)));
    }
    [bars, words, ranks].forEach((each) =>
      [...each.children].forEach((column, i) => {
        attr(column, "data-now", i === step);
        attr(column, "data-later", i > step);
      }),
    );
    cssVar(panels, "--at", step);
    Object.entries(curves.products).forEach(([, { values, zero }], i) => {
      const gone = zero !== null && step >= zero;
      const value = lanes.children[i].children[2];
      attr(lanes.children[i], "data-gone", gone);
      value.replaceChildren(...(gone ? ["0"] : chanceNodes(Math.log(values[step]))));
    });
    costs.say(nats(logprob[step]));
    sums.say(nats(curves.logprob[step]));
    product.say(...chanceNodes(curves.logprob[step]));
    put(where, `token ${step + 1} of ${length()}`);
    attr(panels, "aria-valuenow", step + 1);
    attr(panels, "aria-valuetext", `token ${step + 1} of ${length()}: ${word(step)}, ln p = ${nats(logprob[step])}, sum ${nats(curves.logprob[step])}`);
    drawGuess(token[step], logprob[step], rank[step]);
    drawDresses();
    const marked = twin.querySelector("[aria-current]");
    if (marked) attr(marked, "aria-current", null);
    const row = twin.querySelectorAll("tbody tr")[step];
    if (row) attr(row, "aria-current", "step");
  }

  /** @param {number} token @param {number} logprob @param {number} rank */
  function drawGuess(token, logprob, rank) {
    const { candidates, candidate_logprobs } = columns();
    const before = columns().token.slice(Math.max(0, step - 3), step).map((id) => (piece(id).space ? " " : "") + piece(id).shown).join("");
    const given = step ? `${step > 3 ? "…" : ""}${before}` : "start of text";
    question.replaceChildren("P( ", h("span.tt-words.tt-sent-now", {}, piece(token).shown), " | ", h("span.tt-words", {}, given), " ) = ", h("b", {}, ...chanceNodes(logprob)), h("span.tt-note", {}, `  rank ${count(rank)} of ${count(get("scored").model.vocab_size)}`));
    const shown = candidates[step].map((id, i) => ({ id, logprob: candidate_logprobs[step][i], rank: i + 1 }));
    if (!candidates[step].includes(token)) shown.push({ id: token, logprob, rank });
    const most = Math.exp(shown[0].logprob);
    const end = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1].find((each) => each >= most) ?? 1;
    rows.replaceChildren(
      ...shown.map((each) => {
        const p = Math.exp(each.logprob);
        return h(
          "div.tt-guess",
          { role: "listitem", "data-now": each.id === token },
          h("span.tt-words", {}, piece(each.id).shown),
          h("span.tt-guess-track", {}, h("i", { style: `width:${(p / end) * 100}%` }), each.rank > candidates[step].length && h("span.tt-note", {}, `rank ${count(each.rank)}`)),
          h("span.tt-num", {}, percent(p)),
        );
      }),
      h("div.tt-guess.tt-guess-axis.tt-note", { "aria-hidden": "true" }, h("span"), h("span.tt-guess-ends", {}, h("span", {}, "0%"), h("span", {}, percent(end))), h("span")),
    );
  }

  function drawDresses() {
    const curves = get("curves");
    const n = step + 1;
    const sum = curves.logprob[step];
    const bytes = curves.bytes[step];
    put(reading, n === length() ? `The whole text, ${n} ${n === 1 ? "token" : "tokens"}: one number in four dresses` : `The first ${n} of ${length()} tokens: one number in four dresses`);
    const tile = (/** @type {string} */ label, /** @type {any[]} */ value, /** @type {string} */ unit, /** @type {any[]} */ formula) =>
      h("div.tt-stat", {}, h("dt.tt-label", {}, label), h("dd.tt-stat-value", {}, ...value, h("small", {}, unit)), h("dd.tt-note.tt-dress", {}, ...formula));
    const minus = nats(-sum);
    dresses.replaceChildren(
      tile("Log-probability", [nats(sum)], "nats", ["ln P = ln p", h("sub", {}, "1"), " + … + ln p", h("sub", {}, `${n}`)]),
      tile("Probability", chanceNodes(sum), "", ["P = e", h("sup", {}, nats(sum)), " = 10", h("sup", {}, nats(sum / Math.LN10))]),
      tile("Perplexity", [fixed(curves.perplexity[step], 1)], "", [`e`, h("sup", {}, `${minus} / ${n}`), ": like so many equal choices a token"]),
      tile("Bits per byte", [fixed(curves.bits_per_byte[step], 3)], "", [`${minus} / (ln 2 · ${count(bytes)} bytes)`]),
    );
  }

  function drawTwin() {
    if (twin.hidden) return;
    const { token, logprob, rank, entropy } = columns();
    const curves = get("curves");
    const heads = ["#", "token", "ln p, nats", "p", "rank", "entropy, bits", "sum of ln p", "product"];
    if (get("floats")) heads.push(...Object.keys(curves.products));
    const cells = (/** @type {number} */ i) => [
      `${i + 1}`,
      (piece(token[i]).space ? "·" : "") + piece(token[i]).shown,
      nats(logprob[i]),
      chanceText(logprob[i]),
      count(rank[i]),
      fixed(entropy[i], 2),
      nats(curves.logprob[i]),
      chanceText(curves.logprob[i]),
      ...(get("floats") ? Object.values(curves.products).map(({ values }) => (values[i] ? chanceText(Math.log(values[i])) : "0")) : []),
    ];
    const body = token.map((_, i) => h("tr", { "aria-current": i === step ? "step" : null }, ...cells(i).map((cell, c) => h(c === 1 ? "td.tt-words" : "td.tt-num", {}, cell))));
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((head, i) => h(i === 1 ? "th" : "th.tt-num", { scope: "col" }, head)))), h("tbody", {}, ...body)));
  }

  function drawStatus() {
    const { state } = get("status");
    const busy = state !== "idle";
    const kind = busy || get("mode") === "live" ? "live" : "recorded";
    put(title, get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${get("scored").model.name}`);
    form.node.hidden = !get("can_live");
    form.show(state, asked.waiting);
    asked.show();
  }

  function onScored() {
    if (get("scored") === drawn) return;
    stop();
    build();
    draw(clamp(get("step"), 0, length() - 1));
    drawTwin();
    drawStatus();
    put(say, `Scored: ${nats(get("curves").logprob[length() - 1])} nats for ${length()} tokens.`);
  }
  const fill = () => form.fill([get("text")], get("model_names"), get("model"));
  asked.listen([["change:scored", onScored], ["change:curves", onScored], ["change:text", fill]]);
  build();
  fill();
  draw(clamp(get("step"), 0, length() - 1));
  drawPlay();
  drawStatus();
  return () => {
    clock.stop();
    clearTimeout(saving);
    asked.stop();
  };
}

export default { render: renderSentence };
