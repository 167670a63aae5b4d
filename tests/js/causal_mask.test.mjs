import assert from "node:assert/strict";
import { test } from "node:test";
import { moveAxis, placeOfMove, sayMove } from "../../widgets/tokentrace/frontend/causal_mask.js";
import { positionsRead, sayPasses } from "../../widgets/tokentrace/frontend/one_pass.js";
import { saySeriesFit, seriesAxis, yearPath } from "../../widgets/tokentrace/frontend/autoregression.js";
import { tiny } from "../../widgets/tokentrace/frontend/shared/tiny.js";

test("only a true zero is drawn and called 0", () => {
  const axis = moveAxis([0, 3.9, 2.4]);
  assert.deepEqual(axis, [-2, 1]);
  assert.equal(placeOfMove(0, axis), 0);
  assert.ok(placeOfMove(1e-7, axis) > 0);
  assert.equal(placeOfMove(10, axis), 1);
  assert.ok(Math.abs(placeOfMove(1, axis) - 2 / 3) < 1e-12);
  assert.equal(sayMove(0), "0");
  assert.equal(sayMove(0.00002), "2·10⁻⁵");
  assert.equal(sayMove(0.94), "0.94");
  assert.equal(sayMove(3.94), "3.9");
});

test("an axis makes room for the smallest and the largest move", () => {
  assert.deepEqual(moveAxis([2e-6, 140]), [-6, 3]);
  assert.deepEqual(moveAxis([0, 0]), [-2, 1]);
});

test("small numbers carry their power raised", () => {
  assert.equal(tiny(1.669e-5), "2·10⁻⁵");
  assert.equal(tiny(4e-12), "4·10⁻¹²");
  assert.equal(tiny(0.001), "1·10⁻³");
});

test("n passes read a triangle of positions", () => {
  assert.equal(positionsRead(13), 91);
  const run = { ids: [1, 2, 3], one_ms: 2, n_ms: [1, 2, 3], gap: 0 };
  assert.equal(sayPasses(run, 0), "One pass reads 3 positions and scores all 3 tokens: 2.0 ms.");
  assert.match(sayPasses(run, 1), /1 pass reads 1 position: 1\.0 ms\.$/);
  assert.match(sayPasses(run, 3), /3 passes read 6 positions: 6\.0 ms\. The largest difference of any logit is 0\.$/);
});

test("a series is drawn year by year on a round axis", () => {
  assert.deepEqual(seriesAxis([5, 190.2]), [0, 200]);
  assert.deepEqual(seriesAxis([-3, 20]), [-50, 50]);
  assert.equal(yearPath([0, 50], 10, [0, 200]), "M10 200.00L11 150.00");
  assert.equal(saySeriesFit({ constant: 13.94, coefficients: [1.336, -0.65] }), "x(t) = 13.9 + 1.34·x(t−1) − 0.65·x(t−2)");
});
