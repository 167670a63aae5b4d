"""Where the time of a pass goes, and what the cache takes away."""

from __future__ import annotations

import statistics
from typing import Any

from tokentrace.experiments import Experiment, Told
from tokentrace.measuring import middle

PARTS = {"linear": "linear layers", "attention": "attention", "head": "head", "rest": "the rest"}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Median milliseconds of each part."""
    return {part: 1000 * statistics.median(each[part] for each in rounds) for part in PARTS}


def totals(rounds: list[dict[str, float]]) -> list[float]:
    """Milliseconds of each whole pass."""
    return [1000 * sum(each.values()) for each in rounds]


def shares(parts: dict[str, float]) -> dict[str, float]:
    """Each part's share of the whole."""
    whole = sum(parts.values()) or 1.0
    return {part: value / whole for part, value in parts.items()}


def saved(record: dict[str, Any], place: int) -> dict[str, float]:
    """Median milliseconds that the cache saves in each part, at one of the lengths; negative where it costs."""
    cached, anew, _ = (medians(record["seconds"][way][place]) for way in record["seconds"])
    return {part: anew[part] - cached[part] for part in PARTS}


def tell_where(record: dict[str, Any]) -> Told:
    """Say what the cache saves, part by part, and where the formula would have attention take over."""
    ways, lengths = list(record["seconds"]), record["lengths"]
    if not all(record["seconds"][way][-1] for way in ways):
        return Told("Stopped before every way was measured.", (), [])
    rows = []
    for way in ways:
        for place, n in enumerate(lengths):
            rounds = record["seconds"][way][place]
            parts, (least, whole, most) = medians(rounds), middle(totals(rounds))
            counted = shares(record["operations"][way][place])
            of = " / ".join(f"{counted[part]:.0%}" for part in ("linear", "attention", "head"))
            rows.append((way, str(n), *(f"{parts[part]:.2f}" for part in PARTS), f"{whole:.2f}",
                         f"{least:.2f} to {most:.2f}", of))  # fmt: skip
    fast, slow, all_scored = (middle(totals(record["seconds"][way][-1]))[1] for way in ways)
    heads = ("way", "tokens", *(f"{name}, ms" for name in PARTS.values()), "whole pass, ms", "least to most",
             "operations: linear / attention / head")  # fmt: skip
    return Told(_sentence(record, fast, slow, all_scored), heads, rows)


def _sentence(record: dict[str, Any], fast: float, slow: float, all_scored: float) -> str:
    n = record["lengths"][-1]
    said = f"A pass at {n} tokens took {fast:.1f} ms with the cache and {slow:.1f} ms without"
    gains = saved(record, -1)
    whole = sum(gains.values())
    if slow <= fast or whole <= 0:
        said += ": the cache saved nothing. "
    else:
        most = max(gains, key=gains.__getitem__)
        said += f", {slow / fast:.1f} times. Of what was saved {gains[most] / whole:.0%} was {PARTS[most]}"
        said += f" and {gains['attention'] / whole:.0%} attention" if most != "attention" else ""
        said += ". "
    if all_scored > slow:
        said += f"A loop that scores every position again takes {all_scored - slow:.1f} ms more. "
    else:
        said += "To score every position again took no longer than to score the last. "
    nothing = [
        str(length)
        for place, length in enumerate(record["lengths"])
        if sum(saved(record, place).values()) <= 0.05 * sum(medians(record["seconds"][WHOLE][place]).values())
    ]
    if nothing:
        said += f"At {' and '.join(nothing)} tokens next to nothing is saved. "
    over = "beyond this window" if record["equal_at"] > record["n_ctx"] else "within this window"
    return said + (
        f"By the formula attention needs as many operations as the linear layers only at {record['equal_at']:,} "
        f"tokens, {over} of {record['n_ctx']:,}."
    )


WHOLE = "all read again"
WHERE = Experiment(
    "where_time_goes", "Where the time goes", tell_where, "where_time_goes:where_time_goes", "figures.cache_run:where"
)
