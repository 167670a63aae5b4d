// What was counted in a text, in words.

import { fixed } from "./format.js";

/**
 * @typedef {object} Repetition measures of one text, as Python counted them
 * @property {number} n
 * @property {number | null} distinct_1
 * @property {number | null} distinct_2
 * @property {number | null} distinct_3
 * @property {number} longest
 * @property {number | null} loop_start
 * @property {number | null} loop_period
 * @property {number | null} loop_rounds
 */

/** Where a text goes round in a circle, or that it does not. @param {Repetition} found */
export function sayLoop({ loop_start, loop_period, loop_rounds }) {
  if (loop_start === null || loop_period === null) return "no loop";
  return `from token ${loop_start + 1} on ${loop_period} tokens, ${fixed(loop_rounds ?? 0, 1)} times`;
}

/** A share of different n-grams. @param {number | null} share */
export function sayDistinct(share) {
  return share === null ? "—" : fixed(share, 2);
}

/** All of it in a sentence. @param {Repetition} found */
export function sayRepetition(found) {
  const twice = `The longest stretch said twice is ${found.longest} tokens long`;
  const circle = found.loop_start === null ? "it ends in no loop" : `it ends in a loop: ${sayLoop(found)}`;
  return `${sayDistinct(found.distinct_2)} of its pairs of tokens are different ones. ${twice}; ${circle}.`;
}
