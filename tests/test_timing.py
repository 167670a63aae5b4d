"""What measurements measure: the same texts in every way, and records that can be told and drawn."""

import json

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

import tokentrace
from tokentrace.experiments.generation_loop import BATCHES, ENDS, EXPERIMENTS, STOPS, WINDOW, WRITING
from tokentrace.measuring import middle, say_machine
from tokentrace.timing import batch_rates, continue_together, writing_times
from tokentrace.window import beyond_the_window, end_chances, key_change, next_logits, stop_strings


def last(progress):
    """The record of a finished measurement; `done` must rise to `total`."""
    seen = [(done, total) for done, total, record in progress if record is not None]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1][0] == seen[-1][1]
    return seen


def finished(generator):
    steps = list(generator)
    last(iter(steps))
    record = steps[-1][2]
    json.dumps(record, allow_nan=False)
    return record


def test_continuations_in_a_batch_are_what_each_would_be_alone(tiny_model):
    """Each row drawn again from transformers' logits with its own random numbers. Catches: rows that mix."""
    reference = GPT2LMHeadModel.from_pretrained(tiny_model.folder, dtype=torch.float32).eval()
    ids, numbers = tiny_model.tokenizer.encode("ab"), np.random.default_rng(5).random((6, 3))
    rows = continue_together(tiny_model, "ab", 3, 6, seed=5)
    assert len({tuple(row) for row in rows}) > 1
    for column, row in enumerate(rows):
        with torch.no_grad():
            guesses = reference(torch.tensor([ids + row])).logits[0, len(ids) - 1 :].double().softmax(-1).numpy()
        for token, guess, u in zip(row, guesses, numbers[:, column], strict=False):
            edges = guess.cumsum()
            assert (edges[token - 1] if token else 0) - 1e-5 <= u <= edges[token] + 1e-5


def test_both_ways_of_writing_are_timed_at_every_length(tiny_model):
    record = finished(writing_times(tiny_model, "ab", (2, 4, 90), rounds=3))
    assert record["lengths"] == [2, 4]
    for seconds in record["seconds"].values():
        assert [len(each) for each in seconds] == [3, 3]
        assert all(a < b for a, b in zip(*seconds, strict=True)), "time adds up along a run"
    assert WRITING.tell(record).sentence.startswith("2 times as many tokens took")


def test_batches_are_repeated_and_the_warm_up_is_not_counted(tiny_model):
    record = finished(batch_rates(tiny_model, "ab", (1, 3), n=4, rounds=2))
    assert [len(each) for each in record["seconds"]] == [2, 2]
    assert "3 texts at once gave" in BATCHES.tell(record).sentence


@pytest.mark.parametrize(
    ("rates", "words"),
    [((100, 190, 195), "Next to nothing was gained from 2 to 4."), ((100, 190, 300), "by a factor of 1.58")],
)
def test_where_nothing_is_gained_it_is_said(rates, words):
    """Catches: a sentence that praises whatever was measured."""
    record = {"sizes": [1, 2, 4], "n": 10, "seconds": [[10 * s / r] for s, r in zip((1, 2, 4), rates, strict=True)]}
    assert words in BATCHES.tell(record).sentence


