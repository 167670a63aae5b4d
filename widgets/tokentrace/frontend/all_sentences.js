// All sentences of the small language: the product of each as an outline, how often it was drawn as what fills it.

import { attr, h, put, shape } from "./shared/dom.js";
import { count, fixed } from "./shared/format.js";
import { kernelLine, NO_ANSWER } from "./shared/kernel.js";
import { ownKeys } from "./shared/own_keys.js";

const DRAW_SIZES = [1, 10, 100, 1000];
const SHARE_END = 0.1; // of the axis: the most probable sentence has less
const DECADES_X = 5;
const DECADES_Y = 4;

/** A share in percent with two decimals. @param {number} p */
export function share(p) {
  return `${fixed(p * 100, 2)}%`;
}

/** What is said of the draws so far. @param {{draws: number, largest: number, chi_square: number | null, degrees: number, p: number | null}} fit */
export function sayFit({ draws, largest, chi_square, degrees, p }) {
  if (!draws) return "Nothing drawn yet.";
  const gap = `${count(draws)} ${draws === 1 ? "sentence" : "sentences"} drawn; the largest difference is ${share(largest)}.`;
  if (chi_square === null || p === null) return `${gap} Too few for a chi-square test.`;
  const odds = p < 0.0005 ? "less than one in 2,000" : `${fixed(p * 100, 0)} of 100`;
  return `${gap} Chi-square ${fixed(chi_square, 1)} with ${degrees} degrees of freedom: ${odds} honest samplers get as much or more.`;
}

/** Where a point of the path stands, as parts of the picture. @param {number} draws @param {number} gap */
export function gapPoint(draws, gap) {
  return { x: Math.log10(draws) / DECADES_X, y: Math.min(1, Math.max(0, -Math.log10(gap) / DECADES_Y)) };
}

/** Largest difference against number of draws, both logarithmic. */
function gapsView() {
  const [width, height] = [300, 150];
  const at = (/** @type {number} */ draws, /** @type {number} */ gap) => {
    const { x, y } = gapPoint(draws, gap);
    return [44 + x * (width - 60), 12 + y * (height - 44)];
  };
  const label = (/** @type {number[]} */ [x, y], /** @type {string} */ text, anchor = "middle") => {
    const node = shape("text", { x, y, "text-anchor": anchor });
    node.textContent = text;
    return node;
  };
  const grid = [1, 0.1, 0.01, 0.001, 0.0001].flatMap((gap) => {
    const [x, y] = at(1, gap);
    return [shape("path", { d: `M${x} ${y}H${width - 16}`, class: "tt-gap-grid" }), label([x - 6, y + 4], `${gap * 100}%`, "end")];
  });
  const ticks = [1, 10, 100, 1000, 10_000, 100_000].map((draws) => {
    const [x, y] = at(draws, 0.0001);
    return label([x, y + 15], draws >= 1000 ? `${draws / 1000}k` : `${draws}`);
  });
  const guide = shape("path", { class: "tt-gap-guide" });
  const line = shape("path", { class: "tt-gap-line" });
  const dots = shape("g", {});
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "tt-gaps" }, ...grid, ...ticks, guide, line, dots, label([width / 2 + 14, height - 2], "sentences drawn"));
  return {
    node: h("figure.tt-gaps-figure", {}, h("figcaption.tt-h", {}, "Largest difference"), picture, h("p.tt-note", {}, "dashed: the usual error of the first sentence, √(p(1−p)/n)")),
    /** @param {[number, number][]} path @param {number} p of the most probable sentence */
    show(path, p) {
      const usual = (/** @type {number} */ n) => Math.sqrt((p * (1 - p)) / n);
      const [from, to] = [at(1, usual(1)), at(100_000, usual(100_000))];
      attr(guide, "d", `M${from}L${to}`);
      const points = path.filter(([, gap]) => gap > 0).map(([draws, gap]) => at(draws, gap));
      attr(line, "d", points.length ? `M${points.join("L")}` : "");
      dots.replaceChildren(...points.map(([cx, cy], i) => shape("circle", { cx, cy, r: i === points.length - 1 ? 4.5 : 3, "data-now": i === points.length - 1 })));
      const last = path[path.length - 1];
      attr(picture, "aria-label", last ? `After ${count(last[0])} draws the largest difference is ${share(last[1])}.` : "No draws yet.");
    },
  };
}

