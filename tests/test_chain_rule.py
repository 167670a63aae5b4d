"""Scores of a given text against transformers and against a pass a token; what a changed word moves; the views."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel

from benches.shapes import write_model
from tests.test_views import talk
from tokentrace import models
from tokentrace.chain_rule import (
    FLOATS,
    Score,
    TextError,
    align,
    first_zero,
    moved,
    products,
    running,
    score,
    scored,
    smallest,
)
from tokentrace.lm import GPT2
from tokentrace.models import open_model
from tokentrace.tokenizer import Tokenizer
from tokentrace.trace import TraceError
from tokentrace.views import ChangedWord, Sentence
from tokentrace.views.sentence import say_moved

RECORDED = ("chain_rule", "chain_rule_before", "chain_rule_after", "chain_rule_long", "chain_rule_prompt")
TEXTS = ("I", " the", "The fisherman tied his boat.", "\n.\n", "naïve – “café” 日本 🙂", "x" * 40, "a b\tc\r\n d  e")


@pytest.fixture(scope="module")
def model():
    return open_model("storyteller")


@pytest.fixture(scope="module")
def sentence():
    return scored("chain_rule")


def reference_logprobs(folder, ids):
    """ln p of every token after the start token, from transformers' logits."""
    reference = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        start = Tokenizer.from_folder(folder).end_of_text
        logits = reference(torch.tensor([[start, *ids]])).logits[0, :-1].double()
    return logits.log_softmax(-1)


# ---- scores


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_scores_equal_transformers(model, name):
    """Catches: a row off by one, a start token left out, probabilities of the filtered logits, stale records."""
    found = scored(name)
    assert found.model.fingerprint == model.fingerprint, "record it anew: make traces"
    wanted = reference_logprobs(model.folder, found.ids)
    for row, token in zip(wanted, found.tokens, strict=True):
        assert token.logprob == pytest.approx(float(row[token.token]), abs=1e-4)
        # A near tie may stand the other way round in the last digit.
        near = row[token.token]
        assert int((row > near + 1e-4).sum()) + 1 <= token.rank <= int((row > near - 1e-4).sum()) + 1
        assert token.entropy == pytest.approx(-float((row.exp() * row).sum()) / math.log(2), abs=1e-3)
        assert token.candidate_logprobs == pytest.approx([float(row[id]) for id in token.candidates], abs=1e-4)
        assert token.candidate_logprobs == pytest.approx(row.topk(len(token.candidates)).values.tolist(), abs=1e-4)
    assert found.logprob == pytest.approx(
        sum(float(row[id]) for row, id in zip(wanted, found.ids, strict=True)), abs=0.02
    )


@pytest.mark.parametrize("seed", range(3))
def test_random_models_equal_transformers(tmp_path, seed):
    shape = {"n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 300, "n_positions": 96}
    folder = write_model(tmp_path, seed=seed, **shape)
    found = score(GPT2(folder), "What a model has not learned, it still scores: 12.5 %, é.")
    wanted = reference_logprobs(folder, found.ids)
    assert [each.logprob for each in found.tokens] == pytest.approx(
        [float(row[id]) for row, id in zip(wanted, found.ids, strict=True)], abs=1e-4
    )


def test_one_pass_equals_a_pass_a_token(model, sentence):
    """Brute force: the model reads every beginning anew. Catches: a token that sees itself or what follows."""
    ids = [model.tokenizer.end_of_text, *sentence.ids]
    for place, token in enumerate(sentence.tokens):
        row = model.forward([ids[: place + 1]], last_only=True)[0, -1].double().log_softmax(-1)
        assert token.logprob == pytest.approx(float(row[token.token]), abs=1e-4)


def test_the_joint_sums_to_one(tiny_model):
    """All 5^3 texts of three tokens of a tiny model. Catches: a conditional that is none."""
    total = 0.0
    ids = torch.cartesian_prod(*[torch.arange(5)] * 3)
    logprobs = tiny_model.forward(torch.cat([torch.zeros(125, 1, dtype=torch.long), ids[:, :-1]], 1)).log_softmax(-1)
    total = logprobs.gather(2, ids[:, :, None]).sum((1, 2)).exp()
    assert float(total.sum()) == pytest.approx(1, abs=1e-5)
    text = "bca"
    place = ids.tolist().index([2, 3, 1])
    assert math.exp(score(tiny_model, text).logprob) == pytest.approx(float(total[place]), rel=1e-5)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_from_its_tokens(model, text):
    found = score(model, text)
    assert b"".join(found.vocabulary[token] for token in found.ids).decode() == found.text == text
    assert found.n_bytes == len(text.encode())
    assert Score.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_four_dresses_of_one_number(sentence):
    """Each follows from each. Catches: bits for nats, characters for bytes, a start token that is counted."""
    n, size = len(sentence.ids), len(sentence.text.encode())
    assert sentence.perplexity == pytest.approx(math.exp(sentence.logprob) ** (-1 / n))
    assert sentence.bits_per_token == pytest.approx(math.log2(sentence.perplexity))
    assert sentence.bits_per_byte * size == pytest.approx(sentence.bits_per_token * n)
    assert sentence.logprob == pytest.approx(sum(math.log(each.probability) for each in sentence.tokens))
    assert math.prod(each.probability for each in sentence.tokens) == pytest.approx(math.exp(sentence.logprob))


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "sentence first"), (" \n ", "sentence first"), ("a\ud800b", "half"), ("word " * 3000, "shorten")],
)
def test_what_cannot_be_scored_is_said(model, text, words):
    with pytest.raises(TextError, match=words):
        score(model, text)