def test_end_chances_are_those_of_transformers():
    model = tokentrace.load("storyteller")
    record = finished(end_chances(model, "Once upon a time", n=12, seed=4))
    trace = tokentrace.generate(model, "Once upon a time", seed=4, max_new_tokens=12)
    reference = GPT2LMHeadModel.from_pretrained(model.folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = reference(torch.tensor([trace.prompt_tokens + trace.tokens])).logits[0]
    wanted = logits.softmax(-1)[len(trace.prompt_tokens) - 1 :, model.tokenizer.end_of_text][: len(record["p_end"])]
    assert record["p_end"] == pytest.approx(wanted.tolist(), rel=1e-2)
    assert f"{max(record['p_end']):.2g}" in ENDS.tell(record).sentence


def test_a_run_that_draws_the_end_token_ends(tiny_model):
    """Catches: a run that goes on past its end, a total that is never reached."""
    records = [finished(end_chances(tiny_model, "ab", n=50, seed=seed)) for seed in range(12)]
    assert {record["stop"] for record in records} == {"end_of_text", "context"}
    assert all(len(record["p_end"]) <= tiny_model.config.n_ctx - 1 for record in records)


def test_stop_strings_cut_one_and_the_same_run(tiny_model):
    record = finished(stop_strings(tiny_model, "ab", ("c", "zz"), n=5, seed=1))
    free, c, never = record["runs"]
    assert free["tokens"] == never["tokens"] and never["why"] != "stop_string"
    free_run = tokentrace.generate(tiny_model, "ab", seed=1, max_new_tokens=5, temperature=0.8, top_k=40, top_p=0.9)
    if "c" in free_run.text:
        assert c["tokens"] == free_run.text.index("c") + 1 and c["why"] == "stop_string"
    assert "of 2 stop strings ended the run" in STOPS.tell(record).sentence


def test_past_the_window_each_remedy_does_what_it_says(tiny_model):
    """Catches: sliding that keeps stale keys, dropping the wrong half, a stop that does not stop."""
    n_ctx = tiny_model.config.n_ctx
    record = finished(beyond_the_window(tiny_model, "ab", before=3, after=4))
    assert {remedy: len(ms) for remedy, ms in record["ms"].items()} == {
        "stop": 4,
        "slide by one": 7,
        "drop the older half": 7,
    }
    assert record["reads"]["stop"] == [n_ctx - 3, *range(n_ctx - 2, n_ctx + 1)]
    assert record["reads"]["slide by one"][4:] == [n_ctx] * 3
    assert record["reads"]["drop the older half"][4:] == [n_ctx // 2, n_ctx // 2 + 1, n_ctx // 2 + 2]
    assert "Sliding by one" in WINDOW.tell(record).sentence


@pytest.mark.parametrize(("remedy", "keep"), [("slide by one", 8), ("drop the older half", 4)])
def test_past_the_window_the_guess_is_that_of_what_is_left(tiny_model, remedy, keep):
    """Against transformers on the tokens left. Catches: keeping the oldest tokens, or keys at their old places."""
    assert tiny_model.config.n_ctx == 8
    text, cache = [1, 2, 3, 4, 1, 3, 2, 4, 4], tiny_model.new_cache()
    tiny_model.forward([text[:8]], cache)
    reference = GPT2LMHeadModel.from_pretrained(tiny_model.folder, dtype=torch.float32).eval()
    with torch.no_grad():
        wanted = reference(torch.tensor([text[-keep:]])).logits[0, -1]
    torch.testing.assert_close(next_logits(tiny_model, text, cache, remedy), wanted, atol=1e-5, rtol=0)
    tiny_model.forward([text[:8]], full := tiny_model.new_cache())
    assert next_logits(tiny_model, text, full, "stop") is None


def test_keys_move_with_their_place():
    """Catches: a measure that compares different tokens. Without positions nothing may move."""
    model = tokentrace.load("storyteller")
    tokens = model.tokenizer.encode("The old man opened the door and looked at the sea")
    assert key_change(model, tokens) > 0.01
    kept = model.position_table
    model.position_table = torch.zeros_like(kept)
    try:
        assert key_change(model, tokens) < 1e-5
    finally:
        model.position_table = kept


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.name)
def test_recorded_measurements_can_be_told_and_drawn(experiment):
    from tokentrace.data import measured
    from tokentrace.figures import to_svg

    record = measured(experiment.name)
    assert record["fingerprint"] == tokentrace.load(record["model"]).fingerprint, "record it anew: make traces"
    told = experiment.tell(record)
    assert told.sentence.endswith(".") and all(len(row) == len(told.heads) for row in told.rows)
    assert to_svg(experiment.draw(record)).startswith("<svg") and record["model"] in say_machine(record)


def test_a_middle_is_a_median():
    assert middle([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
