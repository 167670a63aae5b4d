import assert from "node:assert/strict";
import { test } from "node:test";
import { fateOf, layerRows, sayBytes, sayStep } from "../../widgets/tokentrace/frontend/cache_grid.js";
import { passEnds, passesBy, sayMs, tail } from "../../widgets/tokentrace/frontend/cache_race.js";

test("more than six layers leave out the middle", () => {
  assert.deepEqual(layerRows(6), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(layerRows(7), [0, 1, 2, null, 5, 6]);
  assert.deepEqual(layerRows(80).filter((layer) => layer !== null).length, 5);
});

test("bytes are told in powers of 1,024", () => {
  assert.equal(sayBytes(768), "768 B");
  assert.equal(sayBytes(261_120), "255 KiB");
  assert.equal(sayBytes(15_500), "15.1 KiB");
  assert.equal(sayBytes(1_342_177_280), "1.25 GiB");
});

test("a column is new once, then kept; without a cache it is computed again", () => {
  const at = { prompt: 3, step: 2, cache: true, edit: null };
  const fates = (more = {}) => [0, 2, 3, 4, 5].map((place) => fateOf({ ...at, ...more }, 1, place));
  assert.deepEqual(fates(), ["pre", "pre", "dec", "new", "free"]);
  assert.deepEqual(fates({ cache: false }), ["redo", "redo", "redo", "new", "free"]);
  assert.deepEqual(fates({ step: 0 }), ["pre", "pre", "free", "free", "free"]);
  assert.deepEqual(fates({ step: 0, cache: false }), ["pre", "pre", "free", "free", "free"]);
});

test("an edit spoils what the record says, layer by layer", () => {
  const edit = { changed: ["01000", "01111"] };
  const row = (/** @type {number} */ layer) => [0, 1, 2, 3, 4].map((place) => fateOf({ prompt: 3, step: 2, cache: true, edit }, layer, place));
  assert.deepEqual(row(0), ["pre", "stale", "pre", "dec", "dec"]);
  assert.deepEqual(row(1), ["pre", "stale", "stale", "stale", "stale"]);
});

test("a step is told with the run's own lengths", () => {
  const run = { length: [7, 8, 9] };
  assert.match(sayStep(run, 0, true, ""), /reads the 7 tokens of the prompt and fills 7 columns/);
  assert.match(sayStep(run, 2, true, "“fox”"), /Pass 2 reads one token, “fox”, and adds one column; the 8 columns/);
  assert.match(sayStep(run, 2, false, ""), /reads all 9 tokens again: 8 columns are computed a second time/);
});

test("lanes end when their passes have added up", () => {
  const ends = passEnds([2, 3, 5]);
  assert.deepEqual(ends, [2, 5, 10]);
  assert.deepEqual([0, 1.9, 2, 7, 10, 99].map((at) => passesBy(ends, at)), [0, 0, 1, 2, 3, 3]);
  assert.deepEqual([sayMs(4.26), sayMs(708.4), sayMs(2201), sayMs(12_340)], ["4.3 ms", "708 ms", "2,201 ms", "12.3 s"]);
});

test("of a long text the end is shown, from a whole word on", () => {
  assert.equal(tail("short"), "short");
  assert.equal(tail("one two three four", 10), "… four");
});
