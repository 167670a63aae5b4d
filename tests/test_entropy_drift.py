"""Entropy drift: entropies and texts against transformers and theory, and words that follow from the numbers."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

import tokentrace
from tokentrace import entropy_drift
from tokentrace.claims.recovery import calibration, damage, maximising, rails
from tokentrace.data import measured
from tokentrace.entropy_drift import COPIES, WAYS, repeated, summary
from tokentrace.experiments.entropy_drift import DRIFT, same_choices
from tokentrace.figures import to_svg
from tokentrace.prefixes import PrefixError
from tokentrace.questions.recovery import circle

TEXTS = ["abcdabca", "bcdabcda", "cabdcabb", "ddabcabc"]
START, N, SEED = 2, 6, 5


@pytest.fixture
def small_bins(monkeypatch):
    """Bins of two positions: the tiny model reads eight tokens."""
    monkeypatch.setattr(entropy_drift, "BIN", 2)


@pytest.fixture
def written(tiny_model):
    """Texts, entropies and surprises of the tiny model, by way."""
    prompts = np.array([tiny_model.tokenizer.encode(text)[:START] for text in TEXTS])
    writing = entropy_drift._Writing(tiny_model, prompts, N, SEED)
    for step in range(N):
        writing.step(step)
    return writing.found()


def transformers_guesses(tiny_model, texts: np.ndarray) -> np.ndarray:
    """Distributions [texts, N, vocab] at the written places, float64."""
    reference = GPT2LMHeadModel.from_pretrained(tiny_model.folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return reference(torch.from_numpy(texts)).logits[:, START - 1 : -1].double().softmax(-1).numpy()


def in_bits(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(p)).sum(-1)


def test_texts_and_entropies_are_those_of_transformers(tiny_model, written):
    """Every token chosen again from transformers' guess. Catches: one row's random numbers in another's place,
    greedy and drawn exchanged, a switch at the wrong step, an entropy after the filter, a prompt of another passage."""
    uniforms = np.random.default_rng(SEED).random((N, len(TEXTS) * (sum(COPIES.values()) - 1), 1))[..., 0]
    first = 0
    for way, (texts, entropies, surprises) in written.items():
        guesses = transformers_guesses(tiny_model, texts)
        assert entropies == pytest.approx(in_bits(guesses), abs=1e-4)
        came = np.take_along_axis(guesses, texts[:, START:, None], 2)[..., 0]
        assert surprises == pytest.approx(-np.log2(came), abs=1e-4)
        for row, text in enumerate(texts):
            assert text[:START].tolist() == tiny_model.tokenizer.encode(TEXTS[row % len(TEXTS)])[:START]
            for step in range(N):
                guess, token = guesses[row, step].copy(), text[START + step]
                if way == "greedy" or (way == "greedy, then drawn" and step < N // 2):
                    assert token == guess.argmax()
                    continue
                if way == "top-p":
                    order = guess.argsort()[::-1]
                    kept = order[: int((guess[order].cumsum() < entropy_drift.TOP_P).sum()) + 1]
                    assert token in kept
                    guess[np.setdiff1d(np.arange(5), kept)] = 0
                    guess /= guess.sum()
                edges, u = guess.cumsum(), uniforms[step, first + row]
                assert (edges[token - 1] if token else 0) - 1e-5 <= u <= edges[token] + 1e-5
        first += len(texts)


def test_drawn_text_surprises_as_much_as_it_expects(tiny_model):
    """Theory: for an ancestral sample, surprise less entropy has mean 0 at every step, whatever the model.

    Catches: draws from another distribution than the one whose entropy is counted (top-p's would lie far below).
    """
    writing = entropy_drift._Writing(tiny_model, np.tile([[1, 2]], (400, 1)), N, SEED)
    for step in range(N):
        writing.step(step)
    _, entropies, surprises = writing.found()["drawn"]
    gap = surprises - entropies
    assert abs(gap.mean()) <= 4 * gap.std() / math.sqrt(gap.size)
    _, entropies, surprises = writing.found()["top-p"]
    assert (surprises - entropies).mean() < -0.05


def test_true_text_is_read_as_it_stands(tiny_model):
    ids = np.array([tiny_model.tokenizer.encode(text) for text in TEXTS])
    texts, entropies, surprises = entropy_drift._along(tiny_model, ids, START)
    guesses = transformers_guesses(tiny_model, ids)
    assert (texts == ids).all()
    assert entropies == pytest.approx(in_bits(guesses), abs=1e-4)
    assert surprises == pytest.approx(-np.log2(np.take_along_axis(guesses, ids[:, START:, None], 2)[..., 0]), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_repeats_are_those_of_brute_force(seed):
    """Catches: a stretch that counts itself, overlapping repeats that are missed, a wrong length."""
    tokens = np.random.default_rng(seed).integers(0, 3, 40).tolist()
    for n in (2, 4):
        grams = [tuple(tokens[end - n : end]) if end >= n else None for end in range(1, 41)]
        wanted = [gram is not None and gram in grams[:place] for place, gram in enumerate(grams)]
        assert repeated(tokens, n) == wanted
    assert repeated([1] * 6, 4) == [False] * 4 + [True] * 2


def test_a_measurement_counts_up_and_can_be_told_and_drawn(tiny_model, small_bins):
    steps = list(entropy_drift.entropy_drift(tiny_model, "", TEXTS, START, N, SEED))
    assert [done for done, *_ in steps] == list(range(1, N + 2))
    assert {total for _, total, _ in steps} == {N + 1} and all(record is None for *_, record in steps[:-1])
    record = steps[-1][2]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record["bins"]) == set(record["means"]) == set(WAYS)
    for way in WAYS:
        assert len(record["bins"][way]["entropy"]) == N // 2
        assert record["means"][way]["texts"] == COPIES[way] * len(TEXTS)
    told = DRIFT.tell(record)
    assert told.sentence.endswith(".") and all(len(row) == len(told.heads) for row in told.rows)
    assert to_svg(DRIFT.draw(record)).startswith("<svg")


def test_what_cannot_be_measured_is_said_in_a_sentence(tiny_model):
    with pytest.raises(PrefixError, match="At least two passages"):
        next(entropy_drift.entropy_drift(tiny_model, "", TEXTS))


def test_means_and_gaps_are_over_passages(small_bins):
    """By hand on three passages of constant entropy. Catches: gaps the wrong way, copies counted as passages."""
    k, n = 3, 8
    text = np.arange(k * (n + 4)).reshape(k, -1)
    found = {}
    for way, level in {"true": 5.0, "drawn": 6.0, "top-p": 5.5, "greedy": 2.0, "greedy, then drawn": 3.0}.items():
        texts = np.tile(text, (COPIES[way], 1))
        if way == "greedy":
            texts = np.ones_like(texts)
        entropies = np.full((len(texts), n), level) + np.tile([[-0.5], [0.0], [0.5]], (COPIES[way], 1))
        found[way] = texts, entropies, np.full((len(texts), n), 1.0)
    record = summary(found, k, n)
    assert record["gaps"]["exposure"]["entropy"] == pytest.approx([1, 1, 1])
    assert record["gaps"]["decoding"]["entropy"] == pytest.approx([-4, -4, -4])
    mean, low, high = record["means"]["drawn"]["entropy"]
    assert mean == 6 and low < 6 < high
    assert record["means"]["greedy"]["repeated"] == [1, 1, 1] and record["means"]["drawn"]["repeated"] == [0, 0, 0]
    assert record["late"] == {"greedy": 1, "greedy, then drawn": 0, "drawn": 0}
    assert record["means"]["greedy"]["loops"] == 3 and record["means"]["true"]["loops"] == 0


# ---- the recorded run, and words that follow from the numbers


@pytest.fixture
def record():
    return json.loads(json.dumps(measured("entropy_drift")))


def test_the_recorded_run_is_this_models(record):
    assert record["fingerprint"] == tokentrace.load(record["model"]).fingerprint, "record it anew: make traces"


def test_the_sentence_follows_the_numbers(record):
    """Catches: a sentence that blames decoding, or says that 0 lies in the band, whatever was measured."""
    gaps = record["gaps"]
    gaps["exposure"] = {"entropy": [0.5, 0.2, 0.8], "repeated": [0.1, 0.05, 0.15]}
    gaps["decoding"] = {"entropy": [-1, -2, 0], "repeated": [0.3, 0.2, 0.4]}
    sentence = DRIFT.tell(record).sentence
    assert "difference of +0.50 (95 % band +0.20 to +0.80)" in sentence and "25.0%" in sentence
    assert damage(record).verdict == "wrong" and maximising(record).verdict in ("holds", "wrong")
    gaps["exposure"]["repeated"] = [0.0, -0.01, 0.01]
    gaps["exposure"]["entropy"] = [-0.1, -0.3, 0.1]
    sentence = DRIFT.tell(record).sentence
    assert "which holds 0" in sentence and "adds no repetition" in sentence
    assert damage(record).verdict == "simplified" and rails(record).verdict == "simplified"
    gaps["decoding"]["repeated"] = [0.0, -0.1, 0.1]
    assert "no more than drawn text" in DRIFT.tell(record).sentence
    assert rails(record).verdict == "wrong" and maximising(record).verdict == "wrong"
    gaps["exposure"]["repeated"] = [0.2, 0.1, 0.3]
    assert rails(record).verdict == "holds"


def test_a_calibrated_model_would_have_one_number(record):
    record["means"]["true"]["surprise"], record["means"]["drawn"]["entropy"] = 5.0, [5.0, 4.9, 5.1]
    assert same_choices(record) == (32, 32, 1)
    assert calibration(record).verdict == "wrong"
    record["means"]["drawn"]["entropy"] = [6.0, 5.9, 6.1]
    assert same_choices(record) == (32, 64, 2) and calibration(record).verdict == "holds"


@pytest.mark.parametrize(
    ("stays", "leaves", "answer"), [(0.9, 0.05, "gets out"), (0.9, 0.8, "goes on"), (0.1, 0.1, "no circle")]
)
def test_the_answer_follows_the_numbers(record, stays, leaves, answer):
    record["late"] = {"greedy": stays, "greedy, then drawn": leaves, "drawn": 0.0}
    assert answer in circle(record).measured()
