import assert from "node:assert/strict";
import { test } from "node:test";
import { divergenceAxis, placeOnAxis, sayBand } from "../../widgets/tokentrace/frontend/scheduled_sampling.js";
import { sayProgress } from "../../widgets/tokentrace/frontend/shared/lessons.js";

test("an axis of divergences has round ends that hold all values", () => {
  assert.deepEqual(divergenceAxis([0.046, 1.3]), [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(divergenceAxis([0.5, 1]), [0.5, 1]);
  assert.deepEqual(divergenceAxis([0.5, 0.5]), [0.5, 1]);
  assert.deepEqual(divergenceAxis([0, 0.3]), [0.2, 0.5]);
  assert.deepEqual(divergenceAxis([]), [0.1, 0.2, 0.5, 1]);
});

test("equal factors are equal steps, and nothing leaves the axis", () => {
  const ticks = [0.01, 0.1, 1];
  assert.ok(Math.abs(placeOnAxis(0.1, ticks) - 0.5) < 1e-12);
  assert.equal(placeOnAxis(0, ticks), 0);
  assert.equal(placeOnAxis(7, ticks), 1);
});

test("a band is said with its ends", () => {
  assert.equal(sayBand([1.234, 0.9, 1.5], 2), "1.23 [0.90, 1.50]");
});

test("progress says how far and how long", () => {
  assert.equal(sayProgress({ state: "idle", done: 0, total: 0, rate: 0 }, false), "");
  assert.equal(sayProgress({ state: "idle", done: 0, total: 0, rate: 0 }, true), "Starting …");
  assert.equal(sayProgress({ state: "running", done: 100, total: 400, rate: 20 }, true), "100 of 400 updates, about 15 s left");
  assert.equal(sayProgress({ state: "measuring", done: 400, total: 400, rate: 0 }, true), "Measuring …");
});
