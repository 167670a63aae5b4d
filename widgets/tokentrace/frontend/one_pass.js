// The same conditionals twice: all at once from one pass, and one after the other from n passes.

import { attr, cssVar, h, icon, put } from "./shared/dom.js";
import { clamp, count, fixed, readPiece } from "./shared/format.js";
import { playClock } from "./shared/clock.js";
import { inquiry } from "./shared/inquiry.js";
import { keyAction } from "./shared/keys.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { scoreForm } from "./shared/score_form.js";
import { tiny } from "./shared/tiny.js";

const PASS_MS = 420;

/** Positions that passes 1 to `passes` read together: 1 + 2 + … @param {number} passes */
export function positionsRead(passes) {
  return (passes * (passes + 1)) / 2;
}

/** What was counted and measured up to a pass, in a sentence. @param {any} run @param {number} passes */
export function sayPasses({ ids, one_ms, n_ms, gap }, passes) {
  const n = ids.length;
  const one = `One pass reads ${n} positions and scores all ${n} tokens: ${fixed(one_ms, 1)} ms.`;
  if (!passes) return one;
  const spent = n_ms.slice(0, passes).reduce((/** @type {number} */ sum, /** @type {number} */ each) => sum + each, 0);
  const many = `${passes} ${passes === 1 ? "pass reads" : "passes read"} ${count(positionsRead(passes))} position${passes === 1 ? "" : "s"}: ${fixed(spent, 1)} ms.`;
  const same = passes < n ? "" : ` The largest difference of any logit is ${gap ? tiny(gap) : "0"}.`;
  return `${one} ${many}${same}`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderPasses({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const form = scoreForm({
    labels: ["Text to score"],
    action: "Measure",
    send([text], name) {
      stop();
      asked.ask({ type: "study", text, model: name });
      drawStatus();
    },
  });
  const asked = inquiry({ model, draw: drawStatus });
  const button = (/** @type {any} */ name, /** @type {string} */ label, /** @type {() => void} */ act) => h("button.tt-btn", { "aria-label": label, "data-main": name === "play", click: act }, icon(name));
  const play = button("play", "Play", toggle);
  const where = h("b.tt-pass-where");
  const transport = h("div.tt-pass-transport", {}, button("first", "Before the first pass", () => go(0)), button("back", "One pass back", () => go(step - 1)), play, button("forward", "One pass forward", () => go(step + 1)), button("last", "After the last pass", () => go(length())), where);
  const body = h("tbody");
  const heads = ["token", "one pass, ln p", "n passes, ln p", "what each of the n passes reads"].map((text, i) => h(i && i < 3 ? "th.tt-num" : "th", { scope: "col" }, text));
  const table = h("table.tt-table.tt-pass-table", {}, h("thead", {}, h("tr", {}, ...heads)), body);
  const sentence = h("p.tt-pass-say", { role: "status" });
  const root = ownKeys(h("div.tt-root.tt-pass", { keydown: onKey }, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, transport, table, sentence)));
  el.append(root);
  let step = 0;
  /** @type {any} */
  let drawn = null;
  const clock = playClock({ last: () => length(), duration: () => PASS_MS, show: (at, _ms, done) => done && draw(at), end: stop });
  const length = () => get("study").ids.length;

  function toggle() {
    if (clock.running) return stop();
    const from = step >= length() ? 0 : step;
    draw(from);
    clock.start(from + 1);
    drawPlay();
  }
  function stop() {
    clock.stop();
    drawPlay();
  }
  /** @param {number} to */
  function go(to) {
    stop();
    draw(clamp(to, 0, length()));
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const onButton = event.target instanceof HTMLButtonElement;
    const act = { play: onButton ? null : toggle, forward: () => go(step + 1), back: () => go(step - 1), first: () => go(0), last: () => go(length()) }[keyAction(event)];
    if (!act) return;
    event.preventDefault();
    act();
  }
  function drawPlay() {
    play.replaceChildren(icon(clock.running ? "pause" : "play"));
    attr(play, "aria-label", clock.running ? "Pause" : "Play");
  }

  function build() {
    drawn = get("study");
    const { ids, one_pass, vocabulary } = drawn;
    cssVar(table, "--n", ids.length);
    body.replaceChildren(
      ...ids.map((/** @type {number} */ token, /** @type {number} */ i) => {
        const squares = h("div.tt-pass-squares", { role: "img", "aria-label": `pass ${i + 1} reads ${i + 1} position${i ? "s" : ""}` }, ...Array.from({ length: i + 1 }, () => h("i")));
        return h("tr", {}, h("td", {}, h("span.tt-words", {}, readPiece(vocabulary[token]).shown)), h("td.tt-num.tt-pass-one", {}, fixed(one_pass[i], 5)), h("td.tt-num.tt-pass-many"), h("td", {}, squares));
      }),
    );
  }
  /** @param {number} passes */
  function draw(passes) {
    step = passes;
    const data = get("study");
    [...body.children].forEach((row, i) => {
      attr(row, "data-now", i === step - 1);
      attr(row, "data-later", i >= step);
      put(row.children[2], i < step ? fixed(data.n_passes[i], 5) : "");
    });
    put(where, step ? `pass ${step} of ${length()}` : "one pass only");
    put(sentence, sayPasses(data, step));
  }
  function drawStatus() {
    const { state } = get("status");
    put(title, get("title"));
    liveBadge(badge, get("mode"), state !== "idle", get("study").model.name);
    form.node.hidden = !get("can_live");
    form.show(state, asked.waiting);
    asked.show();
  }
  function onStudy() {
    if (get("study") === drawn) return;
    stop();
    build();
    form.fill([get("study").text], get("model_names"), get("model"));
    draw(length());
    drawStatus();
  }
  asked.listen([["change:study", onStudy]]);
  onStudy();
  return () => {
    clock.stop();
    asked.stop();
  };
}

export default { render: renderPasses };
