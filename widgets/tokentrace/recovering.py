"""Measure how a model takes a wrong prefix: many prefixes in a batch, beside the same prefixes left as they were.

Two protocols. *Given*: both go on as the passage does, so that only the prefix differs. *Own*: each goes on by
itself, on the same random numbers, and reads its own words; a second run without any error on other random numbers
shows how far apart two unrelated runs are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokentrace.divergence import kl, total_variation
from tokentrace.generation_loop import describe
from tokentrace.lm import GPT2, KVCache
from tokentrace.measuring import machine, say_machine
from tokentrace.prefixes import ERRORS, KEPT, KINDS, PrefixError, Prefixes, cut, spoiled
from tokentrace.recovery import OTHER, PROTOCOLS, RESAMPLES, Example, Recovery, summarised

COUNT, LENGTH, STEPS = 200, 24, 32
ROUGH = 100  # resamples of a record that grows: its bands are drawn anew in a moment
BATCH = 25  # prefixes at once
ROOM = 2**23  # logits of a batch that are held at once: a large vocabulary takes smaller batches


class Row(NamedTuple):
    """One curve's raw numbers: what was wrong, who went on, and divergences [prefixes, steps] of the guesses."""

    kind: str
    protocol: str
    total_variation: NDArray[np.float64]
    kl: NDArray[np.float64]


@dataclass
class Batch:
    """What a batch of prefixes gave: its rows, and the prefixes that were compared with, for each kind."""

    prefixes: Prefixes
    wrong: dict[str, NDArray[np.int64]]
    rows: list[Row]


