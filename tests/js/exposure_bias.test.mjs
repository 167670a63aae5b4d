// The map of contexts: texts are dots that no line joins, and the mean comes last, where the name stands.

import assert from "node:assert/strict";
import { test } from "node:test";

import { linePath } from "../../widgets/tokentrace/frontend/shared/chart.js";
import { biasDots } from "../../widgets/tokentrace/frontend/exposure_bias.js";

test("dots are not joined, and the mean is the last of them", () => {
  const { points, middle } = biasDots({ texts: [[1, 10], [3, 20]] });
  assert.deepEqual(middle, [2, 15]);
  assert.deepEqual(points, [[1, 10], [1, null], [3, 20], [3, null], [2, 15]]);
  const path = linePath(points.map(([x, y]) => (y === null ? null : [x, y])));
  assert.equal(path.includes("L"), false); // catches: a line through the cloud
});
