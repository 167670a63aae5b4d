"""The two lanes against transformers and by hand, what an error may move, and the view without a browser."""

import asyncio
import json
import math
import time

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import tokentrace
from tokentrace.chain_rule import TextError
from tokentrace.claims import exposure as claims
from tokentrace.exposure import KINDS, ErrorRun, TwoLanes, recorded_lanes, say_error, say_place, say_recovery
from tokentrace.passages import Passage, passage
from tokentrace.questions import exposure as questions
from tokentrace.trace import TraceError
from tokentrace.two_lanes import (
    after_words,
    best_other,
    last_word,
    put_error,
    random_word,
    run_lanes,
    stream_lanes,
    typed_token,
)
from tokentrace.views import Lanes

SAMPLED = {"strategy": "sample", "temperature": 0.9, "top_k": 50, "top_p": 0.9}


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def theirs(model):
    return GPT2LMHeadModel.from_pretrained(model.folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def greedy(model) -> TwoLanes:
    return run_lanes(model, passage("lamp"), words=8, places=16)


@pytest.fixture(scope="module")
def sampled(model) -> TwoLanes:
    return run_lanes(model, passage("soup"), words=12, places=16, seed=3, **SAMPLED)


@pytest.fixture(scope="module")
def with_errors(model, sampled) -> TwoLanes:
    run = sampled
    for kind, token in run.offered(4).items():
        run = put_error(model, run, 4, token, kind)
    return run


def random_lanes(tiny_model, folder, seed: int):
    """Lanes over letters of a small GPT-2 with random weights, and transformers' copy of it."""
    from tokentrace.lm import GPT2

    (folder / "tokenizer.json").write_bytes((tiny_model.folder / "tokenizer.json").read_bytes())
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=5, n_positions=24, n_embd=24, n_layer=3, n_head=4, initializer_range=0.4)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    return GPT2(folder), model


# ---- against transformers


def assert_transformers_agree(run: TwoLanes, model):
    """Loss with labels over the true text; ln P of the true tokens after the model's own words."""
    given = [run.start, *run.opening]
    ids = torch.tensor([[*given, *run.true]])
    labels = ids.clone()
    labels[:, : len(given)] = -100
    with torch.no_grad():
        loss = float(model(ids, labels=labels).loss)
        own = model(torch.tensor([[*given, *run.own]])).logits[0, len(given) - 1 : -1].log_softmax(-1)
        true = model(ids).logits[0, len(given) - 1 : -1].log_softmax(-1)
    assert run.forced_loss == pytest.approx(loss, abs=1e-4)
    wanted = own[torch.arange(len(run.true)), torch.tensor(run.true)].tolist()
    assert run.free_logprobs == pytest.approx(wanted, abs=1e-4)
    assert run.free_loss == pytest.approx(-sum(wanted) / len(wanted), abs=1e-4)
    tv = (own.exp() - true.exp()).abs().sum(-1) / 2
    assert run.tv == pytest.approx(tv.tolist(), abs=1e-4)
    assert run.kl == pytest.approx((true.exp() * (true - own)).sum(-1).tolist(), abs=1e-3)


def test_both_lanes_are_transformers(greedy, sampled, theirs):
    """Catches: a row of the wrong place, an opening that is scored too, KL the other way round."""
    assert_transformers_agree(greedy, theirs)
    assert_transformers_agree(sampled, theirs)


def test_the_free_lane_is_transformers_greedy_generate(greedy, theirs):
    """Catches: a cache that is one position off, a lane that is fed the true token."""
    given = [greedy.start, *greedy.opening]
    with torch.no_grad():
        written = theirs.generate(
            torch.tensor([given]),
            attention_mask=torch.ones(1, len(given), dtype=torch.long),
            do_sample=False,
            max_new_tokens=len(greedy.own),
            pad_token_id=greedy.start,
        )[0]
    assert tuple(written[len(given) :].tolist()) == greedy.own


@pytest.mark.parametrize("seed", range(3))
def test_lanes_of_random_models_are_transformers(tiny_model, tmp_path, seed):
    """No assumption of a vocabulary or a trained model; the end of the text ends both lanes."""
    ours, model = random_lanes(tiny_model, tmp_path, seed)
    text = Passage("letters", "Letters", "none", "abcdabdcacbdbbca")
    run = run_lanes(ours, text, words=0, **(SAMPLED if seed else {}))
    assert len(run.own) == len(text.text) or run.ended
    assert_transformers_agree(run, model)
    assert run.gap <= 1e-4
    error = put_error(ours, run, 0, run.near[0], "near miss").errors[0]
    assert error.own[0] == run.near[0] != run.own[0]


