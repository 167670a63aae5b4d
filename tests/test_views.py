"""The Python side of the views: what they send, what they refuse, and that nothing shown is lost."""

import asyncio
import json

import pytest

import tokentrace
from tokentrace.trace import Trace
from tokentrace.views import Compare, Player, Strategies

SETTINGS = {"strategy": "sample", "temperature": 0.8, "top_k": 40, "top_p": 0.9, "max_new_tokens": 6}


@pytest.fixture(scope="module")
def trace():
    return tokentrace.recorded("generation_loop")


@pytest.fixture(scope="module")
def lanes():
    return {name: tokentrace.recorded(f"generation_loop_{name}") for name in ("greedy", "top_k", "top_p")}


def talk(view, *messages, meanwhile=None):
    """Send messages as a browser does, wait until the view is idle; returns what it sent."""
    sent = []
    view.send = lambda content, buffers=None: sent.append(content)

    async def conversation():
        for message in messages:
            view._receive(view, message, [])
        while view._tasks:
            if meanwhile:
                meanwhile(sent)
            await asyncio.sleep(0.001)

    asyncio.run(conversation())
    return sent


def generate(**changes):
    return {"type": "generate", "request": 1, "prompt": "Once upon a time", "settings": SETTINGS, "seed": 2} | changes


def test_a_player_shows_its_trace_at_once(trace):
    player = Player(trace)
    assert player.runs == [trace.to_dict()] and player.modes == ["recorded"]
    assert player.step == len(trace.steps) - 1 and not player.can_live
    assert Player(trace, step=0).step == 0
    assert (player.prompt, player.seed, player.trace) == (trace.prompt, trace.seed, trace)


def test_live_steps_arrive_complete_and_in_order(trace):
    """Catches: a step sent twice or never, a token whose text the browser was never told."""
    player = Player(trace, "storyteller")
    sent = talk(player, generate(settings=SETTINGS | {"max_new_tokens": 60}))
    begin, *steps = sent
    assert begin["type"] == "begin" and begin["trace"]["steps"]["token"] == []
    tokens, vocabulary = [], dict(begin["trace"]["vocabulary"])
    for message in steps:
        assert message["type"] == "steps" and message["first"] == len(tokens)
        tokens += message["steps"]["token"]
        vocabulary |= message["vocabulary"]
    written = Trace.from_dict(player.runs[0])
    assert tokens == list(written.tokens) and len(tokens) == 60
    assert vocabulary == player.runs[0]["vocabulary"]
    assert player.modes == ["live"] and player.status["state"] == "idle" and not player.error
    json.dumps(sent, allow_nan=False)


def test_a_branch_is_added_and_the_first_run_stays(trace):
    player = Player(trace, "storyteller")
    other = trace.steps[4].candidates[2].token
    sent = talk(player, {"type": "branch", "request": 1, "run": 0, "at": 4, "token": other})
    assert player.error == ""
    assert [run["branch"] for run in player.runs] == [None, {"at": 4, "token": other}]
    assert player.runs[0] == trace.to_dict() and player.run == 1 and player.modes == ["recorded", "live"]
    assert len(sent[0]["trace"]["steps"]["token"]) == 4 and sent[1]["first"] == 4
    player.run = 0
    assert player.trace is player._traces[0]


def test_stop_takes_effect_within_one_token(trace):
    """Catches: a loop that never lets a message in. The Stop comes after the third token."""
    player = Player(trace, "storyteller")
    count = []

    def stop_after_three(sent):
        done = sum(len(each["steps"]["token"]) for each in sent if each["type"] == "steps")
        if done >= 3 and not count:
            count.append(done)
            player._receive(player, {"type": "stop"}, [])

    talk(player, generate(settings=SETTINGS | {"max_new_tokens": 400}), meanwhile=stop_after_three)
    assert player.runs[0]["stop"] == "stopped"
    assert count[0] <= len(player.runs[0]["steps"]["token"]) < 400


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (generate(prompt=""), "few words"),
        (generate(prompt=None), "must be text"),
        (generate(prompt="x" * 30_000), "at most"),
        (generate(prompt="tick\x07"), "control character"),
        (generate(prompt="word " * 3000), "shorten"),
        (generate(seed=-1), "seed"),
        (generate(seed=1.5), "seed"),
        (generate(seed=True), "seed"),
        (generate(settings=SETTINGS | {"temperature": None}), "temperature"),
        (generate(settings=SETTINGS | {"top_p": 2}), "top_p"),
        (generate(settings=SETTINGS | {"max_new_tokens": 10**9}), "max_new_tokens"),
        (generate(settings={"colour": "red"}), "settings"),
        (generate(settings="all"), "settings"),
        (generate(model="/etc"), "No such model"),
        (generate(model=["storyteller"]), "No such model"),
        ({"type": "branch", "request": 1, "run": 7, "at": 0, "token": 5}, "cannot be written"),
        ({"type": "branch", "request": 1, "run": 0, "at": "x", "token": 5}, "cannot be written"),
        ({"type": "branch", "request": 1, "run": 0, "at": 999, "token": 5}, "no token 1000"),
        ({"type": "branch", "request": 1, "run": 0, "at": 0, "token": 10**7}, "no token with the number"),
    ],
)
def test_whatever_the_browser_sends_is_a_sentence_and_nothing_is_lost(trace, message, words):
    player = Player(trace, "storyteller")
    talk(player, message)
    assert words in player.error and player.error.endswith(".")
    assert player.runs == [trace.to_dict()] and player.status["state"] == "idle"
    talk(player, generate())
    assert player.error == "" and player.modes == ["live"]


