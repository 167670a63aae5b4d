// The ten most probable next tokens: raw as outline, after the filters as solid, cut ones hatched.

import { attr, forkIcon, h, put } from "./dom.js";
import { clamp, count, percent } from "./format.js";
import { cutBy } from "./trace.js";

/**
 * @typedef {import("./trace.js").Run} Run
 * @typedef {import("./trace.js").Step} Step
 * @typedef {import("./trace.js").Candidate} Candidate
 */

const ROWS = 10;
/** Ends the axis may have, and into how many parts each is divided. */
const AXES = [[0.05, 5], [0.1, 5], [0.2, 4], [0.3, 3], [0.4, 4], [0.5, 5], [0.6, 3], [0.8, 4], [1, 4]];

/** The axis that holds a probability: where it ends, and its parts. @param {number} most */
export function axisFor(most) {
  return AXES.find(([end]) => end >= most) ?? [1, 4];
}

/**
 * What the line between kept and cut says: how many of the ten stand above it, and its words.
 *
 * @param {Run} run
 * @param {Step} step
 */
export function cutLine(run, step) {
  const by = cutBy(run.settings, step.kept, run.vocabSize);
  const above = Math.min(step.kept, ROWS);
  if (by === "greedy") return { above, words: "greedy keeps one", cuts: true };
  if (!by) return { above, words: "no filter: every token stays in the draw", cuts: false };
  if (step.kept > ROWS) return { above, words: `${by} cuts further down, after ${count(step.kept)}`, cuts: false };
  return { above, words: `${by} cuts here`, cuts: true };
}

/** What the tokens that are not shown hold. @param {Run} run @param {Step} step */
export function unseen(run, step) {
  const { candidates, kept, rank, probability } = step;
  const extra = rank > candidates.length;
  const shown = candidates.length + (extra ? 1 : 0);
  const mass = candidates.reduce((sum, { raw }) => sum + raw, extra ? probability : 0);
  const fate = kept <= shown ? "all cut" : kept < run.vocabSize ? `${count(kept - shown)} of them kept` : "all kept";
  return `The other ${count(run.vocabSize - shown)} tokens share ${percent(clamp(1 - mass, 0, 1))}; ${fate}.`;
}

/** @param {"button" | "div"} tag */
function barRow(tag) {
  const parts = {
    word: h("span.tt-bar-word"),
    rank: h("span.tt-bar-rank"),
    solid: h("i.tt-bar-after"),
    outline: h("i.tt-bar-raw"),
    raw: h("span.tt-bar-num", { "data-raw": true }),
    after: h("span.tt-bar-num"),
  };
  const node = h(
    `${tag}.tt-bar`,
    tag === "button" ? { tabindex: -1 } : { role: "listitem" },
    parts.word,
    h("span.tt-bar-track", {}, parts.solid, parts.outline, parts.rank),
    parts.raw,
    parts.after,
    tag === "button" && h("span.tt-bar-go", {}, forkIcon(), "write this instead"),
  );
  return { node, token: -1, ...parts };
}

/**
 * The bars.
 *
 * @param {{pick: (token: number) => void}} options
 */
