"""The causal mask: one pass against n, against transformers, and what a change may move."""

import json
import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import tokentrace
from tokentrace.causal_mask import (
    MOST_TOKENS,
    MaskRun,
    attention_of,
    from_n_passes,
    from_one_pass,
    logprobs_of,
    recorded_mask,
    say_change,
    study,
    widest_head,
)
from tokentrace.chain_rule import TextError
from tokentrace.trace import TraceError
from tokentrace.views.causal_mask import CausalMask, OnePass, checked_change, stand_in

TEXT = "The old woman took the lamp and went slowly up the stairs."


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def run(model) -> MaskRun:
    return study(model, TEXT, {3: " king", 6: " letter"})


def random_gpt2(folder, seed: int):
    """A small GPT-2 with random weights, as ours and as transformers', of this seed."""
    from tokentrace.lm import GPT2

    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=5, n_positions=32, n_embd=24, n_layer=3, n_head=4, initializer_range=0.4)
    theirs = GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(folder)
    return GPT2(folder), theirs


@pytest.mark.parametrize("seed", range(4))
def test_one_pass_is_n_passes_and_transformers(tiny_model, tmp_path, seed):
    """Catches: a mask that lets a position see one too many or one too few; positions counted from another place."""
    (tmp_path / "tokenizer.json").write_bytes((tiny_model.folder / "tokenizer.json").read_bytes())
    ours, theirs = random_gpt2(tmp_path, seed)
    ids = [0, *torch.randint(5, (20,)).tolist()]
    once = from_one_pass(ours, ids)
    many = torch.stack([logits for logits, _ in from_n_passes(ours, ids)])
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0]
    assert (once - many).abs().max() <= 1e-4
    assert (once - wanted).abs().max() <= 1e-4


def test_embedded_model_agrees_with_transformers(model, run):
    theirs = GPT2LMHeadModel.from_pretrained(model.folder, dtype=torch.float32).eval()
    ids = [run.start, *run.ids]
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    for place, token in enumerate(run.ids):
        assert run.one_pass[place] == pytest.approx(float(wanted[place, token]), abs=1e-4)
        assert run.n_passes[place] == pytest.approx(float(wanted[place, token]), abs=1e-4)
    assert run.gap <= 1e-4
    assert len(run.n_ms) == len(run.ids)


def test_a_change_moves_its_own_place_and_later_ones_only(run):
    """Exactly 0 before: a masked weight is exp(-inf) = 0, and both passes add up in the same order.

    Catches: `causal` that is not handed on, in either direction.
    """
    for change in run.changes:
        assert change.before == 0
        assert min(change.moved[change.at :]) > 1e-3
        assert min(change.moved_open) > 1e-3


def test_a_change_of_the_last_token_moves_one_place(model):
    run = study(model, TEXT, {13: "!"})
    assert [moved > 0 for moved in run.changes[0].moved] == [False] * 13 + [True]
    assert run.changes[0].before_open > 0


def test_without_a_mask_it_is_the_open_pass_of_brute_force(model, run):
    """Catches: `no_mask` taken from the masked logits. Brute force: a mask of ones, given by hand."""
    ids = [run.start, *run.ids]
    everywhere = torch.ones(len(ids), len(ids), dtype=torch.bool)
    logits = model.forward([ids], mask=everywhere)[0]
    assert list(run.no_mask) == pytest.approx(logprobs_of(logits, ids), abs=1e-4)
    assert max(abs(a - b) for a, b in zip(run.no_mask, run.one_pass, strict=True)) > 0.1


def test_attention_is_a_triangle_of_distributions(model, run):
    """Catches: `tril(past + 1)` in the mask."""
    weights = attention_of(model, [run.start, *run.ids])
    assert weights.shape[:2] == (model.config.n_layer, model.config.n_head)
    assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
    assert not weights.triu(1).any()
    opened = attention_of(model, [run.start, *run.ids], causal=False)
    assert (opened.triu(1).sum(-1)[..., :-1] > 0).all()
    assert (run.layer, run.head) == widest_head(weights)
    # The widest head by hand, one row at a time.
    entropies = {
        (layer, head): sum(-sum(p * math.log(p) for p in row if p) for row in weights[layer, head].tolist())
        for layer in range(weights.shape[0])
        for head in range(weights.shape[1])
    }
    assert max(entropies, key=entropies.get) == widest_head(weights)