@pytest.mark.parametrize("message", [None, 7, "stop", [], {}, {"type": "close"}, {"type": ["stop"]}, {"type": "_show"}])
def test_odd_messages_are_ignored(trace, message):
    player = Player(trace, "storyteller")
    assert talk(player, message) == [] and player.error == ""


def test_the_browser_sets_only_what_is_its_own(trace):
    """Catches: a browser that overwrites the record."""
    player = Player(trace)
    player.set_state({"runs": [], "error": "x", "can_live": True, "step": 3, "speed": 15, "title": "x"})
    assert player.runs == [trace.to_dict()] and not player.error and not player.can_live
    assert (player.step, player.speed, player.title) == (3, 15, "One token at a time")
    player.set_state({"step": 10**9, "speed": 3, "run": -4})
    assert (player.step, player.speed, player.run) == (len(trace.steps) - 1, 15, 0)
    player.set_state({"step": "x"})
    assert player.step == len(trace.steps) - 1


def test_one_run_at_a_time(trace):
    player = Player(trace, "storyteller")
    talk(player, generate(settings=SETTINGS | {"max_new_tokens": 30}), generate(prompt="Other"))
    assert player.runs[0]["prompt"] == "Once upon a time" and "stop it first" in player.error


def test_the_kernel_answers_a_ping(trace):
    assert talk(Player(trace), {"type": "ping", "request": 9}) == [{"type": "pong", "request": 9}]


def test_a_typing_error_is_not_swallowed(trace):
    with pytest.raises(TypeError, match="speeed"):
        Player(trace, speeed=4)


def test_live_begins_empty_and_by_itself():
    player = Player.live("storyteller", "Once upon a time", max_new_tokens=7, seed=3)
    assert player.autoplay and player.runs == [] and player.settings["max_new_tokens"] == 7 and player.trace is None
    talk(player, generate(prompt=player.prompt, settings=player.settings, seed=player.seed))
    assert len(player.trace.steps) == 7 and not player.autoplay


def test_a_model_that_is_not_there_is_a_sentence(trace):
    player = Player(trace, "nobody")
    talk(player, generate())
    assert "nobody" in player.error and player.runs == [trace.to_dict()]


def test_strategies_share_prompt_and_seed(lanes, trace):
    view = Strategies(lanes, "storyteller")
    assert view.traces == lanes and view.mode == "recorded"
    sent = talk(view, generate(seed=5))
    assert view.mode == "live" and {run["seed"] for run in view.runs} == {5}
    assert {each["lane"] for each in sent} == {0, 1, 2}
    assert [trace.settings for trace in view.traces.values()] == [trace.settings for trace in lanes.values()]
    assert view.runs[1]["steps"]["uniform"] == view.runs[2]["steps"]["uniform"]
    talk(view, generate(prompt=""))
    assert "few words" in view.error and view.prompt == "Once upon a time"
    other = tokentrace.generate(tokentrace.load("storyteller"), "Once", max_new_tokens=2)
    with pytest.raises(ValueError, match="one prompt"):
        Strategies({"a": trace, "b": other})


def my_loop(model, prompt, seed, n):
    import numpy as np

    tokens, numbers = model.tokenizer.encode(prompt), np.random.default_rng(seed)
    for _ in range(n):
        kept = tokentrace.filter_logits(model.forward([tokens])[0, -1], temperature=0.8, top_k=40, top_p=0.9)
        tokens.append(tokentrace.draw(kept.softmax(-1), numbers.random())[0])
    return tokens


@pytest.mark.parametrize(
    ("loop", "fewer", "words"),
    [
        (my_loop, 0, "All {} tokens are the same"),
        (lambda m, p, s, n: my_loop(m, p, s, n)[len(m.tokenizer.encode(p)) :], 0, "All {} tokens are the same"),
        (lambda m, p, s, n: my_loop(m, p, s + 1, n), None, "they part at token"),
        (lambda m, p, s, n: my_loop(m, p, s, n - 3), -3, "the first {} agree"),
    ],
)
def test_compare_counts_what_agrees(trace, loop, fewer, words):
    view = Compare(loop, trace)
    talk(view, {"type": "generate", "request": 1})
    same = None if fewer is None else len(trace.steps) + fewer
    assert words.format(same) in view.own["sentence"]
    assert same is None or view.own["agree"] == same


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: None, "list of token ids"),
        (lambda *_: ["x"], "list of token ids"),
        (lambda *_: [10**9], "no token"),
        (lambda: [], "TypeError"),
    ],
)
def test_a_loop_that_fails_says_so(trace, loop, words):
    view = Compare(loop, trace)
    talk(view, {"type": "generate", "request": 1})
    assert words in view.error and view.own == {} and view.status["state"] == "idle"
