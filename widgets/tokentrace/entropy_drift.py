"""Entropy drift: how unsure a model is, and how much it repeats, along true text and along text of its own.

Braverman et al. 2020, "Calibration, Entropy Rates, and Memory in Language Models", compare a model's perplexity on
true text with e to the entropy rate of its own text; a calibrated model would have the two alike. Holtzman et al.
2020 find that taking the most probable token repeats itself where drawing does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tokentrace.bootstrap import band
from tokentrace.measuring import Progress, heading
from tokentrace.passages import passages
from tokentrace.prefixes import PrefixError
from tokentrace.repetition import distinct, loop

if TYPE_CHECKING:
    from torch import Tensor

    from tokentrace.lm import GPT2

# How a text goes on after the passage's own beginning, and how many times from each.
COPIES = {"true": 1, "drawn": 2, "top-p": 1, "greedy": 1, "greedy, then drawn": 1}
WAYS = tuple(COPIES)
TOP_P = 0.9
START, LENGTH = 16, 160  # tokens of the passage that are read first, and tokens written after them
BIN = 16  # neighbouring positions that are averaged
GRAM = 4  # tokens of a stretch that counts as repeated when it stood in the text before
AT_ONCE = 2**24  # logits of true text that are held at once


def entropy_drift(
    model: GPT2,
    prompt: str = "",
    texts: Sequence[str] | None = None,
    start: int = START,
    n: int = LENGTH,
    seed: int = 0,
) -> Progress:
    """Follow entropy and repetition along true text and text written in four ways, from the same beginnings.

    Parameters
    ----------
    prompt : not used: every text begins with the first `start` tokens of a passage.
    texts : the passages; those of the course unless given.
    n : tokens written after the beginning; true text is as long as the shortest passage.

    Yields
    ------
    Steps done, steps in all, and at last the record: for each way `bins` of entropy (bits) and of the share of
    repeated stretches, each [mean, low, high] with a 95 % band over passages, and means over the positions that all
    ways have.

    Raises
    ------
    PrefixError
        If there are not two passages that are long enough, or they do not fit into the context.
    """
    given = [text.text for text in passages()] if texts is None else list(texts)
    ids = [tokens for tokens in map(model.tokenizer.encode, given) if len(tokens) >= start + 2 * BIN]
    n = min(n, model.config.n_ctx - start) // BIN * BIN
    if len(ids) < 2 or n < 2 * BIN:
        raise PrefixError(f"At least two passages of {start + 2 * BIN} tokens are needed that {model.name} can read.")
    n_true = min(n, min(map(len, ids)) - start) // BIN * BIN
    true = np.array([tokens[: start + n_true] for tokens in ids])
    found = {"true": _along(model, true, start)}
    total, writing = n + 1, _Writing(model, true[:, :start], n, seed)
    yield 1, total, None
    for step in range(n):
        writing.step(step)
        if step < n - 1:
            yield step + 2, total, None
    found |= writing.found()
    about = {"passages": len(ids), "start": start, "n": n, "n_true": n_true, "bin": BIN, "gram": GRAM, "top_p": TOP_P}
    yield total, total, heading(model, "") | about | summary(found, len(ids), n_true)


class _Writing:
    """Texts being written side by side, a step at a time."""

    def __init__(self, model: GPT2, prompts: NDArray, n: int, seed: int):
        import torch

        from tokentrace.beam_search import reorder

        self.model, self.n, self.start = model, n, prompts.shape[1]
        copies = {way: times for way, times in COPIES.items() if way != "true"}
        rows = len(prompts) * sum(copies.values())
        self.ways = np.repeat(list(copies), [len(prompts) * times for times in copies.values()])
        self.texts = np.zeros((rows, self.start + n), dtype=np.int64)
        self.texts[:, : self.start] = np.tile(prompts, (sum(copies.values()), 1))
        self.entropies, self.surprises = np.zeros((rows, n)), np.zeros((rows, n))
        self.uniforms = np.random.default_rng(seed).random((n, rows, 1))
        self.cache = model.new_cache(rows, self.start + n)
        logits = model.forward(
            torch.from_numpy(prompts), small := model.new_cache(len(prompts), self.start), last_only=True
        )
        self.cache.memory[:, :, : len(prompts), :, : self.start] = small.memory
        self.cache.length = self.start
        reorder(self.cache, [row % len(prompts) for row in range(rows)])
        self.logits = logits[:, -1].repeat(rows // len(prompts), 1)

    def step(self, step: int):
        """Choose a token for every text and read it."""
        import torch

        from tokentrace.sampling import filter_logits

        probabilities = self.logits.double().softmax(-1)
        drawn_from = probabilities.clone()
        cut = np.flatnonzero(self.ways == "top-p")
        kept = [filter_logits(self.logits[row], top_p=TOP_P) for row in cut]
        drawn_from[cut] = torch.stack(kept).double().softmax(-1)
        uniforms = torch.from_numpy(self.uniforms[step])
        tokens = torch.searchsorted(drawn_from.cumsum(-1), uniforms, right=True)[:, 0]
        tokens.clamp_(max=self.logits.shape[-1] - 1)
        sure = (self.ways == "greedy") | ((self.ways == "greedy, then drawn") & (step < self.n // 2))
        tokens = torch.where(torch.from_numpy(sure), self.logits.argmax(-1), tokens)
        self.texts[:, self.start + step] = tokens
        self.entropies[:, step], self.surprises[:, step] = _bits(probabilities, tokens)
        if step < self.n - 1:
            self.logits = self.model.forward(tokens[:, None], self.cache, last_only=True)[:, -1]

    def found(self) -> dict[str, tuple[NDArray, NDArray, NDArray]]:
        """Texts, entropies and surprises of each way."""
        return {
            way: tuple(each[self.ways == way] for each in (self.texts, self.entropies, self.surprises))
            for way in WAYS
            if way != "true"
        }


def _along(model: GPT2, ids: NDArray, start: int) -> tuple[NDArray, NDArray, NDArray]:
    """Texts [k, start + n], and at each of the last n tokens the guess's entropy and the token's surprise, bits."""
    import torch

    size = max(1, AT_ONCE // (ids.shape[1] * model.config.vocab_size))
    found = []
    for low in range(0, len(ids), size):
        part = torch.from_numpy(ids[low : low + size])
        probabilities = model.forward(part[:, :-1])[:, start - 1 :].double().softmax(-1)
        found.append(_bits(probabilities, part[:, start:]))
    return ids, *(np.concatenate(each) for each in zip(*found, strict=True))


def _bits(probabilities: Tensor, tokens: Tensor) -> tuple[NDArray, NDArray]:
    """Entropy of guesses [..., vocab] and surprise of tokens [...], bits."""
    import torch

    entropy = torch.special.entr(probabilities).sum(-1) / math.log(2)
    surprise = -probabilities.gather(-1, tokens[..., None])[..., 0].log2()
    return entropy.numpy(), surprise.numpy()


def repeated(tokens: Sequence[int], n: int = GRAM) -> list[bool]:
    """Whether the n tokens that end at each place stood in the text before."""
    seen: set[tuple[int, ...]] = set()
    found = []
    for end in range(1, len(tokens) + 1):
        gram = tuple(tokens[max(0, end - n) : end])
        found.append(len(gram) == n and gram in seen)
        seen.add(gram)
    return found


def summary(found: dict[str, tuple[NDArray, NDArray, NDArray]], k: int, common: int) -> dict[str, Any]:
    """Bins and means of texts, entropies and surprises [copies × k, n], with bands over the k passages.

    Parameters
    ----------
    common : positions that all ways have; `means` and `gaps` are taken over these.
    """
    bins: dict[str, dict[str, list]] = {}
    means: dict[str, dict[str, Any]] = {}
    by_passage: dict[str, dict[str, NDArray]] = {}
    for way, (texts, entropies, surprises) in found.items():
        n, start = entropies.shape[1], texts.shape[1] - entropies.shape[1]
        again = np.array([repeated(row.tolist())[start:] for row in texts], dtype=float)
        own = {name: values.reshape(-1, k, n).mean(0) for name, values in (("entropy", entropies), ("repeated", again))}
        bins[way] = {name: _bands(values.reshape(k, -1, BIN).mean(2)) for name, values in own.items()}
        by_passage[way] = {name: values[:, :common].mean(1) for name, values in own.items()}
        written = [row[start : start + common].tolist() for row in texts]
        means[way] = {
            "texts": len(texts),
            "entropy": _band(by_passage[way]["entropy"]),
            "surprise": float(f"{surprises[:, :common].mean():.4g}"),
            "repeated": _band(by_passage[way]["repeated"]),
            "distinct_3": float(f"{np.mean([distinct(row, 3) for row in written]):.4g}"),
            "loops": sum(loop(row[start:].tolist()) is not None for row in texts),
        }

    def gap(one: str, other: str) -> dict[str, list[float]]:
        return {name: _band(by_passage[one][name] - by_passage[other][name]) for name in ("entropy", "repeated")}

    # The same way of choosing on other contexts, and other ways of choosing by the same model.
    gaps = {"exposure": gap("drawn", "true"), "decoding": gap("greedy", "drawn")}
    late = {way: float(f"{_late(found[way][0], common):.4g}") for way in ("greedy", "greedy, then drawn", "drawn")}
    return {"bins": bins, "means": means, "gaps": gaps, "late": late}


def _late(texts: NDArray, common: int) -> float:
    """Share of repeated stretches in the last quarter of some texts: well after the hand has changed."""
    quarter = texts.shape[1] // 4
    return float(np.mean([repeated(row.tolist())[-quarter:] for row in texts]))


def _band(values: NDArray) -> list[float]:
    """Mean, low and high end over passages [k]."""
    return [float(f"{float(each):.4g}") for each in band(values)]


def _bands(values: NDArray) -> list[list[float]]:
    """Mean, low and high end over passages [k, bins], a bin a row.

    Percentiles of resampled means: where nearly every passage has a share of 1, only these stay shares.
    """
    found = band(values, lambda rows: rows.mean(0))
    return [[float(f"{each:.4g}") for each in row] for row in np.stack(found, 1).tolist()]
