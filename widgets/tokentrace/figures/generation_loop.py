"""Figures of chapter 2: what writing costs, where a text ends, and what top-p keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokentrace.figures import INK, MIDDLE, NOTE, NOW, PALE, PROBABILITY, WASTE, axes, styled
from tokentrace.measuring import middle
from tokentrace.trace import Trace

if TYPE_CHECKING:
    import plotly.graph_objects
    from matplotlib.figure import Figure

Record = dict[str, Any]


@styled
def writing_times(record: Record) -> Figure:
    """Draw seconds against length, with and without a cache; bars reach from least to most."""
    figure, axis = axes(height=3.2)
    for way, colour, label in (("uncached", WASTE, "reading all anew"), ("cached", PROBABILITY, "with a cache")):
        seconds = [values for values in record["seconds"][way] if values]
        lengths = record["lengths"][: len(seconds)]
        if not seconds:
            continue
        _with_spread(axis, lengths, [middle(values) for values in seconds], colour)
        axis.annotate(label, (lengths[-1], middle(seconds[-1])[1]), (9, 0), textcoords="offset points", va="center")
    axis.set(xlabel="tokens written", ylabel="time, seconds", xlim=(0, record["lengths"][-1] * 1.22), ylim=(0, None))
    return figure


@styled
def batch_rates(record: Record) -> Figure:
    """Draw tokens a second of all texts together, and of each alone, against how many are written at once."""
    figure, (left, right) = axes(2, height=3.0)
    seconds = [values for values in record["seconds"] if values]
    sizes, n = record["sizes"][: len(seconds)], record["n"]
    for axis, title, rate in (
        (left, "all texts together", lambda size, spent: size * n / spent),
        (right, "each text", lambda _, spent: n / spent),
    ):
        values = [middle([rate(size, spent) for spent in all_of]) for size, all_of in zip(sizes, seconds, strict=True)]
        _with_spread(axis, sizes, values, PROBABILITY)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set(title=title, xlabel="continuations written at once", ylabel="tokens a second", ylim=(0, None))
    return figure


@styled
def end_chances(record: Record) -> Figure:
    """Draw the probability of the end token at every step of one run."""
    figure, axis = axes(height=2.8)
    chances = record["p_end"]
    places = range(1, len(chances) + 1)
    axis.vlines(places, 1e-12, chances, color=PROBABILITY, linewidth=1.2)
    best = max(range(len(chances)), key=chances.__getitem__)
    axis.scatter([best + 1], [chances[best]], color=NOW, zorder=3, s=24)
    axis.annotate(f"most: {chances[best]:.2g}", (best + 1, chances[best]), (7, 4), textcoords="offset points")
    floor = min(p for p in chances if p) if any(chances) else 1e-9
    axis.set(yscale="log", ylim=(floor / 2, 1), xlim=(0, len(chances) + 1), xlabel="token", ylabel="P(end token)")
    return figure


@styled
def stop_strings(record: Record) -> Figure:
    """Draw how long the run became with each stop string."""
    runs = record["runs"]
    figure, axis = axes(height=0.9 + 0.28 * len(runs))
    shown = [
        "none" if not run["stop"] else "“" + run["stop"].replace("\n", "↵").replace(" ", "·") + "”" for run in runs
    ]
    colours = [PROBABILITY if run["why"] == "stop_string" else PALE for run in runs]
    axis.barh(shown, [run["tokens"] for run in runs], color=colours, height=0.55)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(
        xlabel="tokens written (dark: ended by the stop string)", ylabel="stop string", xlim=(0, record["n"] * 1.02)
    )
    return figure


@styled
def beyond_the_window(record: Record) -> Figure:
    """Draw the time of each token around the end of the window, for three remedies."""
    figure, axis = axes(height=3.2)
    first = record["n_ctx"] - record["before"] + 1
    styles = {"slide by one": (WASTE, "-"), "drop the older half": (PROBABILITY, "-"), "stop": (INK, "-")}
    for remedy, (colour, line) in styles.items():
        ms = record["ms"].get(remedy, [])
        axis.plot(range(first, first + len(ms)), ms, line, color=colour, label=remedy, drawstyle="steps-mid")
    axis.axvline(record["n_ctx"] + 1.5, color=NOTE, linestyle="--", linewidth=1)
    full = "the window is full"
    axis.annotate(full, (record["n_ctx"] + 1.5, 0.6), (7, 0), ("data", "axes fraction"), "offset points", color=NOTE)
    axis.set(yscale="log", xlabel="token of prompt and text", ylabel="time of the token, ms")
    axis.legend(loc="center left")
    return figure


@styled
def nucleus(trace: Trace) -> Figure:
    """Draw how many tokens top-p kept against the entropy of the guess, a dot a step."""
    figure, axis = axes(height=3.6)
    entropy, kept = [step.entropy for step in trace.steps], [step.kept for step in trace.steps]
    bits = [0, max(entropy) * 1.05]
    axis.plot(bits, [2**each for each in bits], color=NOTE, linestyle="--", linewidth=1)
    at = 0.62 * bits[1]
    axis.annotate("2 to the entropy", (at, 2**at), (14, -22), textcoords="offset points", color=NOTE)
    axis.scatter(entropy, kept, s=26, color=PALE, edgecolor=PROBABILITY, linewidth=1)
    axis.set(yscale="log", xlabel="entropy of the guess, bits", ylabel=f"tokens kept by top-p {trace.settings.top_p}")
    return figure


def nucleus_to_explore(trace: Trace) -> plotly.graph_objects.Figure:
    """Return the same as a plotly figure: each dot shows the text before it and the token that was drawn."""
    import plotly.graph_objects as go

    steps = trace.steps
    said = [_said(trace, at) for at in range(len(steps))]
    dots = go.Scatter(
        x=[step.entropy for step in steps], y=[step.kept for step in steps], mode="markers", text=said,
        hovertemplate="%{text}<br>%{x:.2f} bits, %{y} tokens kept<extra></extra>",
        marker={"color": PROBABILITY, "size": 8, "opacity": 0.7}, name="steps",
    )  # fmt: skip
    bits = [0, max(step.entropy for step in steps) * 1.05]
    line = go.Scatter(
        x=bits, y=[2**each for each in bits], mode="lines", hoverinfo="skip", name="2 to the entropy",
        line={"color": MIDDLE, "dash": "dash", "width": 1},
    )  # fmt: skip
    figure = go.Figure([line, dots])
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="entropy of the guess, bits")
    figure.update_yaxes(title=f"tokens kept by top-p {trace.settings.top_p}", type="log")
    return figure


def _said(trace: Trace, at: int) -> str:
    """The last words before a step and its token, safe to stand in a plotly label."""
    before = (trace.prompt + b"".join(trace.vocabulary[t] for t in trace.tokens[:at]).decode("utf-8", "replace"))[-50:]
    text = f"… {before} → {trace.token_text(trace.steps[at].token)}"
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")


def _with_spread(axis: Any, x: Sequence[float], values: Sequence[tuple[float, float, float]], colour: str):
    """A line through the medians, with bars from least to most."""
    low, median, high = zip(*values, strict=True)
    reach = [[m - a for a, m in zip(low, median, strict=True)], [b - m for m, b in zip(median, high, strict=True)]]
    axis.errorbar(x, median, yerr=reach, color=colour, marker="o", markersize=4, capsize=3)
