"""Prefill and decode, measured: a prompt read at once, one token for each of many texts, and what the machine can do.

All passes take turns, round after round, so that whatever disturbs the machine disturbs all of them.
"""

from __future__ import annotations

from time import perf_counter

import torch

from tokentrace.beam_search import spread
from tokentrace.generation_loop import prompt_tokens
from tokentrace.lm import GPT2, KVCache
from tokentrace.measuring import Progress, heading
from tokentrace.roofline import bytes_moved, operations, shape_of, weight_bytes

SHORTEST = 16
BATCHES = (1, 2, 4, 8, 16, 32)
PAST = 64  # positions that a decode step looks back on
STEPS = 4  # decode steps that are timed together: one alone can be shorter than the clock is good for
SQUARE = 1024  # rows of the matrices that are multiplied to see how fast this machine can
FAR = 256 * 2**20  # bytes: more than any cache near the processor holds


def speeds(model: GPT2, prompt: str, rounds: int = 5) -> Progress:
    """Time prefill at lengths from 16 to the window, decode at batches of 1 to 32, and the machine's own limits.

    The record's `passes` hold one entry a pass: `kind` (prefill, decode), `new` tokens, `past` positions, `batch`,
    counted `operations` and `bytes`, and `seconds`, one number a round. `bandwidth` is bytes a second when as many
    bytes are read as the model has weights, `far_bandwidth` when they must come from memory, `throughput`
    operations a second in a product of two large matrices; all in fp32 with the threads torch uses.
    """
    n_ctx, shape = model.config.n_ctx, shape_of(model.config)
    ids = prompt_tokens(model, prompt)
    text = (ids * (n_ctx // len(ids) + 1))[:n_ctx]  # the same words again: what they are does not change the work
    lengths = sorted({*_doublings(n_ctx), max(1, n_ctx // 10), n_ctx})
    past = min(PAST, n_ctx // 2)
    kinds = [("prefill", n, 0, 1) for n in lengths] + [("decode", 1, past, size) for size in BATCHES]
    record = heading(model, prompt) | {
        "precision": model.precision,
        "shape": shape,
        "passes": [
            {"kind": kind, "new": new, "past": before, "batch": batch, "seconds": []}
            | {"operations": operations(shape, new, before, batch)}
            | {"bytes": bytes_moved(shape, new, before, batch, model.precision)}
            for kind, new, before, batch in kinds
        ],
        "weight_bytes": weight_bytes(shape, model.precision),
        "bandwidth": [],
        "far_bandwidth": [],
        "throughput": [],
    }
    read = model.new_cache(1, past)
    model.forward([text[:past]], read, last_only=True)
    room = min(STEPS, n_ctx - past)
    caches = {batch: spread(read, model, batch, past + room) for kind, _, _, batch in kinds if kind == "decode"}
    near, far = torch.ones(record["weight_bytes"] // 4), torch.ones(FAR // 4)
    square = torch.rand(2, SQUARE, SQUARE, generator=torch.Generator().manual_seed(0))

    done, total = 0, (rounds + 1) * (len(kinds) + 3)
    for turn in range(rounds + 1):  # the first round warms up
        for entry in record["passes"]:
            if entry["kind"] == "prefill":
                spent = read_prompt(model, text[: entry["new"]])
            else:
                spent = write_step(model, caches[entry["batch"]], past, text[past % n_ctx], room)
            if turn:
                entry["seconds"].append(float(f"{spent:.4g}"))
            done += 1
            yield done, total, record
        for name, work, amount in (
            ("bandwidth", near.sum, near.nbytes),
            ("far_bandwidth", far.sum, far.nbytes),
            ("throughput", lambda: square[0] @ square[1], 2 * SQUARE**3),
        ):
            start = perf_counter()
            work()
            if turn:
                record[name].append(float(f"{amount / (perf_counter() - start):.4g}"))
            done += 1
            yield done, total, record


def read_prompt(model: GPT2, ids: list[int]) -> float:
    """Seconds of the pass that reads a prompt into an empty cache and scores what follows it."""
    cache = model.new_cache(1, len(ids))
    start = perf_counter()
    model.forward([ids], cache, last_only=True)
    return perf_counter() - start


def write_step(model: GPT2, cache: KVCache, past: int, token: int, steps: int) -> float:
    """Mean seconds of one decode step for all texts of a cache, which is cut back to `past` positions first."""
    cache.truncate(past)
    ids = torch.full((cache.batch_size, 1), token)
    start = perf_counter()
    for _ in range(steps):
        model.forward(ids, cache, last_only=True)
    return (perf_counter() - start) / steps


def _doublings(most: int) -> list[int]:
    lengths = [min(SHORTEST, most)]
    while lengths[-1] * 2 <= most:
        lengths.append(lengths[-1] * 2)
    return lengths
