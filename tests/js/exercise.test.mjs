// Exercises in the browser: the number line, what people type, what is remembered, what the card says.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { memory } from "../../widgets/tokentrace/frontend/exercise.js";
import { scoreFile, tally } from "../../widgets/tokentrace/frontend/scorecard.js";
import {
  placeOn, readNumber, sayValue, stopsOf, ticksOf, valueAt,
} from "../../widgets/tokentrace/frontend/shared/number_line.js";
import { richText, standing } from "../../widgets/tokentrace/frontend/shared/verdict.js";

const line = (low, high, more = {}) => ({ low, high, log: false, step: null, unit: "", ends: ["", ""], ...more });
const LINES = [
  line(0, 1, { step: 0.01 }),
  line(0, 12, { step: 0.2 }),
  line(-5, 5, { step: 1 }),
  line(0.1, 0.7, { step: 0.01 }),
  line(1, 8192, { log: true, step: 1 }),
  line(1e3, 1e10, { log: true }),
  line(0.001, 0.5, { log: true }),
];

test("the handle runs from end to end, in order, and where it stands is where its value lies", () => {
  for (const each of LINES) {
    const stops = stopsOf(each);
    assert.ok(stops >= 10 && stops <= 400, `${stops} stops`);
    const values = Array.from({ length: stops + 1 }, (_, i) => valueAt(each, i));
    assert.equal(values[0], each.low);
    assert.ok(Math.abs(values[stops] / each.high - 1) < 0.05);
    for (let i = 0; i < stops; i++) assert.ok(values[i] <= values[i + 1]);
    for (let i = 0; i <= stops; i++) assert.ok(Math.abs(placeOn(each, values[i]) - i / stops) < 0.06, `${values[i]}`);
  }
});

test("values of a linear handle have no stray digits", () => {
  assert.equal(valueAt(line(0, 1, { step: 0.1 }), 3), 0.3);
  assert.equal(valueAt(line(0.1, 0.7, { step: 0.01 }), 60), 0.7);
});

test("places stay on the line", () => {
  assert.equal(placeOn(line(0, 10), -3), 0);
  assert.equal(placeOn(line(0, 10), 30), 1);
  assert.equal(placeOn(line(1, 100, { log: true }), 10), 0.5);
  assert.equal(placeOn(line(1, 100, { log: true }), 0), 0);
  assert.equal(placeOn(line(1, 100, { log: true }), -7), 0);
});

test("ticks begin and end with the line, rise, and keep apart", () => {
  for (const each of LINES) {
    const ticks = ticksOf(each);
    assert.deepEqual([ticks[0], ticks.at(-1)], [each.low, each.high]);
    assert.ok(ticks.length >= 3 && ticks.length <= 9, `${ticks}`);
    for (let i = 1; i < ticks.length; i++) assert.ok(placeOn(each, ticks[i]) - placeOn(each, ticks[i - 1]) > 0.06, `${ticks}`);
  }
  assert.deepEqual(ticksOf(line(0, 12)), [0, 2, 4, 6, 8, 10, 12]);
  assert.deepEqual(ticksOf(line(1, 8192, { log: true })), [1, 10, 100, 1000, 8192]);
});

test("numbers are read as people type them", () => {
  const typed = {
    "0.25": 0.25, "0,25": 0.25, " 12 % ": 12, "10,213": 10213, "10,213,440": 10213440, "1 000": 1000, "−3": -3,
    "1e8": 1e8, ".5": 0.5, "2,8 bits": 2.8, "1 bit": 1, "+4": 4, "1,5": 1.5, "0,125": 0.125, "1,234.5": 1234.5,
  };
  for (const [text, value] of Object.entries(typed)) assert.equal(readNumber(text, "bits"), value, text);
  for (const text of ["", " ", "four", "1.2.3", "--1", "1,2,3", "Infinity", "0x10", "e5", "bits", "."]) {
    assert.ok(Number.isNaN(readNumber(text, "bits")), text);
  }
});

