"""A figure of chapter 3: entropy and repetition by position, along true text and text of the model's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokentrace.experiments.entropy_drift import NAMES
from tokentrace.figures import INK, NOTE, NOW, PALE, PROBABILITY, TEACHER, axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"true": TEACHER, "drawn": PROBABILITY, "top-p": PALE, "greedy": NOW, "greedy, then drawn": INK}
DASHED = ("greedy, then drawn",)


@styled
def entropy_drift(record: dict[str, Any]) -> Figure:
    """Draw the mean entropy of the guess and the share of repeated stretches, with their 95 % bands."""
    figure, (left, right) = axes(2, height=3.9)
    for way in NAMES:
        _line(left, record, way, "entropy", 1)
        _line(right, record, way, "repeated", 100)
    top = max(high for way in NAMES for _, _, high in record["bins"][way]["entropy"])
    left.set(title="entropy of the guess, bits", ylim=(0, top * 1.05))
    right.set(title=f"stretches of {record['gram']} tokens that stood there before, %", ylim=(0, 100))
    half = record["n"] / 2
    for axis in (left, right):
        axis.set(xlabel="tokens after the passage's beginning", xlim=(0, record["n"]))
        axis.axvline(half, color=NOTE, linestyle=":", linewidth=1)
    right.annotate("drawing takes over", (half, 0.55), (5, 0), ("data", "axes fraction"), "offset points", color=NOTE)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _line(axis: Axes, record: dict[str, Any], way: str, what: str, scale: float):
    """Mean and band of one way, a point in the middle of every bin."""
    mean, low, high = ([scale * each[i] for each in record["bins"][way][what]] for i in range(3))
    places = [record["bin"] * (i + 0.5) for i in range(len(mean))]
    axis.fill_between(places, low, high, color=COLOURS[way], alpha=0.18, linewidth=0)
    axis.plot(places, mean, "--" if way in DASHED else "-", color=COLOURS[way], label=NAMES[way])
