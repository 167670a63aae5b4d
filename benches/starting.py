"""Seconds from starting Python to the first token, beside transformers' own way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benches.timing import Spread, interleave, ratios, spread

OURS = """
import torch, tokentrace
model = tokentrace.load({folder!r})
ids = torch.tensor([model.tokenizer.encode("a small prompt")])
print(int(model.forward(ids, model.new_cache(), last_only=True).argmax()), flush=True)
"""
THEIRS = """
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel
tokenizer = AutoTokenizer.from_pretrained({folder!r})
model = GPT2LMHeadModel.from_pretrained({folder!r}, dtype=torch.float32).eval()
ids = tokenizer("a small prompt", return_tensors="pt").input_ids
print(int(model.generate(ids, max_new_tokens=1, do_sample=False)[0, -1]), flush=True)
"""


def first_token(code: str, folder: Path) -> float:
    """Start a process and wait for the line it prints; how long it takes to end does not count."""
    command = [sys.executable, "-W", "ignore", "-c", code.format(folder=str(folder))]
    start = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        line = process.stdout.readline()
        seconds = perf_counter() - start
        process.kill()
    if not line.strip().isdigit():
        raise RuntimeError(f"No token came from:\n{code}")
    return seconds


def measure(folder: Path, rounds: int) -> dict[str, Spread]:
    """Seconds of both ways, and how many times faster ours is."""
    seconds = interleave(
        {"transformers": lambda: first_token(THEIRS, folder), "tokentrace": lambda: first_token(OURS, folder)}, rounds
    )
    faster = ratios(seconds["transformers"], seconds["tokentrace"])
    return {name: spread(values) for name, values in seconds.items()} | {"times faster": spread(faster)}