def recover(
    model: GPT2,
    texts: Sequence[str],
    count: int = COUNT,
    kinds: Sequence[str] = KINDS,
    protocols: Sequence[str] = PROTOCOLS,
    length: int = LENGTH,
    steps: int = STEPS,
    batch: int = BATCH,
    seed: int = 0,
) -> Iterator[tuple[int, int, Recovery | None]]:
    """Measure recovery over many prefixes of some passages.

    Parameters
    ----------
    texts : passages to cut the prefixes from; what is said of chance takes each of them as a whole.
    count : prefixes, at most.
    length, steps : tokens of a prefix, and of what follows it.
    batch, kinds, protocols, seed : as for `measure`.

    Yields
    ------
    Prefixes done, prefixes in all, and the record so far; None before two passages have been seen.

    Raises
    ------
    PrefixError
        If nothing can be cut from the passages, or it does not fit into the model's context.
    """
    prefixes, began = cut(model.tokenizer, texts, count, length, steps, seed), perf_counter()
    about = {
        "model": describe(model),
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": say_machine({"model": model.name, "machine": machine()}),
        "length": length,
        "kept": max(1, length // KEPT),
        "steps": steps,
        "seed": seed,
    }
    rows: list[Row] = []
    examples: tuple[Example, ...] = ()
    done, total = 0, len(prefixes)
    for each in measure(model, prefixes, kinds, protocols, batch, seed):
        rows += each.rows
        examples = examples or tuple(_example(model, each, kind) for kind in kinds)
        done += len(each.prefixes)
        passages = prefixes.passage[:done]
        if len(set(passages.tolist())) < 2:
            yield done, total, None
            continue
        spent = round(perf_counter() - began, 2)
        resamples = RESAMPLES if done == total else ROUGH
        yield done, total, summarised(rows, passages, resamples, examples=examples, seconds=spent, **about)


def _example(model: GPT2, batch: Batch, kind: str) -> Example:
    """The prefix with the longest last word, as it was and as it became, and what follows."""
    row = max(
        range(len(batch.prefixes)), key=lambda row: len(model.tokenizer.token_bytes(batch.prefixes.given[row, -1]))
    )
    was, now = batch.prefixes.given[row].tolist(), batch.wrong[kind][row].tolist()
    text, after = model.tokenizer.decode, batch.prefixes.true[row].tolist()
    if kind in ERRORS:
        return Example(kind, text(was[:-1]), text(was[-1:]), text(now[-1:]), text(after))
    return Example(kind, "", text(was), text(now), text(after))


def measure(
    model: GPT2,
    prefixes: Prefixes,
    kinds: Sequence[str] = KINDS,
    protocols: Sequence[str] = PROTOCOLS,
    batch: int = BATCH,
    seed: int = 0,
) -> Iterator[Batch]:
    """Compare every prefix with its wrong versions, `batch` prefixes at a time.

    Parameters
    ----------
    batch : the numbers are the same for every size, up to rounding.
    seed : of random words and of the random numbers u that a model goes on with, [n, 2, steps].

    Raises
    ------
    PrefixError
        If a prefix and what follows do not fit into the context, or there is no such kind or protocol.
    """
    (n, length), steps = prefixes.given.shape, prefixes.true.shape[1]
    if length + steps > model.config.n_ctx:
        raise PrefixError(f"{length + steps} tokens are more than {model.name} can read at once.")
    if unknown := set(protocols) - set(PROTOCOLS):
        raise PrefixError(f"There is no protocol {min(unknown)!r}; there is: {', '.join(PROTOCOLS)}.")
    uniforms = np.random.default_rng(seed).random((n, 2, steps))
    wrong = {kind: spoiled(kind, prefixes, seed) for kind in kinds}
    size = max(1, min(batch, ROOM // (steps * model.config.vocab_size)))
    for low in range(0, n, size):
        here = slice(low, min(low + size, n))
        part = prefixes.part(here.start, here.stop)
        yield _batch(model, part, {kind: each[here] for kind, each in wrong.items()}, protocols, uniforms[here])


def _batch(
    model: GPT2, part: Prefixes, wrong: dict[str, NDArray], protocols: Sequence[str], uniforms: NDArray
) -> Batch:
    """Divergences of one batch."""
    given, true = torch.from_numpy(part.given), torch.from_numpy(part.true)
    steps = true.shape[1]
    before = model.new_cache(len(given), given.shape[1] + steps)
    guess = model.forward(given[:, :-1], before, last_only=True)[:, -1]
    # The most probable token but for the true one: what the model itself would rather have read.
    best = guess.scatter(1, given[:, -1:], -torch.inf).argmax(-1).numpy()
    if "near miss" in wrong:
        wrong["near miss"] = np.concatenate([wrong["near miss"][:, :-1], best[:, None]], 1)
    # An error leaves what stands before it as it is, so that has been read already.
    starts = {
        kind: (before if kind in ERRORS else _read(model, torch.from_numpy(prefix), steps), prefix[:, -1:])
        for kind, prefix in wrong.items()
    }
    rows = []
    if "given" in protocols:
        clean = _told(model, before, given[:, -1:], true)
        for kind, (cache, last) in starts.items():
            other = _told(model, cache, torch.from_numpy(last), true)
            # Text by text: numbers that fit into the processor's cache are compared twice as fast.
            found = [_apart(*pair) for pair in zip(clean, other, strict=True)]
            rows.append(Row(kind, "given", *(np.stack(each) for each in zip(*found, strict=True))))
    if "own" in protocols:
        runs = {"": (before, part.given[:, -1:], 0), OTHER: (before, part.given[:, -1:], 1)}
        runs |= {kind: (*start, 0) for kind, start in starts.items()}
        found = [
            {kind: _apart(guesses[""], each) for kind, each in guesses.items() if kind}
            for guesses in _alone(model, runs, uniforms)
        ]
        for kind in found[0]:
            both = zip(*(each[kind] for each in found), strict=True)
            rows.append(Row(kind, "own", *(np.stack(each, 1) for each in both)))
    return Batch(part, wrong, rows)


def _read(model: GPT2, ids: Tensor, steps: int) -> KVCache:
    """Read all of some prefixes but their last tokens."""
    cache = model.new_cache(len(ids), ids.shape[1] + steps)
    if ids.shape[1] > 1:
        model.forward(ids[:, :-1], cache, last_only=True)
    return cache


def _told(model: GPT2, cache: KVCache, last: Tensor, true: Tensor) -> Tensor:
    """Guesses [n, steps, vocab] after the last token of the prefixes and each true one, in one pass."""
    past = cache.length
    logits = model.forward(torch.cat([last, true[:, :-1]], 1), cache)
    cache.truncate(past)
    return logits


def _alone(
    model: GPT2, runs: dict[str, tuple[KVCache, NDArray, int]], uniforms: NDArray
) -> Iterator[dict[str, Tensor]]:
    """Guesses [n, vocab] of each run, step by step, each reading its own draws; one pass for all of one length.

    A run is what was read, the last token [n, 1], and which of the random numbers it draws with. Tokens are drawn by
    inverting the cumulative distribution in the order of ids.
    """
    n, _, steps = uniforms.shape
    groups = []
    for past in {cache.length for cache, *_ in runs.values()}:
        names = [name for name, (cache, *_) in runs.items() if cache.length == past]
        cache = _side_by_side(model, [runs[name][0] for name in names], steps)
        tokens = torch.from_numpy(np.concatenate([runs[name][1] for name in names]))
        numbers = torch.from_numpy(np.concatenate([uniforms[:, runs[name][2]] for name in names]))
        groups.append((names, cache, tokens, numbers))
    for step in range(steps):
        guesses = {}
        for names, cache, tokens, numbers in groups:
            logits = model.forward(tokens, cache, last_only=True)[:, -1]
            edges = logits.double().softmax(-1).cumsum(-1)
            drawn = torch.searchsorted(edges, numbers[:, step : step + 1].contiguous(), right=True)
            tokens.copy_(drawn.clamp(max=logits.shape[-1] - 1))
            guesses |= dict(zip(names, logits.split(n), strict=True))
        yield guesses


def _side_by_side(model: GPT2, caches: list[KVCache], steps: int) -> KVCache:
    """Copy caches of equal length into one batch."""
    past, n = caches[0].length, caches[0].batch_size
    wide = model.new_cache(n * len(caches), past + steps)
    for place, cache in enumerate(caches):
        wide.memory[:, :, place * n : (place + 1) * n, :, :past] = cache.memory[..., :past, :]
    wide.length = past
    return wide


def _apart(clean: Tensor, other: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Total variation, and KL(without the error ‖ with it) in nats, of guesses [..., vocab]."""
    return total_variation(clean, other).numpy(), kl(clean, other).numpy()
