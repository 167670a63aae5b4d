// The mask as a square: a row a reading position, a column a read one; beside each row how far its guess moved.

import { attr, cssVar, h, put, segments } from "./shared/dom.js";
import { clamp, fixed, readPiece } from "./shared/format.js";
import { inquiry } from "./shared/inquiry.js";
import { liveBadge } from "./shared/live_badge.js";
import { ownKeys } from "./shared/own_keys.js";
import { scoreForm } from "./shared/score_form.js";
import { tiny } from "./shared/tiny.js";

/** @typedef {{at: number, token: number, moved: number[], moved_open: number[], logprob: number, logprob_open: number}} MaskChange */

/**
 * A log axis for moves: where its first decade begins and its last one ends, as powers of ten.
 *
 * @param {number[]} values zeros are left out
 * @returns {[number, number]}
 */
export function moveAxis(values) {
  const some = values.filter((each) => each > 0);
  if (!some.length) return [-2, 1];
  const [low, high] = [Math.log10(Math.min(...some)), Math.log10(Math.max(...some))];
  return [Math.min(-2, Math.floor(low)), Math.max(1, Math.ceil(high))];
}

/** Where a value lies on a log axis, 0 to 1; a true zero lies at 0. @param {number} value @param {[number, number]} axis */
export function placeOfMove(value, [low, high]) {
  return value > 0 ? clamp((Math.log10(value) - low) / (high - low), 0.01, 1) : 0;
}

/** A move of a logit as readers see it; only a true zero is called 0. @param {number} value */
export function sayMove(value) {
  if (value === 0) return "0";
  if (value < 0.01) return tiny(value);
  return fixed(value, value < 1 ? 2 : 1);
}