export function barsView({ pick }) {
  const axis = h("div");
  const cut = h("div.tt-cut.tt-note", {}, h("b"));
  const bars = h("div.tt-bars", { click, "aria-label": "Most probable next tokens" });
  const rest = h("p.tt-rest.tt-note");
  const key = (/** @type {string} */ name) => h(`i.tt-key.tt-key-${name}`);
  const head = h(
    "div.tt-bars-head.tt-note",
    { "aria-hidden": "true" },
    h("span", {}, key("raw"), "raw", key("after"), "after the filter", key("out"), "cut"),
    h("span", {}, "raw"),
    h("span", {}, "after"),
  );
  const node = h("div", {}, head, bars, rest);
  /** @type {ReturnType<typeof barRow>[]} */
  let rows = [];
  let end = 0;
  let isLive = false;

  /** @param {any} event */
  function click({ target }) {
    const button = target.closest("button:not([data-now])");
    const token = rows.find(({ node }) => node === button)?.token;
    if (token !== undefined) pick(token);
  }

  /** @param {boolean} live */
  function build(live) {
    isLive = live;
    attr(bars, "role", live ? "group" : "list");
    rows = Array.from({ length: ROWS + 1 }, (_, i) => {
      const row = barRow(live ? "button" : "div");
      row.node.style.order = String(2 * i);
      return row;
    });
    const ticks = h("div.tt-bars-axis.tt-note", { "aria-hidden": "true" }, axis);
    bars.replaceChildren(ticks, ...rows.map((row) => row.node), cut);
  }

  /** @param {number} most */
  function scale(most) {
    const [to, parts] = axisFor(most);
    if (to === end) return;
    end = to;
    axis.replaceChildren(
      ...Array.from({ length: parts + 1 }, (_, i) =>
        h("i", { style: `left:${(i / parts) * 100}%` }, h("span", {}, `${Math.round((i / parts) * to * 100)}%`)),
      ),
    );
  }

  /** @param {number} i @param {Candidate | null} candidate @param {boolean} now @param {number} move */
  function fill(i, candidate, now, move) {
    const { node: row, word, rank, raw, after, solid, outline } = rows[i];
    row.hidden = !candidate;
    if (!candidate) return;
    rows[i].token = candidate.token;
    const { piece, kept } = candidate;
    const filtered = move > 1;
    attr(row, "data-out", filtered && !kept);
    attr(row, "data-now", now);
    attr(word, "data-space", piece.space);
    attr(word, "data-kind", piece.kind);
    attr(word, "title", piece.title || null);
    put(word, piece.shown);
    put(rank, i === ROWS ? `rank ${count(candidate.rank)}` : "");
    put(raw, percent(candidate.raw));
    put(after, !filtered ? "" : kept ? percent(candidate.after) : "—");
    outline.style.width = `${((move && candidate.raw) / end) * 100}%`;
    solid.style.width = rank.style.left = `${((filtered ? candidate.after : 0) / end) * 100}%`;
    const fate = !filtered ? "" : kept ? `, ${percent(candidate.after)} after the filter` : ", cut by the filter";
    const hint = now ? ", written" : isLive ? ", Enter writes it instead" : "";
    attr(row, "aria-label", `${piece.name}: ${percent(candidate.raw)} raw${fate}${hint}`);
    if (isLive) attr(row, "aria-disabled", now ? "true" : null);
  }

  build(false);
  return {
    node,
    /** Rows that can be chosen, top to bottom. */
    get choices() {
      return isLive ? rows.map((row) => row.node).filter((row) => !row.hidden) : [];
    },
    /** The word of the chosen token, from where it flies. @returns {HTMLElement | undefined} */
    get chosen() {
      return rows.find((row) => row.node.hasAttribute("data-now"))?.word;
    },
    /**
     * @param {Run} run
     * @param {Step | null} step
     * @param {{live?: boolean, move?: number}} [options] `live`: a click may write another token; `move`: nothing is
     *   shown before the move that decides it
     */
    show(run, step, { live = false, move = 4 } = {}) {
      if (live !== isLive) build(live);
      if (!step) {
        for (const i of rows.keys()) fill(i, null, false, move);
        cut.hidden = true;
        return put(rest, "");
      }
      const { candidates } = step;
      scale(Math.max(...candidates.map(({ raw, after }) => Math.max(raw, after)), step.probability, step.filtered));
      const place = candidates.findIndex(({ token }) => token === step.token);
      const drawn = move > 2;
      for (let i = 0; i < ROWS; i++) fill(i, candidates[i] ?? null, drawn && i === place, move);
      const { token, piece, rank, probability: raw, filtered: after } = step;
      fill(ROWS, drawn && place < 0 ? { token, piece, rank, raw, after, kept: after > 0 } : null, true, move);
      const { above, words, cuts } = cutLine(run, step);
      cut.hidden = move < 2 || (!cuts && drawn && place < 0);
      cut.style.order = String(cuts ? 2 * above - 1 : 2 * ROWS + 1);
      attr(cut, "data-cuts", cuts);
      put(cut.firstChild, words);
      put(rest, move < 2 ? "" : unseen(run, step) + (live ? " Click a word to write it instead." : ""));
    },
  };
}
