// Your loop beside the recorded run: one button, two texts, and where they part.

import { attr, h, put } from "./shared/dom.js";
import { Run } from "./shared/trace.js";
import { readPiece } from "./shared/format.js";
import { tokenChip } from "./shared/text.js";
import { ownKeys } from "./shared/own_keys.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";

/** @param {{model: any, el: HTMLElement}} context */
function renderCompare({ model, el }) {
  const button = h("button.tt-btn", { type: "button", "data-line": true, click: onRun }, "Run the loop");
  const verdict = h("p.tt-compare-verdict", { role: "status" });
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const [recorded, own] = [h("p.tt-text.tt-compare-text"), h("p.tt-text.tt-compare-text")];
  const ownRow = h("div.tt-compare-row", {}, h("h3.tt-h", {}, "The loop"), own);
  const recordedRow = h("div.tt-compare-row", {}, h("h3.tt-h", {}, "The recorded run"), recorded);
  const act = h("div.tt-compare-act", {}, button, verdict);
  el.append(ownKeys(h("div.tt-root.tt-compare", {}, h("div.tt-page", {}, recordedRow, ownRow, act, problem))));
  const run = new Run(model.get("recorded"));
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), draw()) });

  function onRun() {
    line.ask({ type: "generate" });
  }
  /** @param {HTMLElement} node @param {any[]} pieces @param {number | null} agree how many from the start are the same; null before the loop ran */
  function fill(node, pieces, agree) {
    const prompt = run.prompt.flatMap((piece) => tokenChip(piece, { "data-given": true }).nodes);
    const written = pieces.flatMap((piece, i) =>
      tokenChip(piece, agree === null ? {} : { "data-agrees": i < agree, "data-parts": i >= agree, title: i < agree ? "the same" : "not the same" }).nodes,
    );
    node.replaceChildren(...prompt, ...written);
  }
  function draw() {
    line.heard();
    const { state } = model.get("status");
    const result = model.get("own");
    if (state === "idle") line.rest();
    const agree = result.tokens ? result.agree : null;
    fill(recorded, run.columns.token.map((token) => run.piece(token)), agree);
    ownRow.hidden = !result.tokens;
    if (result.tokens) fill(own, result.tokens.map((/** @type {number} */ token) => readPiece(result.vocabulary[token])), agree);
    put(verdict, state === "loading" ? `Loading ${model.get("model")} …` : state === "running" ? "Running …" : result.sentence ?? "");
    const sentence = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !sentence;
    put(problem, sentence);
    attr(button, "disabled", state !== "idle");
  }
  const names = ["change:own", "change:status", "change:error"];
  for (const name of names) model.on(name, draw);
  const onMessage = () => line.heard();
  model.on("msg:custom", onMessage);
  draw();
  return () => {
    line.rest();
    for (const name of names) model.off(name, draw);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderCompare };
