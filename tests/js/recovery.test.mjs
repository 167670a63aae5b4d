// Words of the recovery view: intervals that may lie out of reach, time left, texts cut at words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sayHalf, sayLeft, shortened } from "../../widgets/tokentrace/frontend/recovery.js";

test("an interval out of reach says so", () => {
  assert.equal(sayHalf({ half_low: 2, half_high: 3 }, 32), "95 % interval: 2 to 3");
  assert.equal(sayHalf({ half_low: 2, half_high: 2 }, 32), "95 % interval: 2");
  assert.equal(sayHalf({ half_low: 20, half_high: null }, 32), "95 % interval: 20 to more than 32");
  assert.equal(sayHalf({ half_low: null, half_high: null }, 32), "95 % interval: more than 32");
});

test("the time left follows the rate", () => {
  assert.equal(sayLeft(50, 200, 5), "about 30 s left");
  assert.equal(sayLeft(10, 200, 1), "about 4 min left");
  assert.equal(sayLeft(0, 200, 0), "");
  assert.equal(sayLeft(200, 200, 5), "");
});

test("a text is cut between words, at the side that is far from the error", () => {
  assert.equal(shortened("one two three", 20, true), "one two three");
  assert.equal(shortened("one two three", 9, true), "… three");
  assert.equal(shortened("one two three", 9, false), "one two …");
});
