"""What writing costs: time against length with and without a cache, and many continuations at once.

Each measurement is a generator of `(done, total, record)`: whoever runs it can show how far it is, and stop. What
is compared takes turns, so that whatever disturbs the machine disturbs all of it.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokentrace.beam_search import spread
from tokentrace.generation_loop import prompt_tokens
from tokentrace.lm import GPT2
from tokentrace.measuring import Progress, heading

WAYS = ("cached", "uncached")
PIECE = 8  # tokens between two signs of life


def writing_times(
    model: GPT2, prompt: str, lengths: tuple[int, ...] = (24, 60, 120, 180, 240), rounds: int = 3
) -> Progress:
    """Time to write a text of each length, greedily, once with a cache of what was read and once without.

    The record's `seconds` holds for each way a list a length, with one entry a round; the prompt's pass counts.
    """
    prompt_ids = prompt_tokens(model, prompt)
    lengths = tuple(n for n in lengths if n <= model.config.n_ctx - len(prompt_ids))
    longest = lengths[-1]
    record = heading(model, prompt) | {
        "lengths": list(lengths),
        "seconds": {way: [[] for _ in lengths] for way in WAYS},
    }
    done, total = 0, 2 * rounds * longest
    for turn in range(rounds):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            tokens, spent = list(prompt_ids), 0.0
            cache = model.new_cache(1, len(tokens) + longest) if way == "cached" else None
            unread = tokens
            for n in range(1, longest + 1):
                start = perf_counter()
                logits = model.forward([tokens if cache is None else unread], cache, last_only=True)[0, -1]
                unread = [int(logits.argmax())]
                spent += perf_counter() - start
                tokens = [*tokens, *unread]
                if n in lengths:
                    record["seconds"][way][lengths.index(n)].append(round(spent, 5))
                if n % PIECE == 0 or n == longest:
                    yield min(done + n, total), total, record
            done += longest


def batch_rates(
    model: GPT2, prompt: str, sizes: tuple[int, ...] = (1, 2, 4, 8, 16), n: int = 32, rounds: int = 5
) -> Progress:
    """Time to write n tokens of 1, 2, 4, ... continuations of one prompt at once.

    The record's `seconds` holds a list a size, with one entry a round.
    """
    record = heading(model, prompt) | {"sizes": list(sizes), "n": n, "seconds": [[] for _ in sizes]}
    done, total = 0, (rounds + 1) * len(sizes)
    for turn in range(rounds + 1):  # the first round warms up
        for place in [*range(turn % len(sizes), len(sizes)), *range(turn % len(sizes))]:
            start = perf_counter()
            continue_together(model, prompt, sizes[place], n, seed=turn)
            if turn:
                record["seconds"][place].append(round(perf_counter() - start, 5))
            done += 1
            yield done, total, record


def continue_together(model: GPT2, prompt: str, count: int, n: int, seed: int = 0) -> list[list[int]]:
    """Write `count` continuations of one prompt in one batch: the prompt is read once, each step is one pass.

    Each row has random numbers of its own, [n, count] of `default_rng(seed)`, and draws from the whole guess by
    inverting the cumulative distribution in the order of ids.
    """
    ids = prompt_tokens(model, prompt)
    first = model.new_cache(1, len(ids))
    logits = model.forward([ids], first, last_only=True)[:, -1].expand(count, -1)
    cache = spread(first, model, count, len(ids) + n)
    rows: list[Tensor] = []
    for uniform in torch.from_numpy(np.random.default_rng(seed).random((n, count))):
        if rows:
            logits = model.forward(rows[-1][:, None], cache, last_only=True)[:, -1]
        edges = logits.double().softmax(-1).cumsum(-1)
        rows.append(torch.searchsorted(edges, uniform[:, None], right=True).clamp(max=logits.shape[-1] - 1)[:, 0])
    return torch.stack(rows, 1).tolist()
