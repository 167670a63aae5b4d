"""How many tokens to guess before the target looks: always as many, as long as it seems sure, or what pays.

A rule may look at the distribution that the next guess would be drawn from, but not at the guess itself: to drop
a guess that was drawn, because of what it is, would let the target write that place alone only for some draws, and
the text would no longer be the target's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from tokentrace.speculation import Round


class DraftLength(Protocol):
    """Decides how many guesses a round has.

    Attributes
    ----------
    most : guesses in the round that begins now, at most.
    """

    most: int

    def goes_on(self, guessed: int, proposal: Tensor) -> bool:
        """Whether to draw one more guess, from this proposal [vocab], when so many were drawn in this round."""

    def learn(self, found: Round) -> None:
        """Take note of what became of a round."""


class Fixed:
    """Always n guesses."""

    def __init__(self, n: int):
        if n < 0:
            raise ValueError(f"A draft can guess no fewer than 0 tokens, not {n}.")
        self.most = n

    def goes_on(self, guessed: int, proposal: Tensor) -> bool:
        """Always."""
        return True

    def learn(self, found: Round) -> None:
        """Nothing."""


class Confident:
    """As long as the draft is sure: while its best token's probability, multiplied along the round, stays high."""

    def __init__(self, least: float = 0.4, most: int = 8):
        self.least, self.most, self.sure = least, most, 1.0

    def goes_on(self, guessed: int, proposal: Tensor) -> bool:
        """Whether all guesses of the round together are still likely to be kept, in the draft's own eyes."""
        self.sure = float(proposal.max()) * (self.sure if guessed else 1.0)
        return self.sure >= self.least

    def learn(self, found: Round) -> None:
        """Nothing."""


class Paying:
    """As many as have paid so far: the number with the largest expected speed.

    Parameters
    ----------
    draft_cost : time of one guess, in passes of the target over one token.
    verify_cost : time of a target's pass over m tokens, likewise.
    longest : guesses a round at most.
    """

    def __init__(self, draft_cost: float, verify_cost: Callable[[int], float] = lambda m: 1.0, longest: int = 8):
        self.draft_cost, self.verify_cost, self.longest = draft_cost, verify_cost, longest
        self.kept, self.tested = 2.0, 3.0  # before anything is known: two of three

    @property
    def acceptance_rate(self) -> float:
        """Guesses kept among those tested: after a rejection the others are not tested, so they do not count."""
        return self.kept / self.tested

    @property
    def most(self) -> int:
        """The number that pays best at the rate seen so far; at least one, or nothing would be learned any more."""
        return max(1, best_length(self.acceptance_rate, self.draft_cost, self.verify_cost, self.longest)[0])

    def goes_on(self, guessed: int, proposal: Tensor) -> bool:
        """Always."""
        return True

    def learn(self, found: Round) -> None:
        """Count what was kept, forgetting slowly what is long past."""
        self.kept = 0.98 * self.kept + found.kept
        self.tested = 0.98 * self.tested + min(found.kept + 1, len(found.guesses))


def tokens_a_round(acceptance_rate: float, n: int) -> float:
    """Expected tokens of a round of n guesses: (1 - α^(n+1)) / (1 - α), Leviathan et al. 2023, equation 1."""
    if acceptance_rate >= 1:
        return n + 1.0
    return (1 - acceptance_rate ** (n + 1)) / (1 - acceptance_rate)


def speedup(
    acceptance_rate: float, n: int, draft_cost: float, verify_cost: Callable[[int], float] = lambda m: 1.0
) -> float:
    """Expected speed with n guesses a round, in multiples of the target alone.

    Theorem 3.8 of Leviathan et al. 2023, where verifying costs one pass whatever its length; here its measured cost
    may be given, since on a processor reading n + 1 tokens takes longer than reading one.
    """
    return tokens_a_round(acceptance_rate, n) / (n * draft_cost + verify_cost(n + 1) / verify_cost(1))


def best_length(
    acceptance_rate: float, draft_cost: float, verify_cost: Callable[[int], float] = lambda m: 1.0, most: int = 64
) -> tuple[int, float]:
    """The number of guesses that pays best, and the speed it gives."""
    speeds = [speedup(acceptance_rate, n, draft_cost, verify_cost) for n in range(most + 1)]
    best = max(range(most + 1), key=speeds.__getitem__)
    return best, speeds[best]


def unbiased_rate(rounds: list[Round]) -> float:
    """Guesses kept among guesses tested: what estimates α; kept among all guesses would say too little."""
    kept = sum(found.kept for found in rounds)
    tested = kept + sum(found.kept < len(found.guesses) for found in rounds)
    return kept / tested if tested else math.nan