/** @param {{model: any, el: HTMLElement}} context */
function renderMask({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const [title, badge] = [h("h2.tt-title"), h("span.tt-badge")];
  const form = scoreForm({ labels: ["Text to read"], action: "Read", send: ([text], name) => ask({ text, model: name }) });
  const asked = inquiry({ model, draw: drawStatus });
  const offers = h("div.tt-seg.tt-mask-offers", { role: "group", "aria-label": "Tokens changed so far" });
  const masks = segments("Mask", [{ value: true, text: "mask on" }, { value: false, text: "mask off" }], (value) => setTrait("masked", value));
  const word = h("input.tt-field.tt-words", { "aria-label": "New token", spellcheck: "false", maxlength: 60 });
  const instead = h("span.tt-label");
  const put_in = h("button.tt-btn", { type: "submit", "data-line": true }, "Change");
  const changeForm = h("form.tt-mask-change", { submit: onChange }, instead, word, put_in);
  const sentence = h("p.tt-mask-say", { role: "status" });
  const heads = h("div.tt-mask-heads", { "aria-hidden": "true" });
  const rows = h("div.tt-mask-rows");
  const axis = h("div.tt-mask-axis.tt-note", { "aria-hidden": "true" });
  const moveTitle = h("span.tt-mask-moves-title.tt-note", {}, "largest change of a logit there, log scale");
  const square = h("div.tt-mask-square", { keydown: onKey }, h("div.tt-mask-row.tt-mask-top", {}, h("span.tt-note.tt-mask-corner", {}, "reads ↓  is read →"), heads, moveTitle), rows, h("div.tt-mask-row", {}, h("span"), h("span"), axis));
  const caption = h("p.tt-note.tt-mask-caption");
  const tableToggle = h("button.tt-toggle", { "aria-pressed": "false", click: flip }, "As a table");
  const twin = h("div.tt-mask-twin", { hidden: true, tabindex: 0, role: "region", "aria-label": "Moves as a table" });
  const key = (/** @type {string} */ name) => h(`i.tt-mask-key.tt-mask-key-${name}`);
  const legend = h("p.tt-note.tt-mask-legend", {}, h("span", {}, key("much"), "much attention"), h("span", {}, key("little"), "little"), h("span", {}, key("cut"), "cut by the mask"), tableToggle);
  el.append(ownKeys(h("div.tt-root.tt-mask", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, h("div.tt-mask-controls", {}, masks.node, offers), changeForm, sentence, square, legend, caption, twin))));

  let at = 0; // the position that the change form speaks of
  let focused = 1; // the row that has the tab stop
  /** @type {any} */
  let drawn = null;

  const run = () => get("study");
  const piece = (/** @type {number} */ token) => readPiece(run().vocabulary[token]);
  /** @returns {MaskChange} */
  const change = () => run().changes[clamp(get("shown"), 0, run().changes.length - 1)];
  const tokenAt = (/** @type {number} */ place) => (place ? run().ids[place - 1] : run().start);

  /** @param {object} message */
  function ask(message) {
    asked.ask({ type: "study", ...message });
    drawStatus();
  }
  /** @param {string} name @param {any} value */
  function setTrait(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  /** @param {Event} event */
  function onChange(event) {
    event.preventDefault();
    const text = word.value.trimStart();
    ask({ text: run().text, at, word: (piece(tokenAt(at)).space && text ? " " : "") + text, model: get("model") });
  }
  /** Choose the token to change. @param {number} place */
  function choose(place) {
    if (!place) return;
    const known = run().changes.findIndex((/** @type {MaskChange} */ each) => each.at === place);
    at = focused = place;
    if (known >= 0) setTrait("shown", known);
    drawForm(known < 0);
    draw();
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const to = { ArrowDown: focused + 1, ArrowRight: focused + 1, ArrowUp: focused - 1, ArrowLeft: focused - 1, Home: 1, End: run().ids.length }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focused = clamp(to, 1, run().ids.length);
    tabStops();
    rows.children[focused].querySelector("button")?.focus();
  }
  function tabStops() {
    [...rows.children].forEach((row, place) => row.querySelector("button") && attr(row.querySelector("button"), "tabindex", place === focused ? 0 : -1));
  }
  function flip() {
    twin.hidden = !twin.hidden;
    attr(tableToggle, "aria-pressed", String(!twin.hidden));
    drawTwin();
  }

  /** A new run: rows, columns and offers. */
  function build() {
    drawn = run();
    const n = drawn.ids.length;
    cssVar(square, "--n", n + 1);
    const places = Array.from({ length: n + 1 }, (_, place) => place);
    heads.replaceChildren(...places.map((place) => h("span.tt-words", { click: () => choose(place) }, h("span", {}, piece(tokenAt(place)).shown))));
    rows.replaceChildren(
      ...places.map((place) => {
        const name = piece(tokenAt(place)).shown;
        const label = place ? h("button.tt-mask-token", { click: () => choose(place), title: "Change this token" }) : h("span.tt-mask-token", {});
        label.append(h("span.tt-note", {}, String(place)), h("span.tt-words", {}, name));
        return h("div.tt-mask-row", {}, label, h("div.tt-mask-cells", {}, ...places.map(() => h("i"))), h("div.tt-mask-move", {}, h("span.tt-mask-track", {}, h("i")), h("span.tt-num")));
      }),
    );
    offers.replaceChildren(...drawn.changes.map((/** @type {MaskChange} */ each, /** @type {number} */ i) => h("button", { click: () => choose(each.at), "data-change": i }, `${each.at}: `, h("span.tt-words", {}, `${piece(tokenAt(each.at)).shown} → ${piece(each.token).shown}`))));
    at = focused = change()?.at ?? 1;
    drawForm(false);
    put(caption, `Attention of layer ${drawn.layer + 1}, head ${drawn.head + 1}, for the text as it was given; the changes on the right are of the whole model’s guess. Position 0 is the start token.`);
  }

  /** @param {boolean} focus */
  function drawForm(focus) {
    instead.replaceChildren(`Token ${at}, `, h("span.tt-words", {}, piece(tokenAt(at)).shown), ", becomes");
    const known = run().changes.find((/** @type {MaskChange} */ each) => each.at === at);
    word.value = known ? piece(known.token).shown : "";
    if (focus && get("can_live")) word.focus();
  }

  function draw() {
    const data = run();
    const masked = get("masked");
    const shown = change();
    masks.press(masked);
    [...offers.children].forEach((each, i) => attr(each, "aria-pressed", String(data.changes[i] === shown)));
    const weights = masked ? data.attention : data.attention_open;
    const moved = masked ? shown.moved : shown.moved_open;
    const scale = moveAxis([...shown.moved, ...shown.moved_open]);
    [...rows.children].forEach((row, place) => {
      attr(row, "data-now", place === shown.at);
      attr(row, "data-chosen", place === at && place !== shown.at);
      const [label, cells, move] = row.children;
      const name = label.querySelector(".tt-words");
      name?.replaceChildren(...(place === shown.at ? [h("s", {}, piece(tokenAt(place)).shown), " ", h("b", {}, piece(shown.token).shown)] : [piece(tokenAt(place)).shown]));
      [...cells.children].forEach((cell, column) => {
        const cut = masked && column > place;
        attr(cell, "data-cut", cut);
        attr(cell, "data-now", column === shown.at && !cut);
        attr(cell, "style", cut ? null : `--w:${Math.round(Math.sqrt(weights[place][column]) * 100)}%`);
        attr(cell, "title", cut ? `position ${place} cannot see ${column}` : `position ${place} gives ${column} ${Math.round(weights[place][column] * 100)}%`);
      });
      const bar = /** @type {HTMLElement} */ (move.querySelector("i"));
      bar.style.width = `${placeOfMove(moved[place], scale) * 100}%`;
      attr(move, "data-zero", moved[place] === 0);
      put(/** @type {Element} */ (move.querySelector(".tt-num")), sayMove(moved[place]));
    });
    [...heads.children].forEach((head, column) => attr(head, "data-now", column === shown.at));
    const ticks = [];
    for (let power = scale[0]; power <= scale[1]; power += 1) ticks.push(h("span", { style: `left:${((power - scale[0]) / (scale[1] - scale[0])) * 100}%` }, power < -2 ? tiny(10 ** power).slice(2) : String(Number((10 ** power).toPrecision(1)))));
    axis.replaceChildren(h("div", {}, ...ticks));
    put(sentence, get("sentences")[data.changes.indexOf(shown)]?.[masked ? 0 : 1] ?? "");
    tabStops();
    drawTwin();
  }

  function drawTwin() {
    if (twin.hidden) return;
    const shown = change();
    const headRow = ["position", "token", "sees", "moved, mask on", "moved, mask off"].map((head, i) => h(i === 1 ? "th" : "th.tt-num", { scope: "col" }, head));
    const n = run().ids.length;
    const body = shown.moved.map((_, place) =>
      h("tr", { "aria-current": place === shown.at ? "true" : null }, ...[String(place), piece(place === shown.at ? shown.token : tokenAt(place)).shown, get("masked") ? (place ? `0 to ${place}` : "0") : `0 to ${n}`, sayMove(shown.moved[place]), sayMove(shown.moved_open[place])].map((cell, c) => h(c === 1 ? "td.tt-words" : "td.tt-num", {}, cell))),
    );
    twin.replaceChildren(h("table.tt-table", {}, h("thead", {}, h("tr", {}, ...headRow)), h("tbody", {}, ...body)));
  }

  function drawStatus() {
    const { state } = get("status");
    const busy = state !== "idle";
    put(title, get("title"));
    liveBadge(badge, get("mode"), busy, run().model.name);
    form.node.hidden = changeForm.hidden = !get("can_live");
    form.show(state, asked.waiting);
    attr(put_in, "disabled", asked.waiting || busy);
    asked.show();
  }
  const fill = () => form.fill([run().text], get("model_names"), get("model"));
  function onStudy() {
    if (get("study") !== drawn) {
      build();
      fill();
    }
    draw();
    drawStatus();
  }
  asked.listen([["change:study", onStudy], ["change:shown", onStudy], ["change:sentences", onStudy], ["change:masked", draw]]);
  onStudy();
  return () => {
    asked.stop();
  };
}

export default { render: renderMask };
