// Telling: the clock brings one token after the other on stage, slowly in four moves, else at once.

import { moveAt, playClock, tokenMs } from "./clock.js";
import { fly } from "./moves.js";

/**
 * @param {object} options
 * @param {import("./stage.js").Stage} options.stage
 * @param {HTMLElement} options.root what positions the flight of a word
 * @param {() => number} options.speed
 * @param {() => (Element | null | undefined)[]} options.ends from where to where the written word flies
 * @param {() => void} options.draw
 * @param {() => void} options.written a token that was told stands in the text
 * @param {() => void} options.rest the clock has come to the end
 */
export function tellingClock({ stage, root, speed, ends, draw, written, rest }) {
  const { matches: calm } = matchMedia("(prefers-reduced-motion: reduce)");
  let move = 4;
  let slowly = false;
  /** @type {Animation | null} */
  let flight = null;
  const clock = playClock({
    last: () => stage.head,
    duration: (step) => tokenMs(speed(), stage.run?.columns.ms[step] ?? 0),
    show(step, ms, done) {
      if (speed() === 1 && !done) tell(step, moveAt(ms));
      else if (step !== stage.step || move < 4) {
        set(4);
        stage.go(step);
        draw();
      }
    },
    end() {
      slowly = false;
      rest();
    },
  });

  /** End what moves. @param {number} next the move to stand at */
  function set(next) {
    flight?.cancel();
    flight = null;
    slowly = false;
    move = next;
  }

  /** The clock has come to a move of a step. @param {number} step @param {number} next */
  function tell(step, next) {
    if (step === stage.step && next === move) return;
    if (!slowly || step !== stage.step) {
      // The bars grow from nothing: what they showed before was another guess.
      stage.go(step);
      set(0);
      draw();
      root.getBoundingClientRect();
    }
    set(next);
    slowly = true;
    draw();
    if (move < 4) return;
    const [from, to] = ends();
    if (calm || !from || !to) return written();
    flight = fly(root, from, to);
    flight.onfinish = () => {
      flight = null;
      draw();
      written();
    };
    draw();
  }

  return {
    /** whether the reader asked for less motion */
    calm,
    get running() {
      return clock.running;
    },
    /** which of the four moves the step on stage has come to; 4 = written */
    get move() {
      return move;
    },
    /** whether a step is being told move by move */
    get slowly() {
      return slowly;
    },
    get flying() {
      return flight !== null;
    },
    /** @param {number} step @param {boolean} [only] whether to end after it */
    start(step, only) {
      set(4);
      clock.start(step, only);
    },
    /** Stand still. @param {number} [at] the move to stand at */
    stop(at = 4) {
      clock.stop();
      set(at);
    },
  };
}
