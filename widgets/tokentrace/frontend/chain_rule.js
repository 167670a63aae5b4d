// The chain rule by hand: a tree of words that grows, the product of what was chosen, and the sum of its logs.

import { attr, h, put, shape } from "./shared/dom.js";
import { fixed, percent } from "./shared/format.js";
import { ownKeys } from "./shared/own_keys.js";
import { isTyping } from "./shared/keys.js";

const END_WORD = "<end>";
const KEPT_SENTENCES = 6;

/**
 * What may come next in a context, as `five_words.conditionals` says it.
 *
 * @param {Record<string, number[]>} tables hundredths by context; "… word" holds after any other context
 * @param {number} limit
 * @param {string[]} words
 * @returns {{name: string, hundredths: number[]}} name "" at the limit, where only the end may come
 */
export function tableAfter(tables, limit, words) {
  const [any] = Object.values(tables);
  if (words.length >= limit) return { name: "", hundredths: any.map((_, i) => (i === any.length - 1 ? 100 : 0)) };
  const name = words.join(" ");
  const used = words.length && !(name in tables) ? `… ${words[words.length - 1]}` : name;
  return { name: used, hundredths: tables[used] };
}

/** A probability with all its digits where they are few: 0.0672. @param {number} p */
export function exactly(p) {
  const text = p.toPrecision(4);
  return Number(text) === 0 || /e/.test(text) ? p.toExponential(2).replace("-", "−") : String(Number(text));
}

/** What a word looks like on the page. @param {string} word */
export function wordShown(word) {
  return word === END_WORD ? "⟨end⟩" : word;
}

