// Play in a browser that owns the clock: time, the reader's place, keys, and a kernel that may fall silent.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MOVES, moveAt, playClock, TOLD_MS, tokenMs } from "../../widgets/tokentrace/frontend/shared/clock.js";
import { kernelLine } from "../../widgets/tokentrace/frontend/shared/kernel.js";
import { keyAction } from "../../widgets/tokentrace/frontend/shared/keys.js";
import { Stage } from "../../widgets/tokentrace/frontend/shared/stage.js";

const trace = JSON.parse(readFileSync(new URL("../../data/traces/generation_loop.json", import.meta.url), "utf8"));
const part = (from, to) => Object.fromEntries(Object.entries(trace.steps).map(([name, column]) => [name, column.slice(from, to)]));
const upTo = (n, more = {}) => ({ ...trace, steps: part(0, n), ...more });

/** A clock on a time of its own: `run(ms)` lets frames of 16 ms pass. */
function onFakeTime({ last, duration }) {
  let queue = [];
  let now = 0;
  const seen = [];
  const clock = playClock({
    last: () => last,
    duration,
    show: (step, ms, done) => seen.push([step, Math.round(ms), done]),
    end: () => seen.push("end"),
    frame: (tick) => queue.push(tick),
    cancel: () => (queue = []),
  });
  const pass = (ms) => {
    now += ms;
    const due = queue;
    queue = [];
    for (const tick of due) tick(now);
  };
  return { clock, seen, pass, run: (ms) => { for (let t = 0; t < ms; t += 16) pass(16); } };
}
const done = (seen) => seen.filter((each) => each[2] === true).map(([step]) => step);

test("speeds: told slowly, by the second, as measured", () => {
  assert.deepEqual([tokenMs(1, 8), tokenMs(4, 8), tokenMs(15, 8), tokenMs(0, 8)], [TOLD_MS, 250, 1000 / 15, 8]);
});

test("the four moves begin one after the other within a token", () => {
  assert.deepEqual([0, 429, 430, 830, 1299, 1300, 2099].map(moveAt), [1, 1, 2, 3, 3, 4, 4]);
  assert.ok(MOVES.at(-1) + 520 < TOLD_MS, "the word has landed before the next token begins");
});

