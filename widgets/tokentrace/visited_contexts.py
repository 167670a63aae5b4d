"""Which contexts a decoder visits, and how far a learner's guess is from an oracle's after each of them.

The oracle writes texts by ancestral sampling: here they are the data. The learner goes on from their first tokens with
one decoder after the other, and once writes from nothing. Then both models read every text in one pass, and their
guesses are compared over the whole vocabulary. Text i has the same random numbers whoever writes it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tokentrace.bias_run import (
    DATA,
    DECODERS,
    BiasRun,
    Curve,
    Group,
    curve,
    significant,
)
from tokentrace.divergence import jensen_shannon, kl, total_variation
from tokentrace.exposure_bias import eb_band, excess_band, quality, windowed
from tokentrace.generation_loop import describe
from tokentrace.lm import GPT2
from tokentrace.measuring import machine
from tokentrace.trace import Settings

PIECE = 64  # guesses compared at a time: what they need stays in the processor's cache
ROWS = 16  # texts read at a time
TRIED = 512  # candidates among which a nucleus is looked for before all are sorted
WINDOW = 8  # prefix lengths that share a ratio
CONTINUED = 16  # tokens of a continuation whose quality is scored
PLAIN = Settings()
EVERY = 4  # one point a so many tokens is kept


class Visit(NamedTuple):
    """What was found along texts [n, length]: a column for each token that follows the first ones.

    Attributes
    ----------
    kl, total_variation, jensen_shannon : [n, l], of the guesses before each token is known; the last two None if
        nobody asked.
    surprise : [n, l], −ln o(token | before), nats: what the oracle makes of each token.
    """

    kl: np.ndarray
    total_variation: np.ndarray | None
    jensen_shannon: np.ndarray | None
    surprise: np.ndarray


def guess(logits: Tensor, settings: Settings) -> Tensor:
    """What a decoder draws from, for a batch: [n, vocabulary] logits to float64 probabilities.

    The same cuts as `sampling.filter_logits`, row by row.
    """
    if settings.strategy == "greedy":
        return torch.zeros_like(logits, dtype=torch.float64).scatter_(1, logits.argmax(-1, keepdim=True), 1.0)
    logits = logits / settings.temperature
    if settings.top_k is not None and settings.top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(settings.top_k, -1).values[:, -1:], -torch.inf)
    probabilities = logits.double().softmax(-1)
    if settings.top_p is None or settings.top_p >= 1:
        return probabilities
    mass, order = probabilities.topk(min(TRIED, logits.shape[-1]), -1)
    cut = _nucleus(probabilities.shape, mass, order, settings.top_p)
    flat = mass.sum(-1) <= settings.top_p
    if flat.any():
        mass, order = probabilities[flat].sort(dim=-1, descending=True, stable=True)
        cut[flat] = _nucleus((len(mass), logits.shape[-1]), mass, order, settings.top_p)
    return cut


def _nucleus(shape: tuple[int, ...], mass: Tensor, order: Tensor, top_p: float) -> Tensor:
    """Probabilities [n, vocabulary] of the first tokens in order [n, k] whose mass reaches top_p."""
    kept = torch.where(mass.cumsum(-1) - mass < top_p, mass, 0.0)
    return torch.zeros(shape, dtype=mass.dtype).scatter_(1, order, kept / kept.sum(-1, keepdim=True))


def write(model: GPT2, given: Tensor, uniforms: np.ndarray, settings: Settings = PLAIN) -> Generator[int, None, Tensor]:
    """Let a model go on from `given` [n, c]; yields how many more tokens there are, returns the texts [n, c + l].

    Parameters
    ----------
    uniforms : [n, l], a random number in [0, 1) for every token, which inverts the cumulative distribution in the
        order of ids.
    """
    n, length = uniforms.shape
    cache = model.new_cache(n, given.shape[1] + length)
    texts, unread = [given], given
    for uniform in torch.from_numpy(np.ascontiguousarray(uniforms.T)):
        edges = guess(model.forward(unread, cache, last_only=True)[:, -1], settings).cumsum(-1)
        # Rounding can leave the total a hair off one.
        drawn = torch.searchsorted(edges, uniform[:, None] * edges[:, -1:], right=True)
        unread = drawn.clamp(max=edges.shape[-1] - 1)
        texts.append(unread)
        yield n
    return torch.cat(texts, 1)


def visit(oracle: GPT2, learner: GPT2, texts: Tensor, first: int, ratios: bool = False) -> Generator[int, None, Visit]:
    """Read texts with both models and compare their guesses of every token from place `first` on.

    Yields how many more tokens are read, and returns what was found.

    Parameters
    ----------
    texts : [n, length] token ids; first : at least 1, for something must come before.
    ratios : also total variation and Jensen-Shannon, which take longer.
    """
    measures = (kl, total_variation, jensen_shannon) if ratios else (kl,)
    found: list[list[Tensor]] = [[] for _ in measures]
    surprises = []
    for rows in texts.split(ROWS):
        guesses = [model.forward(rows[:, :-1])[:, first - 1 :] for model in (oracle, learner)]
        surprises.append(surprise(guesses[0], rows[:, first:]))
        pieces = [each.flatten(0, 1).split(PIECE) for each in guesses]
        compared = [[measure(o, p) for measure in measures] for o, p in zip(*pieces, strict=True)]
        for place, values in enumerate(zip(*compared, strict=True)):
            found[place].append(torch.cat(values).view(len(rows), -1))
        yield rows[:, 1:].numel()
    columns = [torch.cat(each).numpy() for each in found] + [None] * (3 - len(measures))
    return Visit(*columns, torch.cat(surprises).numpy())


def measure(
    oracle: GPT2,
    learner: GPT2,
    decoders: Sequence[str] = tuple(DECODERS),
    texts: int = 64,
    context: int = 16,
    length: int = 112,
    seed: int = 0,
) -> Iterator[tuple[int, int, BiasRun | None]]:
    """Measure both sides of the dispute; yields (tokens done, of how many, the run so far or None).

    Parameters
    ----------
    decoders : names in `DECODERS`, in this order.
    texts : how many of each kind, at least 8.
    context : tokens of the data that a decoder goes on from.
    length : tokens after these.

    Raises
    ------
    ValueError
        If the models do not share their tokens or cannot read so far, or the numbers cannot be right.
    """
    check(oracle, learner, decoders, texts, context, length)
    whole = context + length
    total = texts * (4 * whole + len(scored_lengths(whole)) * CONTINUED + len(decoders) * (length + whole))
    done, run = 0, None
    for step in _steps(oracle, learner, decoders, texts, context, length, seed):
        if isinstance(step, BiasRun):
            run = step
        else:
            done += step
        yield done, total, run


def _steps(
    oracle: GPT2, learner: GPT2, decoders: Sequence[str], texts: int, context: int, length: int, seed: int
) -> Iterator[int | BiasRun]:
    """Measure; yields how many more tokens were written or read, and after every decoder the run so far."""
    header = {
        "oracle": describe(oracle),
        "learner": describe(learner),
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": seed,
        "texts": texts,
        "context": context,
        "length": length,
    }
    uniforms = np.random.default_rng(seed).random((texts, context + length))
    starts = torch.full((texts, 1), oracle.tokenizer.end_of_text)
    data = yield from write(oracle, starts, uniforms)
    own = yield from write(learner, starts, uniforms)
    on_data = yield from visit(oracle, learner, data, 1, ratios=True)
    on_own = yield from visit(oracle, learner, own, 1, ratios=True)
    scores = {}
    for at in scored_lengths(context + length):
        went_on = yield from write(learner, data[:, : at + 1], uniforms[:, at : at + CONTINUED])
        costs = [surprise(oracle.forward(rows[:, :-1])[:, at:], rows[:, at + 1 :]) for rows in went_on.split(ROWS)]
        scores[at] = quality(-torch.cat(costs).numpy()), quality(-on_own.surprise[:, at : at + CONTINUED])
    header |= prefix_ratios(on_own, on_data, scores)

    tail = Visit(on_data.kl[:, context:], None, None, on_data.surprise[:, context:])
    groups = [group_of(oracle, DATA, tail, tail, data, context)]
    for name in decoders:
        written = yield from write(learner, data[:, : context + 1], uniforms[:, context:], DECODERS[name])
        found = yield from visit(oracle, learner, written, context + 1)
        groups.append(group_of(oracle, name, found, tail, written, context))
        yield BiasRun(**header, groups=tuple(groups))


def scored_lengths(whole: int) -> list[int]:
    """Prefix lengths at which the quality of a continuation is scored, as far as there is room for one."""
    return [at for at in (8, 16, 32, 64, 96, 128, 192) if at + CONTINUED <= whole]


def check(oracle: GPT2, learner: GPT2, decoders: Sequence[str], texts: int, context: int, length: int) -> None:
    """Raise a ValueError, a sentence for the reader, if this cannot be measured."""
    if oracle.tokenizer.inner.get_vocab() != learner.tokenizer.inner.get_vocab():
        raise ValueError(f"{learner.name} has other tokens than {oracle.name}, so their guesses cannot be compared.")
    if oracle.tokenizer.end_of_text is None:
        raise ValueError(f"{oracle.name} has no start token to write a text from nothing.")
    if unknown := [name for name in decoders if name not in DECODERS]:
        raise ValueError(f"There is no decoder called {unknown[0]!r:.40}.")
    if not decoders:
        raise ValueError("Choose at least one decoder.")
    if texts < 8:
        raise ValueError(f"{texts} texts are too few for a band: take 8 or more.")
    room = min(oracle.config.n_ctx, learner.config.n_ctx)
    if context < 1 or length < WINDOW or context + length + 1 > room:
        raise ValueError(f"{context} and {length} tokens cannot be measured: {room} fit into the window.")


def surprise(logits: Tensor, tokens: Tensor) -> Tensor:
    """−ln p(token), nats [n, l], of tokens [n, l] under logits [n, l, vocabulary]."""
    return cross_entropy(logits.transpose(1, 2), tokens, reduction="none").double()


def prefix_ratios(
    own: Visit, data: Visit, scores: dict[int, tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, Curve] | dict[str, tuple[float, float, float]]]:
    """He et al.'s ratios by prefix length, and over all lengths at once."""
    curves, overall = {}, {}
    for name in ("total_variation", "jensen_shannon"):
        pair = [getattr(each, name) for each in (own, data)]
        windows = [windowed(each, WINDOW) for each in pair]
        middles = [WINDOW // 2 + WINDOW * place for place in range(windows[0].shape[1])]
        curves[name] = curve(middles, eb_band(*windows))
        overall[name] = _summary(pair[0].mean(1), pair[1].mean(1))
    if scores:
        after_data, after_own = (np.stack(each, 1) for each in zip(*scores.values(), strict=True))
        curves["quality"] = curve(list(scores), eb_band(after_data, after_own))
        overall["quality"] = _summary(after_data.mean(1), after_own.mean(1))
    return {"prefix": curves, "overall": overall}


def _summary(above: np.ndarray, below: np.ndarray) -> tuple[float, float, float]:
    value, low, high = (significant(float(end[0])) for end in eb_band(above[:, None], below[:, None]))
    return value, low, high


def group_of(oracle: GPT2, name: str, own: Visit, data: Visit, texts: Tensor, context: int) -> Group:
    """What a decoder's texts have shown, with He's plain means and Arora's excess against the same texts' data."""
    length = own.kl.shape[1]
    at = [step for step in range(1, length + 1) if step == 1 or step % EVERY == 0 or step == length]
    places = np.array(at) - 1
    band = [end[places] for end in excess_band(own.kl, data.kl)]
    return Group(
        name=name,
        error=curve(at, [own.kl.mean(0)[places]] * 3),
        excess=curve(at, band),
        acc_err=curve(at, [np.array(at) * (1 + end / 100) for end in band]),
        texts=tuple(
            (significant(float(a)), significant(float(b)))
            for a, b in zip(own.surprise.mean(1), own.kl.mean(1), strict=True)
        ),
        given=oracle.tokenizer.decode(texts[0, 1 : context + 1].tolist()),
        example=oracle.tokenizer.decode(texts[0, context + 1 :].tolist()),
    )
