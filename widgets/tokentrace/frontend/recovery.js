// Recovery: divergence against the distance from an error, for several errors, two protocols and two measures.

import { lineChart } from "./shared/chart.js";
import { attr, cssVar, h, put, segments } from "./shared/dom.js";
import { fixed, visible } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

/**
 * @typedef {{kind: string, protocol: string, measure: string, mean: number[], low: number[], high: number[], half: number | null, half_low: number | null, half_high: number | null, met: number | null}} RecoveryCurve
 * @typedef {{kind: string, before: string, was: string, now: string, after: string}} RecoveryExample
 */

const RECOVERY_OTHER = "other numbers";
const RECOVERY_WHO = [
  { value: "given", text: "the text goes on as it was" },
  { value: "own", text: "the model goes on by itself" },
];
const RECOVERY_UNITS = [
  { value: "total_variation", text: "total variation", title: "From 0, the same guess, to 1, nothing in common" },
  { value: "kl", text: "KL", title: "Kullback-Leibler divergence, nats, without a ceiling" },
];
/** @type {Record<string, string>} */
const RECOVERY_LABELS = { total_variation: "divergence, total variation", kl: "divergence, KL in nats" };
const RECOVERY_LONGEST = 60; // characters of an example on each side of the error

let recoveries = 0;

/** An interval of distances in words. @param {RecoveryCurve} curve @param {number} steps */
export function sayHalf({ half_low, half_high }, steps) {
  const [low, high] = [half_low, half_high].map((each) => (each === null ? `more than ${steps}` : String(each)));
  return low === high ? `95 % interval: ${low}` : `95 % interval: ${low} to ${high}`;
}

/** Seconds that are left, as a rough phrase. @param {number} done @param {number} total @param {number} rate */
export function sayLeft(done, total, rate) {
  if (!done || !rate) return "";
  const left = (total - done) / rate;
  return left < 1 ? "" : left < 90 ? `about ${Math.ceil(left)} s left` : `about ${Math.ceil(left / 60)} min left`;
}

/** The end of a text, or its beginning, cut where a word ends. @param {string} text @param {number} n @param {boolean} end */
export function shortened(text, n, end) {
  if (text.length <= n) return text;
  return end ? `… ${text.slice(-n).replace(/^\S*\s/, "")}` : `${text.slice(0, n).replace(/\s\S*$/, "")} …`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderRecovery({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const who = segments("Who goes on", RECOVERY_WHO, (value) => choose("protocol", value));
  const unit = segments("Divergence", RECOVERY_UNITS, (value) => choose("measure", value));
  const chart = lineChart({ label: "", height: 330 });
  const group = `tt-recovery-${(recoveries += 1)}`;
  const kinds = h("div.tt-rec-kinds", { role: "radiogroup", "aria-label": "What is wrong with the prefix" });
  const [half, halfUnit, halfSay, halfLabel] = [h("span"), h("small"), h("dd.tt-note"), h("dt")];
  const tile = h("dl.tt-rec-tile", {}, h("div.tt-stat", {}, halfLabel, h("dd.tt-stat-value", {}, half, halfUnit), halfSay));
  const sentence = h("p.tt-rec-say", { role: "status" });
  const example = h("div.tt-rec-example");
  const measure = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Measure here");
  const counts = h("select.tt-field", { "aria-label": "Prefixes" });
  const models = h("select.tt-field", { "aria-label": "Model" });
  const bar = h("i");
  const track = h("span.tt-rec-track", { hidden: true, role: "progressbar", "aria-label": "Prefixes done", "aria-valuemin": 0 }, bar);
  const progress = h("span.tt-note");
  const toggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const caption = h("p.tt-note.tt-rec-caption");
  const twin = h("div.tt-rec-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "Divergence by distance as a table" });
  const asked = inquiry({ model, draw: drawStatus });
  const side = h("div.tt-rec-side", {}, h("h3.tt-h", {}, "What is wrong"), kinds, tile);
  const act = h("div.tt-rec-act", {}, measure, counts, models, track, progress, toggle);
  el.append(ownKeys(h("div.tt-root.tt-rec", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), h("div.tt-rec-controls", {}, who.node, unit.node), h("div.tt-rec-main", {}, chart.node, side), sentence, example, act, asked.problem, caption, twin))));

  /** @type {any} */
  let drawn = null;
  let filled = false;

  /** @param {string} name @param {any} value */
  function choose(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  function onMeasure() {
    if (get("status").state !== "idle") return model.send({ type: "stop" });
    asked.ask({ type: "measure", count: Number(counts.value), model: models.value });
    drawStatus();
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(toggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }
  /** Curves of the protocol and measure that are shown. @returns {RecoveryCurve[]} */
  const curves = () => drawn.curves.filter((/** @type {RecoveryCurve} */ each) => each.protocol === get("protocol") && each.measure === get("measure"));

  /** What each kind does, in a word or two. @param {RecoveryExample} each */
  function hint({ kind, was, now }) {
    const words = /** @type {Record<string, string>} */ ({ shuffled: "in another order", truncated: `only the last ${drawn.kept} of ${drawn.length}`, foreign: "from another passage" })[kind];
    return words ? h("span.tt-note", {}, words) : h("span.tt-words", {}, `${visible(was.trim())} → ${visible(now.trim())}`);
  }

  function build() {
    drawn = get("record");
    kinds.replaceChildren(
      ...drawn.examples.map((/** @type {RecoveryExample} */ each) =>
        h("label.tt-rec-kind", {}, h("input", { type: "radio", name: group, value: each.kind, change: () => choose("kind", each.kind) }), h("span", {}, each.kind), hint(each)),
      ),
    );
    if (!filled) {
      filled = true;
      counts.replaceChildren(...get("counts").map((/** @type {number} */ n) => h("option", { value: n }, `${n} prefixes`)));
      counts.value = String(get("counts").at(-1));
      models.replaceChildren(...get("model_names").map((/** @type {string} */ name) => h("option", {}, name)));
      models.hidden = get("model_names").length < 2;
    }
    put(caption, `Mean over ${drawn.prefixes} prefixes of ${drawn.length} tokens from ${drawn.passages} passages, with its 95 % band. Prefixes of one passage are not independent, so whole passages are resampled. Measured in ${fixed(drawn.seconds, 0)} s: ${drawn.machine}.`);
  }

  function draw() {
    const [kind, protocol, measured] = ["kind", "protocol", "measure"].map(get);
    const steps = drawn.steps;
    const shown = curves();
    const front = shown.find(({ kind: each }) => each === kind) ?? shown[0];
    who.press(protocol);
    unit.press(measured);
    for (const input of kinds.querySelectorAll("input")) input.checked = input.value === kind;
    const points = (/** @type {number[]} */ values) => values.map((value, i) => /** @type {[number, number]} */ ([i + 1, value]));
    const line = (/** @type {RecoveryCurve} */ curve) => ({
      name: curve.kind === RECOVERY_OTHER ? "no error, other random numbers" : curve.kind,
      kind: curve === front ? "free" : curve.kind === RECOVERY_OTHER ? "ink" : "other",
      points: points(curve.mean),
      dashed: curve.kind === RECOVERY_OTHER,
      band: curve === front || curve.kind === RECOVERY_OTHER ? curve.mean.map((_, i) => [i + 1, curve.low[i], curve.high[i]]) : undefined,
    });
    const marks = [];
    if (protocol === "given" && front.half !== null) marks.push({ x: front.half, y: front.mean[front.half - 1], text: `half gone after ${front.half}`, kind: "ink", drop: true });
    if (protocol === "own" && front.met !== null) marks.push({ x: front.met, y: front.mean[front.met - 1], text: "", kind: "ink", drop: true });
    const ticks = [1, ...[1, 2, 3, 4].map((each) => Math.round((steps * each) / 4))].filter((tick, i, all) => all.indexOf(tick) === i);
    const top = measured === "kl" ? {} : { high: 1, ticks: [0, 0.25, 0.5, 0.75, 1] };
    chart.draw(
      /** @type {any} */ ({
        x: { label: "tokens after the error", low: 1, high: Math.max(2, steps), ticks },
        y: { label: RECOVERY_LABELS[measured], low: 0, ...top },
        // The one in front is drawn last, over the others.
        lines: [...shown.filter((each) => each !== front).map(line), line(front)],
        marks,
        levels: [{ y: 0, name: protocol === "own" ? "no error, same numbers: 0" : "no error: exactly 0", kind: "teacher" }],
      }),
    );
    const says = get("sentences")[protocol]?.[measured]?.[front.kind] ?? "";
    chart.say(says);
    put(sentence, says);
    const own = protocol === "own";
    const at = own ? front.met : front.half;
    put(halfLabel, own ? "Not to be told from two unrelated runs at" : "Half of the divergence is gone after");
    put(half, at === null ? (own ? "no token" : `> ${steps}`) : own ? `token ${at}` : String(at));
    put(halfUnit, own ? "" : at === 1 ? "token" : "tokens");
    put(halfSay, own ? "where the band of the difference first holds 0; dashed: no error, other random numbers" : sayHalf(front, steps));
    drawExample(front.kind);
    drawTwin();
  }

  /** @param {string} kind */
  function drawExample(kind) {
    const one = drawn.examples.find((/** @type {RecoveryExample} */ each) => each.kind === kind);
    example.hidden = !one;
    if (!one) return;
    const given = get("protocol") === "given";
    const goes = given ? shortened(visible(one.after), RECOVERY_LONGEST, false) : " …";
    const before = shortened(visible(one.before), RECOVERY_LONGEST, true);
    const [was, now] = [one.was, one.now].map((each) => visible(one.before ? each : shortened(each, 2 * RECOVERY_LONGEST, true)));
    const row = (/** @type {string} */ label, /** @type {string} */ tag, /** @type {string} */ text) => h("p", {}, h("span.tt-label", {}, label), h("span.tt-words", {}, before, /^\s/.test(text) ? " " : "", h(tag, {}, text.trim()), h("span.tt-rec-after", {}, goes)));
    example.replaceChildren(row("as it was", "span.tt-rec-was", was), row("as it is read", "mark", now));
  }

  function drawTwin() {
    if (twin.hidden) return;
    const shown = curves();
    const front = shown.find(({ kind: each }) => each === get("kind")) ?? shown[0];
    const heads = ["tokens after", ...shown.map(({ kind: each }) => (each === RECOVERY_OTHER ? "no error, other numbers" : each)), `95 % band of ${front.kind}`];
    const rows = front.mean.map((_, i) => [String(i + 1), ...shown.map(({ mean }) => fixed(mean[i], 3)), `${fixed(front.low[i], 3)} to ${fixed(front.high[i], 3)}`]);
    twin.replaceChildren(
      h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...heads.map((text) => h("th.tt-num", { scope: "col" }, text)))), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td.tt-num", {}, cell)))))),
    );
  }

  function drawStatus() {
    const { state, done, total, rate } = get("status");
    const busy = state !== "idle";
    put(title, get("title"));
    liveBadge(badge, get("mode"), busy, drawn.model.name);
    put(measure, busy ? "Stop" : "Measure here");
    measure.hidden = counts.hidden = !get("can_live");
    models.hidden = !get("can_live") || get("model_names").length < 2;
    attr(measure, "disabled", asked.waiting && !busy);
    for (const each of [counts, models]) attr(each, "disabled", busy || asked.waiting);
    track.hidden = state !== "running";
    cssVar(bar, "--done", total ? done / total : 0);
    attr(track, "aria-valuemax", total);
    attr(track, "aria-valuenow", done);
    const count = [`${done} of ${total} prefixes`, sayLeft(done, total, rate)].filter(Boolean).join(", ");
    put(progress, state === "loading" ? "Loading the model …" : state === "running" ? count : asked.waiting ? "Waiting for the kernel." : "");
    asked.show();
  }
  function onRecord() {
    if (get("record") !== drawn) build();
    draw();
    drawStatus();
  }
  asked.listen([["change:record", onRecord], ["change:sentences", onRecord], ["change:kind", draw], ["change:protocol", draw], ["change:measure", draw]]);
  onRecord();
  models.value = get("model");
  return () => {
    asked.stop();
  };
}

export default { render: renderRecovery };
