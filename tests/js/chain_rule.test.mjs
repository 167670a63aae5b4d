// What the views of chapter 1 say about words, sentences and scores.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gapPoint, sayFit, share } from "../../widgets/tokentrace/frontend/all_sentences.js";
import { exactly, tableAfter, wordShown } from "../../widgets/tokentrace/frontend/chain_rule.js";
import { fate, sayGap, spanOf } from "../../widgets/tokentrace/frontend/changed_word.js";
import { sayZero, stairs } from "../../widgets/tokentrace/frontend/sentence.js";
import { chanceText, costAxis, nats } from "../../widgets/tokentrace/frontend/shared/costs.js";

const score = (name) => JSON.parse(readFileSync(new URL(`../../data/traces/${name}.json`, import.meta.url), "utf8"));

test("products of hundredths are shown with all their digits, tiny ones as powers", () => {
  assert.equal(exactly(0.2 * 0.6 * 0.7 * 0.8), "0.0672");
  assert.equal(exactly(1), "1");
  assert.equal(exactly(0.2 * 0.15 * 0.15), "0.0045");
  assert.equal(exactly(0.05 ** 6), "1.56e−8");
});

test("a context has its own table, else its last word's, and at the limit only the end", () => {
  const tables = { "": [50, 50], a: [10, 90], "… a": [70, 30] };
  assert.deepEqual(tableAfter(tables, 3, []), { name: "", hundredths: [50, 50] });
  assert.deepEqual(tableAfter(tables, 3, ["a"]), { name: "a", hundredths: [10, 90] });
  assert.deepEqual(tableAfter(tables, 3, ["a", "a"]), { name: "… a", hundredths: [70, 30] });
  assert.deepEqual(tableAfter(tables, 3, ["a", "a", "a"]), { name: "", hundredths: [0, 100] });
  assert.equal(wordShown("<end>"), "⟨end⟩");
});

test("the fit is said as far as it goes", () => {
  assert.equal(sayFit({ draws: 0, largest: 0, chi_square: null, degrees: 0, p: null }), "Nothing drawn yet.");
  assert.match(sayFit({ draws: 1, largest: 0.5, chi_square: null, degrees: 0, p: null }), /^1 sentence drawn; .* 50\.00%\. Too few/);
  const said = sayFit({ draws: 1000, largest: 0.0123, chi_square: 21.04, degrees: 19, p: 0.337 });
  assert.match(said, /^1,000 sentences drawn; the largest difference is 1\.23%\. Chi-square 21\.0 with 19 degrees of freedom: 34 of 100/);
  assert.match(sayFit({ draws: 1000, largest: 0.3, chi_square: 900, degrees: 19, p: 0 }), /less than one in 2,000/);
  assert.equal(share(0.0672), "6.72%");
});

test("a tenth of the difference stands a decade lower", () => {
  assert.deepEqual(gapPoint(1, 1), { x: 0, y: 0 });
  assert.equal(gapPoint(1000, 0.1).y * 2, gapPoint(10, 0.01).y);
  assert.equal(gapPoint(10, 1e-9).y, 1);
});

test("the axis of nats holds the longest bar, and its marks are even", () => {
  for (const most of [0.01, 1.9, 2, 7.3, 9.99, 14, 37, 79.4, 140, 991.9, 1001]) {
    const { end, ticks } = costAxis(most);
    assert.ok(end >= most, `${end} holds ${most}`);
    assert.ok(end <= Math.max(2, 2 * most), `${end} is not far beyond ${most}`);
    assert.equal(ticks[0], 0);
    assert.equal(ticks[ticks.length - 1], end);
    const [a, b, c] = ticks;
    assert.ok(Math.abs(b - a - (c - b)) < 1e-9);
  }
});

test("a probability is a decimal, or a power where decimals would be noughts", () => {
  assert.equal(chanceText(Math.log(0.25)), "0.25");
  assert.equal(chanceText(Math.log(0.00047)), "0.00047");
  assert.equal(chanceText(-79.42), "3.2·10^−35");
  assert.equal(nats(-0.001), "0.00");
  assert.equal(nats(-2.698), "−2.70");
});

test("stairs go one step a column and stay on the axis", () => {
  assert.equal(stairs([0, 5, 20], 10), "M0 0H1L1 0.5H2L2 1H3");
});

test("where a float type ends is said", () => {
  assert.equal(sayZero("float16", 4, (i) => `word ${i}`), "float16: 0 from token 5 on, word 4");
  assert.equal(sayZero("float64", null, String), "float64: above 0 to the end");
});

test("a place lies before the change, in it, or after it", () => {
  const pairs = [[0, 0], [1, 1], [null, 2], [2, 3]];
  assert.deepEqual(pairs.map((pair, i) => fate(pair, i, [2, 1], 4)), ["before", "before", "changed", "after"]);
});

test("a difference is signed, and zero is zero", () => {
  assert.deepEqual([0, -3.547, 0.04, -0.002].map(sayGap), ["0", "−3.55", "+0.04", "−0.0020"]);
  assert.match(sayGap(3e-7), /^\+3\.0·10\^−7$/);
});

test("a token's place in the text is found, without the space before it", () => {
  const { text, tokens, vocabulary } = score("chain_rule_after");
  const parts = tokens.token.map((id) => vocabulary[id]);
  assert.equal(parts.join(""), text);
  parts.forEach((part, i) => assert.equal(text.slice(...spanOf(parts, i)), part.replace(/^ /, "")));
});
