"""Figures on a page: still ones that follow its theme, and ones to explore, loaded when a reader asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import ipywidgets
import traitlets

from tokentrace.figures import MIDDLE, to_svg
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View

if TYPE_CHECKING:
    import matplotlib.figure
    import plotly.graph_objects


class Still(View):
    """A matplotlib figure with a caption.

    Parameters
    ----------
    figure : drawn by a function that is `tokentrace.figures.styled`.
    caption : what it shows and where the numbers are from, in a sentence or two.
    alt : what a reader who does not see it must know.
    """

    _esm = esm("figure.js")
    _css = css("figure.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "explore"})

    svg = traitlets.Unicode(help="the figure").tag(sync=True)
    caption = traitlets.Unicode(help="what it shows").tag(sync=True)
    alt = traitlets.Unicode(help="the same for those who do not see it").tag(sync=True)
    explore = traitlets.Enum(["no", "offered", "loading", "shown"], "no", help="whether there is more").tag(sync=True)

    width = 700  # pixels that it takes on the page, told when more is asked for

    def __init__(self, figure: matplotlib.figure.Figure, *, caption: str, alt: str, **traits):
        super().__init__(svg=to_svg(figure), caption=caption, alt=alt, **traits)

    def on_explore(self, message: dict):
        """Tell whoever listens that the reader asks for more; see `Explore`."""
        width = message.get("width")
        self.width = int(width) if isinstance(width, int | float) and 200 <= width <= 4000 else 700
        if self.explore == "offered":
            self.explore = "loading"


class Explore(ipywidgets.VBox):
    """A still figure, and behind a button the same as a plotly figure to hover over and to zoom.

    Plotly's own code is 5 MB, so a page that has not been asked for it must not load it.

    Parameters
    ----------
    still : the matplotlib figure that is shown first.
    make : returns the plotly figure of the same numbers.
    caption, alt : as for `Still`.
    """

    def __init__(
        self,
        still: matplotlib.figure.Figure,
        make: Callable[[], plotly.graph_objects.Figure],
        *,
        caption: str,
        alt: str,
    ):
        self._make = make
        self.still = Still(still, caption=caption, alt=alt, explore="offered")
        self.still.observe(self._asked, "explore")
        super().__init__([self.still])

    def _asked(self, change: dict):
        if change.new == "loading":
            self.still.start(self._load())

    async def _load(self):
        try:
            figure = await asyncio.to_thread(_to_explore, self._make, self.still.width)
        except Exception as error:
            self.still.explore = "offered"
            self.still.say(f"The figure could not be loaded ({type(error).__name__}: {error}).")
        else:
            self.children, self.still.explore = [figure, self.still], "shown"


def _to_explore(make: Callable[[], plotly.graph_objects.Figure], width: int) -> plotly.graph_objects.FigureWidget:
    import plotly.graph_objects as go

    figure = go.FigureWidget(make())
    axis = {"gridcolor": "rgba(125,132,147,.25)", "zerolinecolor": MIDDLE, "linecolor": MIDDLE}
    figure.update_layout(
        template="none", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font_color=MIDDLE,
        margin={"l": 64, "r": 16, "t": 24, "b": 56}, width=width, height=420,
    )  # fmt: skip
    figure._config = {**figure._config, "displaylogo": False}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    return figure
