"""Figures of chapter 1: two changes together, beside the sum of each alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokentrace.figures import INK, NOTE, NOW, PROBABILITY, WASTE, axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def interaction(record: dict[str, Any]) -> Figure:
    """Draw what two changes do to a guess, each alone and both, on a linear series and on a language model.

    Parameters
    ----------
    record : as in `data/traces/interaction.json`: `series` and `language`.
    """
    figure, (left, right) = axes(2, height=3.3)
    series, language = record["series"], record["language"]
    _changes(left, series["values"], ("x(t−1) raised", "x(t−2) raised", "both raised"))
    left.set(title=f"AR(2): the guess for {series['year']}", xlabel="change of the guess, sunspot number")
    words = [f"“{old.strip()}” → “{new.strip()}”" for old, new in (language["first"], language["second"])]
    _changes(right, language["values"], (*words, "both"))
    right.set(title=f"GPT-2: the guess “{language['target'].strip()}”", xlabel="change of the log-probability, nats")
    return figure


def _changes(axis: Axes, values: list[float], names: tuple[str, str, str]):
    """Bars of the three changes, and where the third would stand if it were the sum of the others."""
    none, *rest = values
    changes = [value - none for value in rest]
    total = changes[0] + changes[1]
    rows = (3, 2, 1)
    axis.barh(rows, changes, color=[PROBABILITY, PROBABILITY, NOW], height=0.5)
    axis.barh([0], [total], height=0.5, fill=False, edgecolor=WASTE, hatch="////", linewidth=1.2)
    axis.axvline(0, color=NOTE, linewidth=1)
    low, high = min(0, total, *changes), max(0, total, *changes)
    room = (high - low) * 0.32
    axis.set_xlim(low - (room if low < 0 else 0), high + (room if high > 0 else 0))
    axis.set_ylim(-0.6, 3.6)
    for row, value in zip((*rows, 0), (*changes, total), strict=True):
        sign = "−" if value < 0 else "+"
        side = "right" if value < 0 else "left"
        axis.annotate(
            f"{sign}{abs(value):.2f}",
            (value, row),
            (-5 if value < 0 else 5, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            color=INK,
            annotation_clip=False,
        )
    axis.set_yticks([3, 2, 1, 0], [*names, "sum of the two"])
    axis.grid(axis="y", visible=False)


def say_interaction(record: dict[str, Any]) -> str:
    """Say in words what `interaction` draws."""
    series, language = record["series"], record["language"]
    none, first, second, both = language["values"]
    total = (first - none) + (second - none)
    words = (f"“{language[name][0].strip()}” to “{language[name][1].strip()}”" for name in ("first", "second"))
    return (
        f"On “{language['text']}” the log-probability of “{language['target'].strip()}” changes by "
        f"{first - none:+.2f} nats when {next(words)} is changed, by {second - none:+.2f} for {next(words)}, and by "
        f"{both - none:+.2f} for both; the sum of the two would be {total:+.2f}. On the AR(2) both and the sum differ "
        f"by {abs(series['apart']):.0e}."
    ).replace("-", "−")
