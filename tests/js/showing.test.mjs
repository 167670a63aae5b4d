// What the player's parts say about a step, on recorded runs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { axisFor, cutLine, unseen } from "../../widgets/tokentrace/frontend/shared/bars.js";
import { sayDraw } from "../../widgets/tokentrace/frontend/shared/draw.js";
import { sayMoves } from "../../widgets/tokentrace/frontend/shared/moves.js";
import { progress, summary } from "../../widgets/tokentrace/frontend/shared/prompt.js";
import { runName } from "../../widgets/tokentrace/frontend/shared/runs.js";
import { wavePaths, waveTop } from "../../widgets/tokentrace/frontend/shared/scrubber.js";
import { sayCut } from "../../widgets/tokentrace/frontend/shared/stats.js";
import { Run } from "../../widgets/tokentrace/frontend/shared/trace.js";
import { twinRow } from "../../widgets/tokentrace/frontend/shared/twin.js";

const recorded = (name) => new Run(JSON.parse(readFileSync(new URL(`../../data/traces/${name}.json`, import.meta.url), "utf8")));
const sampled = recorded("generation_loop");
const greedy = recorded("generation_loop_greedy");
const steps = (run) => Array.from({ length: run.length }, (_, i) => run.step(i));

test("the axis is the first that holds the longest bar", () => {
  assert.deepEqual([0.001, 0.05, 0.051, 0.33, 0.61, 0.99, 1].map((p) => axisFor(p)[0]), [0.05, 0.05, 0.1, 0.4, 0.8, 1, 1]);
  for (const most of [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1]) {
    const [end, parts] = axisFor(most);
    const labels = Array.from({ length: parts + 1 }, (_, i) => ((i / parts) * end * 100).toFixed(6));
    assert.ok(labels.every((label) => Number.isInteger(Number(label))), `whole percent on the axis to ${end}`);
  }
});

test("the cut stands between the last that was kept and the first that was not", () => {
  for (const step of steps(sampled)) {
    const { above, words, cuts } = cutLine(sampled, step);
    if (step.kept < 10) {
      assert.ok(cuts && step.candidates[above - 1].kept && !step.candidates[above].kept);
      assert.equal(words, "top-p 0.9 cuts here");
    } else if (step.kept > 10) assert.match(words, new RegExp(`^top-[kp] .* after ${step.kept}$`));
  }
});

test("a run without filters says that nothing is cut, a greedy one that one is kept", () => {
  const free = new Run({ ...sampled.trace, settings: { ...sampled.settings, top_k: null, top_p: null } });
  assert.deepEqual(cutLine(free, { ...sampled.step(0), kept: 8192 }), { above: 10, words: "no filter: every token stays in the draw", cuts: false });
  assert.deepEqual(cutLine(greedy, greedy.step(0)), { above: 1, words: "greedy keeps one", cuts: true });
});

test("shown and unseen tokens together are the whole vocabulary and all of the probability", () => {
  for (const step of steps(sampled)) {
    const [, others, share] = unseen(sampled, step).match(/other ([\d,]+) tokens share (<?>?[\d.]+)%/);
    const shown = step.rank > 10 ? 11 : 10;
    assert.equal(Number(others.replaceAll(",", "")), sampled.vocabSize - shown);
    const mass = step.candidates.reduce((sum, { raw }) => sum + raw, step.rank > 10 ? step.probability : 0);
    if (/^[\d.]+$/.test(share)) assert.ok(Math.abs(Number(share) / 100 - (1 - mass)) < 0.006);
  }
});

test("what of the unseen was kept is said", () => {
  const step = { ...sampled.step(0), rank: 1 };
  assert.match(unseen(sampled, { ...step, kept: 4 }), /; all cut\.$/);
  assert.match(unseen(sampled, { ...step, kept: 26 }), /; 16 of them kept\.$/);
  assert.match(unseen(sampled, { ...step, kept: 8192 }), /; all kept\.$/);
});

