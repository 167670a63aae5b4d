// The claim table: what sources say, what was measured on this page, and the verdict.

import { attr, h, put } from "./shared/dom.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { ownKeys } from "./shared/own_keys.js";
import { richText, verdictMark } from "./shared/verdict.js";

/** @typedef {{says: string, source: string, measured: string, verdict: string}} ClaimRow */

/** @type {Record<string, "right" | "open" | "wrong">} */
const CLAIM_MARKS = { holds: "right", simplified: "open", wrong: "wrong" };
const UNMEASURED = "Not measured yet: this row needs a run of the view that it is about.";

/** How many rows came out how, in a sentence. @param {ClaimRow[]} rows */
export function sumOfClaims(rows) {
  const count = (/** @type {string} */ verdict) => rows.filter((row) => row.verdict === verdict).length;
  const parts = [`${count("holds")} held here`, `${count("simplified")} simplified`, `${count("wrong")} wrong`];
  if (count("")) parts.push(`${count("")} not measured yet`);
  return `${rows.length} claims: ${parts.join(", ")}.`;
}

/** @param {ClaimRow} row */
function claimRow({ says, source, measured, verdict }) {
  const mark = verdict ? [verdictMark(CLAIM_MARKS[verdict]), verdict] : ["open"];
  return h(
    "tr",
    { "data-verdict": verdict || "none" },
    h("th", { scope: "row" }, h("span.tt-claim-says", {}, ...richText(says)), h("span.tt-note", {}, ...richText(source))),
    h("td", { "data-head": "measured here" }, ...(measured ? richText(measured) : [h("span.tt-note", {}, UNMEASURED)])),
    h("td", { "data-head": "verdict" }, h("span.tt-standing", {}, ...mark)),
  );
}

/** @param {{model: any, el: HTMLElement}} context */
function renderClaims({ model, el }) {
  const body = h("tbody");
  const sum = h("p.tt-note", { role: "status" });
  const fill = h("button.tt-btn", { "data-line": true, click: () => line.ask({ type: "fill" }) }, "Fill in again");
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const head = ["what sources say", "what was measured on this page", "verdict"];
  const table = h("table.tt-table.tt-claims", {},
    h("thead", {}, h("tr", {}, ...head.map((each) => h("th", { scope: "col" }, each)))), body);
  const act = h("div.tt-claims-act", {}, fill, sum);
  el.append(ownKeys(h("div.tt-root", {}, h("div.tt-page", {}, table, act, problem))));
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), draw()) });

  function drawRows() {
    const rows = model.get("rows");
    body.replaceChildren(...rows.map(claimRow));
    draw();
  }
  function draw() {
    line.heard();
    const busy = model.get("busy");
    if (!busy) line.rest();
    attr(fill, "disabled", busy);
    put(sum, busy ? "Measuring …" : sumOfClaims(model.get("rows")));
    const sentence = silent ? NO_ANSWER : model.get("error");
    problem.hidden = !sentence;
    put(problem, sentence);
  }
  /** @type {[string, () => void][]} */
  const heard = [["change:rows", drawRows], ["change:busy", draw], ["change:error", draw]];
  for (const [name, act] of heard) model.on(name, act);
  const onMessage = () => line.heard();
  model.on("msg:custom", onMessage);
  drawRows();
  return () => {
    line.rest();
    for (const [name, act] of heard) model.off(name, act);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderClaims };
