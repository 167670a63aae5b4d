// One attention layer with the causal mask and one without: what the loss says, and what each of them writes.

import { lineChart } from "./shared/chart.js";
import { h, put, segments } from "./shared/dom.js";
import { count, fixed, percent } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { numberTable, sampleTexts, tableToggle, trainButton } from "./shared/lessons.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";

const PEEK_CURVES = [
  { value: "held", text: "reading the whole text", title: "As in training: one pass reads the whole text" },
  { value: "alone", text: "reading only what stands before", title: "As in writing: each guess is given the words before it and nothing else" },
];
const PEEK_UPDATES = [50, 150, 300, 600];

/** @param {{model: any, el: HTMLElement}} context */
function renderPeeking({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const curves = segments("Loss on held-out text", PEEK_CURVES, (name) => {
    curve = name;
    drawCurves();
  });
  const updates = h("select.tt-field", {}, ...PEEK_UPDATES.map((value) => h("option", { value }, count(value))));
  const asked = inquiry({ model, draw: drawStatus });
  const act = trainButton({
    train() {
      asked.ask({ type: "train", updates: Number(updates.value) });
      drawStatus();
    },
    stop: () => model.send({ type: "stop" }),
  });
  const chart = lineChart({ label: "Loss against updates", height: 260 });
  const [sentence, live] = [h("p.tt-train-says"), h("div.tt-sr", { role: "status" })];
  const table = h("div.tt-train-table", { hidden: true, tabindex: 0, role: "region", "aria-label": "The curves as a table" });
  const columns = h("div.tt-peek-columns");
  el.append(
    ownKeys(
      h("div.tt-root.tt-peek", {}, h("div.tt-page", {},
        h("header.tt-head", {}, title, badge),
        h("div.tt-peek-act", {}, h("label.tt-label", {}, "updates ", updates), act.node), asked.problem,
        h("div.tt-peek-curves", {}, curves.node, tableToggle(table, drawCurves)), chart.node, table, sentence, columns, live,
      )),
    ),
  );
  let curve = "held";
  /** @type {any} */
  let drawn = null;

  function drawCurves() {
    curves.press(curve);
    const run = get("run");
    const growing = get("growing").at?.length ? get("growing") : {};
    const [masked, open] = growing.at ? growing.curves : [run.masked, run.open];
    const at = growing.at ?? run.at;
    const points = (/** @type {any} */ pupil) => at.map((/** @type {number} */ x, /** @type {number} */ n) => [x, pupil[curve][n]]);
    chart.draw({
      x: { label: "updates", low: 0, high: growing.at ? get("status").total || 1 : run.updates },
      y: { label: "loss on held-out text, nats a word", low: 0 },
      lines: [{ name: "with the mask", kind: "free", points: points(masked) }, { name: "without the mask", kind: "now", points: points(open) }],
      levels: [{ y: run.truth, name: "the truth", kind: "teacher" }],
    });
    const end = at.length - 1;
    chart.say(`Loss on held-out text, ${PEEK_CURVES.find(({ value }) => value === curve)?.text}: with the mask ${fixed(masked[curve][end] ?? 0, 2)}, without ${fixed(open[curve][end] ?? 0, 2)}, the truth ${fixed(run.truth, 2)}`);
    if (!table.hidden) table.replaceChildren(numberTable(["updates", "with the mask", "without", "with, only before", "without, only before"], at.map((/** @type {number} */ x, /** @type {number} */ n) => [count(x), masked.held[n], open.held[n], masked.alone[n], open.alone[n]])));
  }
  function drawStatus() {
    const status = get("status");
    const busy = asked.waiting || status.state !== "idle";
    const { done, seconds } = get("run");
    put(title, get("title"));
    liveBadge(badge, get("mode"), busy, busy ? "training here" : `${count(done)} updates, ${fixed(seconds, 0)} s`);
    act.show(status, asked.waiting);
    /** @type {any} */ (updates).disabled = busy;
    asked.show();
  }
  function onRun() {
    const run = get("run");
    if (run === drawn) return;
    const first = drawn === null;
    drawn = run;
    const last = (/** @type {number[]} */ values) => fixed(values[values.length - 1], 2);
    const fact = (/** @type {string} */ label, /** @type {string} */ value) => h("div.tt-peek-fact", {}, h("dt", {}, label), h("dd.tt-num", {}, value));
    columns.replaceChildren(
      ...[["With the mask", run.masked], ["Without the mask", run.open]].map(([name, pupil]) =>
        h("section", {}, h("h3.tt-h", {}, name),
          h("dl.tt-peek-facts", {}, fact("loss, reading the whole text", last(pupil.held)), fact("loss, reading only what stands before", last(pupil.alone)), fact("sentences in the language", percent(pupil.share[0])), fact("a later word changed: an earlier guess moves by", pupil.leak ? fixed(pupil.leak, 1) : "0")),
          h("h4.tt-label", {}, "What it writes"), sampleTexts(pupil.samples, pupil.wrong))),
    );
    put(sentence, get("sentence"));
    if (!first) put(live, get("sentence"));
    if (PEEK_UPDATES.includes(run.updates)) updates.value = String(run.updates);
    drawCurves();
    drawStatus();
  }
  asked.listen([["change:run", onRun], ["change:sentence", onRun], ["change:growing", () => (drawStatus(), drawCurves())]]);
  onRun();
  return () => asked.stop();
}

export default { render: renderPeeking };
