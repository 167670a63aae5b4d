"""A figure of chapter 1: what the tokens of a given text cost, beside what the model expected them to cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tokentrace.chain_rule import Score
from tokentrace.figures import MIDDLE, NOTE, NOW, PALE, PROBABILITY, axes, styled

if TYPE_CHECKING:
    import plotly.graph_objects
    from matplotlib.figure import Figure

NAMED = 3  # of the tokens that surprised most


@styled
def surprises(score: Score) -> Figure:
    """Draw each token's surprise against the entropy of the guess, the surprise that was to be expected."""
    figure, axis = axes(height=4.6)
    entropy, found = _bits(score)
    right, top = max(entropy) * 1.1, max(found) * 1.08
    axis.plot([0, right], [0, right], color=NOTE, linestyle="--", linewidth=1)
    along = {"rotation": 45, "transform_rotates_text": True, "rotation_mode": "anchor", "ha": "right", "va": "top"}
    axis.text(right * 0.985, right * 0.955, "as surprising as expected", color=NOTE, **along)
    axis.scatter(entropy, found, s=24, color=PALE, edgecolor=PROBABILITY, linewidth=0.9)
    mean = sum(entropy) / len(entropy), sum(found) / len(found)
    axis.scatter(*[[each] for each in mean], s=64, marker="D", color=NOW, zorder=3)
    axis.annotate("mean", mean, (9, -13), textcoords="offset points", color=NOW, weight="bold", zorder=3)
    named: list[int] = []
    for place in sorted(range(len(found)), key=lambda place: -found[place]):
        near = any(abs(found[place] - found[other]) < top / 18 for other in named)
        if len(named) < NAMED and not near:
            named.append(place)
            word = score.token_text(score.ids[place]).strip()
            axis.annotate(word, (entropy[place], found[place]), (6, 3), textcoords="offset points", family="serif")
    axis.set(xlabel="entropy of the guess, bits", ylabel="surprise of the token that came, bits")
    axis.set(xlim=(0, right), ylim=(0, top))
    return figure


def surprises_to_explore(score: Score) -> plotly.graph_objects.Figure:
    """Return the same as a plotly figure: each dot shows the token and the text before it."""
    import plotly.graph_objects as go

    entropy, found = _bits(score)
    right, top = max(entropy) * 1.1, max(found) * 1.08
    dots = go.Scatter(
        x=entropy, y=found, mode="markers", text=[_said(score, place) for place in range(len(found))],
        hovertemplate="%{text}<br>expected %{x:.2f} bits, came with %{y:.2f}<extra></extra>",
        marker={"color": PROBABILITY, "size": 8, "opacity": 0.7}, name="tokens",
    )  # fmt: skip
    line = go.Scatter(
        x=[0, right], y=[0, right], mode="lines", hoverinfo="skip", name="as expected",
        line={"color": MIDDLE, "dash": "dash", "width": 1},
    )  # fmt: skip
    figure = go.Figure([line, dots])
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="entropy of the guess, bits", range=[0, right])
    figure.update_yaxes(title="surprise of the token that came, bits", range=[0, top])
    return figure


def _bits(score: Score) -> tuple[list[float], list[float]]:
    """Expected and found surprise of every token, bits."""
    return [token.entropy for token in score.tokens], [-token.logprob / math.log(2) for token in score.tokens]


def _said(score: Score, place: int) -> str:
    """The last words before a token, and the token in bold, as plotly reads them."""
    before = "".join(score.token_text(token) for token in score.ids[max(0, place - 6) : place])
    plain = (before, score.token_text(score.ids[place]))
    safe = [text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "↵") for text in plain]
    return f"{'…' if place > 6 else ''}{safe[0]}<b>{safe[1]}</b>"