# ---- the same random numbers, and what an error moves


def test_while_the_texts_agree_the_lanes_are_one(model, greedy):
    """Catches: lanes that draw different random numbers, a divergence of two roundings instead of exactly 0."""
    run = run_lanes(model, passage("lamp"), words=8, places=24, seed=5, strategy="sample", temperature=0.3)
    for each in (greedy, run):
        same = len(each.true) if each.parted is None else each.parted + 1
        assert each.choices[:same] == each.own[:same]
        assert not any(each.tv[:same]) and not any(each.kl[:same])
        assert all(each.tv[same:]) and all(each.kl[same:])
        assert each.gap <= 1e-4
        assert each.forced_logprobs[:same] == each.free_logprobs[:same]


def test_each_place_has_its_own_random_number(sampled, theirs):
    """Inverse of the cumulative distribution, by hand. Catches: a number used twice, a filter on the wrong lane."""
    assert sampled.uniforms == tuple(np.random.default_rng(3).random(len(sampled.own)).tolist())
    given = [sampled.start, *sampled.opening]
    for column, fed in ((sampled.own, sampled.own), (sampled.choices, sampled.true)):
        with torch.no_grad():
            logits = theirs(torch.tensor([[*given, *fed]])).logits[0, len(given) - 1 : -1].double() / 0.9
        for place, row in enumerate(logits):
            best = row.topk(50)
            p = best.values.softmax(-1)
            p = torch.where(p.cumsum(-1) - p < 0.9, p, 0.0)
            edges = (p / p.sum()).cumsum(-1)
            wanted = int(best.indices[int((edges <= sampled.uniforms[place]).sum())])
            near_an_edge = float((edges - sampled.uniforms[place]).abs().min()) < 1e-4
            assert column[place] == wanted or near_an_edge


def test_an_error_moves_nothing_before_it_and_everything_after(model, sampled, with_errors, theirs):
    """Catches: a run that goes on from the clean prefix, other random numbers, divergence at the error's own place."""
    assert [error.kind for error in with_errors.errors] == list(sampled.offered(4))
    given = [sampled.start, *sampled.opening]
    for error in with_errors.errors:
        assert error.own[:4] == sampled.own[:4]
        assert error.own[4] == error.token != sampled.own[4]
        assert not any(error.tv[:5]) and not any(error.kl[:5])
        assert all(value > 0 for value in error.after())
        with torch.no_grad():
            rows = [
                theirs(torch.tensor([[*given, *own]])).logits[0, len(given) - 1 : -1].double().log_softmax(-1)
                for own in (sampled.own[: len(error.own)], error.own)
            ]
        assert error.tv == pytest.approx(((rows[0].exp() - rows[1].exp()).abs().sum(-1) / 2).tolist(), abs=1e-4)
        assert error.logprob == pytest.approx(float(rows[0][4, error.token]), abs=1e-4)


def test_the_run_with_an_error_is_a_run_from_there(model, sampled):
    """The words after an error are what the lanes write when the error is in the opening. Catches: numbers shifted."""
    token = sampled.random[4]
    error = put_error(model, sampled, 4, token).errors[0]
    from tokentrace.two_lanes import Lane

    opening = [sampled.start, *sampled.opening, *sampled.own[:4], token]
    lane = Lane(model, opening, sampled.settings, list(sampled.uniforms[5:]))
    while len(lane.own) < len(sampled.own) - 5 and not lane.ended:
        whole = model.forward([[*opening, *lane.own]], last_only=True)[0, -1]
        lane.write(whole)
    assert tuple(lane.own) == error.own[5:]


def test_the_half_point():
    """Catches: a half of the largest value, a first place that counts as halved, a rise that is not told."""

    def error(*after):
        n = len(after)
        return ErrorRun(2, "near miss", 1, -1.0, (0,) * (3 + n), (0.0,) * (3 + n), (0.0, 0.0, 0.0, *after))

    assert error(0.8, 0.9, 0.41, 0.4, 0.7).halved() == 4
    assert error(0.8, 0.9, 0.41, 0.4, 0.7).most_again() == 0.7
    assert error(0.8, 0.5, 0.41).halved() is None
    assert error(0.8).halved() is None
    assert error(0.0, 0.0, 0.3).halved() is None
    assert error().halved() is None
    assert "first time after 4 tokens" in say_recovery(error(0.8, 0.9, 0.41, 0.4, 0.7))
    assert "rose to 0.70 again" in say_recovery(error(0.8, 0.9, 0.41, 0.4, 0.7))
    assert "stayed there" in say_recovery(error(0.8, 0.9, 0.3, 0.2))
    assert "There the run ends" in say_recovery(error(0.8, 0.3))
    assert "never fell to half of that in the 3 tokens" in say_recovery(error(0.8, 0.5, 0.41))
    assert "last place" in say_recovery(error())


# ---- words


def test_openings_end_between_words(model):
    ids = model.tokenizer.encode(passage("soup").text)
    for words in (0, 1, 5, 12):
        first = after_words(model, ids, words)
        assert model.tokenizer.decode(ids[:first]).split() == passage("soup").text.split()[:words]
    assert after_words(model, ids, 10_000) == len(ids)


def test_errors_are_words(model, sampled):
    """Catches: half a word as a random word, the written token as its own near miss."""
    for place, token in enumerate(sampled.own):
        assert sampled.near[place] != token != sampled.random[place]
    tokens = {random_word(model, 5, 1, place) for place in range(20)}
    texts = [model.tokenizer.decode([token]) for token in tokens]
    assert len(tokens) > 10
    assert all(text.strip().isalpha() and len(text.strip()) >= 3 for text in texts)
    assert best_other(torch.tensor([0.1, 3.0, 2.0]), 1) == 2
    assert best_other(torch.tensor([0.1, 3.0, 2.0]), 0) == 1
    ids = model.tokenizer.encode("The old man and the sea,")
    assert model.tokenizer.decode([last_word(model, ids)]) == " sea"
    assert last_word(model, model.tokenizer.encode(",.")) is None
    assert typed_token(model, " sea") == ids[-2]
    with pytest.raises(TextError, match="one token takes one place"):
        typed_token(model, " unpronounceablewordling")


def test_what_cannot_be_run_is_said(model, sampled):
    with pytest.raises(TextError, match="nothing left"):
        run_lanes(model, words=400)
    with pytest.raises(TraceError, match="beam"):
        run_lanes(model, strategy="beam", num_beams=2)
    with pytest.raises(TextError, match="no place 17"):
        put_error(model, sampled, 16, 5)
    with pytest.raises(TextError, match="stands there"):
        put_error(model, sampled, 3, sampled.own[3])
    with pytest.raises(TextError, match="other weights"):
        put_error(tokentrace.load("draft"), sampled, 3, 5)


def test_each_pass_is_told(model):
    told = list(stream_lanes(model, passage("lamp"), words=8, places=5))
    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5, 5]
    assert [record is None for *_, record in told] == [True] * 5 + [False]


# ---- the record


def test_a_record_comes_back(with_errors, tmp_path):
    assert TwoLanes.load(with_errors.save(tmp_path / "lanes.json")) == with_errors
    assert (tmp_path / "lanes.json").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["tv"].__setitem__(0, 0.1), "tv: where both lanes have read the same"),
        (lambda data: data["true"].reverse(), "true: the tokens do not spell"),
        (lambda data: data["near"].pop(), "near: has 15 entries"),
        (lambda data: data["errors"][0]["own"].__setitem__(0, data["near"][0]), r"errors\[0\].own"),
        (lambda data: data["errors"][0].__setitem__("at", 40), r"errors\[0\].at"),
        (lambda data: data["errors"][0].__setitem__("kind", "x"), r"errors\[0\].kind"),
        (lambda data: data.__setitem__("ended", 1), "ended: expected bool"),
        (lambda data: data.pop("gap"), "'gap' is missing"),
        (lambda data: data["vocabulary"].popitem(), "vocabulary: token"),
    ],
)
def test_a_record_that_cannot_be_is_refused(with_errors, change, said):
    data = json.loads(json.dumps(with_errors.to_dict()))
    change(data)
    with pytest.raises(TraceError, match=said):
        TwoLanes.from_dict(data)


