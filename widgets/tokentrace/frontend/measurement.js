// A measurement: its figure, what it says, its numbers as a table, and a button that measures here.

import { attr, cssVar, h, put } from "./shared/dom.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { ownKeys } from "./shared/own_keys.js";

/** @param {{model: any, el: HTMLElement}} context */
function renderMeasurement({ model, el }) {
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const picture = h("div.tt-measure-picture", { role: "img" });
  const sentence = h("p.tt-measure-says", { role: "status" });
  const measure = h("button.tt-btn", { "data-line": true, click: onMeasure }, "Measure here");
  const bar = h("i");
  const track = h("span.tt-measure-track", { hidden: true }, bar);
  const progress = h("span.tt-note");
  const toggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const table = h("table.tt-table");
  const box = h("div.tt-measure-table", { hidden: true, tabindex: 0, role: "region", "aria-label": "The measurement as a table" }, table);
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const act = h("div.tt-measure-act", {}, measure, toggle, track, progress);
  el.append(ownKeys(h("div.tt-root.tt-measure", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), picture, sentence, act, box, problem))));
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), draw()) });

  function onMeasure() {
    if (model.get("status").state !== "idle") return model.send({ type: "stop" });
    line.ask({ type: "generate" });
  }
  function flip() {
    box.hidden = !box.hidden;
    attr(toggle, "aria-pressed", String(!box.hidden));
  }
  function drawRecord() {
    picture.innerHTML = model.get("svg");
    attr(picture, "aria-label", model.get("sentence"));
    put(sentence, model.get("sentence"));
    const cell = (/** @type {string} */ tag, /** @type {string} */ text, /** @type {number} */ i) =>
      h(i ? `${tag}.tt-num` : tag, tag === "th" ? { scope: "col" } : {}, text);
    table.replaceChildren(
      h("thead", {}, h("tr", {}, ...model.get("heads").map((/** @type {string} */ head, /** @type {number} */ i) => cell("th", head, i)))),
      h("tbody", {}, ...model.get("rows").map((/** @type {string[]} */ row) => h("tr", {}, ...row.map((text, i) => cell("td", text, i))))),
    );
    draw();
  }
  function draw() {
    line.heard();
    const { state, done, total } = model.get("status");
    const busy = state !== "idle";
    if (!busy) line.rest();
    const kind = busy || model.get("mode") === "live" ? "live" : "recorded";
    put(title, model.get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${model.get("machine")}`);
    put(measure, busy ? "Stop" : "Measure here");
    measure.hidden = !model.get("can_live");
    track.hidden = state !== "running";
    cssVar(bar, "--done", total ? done / total : 0);
    put(progress, state === "loading" ? `Loading ${model.get("model")} …` : busy ? `${Math.round((100 * done) / (total || 1))}%` : "");
    const words = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !words;
    put(problem, words);
  }
  /** @type {[string, () => void][]} */
  const heard = [["change:svg", drawRecord], ["change:rows", drawRecord], ["change:sentence", drawRecord], ["change:machine", draw], ["change:status", draw], ["change:mode", draw], ["change:error", draw]];
  for (const [name, act] of heard) model.on(name, act);
  const onMessage = () => line.heard();
  model.on("msg:custom", onMessage);
  drawRecord();
  return () => {
    line.rest();
    for (const [name, act] of heard) model.off(name, act);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderMeasurement };
