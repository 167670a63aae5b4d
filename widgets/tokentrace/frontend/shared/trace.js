// Reading a trace: columns as they come, steps as they are asked for, steps appended while a model writes.

import { readPiece } from "./format.js";

/**
 * @typedef {import("./format.js").Entry} Entry
 * @typedef {import("./format.js").Piece} Piece
 *
 * @typedef {object} Settings
 * @property {"sample" | "greedy" | "beam"} strategy
 * @property {number} temperature
 * @property {number | null} top_k
 * @property {number | null} top_p
 * @property {number} max_new_tokens
 * @property {number | null} num_beams of a beam search
 * @property {string[]} stop texts that end the run
 *
 * @typedef {Record<string, any[]>} Columns one list a field, one entry a step
 *
 * @typedef {object} TraceData a trace as plain data, version 2
 * @property {{name: string, vocab_size: number, n_parameters: number}} model
 * @property {string} prompt
 * @property {number[]} prompt_tokens
 * @property {Settings} settings
 * @property {number} seed
 * @property {string} stop
 * @property {{at: number, token: number} | null} branch
 * @property {Record<string, Entry>} vocabulary
 * @property {Columns} steps
 *
 * @typedef {object} Candidate
 * @property {number} token
 * @property {Piece} piece
 * @property {number} rank 1 = most probable
 * @property {number} raw probability before temperature and filters
 * @property {number} after probability after them; 0 = cut
 * @property {boolean} kept whether the filters kept it
 *
 * @typedef {object} Step
 * @property {number} index
 * @property {number} token
 * @property {Piece} piece
 * @property {number} logprob nats
 * @property {number} probability
 * @property {number} filtered
 * @property {number} rank
 * @property {number} entropy bits
 * @property {number} surprise bits
 * @property {number | null} uniform
 * @property {number} low
 * @property {number} kept
 * @property {number} kept_mass
 * @property {number} ms
 * @property {boolean} forced
 * @property {Candidate[]} candidates most probable first
 */

/** One run, read from plain data that is never changed: a trait's value belongs to its widget. */
export class Run {
  /** @param {TraceData} trace */
  constructor(trace) {
    this.trace = trace;
    /** @type {Columns} */
    this.columns = Object.fromEntries(Object.entries(trace.steps).map(([name, column]) => [name, column.slice()]));
    this.vocabulary = { ...trace.vocabulary };
    /** @type {Map<number, Piece>} */
    this.pieces = new Map();
    /** @type {number[]} log-probability of the text before step i, nats */
    this.sums = [0];
    this.settings = trace.settings;
    this.vocabSize = trace.model.vocab_size;
    this.sum();
  }

  get length() {
    return this.columns.token.length;
  }

  /** @param {number} token */
  piece(token) {
    let piece = this.pieces.get(token);
    if (!piece) this.pieces.set(token, (piece = readPiece(this.vocabulary[token])));
    return piece;
  }

  /** Pieces of the prompt. */
  get prompt() {
    return this.trace.prompt_tokens.map((token) => this.piece(token));
  }

  /** Log-probability of all that is written up to and with step `i`, nats. @param {number} i */
  logprob(i) {
    return this.sums[i + 1];
  }

  /** @param {number} i @returns {Step} */
  step(i) {
    const { candidates, candidate_probability, candidate_filtered, ...scalars } = this.columns;
    /** @type {any} */
    const step = { index: i };
    for (const name in scalars) step[name] = scalars[name][i];
    step.piece = this.piece(step.token);
    step.surprise = this.surprise(i);
    step.candidates = candidates[i].map((token, place) => ({
      token,
      piece: this.piece(token),
      rank: place + 1,
      raw: candidate_probability[i][place],
      after: candidate_filtered[i][place],
      kept: candidate_filtered[i][place] > 0,
    }));
    return step;
  }

  /** How unexpected the token was, bits. @param {number} i */
  surprise(i) {
    return -this.columns.logprob[i] / Math.LN2;
  }

  /**
   * Take over streamed steps; what was there from `first` on is replaced.
   *
   * @param {number} first index of the first of them
   * @param {Columns} columns
   * @param {Record<string, Entry>} vocabulary token ids that are new
   * @returns {boolean} false if steps before `first` are missing
   */
  append(first, columns, vocabulary = {}) {
    if (first > this.length) return false;
    Object.assign(this.vocabulary, vocabulary);
    for (const id of Object.keys(vocabulary)) this.pieces.delete(Number(id));
    for (const name in columns) {
      const column = (this.columns[name] ??= []);
      column.length = Math.min(column.length, first);
      column.push(...columns[name]);
    }
    this.sums.length = first + 1;
    this.sum();
    return true;
  }

  sum() {
    for (let i = this.sums.length - 1; i < this.length; i++) this.sums.push(this.sums[i] + this.columns.logprob[i]);
  }
}

/**
 * How many steps two runs share from the start: the same prompt, the same tokens written the same way.
 *
 * @param {Run} a
 * @param {Run} b
 */
export function sharedSteps(a, b) {
  if (`${a.trace.prompt_tokens}` !== `${b.trace.prompt_tokens}`) return -1;
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    if (a.columns.token[i] !== b.columns.token[i] || a.columns.forced[i] !== b.columns.forced[i]) return i;
  }
  return end;
}

/**
 * Which setting cut the candidates of a step: its name, or "" if none was cut.
 *
 * @param {Settings} settings
 * @param {number} kept
 * @param {number} vocabSize
 */
export function cutBy(settings, kept, vocabSize) {
  if (settings.strategy === "greedy") return "greedy";
  if (kept >= vocabSize) return "";
  // The filters act in this order, so top-p has cut whenever fewer than k are left.
  if (settings.top_k && kept >= settings.top_k) return `top-k ${settings.top_k}`;
  return settings.top_p && settings.top_p < 1 ? `top-p ${settings.top_p}` : "";
}
