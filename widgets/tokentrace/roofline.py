"""The roofline of a pass: how many operations it needs, how many bytes it moves, and what a machine can attain.

Operations are multiplications and additions of the matrices; norms, activations and softmax are left out, and so
are the bytes of what flows between layers. Both are small beside the rest (facts of one pass: Kaplan et al. 2020,
section 2.1; the roofline: Williams, Waterman and Patterson 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}  # of one number of a weight matrix
SCALE_BYTES = 2  # int8: one bf16 scale for every output
SHAPE = ("n_layer", "n_embd", "n_inner", "vocab_size")


def shape_of(config: Any) -> dict[str, int]:
    """What the counts need of a `Config`, as plain data."""
    return {name: int(getattr(config, name)) for name in SHAPE}


def matrices(shape: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """Weight matrices that every token passes: inputs, outputs, and how many of this kind; the head is the last."""
    width, inner, layers = shape["n_embd"], shape["n_inner"], shape["n_layer"]
    kinds = ((width, 3 * width), (width, width), (width, inner), (inner, width))
    return [(*kind, layers) for kind in kinds] + [(width, shape["vocab_size"], 1)]


def weight_bytes(shape: Mapping[str, int], precision: str = "fp32") -> int:
    """Bytes of all weight matrices: what a pass reads at least once, however few tokens it is for."""
    scales = SCALE_BYTES if precision == "int8" else 0
    return sum((n_in * n_out * BYTES[precision] + n_out * scales) * count for n_in, n_out, count in matrices(shape))


def cache_bytes(shape: Mapping[str, int], positions: int, number_bytes: int = 4) -> int:
    """Bytes of keys and values of so many positions of a GPT-2."""
    return 2 * shape["n_layer"] * shape["n_embd"] * positions * number_bytes


def operations(shape: Mapping[str, int], new: int, past: int = 0, batch: int = 1) -> int:
    """Operations of one pass that reads `new` tokens of `batch` texts and scores what follows the last of each.

    Two for each number of a matrix and token; in attention four for each number of a query that meets a key, and
    position i of the new ones meets past + i keys, itself included. The head sees only the last position.
    """
    *layers, (width, vocabulary, _) = matrices(shape)
    linear = sum(2 * n_in * n_out * count for n_in, n_out, count in layers) * new
    pairs = new * past + new * (new + 1) // 2
    return batch * (linear + 4 * shape["n_embd"] * shape["n_layer"] * pairs + 2 * width * vocabulary)


def bytes_moved(shape: Mapping[str, int], new: int, past: int = 0, batch: int = 1, precision: str = "fp32") -> int:
    """Bytes of one pass: all weights once, and the cache of every text, read and written."""
    number_bytes = 4 if precision == "fp32" else 2
    return weight_bytes(shape, precision) + batch * cache_bytes(shape, past + new, number_bytes)


def attainable(throughput: float, bandwidth: float, intensity: float) -> float:
    """Operations a second at `intensity` operations a byte: min(F, I · B).

    Parameters
    ----------
    throughput : F, operations a second when no byte is waited for.
    bandwidth : B, bytes a second.
    """
    return min(throughput, intensity * bandwidth)


def ridge(throughput: float, bandwidth: float) -> float:
    """Operations a byte from which on the multiplying is what one waits for: F / B."""
    return throughput / bandwidth


def tokens_per_second(weights: float, bandwidth: float, readers: int = 1, cache: float = 0.0) -> float:
    """Upper bound of decode: a pass reads all weights once and every reader's cache; bytes, and bytes a second."""
    return readers * bandwidth / (weights + readers * cache)
