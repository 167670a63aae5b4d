// The card that counts a page's exercises, and saves the file for the teacher.

import { attr, h, put } from "./shared/dom.js";
import { ownKeys } from "./shared/own_keys.js";
import { richText, standing, verdictMark } from "./shared/verdict.js";

const PATIENCE_MS = 4000;

/** How many are right, in a sentence. @param {{right: number, of: number, exercises: any[]}} score */
export function tally({ right, of, exercises }) {
  const open = exercises.filter((each) => each.graded && !each.tries).length;
  if (right === of) return of ? "All of them." : "No exercise has been asked on this page yet.";
  return open ? `${open} not answered yet.` : "All answered; those that are not right can be tried again.";
}

/** Name of the file a browser saves. @param {{notebook: string, student: string}} score @param {string} name */
export function scoreFile({ notebook, student }, name) {
  const words = ["score", notebook, name.trim() || student].filter(Boolean).join("-");
  return `${words.replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "")}.json`;
}

/** @param {{model: any, el: HTMLElement}} context */
function renderScorecard({ model, el }) {
  let request = 0;
  let timer = 0;

  const right = h("b");
  const sentence = h("span.tt-note");
  const list = h("ol.tt-score-list");
  const name = h("input.tt-field", { type: "text", maxlength: 60, size: 18, autocomplete: "name" });
  const save = h("button.tt-btn", { type: "submit", "data-line": true }, "Save for the teacher");
  const said = h("p.tt-note", { role: "status" });
  const again = h("button.tt-toggle", { type: "button", click: () => ask(true) }, "Start again");
  const sure = h("span.tt-score-sure", { hidden: true }, "Forget all answers on this page?",
    h("button.tt-toggle", { type: "button", click: clear }, "Forget them"),
    h("button.tt-toggle", { type: "button", click: () => ask(false) }, "Keep them"));
  const form = h("form.tt-score-save", { submit: keep }, h("label", {}, "your name ", name), save, again, sure);
  const whose = h("p.tt-note");
  const view = h("section.tt-score", { "aria-label": "Score of this page" },
    h("p.tt-score-sum", { role: "status" }, right, " ", sentence), list, form, said, whose);
  el.append(ownKeys(h("div.tt-root", {}, view)));

  /** @param {boolean} open */
  function ask(open) {
    sure.hidden = !open;
    again.hidden = open;
    (open ? sure.querySelector("button:last-child") : again).focus();
  }

  /** @param {Record<string, any>} message @param {() => void} silent what to do if no reply comes */
  function send(message, silent) {
    clearTimeout(timer);
    request += 1;
    timer = setTimeout(silent, PATIENCE_MS);
    try {
      model.send({ ...message, request });
    } catch {
      clearTimeout(timer);
      silent();
    }
  }

  function clear() {
    ask(false);
    send({ type: "clear" }, () => put(said, "The kernel does not answer, so nothing was forgotten."));
  }

  /** @param {Event} event */
  function keep(event) {
    event.preventDefault();
    if (model.get("writes")) send({ type: "save", name: name.value }, download);
    else download();
  }

  // The score is already here, so that it can be saved even when the kernel has stopped.
  function download() {
    const score = { ...model.get("score"), name: name.value.trim(), saved: new Date().toISOString() };
    const address = URL.createObjectURL(new Blob([`${JSON.stringify(score, null, 1)}\n`], { type: "application/json" }));
    const link = h("a", { href: address, download: scoreFile(score, name.value) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    put(said, `Saved as ${link.download} where this browser keeps its downloads.`);
  }

  function draw() {
    const score = model.get("score");
    put(right, `${score.right} of ${score.of} right.`);
    put(sentence, tally(score));
    put(whose, `Questions for ${score.student}, seed ${score.seed}. They stay the same when the page is loaded again.`);
    const rows = score.exercises.map((/** @type {any} */ each) => {
      const { mark, words } = standing(each);
      return h("li", { "data-graded": each.graded },
        h("span.tt-score-ask", { title: each.question }, ...richText(each.question)),
        h("span.tt-standing", {}, mark && verdictMark(mark), words));
    });
    list.replaceChildren(...rows);
    attr(list, "hidden", !rows.length);
  }

  /** @param {any} message */
  function onMessage(message) {
    if (message?.type !== "pong" || message.request !== request) return;
    clearTimeout(timer);
    const [saved, error] = [model.get("saved"), model.get("error")];
    if (error) download();
    if (error) put(said, `${error} The browser has saved it instead, among its downloads.`);
    else put(said, saved && `Saved as ${saved}, beside this notebook.`);
  }
  model.on("change:score", draw);
  model.on("msg:custom", onMessage);
  draw();
  return () => {
    clearTimeout(timer);
    model.off("change:score", draw);
    model.off("msg:custom", onMessage);
  };
}

export default { render: renderScorecard };
