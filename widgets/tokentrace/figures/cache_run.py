"""Where the time of a pass goes, measured, beside the operations that were counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokentrace.experiments.cache_run import PARTS, medians, shares
from tokentrace.figures import LINE, NOTE, PALE, PROBABILITY, WASTE, axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"linear": PROBABILITY, "attention": PALE, "head": WASTE, "rest": LINE}
SHORT = ("with the cache", "all read again", "… and scored")


@styled
def where(record: dict[str, Any]) -> Figure:
    """Draw the milliseconds of a pass by length and part, and each part's share at the greatest length."""
    figure, (left, right) = axes(2, width=9.8, height=3.6, width_ratios=(1.15, 1))
    done = [place for place, _ in enumerate(record["lengths"]) if all(of[place] for of in record["seconds"].values())]
    if not done:
        return figure
    _times(left, record, done)
    _shares(right, record, done[-1])
    handles = [left.bar(0, 0, color=colour, edgecolor=NOTE, linewidth=0.4) for colour in COLOURS.values()]
    figure.legend(handles, PARTS.values(), loc="outside upper left", ncols=len(PARTS))
    return figure


def _times(axis: Axes, record: dict[str, Any], done: list[int]) -> None:
    """Two stacked columns at each length: with the cache, and all read again."""
    wide = 0.36
    for side, way in enumerate(list(record["seconds"])[:2]):
        foot = [0.0] * len(done)
        places = [i + (side - 0.5) * (wide + 0.05) for i in range(len(done))]
        for part, colour in COLOURS.items():
            high = [medians(record["seconds"][way][place])[part] for place in done]
            axis.bar(places, high, wide, foot, color=colour, edgecolor=NOTE, linewidth=0.4)
            foot = [a + b for a, b in zip(foot, high, strict=True)]
        if side:
            axis.annotate("without", (places[-1], foot[-1]), (0, 3), textcoords="offset points", ha="center")
        else:
            axis.annotate("with", (places[-1], foot[-1]), (0, 3), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(done)), [str(record["lengths"][place]) for place in done])
    axis.grid(axis="x", visible=False)
    axis.margins(y=0.12)
    axis.set(title="one pass, left with the cache, right without", xlabel="tokens in the text", ylabel="ms, median")


def _shares(axis: Axes, record: dict[str, Any], place: int) -> None:
    """Each part's share: of the measured time, and of the counted operations."""
    rows = []
    for way, name in zip(record["seconds"], SHORT, strict=True):
        rows.append((f"{name}: time", shares(medians(record["seconds"][way][place]))))
        rows.append(("operations", shares(record["operations"][way][place])))
    places = [1.15 * i - 0.3 * (i % 2) for i in range(len(rows))]
    foot = [0.0] * len(rows)
    for part, colour in COLOURS.items():
        wide = [100 * row.get(part, 0.0) for _, row in rows]
        axis.barh(places, wide, 0.72, foot, color=colour, edgecolor=NOTE, linewidth=0.4)
        foot = [a + b for a, b in zip(foot, wide, strict=True)]
    axis.set_yticks(places, [name for name, _ in rows])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title=f"shares at {record['lengths'][place]} tokens", xlabel="percent", xlim=(0, 100))
