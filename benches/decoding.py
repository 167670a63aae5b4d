"""Tokens per second while generating, beside transformers' `generate(use_cache=True)`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benches.timing import Spread, interleave, ratios, spread
from tokentrace import linear
from tokentrace.generation_loop import generate, pick
from tokentrace.lm import GPT2
from tokentrace.trace import Settings

PROMPT = "a small prompt of thirty-two byte"
REFERENCE, OURS, SAMPLED, RECORDED = "transformers", "fp32", "fp32, sampled", "fp32, recorded"
SAMPLING = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}
# What each is compared with to say what it costs.
COST_OVER = {RECORDED: SAMPLED}


def loop(model: GPT2, prompt: list[int], n: int, choose: Callable[[Tensor], int]) -> list[int]:
    """Run the bare loop: what generating costs when nothing is recorded."""
    cache, found = model.new_cache(capacity=len(prompt) + n), []
    tokens = prompt
    for _ in range(n):
        tokens = [choose(model.forward([tokens], cache, last_only=True)[0, -1])]
        found += tokens
    return found


def greedy(model: GPT2, prompt: list[int], n: int) -> list[int]:
    return loop(model, prompt, n, lambda logits: int(logits.argmax()))


def contestants(folder: Path, n: int) -> dict[str, Callable[[], list[int]]]:
    from transformers import GPT2LMHeadModel

    models = {precision: GPT2(folder, precision) for precision in linear.PRECISIONS}
    portable, ours = open_portable(folder), models[OURS]
    reference = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    reference.generation_config.eos_token_id = None
    reference.generation_config.pad_token_id = 0
    prompt = ours.tokenizer.encode(PROMPT)

    def theirs() -> list[int]:
        ids = reference.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False, use_cache=True)
        return ids[0, len(prompt) :].tolist()

    def sampled() -> list[int]:
        numbers, settings = np.random.default_rng(0), Settings(**SAMPLING)
        return loop(ours, prompt, n, lambda logits: pick(logits, settings, float(numbers.random())).token)

    def recorded() -> list[int]:
        return [step.token for step in generate(ours, PROMPT, seed=0, max_new_tokens=n, **SAMPLING).steps]

    return {
        REFERENCE: theirs,
        OURS: lambda: greedy(ours, prompt, n),
        "fp32, portable": lambda: greedy(portable, prompt, n),
        SAMPLED: sampled,
        RECORDED: recorded,
        "bf16": lambda: greedy(models["bf16"], prompt, n),
        "int8": lambda: greedy(models["int8"], prompt, n),
    }


def open_portable(folder: Path) -> GPT2:
    """Open a model without the private kernels."""
    os.environ["TOKENTRACE_KERNEL"] = "portable"
    linear.works.cache_clear()
    try:
        return GPT2(folder)
    finally:
        del os.environ["TOKENTRACE_KERNEL"]
        linear.works.cache_clear()


def measure(folder: Path, n: int, rounds: int) -> dict[str, dict[str, Spread]]:
    """Time `n` tokens after a prompt of 32, its prefill included.

    Returns
    -------
    dict
        For every contestant `ms` per token, and `speed` in multiples of transformers'; for the
        recorded one `cost`, its time beyond the same loop unrecorded, in percent.
    """
    runs = contestants(folder, n)
    for one, other in ((OURS, REFERENCE), ("fp32, portable", REFERENCE), (RECORDED, SAMPLED)):
        if runs[one]() != runs[other]():
            raise AssertionError(f"{one} and {other} write different tokens, so their times say nothing.")
    seconds = interleave(runs, rounds)
    rows = {}
    for name, own in seconds.items():
        rows[name] = {"ms": spread([1000 * each / n for each in own]), "speed": spread(ratios(seconds[REFERENCE], own))}
        if name in COST_OVER:
            over = ratios(own, seconds[COST_OVER[name]])
            rows[name]["cost"] = spread([100 * (each - 1) for each in over])
    return rows
