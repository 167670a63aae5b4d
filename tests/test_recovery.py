"""Recovery: divergences against transformers and exact enumeration, bands against passages, records, the view."""

import asyncio
import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

import tokentrace
from tokentrace import recovering
from tokentrace.bootstrap import band
from tokentrace.claims.recovery import compounds, recovers
from tokentrace.passages import passages
from tokentrace.prefixes import CORRUPTIONS, ERRORS, KINDS, PrefixError, Prefixes, cut, spoiled, whole_words
from tokentrace.questions.recovery import half_gone, on_its_own, slower
from tokentrace.recovering import Row, measure, recover
from tokentrace.recovery import OTHER, PROTOCOLS, Recovery, half_life, recorded_recovery, say, summarised
from tokentrace.trace import Model, TraceError
from tokentrace.views.recovery import COUNTS, checked_count
from tokentrace.views.recovery import Recovery as View

LENGTH, STEPS = 4, 3  # the tiny model reads eight tokens


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def reference(tiny_model):
    return GPT2LMHeadModel.from_pretrained(tiny_model.folder, dtype=torch.float32).eval()


def tiny_prefixes(n: int, seed: int = 3) -> Prefixes:
    """Random letters; two prefixes a passage."""
    numbers = np.random.default_rng(seed)
    given, true = (numbers.integers(1, 5, (n, width)) for width in (LENGTH, STEPS))
    return Prefixes(np.arange(n) // 2, given, true, np.arange(1, 5))


def guesses(reference, ids: list[int], n: int) -> np.ndarray:
    """The last n distributions of transformers, float64."""
    with torch.no_grad():
        return reference(torch.tensor([ids])).logits[0, -n:].double().softmax(-1).numpy()


def compared(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total variation as 1 - sum of minima, and KL, both by hand."""
    return 1 - np.minimum(p, q).sum(-1), (p * (np.log(p) - np.log(q))).sum(-1)


def near_miss(reference, given: list[int]) -> int:
    guess = guesses(reference, given[:-1], 1)[0].copy()
    guess[given[-1]] = -1
    return int(guess.argmax())


# ---- against transformers


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_true_text_each_distance_is_that_of_transformers(tiny_model, reference, kind):
    """Catches: distances that are off by one, a cache that keeps the tokens of the kind before, KL the other way."""
    prefixes = tiny_prefixes(5)
    batches = list(measure(tiny_model, prefixes, KINDS, ("given",), batch=3))
    row = {name: [row for each in batches for row in each.rows if row.kind == name] for name in KINDS}[kind]
    wrong = np.concatenate([each.wrong[kind] for each in batches])
    found = [np.concatenate([getattr(each, name) for each in row]) for name in ("total_variation", "kl")]
    for place, (given, true) in enumerate(zip(prefixes.given.tolist(), prefixes.true.tolist(), strict=True)):
        if kind == "near miss":
            assert wrong[place].tolist() == [*given[:-1], near_miss(reference, given)]
        clean = guesses(reference, given + true[:-1], STEPS)
        other = guesses(reference, wrong[place].tolist() + true[:-1], STEPS)
        for values, wanted in zip(found, compared(clean, other), strict=True):
            assert values[place] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", (*KINDS, OTHER))
def test_on_its_own_words_each_run_is_that_of_transformers(tiny_model, reference, kind):
    """Replayed one row at a time. Catches: rows that mix, another run's random numbers, words that are not read."""
    prefixes, seed = tiny_prefixes(4), 7
    (batch,) = measure(tiny_model, prefixes, KINDS, ("own",), seed=seed)
    (row,) = (each for each in batch.rows if each.kind == kind)
    uniforms = np.random.default_rng(seed).random((4, 2, STEPS))

    def alone(ids: list[int], numbers: np.ndarray) -> np.ndarray:
        found = []
        for u in numbers:
            found.append(guesses(reference, ids, 1)[0])
            ids = [*ids, min(int(np.searchsorted(found[-1].cumsum(), u, side="right")), 4)]
        return np.stack(found)

    for place, given in enumerate(prefixes.given.tolist()):
        clean = alone(given, uniforms[place, 0])
        other = alone(
            given if kind == OTHER else batch.wrong[kind][place].tolist(), uniforms[place, int(kind == OTHER)]
        )
        assert row.total_variation[place] == pytest.approx(compared(clean, other)[0], abs=1e-5)
        assert row.kl[place] == pytest.approx(compared(clean, other)[1], abs=1e-4)


def test_the_mean_on_the_same_random_numbers_is_the_enumerated_one(tiny_model, reference):
    """At distance 2 every pair of draws can be listed: both runs invert their distribution at one number.

    Catches: independent draws for the run with the error (their mean is 0.05 higher here).
    """
    n, given = 1500, [1, 2, 3, 4]
    prefixes = Prefixes(np.arange(n), np.tile(given, (n, 1)), np.ones((n, 2), dtype=int), np.arange(1, 5))
    rows = [each.rows for each in measure(tiny_model, prefixes, ["repeated word"], ("own",), batch=500)]
    found = np.concatenate([own.total_variation for batch in rows for own in batch if own.kind == "repeated word"])
    wrong = [1, 2, 3, 3]
    edges = [guesses(reference, ids, 1)[0].cumsum() for ids in (given, wrong)]
    cuts = np.unique(np.concatenate([[0.0, 1.0], *edges]).clip(0, 1))
    exact = independent = 0.0
    after = [{t: guesses(reference, [*ids, t], 1)[0] for t in range(5)} for ids in (given, wrong)]
    for low, high in pairwise(cuts):
        pair = [min(int(np.searchsorted(edge, (low + high) / 2, side="right")), 4) for edge in edges]
        exact += (high - low) * compared(after[0][pair[0]], after[1][pair[1]])[0]
    for a, p in enumerate(np.diff(edges[0], prepend=0)):
        for b, q in enumerate(np.diff(edges[1], prepend=0)):
            independent += p * q * compared(after[0][a], after[1][b])[0]
    error = found[:, 1].std() / math.sqrt(n)
    assert found[:, 1].mean() == pytest.approx(exact, abs=4 * error)
    assert abs(independent - exact) > 8 * error, "the test must tell the two apart"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_batch_gives_what_each_prefix_gives_alone(model, protocol):
    """On the storyteller. Catches: rows that see each other, random words that depend on the batch."""
    prefixes = cut(model.tokenizer, [each.text for each in passages()], 6, 8, 4)
    found = []
    for size in (6, 1):
        rows: dict[str, list] = {}
        for each in measure(model, prefixes, KINDS, (protocol,), batch=size):
            for row in each.rows:
                rows.setdefault(row.kind, []).append(np.stack([row.total_variation, row.kl]))
        found.append({kind: np.concatenate(parts, 1) for kind, parts in rows.items()})
    together, alone = found
    assert together.keys() == alone.keys() and set(KINDS) <= together.keys()
    for kind, values in together.items():
        assert values == pytest.approx(alone[kind], abs=1e-3)


def test_where_nothing_is_wrong_nothing_is_apart(tiny_model):
    """A repeat of the same letter is no error. Catches: anything that differs between the two runs but the prefix."""
    prefixes = tiny_prefixes(4)
    prefixes.given[:, -1] = prefixes.given[:, -2]
    (batch,) = measure(tiny_model, prefixes, ["repeated word", "random word"])
    for row in batch.rows:
        if row.kind == "repeated word":
            assert not row.total_variation.any() and not row.kl.any()
        elif row.kind == "random word":
            assert (row.total_variation[:, 0] > 0).all()
        else:
            assert not row.total_variation[:, 0].any(), "two runs start from one guess"
        assert (row.total_variation <= np.sqrt(row.kl / 2) + 1e-9).all(), "Pinsker's inequality"
        assert (row.total_variation <= 1).all()


# ---- prefixes


def test_prefixes_stand_in_their_passages(model):
    """Catches: a cut inside a word, a continuation that starts one token late, an order that puts passages last."""
    texts = [each.text for each in passages()]
    prefixes = cut(model.tokenizer, texts, 100, 24, 32)
    assert (len(prefixes), prefixes.given.shape, prefixes.true.shape) == (100, (100, 24), (100, 32))
    assert len(set(prefixes.passage[: len(texts)].tolist())) == len(texts)
    ids = [model.tokenizer.encode(text) for text in texts]
    for passage, given, true in zip(prefixes.passage, prefixes.given.tolist(), prefixes.true.tolist(), strict=True):
        at = next(i for i in range(len(ids[passage])) if ids[passage][i : i + 56] == given + true)
        for word in ids[passage][at + 22], ids[passage][at + 23]:
            assert model.tokenizer.token_bytes(word)[:1] == b" "
        assert not model.tokenizer.token_bytes(true[0])[:1].isalpha()
    again = cut(model.tokenizer, texts, 100, 24, 32)
    assert (again.given == prefixes.given).all()
    places = {(p, *g) for p, g in zip(prefixes.passage.tolist(), prefixes.given.tolist(), strict=True)}
    assert len(places) == 100, "no prefix twice"


def test_whole_words_are_found(model):
    ids = np.array(model.tokenizer.encode(" The cat's unpronounceablewordling sat."))
    words = [model.tokenizer.decode([token]) for token in ids[whole_words(model.tokenizer, ids)]]
    assert words == [" The", " sat"]


def test_each_way_of_spoiling_does_what_it_says():
    """Catches: a foreign prefix from the same passage, a random word that is the true one, a shuffle that loses one."""
    prefixes = tiny_prefixes(40)
    wrong = {kind: spoiled(kind, prefixes, seed=1) for kind in KINDS}
    for kind in ERRORS:
        assert (wrong[kind][:, :-1] == prefixes.given[:, :-1]).all()
    for row, given in enumerate(prefixes.given):
        assert wrong["random word"][row, -1] not in given[-2:]
        assert wrong["repeated word"][row, -1] == given[-2]
        assert sorted(wrong["shuffled"][row]) == sorted(given)
        same = [i for i, other in enumerate(prefixes.given) if (other == wrong["foreign"][row]).all()]
        assert {int(prefixes.passage[i]) for i in same} - {int(prefixes.passage[row])}
    assert (wrong["shuffled"] != prefixes.given).any(1).mean() > 0.8
    assert (wrong["truncated"] == prefixes.given[:, -1:]).all()
    with pytest.raises(PrefixError, match="upside down"):
        spoiled("upside down", prefixes)


def test_what_cannot_be_measured_is_said_in_a_sentence(model, tiny_model):
    with pytest.raises(PrefixError, match="Fewer than two passages"):
        next(recover(model, ["Too short.", "This one, too."]))
    with pytest.raises(PrefixError, match=r"than tiny.* can read at once"):
        next(measure(tiny_model, tiny_prefixes(2).__class__(np.arange(2), *np.ones((2, 2, 6), int), np.arange(3))))
    with pytest.raises(PrefixError, match="protocol"):
        next(measure(tiny_model, tiny_prefixes(2), protocols=("mine",)))


# ---- means, bands, half-lives


def fake(values: dict[str, list[float]], passage_noise: float = 0.01, **about) -> Recovery:
    """A record whose mean curves are these, on the true text and, as given or for `own_` kinds, on own words."""
    numbers, rows = np.random.default_rng(0), []
    where = np.arange(40) // 4
    for kind, curve in values.items():
        name, protocol = (kind[4:], "own") if kind.startswith("own ") else (kind, "given")
        noise = numbers.normal(0, passage_noise, (10, 1)).repeat(4, 0)
        raw = np.clip(np.array(curve) + noise - noise.mean(), 0, 1)
        rows.append(Row(name, protocol, raw, raw))
    known = {
        "model": Model("m", "f", 1, 2, 3, "fp32"), "recorded": "now", "machine": "here", "seconds": 1.0, "length": 24,
        "kept": 6, "steps": len(curve), "seed": 0, "examples": (),
    }  # fmt: skip
    return summarised(rows, where, 200, **known | about)


def test_a_half_life_is_the_first_distance_at_half():
    """A known decay. Catches: `<` for `<=`, counting from 0, halving towards the last value instead of 0."""
    decay = 0.8 * 2.0 ** (-np.arange(12) / 3)
    assert half_life(np.stack([decay, decay])) == 4
    assert half_life(np.ones((3, 5))) == 6
    assert half_life(np.array([[0.8, 0.9, 0.39, 0.7]])) == 3
    assert half_life(np.array([[0.8, 0.5], [0.2, 0.1]])) == 3


def test_the_interval_of_a_half_life_holds_the_truth():
    """100 repetitions of a noisy decay that is at exactly half at distance 5: noise makes it 5 or a little more."""
    numbers, held = np.random.default_rng(0), 0
    decay = 2.0 ** (-np.arange(12) / 4)
    for _ in range(100):
        values = decay * numbers.lognormal(-0.045, 0.3, (20, 12))
        _, low, high = band(values, half_life, n_resamples=200)
        held += low <= 5 <= high
    assert held >= 90


def test_bands_resample_passages():
    """Copies of a prefix add nothing. Catches: a bootstrap over prefixes, whose band would be half as wide."""
    numbers = np.random.default_rng(1)
    one_each = numbers.random((12, 6))
    four_each = one_each.repeat(4, 0)
    _, low, high = band(one_each, clusters=np.arange(12))
    record = summarised(
        [Row("shuffled", "given", four_each, four_each)], np.arange(48) // 4, model=None, recorded="", machine="",
        seconds=0.0, length=1, kept=1, steps=6, seed=0, examples=(),
    )  # fmt: skip
    curve = record.curve("shuffled")
    assert np.subtract(curve.high, curve.low) == pytest.approx(high - low, rel=0.1)
    _, low, high = band(four_each)
    assert np.all(np.subtract(curve.high, curve.low) > 1.5 * (high - low))


def test_unrelated_runs_are_met_where_the_difference_may_be_nothing():
    """Catches: a comparison of overlapping bands instead of the band of the difference, the wrong sign."""
    run = fake({"own near miss": [0.8, 0.7, 0.6, 0.6], f"own {OTHER}": [0.0, 0.3, 0.6, 0.6]}, 0.001)
    assert run.curve("near miss", "own").met == 3
    never = fake({"own near miss": [0.9, 0.9], f"own {OTHER}": [0.0, 0.3]}, 0.001)
    assert never.curve("near miss", "own").met is None


# ---- words that follow from the numbers


def test_sentences_questions_and_verdicts_follow_the_numbers():
    """Catches: words that praise whatever was measured."""
    gone = fake({"random word": [0.8, 0.5, 0.3, 0.1], "own random word": [0.8] * 4, f"own {OTHER}": [0, 0.5, 0.8, 0.8]})
    kept = fake({"random word": [0.3, 0.4, 0.6, 0.7], "own random word": [0.2] * 4, f"own {OTHER}": [0, 0.5, 0.8, 0.8]})
    assert "Half of that is gone after 3 tokens" in say(gone, "random word", "given", "total_variation")
    assert "not gone within 4 tokens: 0.70 is left" in say(kept, "random word", "given", "total_variation")
    assert "holds 0 for the first time" in say(gone, "random word", "own", "total_variation")
    assert "nats" in say(gone, "random word", "own", "kl")
    examples = tuple(recovering.Example(kind, "a", "b", "c", "d") for kind in ("random word",))
    gone, kept = (Recovery(**{f: getattr(r, f) for f in r.__slots__} | {"examples": examples}) for r in (gone, kept))
    assert recovers(gone).verdict == "holds" and recovers(kept).verdict == "wrong"
    assert compounds(gone).verdict == "simplified" and compounds(kept).verdict == "holds"
    assert half_gone(gone).measured() == "after 2 to 3 tokens"
    assert half_gone(kept).measured() == "not within 4 tokens"
    assert on_its_own(gone).measured() == "about as far apart" and on_its_own(kept).measured() == "much closer"


def test_the_slower_of_two_is_asked_for():
    run = recorded_recovery()
    question = slower(run)
    assert question.measured() in question.options
    halves = {kind: run.curve(kind).half or run.steps + 1 for kind in run.kinds}
    asked = [kind for kind in question.options if kind in halves]
    assert halves[question.measured()] == max(halves[kind] for kind in asked)


# ---- records


@pytest.fixture(scope="module")
def small(model) -> Recovery:
    """A small measurement with the storyteller."""
    texts = [each.text for each in passages()[:6]]
    *_, (done, total, run) = recover(model, texts, 12, KINDS, length=8, steps=5, batch=6)
    assert done == total == 12
    return run


def test_a_record_comes_back_from_json(small, tmp_path):
    assert Recovery.from_dict(json.loads(json.dumps(small.to_dict(), allow_nan=False))) == small
    assert Recovery.load(small.save(tmp_path / "run.json")) == small
    assert small.kinds == KINDS and small.prefixes == 12 and small.passages == 6
    with pytest.raises(KeyError):
        small.curve("upside down")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda data: data.pop("steps"), "steps"),
        (lambda data: data["curves"][0].update(protocol="mine"), "protocol"),
        (lambda data: data["curves"][0]["mean"].pop(), "mean"),
        (lambda data: data["curves"][0].update(half=99), "half"),
        (lambda data: data["curves"][0].update(mean=[-1.0] * 5), "at least 0"),
        (lambda data: data["curves"].pop(), "curves"),
        (lambda data: data["curves"].append(data["curves"][0]), "curves"),
        (lambda data: data.update(examples=[]), "examples"),
        (lambda data: data.update(format="another"), "format"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(small, break_it, says):
    data = json.loads(json.dumps(small.to_dict()))
    break_it(data)
    with pytest.raises(TraceError, match=says):
        Recovery.from_dict(data)


def test_a_run_that_is_stopped_keeps_what_is_done(model):
    """Catches: progress that skips, a record that counts prefixes that were not read, bands from one passage."""
    texts = [each.text for each in passages()[:3]]
    seen = list(recover(model, texts, 6, ["near miss"], ("given",), length=8, steps=3, batch=1))
    assert [done for done, *_ in seen] == [1, 2, 3, 4, 5, 6] and {total for _, total, _ in seen} == {6}
    assert seen[0][2] is None
    assert [run.prefixes for *_, run in seen[1:]] == [2, 3, 4, 5, 6]


def test_the_recorded_run_is_this_models(model):
    kept = recorded_recovery()
    assert kept.model.fingerprint == model.fingerprint, "record it anew: make traces"
    assert kept.prefixes == recovering.COUNT and kept.kinds == KINDS
    for curve in kept.curves:
        assert all(low <= mean + 1e-9 and mean <= high + 1e-9 for low, mean, high in
                   zip(curve.low, curve.mean, curve.high, strict=True))  # fmt: skip


@pytest.mark.slow
def test_the_recorded_run_can_be_measured_again(model):
    kept = recorded_recovery()
    *_, (_, _, again) = recover(model, [each.text for each in passages()], protocols=("given",))
    for kind in KINDS:
        assert again.curve(kind).mean == pytest.approx(kept.curve(kind).mean, abs=1e-3)
        assert again.curve(kind).half == kept.curve(kind).half


# ---- the view without a browser


def test_the_view_shows_the_record_and_refuses_what_it_must_not_take(small):
    view = View(small, model=None)
    assert view.kind == "random word" and not view.can_live
    assert view.sentences["given"]["kl"]["foreign"] == say(small, "foreign", "given", "kl")
    view.set_state({"kind": "shuffled", "protocol": "own", "measure": "kl", "record": {}})
    assert (view.kind, view.protocol, view.measure, view.record["prefixes"]) == ("shuffled", "own", "kl", 12)
    view.set_state({"kind": "upside down", "protocol": "mine", "measure": 3})
    assert (view.kind, view.protocol, view.measure) == ("shuffled", "own", "kl")
    view.on_measure({"count": COUNTS[0]})
    assert "No such model" in view.error


@pytest.mark.parametrize("count", [0, 51, -50, 50.0, True, "50", None, 10**9, [50]])
def test_only_offered_counts_are_measured(count):
    with pytest.raises(TraceError, match="50, 100 or 200"):
        checked_count({"count": count})
    assert checked_count({"count": 50}) == 50


def test_a_live_measurement_grows_and_keeps_what_was_done_at_stop(small, model, monkeypatch):
    """Catches: a Stop that is not heard, one that throws away what was measured, a second run beside the first."""
    view = View(small, model)
    texts = [each.text for each in passages()]
    begin = lambda model, count: recover(model, texts, count, ["near miss", "shuffled"], length=8, steps=4, batch=10)  # noqa: E731
    monkeypatch.setattr(view, "_begin", begin)

    async def until(holds):
        for _ in range(3000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not come to that")

    async def drive():
        view.on_measure({"count": 50, "request": 1})
        view.on_measure({"count": 50, "request": 2})
        assert "under way" in view.error
        await until(lambda: view.mode == "live")
        view.on_stop({})
        await until(lambda: view.status["state"] == "idle")
        assert 10 <= view.run.prefixes < 50
        assert view.kind in view.run.kinds
        view.on_measure({"count": "many"})
        await until(lambda: view.error)
        await until(lambda: view.status["state"] == "idle")
        view.on_measure({"count": 50})
        await until(lambda: view.run.prefixes == 50)
        await until(lambda: view.status["state"] == "idle")

    asyncio.run(drive())
    assert not view.error


def test_a_kind_that_is_gone_leaves_another_in_front(small, model):
    """Catches: a record of fewer kinds that leaves the view pointing at a curve that is not there."""
    view = View(small, model=None, kind="foreign")
    texts = [each.text for each in passages()[:4]]
    *_, (_, _, run) = recover(model, texts, 4, CORRUPTIONS[:1], length=8, steps=3)
    view._take(run)
    assert view.kind == CORRUPTIONS[0]
