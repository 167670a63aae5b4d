// The clock of play. The browser owns it: nothing here waits for Python.

/** When the four moves of a token begin, told slowly, and when the next token's turn comes; milliseconds. */
export const MOVES = [0, 430, 830, 1300];
export const TOLD_MS = 2100;
const LONGEST_FRAME = 250;

/**
 * How long a token stays on stage before the next one is written.
 *
 * @param {number} speed tokens a second; 1 tells the four moves, 0 plays in measured time
 * @param {number} measured milliseconds the model took
 */
export function tokenMs(speed, measured) {
  return speed === 1 ? TOLD_MS : speed ? 1000 / speed : measured;
}

/** Which of the four moves is under way after `ms` of a told token. @param {number} ms */
export function moveAt(ms) {
  return MOVES.filter((begin) => ms >= begin).length;
}

/**
 * A clock that walks through the steps of a run.
 *
 * @param {object} options
 * @param {() => number} options.last index of the last step; may grow while the clock runs
 * @param {(step: number) => number} options.duration milliseconds a step takes
 * @param {(step: number, ms: number, done: boolean) => void} options.show the step under way, how long it
 *   has been, and whether its time is over
 * @param {() => void} options.end the last step is over
 * @param {(tick: (now: number) => void) => number} [options.frame]
 * @param {(handle: number) => void} [options.cancel]
 */
export function playClock({ last, duration, show, end, frame = requestAnimationFrame, cancel = cancelAnimationFrame }) {
  let handle = 0;
  let running = false;
  let step = -1;
  let spent = 0;
  let limit = Infinity;
  /** @type {number | null} */
  let before = null;

  /** @param {number} now */
  function tick(now) {
    // A tab that was hidden must not catch up in one leap.
    spent += Math.min(LONGEST_FRAME, now - (before ?? now));
    before = now;
    let over = 0;
    while (step <= last() && step <= limit && spent >= duration(step)) {
      spent -= duration(step);
      step += 1;
      over += 1;
    }
    const more = step <= last() && step <= limit;
    // Of the steps that ended within one frame only the last is worth drawing.
    if (over) show(step - 1, duration(step - 1), true);
    else if (more) show(step, spent, false);
    if (!running) return;
    if (more) handle = frame(tick);
    else {
      running = false;
      end();
    }
  }

  return {
    get running() {
      return running;
    },
    /** Begin with the turn of step `from`; with `only` end after it. @param {number} from @param {boolean} [only] */
    start(from, only = false) {
      cancel(handle);
      [step, limit, spent, before, running] = [from, only ? from : Infinity, 0, null, true];
      handle = frame(tick);
    },
    stop() {
      cancel(handle);
      running = false;
    },
  };
}
