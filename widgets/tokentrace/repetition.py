"""How much a text repeats itself: distinct n-grams, the longest stretch said twice, and loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


def distinct(tokens: Sequence[int], n: int) -> float | None:
    """Share of different n-grams among all n-grams: 1 says something new every time (Li et al. 2016).

    None if the text is too short to have one.
    """
    total = len(tokens) - n + 1
    return len({tuple(tokens[i : i + n]) for i in range(total)}) / total if total > 0 else None


def longest_repeat(tokens: Sequence[int]) -> int:
    """Length of the longest stretch of tokens that occurs twice; the two may overlap."""
    best, before = 0, [0] * (len(tokens) + 1)
    for i, token in enumerate(tokens):
        # now[j + 1]: how many tokens up to i agree with those up to j.
        now = [0] * (len(tokens) + 1)
        for j in range(i):
            if tokens[j] == token:
                now[j + 1] = before[j] + 1
        best, before = max(best, *now), now
    return best


class Loop(NamedTuple):
    """A text that goes round in a circle at its end: from `start` on, the same `period` tokens `rounds` times."""

    start: int
    period: int
    rounds: float


def loop(tokens: Sequence[int], least: float = 2.0) -> Loop | None:
    """Find the circle in which a text ends, if it has been gone round at least `least` times.

    Of several periods the one that explains the longest stretch is taken, and of those the shortest. A circle of
    fewer than four tokens must have been gone round more often: eight tokens at least are needed for one.
    """
    found = None
    for period in range(1, len(tokens) // 2 + 1):
        start = len(tokens) - period
        while start and tokens[start - 1] == tokens[start - 1 + period]:
            start -= 1
        length = len(tokens) - start
        enough = length >= max(8, least * period)
        if enough and (found is None or start < found.start):
            found = Loop(start, period, length / period)
    return found


@dataclass(frozen=True, slots=True)
class Measures:
    """What is counted in one text.

    Attributes
    ----------
    n : tokens counted.
    distinct_1, distinct_2, distinct_3 : shares of different n-grams.
    longest : length of the longest stretch that occurs twice.
    loop_start, loop_period, loop_rounds : the circle in which the text ends; None if there is none.
    """

    n: int
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    longest: int
    loop_start: int | None
    loop_period: int | None
    loop_rounds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measures(tokens: Sequence[int]) -> Measures:
    """Count all of it in the tokens of a text."""
    circle = loop(tokens) or (None, None, None)
    return Measures(len(tokens), *(distinct(tokens, n) for n in (1, 2, 3)), longest_repeat(tokens), *circle)
