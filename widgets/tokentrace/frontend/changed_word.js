// Two versions of a text under each other: the conditional of every token before and after a word was changed.

import { attr, h, put } from "./shared/dom.js";
import { fixed, readPiece } from "./shared/format.js";
import { chanceNodes, chanceText, costAxis } from "./shared/costs.js";
import { inquiry } from "./shared/inquiry.js";
import { ownKeys } from "./shared/own_keys.js";
import { scoreForm } from "./shared/score_form.js";

const NOTHING = 1e-4; // nats, as Python says what stayed

/**
 * What became of a place.
 *
 * @param {[number | null, number | null]} pair
 * @param {number} place
 * @param {[number, number]} shared places before the change and after it
 * @param {number} places
 * @returns {"before" | "changed" | "after"}
 */
export function fate([old, fresh], place, [before, after], places) {
  if (place < before) return "before";
  return old !== null && fresh !== null && place >= places - after ? "after" : "changed";
}

/** A difference of two log-probabilities in words. @param {number} gap nats */
export function sayGap(gap) {
  if (gap === 0) return "0";
  if (Math.abs(gap) < NOTHING) return `${gap < 0 ? "−" : "+"}${chanceText(Math.log(Math.abs(gap))).replace("10^", "10^")}`;
  return `${gap < 0 ? "−" : "+"}${fixed(Math.abs(gap), Math.abs(gap) < 0.01 ? 4 : 2)}`;
}

/** Where the n-th token of a text begins and ends in it. @param {string[]} parts @param {number} n */
export function spanOf(parts, n) {
  const from = parts.slice(0, n).join("").length;
  return [from + (parts[n].startsWith(" ") ? 1 : 0), from + parts[n].length];
}

/** @param {{model: any, el: HTMLElement}} context */
function renderChanged({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  const title = h("h2.tt-title");
  const badge = h("span.tt-badge");
  const form = scoreForm({
    labels: ["First version", "Second version"],
    action: "Score both",
    send(texts, name) {
      asked.ask({ type: "score", texts, model: name });
      drawStatus();
    },
  });
  const asked = inquiry({ model, draw: drawStatus });
  const sentence = h("p.tt-moved-say", { role: "status" });
  const body = h("tbody");
  const axis = h("div.tt-moved-axis.tt-note");
  const key = (/** @type {string} */ name) => h(`i.tt-moved-key.tt-moved-key-${name}`);
  const heads = [h("th.tt-num", { scope: "col" }, "first"), h("th", { scope: "col" }, "second"), h("th.tt-moved-bars", { scope: "col" }, "ln p, nats", axis), h("th.tt-num.tt-moved-ps", { scope: "col" }, "p first"), h("th.tt-num.tt-moved-ps", { scope: "col" }, "p second"), h("th.tt-num", { scope: "col" }, "change, nats")];
  const table = h("table.tt-table.tt-moved", {}, h("thead", {}, h("tr", {}, ...heads)), body);
  const hint = h("span.tt-note", {}, "Click a word to change it in the second version.");
  const legend = h("p.tt-note.tt-moved-legend", {}, h("span", {}, key("old"), "first version"), h("span", {}, key("new"), "second version"), h("span", {}, key("same"), "second, before the change"), hint);
  el.append(ownKeys(h("div.tt-root.tt-changed", {}, h("div.tt-page", {}, h("header.tt-head", {}, title, badge), form.node, asked.problem, sentence, legend, h("div.tt-moved-scroll", {}, table)))));
  /** @type {any} */
  let drawn = null;

  /** @param {number} version @param {number} index */
  function token(version, index) {
    const { tokens, vocabulary } = get("versions")[version];
    const entry = vocabulary[tokens.token[index]];
    return { piece: readPiece(entry), logprob: tokens.logprob[index] };
  }

  /** Select a token's word in the second field, to be typed over. @param {number} index */
  function choose(index) {
    const { tokens, vocabulary } = get("versions")[1];
    const field = form.fields[1];
    const parts = tokens.token.map((/** @type {number} */ id) => (typeof vocabulary[id] === "string" ? vocabulary[id] : ""));
    if (parts.join("") !== field.value) field.value = get("texts")[1];
    const [from, to] = spanOf(parts, index);
    field.focus();
    field.setSelectionRange(from, to);
  }

  /** @param {number | null} index @param {number} version @param {boolean} changed */
  function wordCell(index, version, changed) {
    if (index === null) return h("td.tt-note", {}, "—");
    const { piece } = token(version, index);
    const props = { "data-space": piece.space, "data-changed": changed };
    if (version && get("can_live")) return h("td", {}, h("button.tt-moved-word.tt-words", { ...props, title: "Change this word", click: () => choose(index) }, piece.shown));
    return h(version ? "td" : "td.tt-num", {}, h("span.tt-moved-word.tt-words", props, piece.shown));
  }

  function build() {
    drawn = get("versions");
    const pairs = get("pairs");
    const costs = drawn.flatMap((/** @type {any} */ version) => version.tokens.logprob.map((/** @type {number} */ each) => -each));
    const { end, ticks } = costAxis(Math.max(...costs));
    axis.replaceChildren(...ticks.map((tick) => h("span", { style: `left:${(tick / end) * 100}%` }, tick ? `−${tick}` : "0")));
    const bar = (/** @type {number | null} */ logprob, /** @type {string} */ name) => h(`i.tt-moved-${name}`, { style: `width:${logprob === null ? 0 : (-logprob / end) * 100}%`, hidden: logprob === null });
    body.replaceChildren(
      ...pairs.map((/** @type {[number | null, number | null]} */ pair, /** @type {number} */ place) => {
        const what = fate(pair, place, get("shared"), pairs.length);
        const [old, fresh] = pair.map((index, version) => (index === null ? null : token(version, index).logprob));
        const gap = old === null || fresh === null || what === "changed" ? null : fresh - old;
        const moved = gap !== null && Math.abs(gap) > NOTHING;
        const chance = (/** @type {number | null} */ logprob) => (logprob === null ? ["—"] : chanceNodes(logprob));
        return h(
          "tr",
          { "data-fate": what, "data-moved": moved },
          wordCell(pair[0], 0, what === "changed"),
          wordCell(pair[1], 1, what === "changed"),
          h("td.tt-moved-bars", {}, h("div", {}, bar(fresh, "new"), bar(old, "old"))),
          h("td.tt-num.tt-moved-ps", {}, ...chance(old)),
          h("td.tt-num.tt-moved-ps", {}, ...chance(fresh)),
          h("td.tt-num.tt-moved-gap", {}, what === "changed" ? "changed" : gap === null ? "" : sayGap(gap)),
        );
      }),
    );
    put(sentence, get("sentence"));
  }

  function drawStatus() {
    const { state } = get("status");
    const busy = state !== "idle";
    const kind = busy || get("mode") === "live" ? "live" : "recorded";
    put(title, get("title"));
    attr(badge, "data-kind", kind);
    attr(badge, "data-running", busy);
    badge.replaceChildren(h("b", {}, kind.toUpperCase()), ` ${get("versions")[0].model.name}`);
    form.node.hidden = hint.hidden = !get("can_live");
    form.show(state, asked.waiting);
    asked.show();
  }
  const fill = () => form.fill(get("texts"), get("model_names"), get("model"));
  function onVersions() {
    if (get("versions") === drawn) return;
    build();
    drawStatus();
  }
  asked.listen([["change:sentence", onVersions], ["change:versions", onVersions], ["change:texts", fill]]);
  build();
  fill();
  drawStatus();
  return () => {
    asked.stop();
  };
}

export default { render: renderChanged };
