"""The recorder against transformers, against exact enumeration, and at its edges."""

import dataclasses
import itertools
import json
import math
import random

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast, StopStringCriteria

from tokentrace import models
from tokentrace.generation_loop import PromptError, Recording, branch, completes, generate, pick, stream
from tokentrace.models import open_model
from tokentrace.trace import Settings, Trace, TraceError

PROMPT = "The old man opened the door and"


@pytest.fixture(scope="module")
def model():
    return open_model("storyteller")


@pytest.fixture(scope="module")
def reference():
    return GPT2LMHeadModel.from_pretrained(models.find("storyteller"), dtype=torch.float32).eval()


def timeless(trace):
    """A trace without what no two runs share."""
    steps = tuple(dataclasses.replace(step, ms=0.0) for step in trace.steps)
    return dataclasses.replace(trace, steps=steps, prefill_ms=0.0, recorded="")


def test_greedy_equals_transformers_generate(model, reference):
    """Catches: a cache or position off by one, the wrong argmax, a filter applied under greedy."""
    trace = generate(model, PROMPT, strategy="greedy", temperature=0.5, top_k=5, max_new_tokens=64)
    ids = torch.tensor([trace.prompt_tokens])
    with torch.no_grad():
        out = reference.generate(ids, max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert list(trace.tokens) == out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize(
    "settings",
    [dict(), dict(temperature=0.7), dict(top_k=5), dict(top_p=0.9), dict(temperature=1.3, top_k=50, top_p=0.8)],
)
def test_every_recorded_number_follows_from_the_references_logits(model, reference, settings):
    """Recomputes each step from a full uncached forward of transformers. Catches: any field off its definition."""
    trace = generate(model, PROMPT, seed=11, max_new_tokens=24, **settings)
    with torch.no_grad():
        logits = reference(torch.tensor([trace.prompt_tokens + trace.tokens])).logits[0].double()
    temperature, top_k, top_p = (settings.get(name) for name in ("temperature", "top_k", "top_p"))
    for index, step in enumerate(trace.steps):
        row = logits[len(trace.prompt_tokens) - 1 + index]
        raw = row.softmax(-1).numpy()
        scores = (row / (temperature or 1)).numpy()
        order = np.argsort(-scores, kind="stable")[: top_k or None]
        mass = np.exp(scores[order] - scores.max())
        mass /= mass.sum()
        n = len(order) if not top_p else int(np.searchsorted(mass.cumsum(), top_p)) + 1
        mass, order = mass[:n] / mass[:n].sum(), order[:n]
        place = list(order).index(step.token)
        assert step.uniform is not None
        assert step.low - 1e-5 <= step.uniform <= step.low + step.filtered + 1e-5
        assert step.low == pytest.approx(mass[:place].sum(), abs=1e-4)
        assert step.filtered == pytest.approx(mass[place], abs=1e-4)
        assert step.probability == pytest.approx(raw[step.token], abs=1e-4)
        assert step.logprob == pytest.approx(math.log(raw[step.token]), abs=1e-3)
        assert step.rank == int((raw > raw[step.token]).sum()) + 1
        assert step.entropy == pytest.approx(-(raw * np.log2(raw)).sum(), abs=1e-3)
        assert abs(step.kept - n) <= 1  # a mass that meets p to rounding may go either way
        assert step.kept_mass == pytest.approx(raw[order].sum(), abs=1e-3)
        best = np.argsort(-raw)[:10]
        assert [c.probability for c in step.candidates] == pytest.approx(list(raw[best]), abs=1e-4)
        after = dict(zip(order, mass, strict=True))
        assert [c.filtered for c in step.candidates] == pytest.approx(
            [after.get(c.token, 0.0) for c in step.candidates], abs=1e-4
        )


def test_same_seed_same_run(model):
    one, two = (generate(model, PROMPT, seed=5, temperature=0.9, max_new_tokens=30) for _ in range(2))
    assert timeless(one) == timeless(two)
    other = generate(model, PROMPT, seed=6, temperature=0.9, max_new_tokens=30)
    assert other.tokens != one.tokens


def test_strategies_see_the_same_random_numbers(model):
    """Catches: drawing a number only where one is needed, or several for one step."""
    runs = [
        generate(model, PROMPT, seed=9, max_new_tokens=20, **settings)
        for settings in (dict(), dict(temperature=0.5), dict(top_k=3), dict(top_p=0.5))
    ]
    expected = np.random.default_rng(9).random(20).tolist()
    assert all([step.uniform for step in run.steps] == expected for run in runs)
    greedy = generate(model, PROMPT, seed=9, max_new_tokens=20, strategy="greedy")
    assert all(step.uniform is None and step.filtered == 1 and step.kept == 1 for step in greedy.steps)


def test_sampled_texts_have_their_probabilities(tiny_model):
    """All 25 two-token texts of a five-token model, enumerated exactly; 4,000 runs; chi-square.

    99.9 % point for 24 degrees of freedom: 51.2. Catches: a biased draw, a stale cache, a reused number.
    """
    ids = tiny_model.tokenizer.encode("ab")
    expected = {}
    for first, second in itertools.product(range(5), repeat=2):
        logits = tiny_model.forward(torch.tensor([[*ids, first]]))[0].log_softmax(-1)
        # A run ends at the end token, so what would follow it counts as one text.
        text = (first,) if first == tiny_model.tokenizer.end_of_text else (first, second)
        joint = float(torch.exp(logits[-2, first] + (0 if len(text) == 1 else logits[-1, second])))
        expected[text] = joint
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    counts = dict.fromkeys(expected, 0)
    for seed in range(4000):
        counts[generate(tiny_model, "ab", seed=seed, max_new_tokens=2).tokens] += 1
    chi = sum((counts[text] - 4000 * p) ** 2 / (4000 * p) for text, p in expected.items())
    assert chi < 51.2


def test_stream_yields_as_it_goes_and_can_be_left(model):
    recording = stream(model, PROMPT, seed=1, max_new_tokens=50)
    seen = list(itertools.islice(recording, 7))
    assert tuple(seen) == recording.trace.steps and recording.trace.stop == "stopped"


def test_branch_keeps_what_came_before_and_the_random_numbers_after(model):
    """Catches: re-sampling the prefix, shifting the random numbers, forgetting the force after one step."""
    first = generate(model, PROMPT, seed=4, max_new_tokens=15)
    other = first.steps[6].candidates[3].token
    recording = branch(model, first, 6, other)
    for _ in recording:
        pass
    fork = recording.trace
    assert fork.steps[:6] == first.steps[:6] and fork.branch.at == 6 and fork.branch.token == other
    assert fork.steps[6].token == other and fork.steps[6].forced and fork.steps[6].uniform is None
    assert [s.uniform for s in fork.steps[7:]] == [s.uniform for s in first.steps[7:]]
    assert not any(step.forced for step in fork.steps[7:])
    assert [c.token for c in fork.steps[6].candidates] == [c.token for c in first.steps[6].candidates]
    same = branch(model, first, 6, first.steps[6].token)
    list(same)
    assert same.trace.tokens == first.tokens


def test_a_forced_token_may_be_one_that_the_filter_cut(model):
    first = generate(model, PROMPT, top_k=2, max_new_tokens=3)
    fork = branch(model, first, 1, first.steps[1].candidates[9].token)
    list(fork)
    assert fork.trace.steps[1].filtered == 0 and fork.trace.steps[1].kept == 2


def test_branching_off_another_model_is_refused(model):
    first = generate(model, PROMPT, max_new_tokens=3)
    foreign = dataclasses.replace(first, model=dataclasses.replace(first.model, fingerprint="0" * 12))
    with pytest.raises(PromptError, match="other weights"):
        branch(model, foreign, 0, 5)
    with pytest.raises(PromptError, match="no token 4"):
        branch(model, first, 3, 5)
    with pytest.raises(PromptError, match="no token with the number"):
        branch(model, first, 1, 10**9)


def test_the_end_token_ends_the_run(model):
    first = generate(model, PROMPT, max_new_tokens=8)
    fork = branch(model, first, 2, model.tokenizer.end_of_text)
    list(fork)
    assert fork.trace.stop == "end_of_text" and len(fork.trace.steps) == 3


def test_the_context_window_ends_the_run(tiny_model):
    n_ctx = tiny_model.config.n_ctx
    trace = generate(tiny_model, "a" * (n_ctx - 2), strategy="greedy", max_new_tokens=50)
    assert trace.stop in ("context", "end_of_text") and len(trace.steps) <= 3
    full = next(
        generate(tiny_model, "a" * (n_ctx - 2), seed=seed, max_new_tokens=50)
        for seed in range(100)
        if len(generate(tiny_model, "a" * (n_ctx - 2), seed=seed, max_new_tokens=50).steps) == 3
    )
    assert full.stop == "context" or full.steps[-1].token == tiny_model.tokenizer.end_of_text
    with pytest.raises(PromptError, match="at most"):
        generate(tiny_model, "a" * (n_ctx + 1))


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "bell \x07 rings", "null\x00", "half \ud800 pair"])
def test_a_prompt_that_cannot_be_read_is_a_sentence(model, prompt):
    with pytest.raises(PromptError, match=r"\.$|word"):
        generate(model, prompt)


