// A question: answered here, judged in Python, and the answer shown where the guess was made.

import { attr, h, put } from "./shared/dom.js";
import { kernelLine } from "./shared/kernel.js";
import { numberLine, readNumber, sayValue } from "./shared/number_line.js";
import { ownKeys } from "./shared/own_keys.js";
import { richText, standing, verdictMark } from "./shared/verdict.js";

const SILENT =
  "The kernel does not answer, so nothing can be checked now. Your answer is kept in this browser: " +
  "reload the page, or restart the kernel and run the cells, then check it again.";

/**
 * @typedef {{answer: any, right: boolean | null, say: string, because: string, side: string}} Try
 * @typedef {{tries: Try[], kept: any, shown: {say: string, because: string} | null, value: any, may_show: boolean}} State
 *
 * @typedef {object} Control where an answer is given
 * @property {Node} node
 * @property {() => any} read the answer, or undefined if there is none
 * @property {(answer: any) => void} write
 * @property {(state: State) => void} show
 * @property {string} missing what to say if there is no answer
 */

/** What the browser remembers of a question; nothing where it may not. @param {string} key */
export function memory(key) {
  const place = `tokentrace.exercise.${key}`;
  return {
    read() {
      try {
        return JSON.parse(localStorage.getItem(place) ?? "{}") ?? {};
      } catch {
        return {};
      }
    },
    /** @param {Record<string, any> | null} kept null forgets */
    write(kept) {
      try {
        if (kept) localStorage.setItem(place, JSON.stringify(kept));
        else localStorage.removeItem(place);
      } catch {
        // A full or forbidden store only means that a reload starts empty.
      }
    },
  };
}

/** @param {any} ask @param {string} label id of the question @param {() => void} changed @returns {Control} */
function choiceControl(ask, label, changed) {
  const group = `${label}-options`;
  const rows = ask.options.map((/** @type {string} */ option, /** @type {number} */ i) => {
    const input = h("input", { type: "radio", name: group, value: i, change: changed });
    const fate = h("span.tt-option-fate");
    return { option, input, fate, node: h("label.tt-option", {}, input, h("span", {}, ...richText(option)), fate) };
  });
  return {
    node: h("div.tt-options", { role: "radiogroup", "aria-labelledby": label }, ...rows.map((row) => row.node)),
    missing: "Choose one of the answers first.",
    read: () => rows.find((row) => row.input.checked)?.option,
    write: (answer) => rows.forEach((row) => (row.input.checked = row.option === answer)),
    show({ tries, value }) {
      for (const { option, input, fate, node } of rows) {
        const tried = tries.some((each) => each.answer === option);
        const right = value === option;
        /** @type {["right" | "wrong" | "open", string] | null} */
        let words = null;
        if (right) words = ask.predict ? ["open", tried ? "your guess, and so it is" : "so it is"] : ["right", "right"];
        else if (tried) words = ask.predict ? ["open", "your guess"] : ["wrong", "not this one"];
        attr(node, "data-fate", right ? "right" : tried ? "wrong" : null);
        fate.replaceChildren(...(words ? [verdictMark(words[0]), words[1]] : []));
        input.disabled = value !== null;
      }
    },
  };
}

/** @param {any} ask @param {string} label @param {() => void} changed @returns {Control} */
function numberControl(ask, label, changed) {
  const typed = { type: "text", inputmode: "decimal", autocomplete: "off", "aria-labelledby": label };
  const field = h("input.tt-field", typed);
  const line = numberLine(ask, {
    labelledby: label,
    changed() {
      // The field holds the bare number: its unit stands beside it.
      field.value = sayValue({ ...ask, unit: "" }, line.value);
      changed();
    },
  });
  field.addEventListener("input", () => {
    const value = readNumber(field.value, ask.unit);
    line.set(Number.isNaN(value) ? null : value);
    changed();
  });
  const row = h("label.tt-line-field", {}, "your guess", field, ask.unit);
  return {
    node: h("div", {}, line.node, row),
    missing: "Give a number first: drag the handle or type one.",
    read: () => line.value ?? undefined,
    write(answer) {
      const value = typeof answer === "number" ? answer : null;
      line.set(value);
      field.value = value === null ? "" : sayValue({ ...ask, unit: "" }, value);
    },
    show({ tries, value }) {
      const wrong = tries.filter((each) => each.right === false);
      line.show(wrong.map(({ answer, side }) => ({ answer, low: side === "low" })), value);
      field.disabled = value !== null;
    },
  };
}

/** @param {any} _ask @param {string} label @param {() => void} changed @returns {Control} */
function textControl(_ask, label, changed) {
  const field = h("input.tt-field.tt-words", {
    type: "text", size: 24, maxlength: 200, autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-labelledby": label, placeholder: "type your answer", input: changed,
  });
  const tried = h("p.tt-note");
  return {
    node: h("div", {}, field, tried),
    missing: "Type an answer first.",
    read: () => field.value.trim() || undefined,
    write: (answer) => (field.value = typeof answer === "string" ? answer : ""),
    show({ tries, value }) {
      const wrong = tries.filter((each) => each.right === false).map((each) => `“${each.answer}”`);
      put(tried, wrong.length ? `tried: ${wrong.join(", ")}` : "");
      field.disabled = value !== null;
    },
  };
}

