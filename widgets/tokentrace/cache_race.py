"""Write the same tokens with a cache and without: compare the logits, count the work, then time it in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tokentrace.cache_run import WAYS, CacheRun, Counted, Edit, Shape
from tokentrace.generation_loop import PromptError, describe, prompt_tokens
from tokentrace.instrumented import Instrumented
from tokentrace.measuring import machine

if TYPE_CHECKING:
    from tokentrace.lm import GPT2, KVCache

BREATH = 0.1  # seconds between two signs of life

# How far a race is, of how many passes, and its record once it is whole.
Progress = Iterator[tuple[int, int, CacheRun | None]]


class Pass(NamedTuple):
    """One forward pass of a run: its logits [vocab], and the cache it left, if it has one."""

    logits: Tensor
    cache: KVCache | None
    token: int
    ms: float


def race(model: GPT2, prompt: str, n: int = 24, rounds: int = 5, edits: bool = False) -> Progress:
    """Write n tokens greedily after a prompt, with a cache and without; yields (done, total, record or None).

    First an untimed run compares and counts; then the two ways take turns, `rounds` times.

    Parameters
    ----------
    edits : also replace every token once and see which columns that spoils: one more pass for each position.

    Raises
    ------
    PromptError
        If the prompt cannot be read, or leaves too little room in the window; the message is for the reader.
    """
    ids = prompt_tokens(model, prompt)
    length_at_end = len(ids) + n - 1
    if length_at_end > model.config.n_ctx:
        raise PromptError(
            f"The prompt is {len(ids)} tokens long; with {n} new ones it does not fit into the {model.config.n_ctx} "
            f"positions of {model.name}: shorten it."
        )
    done, total = 0, n * (1 + rounds) + (length_at_end if edits else 0)
    due = every(BREATH)
    counters = {way: Instrumented(model) for way in WAYS}
    work: dict[str, list[tuple[int, int, int]]] = {way: [] for way in WAYS}
    tokens: dict[str, list[int]] = {way: [] for way in WAYS}
    length, nbytes, gaps, margins = [], [], [], []
    both = {way: passes(counters[way].model, ids, n, way) for way in WAYS}
    for k, (fast, slow) in enumerate(zip(*both.values(), strict=True)):
        same = tokens["cached"] == tokens["uncached"]
        gaps.append(_significant(float((fast.logits - slow.logits).abs().max())) if same else None)
        best = fast.logits.topk(2).values
        margins.append(float(best[0] - best[1]))
        length.append(fast.cache.length)
        nbytes.append(live_bytes(fast.cache, model.config.n_layer))
        for way, each in zip(WAYS, (fast, slow), strict=True):
            tokens[way].append(each.token)
            work[way].append(_counts(counters[way]))
        if due():
            yield k, total, None
    done, set_aside, replaced = n, fast.cache.allocated_nbytes, []
    for edit in edited(model, [*ids, *tokens["cached"][:-1]]) if edits else ():
        replaced.append(edit)
        done += 1
        if due():
            yield done, total, None
    times: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            spent: list[float] = []
            for each in passes(model, ids, n, way):
                spent.append(round(each.ms, 3))
                if due():
                    yield done + len(spent) // 2, total, None
            times[way].append(tuple(spent))
            done += n // 2
    used = {*ids, *tokens["cached"], *tokens["uncached"], *(edit.token for edit in replaced)}
    yield (
        total,
        total,
        CacheRun(
            model=describe(model),
            shape=shape_of(model),
            machine=machine(),
            recorded=datetime.now(UTC).isoformat(timespec="seconds"),
            prompt=prompt,
            vocabulary={token: model.tokenizer.token_bytes(token) for token in sorted(used)},
            prompt_tokens=tuple(ids),
            tokens=tuple(tokens["cached"]),
            uncached_tokens=tuple(tokens["uncached"]),
            length=tuple(length),
            nbytes=tuple(nbytes),
            set_aside=set_aside,
            gaps=tuple(gaps),
            margin=_significant(min(margins)),
            cached_ms=tuple(times["cached"]),
            uncached_ms=tuple(times["uncached"]),
            edits=tuple(replaced),
            **{way: Counted(*map(tuple, zip(*work[way], strict=True))) for way in WAYS},
        ),
    )


def finished(progress: Progress) -> CacheRun:
    """Run a race to its end and return the record."""
    *_, (_, _, run) = progress
    return run


def passes(model: GPT2, ids: list[int], n: int, way: str) -> Iterator[Pass]:
    """Write n tokens greedily, one pass each: "cached" reads only what is new, "uncached" the whole text so far."""
    tokens = list(ids)
    cache = model.new_cache(1, len(ids) + n - 1) if way == "cached" else None
    unread = tokens
    for _ in range(n):
        start = perf_counter()
        logits = model.forward([tokens if cache is None else unread], cache, last_only=True)[0, -1]
        token = int(logits.argmax())
        ms = (perf_counter() - start) * 1000
        unread = [token]
        tokens = [*tokens, token]
        yield Pass(logits, cache, token, ms)


def every(seconds: float) -> Callable[[], bool]:
    """Say whether so many seconds have gone by since the last yes."""
    last = perf_counter()

    def due() -> bool:
        nonlocal last
        if perf_counter() - last < seconds:
            return False
        last = perf_counter()
        return True

    return due


def live_bytes(cache: KVCache, n_layer: int) -> int:
    """Bytes of the keys and values in use: `nbytes` of every tensor, added up."""
    return sum(part(layer).nbytes for layer in range(n_layer) for part in (cache.keys, cache.values))


def shape_of(model: GPT2) -> Shape:
    """What the size of this model's cache depends on."""
    of = model.config
    return Shape(of.n_layer, of.n_head, of.d_head, model.dtype.itemsize, of.n_embd, of.n_inner)


def edited(model: GPT2, ids: list[int]) -> Iterator[Edit]:
    """Replace each token in turn by a likely other one, read the text anew, and compare the two caches."""
    logits, before = read(model, ids)
    for at in range(len(ids)):
        guess = logits[at - 1].clone()  # at the first position nothing comes before: what the text's end suggests
        guess[ids[at]] = -torch.inf
        token = int(guess.argmax())
        _, after = read(model, [*ids[:at], token, *ids[at + 1 :]])
        differs = (before != after).any(-1).any(-2).any(-2).any(-2)  # [n_layer, positions]
        yield Edit(at, token, tuple("".join(map(str, row.int().tolist())) for row in differs))


def read(model: GPT2, ids: list[int]) -> tuple[Tensor, Tensor]:
    """Logits [positions, vocab] of a text, and keys and values [n_layer, 2, 1, n_head, positions, d_head]."""
    cache = model.new_cache(1, len(ids))
    return model.forward([ids], cache)[0], cache.memory


def _counts(counter: Instrumented) -> tuple[int, int, int]:
    """Projections, pairs and scored positions of the pass that has just ended; every layer does the same."""
    work = counter.reset()
    (projected,), (seen,) = set(work.projections), set(work.pairs)
    return projected, seen, work.scored


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
