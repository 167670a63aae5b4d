import assert from "node:assert/strict";
import { test } from "node:test";
import { countTicks, errorsAt, pointsTo } from "../../widgets/tokentrace/frontend/exposure.js";
import { ceilingOf, sayApart } from "../../widgets/tokentrace/frontend/shared/lanes.js";
import { wordsIn } from "../../widgets/tokentrace/frontend/shared/lanes_form.js";
import { positionsOfPasses } from "../../widgets/tokentrace/frontend/shared/triangles.js";

test("only a true zero is called 0", () => {
  assert.equal(sayApart(0), "0");
  assert.equal(sayApart(0.004), "4·10⁻³");
  assert.equal(sayApart(0.916), "0.92");
  assert.equal(sayApart(1), "1.00");
  assert.equal(sayApart(12.34), "12.3");
});

test("bars of a share end at 1, those of nats at a round number", () => {
  assert.equal(ceilingOf("tv", [0.2]), 1);
  assert.equal(ceilingOf("kl", [0, 6.1]), 10);
  assert.equal(ceilingOf("kl", []), 1);
  assert.equal(ceilingOf("kl", [1234]), 1234);
});

test("what stands at a place is no error there", () => {
  const run = { own: [5, 7], near: [6, 8], random: [5, 9], repeat: [null, 7] };
  assert.deepEqual(errorsAt(run, 0), [6, null, null]);
  assert.deepEqual(errorsAt(run, 1), [8, 9, null]);
});

test("a line ends where the reader is", () => {
  assert.deepEqual(pointsTo([1, 2, 3], 1, 2), [[1, 1], [2, 2], [3, null]]);
});

test("ticks count from 1 and stay within the line", () => {
  assert.deepEqual(countTicks(32), [1, 8, 16, 24, 32]);
  assert.deepEqual(countTicks(12), [1, 4, 8, 12]);
  assert.deepEqual(countTicks(3), [1, 2]);
});

test("passes without a cache read every position before again", () => {
  assert.equal(positionsOfPasses(9, 1), 9);
  assert.equal(positionsOfPasses(9, 3), 9 + 10 + 11);
});

test("words are what white space divides", () => {
  assert.equal(wordsIn(" The keeper\nof "), 3);
  assert.equal(wordsIn(""), 0);
});
