// How a judged answer looks: a mark and a word, in ink, never by colour.

import { attr, h } from "./dom.js";

const MARKS = { right: "M2 6.5 5 9.5 10 3", wrong: "M2.5 2.5l7 7m0-7l-7 7", open: "M2 6h8" };

/** @param {keyof typeof MARKS} kind */
export function verdictMark(kind) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  attr(node, "viewBox", "0 0 12 12");
  attr(node, "class", "tt-mark");
  attr(node, "aria-hidden", "true");
  attr(line, "d", MARKS[kind]);
  node.append(line);
  return node;
}

/**
 * How far an exercise is, as a mark and words.
 *
 * @param {{right: boolean | null, shown: boolean, tries: number, graded: boolean}} attempt
 * @returns {{mark: keyof typeof MARKS | null, words: string}}
 */
export function standing({ right, shown, tries, graded }) {
  const counted = tries === 1 ? "1 try" : `${tries} tries`;
  if (!tries) return { mark: null, words: "not answered yet" };
  if (!graded) return { mark: "open", words: "guess kept" };
  if (right) return { mark: "right", words: `right, ${counted}` };
  return shown ? { mark: "open", words: `shown after ${counted}` } : { mark: "wrong", words: `not right yet, ${counted}` };
}

/** Text with `code`, *stressed* and **strong** parts as nodes. @param {string} text @returns {(Node | string)[]} */
export function richText(text) {
  return text
    .split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^\s*](?:[^*]*[^\s*])?\*)/)
    .filter(Boolean)
    .map((part) => {
      if (/^`.+`$/s.test(part)) return h("code", {}, part.slice(1, -1));
      if (/^\*\*.+\*\*$/s.test(part)) return h("b", {}, part.slice(2, -2));
      return /^\*.+\*$/s.test(part) ? h("em", {}, part.slice(1, -1)) : part;
    });
}
