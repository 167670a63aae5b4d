"""The measurements of chapter 2: what ends a run, what a cache saves, what a batch gains."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tokentrace.experiments import Experiment, Told
from tokentrace.measuring import middle


def tell_writing(record: dict[str, Any]) -> Told:
    """Say how much longer a longer text takes."""
    rows, factors = [], {}
    for way, label in (("cached", "with a cache"), ("uncached", "reading all anew")):
        spent = [middle(values) for values in record["seconds"][way] if values]
        for n, (low, median, high) in zip(record["lengths"], spent, strict=False):
            rows.append((label, str(n), f"{median:.2f}", f"{low:.2f} to {high:.2f}", f"{1000 * median / n:.1f}"))
        if len(spent) > 1:
            factors[way] = spent[-1][1] / spent[0][1]
    longer = record["lengths"][-1] / record["lengths"][0]
    if len(factors) == 2:
        sentence = (
            f"{longer:.0f} times as many tokens took {factors['cached']:.1f} times as long with a cache, "
            f"and {factors['uncached']:.0f} times as long when all was read anew for every token."
        )
    else:
        sentence = "Stopped before both ways were measured."
    return Told(sentence, ("way", "tokens", "seconds, median", "least to most", "ms a token"), rows)


def tell_batches(record: dict[str, Any]) -> Told:
    """Say how much is gained, and where no longer."""
    rows, rates = [], []
    for size, values in zip(record["sizes"], record["seconds"], strict=True):
        if values:
            low, median, high = middle([size * record["n"] / spent for spent in values])
            rates.append((size, median))
            rows.append((str(size), f"{median:.0f}", f"{low:.0f} to {high:.0f}", f"{median / size:.0f}"))
    if len(rates) < 2:
        return Told("Stopped before two sizes were measured.", (), [])
    (size, last), (_, alone) = rates[-1], rates[0]
    sentence = f"{size} texts at once gave {last / alone:.1f} times the tokens a second of one; "
    sentence += f"each of them came at {last / size / alone:.0%} of the speed it has alone. "
    gains = [(a, b, y / x) for (a, x), (b, y) in pairwise(rates)]
    if poor := [f"from {a} to {b}" for a, b, gain in gains if gain < 1.1]:
        sentence += f"Next to nothing was gained {' and '.join(poor)}."
    else:
        a, b, gain = gains[-1]
        sentence += f"From {a} to {b} the rate still grew, by a factor of {gain:.2f}."
    return Told(sentence, ("texts at once", "tokens a second, all", "least to most", "each"), rows)


def tell_ends(record: dict[str, Any]) -> Told:
    """Say how rarely the model would end by itself."""
    chances = record["p_end"]
    expected, most = sum(chances), max(chances)
    at = chances.index(most) + 1
    ended = {
        "end_of_text": f"The run ended by itself after {len(chances)} tokens.",
        "context": f"Nothing ended the run but the window, after {len(chances)} tokens.",
        "length": f"Nothing ended the run but the length that was set, {len(chances)} tokens.",
    }.get(record["stop"], f"The run was stopped after {len(chances)} tokens.")
    sentence = (
        f"The end token was never more probable than {most:.2g} (at token {at}); along the whole run one would "
        f"expect {expected:.2g} of them. {ended}"
    )
    ordered = sorted(chances)
    rows = [
        ("least", f"{ordered[0]:.2g}"),
        ("median", f"{statistics.median(chances):.2g}"),
        ("most", f"{most:.2g}"),
        ("sum, the number to expect", f"{expected:.2g}"),
    ]
    return Told(sentence, ("P(end token) over the run", "probability"), rows)


def tell_stops(record: dict[str, Any]) -> Told:
    """Say which stop string ended the run where."""
    rows, within = [], 0
    for run in record["runs"]:
        hit = run["why"] == "stop_string"
        ending = f"{_shown(run['end'])}" + (f", completed by “{_shown(run['last'])}”" if hit else "")
        within += hit and run["last"] != run["stop"]
        rows.append((f"“{_shown(run['stop'])}”" if run["stop"] else "none", str(run["tokens"]), f"… {ending}"))
    hits = sum(run["why"] == "stop_string" for run in record["runs"])
    sentence = f"{hits} of {len(rows) - 1} stop strings ended the run before its {record['n']} tokens. "
    sentence += f"In {within} of them the token that completed the string is not the string itself."
    return Told(sentence, ("stop string", "tokens written", "the end of the text"), rows)


def _shown(text: str) -> str:
    return text.replace("\n", "↵").replace(" ", "·")


def tell_window(record: dict[str, Any]) -> Told:
    """Say what each remedy costs."""
    rows, before = [], record["before"]
    usual = statistics.median([x for ms in record["ms"].values() for x in ms[:before]] or [0.0])
    for remedy, ms in record["ms"].items():
        beyond = ms[before + 1 :]
        cost = f"{statistics.median(beyond):.0f}, at most {max(beyond):.0f}" if beyond else "not written"
        rows.append((remedy, str(len(beyond)), cost, str(record["reads"][remedy][-1]) if beyond else "0"))
    slide = record["ms"].get("slide by one", [])[before + 1 :]
    half = record["ms"].get("drop the older half", [])[before + 1 :]
    sentence = f"Inside the window a token took {usual:.1f} ms."
    if slide:
        sentence += f" Sliding by one, {statistics.median(slide) / usual:.0f} times that, for every token."
    if half:
        sentence += f" Dropping the older half, {max(half) / usual:.0f} times that once, "
        sentence += f"then {statistics.median(half):.1f} ms again."
    if record["changed"] is not None:
        sentence += (
            f" One place earlier, the first layer's keys of the same tokens are {record['changed']:.0%} different."
        )
    heads = ("when the window is full", "tokens beyond it", "ms a token there, median", "tokens it looks back on")
    return Told(sentence, heads, rows)


def _made(name: str, title: str, tell: Callable[[dict[str, Any]], Told], module: str) -> Experiment:
    return Experiment(name, title, tell, f"{module}:{name}", f"figures.generation_loop:{name}")


WRITING = _made("writing_times", "Why a cache", tell_writing, "timing")
BATCHES = _made("batch_rates", "Many texts at once", tell_batches, "timing")
ENDS = _made("end_chances", "Does it want to end?", tell_ends, "window")
STOPS = _made("stop_strings", "Stop strings", tell_stops, "window")
WINDOW = _made("beyond_the_window", "Past the end of the window", tell_window, "window")
EXPERIMENTS = (ENDS, STOPS, WINDOW, WRITING, BATCHES)
