import assert from "node:assert/strict";
import test from "node:test";

import { linePath, powerTicks, roundTicks, spreadLabels } from "../../widgets/tokentrace/frontend/shared/chart.js";

test("ticks are round and lie within the axis", () => {
  assert.deepEqual(roundTicks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(roundTicks(0, 31, 5), [0, 10, 20, 30]);
  assert.deepEqual(roundTicks(-3, 3, 6), [-3, -2, -1, 0, 1, 2, 3]);
  assert.deepEqual(roundTicks(0.1, 0.3, 4), [0.1, 0.15, 0.2, 0.25, 0.3]);
});

test("a log axis has powers of ten, or of two where it is short", () => {
  assert.deepEqual(powerTicks(1, 1000), [1, 10, 100, 1000]);
  assert.deepEqual(powerTicks(16, 128), [16, 32, 64, 128]);
});

test("labels keep their order, their distance and the chart", () => {
  const at = spreadLabels([50, 52, 10, 51], 15, 0, 100);
  const order = [2, 0, 3, 1];
  for (let i = 1; i < order.length; i++) assert.ok(at[order[i]] - at[order[i - 1]] >= 15);
  const low = spreadLabels([99, 98, 97], 15, 0, 100);
  assert.deepEqual(low.toSorted((a, b) => a - b), [70, 85, 100]);
  assert.deepEqual(spreadLabels([20, 80], 15, 0, 100), [20, 80]);
});

test("a path is interrupted where there is no point", () => {
  assert.equal(linePath([[0, 0], [1, 1], null, [3, 3]]), "M0.0 0.0L1.0 1.0M3.0 3.0");
  assert.equal(linePath([[0, 0], [1, 1]], true), "M0.0 0.0H1.0L1.0 1.0");
});
