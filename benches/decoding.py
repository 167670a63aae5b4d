"""Tokens per second while generating, beside transformers' `generate(use_cache=True)`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from benches.timing import Spread, interleave, ratios, spread
from tokentrace import linear
from tokentrace.generation_loop import generate
from tokentrace.lm import GPT2

PROMPT = "a small prompt of thirty-two bytes"[:32]
REFERENCE, OURS = "transformers", "fp32"


def greedy(model: GPT2, prompt: list[int], n: int) -> list[int]:
    """Run the bare loop: what generating costs when nothing is recorded."""
    tokens, cache = torch.tensor([prompt]), model.new_cache(capacity=len(prompt) + n)
    found = []
    for _ in range(n):
        tokens = model.forward(tokens, cache, last_only=True)[:, -1].argmax(-1, keepdim=True)
        found.append(int(tokens))
    return found


def contestants(folder: Path, n: int) -> dict[str, Callable[[], list[int]]]:
    from transformers import GPT2LMHeadModel

    models = {precision: GPT2(folder, precision) for precision in linear.PRECISIONS}
    portable = open_portable(folder)
    reference = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    reference.generation_config.eos_token_id = None
    reference.generation_config.pad_token_id = 0
    prompt = models[OURS].tokenizer.encode(PROMPT)

    def theirs() -> list[int]:
        ids = reference.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False, use_cache=True)
        return ids[0, len(prompt) :].tolist()

    def recorded() -> list[int]:
        trace = generate(models[OURS], PROMPT, strategy="greedy", max_new_tokens=n)
        return [step.token for step in trace.steps]

    return {
        REFERENCE: theirs,
        OURS: lambda: greedy(models[OURS], prompt, n),
        "fp32, recorded": recorded,
        "fp32, portable": lambda: greedy(portable, prompt, n),
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
        For every contestant `ms` per token, `speed` in multiples of transformers', and `cost`,
        the time beyond the bare fp32 loop in percent.
    """
    runs = contestants(folder, n)
    expected = runs[REFERENCE]()
    for name in (OURS, "fp32, recorded", "fp32, portable"):
        if runs[name]() != expected:
            raise AssertionError(f"{name} writes other tokens than transformers does, so the times say nothing.")
    seconds = interleave(runs, rounds)
    return {
        name: {
            "ms": spread([1000 * each / n for each in seconds[name]]),
            "speed": spread(ratios(seconds[REFERENCE], seconds[name])),
            "cost": spread([100 * (each - 1) for each in ratios(seconds[name], seconds[OURS])]),
        }
        for name in runs
    }
