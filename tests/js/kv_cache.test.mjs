// The arithmetic's sliders and the map of a shared memory.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nearestSize, roundSizes, sayGb } from "../../widgets/tokentrace/frontend/kv_cache.js";
import { cutRows, partsOf } from "../../widgets/tokentrace/frontend/paging.js";

test("a slider stops at sizes that differ, so that a key always moves it", () => {
  const sizes = roundSizes(2 ** 20);
  assert.deepEqual(sizes.slice(0, 8), [1, 2, 3, 4, 6, 8, 12, 16]);
  assert.equal(sizes.at(-1), 2 ** 20);
  assert.ok(sizes.every((size, i) => Number.isInteger(size) && (i === 0 || size > sizes[i - 1])));
  sizes.forEach((size, i) => assert.equal(nearestSize(sizes, size), i));
  assert.equal(nearestSize(sizes, 5), 4);
  assert.equal(nearestSize(sizes, 0), 0);
});

test("bytes are said in the unit that suits them", () => {
  assert.deepEqual([0, 1.342, 0.5, 0.00393, 2e-5].map(sayGb), ["0", "1.34 GB", "500 MB", "3.93 MB", "20 kB"]);
});

test("a piece of memory is cut where the rows of the map end, and loses no slot", () => {
  assert.deepEqual(cutRows(250, 10), [[0, 250, 6], [1, 0, 4]]);
  assert.deepEqual(cutRows(512, 256), [[2, 0, 256]]);
  assert.equal(cutRows(3, 2000).reduce((sum, part) => sum + part[2], 0), 2000);
});

test("slots hold tokens, will hold some, or never will: as Python's Stay.parts", () => {
  const piece = [0, 0, 16, 0, 9, 0, 4, 0]; // 4 tokens read at step 0, room for 16
  assert.deepEqual(partsOf(piece, 10, 0), [4, 6, 6]);
  assert.deepEqual(partsOf(piece, 10, 6), [10, 0, 6]);
  const second = [0, 32, 4, 3, 9, 0, 4, 8]; // a page for positions 8 to 11
  assert.deepEqual(partsOf(second, 10, 3), [0, 2, 2]);
  assert.deepEqual(partsOf(second, 10, 5), [1, 1, 2]);
});
