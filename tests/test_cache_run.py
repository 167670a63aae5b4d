"""A run with a cache and without: equal to transformers, counted against brute force and formula, told either way."""

import asyncio
import json
import math
from dataclasses import replace

import pytest
import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

import tokentrace
from tokentrace import cache_run, where_time_goes
from tokentrace.cache_race import edited, finished, passes, race, read
from tokentrace.cache_run import (
    FORMULAS,
    WAYS,
    CacheRun,
    Counted,
    beyond,
    pairs,
    projections,
    recorded_cache_run,
    say_counts,
    say_edit,
    say_race,
    view_data,
)
from tokentrace.claims.cache_run import claims
from tokentrace.data import measured
from tokentrace.exercises import Number
from tokentrace.experiments.cache_run import WHERE, saved, tell_where
from tokentrace.generation_loop import PromptError
from tokentrace.instrumented import Instrumented
from tokentrace.lm import GPT2
from tokentrace.questions import cache_run as asked
from tokentrace.trace import TraceError
from tokentrace.views.cache_run import LENGTHS, MOST_COLUMNS, CacheGrid, CacheRace, checked_request

PROMPT = "The lighthouse keeper opened the door and"
NEW = 9


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def run(model) -> CacheRun:
    return finished(race(model, PROMPT, NEW, rounds=3, edits=True))


@pytest.fixture(scope="module")
def theirs(model):
    return GPT2LMHeadModel.from_pretrained(model.folder, dtype=torch.float32).eval()


def timed(run: CacheRun, cached: float, uncached: float) -> CacheRun:
    """The same run with other times, milliseconds a pass."""
    n = len(run.tokens)
    return replace(run, cached_ms=((cached,) * n,) * 3, uncached_ms=((uncached,) * n,) * 3)


# ---- the run


def test_both_ways_write_what_transformers_writes(run, theirs):
    """Catches: a cache that is read one place off, a pass that is fed the wrong token.

    Where two tokens are as good as tied, rounding may decide; so the choice must be within rounding of the best.
    """
    text = [*run.prompt_tokens, *run.tokens]
    with torch.no_grad():
        logits = theirs(torch.tensor([text])).logits[0, len(run.prompt_tokens) - 1 : -1]
    for row, token in zip(logits, run.tokens, strict=True):
        assert float(row.max() - row[token]) <= 1e-3
    assert run.same or run.margin <= 1e-3
    assert run.gap <= 1e-3
    top = logits.topk(2).values
    assert run.margin == pytest.approx(float((top[:, 0] - top[:, 1]).min()), abs=1e-3)


def test_bytes_are_those_of_transformers_cache(model, run, theirs):
    """Catches: memory set aside instead of memory in use; one layer, or keys alone, left out."""
    cache = DynamicCache()
    with torch.no_grad():
        for k, token in enumerate((None, *run.tokens[:-1])):
            ids = list(run.prompt_tokens) if token is None else [token]
            theirs(torch.tensor([ids]), past_key_values=cache)
            size = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
            assert size == run.nbytes[k] == run.shape.bytes_of(run.length[k])
    assert run.set_aside == run.nbytes[-1]


def test_the_formula_is_that_of_the_calculator(model, run):
    """The page's other view of the same number. Catches: a factor that one of the two forgets."""
    kv_cache = pytest.importorskip("tokentrace.kv_cache")
    from tokentrace.architectures import from_config

    shape = from_config(json.loads((model.folder / "config.json").read_text()))
    for n in (1, 8, 100):
        assert run.shape.bytes_of(n) == kv_cache.cache_bytes(shape, n, 1, "fp32")


@pytest.mark.parametrize(("prompt", "new"), [("a", 1), ("a", 8), ("abc", 4), ("abcdab", 3)])
def test_work_is_counted_as_brute_force_and_formula_have_it(tiny_model, prompt, new):
    """Brute force: loops over passes, positions, keys. Catches: the pass for the last token counted or one left out."""
    run = finished(race(tiny_model, prompt, new, rounds=1))
    p = len(prompt)
    for way in WAYS:
        computed = looked_at = 0
        for k in range(new):
            rows = range(p + k) if way == "uncached" or k == 0 else [p + k - 1]
            computed += len(rows)
            looked_at += sum(1 for query in rows for key in range(p + k) if key <= query)
        counted: Counted = getattr(run, way)
        assert sum(counted.projections) == computed == projections(p, new, way == "cached")
        assert sum(counted.pairs) == looked_at == pairs(p, new, way == "cached")
        assert counted.scored == (1,) * new
    assert say_counts(run) == f"Counted in the run; the formulas give the same numbers after each of its {new} passes."


