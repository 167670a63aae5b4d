"""Figures: drawn in the theme's colours, and heavy code only when asked for."""

import asyncio
import re

from tokentrace.figures import INK, NOW, PROBABILITY, THEME, axes, styled, to_svg
from tokentrace.views import Explore, Still


@styled
def example():
    figure, axis = axes()
    axis.plot([1, 2, 3], [3, 1, 2], color=PROBABILITY, label="tokens")
    axis.scatter([2], [2], color=NOW)
    axis.set(xlabel="length, tokens", ylabel="time, ms", title="Time")
    axis.text(1, 2, "here")
    axis.legend()
    return figure


def test_all_colours_are_tokens_of_the_theme():
    """Catches: text that stays black on a dark page, a colour that the theme does not know."""
    svg = to_svg(example())
    assert not re.findall(r"#[0-9a-f]{6}\b", svg)
    used, known = set(re.findall(r"var\((--tt-[\w-]+)\)", svg)), set(re.findall(r"(--tt-[\w-]+):", THEME.read_text()))
    assert {"--tt-ink", "--tt-p5", "--tt-now-fill"} <= used <= known
    assert all("fill: " in text for text in re.findall(r"<text[^>]*>", svg))


def test_nothing_leaks_into_the_page():
    """Catches: matplotlib's style element, which would hold for every picture on the page; a fixed size."""
    svg = to_svg(example())
    assert svg.startswith("<svg") and "<style" not in svg
    assert not re.search(r'\b(width|height)="[\d.]+pt"', svg)


def test_the_page_and_the_figure_agree_on_ink():
    assert f"--tt-ink: {INK};" in THEME.read_text()


def test_a_still_figure_has_words():
    still = Still(example(), caption="Time by length.", alt="It rises.")
    assert (still.caption, still.alt, still.explore) == ("Time by length.", "It rises.", "no")


def ask(figure: Explore):
    async def act():
        figure.still._receive(figure.still, {"type": "explore", "width": 640.5}, [])
        await asyncio.gather(*figure.still._tasks)

    asyncio.run(act())


def test_plotly_comes_when_it_is_asked_for():
    import plotly.graph_objects as go

    made = []

    def make():
        made.append(True)
        return go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))

    figure = Explore(example(), make, caption="Time by length.", alt="It rises.")
    assert len(figure.children) == 1 and not made
    ask(figure)
    shown, still = figure.children
    assert isinstance(shown, go.FigureWidget) and list(shown.data[0].y) == [3, 4]
    assert still.explore == "shown" and shown.layout.width == 640
    ask(figure)
    assert len(made) == 1


def test_a_figure_that_cannot_be_made_says_so():
    figure = Explore(example(), lambda: 1 / 0, caption="", alt="")
    ask(figure)
    assert len(figure.children) == 1
    assert figure.still.explore == "offered" and "ZeroDivisionError" in figure.still.error