def test_the_longest_text_that_fits(model):
    """Catches: a limit that forgets that the last token is scored but never read."""
    text = "a" + " the" * (model.config.n_ctx - 1)
    assert len(score(model, text).tokens) == model.config.n_ctx
    with pytest.raises(TextError):
        score(model, text + " the")


# ---- running products


@pytest.mark.parametrize("dtype", FLOATS)
def test_products_are_what_numpy_multiplies(dtype):
    """Catches: a product kept in double precision and only shown in half."""
    logprobs = [token.logprob for token in scored("chain_rule_long").tokens]
    with np.errstate(under="ignore"):
        wanted = np.multiply.accumulate(np.array([math.exp(each) for each in logprobs], dtype), dtype=dtype)
    assert products(logprobs, dtype) == [float(value) for value in wanted]


def test_a_product_underflows_where_the_logs_say(sentence):
    """Catches: a record too short to show it; a zero seen too early or too late."""
    long = scored("chain_rule_long")
    assert 60 <= len(long.tokens) <= 300
    curves = running(long)
    places = []
    for dtype in FLOATS:
        zero = first_zero(curves["products"][dtype]["values"])
        assert curves["products"][dtype]["zero"] == zero is not None
        floor = math.log(smallest(dtype))
        # Rounding to nearest loses what is less than half the smallest number, but each of the last few products
        # rounds by up to a half of itself: allow for two such steps.
        assert curves["logprob"][zero] < floor + math.log(2)
        assert curves["logprob"][zero - 1] > floor - 3 * math.log(2)
        places.append(zero)
    assert places == sorted(set(places))
    assert curves["logprob"][-1] == pytest.approx(long.logprob)
    assert curves["perplexity"][-1] == pytest.approx(long.perplexity)
    assert curves["bits_per_byte"][-1] == pytest.approx(long.bits_per_byte)
    assert curves["bytes"][-1] == long.n_bytes
    json.dumps(curves, allow_nan=False)
    assert first_zero([0.5, 0.25]) is None


# ---- two versions


ids = st.lists(st.integers(0, 3), max_size=9)


@given(ids, ids)
def test_two_versions_are_laid_side_by_side(old, new):
    """Catches: a token lost or met twice, a shared end that overlaps the shared start."""
    change = align(old, new)
    assert [pair.old for pair in change.pairs if pair.old is not None] == list(range(len(old)))
    assert [pair.new for pair in change.pairs if pair.new is not None] == list(range(len(new)))
    head, tail = change.pairs[: change.before], change.pairs[len(change.pairs) - change.after :]
    assert all(old[pair.old] == new[pair.new] for pair in [*head, *tail])
    if change.before < min(len(old), len(new)):
        assert old[change.before] != new[change.before]
    assert change.before + change.after <= min(len(old), len(new))


def test_a_changed_word_moves_what_follows_and_nothing_before(model):
    """Also live, with words of other lengths. Catches: a mask that lets a token see the future."""
    before, after = moved(scored("chain_rule_before"), scored("chain_rule_after"))
    assert len(before) >= 3 and len(after) >= 5
    assert max(map(abs, before)) <= 1e-4
    assert min(map(abs, after)) > 0 and max(map(abs, after)) > 0.5
    old, new = (score(model, f"The old {who} sat down by the fire.") for who in ("man", "grandmother-in-law"))
    assert len(old.ids) != len(new.ids)
    before, after = moved(old, new)
    assert max(map(abs, before)) <= 1e-4 and len(before) == 2
    assert len(after) == 6 and max(map(abs, after)) > 0.01


def test_what_moved_is_said(model, sentence):
    assert "Both versions are the same" in say_moved(sentence, sentence)
    said = say_moved(scored("chain_rule_before"), scored("chain_rule_after"))
    before, after = moved(scored("chain_rule_before"), scored("chain_rule_after"))
    assert f"Before the change {len(before)} tokens" in said and f"After it {len(after)} tokens" in said
    assert f"{max(map(abs, after)):.2f} nats" in said
    one, other = score(model, "The end"), score(model, "A start")
    assert say_moved(one, other) == "No token stands before the change. No token that both share stands after it."