def test_a_record_comes_back_from_json(run):
    assert MaskRun.from_dict(json.loads(json.dumps(run.to_dict(), allow_nan=False))) == run


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda data: data.pop("gap"), "gap"),
        (lambda data: data.update(text="Another text."), "text"),
        (lambda data: data["one_pass"].pop(), "one_pass"),
        (lambda data: data["changes"][0].update(at=99), "changes"),
        (lambda data: data["changes"][0]["moved"].pop(), "moved"),
        (lambda data: data["attention"][2].__setitem__(5, 0.5), "attention"),
        (lambda data: data.update(ids=[], one_pass=[], n_passes=[], no_mask=[], n_ms=[], changes=[],
                                  attention=[[1.0]], attention_open=[[1.0]]), "ids"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_right_is_refused(run, break_it, says):
    data = json.loads(json.dumps(run.to_dict()))
    break_it(data)
    with pytest.raises(TraceError, match=says):
        MaskRun.from_dict(data)


def test_the_recorded_run_is_this_models(model):
    kept = recorded_mask()
    assert kept.model.fingerprint == model.fingerprint, "record it anew: make traces"
    changes = {change.at: kept.token_text(change.token) for change in kept.changes}
    again = study(model, kept.text, changes, kept.layer, kept.head)
    assert again.one_pass == pytest.approx(kept.one_pass, abs=1e-3)
    for one, other in zip(again.changes, kept.changes, strict=True):
        assert one.moved == pytest.approx(other.moved, abs=1e-2)
        assert one.moved_open == pytest.approx(other.moved_open, abs=1e-2)


@pytest.mark.parametrize(
    ("text", "changes", "more", "says"),
    [
        ("  ", {}, {}, "no text"),
        ("word " * (MOST_TOKENS + 1), {}, {}, "shorten"),
        (TEXT, {99: " king"}, {}, "no token 99"),
        (TEXT, {0: " king"}, {}, "no token 0"),
        (TEXT, {3: " unpronounceablewordling"}, {}, "one token takes one place"),
        (TEXT, {}, {"layer": 99, "head": 0}, "layers"),
    ],
)
def test_what_cannot_be_studied_is_said_in_a_sentence(model, text, changes, more, says):
    with pytest.raises(TextError, match=says):
        study(model, text, changes, **more)


def test_the_sentence_says_what_moved(run):
    change = run.changes[0]
    n = len(run.ids)
    masked, opened = say_change(run, change, True), say_change(run, change, False)
    assert f"positions 3 to {n} and none before" in masked
    assert "exactly 0" in masked
    assert f"all 3 positions before it, by up to {change.before_open:.2g}" in opened


# ---- views without a browser


def test_views_show_the_run_and_refuse_what_they_must_not_take(run):
    view = CausalMask(run)
    assert view.study["text"] == TEXT
    assert view.sentences[0] == [say_change(run, run.changes[0], masked) for masked in (True, False)]
    view.set_state({"masked": False, "shown": 7, "study": {}})
    assert (view.masked, view.shown, view.study["text"]) == (False, len(run.changes) - 1, TEXT)
    assert OnePass(run).run is run


@pytest.mark.parametrize(("message", "wanted"), [({}, (None, None)), ({"at": 3, "word": " king"}, (3, " king"))])
def test_a_change_that_may_be_asked_for(message, wanted):
    assert checked_change(message) == wanted


@pytest.mark.parametrize(
    "message", [{"at": "3", "word": "x"}, {"at": 3, "word": " "}, {"at": 3}, {"at": 1, "word": "x" * 99}]
)
def test_a_change_that_may_not_be_asked_for(message):
    with pytest.raises(TextError):
        checked_change(message)


def test_a_new_text_has_a_change_at_once(model):
    for text in ("One", "A cat sat", "She saw the"):
        ((at, word),) = stand_in(model, text).items()
        made = study(model, text, {at: word})
        assert made.changes[0].token != made.ids[at - 1]
