"""What sources say about a topic, beside what was measured here, and a verdict that follows from the numbers.

A chapter's claims stand in a module of their own: `claims/generation_loop.py`. `tokentrace.views.Claims` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

VERDICTS = ("holds", "simplified", "wrong")


@dataclass(frozen=True)
class Finding:
    """What a measurement gave: a sentence with this run's numbers, and whether the claim stands.

    Raises
    ------
    ValueError
        If the verdict is none of `VERDICTS`.
    """

    measured: str
    verdict: str

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"A verdict is one of {', '.join(VERDICTS)}, not {self.verdict!r}.")


@dataclass(frozen=True)
class Claim:
    """A sentence that is said of the topic, and how to put it to the test.

    Parameters
    ----------
    says : the claim, in our words; `code`, *stressed* and **strong** as in exercises.
    source : where it is said, or who showed what is right.
    measure : works out the finding from the page's runs, or returns None while there is none to measure on.
    """

    says: str
    source: str
    measure: Callable[[], Finding | None]

    def to_dict(self) -> dict[str, str]:
        """Plain data for a table row, measured now."""
        finding = self.measure()
        return {
            "says": self.says,
            "source": self.source,
            "measured": finding.measured if finding else "",
            "verdict": finding.verdict if finding else "",
        }