@pytest.mark.parametrize("name", ["exposure", "exposure_sampled"])
def test_the_recorded_lanes_are_of_the_model_that_lies_here(model, name):
    """Catches: a record left over from other weights, or edited by hand."""
    kept = recorded_lanes(name)
    assert kept.model.fingerprint == model.fingerprint, "record it anew: make traces"
    settings = {key: getattr(kept.settings, key) for key in ("strategy", "temperature", "top_k", "top_p")}
    words = len(b"".join(kept.vocabulary[token] for token in kept.opening).split())
    again = run_lanes(model, passage(kept.passage), words=words, places=len(kept.true), seed=kept.seed, **settings)
    assert (again.true, again.own, again.choices) == (kept.true, kept.own, kept.choices)
    assert {error.kind for error in kept.errors} == set(KINDS[:3])
    for error in kept.errors:
        assert put_error(model, again, error.at, error.token).errors[0].own == error.own


def test_sentences_hold_the_runs_numbers(greedy, with_errors):
    for place in range(len(greedy.true)):
        said = say_place(greedy, place)
        assert f"loss {-greedy.forced_logprobs[place]:.2f}" in said
        assert ("exactly 0" in said) == (greedy.tv[place] == 0)
        if greedy.tv[place]:
            assert f"total variation {greedy.tv[place]:.2f}, KL {greedy.kl[place]:.2f} nats" in said
    error = with_errors.errors[0]
    assert say_error(with_errors, error, 2) == "Before the error the two runs are one."
    assert error.kind in say_error(with_errors, error, 4)
    said = say_error(with_errors, error, 6)
    assert said.startswith("2 tokens after the error.") and f"total variation {error.tv[6]:.2f}" in said


# ---- questions and claims


def test_questions_take_their_answers_from_the_runs(greedy, sampled):
    ask = questions.questions([greedy, sampled])
    assert ask["lane_loss"].measured() == pytest.approx(greedy.free_loss / greedy.forced_loss)
    assert ask["lane_zeros"].measured() in {run.tv.count(0.0) for run in (greedy, sampled)}
    assert ask["lane_passes"].measured() == int(ask["lane_passes"].text.split(" go on for ")[1].split(".")[0]) + 1
    place = int(ask["error_reach"].text.split("at place ")[1].split(".")[0])
    assert ask["error_reach"].measured() == f"Those at places {place + 1} to {len(greedy.true)}"
    for question in ask.values():
        assert question.reveal().because
        if isinstance(question.why, dict):
            assert question.measured() not in question.why


def test_verdicts_follow_from_the_numbers(with_errors, greedy):
    """Catches: a verdict that is written down."""
    from dataclasses import replace

    rows = [claim.to_dict() for claim in claims.claims(with_errors)]
    assert [row["verdict"] for row in rows[:4]] == ["holds", "holds", "simplified", "wrong"]
    assert all(row["measured"] for row in rows)
    apart = replace(with_errors, gap=0.5)
    assert claims.at_once(apart).verdict == "wrong"
    assert claims.two_behaviours(apart).verdict == "holds"
    error = with_errors.errors[0]
    rising = tuple(0.01 * max(0, place - 4) for place in range(len(error.own)))
    assert claims.cascade(replace(with_errors, errors=(replace(error, tv=rising),))).verdict == "holds"
    flat = tuple(0.5 * (place > 4) for place in range(len(error.own)))
    assert claims.cascade(replace(with_errors, errors=(replace(error, tv=flat),))).verdict == "simplified"
    still = tuple(0.0 for _ in error.own)
    assert claims.conditioned(replace(with_errors, errors=(replace(error, tv=still),))).verdict == "simplified"
    assert claims.conditioned(greedy) is None


# ---- the view without a browser


def press(view: Lanes, *messages: dict):
    async def act():
        for message in messages:
            view._receive(view, message, [])
        await asyncio.gather(*view._tasks)

    asyncio.run(act())


def test_the_view_shows_a_record_and_refuses_what_it_must_not_take(greedy, with_errors):
    view = Lanes([greedy, with_errors])
    assert not view.can_live
    assert (view.run, view.place, view.error_shown) == (greedy, len(greedy.true) - 1, -1)
    assert view.runs[1]["run"] == with_errors.to_dict()
    assert view.runs[0]["sentences"][2] == say_place(greedy, 2)
    assert view.runs[1]["errors"][0]["found"]["tv"] == say_recovery(with_errors.errors[0])
    view.set_state({"error_shown": 5, "runs": [], "measure": "js"})
    assert (view.error_shown, view.measure, len(view.runs)) == (-1, "tv", 2)
    view.set_state({"shown": 1})
    view.set_state({"error_shown": 7, "place": 99})
    assert (view.error_shown, view.place) == (len(with_errors.errors) - 1, len(with_errors.true) - 1)
    assert view.error_run is with_errors.errors[-1]
    view.set_state({"shown": 0})
    assert view.error_shown == -1
    press(view, {"type": "lanes", "passage": "soup", "words": 5, "seed": 1, "settings": {}})
    assert "No such model" in view.error