const CONTROLS = { choice: choiceControl, number: numberControl, text: textControl };

/** @param {{model: any, el: HTMLElement}} context */
function renderExercise({ model, el }) {
  const ask = model.get("ask");
  const store = memory(model.get("key"));
  const label = `tt-q-${Math.random().toString(36).slice(2)}`;
  const graded = !ask.predict;
  let request = 0;
  /** @type {State} */
  let state = model.get("state");

  const control = CONTROLS[/** @type {keyof typeof CONTROLS} */ (ask.kind)](ask, label, () => {
    say("");
    remember();
  });
  const title = h("span");
  const status = h("span.tt-standing");
  const go = h("button.tt-btn", { type: "submit", "data-line": true });
  const give = h("button.tt-toggle", { type: "button", click: () => send({ type: "show" }) }, "Show me");
  const hint = h("span.tt-note", { role: "status" });
  const verdict = h("div.tt-verdict", { role: "status", tabindex: -1 });
  const problem = h("p.tt-problem", { role: "alert", hidden: true });
  const form = h("form", { submit: check, novalidate: true }, control.node, h("div.tt-go", {}, go, give, hint));
  const head = h("div.tt-ex-head", {}, title, status);
  const question = h("p.tt-ex-ask", { id: label }, ...richText(ask.text));
  const view = h("section.tt-ex", { "aria-labelledby": label }, head, question, form, verdict, problem);
  el.append(ownKeys(h("div.tt-root", {}, view)));
  const line = kernelLine({ send: post, silence: (silent) => trouble(silent ? SILENT : "") });

  /** @param {object} message */
  function post(message) {
    try {
      model.send(message);
    } catch {
      trouble(SILENT); // a host that knows its kernel to be gone refuses at once
    }
  }

  function remember() {
    const draft = control.read() ?? null;
    const tries = state.kept === null ? state.tries : [{ answer: state.kept, right: null }];
    // While Python knows of no try, those of an earlier visit stay: the kernel may not have answered yet.
    if (!tries.length) store.write({ ...store.read(), draft });
    else store.write({ draft, shown: state.shown !== null, tries: tries.map(({ answer, right }) => ({ answer, right })) });
  }

  /** @param {string} sentence beside the buttons */
  function say(sentence) {
    put(hint, sentence);
  }

  /** @param {Record<string, any>} message */
  function send(message) {
    say("");
    request = line.ask(message);
  }

  /** @param {Event} event */
  function check(event) {
    event.preventDefault();
    if (state.value !== null) return;
    const answer = control.read();
    if (answer === undefined) return say(control.missing);
    remember();
    send({ type: "answer", answer });
  }

  /** @param {string} sentence */
  function trouble(sentence) {
    put(problem, sentence);
    problem.hidden = !sentence;
  }

  function draw() {
    const last = state.shown ?? state.tries.at(-1);
    const done = state.value !== null;
    const inside = form.contains(document.activeElement);
    const { number, of } = model.get("place");
    const standingNow = standing({
      graded, shown: state.shown !== null, right: state.tries.at(-1)?.right ?? null,
      tries: state.kept === null ? state.tries.length : 1,
    });
    put(title, graded ? `Exercise ${number} of ${of}` : "Guess first");
    status.replaceChildren(...(standingNow.mark ? [verdictMark(standingNow.mark), standingNow.words] : []));
    put(go, graded ? (state.tries.length ? "Check again" : "Check") : "Reveal");
    go.hidden = done;
    give.hidden = !graded || !state.may_show;
    control.show(state);
    attr(view, "data-done", done);
    const kind = state.shown || !graded ? "open" : state.tries.at(-1)?.right ? "right" : "wrong";
    const words = last ? [verdictMark(kind), h("p", {}, h("b", {}, ...richText(last.say)), " ", ...richText(last.because))] : [];
    // Said again for every try, even in the same words; not when only the page around it has changed.
    const heard = JSON.stringify([state.tries.length, last]);
    if (verdict.dataset.heard !== heard) verdict.replaceChildren(...words);
    verdict.dataset.heard = heard;
    // What had the focus may be gone now; the reason is what comes next.
    if (done && inside) verdict.focus({ preventScroll: true });
  }

  /** @type {Record<string, (value: any) => void>} */
  const hear = {
    "change:state"() {
      state = model.get("state");
      const answered = state.kept ?? state.tries.at(-1)?.answer;
      if (answered !== undefined && control.read() === undefined) control.write(answered);
      remember();
      draw();
    },
    "change:rounds"() {
      control.write(null);
      store.write(null);
    },
    "change:place": draw,
    "msg:custom"(message) {
      line.heard();
      if (message?.type !== "pong" || message.request !== request) return;
      line.rest();
      say(model.get("note"));
      trouble(model.get("error"));
    },
  };
  for (const name in hear) model.on(name, hear[name]);

  const kept = store.read();
  const answered = state.kept ?? state.tries.at(-1)?.answer ?? kept.draft ?? null;
  if (answered !== null) control.write(answered);
  if (!state.tries.length && state.kept === null && kept.tries?.length) {
    post({ type: "restore", request, tries: kept.tries, shown: kept.shown });
  }
  draw();
  return () => {
    line.rest();
    for (const name in hear) model.off(name, hear[name]);
  };
}

export default { render: renderExercise };
