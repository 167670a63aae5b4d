"""Figures of chapter 4: prefill and decode, the roofline, and fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokentrace.experiments.kv_cache import limits, mean_kl, pass_name, ten_times, timed, weight_rates
from tokentrace.figures import INK, NOTE, PALE, PROBABILITY, WASTE, axes, styled
from tokentrace.roofline import attainable, ridge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]
FLOOR = 1e-12  # a KL of 0 has no place on a logarithmic axis
KINDS = {"prefill": (PROBABILITY, "o", "prefill: one prompt"), "decode": (INK, "s", "decode: one token each")}


@styled
def prefill_decode(record: Record) -> Figure:
    """Draw tokens a second against tokens in a pass, and seconds of a prompt against its length."""
    figure, (left, right) = axes(2, height=3.3)
    for kind, (colour, marker, label) in KINDS.items():
        found = timed(record, kind)
        sizes = [each["new"] * each["batch"] for each in found]
        rates = [
            (size / each["median"], size / each["high"], size / each["low"])
            for size, each in zip(sizes, found, strict=True)
        ]
        reach = [[m - a for m, a, _ in rates], [b - m for m, _, b in rates]]
        left.errorbar(
            sizes, [m for m, *_ in rates], yerr=reach, color=colour, marker=marker, markersize=4, capsize=2, label=label
        )
    left.set(xscale="log", yscale="log", title="tokens a second, all together", xlabel="tokens in one pass")
    left.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    left.set_xlim(0.8, 1.3 * max(each["new"] * each["batch"] for each in record["passes"]))
    _plain_ticks(left)
    left.legend(loc="lower right")
    found = timed(record, "prefill")
    if found:
        short, long = ten_times(record)
        lengths, ms = [each["new"] for each in found], [1000 * each["median"] for each in found]
        reach = [
            [1000 * (each["median"] - each["low"]) for each in found],
            [1000 * (each["high"] - each["median"]) for each in found],
        ]
        right.errorbar(lengths, ms, yerr=reach, color=PROBABILITY, marker="o", markersize=4, capsize=2)
        ends, flat = [short["new"], long["new"]], 1000 * short["median"]
        right.plot(ends, [flat, flat], color=NOTE, linestyle="--", linewidth=1)
        right.plot(ends, [flat, flat * ends[1] / ends[0]], color=NOTE, linestyle="--", linewidth=1)
        right.annotate(
            "if the length did not matter", (ends[1], flat), (0, 5), textcoords="offset points", color=NOTE, ha="right"
        )
        middle = sum(ends) / 2
        right.annotate(
            "if every token cost the same",
            (middle, flat * middle / ends[0]),
            (-6, 6),
            textcoords="offset points",
            color=NOTE,
            ha="right",
        )
        right.set(title="time to read a prompt, ms", xlabel="tokens of the prompt", xlim=(0, None), ylim=(0, None))
    return figure


@styled
def roofline(record: Record) -> Figure:
    """Draw what the machine could do at every intensity, and what the passes reached."""
    figure, axis = axes(height=3.9)
    passes = [each for kind in KINDS for each in timed(record, kind)]
    if not passes or not record["throughput"]:
        return figure
    most = limits(record)
    intensity = [each["operations"] / each["bytes"] for each in passes]
    low, high, lowest = min(intensity) / 2, max(intensity) * 2, float("inf")
    for name, colour, line, label in (
        ("bandwidth", INK, "-", "roof, weights as near as they lie"),
        ("far_bandwidth", NOTE, "--", "roof, all from memory"),
    ):
        turn = ridge(most["throughput"], most[name])
        ends = sorted([low, min(max(turn, low), high), high])
        axis.plot(
            ends,
            [attainable(most["throughput"], most[name], x) / 1e9 for x in ends],
            line,
            color=colour,
            linewidth=1.4,
            label=label,
        )
    for kind, (colour, marker, label) in KINDS.items():
        found = timed(record, kind)
        points = [(each["operations"] / each["bytes"], each["operations"] / each["median"] / 1e9) for each in found]
        lowest = min(lowest, *(reached for _, reached in points))
        axis.scatter(*zip(*points, strict=True), color=colour, marker=marker, s=26, zorder=3, label=label)
        for each, point in [(found[0], points[0]), (found[-1], points[-1])]:
            said = str(each["new"]) if kind == "prefill" else f"{each['batch']} text{'s' if each['batch'] > 1 else ''}"
            axis.annotate(said, point, (8, -4), textcoords="offset points", color=colour)
    axis.set(
        xscale="log", yscale="log", xlabel="operations a byte", ylabel="billion operations a second", xlim=(low, high)
    )
    axis.set_xticks(
        ticks := [x for x in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if low <= x <= high],
        [f"{x:g}" for x in ticks],
    )
    axis.set_ylim(lowest * 0.6)
    _plain_ticks(axis)
    axis.legend(loc="lower right")
    return figure


def _plain_ticks(axis: Any):
    """Mark a logarithmic axis at 1, 2 and 5 times powers of ten, in plain numbers."""
    low, high = axis.get_ylim()
    ticks = [base * 10**power for power in range(-3, 10) for base in (1, 2, 5) if low <= base * 10**power <= high]
    axis.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.minorticks_off()


@styled
def quantized_cache(record: Record) -> Figure:
    """Draw KL against bits for both ways of sharing a step, and the spans of one head's channels."""
    figure, (left, right) = axes(2, height=3.3)
    for keys, colour, label in (
        ("channel", PROBABILITY, "keys per channel, values per token"),
        ("token", WASTE, "the other way round"),
    ):
        found = [
            (each["bits"], mean_kl(record, each))
            for each in record["schemes"]
            if each["bits"] < 16 and each["keys"] == keys
        ]
        if found:
            left.plot(*zip(*found, strict=True), color=colour, marker="o", markersize=5, label=label)
    for each in record["schemes"]:
        if each["bits"] == 16:
            place = (16, max(mean_kl(record, each), FLOOR))
            left.scatter(*place, color=INK, s=26, zorder=3)
            left.annotate("bf16", place, (-6, 8), textcoords="offset points", ha="right")
    left.set(xscale="log", yscale="log", title="KL to fp32, nats a token", xlabel="bits of a number")
    left.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    left.minorticks_off()
    left.legend(loc="upper right")
    spans = record["spans"]
    for name, colour in (("keys", PROBABILITY), ("values", WASTE)):
        right.plot(range(1, len(spans[name]) + 1), spans[name], color=colour, drawstyle="steps-mid", label=name)
    right.set(
        title=f"span of each channel, layer {spans['layer'] + 1}, head {spans['head'] + 1}",
        xlabel="channel, widest first",
        ylim=(0, None),
    )
    right.legend(loc="upper right")
    return figure