def test_the_view_writes_lanes_and_puts_errors_in(model, greedy):
    """Catches: settings that are not handed on, an error that is shown without its run, a badge that says too much."""
    view = Lanes(greedy, model)
    wish = {"passage": "snow_day", "words": 9, "seed": 4, "settings": {"strategy": "sample", "temperature": 0.7}}
    press(view, {"type": "lanes", "request": 1, **wish})
    assert view.error == ""
    assert (view.shown, view.run.passage, view.run.seed, view.run.settings.temperature) == (1, "snow_day", 4, 0.7)
    assert [each["live"] for each in view.runs] == [False, True]
    assert view.run.own == run_lanes(model, passage("snow_day"), words=9, seed=4, **wish["settings"]).own

    press(view, {"type": "error", "run": 0, "at": 3, "kind": "random word"})
    assert (view.shown, view.error_shown, view.place) == (0, 0, 3)
    assert view.error_run == put_error(model, greedy, 3, greedy.random[3], "random word").errors[0]
    assert (view.runs[0]["live"], view.runs[0]["errors"][0]["live"]) == (False, True)
    press(view, {"type": "error", "run": 0, "at": 6, "kind": "your word", "word": " sea"})
    assert view.run.token_text(view.error_run.token) == " sea"
    assert view.status["state"] == "idle"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"type": "lanes", "passage": "stone", "words": 5, "seed": 1, "settings": {}}, "no passage called"),
        ({"type": "lanes", "passage": "soup", "words": -1, "seed": 1, "settings": {}}, "from 0 to 100"),
        ({"type": "lanes", "passage": "soup", "words": 5, "seed": None, "settings": {}}, "The seed"),
        ({"type": "lanes", "passage": "soup", "words": 5, "seed": 1, "settings": {"heat": 1}}, "not ones"),
        ({"type": "lanes", "passage": "soup", "words": 5, "seed": 1, "settings": {"temperature": 99}}, "temperature"),
        ({"type": "lanes", "passage": "soup", "model": "nobody"}, "No such model"),
        ({"type": "error", "run": 9, "at": 1, "kind": "near miss"}, "no such run"),
        ({"type": "error", "run": 0, "at": "1", "kind": "near miss"}, "Choose the word"),
        ({"type": "error", "run": 0, "at": 1, "kind": "spelling"}, "No such error"),
        ({"type": "error", "run": 0, "at": 1, "kind": "your word", "word": " "}, "Type the word"),
        ({"type": "error", "run": 0, "at": 1, "kind": "your word", "word": "x" * 99}, "no longer than"),
        ({"type": "error", "run": 0, "at": 1, "kind": "your word", "word": " unpronounceablewordling"}, "one place"),
    ],
)
def test_a_wrong_request_becomes_a_sentence(model, greedy, message, said):
    view = Lanes(greedy, model)
    press(view, message)
    assert said in view.error
    assert (view.run, len(view.runs), view.status["state"]) == (greedy, 1, "idle")


def test_stop_keeps_what_was_shown(model, greedy):
    """Catches: a Stop that is heard only at the end."""
    view = Lanes(greedy, model)

    async def act():
        view._receive(view, {"type": "lanes", "passage": "soup", "words": 5, "seed": 1, "settings": {}}, [])
        view._receive(view, {"type": "stop"}, [])
        began = time.perf_counter()
        await asyncio.gather(*view._tasks)
        return time.perf_counter() - began

    assert asyncio.run(act()) < 5
    assert "Stopped" in view.error
    assert view.run is greedy


def test_old_live_runs_are_let_go_and_recorded_ones_stay(model, greedy):
    view = Lanes(greedy, model)
    for words in range(4, 11):
        message = {"type": "lanes", "passage": "soup", "words": words, "seed": 1, "settings": {"strategy": "greedy"}}
        press(view, message)
    assert len(view.runs) == 6
    assert view.runs[0]["run"]["passage"] == greedy.passage
    assert not math.isnan(view.run.free_loss)
