// Learners trained side by side: their curves as they come, then how far each is from the truth.

import { lineChart } from "./shared/chart.js";
import { attr, h, put, segments } from "./shared/dom.js";
import { clamp, count, fixed, percent } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { numberTable, sampleTexts, tableToggle, trainButton } from "./shared/lessons.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

const CURVES = [
  { value: "held", text: "loss on new text", title: "On held-out text, after true words" },
  { value: "training", text: "loss as trained", title: "On what it was trained on, after the words it read" },
  { value: "chances", text: "chance of a true word", title: "How often the true word is fed and not its own sample" },
];
const UPDATES = [100, 200, 400, 800];
const FLOORS = [0, 0.25, 0.5, 0.75, 0.9];
const AMOUNTS = [100, 400, 2000, 8000];
const HEADS_OF_RESULTS = ["after true", "after own", "ratio own / true", "loss", "in the language"];
/** Hue and dash by place in the full list; true words are teal, its own are blue. */
const WAY_LOOKS = [["teacher"], ["ink"], ["ink", true], ["other"], ["free"]];
const PLAIN_LOOKS = [["other", true], ["other"], ["ink", true], ["ink"]];

/** A number with its band. @param {[number, number, number]} band @param {number} digits */
export function sayBand([estimate, low, high], digits) {
  return `${fixed(estimate, digits)} [${fixed(low, digits)}, ${fixed(high, digits)}]`;
}

/** Round ends of a logarithmic axis in steps of 1, 2, 5. @param {number[]} values */
export function divergenceAxis(values) {
  const steps = [];
  for (let power = -6; power < 3; power++) for (const each of [1, 2, 5]) steps.push(Number(`${each}e${power}`));
  const known = values.filter((value) => value > 0);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [0.1, 1];
  const low = steps.filter((step) => step <= least).pop() ?? steps[0];
  const high = steps.find((step) => step >= most && step > low) ?? steps[steps.length - 1];
  return steps.filter((step) => step >= low && step <= high);
}

/** Where a value stands on that axis, 0 to 1. @param {number} value @param {number[]} ticks */
export function placeOnAxis(value, ticks) {
  const [low, high] = [Math.log(ticks[0]), Math.log(ticks[ticks.length - 1])];
  return clamp((Math.log(Math.max(value, 1e-9)) - low) / (high - low), 0, 1);
}