test("four tokens a second are four tokens a second, in order, and then the end", () => {
  const { clock, seen, run } = onFakeTime({ last: 9, duration: () => 250 });
  clock.start(0);
  run(1030);
  assert.deepEqual(done(seen), [0, 1, 2, 3]);
  run(2000);
  assert.deepEqual(done(seen), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(seen.at(-1), "end");
  assert.equal(clock.running, false);
});

test("steps faster than frames are not all drawn, yet none is lost in time", () => {
  const { clock, seen, run } = onFakeTime({ last: 99, duration: () => 4 });
  clock.start(0);
  run(416);
  assert.equal(done(seen).at(-1), 99);
  assert.ok(done(seen).length <= 27);
});

test("a told token passes its moves before it is done", () => {
  const { clock, seen, run } = onFakeTime({ last: 3, duration: () => TOLD_MS });
  clock.start(2, true);
  run(3 * TOLD_MS);
  const moves = [...new Set(seen.filter((each) => each[2] === false).map(([, ms]) => moveAt(ms)))];
  assert.deepEqual(moves, [1, 2, 3, 4]);
  assert.deepEqual(done(seen), [2], "one step was asked for");
  assert.equal(seen.at(-1), "end");
});

test("a tab that was hidden does not leap when it comes back", () => {
  const { clock, seen, run, pass } = onFakeTime({ last: 99, duration: () => 100 });
  clock.start(0);
  run(48);
  pass(60_000);
  assert.ok(done(seen).at(-1) <= 3, `at ${done(seen).at(-1)}`);
});

test("a stopped clock stands", () => {
  const { clock, seen, run } = onFakeTime({ last: 9, duration: () => 100 });
  clock.start(0);
  run(300);
  clock.stop();
  const { length } = seen;
  run(1000);
  assert.equal(seen.length, length);
});

test("a reader's steps stay within the run", () => {
  const stage = new Stage();
  stage.go(5);
  assert.equal(stage.step, -1, "nothing is there yet");
  stage.load([upTo(10)], 0, 9);
  stage.go(99);
  assert.equal(stage.step, 9);
  stage.go(-7);
  assert.equal(stage.step, -1);
});

test("the head is followed while a model writes, until the reader steps back, and again from the head", () => {
  const stage = new Stage();
  stage.load([upTo(5)], 0, 4);
  stage.begin(upTo(0));
  assert.equal(stage.step, -1);
  stage.append(0, part(0, 4), {});
  assert.equal(stage.step, 3);
  stage.go(1);
  stage.append(4, part(4, 8), {});
  assert.equal(stage.step, 1, "not pulled away");
  stage.go(7);
  stage.append(8, part(8, 10), {});
  assert.equal(stage.step, 9);
});

test("the finished run takes the place of the one that was written, and the reader stays", () => {
  for (const [look, wanted] of [[null, 9], [3, 3]]) {
    const stage = new Stage();
    stage.load([upTo(5)], 0, 4);
    stage.begin(upTo(0));
    stage.append(0, part(0, 10), {});
    if (look !== null) stage.go(look);
    stage.load([upTo(10)], 0, 9);
    assert.deepEqual([stage.index, stage.step, stage.onFresh, stage.writing], [0, wanted, false, false]);
  }
});

test("a branch comes to stand beside the first run, and whoever looks at that one is left there", () => {
  const fork = part(0, 6);
  fork.token[3] = 5;
  fork.forced[3] = true;
  const branch = { ...trace, branch: { at: 3, token: 5 }, steps: fork };
  for (const [index, wanted] of [[-1, 1], [0, 0]]) {
    const stage = new Stage();
    stage.load([trace], 0, 3);
    stage.begin({ ...branch, steps: part(0, 3) });
    stage.append(3, Object.fromEntries(Object.entries(fork).map(([name, column]) => [name, column.slice(3)])), {});
    stage.select(index);
    stage.load([trace, branch], 1, 5);
    assert.equal(stage.index, wanted);
  }
});

test("writing that breaks off keeps what came, and leaves no empty run behind", () => {
  const stage = new Stage();
  stage.load([upTo(5)], 0, 4);
  stage.begin(upTo(0));
  stage.halt();
  assert.deepEqual([stage.fresh, stage.onFresh, stage.run.length], [null, false, 5]);
  stage.begin(upTo(0));
  stage.append(0, part(0, 2), {});
  stage.halt();
  assert.deepEqual([stage.onFresh, stage.writing, stage.run.length], [true, false, 2]);
  stage.append(2, part(2, 4), {});
  assert.equal(stage.run.length, 2, "what comes late is not taken for the run");
});

test("a branch that is there already is found, from either side", () => {
  const fork = part(0, 6);
  const own = fork.token[3];
  fork.token[3] = 5;
  fork.forced[3] = true;
  const stage = new Stage();
  stage.load([trace, { ...trace, branch: { at: 3, token: 5 }, steps: fork }], 0, 3);
  assert.equal(stage.find(3, 5), 1);
  assert.equal(stage.find(3, 6), -1);
  stage.select(1);
  assert.equal(stage.find(3, own), 0, "the first run's own token leads back to it");
});

test("keys act, but not with a modifier and not where text is typed", () => {
  assert.equal(keyAction({ key: " ", target: { tagName: "DIV" } }), "play");
  assert.equal(keyAction({ key: "S" }), "spaces");
  assert.equal(keyAction({ key: "4" }), "speed 0");
  assert.equal(keyAction({ key: "s", ctrlKey: true }), "");
  assert.equal(keyAction({ key: "ArrowLeft", target: { tagName: "TEXTAREA" } }), "");
  assert.equal(keyAction({ key: "s", target: { tagName: "DIV", isContentEditable: true } }), "");
  assert.equal(keyAction({ key: "q" }), "");
});

/** A line to a kernel that answers pings or not. */
function onFakeLine(answers) {
  let now = 0;
  let tick = () => {};
  const sent = [];
  const said = [];
  const line = kernelLine({
    send(message) {
      sent.push(message);
      if (answers()) line.heard();
    },
    silence: (silent) => said.push(silent),
    now: () => now,
    every: (call) => (tick = call),
    never: () => (tick = () => {}),
  });
  return { line, sent, said, pass(ms) { for (let t = 0; t < ms; t += 1000) { now += 1000; tick(); } } };
}

test("a kernel that answers is never called silent, however long it computes", () => {
  const { line, sent, said, pass } = onFakeLine(() => true);
  line.ask({ type: "generate" });
  pass(60_000);
  assert.deepEqual(said, []);
  assert.ok(sent.filter(({ type }) => type === "ping").length >= 15);
});

test("a kernel that is gone is said to be so within ten seconds, once, and heard again", () => {
  const { line, sent, said, pass } = onFakeLine(() => false);
  const request = line.ask({ type: "generate" });
  assert.deepEqual(sent[0], { type: "generate", request });
  pass(9000);
  assert.deepEqual(said, []);
  pass(2000);
  assert.deepEqual(said, [true]);
  pass(9000);
  assert.deepEqual(said, [true]);
  line.heard();
  assert.deepEqual(said, [true, false]);
});

test("at rest nobody is asked", () => {
  const { line, sent, pass } = onFakeLine(() => false);
  line.ask({ type: "generate" });
  line.rest();
  pass(30_000);
  assert.equal(sent.length, 1);
});
