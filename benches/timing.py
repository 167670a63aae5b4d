"""Interleaved timing: contestants take turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple


class Spread(NamedTuple):
    """Median and quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(values: list[float]) -> Spread:
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def interleave(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after one round to warm up; each round starts with another one."""
    names = list(contestants)
    for name in names:
        contestants[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = perf_counter()
            contestants[name]()
            seconds[name].append(perf_counter() - start)
    return seconds


def ratios(of: list[float], to: list[float]) -> list[float]:
    """Round by round: a disturbed round spoils one ratio, not the medians of two columns."""
    return [a / b for a, b in zip(of, to, strict=True)]
