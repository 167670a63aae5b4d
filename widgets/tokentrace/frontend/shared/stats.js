// Four numbers of a step: the entropy, the surprise, the log-probability so far, what the filter kept.

import { h, put } from "./dom.js";
import { count, fixed, percent, powerOfTen } from "./format.js";

/**
 * @typedef {import("./trace.js").Run} Run
 * @typedef {import("./trace.js").Step} Step
 */

/** @param {string} label @param {string} unit */
function statTile(label, unit) {
  const [value, small, words] = [h("span"), h("small", {}, unit), h("dd.tt-note")];
  const node = h("div.tt-stat", {}, h("dt.tt-label", {}, label), h("dd.tt-stat-value", {}, value, small), words);
  /** @param {string | false} number @param {string} [sentence] */
  const say = (number, sentence = "") => {
    put(value, number || "—");
    put(words, (number && sentence) || "");
  };
  return { node, small, words, say };
}

/** What the filter cut, in words. @param {Step} step @param {number} vocabSize */
export function sayCut({ kept, kept_mass }, vocabSize) {
  return kept >= vocabSize ? "nothing cut" : `${percent(1 - kept_mass)} of the guess cut`;
}

/** The tiles; a number stands there from the move on that decides it. */
export function statsView() {
  const entropy = statTile("Entropy of the guess", "bits");
  const surprise = statTile("Surprise of this token", "bits");
  const logprob = statTile("Running log-probability", "nats");
  const kept = statTile("Kept by the filter", "");
  return {
    node: h("dl.tt-stats", {}, entropy.node, surprise.node, logprob.node, kept.node),
    /** @param {Run} run @param {Step | null} step @param {number} [move] */
    show(run, step, move = 4) {
      put(kept.small, `of ${count(run.vocabSize)}`);
      if (!step) return [entropy, surprise, logprob, kept].forEach((tile) => tile.say(false));
      const drawn = move > 2;
      const sum = run.logprob(step.index);
      const { mantissa, exponent } = powerOfTen(sum);
      entropy.say(fixed(step.entropy, 2), `like ${fixed(2 ** step.entropy, 1)} equal choices`);
      const p = step.probability.toPrecision(3);
      surprise.say(drawn && fixed(step.surprise, 2), `rank ${count(step.rank)}, p = ${p}`);
      logprob.say(drawn && fixed(sum, 2), `p(text) = ${mantissa} · 10`);
      if (drawn) logprob.words.append(h("sup", {}, exponent));
      kept.say(move > 1 && count(step.kept), sayCut(step, run.vocabSize));
    },
  };
}