def test_settings_are_checked(model):
    with pytest.raises(TraceError, match="temperature"):
        generate(model, PROMPT, temperature=0)


def test_a_trace_stays_small(model, tmp_path):
    """256 steps in at most 150 kB, and back unchanged."""
    trace = generate(model, PROMPT, seed=2, max_new_tokens=256)
    path = trace.save(tmp_path / "run.json")
    assert path.stat().st_size <= 150_000
    assert Trace.load(path) == trace
    json.dumps(trace.to_dict(), allow_nan=False)


def test_pick_is_greedy_with_the_lower_id_on_a_tie():
    choice = pick(torch.tensor([1.0, 3.0, 3.0]), Settings("greedy"), 0.9)
    assert (choice.token, choice.uniform, choice.low) == (1, None, 0.0)


@pytest.fixture(scope="module")
def their_tokenizer():
    return PreTrainedTokenizerFast(tokenizer_file=str(models.find("storyteller") / "tokenizer.json"))


def test_stop_strings_as_in_transformers(model, reference, their_tokenizer):
    """Pieces of what greedy writes, cut without regard to tokens: both stop after the same token.

    Catches: a match that must begin or end with a token, one that looks at new tokens only, stopping a token late.
    """
    free = generate(model, PROMPT, strategy="greedy", max_new_tokens=30)
    text, chance = free.text, random.Random(3)
    lengths = set()
    for _ in range(8):
        start = chance.randrange(len(text) - 12)
        stop = (text[start : start + chance.randint(1, 11)], "never said")
        trace = generate(model, PROMPT, strategy="greedy", max_new_tokens=30, stop=stop)
        ids = torch.tensor([trace.prompt_tokens])
        with torch.no_grad():
            out = reference.generate(
                ids, max_new_tokens=30, do_sample=False, pad_token_id=0, stop_strings=stop, tokenizer=their_tokenizer
            )
        assert list(trace.tokens) == out[0, ids.shape[1] :].tolist(), stop
        assert trace.stop == "stop_string" and stop[0] in PROMPT + trace.text
        lengths.add(len(trace.steps))
    assert len(lengths) > 1


