// Reading a beam search: who extends whom, what is still alive at a step, and how the finished ones rank.

import { readPiece } from "./format.js";

/**
 * @typedef {import("./format.js").Piece} Piece
 *
 * @typedef {object} BeamRow a hypothesis: a beginning extended by one token
 * @property {number} step
 * @property {number} rank its place among the extensions of its step, 0 = the most probable
 * @property {BeamRow | null} from the hypothesis it extends; null is the prompt
 * @property {number} token
 * @property {Piece} piece
 * @property {number} logprob of the whole text, nats
 * @property {number} p probability of its last token
 * @property {"kept" | "finished" | "pruned"} fate
 * @property {boolean} greedy whether it is the greedy path up to here
 */

/** A beam search as plain data, with its rows linked. */
export class Tree {
  /** @param {any} record */
  constructor(record) {
    this.record = record;
    /** @type {Map<number, Piece>} */
    this.pieces = new Map();
    const greedyEnd = record.greedy.token.findIndex((/** @type {number} */ token) => record.ends.includes(token));
    this.greedy = record.greedy.token.slice(0, greedyEnd < 0 ? undefined : greedyEnd + 1);
    /** @type {BeamRow[][]} */
    this.steps = [];
    /** @type {BeamRow[]} */
    let kept = [];
    record.steps.forEach((/** @type {any} */ columns, /** @type {number} */ step) => {
      const rows = columns.token.map((/** @type {number} */ token, /** @type {number} */ rank) => {
        const from = kept[columns.parent[rank]] ?? null;
        const logprob = columns.logprob[rank];
        const p = Math.min(1, Math.exp(logprob - (from?.logprob ?? 0)));
        const greedy = token === this.greedy[step] && (from ? from.greedy : !step);
        return { step, rank, from, token, piece: this.piece(token), logprob, p, fate: columns.fate[rank], greedy };
      });
      this.steps.push(rows);
      kept = rows.filter((/** @type {BeamRow} */ row) => row.fate === "kept");
    });
  }

  get length() {
    return this.steps.length;
  }

  /** @param {number} token @returns {Piece} */
  piece(token) {
    let piece = this.pieces.get(token);
    if (!piece) this.pieces.set(token, (piece = readPiece(this.record.vocabulary[token])));
    return piece;
  }

  /** Hypotheses from the prompt to this one. @param {BeamRow | null} row */
  path(row) {
    const found = [];
    for (let each = row; each; each = each.from) found.unshift(each);
    return found;
  }

  /** What a step goes on with, and what finished there. @param {number} step */
  alive(step) {
    return (this.steps[step] ?? []).filter((row) => row.fate !== "pruned");
  }

  /** Every hypothesis that lives on in one that a step kept, or in one that had finished by then. @param {number} step */
  living(step) {
    const finished = this.steps.slice(0, step).flat().filter((row) => row.fate === "finished");
    return new Set([...this.alive(step), ...finished].flatMap((row) => this.path(row)));
  }

  /** The most probable hypothesis of a step. @param {number} step */
  best(step) {
    return this.alive(step)[0] ?? null;
  }

  /** Log-probability of the greedy path after a step, nats. @param {number} step */
  greedyLogprob(step) {
    return this.record.greedy.logprob[step] ?? 0;
  }

  /** Step at which the greedy path fell out of the beam, or -1. */
  get greedyPruned() {
    return this.greedy.findIndex((/** @type {number} */ _, /** @type {number} */ step) =>
      step < this.length && !this.alive(step).some((row) => row.greedy));
  }

  /** All that finished; what still ran at the end if nothing did. */
  get finished() {
    const found = this.steps.flat().filter((row) => row.fate === "finished");
    return found.length ? found : this.alive(this.length - 1);
  }

  /** Finished texts by log-probability / length ** penalty, the best first. @param {number} penalty */
  ranking(penalty) {
    const ranked = this.finished.map((row) => ({ row, length: row.step + 1, score: row.logprob / (row.step + 1) ** penalty }));
    return ranked.sort((a, b) => b.score - a.score);
  }
}

/** What tokens read as, with the marks of the pieces. @param {Piece[]} pieces */
export function pieceText(pieces) {
  return pieces.map(({ space, shown }) => (space ? " " : "") + shown).join("");
}
