// Where each request stands at a time, and what the sliders say.

import assert from "node:assert/strict";
import { test } from "node:test";

import { sayLengths, sayRate, standAt } from "../../widgets/tokentrace/frontend/batching.js";

const requests = [{ arrival: 0, tokens: 3 }, { arrival: 0.5, tokens: 9 }, { arrival: 2, tokens: 9 }];
const served = [
  { lane: 0, begin: 0, first: 1, end: 2, released: 4, tokens: 3 },
  { lane: 1, begin: 1, first: 2, end: 4, released: 4, tokens: 9 },
  { lane: 0, begin: 4, first: 5, end: 6, released: 6, tokens: 9 },
];

test("every request is somewhere, and comes to its end", () => {
  const at = (time) => Object.values(standAt(requests, served, time));
  assert.deepEqual(at(0), [2, 0, 1, 0]);
  assert.deepEqual(at(0.5), [1, 1, 1, 0]);
  assert.deepEqual(at(2), [0, 1, 1, 1]);
  assert.deepEqual(at(6), [0, 0, 0, 3]);
});

test("lengths and rates in words", () => {
  assert.equal(sayLengths(requests), "3 to 9 tokens");
  assert.equal(sayLengths(requests.slice(1)), "9 tokens each");
  assert.equal(sayRate(0), "all at once");
  assert.equal(sayRate(30), "30 a second");
});