test("the draw says where u fell, with digits enough to tell the ends apart", () => {
  for (const step of steps(sampled)) {
    const [, low, high] = sayDraw(step).match(/: ([\d.]+) to ([\d.]+)$/);
    assert.ok(Number(low) < Number(high));
    assert.ok(Number(low) - 0.01 <= step.uniform && step.uniform <= Number(high) + 0.01);
  }
  const narrow = sayDraw({ ...sampled.step(0), low: 0.3832, filtered: 0.00038, uniform: 0.3833, forced: false });
  assert.match(narrow, /: 0\.38320 to 0\.38358$/);
});

test("without a draw there is no talk of one", () => {
  assert.equal(sayDraw(greedy.step(0)), "no draw: the most probable token is taken");
  assert.equal(sayDraw({ ...sampled.step(0), forced: true, uniform: null }), "not drawn: chosen by you");
  assert.equal(sayMoves(greedy, greedy.step(0))[2], "no draw");
  assert.equal(sayMoves(sampled, { ...sampled.step(0), forced: true })[2], "not drawn: chosen by you");
});

test("the filter's share is what it cut of the guess", () => {
  assert.equal(sayCut({ kept: 7, kept_mass: 0.923 }, 8192), "7.7% of the guess cut");
  assert.equal(sayCut({ kept: 8192, kept_mass: 1 }, 8192), "nothing cut");
});

test("the wave has a column a token, as high as its bits", () => {
  const { bars, ticks } = wavePaths([1, 2.5], [3, 0.5], 4);
  assert.deepEqual(bars.match(/v-[\d.]+/g), ["v-1", "v-2.5"]);
  assert.deepEqual(bars.match(/M[\d.]+/g), ["M0.08", "M1.08"]);
  assert.equal(ticks, "M0 1h1M1 3.5h1");
  assert.deepEqual([waveTop([]), waveTop([3.9]), waveTop([4.1, 11])], [4, 4, 12]);
});

test("the prompt line sums up what will be asked for", () => {
  const settings = { ...sampled.settings, max_new_tokens: 40 };
  assert.equal(summary(settings, 7), "sample · temperature 0.8 · top-k 40 · top-p 0.9 · seed 7 · 40 tokens");
  assert.equal(summary({ ...settings, strategy: "greedy" }, 7), "greedy · 40 tokens");
  assert.match(summary({ ...sampled.settings, temperature: null }, 7), /temperature \?/);
});

test("progress is counted, and waiting is said", () => {
  assert.equal(progress({ state: "running", done: 12, total: 40, rate: 118.3 }, false), "12 of 40 · 118 tokens/s");
  assert.equal(progress({ state: "running", done: 0, total: 40, rate: 0 }, false), "0 of 40");
  assert.equal(progress({ state: "loading", done: 0, total: 0, rate: 0 }, true), "Loading the model.");
  assert.equal(progress({ state: "idle", done: 0, total: 0, rate: 0 }, true), "Waiting for the model.");
  assert.equal(progress({ state: "idle", done: 0, total: 0, rate: 0 }, false), "");
});

test("runs are named by where they part", () => {
  const fork = new Run({ ...sampled.trace, branch: { at: 3, token: sampled.columns.token[3] } });
  const stage = { runs: [sampled, fork], writing: true };
  assert.equal(runName(stage, 0), "first run");
  assert.equal(runName(stage, 1), `at token 4: ${sampled.step(3).piece.name}`);
  assert.equal(runName(stage, 2), "being written");
  assert.equal(runName({ ...stage, writing: false }, 2), "broken off");
});

test("the table says the same as the drawings", () => {
  const row = twinRow(sampled, sampled.step(4));
  assert.equal(row.length, 10);
  assert.equal(row[0], "5");
  assert.equal(row[8], sampled.logprob(4).toFixed(2).replace("-", "−"));
  assert.equal(twinRow(greedy, greedy.step(0))[7], "none");
  assert.equal(twinRow(sampled, { ...sampled.step(0), filtered: 0, uniform: null, forced: true })[3], "cut");
});
