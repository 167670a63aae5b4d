"""Measurements that a page shows recorded and a reader can repeat: how to measure, what to say, what to draw.

A chapter's measurements stand in a module of their own: `experiments/generation_loop.py`.
`tokentrace.views.Measurement` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tokentrace.lm import GPT2
    from tokentrace.measuring import Progress

PROMPT = "The lighthouse keeper opened the door and"


class Told(NamedTuple):
    """A record in words: a sentence, and a table with its heads."""

    sentence: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Experiment:
    """One measurement.

    Parameters
    ----------
    name : of its record in data/traces.
    tell : puts a record into words.
    measurer : `module:function`, the generator of (done, total, record) that makes a record of a model and a prompt.
    drawer : `module:function`, which draws a record.

    Both are imported when they are first needed, so that a page can show a record at once.
    """

    name: str
    title: str
    tell: Callable[[dict[str, Any]], Told]
    measurer: str
    drawer: str

    def measure(self, model: GPT2, prompt: str) -> Progress:
        """Measure anew."""
        return named(self.measurer)(model, prompt)

    def draw(self, record: dict[str, Any]) -> Figure:
        """Draw a record."""
        return named(self.drawer)(record)


def named(place: str) -> Callable:
    """Import what stands at `module:function` in this package."""
    module, _, function = place.partition(":")
    return getattr(import_module(f"tokentrace.{module}"), function)
