// Reading a beam search in the browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sayLead, timesAsProbable } from "../../widgets/tokentrace/frontend/beam_search.js";
import { medianKept, sayLane } from "../../widgets/tokentrace/frontend/generation_loop.js";
import { sayLoop, sayRepetition } from "../../widgets/tokentrace/frontend/shared/repetition.js";
import { Run } from "../../widgets/tokentrace/frontend/shared/trace.js";
import { pieceText, Tree } from "../../widgets/tokentrace/frontend/shared/beams.js";

const record = {
  prompt_tokens: [9], ends: [0], length_penalty: 1, num_beams: 2,
  vocabulary: { 0: "<|endoftext|>", 1: " a", 2: " b", 3: "c", 9: "P" },
  greedy: { token: [1, 1, 0], logprob: [-0.5, -1.5, -2.5] },
  steps: [
    { parent: [0, 0, 0], token: [1, 2, 3], logprob: [-0.5, -1, -3], fate: ["kept", "kept", "pruned"], ms: 1 },
    { parent: [1, 1, 0, 0], token: [3, 0, 2, 1], logprob: [-1.1, -1.2, -1.4, -1.5], fate: ["kept", "finished", "kept", "pruned"], ms: 1 },
    { parent: [0, 1, 1], token: [3, 0, 3], logprob: [-2, -2.1, -9], fate: ["finished", "finished", "pruned"], ms: 1 },
  ],
};
const tree = new Tree(record);

test("rows know whom they extend", () => {
  assert.deepEqual(tree.path(tree.steps[2][0]).map((row) => row.piece.shown), ["b", "c", "c"]);
  assert.equal(pieceText(tree.path(tree.steps[2][1]).map((row) => row.piece)), " a b∎");
  assert.ok(Math.abs(tree.steps[1][0].p - Math.exp(-0.1)) < 1e-12);
});

test("what is alive at a step are the ancestors of what it keeps", () => {
  assert.deepEqual([...tree.living(1)].map((row) => [row.step, row.rank]), [[0, 1], [1, 0], [1, 1], [0, 0], [1, 2]]);
  assert.equal(tree.best(1), tree.steps[1][0]);
  assert.ok(tree.living(2).has(tree.steps[1][1]), "what finished earlier can still win");
  assert.ok(!tree.living(2).has(tree.steps[1][3]));
});

test("the greedy path is followed until it falls out of the beam", () => {
  assert.deepEqual(tree.steps.flat().filter((row) => row.greedy).map((row) => [row.step, row.rank, row.fate]), [[0, 0, "kept"], [1, 3, "pruned"]]);
  assert.equal(tree.greedyPruned, 1);
});

test("the penalty decides whether short or long texts win", () => {
  const first = (penalty) => tree.ranking(penalty)[0].row;
  assert.equal(first(0), tree.steps[1][1]);
  assert.equal(first(2), tree.steps[2][0]);
  assert.equal(tree.ranking(1).length, 3);
});

test("a recorded search ranks as Python ranked it", () => {
  const recorded = JSON.parse(readFileSync(new URL("../../data/traces/beam_search.json", import.meta.url), "utf8"));
  const search = new Tree(recorded);
  assert.equal(search.length, recorded.steps.length);
  const scores = search.ranking(recorded.length_penalty).map(({ score }) => score);
  assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
  for (const row of search.steps.flat()) assert.ok(row.p > 0 && row.p <= 1 && (row.from === null) === (row.step === 0));
});

test("the lead over greedy is said in nats and in times", () => {
  assert.equal(timesAsProbable(Math.log(2)), "2.00 times");
  assert.equal(timesAsProbable(-Math.log(50)), "50 times");
  assert.equal(timesAsProbable(Math.log(150405)), "150,000 times");
  assert.equal(timesAsProbable(100), "more than a million times");
  assert.match(sayLead(tree, 0), /they are the same text/);
  assert.match(sayLead(tree, 1), /−1\.10 nats, greedy −1\.50 nats: the beam's text is 1\.49 times as probable/);
});

test("a lane says how it picks and how many it kept", () => {
  const lane = (name) => new Run(JSON.parse(readFileSync(new URL(`../../data/traces/generation_loop${name}.json`, import.meta.url), "utf8")));
  const [beam, topK] = [lane("_beam"), lane("_top_k")];
  assert.equal(sayLane(beam.settings), `beam search, ${beam.settings.num_beams} beams: no draw`);
  assert.equal(medianKept(beam, 5), null);
  assert.equal(medianKept(topK, 5), topK.settings.top_k);
  assert.equal(medianKept(topK, -1), null);
});

test("a loop is said with its place and its length", () => {
  const none = { n: 9, distinct_1: 1, distinct_2: null, distinct_3: 1, longest: 0, loop_start: null, loop_period: null, loop_rounds: null };
  assert.equal(sayLoop(none), "no loop");
  assert.equal(sayLoop({ ...none, loop_start: 2, loop_period: 11, loop_rounds: 3.45 }), "from token 3 on 11 tokens, 3.5 times");
  assert.match(sayRepetition(none), /^— of its pairs .* no loop\.$/);
});