def test_pairs_are_the_weights_that_are_not_zero(tiny_model):
    """Counted again from the attention itself. Catches: a rectangle counted where the mask leaves a triangle."""
    ids = [1, 2, 3, 4, 1]
    for first in (5, 3):
        counter, cache, seen = Instrumented(tiny_model), tiny_model.new_cache(), 0
        for part in (ids[:first], ids[first:]):
            if not part:
                continue
            weights: list[torch.Tensor] = []
            counter.model.forward([part], cache, attention=weights)
            seen += int((weights[0][0, 0] > 0).sum())
        assert counter.work.pairs == [seen] * tiny_model.config.n_layer


def test_operations_are_those_of_the_matrices(tiny_model):
    """2 a weight and row; 4 a pair and number of a head. Catches: a layer that is not heard, or heard twice."""
    of, n = tiny_model.config, 5
    counter = Instrumented(tiny_model)
    plain = tiny_model.forward([[1, 2, 3, 4, 1]])
    assert torch.equal(counter.model.forward([[1, 2, 3, 4, 1]]), plain)
    d, inner = of.n_embd, of.n_inner
    assert counter.work.operations == {
        "linear": of.n_layer * 2 * n * (3 * d * d + d * d + 2 * d * inner),
        "attention": of.n_layer * 4 * d * (n * (n + 1) // 2),
        "head": 2 * n * d * of.vocab_size,
    }
    assert all(seconds > 0 for seconds in counter.work.seconds.values())
    assert "attend" not in vars(tiny_model.blocks[0]), "the model itself stays as it is"


def test_the_counts_of_a_thousand_tokens():
    """Catches: one sum printed for the other. Ours against plain sums."""
    assert beyond(1000, 512) == {
        "n": 1000,
        "fits": False,
        "projections": [500_500, 1000],
        "pairs": [167_167_000, 500_500],
    }
    for p, n in ((1, 1), (1, 30), (7, 17), (40, 3)):
        texts = range(p, p + n)
        assert projections(p, n, False) == sum(texts)
        assert pairs(p, n, False) == sum(query + 1 for t in texts for query in range(t))
        assert projections(p, n, True) == p + n - 1
        assert pairs(p, n, True) == sum(query + 1 for query in range(p + n - 1))


def test_attention_equals_the_linear_layers_where_the_formula_says(run):
    shape = run.shape
    n, d = shape.equal_at, shape.n_embd
    assert 4 * n * d == 8 * d * d + 4 * d * shape.n_inner


# ---- what an edit spoils


def test_an_edit_spoils_its_own_column_and_all_later_ones(run):
    """Catches: columns compared at the wrong place; a cache without a mask."""
    n = len(run.ids)
    assert [edit.at for edit in run.edits] == list(range(n))
    for edit in run.edits:
        assert edit.token != run.ids[edit.at]
        own = "".join("1" if place == edit.at else "0" for place in range(n))
        assert edit.changed[0] == own, "layer 0 is made of each token alone"
        for row in edit.changed[1:]:
            assert row == "0" * edit.at + "1" * (n - edit.at)


def test_edits_are_those_of_transformers(model, theirs):
    """The cache of the edited text, from transformers. Catches: one layer compared for all, a position off by one."""
    ids = model.tokenizer.encode("The cat sat on the mat")
    edit = list(edited(model, ids))[3]
    memory = []
    for text in (ids, [*ids[:3], edit.token, *ids[4:]]):
        cache = DynamicCache()
        with torch.no_grad():
            theirs(torch.tensor([text]), past_key_values=cache)
        memory.append(torch.stack([torch.stack([layer.keys, layer.values]) for layer in cache.layers]))
        ours = read(model, text)[1]
        assert (ours - memory[-1]).abs().max() <= 1e-3
    moved = (memory[0] - memory[1]).abs().amax((1, 2, 3, 5))
    found = torch.tensor([[each == "1" for each in row] for row in edit.changed])
    assert torch.equal(moved > 1e-5, found)


def test_the_sentence_of_an_edit_counts_columns(run):
    n = len(run.ids)
    said = say_edit(run, run.edits[2])
    assert f"position 2, {n - 2} of {n} columns must be computed anew, and 2 stay as they are." in said
    assert "In layer 0 only 1 of them differs" in said
    ahead = replace(run.edits[2], changed=("1" * n,) * run.shape.n_layer)
    assert "this model looks ahead" in say_edit(run, ahead)


# ---- the record


def test_a_record_comes_back_from_json(run, tmp_path):
    assert CacheRun.from_dict(json.loads(json.dumps(run.to_dict(), allow_nan=False))) == run
    assert CacheRun.load(run.save(tmp_path / "run.json")) == run


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda data: data.pop("margin"), "margin"),
        (lambda data: data["nbytes"].pop(), "nbytes"),
        (lambda data: data["length"].__setitem__(1, 99), "length"),
        (lambda data: data["gaps"].__setitem__(0, None), "gaps"),
        (lambda data: data["cached_ms"].pop(), "cached_ms"),
        (lambda data: data["uncached_ms"][0].pop(), "uncached_ms"),
        (lambda data: data["cached"]["pairs"].pop(), "cached.pairs"),
        (lambda data: data["vocabulary"].clear(), "vocabulary"),
        (lambda data: data["edits"][0].update(at=99), "edits"),
        (lambda data: data["edits"][0]["changed"].pop(), "edits"),
        (lambda data: data["machine"].pop("threads"), "machine"),
        (lambda data: data["shape"].update(d_head="64"), "d_head"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(run, break_it, says):
    data = json.loads(json.dumps(run.to_dict()))
    break_it(data)
    with pytest.raises(TraceError, match=says):
        CacheRun.from_dict(data)


@pytest.mark.parametrize("name", ["cache_run", "cache_race"])
def test_the_recorded_runs_are_this_models(model, name):
    kept = recorded_cache_run(name)
    assert kept.model.fingerprint == model.fingerprint, "record it anew: make traces"
    again = [each.token for each in passes(model, list(kept.prompt_tokens), len(kept.tokens), "cached")]
    assert tuple(again) == kept.tokens or kept.margin <= 1e-3
    assert [edit.at for edit in kept.edits] == (list(range(len(kept.ids))) if name == "cache_run" else [])


# ---- what is said


def test_the_round_that_is_replayed_is_one_that_happened(run):
    """Catches: medians of passes added up, a run nobody has seen."""
    for way in WAYS:
        totals = run.totals(way)
        assert sorted(totals)[1] == totals[run.middle_round(way)]
    assert view_data(run)["replay"]["cached"] == run.middle_round("cached")


def test_where_nothing_is_gained_it_is_said(run):
    """Catches: a sentence that praises whatever was measured."""
    n = len(run.tokens)
    faster, slower = say_race(timed(run, 2.0, 6.0)), say_race(timed(run, 6.0, 2.0))
    assert f"took {6 * n:,.0f} ms against {2 * n:,.0f} ms, 3.00 times" in faster
    assert "The cache gained nothing here" in slower
    assert f"not faster with the cache, by their median: {n - 1} of {n - 1}" in slower
    mixed = replace(timed(run, 2.0, 6.0), cached_ms=((2.0,) * n, (9.0,) * n, (2.0,) * n))
    assert "Not every round was a gain." in say_race(mixed)


def test_texts_that_part_are_called_so(run):
    other = (*run.tokens[:3], run.prompt_tokens[0], *run.tokens[4:])
    parted = replace(run, uncached_tokens=other, gaps=(*run.gaps[:4], *[None] * (len(run.tokens) - 4)))
    if other[3] == run.tokens[3]:
        pytest.skip("this model writes the prompt's first token here")
    assert "The texts part at token 4" in say_race(parted)
    assert {claim.measure().verdict for claim in claims(parted, parted) if "misconception" in claim.says} == {"wrong"}


def test_counts_that_differ_from_the_formula_are_called_so(run):
    wrong = replace(run, cached=replace(run.cached, projections=(*run.cached.projections[:-1], 2)))
    assert "another number for projections of the cached run" in say_counts(wrong)


def test_a_prompt_without_room_is_refused_in_a_sentence(tiny_model, model):
    with pytest.raises(PromptError, match="does not fit into the 8 positions"):
        finished(race(tiny_model, "abcdab", 4))
    with pytest.raises(PromptError, match="few words"):
        finished(race(model, " ", 4))


def test_progress_rises_to_its_end(tiny_model):
    steps = list(race(tiny_model, "ab", 5, rounds=2))
    assert [done for done, *_ in steps] == sorted(done for done, *_ in steps)
    assert steps[-1][0] == steps[-1][1]
    assert [run is not None for *_, run in steps] == [False] * (len(steps) - 1) + [True]


# ---- where the time goes


def test_where_the_time_goes_counts_what_a_pass_does(tiny_model):
    """Operations against the formula of each way. Catches: a head that scores all where only the last was asked."""
    *_, (done, total, record) = where_time_goes.where_time_goes(tiny_model, "ab", (3, 8, 99), rounds=2)
    assert done == total == 4
    assert record["lengths"] == [3, 8]
    json.dumps(record, allow_nan=False)
    of = tiny_model.config
    d, head = of.n_embd, 2 * of.n_embd * of.vocab_size
    per_row = of.n_layer * 2 * (4 * d * d + 2 * d * of.n_inner)
    for place, n in enumerate(record["lengths"]):
        cached, anew, scored = (record["operations"][way][place] for way in record["operations"])
        assert cached == {"linear": per_row, "attention": of.n_layer * 4 * d * n, "head": head}
        assert anew == {"linear": n * per_row, "attention": of.n_layer * 4 * d * n * (n + 1) // 2, "head": head}
        assert scored == anew | {"head": n * head}
    for rounds in record["seconds"].values():
        assert [len(each) for each in rounds] == [2, 2]


NAMES = ("with the cache", "all read again", "all read and scored again")


def made_up(fast: float, slow: float, n_ctx: int = 512) -> dict:
    """A record of times nobody measured, to try the sentences on."""
    parts = {"linear": 0.6, "attention": 0.2, "head": 0.1, "rest": 0.1}
    seconds = {way: [[{p: t * share / 1000 for p, share in parts.items()}] for t in (fast, times)]
               for way, times in zip(NAMES, (fast, slow, slow), strict=True)}  # fmt: skip
    operations = {way: [dict.fromkeys(("linear", "attention", "head"), 1)] * 2 for way in seconds}
    return {"lengths": [16, 64], "equal_at": 1920, "n_ctx": n_ctx, "seconds": seconds, "operations": operations}


def test_what_the_cache_spares_follows_the_numbers():
    """Catches: a sentence that names the linear layers, or a gain, whatever was measured."""
    said = tell_where(made_up(2.0, 8.0)).sentence
    assert "2.0 ms with the cache and 8.0 ms without, 4.0 times" in said
    assert "60% was linear layers and 20% attention" in said
    assert "beyond this window of 512" in said
    assert "At 16 tokens next to nothing is saved." in said
    nothing = tell_where(made_up(8.0, 2.0, 4096)).sentence
    assert "the cache saved nothing" in nothing
    assert "within this window of 4,096" in nothing
    assert saved(made_up(2.0, 8.0), -1)["attention"] == pytest.approx(1.2)


def test_where_the_time_goes_can_be_drawn(tiny_model):
    from tokentrace.figures import to_svg

    *_, (_, _, record) = where_time_goes.where_time_goes(tiny_model, "ab", (3, 8), rounds=1)
    told = WHERE.tell(record)
    assert {len(row) for row in told.rows} == {len(told.heads)}
    assert to_svg(WHERE.draw(record)).startswith("<svg")


# ---- questions and claims


@pytest.mark.parametrize("variant", range(6))
def test_questions_have_answers_and_reasons_for_wrong_ones(run, monkeypatch, variant):
    """Every student's variant. Catches: a right answer that is listed as a mistake, an answer that was not counted."""
    monkeypatch.setattr(asked, "pick", lambda _, options: list(options)[variant % len(list(options))])
    for question in asked.questions(run, run, made_up(2.0, 8.0)).values():
        right = question.measured()
        assert question.check(right)
        if isinstance(question, Number) and not question.predict:
            assert question.low <= right <= question.high
            reasons = {wrong: question.check(wrong) for wrong in question.why}
            assert all(not verdict and verdict.because for verdict in reasons.values())
    prompt, new = asked.TEXTS[variant]
    assert asked.without().measured() == sum(range(prompt, prompt + new))
    assert asked.with_cache().measured() == len(range(prompt)) + new - 1


def test_the_part_that_is_saved_follows_the_record(run):
    """Catches: "the linear layers" written down as the answer."""
    where = made_up(2.0, 8.0)
    assert asked.saved_part(where).measured() == "The linear layers"
    for rounds in where["seconds"]["all read again"]:
        rounds[0]["attention"] = 1.0
    assert asked.saved_part(where).measured() == "The attention"


def test_claims_are_judged_by_the_run(run):
    """Catches: a verdict that is written down instead of worked out."""
    fast = timed(run, 2.0, 6.0)
    found = {claim.says: claim.measure() for claim in claims(run, fast)}
    verdicts = [finding.verdict for finding in found.values()]
    assert verdicts[:7] == ["holds", "holds", "holds", "wrong", "simplified", "simplified", "holds"]
    assert found["The cache is there because the past does not change."].verdict == "holds"
    spoiled = replace(run, edits=(replace(run.edits[3], changed=("1" * len(run.ids),) * run.shape.n_layer),))
    again = {claim.says: claim.measure().verdict for claim in claims(spoiled, timed(run, 6.0, 2.0))}
    assert again["The cache is there because the past does not change."] == "wrong"
    assert again["That a cache is optional is a misconception."] == "wrong"
    assert found["That a cache is optional is a misconception."].verdict == "simplified"


# ---- views without a browser


def test_views_show_the_run_and_refuse_what_they_must_not_take(run):
    view = CacheGrid(run, step=99)
    assert view.step == NEW - 1
    view.set_state({"step": 3, "cache": False, "edited": 999, "run": {}})
    assert (view.step, view.cache, view.edited) == (3, False, len(run.edits) - 1)
    assert view.run["formula_bytes"] == list(run.nbytes)
    assert view.record is run
    assert view.edit_sentences[1] == say_edit(run, run.edits[1])
    assert CacheRace(run).sentence == say_race(run)
    json.dumps(view.run, allow_nan=False)


def test_a_run_of_the_readers_own(run, model):
    """With progress; and an error that leaves what was shown. Catches: a view that stays busy after an error."""

    async def act():
        view = CacheGrid(run, model)
        told = []
        view.observe(lambda change: told.append(change.new["state"]), "status")
        for prompt in ("A cat sat", "word " * MOST_COLUMNS, "Once upon a time"):
            view.on_race({"prompt": prompt, "request": 1})
            await asyncio.gather(*view._tasks)
            told.append((view.record.prompt, view.error))
        return view, told

    view, told = asyncio.run(act())
    seen = [each for each in told if isinstance(each, tuple)]
    assert [prompt for prompt, _ in seen] == ["A cat sat", "A cat sat", "Once upon a time"]
    assert "shorten it" in seen[1][1] and not seen[2][1]
    assert "running" in told and view.mode == "live" and view.status["state"] == "idle"
    assert len(view.record.ids) <= MOST_COLUMNS


def test_stop_keeps_the_last_whole_run(run, model):
    async def act():
        view = CacheRace(run, model)
        view.on_race({"prompt": PROMPT, "n": LENGTHS[-1], "request": 1})
        await asyncio.sleep(0.3)
        view.on_stop({})
        await asyncio.gather(*view._tasks)
        return view

    view = asyncio.run(act())
    assert (view.record, view.mode) == (run, "recorded")
    assert "Stopped" in view.error


@pytest.mark.parametrize(
    ("message", "says"),
    [({}, "text"), ({"prompt": 3}, "text"), ({"prompt": "x" * 30_000}, "long"), ({"prompt": "x", "n": 7}, "40, 120"),
     ({"prompt": "x", "n": "40"}, "40, 120")],
)  # fmt: skip
def test_a_request_that_cannot_be_met_is_refused_in_a_sentence(message, says):
    with pytest.raises(TraceError, match=says):
        checked_request(message)


def test_a_model_of_any_depth_and_vocabulary_can_be_shown(tmp_path, tiny_model):
    """Eight layers, another width of the MLP. Catches: six layers, or four times the width, taken for granted."""
    torch.manual_seed(1)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=5, n_positions=32, n_embd=24, n_layer=8, n_head=3, n_inner=40, initializer_range=0.4)
    ).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((tiny_model.folder / "tokenizer.json").read_bytes())
    run = finished(race(GPT2(tmp_path), "abc", 6, rounds=1, edits=True))
    assert run.nbytes[-1] == 2 * 8 * 24 * 8 * 4
    assert run.shape.equal_at == 2 * 24 + 40
    assert say_counts(run).startswith("Counted in the run; the formulas give the same")
    assert CacheGrid(run).run["shape"]["n_layer"] == 8


def test_recorded_measurement_is_this_models(model):
    record = measured("where_time_goes")
    assert record["fingerprint"] == model.fingerprint, "record it anew: make traces"
    assert WHERE.tell(record).sentence
    assert math.isclose(sum(FORMULAS["projections"](1, n, True) for n in (1, 2)), 3)
    assert cache_run.triangle(4) == 10 and cache_run.tetrahedron(4) == 20
