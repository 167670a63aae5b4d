// Which run is on stage, up to which step, and what happens to that while a model writes.

import { clamp } from "./format.js";
import { Run, sharedSteps } from "./trace.js";

/** @typedef {import("./trace.js").TraceData} TraceData */

/** The runs of a view and the reader's place in them; the run being written stands apart until it is done. */
export class Stage {
  constructor() {
    /** @type {Run[]} */
    this.runs = [];
    /** @type {Run | null} the run being written */
    this.fresh = null;
    this.onFresh = false;
    this.index = 0;
    /** last token shown as written; -1 shows the prompt alone */
    this.step = -1;
    this.writing = false;
    /** whether to move on with every token that arrives */
    this.following = false;
  }

  /** @returns {Run | null} */
  get run() {
    return this.onFresh ? this.fresh : (this.runs[this.index] ?? null);
  }

  /** Index of the last step there is. */
  get head() {
    return (this.run?.length ?? 0) - 1;
  }

  /** @param {number} step */
  go(step) {
    this.step = clamp(step, -1, this.head);
    this.following = this.writing && this.onFresh && this.step === this.head;
  }

  /** Show another run, at the same step if it has it. @param {number} index a run, or -1 for the one being written */
  select(index) {
    this.onFresh = index < 0 && this.fresh !== null;
    if (!this.onFresh) this.index = clamp(index, 0, this.runs.length - 1);
    this.go(this.step);
  }

  /** A run begins to be written. @param {TraceData} trace its prompt, and the steps it starts from */
  begin(trace) {
    this.fresh = new Run(trace);
    this.onFresh = this.writing = this.following = true;
    this.step = this.head;
  }

  /** Steps have been written. @param {number} first @param {Record<string, any[]>} columns @param {any} vocabulary */
  append(first, columns, vocabulary) {
    if (this.writing) this.fresh?.append(first, columns, vocabulary);
    if (this.following) this.step = this.head;
  }

  /** Writing ended without a new run: keep what came, if anything did. */
  halt() {
    const start = this.fresh?.trace.steps.token.length ?? 0;
    this.writing = this.following = false;
    if (this.fresh?.length !== start) return;
    this.fresh = null;
    this.onFresh = false;
    this.go(this.step);
  }

  /**
   * Take over the finished runs. A reader who was looking at something keeps looking at it.
   *
   * @param {TraceData[]} traces
   * @param {number} index which to show
   * @param {number} step up to which step
   */
  load(traces, index, step) {
    const { fresh, run: seen, following, onFresh, step: was } = this;
    this.runs = traces.map((trace) => new Run(trace));
    const place = seen && fresh ? this.runs.findLastIndex((run) => sharedSteps(run, seen) === seen.length) : -1;
    this.writing = this.onFresh = this.following = false;
    this.fresh = null;
    this.index = clamp(place < 0 ? index : place, 0, traces.length - 1);
    this.go(place < 0 ? step : following && onFresh ? this.head : was);
  }

  /**
   * A run that agrees with the one on stage before a step and has a token there, or -1.
   *
   * @param {number} at
   * @param {number} token
   */
  find(at, token) {
    const { run } = this;
    if (!run) return -1;
    return this.runs.findIndex((other) => other.columns.token[at] === token && sharedSteps(other, run) >= at);
  }
}
