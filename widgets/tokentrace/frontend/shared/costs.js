// A token's cost is -ln p: bars of nats that hang from 0, and probabilities too small for decimals.

import { h } from "./dom.js";
import { fixed, powerOfTen } from "./format.js";

const ENDS = [2, 4, 6, 8, 10, 12, 15, 20, 30, 40];

/**
 * Where an axis of nats ends, and its marks; all are minus what is written here.
 *
 * @param {number} most the largest cost
 * @returns {{end: number, ticks: number[]}}
 */
export function costAxis(most) {
  const round = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const end = ENDS.find((each) => each >= most) ?? Math.ceil(most / round) * round;
  const parts = end % 4 === 0 ? 4 : end % 3 === 0 ? 3 : end % 5 === 0 ? 5 : 2;
  return { end, ticks: Array.from({ length: parts + 1 }, (_, i) => (i * end) / parts) };
}

/** A probability from its logarithm: 0.034, or 3.1 · 10⁻⁹ where decimals would be noughts. @param {number} logprob */
export function chanceNodes(logprob) {
  if (logprob > Math.log(0.0001)) return [Number(Math.exp(logprob).toPrecision(logprob > Math.log(0.1) ? 3 : 2)).toString()];
  const { mantissa, exponent } = powerOfTen(logprob);
  return [`${mantissa} · 10`, h("sup", {}, exponent)];
}

/** The same as plain text. @param {number} logprob */
export function chanceText(logprob) {
  if (logprob > Math.log(0.0001)) return Number(Math.exp(logprob).toPrecision(2)).toString();
  const { mantissa, exponent } = powerOfTen(logprob);
  return `${mantissa}·10^${exponent}`;
}

/** Nats with their sign. @param {number} value */
export function nats(value) {
  const text = fixed(value, 2);
  return text === "−0.00" ? "0.00" : text;
}