@styled
def quantized_weights(record: Record) -> Figure:
    """Draw tokens a second in each precision against fp32, and KL along the text."""
    figure, (left, right) = axes(2, height=3.3)
    rates, colours = weight_rates(record), {"fp32": WASTE, "bf16": PALE, "int8": PROBABILITY}
    names = [pass_name(each).replace(" of ", "\nof ") for each in record["passes"]]
    for place, (name, found) in enumerate(rates.items()):
        gains = [rate / exact for rate, exact in zip(found, rates["fp32"], strict=True)]
        bars = left.bar(
            [x + (place - 1) * 0.27 for x in range(len(gains))], gains, width=0.25, color=colours[name], label=name
        )
        left.bar_label(bars, [f"{gain:.1f}" for gain in gains], padding=2, fontsize=9)
    left.axhline(1, color=NOTE, linewidth=1, linestyle="--")
    left.set_xticks(range(len(names)), names)
    left.set(title="tokens a second, times those of fp32", ylim=(0, left.get_ylim()[1] * 1.25))
    left.grid(axis="x", visible=False)
    left.legend(loc="upper right", ncols=3)
    for each in record["precisions"][1:]:
        kept = [max(value, 1e-9) for value in each["kl"]]
        right.plot(
            range(1, len(kept) + 1),
            kept,
            color={"bf16": NOTE, "int8": PROBABILITY}[each["name"]],
            linewidth=1.1,
            label=each["name"],
        )
    right.set(yscale="log", title="KL to fp32 at every token, nats", xlabel="token of the text")
    right.legend(loc="lower right", ncols=2)
    return figure