/** The tree's branches into a node and out of it. @param {number | null} from @param {number[]} hundredths @param {number} chosen */
function branches(from, hundredths, chosen) {
  const rows = hundredths.length;
  const middle = rows / 2;
  const lines = hundredths.map((each, i) =>
    each
      ? shape("path", {
          d: `M12 ${middle}C24 ${middle} 22 ${i + 0.5} 36 ${i + 0.5}`,
          style: `stroke-width:${(1 + each / 12).toFixed(2)}px`,
          "data-chosen": i === chosen,
        })
      : null,
  );
  if (from !== null) lines.push(shape("path", { d: `M0 ${from + 0.5}C8 ${from + 0.5} 4 ${middle} 12 ${middle}`, "data-chosen": true, "data-in": true }));
  // What was chosen lies on top.
  lines.sort((a, b) => Number(Boolean(a?.hasAttribute("data-chosen"))) - Number(Boolean(b?.hasAttribute("data-chosen"))));
  return shape("svg", { class: "tt-branches", viewBox: `0 0 36 ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...lines.filter(Boolean));
}

/** @param {{model: any, el: HTMLElement}} context */
function renderTree({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const title = h("h2.tt-title");
  const badge = h("span.tt-badge", { "data-kind": "live" }, h("b", {}, "LIVE"), "worked out in this page");
  const sentence = h("p.tt-text.tt-tree-text");
  const tree = h("div.tt-tree", { role: "group", "aria-label": "Tree of words", keydown: onKey });
  const sums = h("table.tt-sums");
  const undo = h("button.tt-btn", { "data-line": true, click: () => go(words.slice(0, -1)) }, "Undo");
  const again = h("button.tt-btn", { "data-line": true, click: () => go([]) }, "Start over");
  const hint = h("span.tt-note.tt-tree-keys", {}, key("↑ ↓"), " choose ", key("→"), " take it ", key("←"), " undo");
  const done = h("div.tt-tree-done", { hidden: true });
  const say = h("p.tt-sr", { "aria-live": "polite" });
  const about = h("p.tt-note.tt-tree-about");
  el.append(
    ownKeys(
      h(
        "div.tt-root.tt-wordtree",
        {},
        h(
          "div.tt-page",
          {},
          h("header.tt-head", {}, title, badge),
          sentence,
          h("div.tt-tree-scroll", {}, tree),
          h("div.tt-tree-act", {}, undo, again, hint),
          h("div.tt-tree-foot", {}, h("div.tt-sums-scroll", {}, sums), done),
          about,
          say,
        ),
      ),
    ),
  );

  /** @type {string[]} */
  let words = [];
  /** @type {Map<string, number>} sentences that were finished, and their probability */
  const finished = new Map();
  /** @type {HTMLElement[][]} */
  let leaves = [];

  /** @param {string} keys */
  function key(keys) {
    return h("span", {}, ...keys.split(" ").map((each) => h("kbd", {}, each)));
  }
  const over = () => words[words.length - 1] === END_WORD;
  const place = (/** @type {string} */ word) => get("vocabulary").indexOf(word);
  const after = (/** @type {string[]} */ context) => tableAfter(get("tables"), get("limit"), context);

  /** The conditional of every word chosen. */
  function chosen() {
    return words.map((word, i) => after(words.slice(0, i)).hundredths[place(word)] / 100);
  }

  /** @param {string[]} next @param {boolean} [focus] whether the open node takes the focus */
  function go(next, focus = false) {
    words = next;
    draw();
    model.set("words", next);
    model.save_changes();
    const p = chosen().reduce((product, each) => product * each, 1);
    put(say, words.length ? `${words.map(wordShown).join(" ")}: probability ${exactly(p)}.` : "Nothing chosen yet.");
    if (focus) focusOpen();
  }

  /** @param {number} column @param {number} row */
  function take(column, row) {
    const { hundredths } = after(words.slice(0, column));
    if (hundredths[row]) go([...words.slice(0, column), get("vocabulary")[row]], true);
  }

  function focusOpen() {
    const column = leaves[leaves.length - 1];
    const stop = column.find((leaf) => leaf.tabIndex === 0) ?? column[0];
    stop.focus({ preventScroll: true });
    // The strip moves sideways only: the page stays where the reader reads.
    const strip = tree.parentElement;
    if (strip) strip.scrollLeft = strip.scrollWidth;
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const column = leaves.findIndex((each) => each.includes(/** @type {HTMLElement} */ (event.target)));
    if (column < 0) return;
    const row = leaves[column].indexOf(/** @type {HTMLElement} */ (event.target));
    const move = (/** @type {number} */ by) => {
      for (let i = row + by; leaves[column][i]; i += by) {
        if (!(/** @type {HTMLButtonElement} */ (leaves[column][i]).disabled)) return leaves[column][i].focus();
      }
    };
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      ArrowRight: () => take(column, row),
      ArrowLeft: () => words.length && go(words.slice(0, -1), true),
      Backspace: () => words.length && go(words.slice(0, -1), true),
      Home: () => go([], true),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  /** @param {number} column */
  function node(column) {
    const context = words.slice(0, column);
    const { name, hundredths } = after(context);
    const picked = column < words.length ? place(words[column]) : -1;
    const open = column === words.length;
    const most = hundredths.indexOf(Math.max(...hundredths));
    const rows = get("vocabulary").map((/** @type {string} */ word, /** @type {number} */ i) => {
      const p = hundredths[i] / 100;
      const props = {
        tabindex: open ? (i === most ? 0 : -1) : i === picked && over() && column === words.length - 1 ? 0 : -1,
        disabled: !p,
        "data-chosen": i === picked,
        "data-now": i === picked && column === words.length - 1,
        "data-passed": !open && i !== picked,
        "aria-pressed": open ? null : String(i === picked),
        "aria-label": `${wordShown(word)}, ${percent(p)}`,
        click: () => take(column, i),
      };
      return h(
        "button.tt-leaf",
        props,
        h("span.tt-leaf-word", { "data-end": word === END_WORD }, wordShown(word)),
        h("span.tt-leaf-track", {}, h("i", { style: `width:${p * 100}%` })),
        h("span.tt-leaf-num", {}, fixed(p, 2)),
      );
    });
    leaves[column] = rows;
    const from = column ? place(words[column - 1]) : null;
    const given = get("given").includes(name);
    const origin = !name ? (column ? "the limit" : "ours, but for the 0.20") : given ? "the source’s table" : `ours: ${name}`;
    const label = column ? `after ${context.map(wordShown).join(" ")}` : "at the start";
    return h(
      "section.tt-node",
      { "aria-label": label, "data-open": open },
      h("div.tt-node-head", {}, h("b.tt-words", {}, column ? context[column - 1] : "start"), h("span.tt-note", { "data-given": given }, origin)),
      h("div.tt-node-body", {}, branches(from, hundredths, picked), h("div.tt-leaves", {}, ...rows)),
    );
  }

  function drawSums() {
    const factors = chosen();
    const p = factors.reduce((product, each) => product * each, 1);
    const logs = factors.map(Math.log);
    const sum = logs.reduce((total, each) => total + each, 0);
    const cell = (/** @type {string} */ text, now = false) => h("td", { "data-now": now }, text);
    const last = factors.length - 1;
    const products = factors.flatMap((each, i) => [cell(i ? "×" : ""), cell(fixed(each, 2), i === last)]);
    const signs = logs.flatMap((each, i) => [cell(each < 0 || Object.is(each, -0) ? "−" : i ? "+" : ""), cell(fixed(Math.abs(each), 2), i === last)]);
    const result = (/** @type {string} */ text) => [cell("="), h("td.tt-sums-all", {}, text)];
    const rows = words.length
      ? [
          [h("th", { scope: "row" }, "P"), cell("="), ...products, ...result(exactly(p))],
          [h("th", { scope: "row" }, "ln P"), cell("="), ...signs, ...result(fixed(sum, 2))],
          [h("th", { scope: "row" }, "e", h("sup", {}, "ln P")), cell("="), h("td", { colspan: 2 * factors.length }, "e", h("sup", {}, fixed(sum, 2))), ...result(exactly(Math.exp(sum)))],
        ]
      : [[h("th", { scope: "row" }, "P"), cell("="), ...result("1").slice(1), h("td.tt-note", {}, "nothing chosen yet: every sentence is still possible")]];
    const head = words.length && h("tr.tt-sums-words", {}, h("td", { colspan: 2 }), ...words.flatMap((word, i) => [h("td"), h("td.tt-words", { "data-now": i === last }, wordShown(word))]), h("td", { colspan: 2 }));
    sums.replaceChildren(h("tbody", {}, head || "", ...rows.map((each) => h("tr", {}, ...each))));
  }

  function drawDone() {
    if (over()) {
      const p = chosen().reduce((product, each) => product * each, 1);
      const name = words.map(wordShown).join(" ");
      finished.delete(name);
      finished.set(name, p);
      if (finished.size > KEPT_SENTENCES) finished.delete([...finished.keys()][0]);
    }
    done.hidden = !finished.size;
    const items = [...finished].sort((a, b) => b[1] - a[1]);
    const total = items.reduce((sum, [, p]) => sum + p, 0);
    done.replaceChildren(
      h("h3.tt-h", {}, "Sentences you finished"),
      h("ul", {}, ...items.map(([name, p]) => h("li", {}, h("span.tt-words", {}, name), h("span", {}, exactly(p)), h("i", { style: `--p:${p}` })))),
      h("p.tt-note", {}, `Together ${exactly(total)} of 1. The rest belongs to all the sentences you have not chosen.`),
    );
  }

  function draw() {
    leaves = [];
    put(title, get("title"));
    const chips = words.map((word, i) => {
      const p = chosen()[i];
      const step = [0.07, 0.18, 0.35, 0.6].filter((from) => p >= from).length;
      return h("span.tt-chip", { "data-now": i === words.length - 1, "--tt-chip": `var(--tt-p${step})`, "--tt-p": p }, h("span", {}, wordShown(word)));
    });
    sentence.replaceChildren(...(chips.length ? chips.flatMap((chip) => [chip, " "]) : [h("span.tt-tree-empty", {}, "Choose a first word.")]));
    const n = over() ? words.length : words.length + 1;
    tree.replaceChildren(...Array.from({ length: n }, (_, i) => node(i)));
    attr(undo, "disabled", !words.length);
    attr(again, "disabled", !words.length);
    drawSums();
    drawDone();
    put(about, `A word’s bar is its probability given all words before it. The tables after “I”, “I love” and “I love AI”, and the 0.20 at the start, are the source’s; the others are ours. A sentence of ${get("limit")} words ends for certain.`);
  }

  const take_over = () => {
    if (get("words").join(" ") === words.join(" ")) return;
    words = [...get("words")];
    draw();
  };
  model.on("change:words", take_over);
  words = [...get("words")];
  draw();
  return () => model.off("change:words", take_over);
}

export default { render: renderTree };
