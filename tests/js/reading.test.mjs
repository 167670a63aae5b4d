// A trace as the views read it: tokens made visible, steps asked for, steps appended while a model writes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  count, describeSettings, fixed, percent, powerOfTen, ramp, readPiece, showBytes, visible,
} from "../../widgets/tokentrace/frontend/shared/format.js";
import { cutBy, Run, sharedSteps } from "../../widgets/tokentrace/frontend/shared/trace.js";

const recorded = (name) => JSON.parse(readFileSync(new URL(`../../data/traces/${name}.json`, import.meta.url), "utf8"));
const trace = recorded("generation_loop");
const part = (data, from, to) => Object.fromEntries(Object.entries(data.steps).map(([name, column]) => [name, column.slice(from, to)]));

test("a percentage is never a false zero, a false hundred, or too exact", () => {
  const said = [[0, "0%"], [0.0001, "<0.1%"], [0.0523, "5.2%"], [0.0996, "10%"], [0.244, "24%"], [0.9951, ">99%"], [1, "100%"]];
  for (const [p, words] of said) assert.equal(percent(p), words);
});

test("numbers carry a true minus and thousands their comma", () => {
  assert.equal(fixed(-15.816, 2), "−15.82");
  assert.equal(count(8192), "8,192");
});

test("a probability too small for any float is still a power of ten", () => {
  assert.deepEqual(powerOfTen(Math.log(0.0013)), { mantissa: "1.3", exponent: "−3" });
  assert.deepEqual(powerOfTen(-460.18), { mantissa: "1.4", exponent: "−200" });
  assert.deepEqual(powerOfTen(-2000), { mantissa: "2.6", exponent: "−869" });
  assert.deepEqual(powerOfTen(Math.log(0.0999999)), { mantissa: "1.0", exponent: "−1" }, "not 10.0 · 10⁻²");
});

test("the ramp begins each step where the design says", () => {
  assert.deepEqual([0, 0.069, 0.07, 0.18, 0.35, 0.6, 1].map(ramp), [0, 0, 1, 2, 3, 4, 4]);
});

test("a word's leading space stands outside it", () => {
  const { shown, space, kind, name } = readPiece(" fox");
  assert.deepEqual({ shown, space, kind, name }, { shown: "fox", space: true, kind: "", name: "“fox”" });
  assert.equal(readPiece("fox").space, false);
  assert.equal(readPiece("  fox").shown, " fox", "only one space is the word's own");
});

test("white space, control characters and marks can be seen", () => {
  assert.deepEqual([readPiece("\n").shown, readPiece("\n").breaks, readPiece("\n").name], ["↵", true, "line end"]);
  assert.deepEqual([readPiece("\n\n").shown, readPiece("\n\n").name], ["↵↵", "2 line ends"]);
  assert.deepEqual([readPiece("   ").shown, readPiece("   ").space], ["···", false]);
  assert.equal(readPiece(".\n").shown, ".↵");
  assert.equal(visible("a\tb\u200bc\u0007"), "a⇥b⟨U+200B⟩c⟨U+7⟩");
  const end = readPiece("<|endoftext|>");
  assert.deepEqual([end.shown, end.kind, end.name], ["∎", "mark", "end of text"]);
});

test("a fragment of a character shows its bytes and says so", () => {
  assert.equal(showBytes("e280"), "⟨E2 80⟩");
  const piece = readPiece({ bytes: "e280" });
  assert.deepEqual([piece.shown, piece.kind, piece.name], ["⟨E2 80⟩", "bytes", "bytes ⟨E2 80⟩"]);
  assert.match(piece.title, /part of a character/);
});

test("settings in a line leave out filters that are off", () => {
  assert.equal(describeSettings(trace.settings), "temperature 0.8, top-k 40, top-p 0.9");
  assert.equal(describeSettings({ ...trace.settings, top_k: null, top_p: 1 }), "temperature 0.8");
  assert.match(describeSettings({ ...trace.settings, strategy: "greedy" }), /greedy/);
});

test("a recorded run reads as it was written", () => {
  const run = new Run(trace);
  assert.equal(run.length, trace.steps.token.length);
  const text = trace.steps.token.map((token) => trace.vocabulary[token]).join("");
  const read = Array.from({ length: run.length }, (_, i) => run.step(i).piece).map(({ space, shown }) => (space ? " " : "") + shown).join("");
  assert.equal(read, text.replaceAll("\n", "↵"));
  for (let i = 0; i < run.length; i++) {
    const step = run.step(i);
    assert.ok(step.low <= step.uniform && step.uniform <= step.low + step.filtered + 1e-6, `u of step ${i} falls on its token`);
    assert.ok(Math.abs(2 ** -step.surprise - step.probability) < 1e-5);
    assert.equal(step.candidates.filter(({ kept }) => kept).length, Math.min(10, step.kept));
    if (step.rank <= 10) assert.equal(step.candidates[step.rank - 1].token, step.token);
  }
});

test("the running log-probability is the sum so far", () => {
  const run = new Run(trace);
  const sum = (n) => trace.steps.logprob.slice(0, n).reduce((a, b) => a + b, 0);
  for (const i of [0, 7, run.length - 1]) assert.ok(Math.abs(run.logprob(i) - sum(i + 1)) < 1e-9);
});

test("streamed steps make the same run, and the trait they began as is left alone", () => {
  const start = { ...trace, steps: part(trace, 0, 3), vocabulary: { ...trace.vocabulary } };
  const before = JSON.stringify(start);
  const whole = new Run(trace);
  const run = new Run(start);
  assert.ok(run.append(3, part(trace, 3, 10), {}));
  assert.ok(!run.append(12, part(trace, 12, 14), {}), "a gap is refused");
  assert.ok(run.append(8, part(trace, 8, trace.steps.token.length), {}), "what was sent twice is taken once");
  assert.deepEqual(run.columns, whole.columns);
  assert.ok(Math.abs(run.logprob(run.length - 1) - whole.logprob(whole.length - 1)) < 1e-9);
  assert.equal(JSON.stringify(start), before);
});

test("a token that was unknown is read again when its bytes arrive", () => {
  const run = new Run({ ...trace, steps: part(trace, 0, 1), vocabulary: {} });
  run.piece(trace.steps.token[0]);
  run.append(1, part(trace, 1, 2), trace.vocabulary);
  assert.notEqual(run.piece(trace.steps.token[0]).shown, "∅");
});

test("two runs share what is written the same way from the start", () => {
  const run = new Run(trace);
  const fork = part(trace, 0, 6);
  fork.forced = [...fork.forced.slice(0, 5), true];
  assert.equal(sharedSteps(run, new Run(trace)), run.length);
  assert.equal(sharedSteps(run, new Run({ ...trace, steps: fork })), 5, "the same token, but chosen by the reader");
  assert.equal(sharedSteps(run, new Run({ ...trace, prompt_tokens: [1] })), -1);
});

test("the filter that cut is named", () => {
  const { settings } = trace;
  assert.equal(cutBy(settings, 7, 8192), "top-p 0.9");
  assert.equal(cutBy(settings, 40, 8192), "top-k 40");
  assert.equal(cutBy({ ...settings, top_k: null, top_p: null }, 8192, 8192), "");
  assert.equal(cutBy({ ...settings, strategy: "greedy" }, 1, 8192), "greedy");
});