def test_stop_strings_over_random_tokens_as_in_transformers(model, their_tokenizer):
    """Also where characters are spread over tokens. Catches: comparing decoded text, which has � for a fragment."""
    tokenizer, chance = model.tokenizer, random.Random(1)
    said = "Él salió … “no”, said the café owner: that is all, the end of the day"
    ids, found = tokenizer.encode(said), 0
    for _ in range(5):
        start = chance.randrange(len(said) - 3)
        stop = (said[start : start + chance.randint(1, 5)],)
        criteria = StopStringCriteria(their_tokenizer, list(stop))
        for end in range(1, len(ids) + 1):
            pieces = [tokenizer.token_bytes(token) for token in ids[:end]]
            ours = completes(b"".join(pieces), len(pieces[-1]), stop)
            assert ours == bool(criteria(torch.tensor([ids[:end]]), None)), (stop, pieces)
            found += ours
    assert found >= 5


def test_a_stop_string_may_begin_in_the_prompt(tiny_model):
    seeds = (generate(tiny_model, "ab", seed=seed, max_new_tokens=5, stop="bc") for seed in range(60))
    trace = next(trace for trace in seeds if trace.text.startswith("c"))
    assert trace.stop == "stop_string" and trace.text == "c"


def test_a_beam_search_is_not_written_token_by_token(model):
    with pytest.raises(TraceError, match="view of its own"):
        Recording(model, PROMPT, Settings("beam", num_beams=2))
    trace = generate(model, PROMPT, strategy="beam", num_beams=2, max_new_tokens=4)
    with pytest.raises(TraceError, match="view of its own"):
        branch(model, trace, 1, 5)


def test_past_the_window_there_is_no_place_to_read_at(tiny_model):
    """What happens at position n_ctx: a sentence here, an IndexError of the position table in transformers."""
    n_ctx = tiny_model.config.n_ctx
    with pytest.raises(ValueError, match=f"{n_ctx + 1} tokens are more than .* can read at once"):
        tiny_model.forward([[1] * (n_ctx + 1)])
    reference = GPT2LMHeadModel.from_pretrained(tiny_model.folder, dtype=torch.float32).eval()
    with torch.no_grad(), pytest.raises(IndexError):
        reference(torch.tensor([[1] * (n_ctx + 1)]))