/** A list to choose a number from. @param {string} label @param {number[]} values @param {(value: number) => string} say */
function numberChoice(label, values, say) {
  const select = h("select.tt-field", {}, ...values.map((value) => h("option", { value }, say(value))));
  return { node: h("label.tt-label.tt-lesson-choice", {}, `${label} `, select), select };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderTraining({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const set = (/** @type {string} */ name, /** @type {any} */ value) => {
    model.set(name, value);
    model.save_changes();
  };
  const kinds = segments("What differs", Object.entries(get("kinds")).map(([value, text]) => ({ value, text: /** @type {string} */ (text) })), (kind) => set("kind", kind));
  const curves = segments("Curve", CURVES, (name) => {
    curve = name;
    drawCurves();
  });
  const names = h("div.tt-lesson-names", { role: "group", "aria-label": "Learners to train" });
  const updates = numberChoice("updates", UPDATES, count);
  const floor = numberChoice("true words at least", FLOORS, percent);
  const texts = numberChoice("texts", AMOUNTS, count);
  const asked = inquiry({ model, draw: drawStatus });
  const act = trainButton({ train: onTrain, stop: () => model.send({ type: "stop" }) });
  const chart = lineChart({ label: "Loss against updates", height: 280 });
  const [sentence, live] = [h("p.tt-train-says"), h("div.tt-sr", { role: "status" })];
  const table = h("div.tt-train-table", { hidden: true, tabindex: 0, role: "region", "aria-label": "The curves as a table" });
  const toggle = tableToggle(table, drawCurves);
  const results = h("div.tt-lesson-results");
  const places = lineChart({ label: "Divergence by place in the text", height: 240 });
  const [name, detail, wrote] = [h("h3.tt-h"), h("p.tt-note"), h("div")];
  const choose = h("div.tt-lesson-choose", {}, names, h("div.tt-lesson-choices", {}, updates.node, floor.node, texts.node, act.node));
  el.append(
    ownKeys(
      h("div.tt-root.tt-lesson", {}, h("div.tt-page", {},
        h("header.tt-head", {}, title, badge),
        h("div.tt-lesson-kinds", {}, h("span.tt-label", {}, "What differs "), kinds.node),
        choose, asked.problem,
        h("div.tt-lesson-curves", {}, curves.node, toggle), chart.node, table,
        h("h3.tt-h.tt-lesson-head", {}, "How far from the truth"), sentence, results,
        h("div.tt-lesson-one", {}, name, detail, h("div.tt-lesson-two", {}, h("div", {}, h("h4.tt-label", {}, "By place in the text"), places.node), h("div", {}, h("h4.tt-label", {}, "What it writes; the word where a sentence leaves the language is marked"), wrote))), live,
      )),
    ),
  );
  let curve = "held";
  /** @type {any} */
  let drawn = null;

  const looks = () => (get("kind") === "ways" ? WAY_LOOKS : PLAIN_LOOKS);
  /** The look of a learner by its name, the same whoever takes part. @param {string} learner */
  function lookOf(learner) {
    const [kind, dashed] = looks()[get("offers")[get("kind")].indexOf(learner)] ?? ["other"];
    return { kind: /** @type {any} */ (kind), dashed: Boolean(dashed) };
  }
  const ticked = () => [...names.querySelectorAll("input")].flatMap((box, i) => (box.checked ? [i] : []));

  function onTrain() {
    asked.ask({ type: "train", kind: get("kind"), chosen: ticked(), updates: Number(updates.select.value), floor: Number(floor.select.value), texts: Number(texts.select.value) });
    drawStatus();
  }
  /** What the curves show: the training under way, or the one that was measured. */
  function shownCurves() {
    const growing = get("growing");
    const { plan, at, outcomes, truth } = get("run");
    if (!growing.at?.length) return { at, lines: outcomes, labels: plan.recipes.map((/** @type {any} */ each) => each.name), end: plan.updates, truth };
    return { at: growing.at, lines: growing.curves, labels: growing.names, end: get("status").total || 1, truth };
  }

  function drawCurves() {
    curves.press(curve);
    const { at, lines, labels, end, truth } = shownCurves();
    const drawnLines = lines.map((/** @type {any} */ line, /** @type {number} */ i) => ({ name: labels[i], points: at.map((/** @type {number} */ x, /** @type {number} */ n) => [x, line[curve][n]]), ...lookOf(labels[i]) }));
    const loss = curve !== "chances";
    const lowest = Math.min(truth, ...lines.flatMap((/** @type {any} */ line) => line[curve]));
    chart.draw({
      x: { label: "updates", low: 0, high: Math.max(end, 1) },
      y: loss ? { label: curve === "held" ? "loss on held-out text after true words, nats a word" : "loss as trained, nats a word", low: Math.floor(lowest * 2) / 2 } : { label: "chance that the true word is fed", low: 0, high: 1, format: percent },
      lines: drawnLines,
      levels: loss ? [{ y: truth, name: "the truth", kind: "teacher" }] : [],
    });
    const what = CURVES.find(({ value }) => value === curve)?.text;
    chart.say(`${what} against updates, ${labels.map((/** @type {string} */ label, /** @type {number} */ i) => `${label} ends at ${fixed(lines[i][curve][at.length - 1] ?? 0, 2)}`).join("; ")}${loss ? `; the truth ${fixed(truth, 2)}` : ""}`);
    if (!table.hidden) table.replaceChildren(numberTable(["updates", ...labels], at.map((/** @type {number} */ x, /** @type {number} */ n) => [count(x), ...lines.map((/** @type {any} */ line) => line[curve][n])])));
  }

  function drawResults() {
    const { outcomes, truth_share, truth } = get("run");
    const ticks = divergenceAxis(outcomes.flatMap((/** @type {any} */ each) => [...each.data, ...each.own, ...each.each.flat()]));
    const axis = h("span.tt-lesson-axis", { "aria-hidden": "true" }, ...ticks.map((tick) => h("i", { "--at": placeOnAxis(tick, ticks) }, String(tick))));
    const mark = (/** @type {[number, number, number]} */ [at, low, high], /** @type {string} */ who) => [h("i.tt-lesson-band", { "data-who": who, "--low": placeOnAxis(low, ticks), "--high": placeOnAxis(high, ticks) }), h("i.tt-lesson-dot", { "data-who": who, "--at": placeOnAxis(at, ticks) })];
    const key = (/** @type {string} */ who, /** @type {string} */ words) => h("span", {}, h("i.tt-lesson-dot", { "data-who": who }), ` ${words}`);
    const keys = h("span.tt-lesson-keys", {}, key("data", "after true words"), key("own", "after its own words"));
    const head = h("tr", {}, h("th", { scope: "col" }, "learner"), h("th.tt-lesson-wide", { scope: "col" }, "KL to the truth, nats a word ", keys, axis), ...HEADS_OF_RESULTS.map((text) => h("th.tt-num", { scope: "col" }, text)));
    const rows = outcomes.map((/** @type {any} */ each, /** @type {number} */ i) => {
      const pick = h("button.tt-lesson-pick", { "aria-pressed": "false", click: () => set("shown", i) }, each.recipe.name);
      const numbers = [[fixed(each.data[0], 3), each.data], [fixed(each.own[0], 3), each.own], [sayBand(each.ratio, 2)], [fixed(each.held[each.held.length - 1], 3)], [percent(each.share[0]), each.share]];
      return h("tr", {}, h("th", { scope: "row" }, pick), h("td.tt-lesson-wide", {}, h("span.tt-lesson-track", { "aria-hidden": "true" }, ...each.each.flatMap((/** @type {number[]} */ pair) => pair.map((value, n) => h("i.tt-lesson-seed", { "data-who": n ? "own" : "data", "--at": placeOnAxis(value, ticks) }))), ...mark(each.data, "data"), ...mark(each.own, "own"))), ...numbers.map(([text, band], n) => h("td.tt-num", { "data-label": HEADS_OF_RESULTS[n], title: band ? `95 % band ${fixed(band[1], 3)} to ${fixed(band[2], 3)}` : null }, text)));
    });
    const honest = h("tr.tt-lesson-truth", {}, h("th", { scope: "row" }, "the truth"), h("td.tt-lesson-wide"), ...["0", "0", "", fixed(truth, 3), percent(truth_share[0])].map((text, n) => h("td.tt-num", { "data-label": HEADS_OF_RESULTS[n] }, text)));
    const { seeds } = get("run").plan;
    const note = `Dots are means${seeds > 1 ? ` over ${seeds} seeds, thin marks the seeds` : ""}; bars and brackets are 95 % bands over texts.`;
    results.replaceChildren(h("table.tt-table", {}, h("thead", {}, head), h("tbody", {}, ...rows, honest)), h("p.tt-note", {}, note));
  }

  function drawShown() {
    const shown = Math.min(get("shown"), get("run").outcomes.length - 1);
    const each = get("run").outcomes[shown];
    results.querySelectorAll(".tt-lesson-pick").forEach((/** @type {Element} */ pick, /** @type {number} */ i) => attr(pick, "aria-pressed", String(i === shown)));
    put(name, each.recipe.name);
    put(detail, get("details")[shown]);
    const long = each.samples[0].length;
    const together = long / each.data_by_place.length;
    const at = (/** @type {number} */ i) => i * together + (together + 1) / 2;
    const line = (/** @type {string} */ words, /** @type {any} */ kind, /** @type {[number, number, number][]} */ rows) => ({ name: words, kind, points: /** @type {any} */ (rows.map(([mean], i) => [at(i), mean])), band: /** @type {any} */ (rows.map(([, low, high], i) => [at(i), Math.max(0, low), high])) });
    places.draw({ x: { label: together > 1 ? `place in the text, ${together} together` : "place in the text", low: 1, high: long, ticks: [1, 8, 16, 24].filter((tick) => tick <= long) }, y: { label: "KL to the truth, nats", low: 0 }, lines: [line("after its own", "free", each.own_by_place), line("after true words", "teacher", each.data_by_place)] });
    const last = each.own_by_place.length - 1;
    places.say(`KL to the truth by place: after its own words ${fixed(each.own_by_place[0][0], 3)} at the first and ${fixed(each.own_by_place[last][0], 3)} at the last; after true words ${fixed(each.data_by_place[0][0], 3)} and ${fixed(each.data_by_place[last][0], 3)}`);
    wrote.replaceChildren(sampleTexts(each.samples, each.wrong));
  }

  function drawChoices() {
    const { plan } = get("run");
    const taken = new Set(plan.recipes.map((/** @type {any} */ each) => each.name));
    names.replaceChildren(...get("offers")[get("kind")].map((/** @type {string} */ each) => {
      const box = h("input", { type: "checkbox", checked: true });
      box.checked = taken.has(each);
      return h("label.tt-lesson-name", {}, box, ` ${each}`);
    }));
    updates.select.value = String(UPDATES.includes(plan.updates) ? plan.updates : 400);
    floor.select.value = String(FLOORS.includes(plan.floor) ? plan.floor : 0.25);
    floor.node.hidden = get("kind") !== "ways";
    texts.node.hidden = get("kind") === "texts";
    texts.select.value = String(get("kind") === "texts" || !AMOUNTS.includes(plan.recipes[0].texts) ? 2000 : plan.recipes[0].texts);
  }

  function drawStatus() {
    const status = get("status");
    const busy = asked.waiting || status.state !== "idle";
    put(title, get("title"));
    const { plan, done, seconds } = get("run");
    const seeds = `${plan.seeds} seed${plan.seeds > 1 ? "s" : ""} each`;
    liveBadge(badge, get("mode"), busy, busy ? "training here" : `${count(done)} updates, ${seeds}, ${fixed(seconds, 0)} s`);
    act.show(status, asked.waiting);
    for (const each of [...kinds.buttons, ...choose.querySelectorAll("input, select")]) /** @type {any} */ (each).disabled = busy;
    asked.show();
  }
  function onRun() {
    const run = get("run");
    if (run === drawn) return;
    const first = drawn === null;
    drawn = run;
    kinds.press(get("kind"));
    put(sentence, get("sentence"));
    if (!first) put(live, get("sentence"));
    drawChoices();
    drawResults();
    drawShown();
    drawCurves();
    drawStatus();
  }
  asked.listen([["change:run", onRun], ["change:kind", onRun], ["change:details", onRun], ["change:shown", drawShown], ["change:growing", () => (drawStatus(), drawCurves())]]);
  onRun();
  return () => asked.stop();
}

export default { render: renderTraining };