/** @param {{model: any, el: HTMLElement}} context */
function renderSentences({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const title = h("h2.tt-title");
  const badge = h("span.tt-badge", { "data-kind": "live" }, h("b", {}, "LIVE"), "drawn in this page");
  const body = h("tbody");
  const heads = ["", "sentence", "", "P", "drawn"].map((text, i) => h(i > 2 ? "th.tt-num" : "th", { scope: "col" }, text));
  heads[2].append(h("i.tt-key.tt-key-exact"), "product ", h("i.tt-key.tt-key-drawn"), "drawn");
  const table = h("table.tt-table.tt-ranks", {}, h("thead", {}, h("tr", {}, ...heads)), body);
  const buttons = DRAW_SIZES.map((n) => h("button.tt-btn", { "data-line": true, click: () => line.ask({ type: "draw", n }) }, `Draw ${count(n)}`));
  const clear = h("button.tt-toggle", { click: () => line.ask({ type: "clear" }) }, "Start over");
  const last = h("p.tt-note.tt-words.tt-last-drawn");
  const fit = h("p.tt-fit", { role: "status" });
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const gaps = gapsView();
  const act = h("div.tt-draw-act", {}, ...buttons, clear);
  el.append(
    ownKeys(
      h(
        "div.tt-root.tt-allsentences",
        {},
        h("div.tt-page", {}, h("header.tt-head", {}, title, badge), act, problem, h("div.tt-ranks-mid", {}, h("div.tt-ranks-scroll", {}, table), h("div.tt-ranks-side", {}, fit, last, gaps.node))),
      ),
    ),
  );
  let silent = false;
  const line = kernelLine({ send: (message) => model.send(message), silence: (is) => ((silent = is), drawProblem()) });

  /** @param {any} row @param {number} i */
  function rankRow(row, i) {
    const marks = [row.best && "most probable", row.greedy && "greedy’s"].filter(Boolean).join(", ");
    const bar = h("div.tt-share", {}, h("i.tt-share-drawn"), h("i.tt-share-exact", { style: `width:${(row.probability / SHARE_END) * 100}%` }));
    const words = row.words.map((/** @type {string} */ word) => (word === "<end>" ? "⟨end⟩" : word)).join(" ");
    return h(
      "tr",
      { "data-best": row.best, "data-greedy": row.greedy },
      h("td.tt-note", {}, `${row.place}`),
      h("td", {}, h("span.tt-words", {}, words), marks && h("b.tt-rank-mark", {}, marks)),
      h("td.tt-share-cell", {}, bar),
      h("td.tt-num", {}, share(row.probability)),
      h("td.tt-num.tt-drawn", {}),
    );
  }

  function build() {
    put(title, get("title"));
    const { sentences, probability } = get("rest");
    body.replaceChildren(
      ...get("rows").map(rankRow),
      h("tr.tt-ranks-rest", {}, h("td"), h("td", { colspan: 2 }, `the other ${count(sentences)} sentences together`), h("td.tt-num", {}, share(probability)), h("td.tt-num.tt-drawn")),
    );
  }

  function draw() {
    const { draws } = get("fit");
    const rows = /** @type {HTMLElement[]} */ ([...body.children]);
    get("counts").forEach((/** @type {number} */ n, /** @type {number} */ i) => {
      const found = draws ? n / draws : 0;
      const bar = /** @type {HTMLElement | null} */ (rows[i].querySelector(".tt-share-drawn"));
      if (bar) {
        bar.style.width = `${Math.min(1, found / SHARE_END) * 100}%`;
        attr(bar, "data-beyond", found > SHARE_END);
      }
      const cell = /** @type {HTMLElement} */ (rows[i].querySelector(".tt-drawn"));
      put(cell, draws ? share(found) : "—");
    });
    put(fit, sayFit(get("fit")));
    const words = get("last").map((/** @type {string} */ word) => (word === "<end>" ? "⟨end⟩" : word)).join(" ");
    put(last, words ? `drawn last: ${words}` : "");
    gaps.show(get("path"), get("rows")[0].probability);
  }

  function drawProblem() {
    const sentence = silent ? NO_ANSWER : get("error");
    problem.hidden = !sentence;
    put(problem, sentence);
  }

  const onMessage = () => {
    line.heard();
    line.rest();
  };
  const heard = /** @type {[string, () => void][]} */ ([["change:counts", draw], ["change:fit", draw], ["change:path", draw], ["change:last", draw], ["change:error", drawProblem], ["msg:custom", onMessage]]);
  for (const [name, action] of heard) model.on(name, action);
  build();
  draw();
  drawProblem();
  return () => {
    line.rest();
    for (const [name, action] of heard) model.off(name, action);
  };
}

export default { render: renderSentences };