# ---- the record


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data.pop("text"), "'text' is missing"),
        (lambda data: data.update(extra=1), "'extra' is unknown"),
        (lambda data: data.update(format="tokentrace"), "not a tokentrace score"),
        (lambda data: data.update(version=9), "readable is 1"),
        (lambda data: data.update(text="I love dogs"), "do not spell"),
        (lambda data: data["tokens"]["logprob"].pop(), "expected 3"),
        (lambda data: data["tokens"]["logprob"].__setitem__(0, 0.5), "at most 0"),
        (lambda data: data["tokens"]["logprob"].__setitem__(0, "x"), "tokens.logprob"),
        (lambda data: data["tokens"]["rank"].__setitem__(0, 0), "tokens.rank"),
        (lambda data: data["tokens"]["candidates"][0].__setitem__(0, 9999), "9999"),
        (lambda data: data["tokens"]["candidates"][1].pop(), "candidate_logprobs"),
        (lambda data: data["vocabulary"].pop(str(data["tokens"]["token"][0])), "not listed"),
        (lambda data: data["tokens"].update({key: [] for key in data["tokens"]}), "at least one token"),
        (lambda data: data["model"].pop("name"), "model"),
    ],
)
def test_a_damaged_record_is_refused_by_name(damage, words):
    data = scored("chain_rule_prompt").to_dict()
    damage(data)
    with pytest.raises(TraceError, match=words):
        Score.from_dict(data)


def test_save_and_load(tmp_path, sentence):
    assert Score.load(sentence.save(tmp_path / "score.json")) == sentence
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(TraceError, match=r"bad\.json"):
        Score.load(tmp_path / "bad.json")


# ---- the views


def test_first_paint_needs_no_model(sentence):
    view = Sentence(sentence)
    assert view.scored == sentence.to_dict() and view.mode == "recorded" and not view.can_live
    assert view.step == len(sentence.ids) - 1 and view.score is sentence
    assert Sentence(sentence, step=2).step == 2
    view.set_state({"step": 10**6})
    assert view.step == len(sentence.ids) - 1
    view.set_state({"scored": {}, "text": "x", "mode": "live"})
    assert view.scored and view.text == sentence.text and view.mode == "recorded"
    json.dumps([view.scored, view.curves], allow_nan=False)


def test_a_text_is_scored_live(model, sentence):
    view = Sentence(sentence, "storyteller")
    talk(view, {"type": "score", "request": 1, "text": "The queen was glad."})
    assert (view.error, view.mode, view.text) == ("", "live", "The queen was glad.")
    wanted = score(model, "The queen was glad.")
    assert view.score.tokens == wanted.tokens and view.curves == running(wanted)
    assert view.status["state"] == "idle" and view.step == len(wanted.ids) - 1


def test_two_versions_are_scored_live(model):
    view = ChangedWord(scored("chain_rule_before"), scored("chain_rule_after"), model)
    assert view.sentence and view.mode == "recorded"
    talk(view, {"type": "score", "texts": ["The king was glad.", "The king was very glad."]})
    assert view.error == "" and view.mode == "live"
    assert [each.text for each in view.scores] == ["The king was glad.", "The king was very glad."]
    assert view.pairs == [[0, 0], [1, 1], [2, 2], [None, 3], [3, 4], [4, 5]] and view.shared == [3, 2]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"text": ""}, "sentence first"),
        ({"text": None}, "must be text"),
        ({}, "must be text"),
        ({"text": "x" * 30_000}, "at most"),
        ({"text": "word " * 3000}, "shorten"),
        ({"text": "a\ud800"}, "half of a character"),
        ({"text": "hello", "model": "/etc"}, "No such model"),
        ({"text": "hello", "model": ["storyteller"]}, "No such model"),
    ],
)
def test_whatever_the_browser_sends_is_a_sentence_and_nothing_is_lost(sentence, message, words):
    view = Sentence(sentence, "storyteller")
    talk(view, {"type": "score"} | message)
    assert words in view.error and view.error.endswith(".")
    assert view.score is sentence and view.mode == "recorded" and view.status["state"] == "idle"
    pair = ChangedWord(scored("chain_rule_before"), scored("chain_rule_after"), "storyteller")
    talk(pair, {"type": "score", "model": message.get("model"), "texts": [message.get("text"), "fine"]})
    assert words in pair.error and pair.mode == "recorded"


@pytest.mark.parametrize("texts", [None, "ab", [], ["a"], ["a", "b", "c"], [1, 2], {"0": "a"}])
def test_two_texts_are_two_texts(texts):
    view = ChangedWord(scored("chain_rule_before"), scored("chain_rule_after"), "storyteller")
    talk(view, {"type": "score", "texts": texts})
    assert "must be text" in view.error


def test_a_view_without_a_model_says_so(sentence):
    view = Sentence(sentence)
    talk(view, {"type": "score", "text": "hello"})
    assert "No such model" in view.error


def test_records_are_of_the_embedded_model():
    assert {scored(name).model.name for name in RECORDED} == {"storyteller"} <= set(models.available())
