"""Figures in the house style: one set of colours with the views, taken from their theme, for light and dark pages.

A chapter's figures stand in a module of their own: `figures/generation_loop.py`, functions of records that return
a matplotlib or plotly figure. `tokentrace.views.Still` and `Explore` show them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
THEME = Path(__file__).parents[1] / "frontend" / "shared" / "theme.css"
NO_METADATA = ("Creator", "Date", "Format", "Type")


# The light page's colours by token, as in the theme, and back: what a colour of a figure is called there.
THEME_COLOURS = dict(
    re.findall(r"--(tt-[\w-]+): (#[0-9a-f]{6})\b", THEME.read_text(encoding="utf-8").partition("\n}\n")[0])
)
TOKEN = {colour: f"var(--{name})" for name, colour in reversed(THEME_COLOURS.items())}
INK, NOTE, LINE = (THEME_COLOURS[f"tt-{name}"] for name in ("ink", "ink-3", "line"))
PROBABILITY, PALE = THEME_COLOURS["tt-p5"], THEME_COLOURS["tt-p3"]
NOW, TEACHER, WASTE = (THEME_COLOURS[f"tt-{name}-fill"] for name in ("now", "teacher", "waste"))
# On a plotly figure, which knows no theme of the page: readable on white and on black.
MIDDLE = "#7d8493"


STYLE = {
    "font.size": 10, "text.color": INK, "lines.linewidth": 1.8, "legend.frameon": False, "image.cmap": "Blues",
    "axes.edgecolor": NOTE, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": LINE, "grid.linewidth": 0.8, "xtick.color": NOTE, "ytick.color": NOTE,
    "svg.fonttype": "none",
}  # fmt: skip


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw its matplotlib figure in the house style."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return in_style


def axes(columns: int = 1, width: float = 9.2, height: float = 3.4, **options) -> tuple[Figure, Axes | list[Axes]]:
    """Make an empty still figure without a pyplot window; call it in a function that is `styled`.

    Parameters
    ----------
    columns : how many pictures stand side by side; with more than one a list of axes is returned.
    width, height : inches; text is 10 points high, so a smaller figure has larger text on the page.
    **options : of `Figure.subplots`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    made = figure.subplots(1, columns, **options)
    return figure, list(made) if columns > 1 else made


def to_svg(figure: Figure) -> str:
    """Draw a matplotlib figure as SVG whose colours are the theme's own, so that they follow the page's theme."""
    from matplotlib import rc_context

    file = StringIO()
    with rc_context(STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(NO_METADATA))
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # A style element would hold for the whole page, and a fixed size for every page.
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, count=1, flags=re.S)
    drawn = re.sub(r'\swidth="[^"]*" height="[^"]*"', ' stroke-linejoin="round"', drawn, count=1)
    drawn = re.sub(r"font(-family)?: ([\d.]+px )?'DejaVu Sans'[^;\"]*", r"font\1: \2var(--tt-font-ui)", drawn)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: TOKEN.get(found[0], found[0]), drawn)
