// Numbers and tokens as readers see them.

const MINUS = "−";
const FRAGMENT = "a part of a character: these bytes are no letter by themselves";
const SPECIAL = /^<\|.*\|>$/;

/** @typedef {string | {bytes: string}} Entry how a vocabulary writes a token: text, or hexadecimal bytes */

/**
 * @typedef {object} Piece a token ready to be shown
 * @property {string} shown its text without a leading space; line ends, tabs, bytes and marks made visible
 * @property {boolean} space whether a space stands before it
 * @property {boolean} breaks whether a line ends in it
 * @property {"bytes" | "mark" | ""} kind a fragment of a character; white space or a special token; plain
 * @property {string} name what to call it in a sentence
 * @property {string} title why it looks so, or ""
 */

/** @param {number} value @param {number} digits */
export function fixed(value, digits) {
  return value.toFixed(digits).replace("-", MINUS);
}

/** A probability in percent: two digits at most, never a false zero or a false 100. @param {number} p */
export function percent(p) {
  if (p === 0) return "0%";
  if (p < 0.0005) return "<0.1%";
  if (p > 0.995 && p < 1) return ">99%";
  return p >= 0.0995 ? `${(p * 100).toFixed(0)}%` : `${(p * 100).toFixed(1)}%`;
}

/** @param {number} n */
export function count(n) {
  return n.toLocaleString("en");
}

/** e to the power `logprob` as a mantissa and a power of ten, for numbers no float can hold. @param {number} logprob */
export function powerOfTen(logprob) {
  const power = logprob / Math.LN10;
  let exponent = Math.floor(power);
  let mantissa = (10 ** (power - exponent)).toFixed(1);
  if (mantissa === "10.0") [mantissa, exponent] = ["1.0", exponent + 1];
  return { mantissa, exponent: fixed(exponent, 0) };
}

/** @param {number} x @param {number} low @param {number} high */
export function clamp(x, low, high) {
  return Math.max(low, Math.min(high, x));
}

/** Step of the probability ramp, 0-4, that tints a chip. @param {number} p */
export function ramp(p) {
  return [0.07, 0.18, 0.35, 0.6].filter((from) => p >= from).length;
}

/** Line ends, tabs and other invisible characters made visible. @param {string} text */
export function visible(text) {
  return text
    .replace(/\r\n|\n|\r/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `⟨U+${character.codePointAt(0)?.toString(16).toUpperCase()}⟩`);
}

/** Bytes as readers of hexadecimal know them: "e280" becomes ⟨E2 80⟩. @param {string} hex */
export function showBytes(hex) {
  return `⟨${(hex.toUpperCase().match(/../g) ?? []).join(" ")}⟩`;
}

/** @param {Entry | undefined} entry @returns {Piece} */
export function readPiece(entry = "") {
  if (typeof entry !== "string") {
    const shown = showBytes(entry.bytes);
    return { shown, space: false, breaks: false, kind: "bytes", name: `bytes ${shown}`, title: FRAGMENT };
  }
  if (SPECIAL.test(entry)) {
    const name = "end of text";
    const title = `${name}: the model says that it is done`;
    return { shown: "∎", space: false, breaks: false, kind: "mark", name, title };
  }
  const blank = !entry.trim();
  const space = !blank && entry.startsWith(" ");
  const shown = blank ? visible(entry).replaceAll(" ", "·") || "∅" : visible(entry.slice(space ? 1 : 0));
  const name = blank ? blankName(entry) : `“${shown}”`;
  return { shown, space, breaks: /[\n\r]/.test(entry), kind: blank ? "mark" : "", name, title: blank ? name : "" };
}

/** @param {string} text white space */
function blankName(text) {
  const name = /^\n+$/.test(text) ? "line end" : /^ +$/.test(text) ? "space" : "blank";
  return text.length > 1 ? `${text.length} ${name}s` : name;
}

/**
 * Settings of a run in one line.
 *
 * @param {{strategy: string, temperature: number, top_k: number | null, top_p: number | null}} settings
 * @param {string} [separator]
 */
export function describeSettings({ strategy, temperature, top_k, top_p }, separator = ", ") {
  if (strategy === "greedy") return "greedy: only the most probable";
  const nucleus = top_p && top_p < 1 && `top-p ${top_p}`;
  const parts = [`temperature ${temperature ?? "?"}`, top_k && `top-k ${top_k}`, nucleus];
  return parts.filter(Boolean).join(separator);
}