test("numbers are said with their unit", () => {
  assert.equal(sayValue(line(0, 9, { unit: "tokens", step: 1 }), 1), "1 token");
  assert.equal(sayValue(line(0, 9, { unit: "%" }), 12.345), "12.3%");
  assert.equal(sayValue(line(0, 9, { unit: "bits" }), -0.5), "−0.5 bits");
  assert.equal(sayValue(line(0, 9), 8192), "8,192");
});

test("how far an exercise is has a mark and words", () => {
  const at = (more) => standing({ right: null, shown: false, tries: 1, graded: true, ...more });
  assert.deepEqual(at({ tries: 0 }), { mark: null, words: "not answered yet" });
  assert.deepEqual(at({ right: false, tries: 1 }), { mark: "wrong", words: "not right yet, 1 try" });
  assert.deepEqual(at({ right: true, tries: 2 }), { mark: "right", words: "right, 2 tries" });
  assert.deepEqual(at({ right: false, tries: 3, shown: true }), { mark: "open", words: "shown after 3 tries" });
  assert.deepEqual(at({ graded: false }), { mark: "open", words: "guess kept" });
});

test("the card says what is left", () => {
  const of = (...tries) => tries.map((each) => ({ graded: true, tries: each }));
  assert.match(tally({ right: 0, of: 0, exercises: [] }), /^No exercise/);
  assert.equal(tally({ right: 1, of: 3, exercises: of(1, 0, 0) }), "2 not answered yet.");
  assert.match(tally({ right: 1, of: 2, exercises: of(1, 2) }), /can be tried again/);
  assert.equal(tally({ right: 2, of: 2, exercises: of(1, 2) }), "All of them.");
});

test("a saved score is named after page and student, and stays in its folder", () => {
  const score = { notebook: "02_generation_loop", student: "guest-1a2b3c" };
  assert.equal(scoreFile(score, " "), "score-02_generation_loop-guest-1a2b3c.json");
  assert.equal(scoreFile(score, "Åsa 李 / 3b"), "score-02_generation_loop-Åsa-李-3b.json");
  assert.equal(scoreFile({ notebook: "", student: "x" }, "../../etc"), "score-..-..-etc.json");
});

/** @type {Map<string, string>} */
let stored;
beforeEach(() => {
  stored = new Map();
  globalThis.localStorage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
    removeItem: (key) => stored.delete(key),
  };
});

test("answers are remembered by question and forgotten on demand", () => {
  const [one, other] = [memory("a"), memory("b")];
  one.write({ draft: 3 });
  assert.deepEqual(memory("a").read(), { draft: 3 });
  assert.deepEqual(other.read(), {});
  one.write(null);
  assert.deepEqual([one.read(), stored.size], [{}, 0]);
});

test("a store that is broken, full or forbidden is an empty one", () => {
  stored.set("tokentrace.exercise.a", "{not json");
  assert.deepEqual(memory("a").read(), {});
  stored.set("tokentrace.exercise.a", "null");
  assert.deepEqual(memory("a").read(), {});
  globalThis.localStorage = new Proxy({}, { get: () => { throw new Error("SecurityError"); } });
  assert.deepEqual(memory("a").read(), {});
  memory("a").write({ draft: 1 });
});

test("code, stress and strength are marked up, and nothing else is", () => {
  globalThis.document = {
    createElement: (tag) => ({ tag, text: "", append(...parts) { this.text += parts.join(""); }, setAttribute() {}, getAttribute: () => null }),
  };
  const shape = (text) => richText(text).map((part) => (typeof part === "string" ? part : `<${part.tag}>${part.text}`));
  assert.deepEqual(shape("a `b*c*` **d e** *f* g"), ["a ", "<code>b*c*", " ", "<b>d e", " ", "<em>f", " g"]);
  assert.deepEqual(shape("2 * 3 * 4 and <b>x</b>"), ["2 * 3 * 4 and <b>x</b>"]);
});
