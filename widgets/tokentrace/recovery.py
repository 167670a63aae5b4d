"""Recovery: how far the guesses of a model are from where they would be without an error, and how soon that halves.

A record holds means over many prefixes by distance: distance 1 is the guess that follows the wrong prefix at once.
Several prefixes come from one passage and are not independent, so bands resample whole passages (a cluster
bootstrap). He, Zhang, Zhou and Glass 2021 call it self-recovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tokentrace import plain_data
from tokentrace.bootstrap import RESAMPLES, band
from tokentrace.models import data_folder
from tokentrace.plain_data import Record, TraceError, build, exactly, list_of, mapping, typed
from tokentrace.trace import Model

if TYPE_CHECKING:
    from tokentrace.recovering import Row

FORMAT, VERSION = "tokentrace recovery", 1
PROTOCOLS = ("given", "own")
MEASURES = ("total_variation", "kl")
OTHER = "other numbers"  # no error, but other random numbers: what two unrelated runs look like
NAMES = {"total_variation": "total variation", "kl": "KL divergence, nats"}


@dataclass(frozen=True, slots=True)
class Curve:
    """Divergence by distance from the error, mean over prefixes with a 95 % band.

    Attributes
    ----------
    kind, protocol, measure : what was wrong; who went on (`PROTOCOLS`); which divergence (`MEASURES`).
    mean, low, high : [steps] at distance 1, 2, ...
    half, half_low, half_high : distance at which the mean has halved, and its 95 % interval; None: not within reach.
    met : on its own words, the first distance at which the band of the difference to `OTHER` holds 0, or None.
    """

    kind: str
    protocol: str
    measure: str
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    half: int | None
    half_low: int | None
    half_high: int | None
    met: int | None


@dataclass(frozen=True, slots=True)
class Example:
    """One prefix that was measured: what stood before, what was there, what stands there instead, and what follows."""

    kind: str
    before: str
    was: str
    now: str
    after: str


@dataclass(frozen=True, slots=True)
class Recovery(Record):
    """What many prefixes gave.

    Attributes
    ----------
    machine, seconds : where it was measured, and how long that took.
    prefixes, passages : how many prefixes, cut out of how many passages.
    length, kept, steps : tokens of a prefix, of a truncated one, and of what follows.
    seed : of random words and random numbers.
    """

    model: Model
    recorded: str
    machine: str
    seconds: float
    prefixes: int
    passages: int
    length: int
    kept: int
    steps: int
    seed: int
    curves: tuple[Curve, ...]
    examples: tuple[Example, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was wrong with the prefixes, in order."""
        return tuple(each.kind for each in self.examples)

    def curve(self, kind: str, protocol: str = "given", measure: str = "total_variation") -> Curve:
        """One curve; a KeyError if it was not measured."""
        for each in self.curves:
            if (each.kind, each.protocol, each.measure) == (kind, protocol, measure):
                return each
        raise KeyError(f"{kind}, {protocol}, {measure} was not measured.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        curves = [asdict(each) for each in self.curves]
        for each in curves:
            each |= {name: list(each[name]) for name in ("mean", "low", "high")}
        return plain | {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.model),
            "curves": curves,
            "examples": [asdict(each) for each in self.examples],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Recovery:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("recovery", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("recovery", data, {"format", "version"} | {field.name for field in fields(cls)})
        steps = typed("steps", data["steps"], int)
        simple = {name: typed(name, data[name], str) for name in ("recorded", "machine")}
        simple |= {name: typed(name, data[name], int) for name in ("prefixes", "passages", "length", "kept", "seed")}
        run = cls(
            model=build(Model, "model", data["model"]),
            seconds=typed("seconds", data["seconds"], float),
            steps=steps,
            curves=tuple(
                _curve(f"curves[{i}]", each, steps) for i, each in enumerate(list_of("curves", data["curves"], dict))
            ),
            examples=tuple(
                build(Example, f"examples[{i}]", each)
                for i, each in enumerate(list_of("examples", data["examples"], dict))
            ),
            **simple,
        )
        run._check()
        return run

    def _check(self):
        """What must hold between the fields."""
        if not self.examples:
            raise TraceError("examples: at least one kind of error is measured.")
        found = {(each.kind, each.protocol, each.measure) for each in self.curves}
        protocols = [name for name in PROTOCOLS if any(each.protocol == name for each in self.curves)]
        wanted = {(k, p, m) for k in self.kinds for p in protocols for m in MEASURES}
        wanted |= {(OTHER, "own", m) for m in MEASURES if "own" in protocols}
        if not protocols or found != wanted or len(self.curves) != len(wanted):
            raise TraceError("curves: one for each kind, protocol and measure is expected.")


def _curve(name: str, data: dict, steps: int) -> Curve:
    exactly(name, data, {field.name for field in fields(Curve)})
    texts = {each: typed(f"{name}.{each}", data[each], str) for each in ("kind", "protocol", "measure")}
    numbers = {each: tuple(list_of(f"{name}.{each}", data[each], float, steps)) for each in ("mean", "low", "high")}
    places = {}
    for each in ("half", "half_low", "half_high", "met"):
        places[each] = None if data[each] is None else typed(f"{name}.{each}", data[each], int)
        if places[each] is not None and not 1 <= places[each] <= steps:
            raise TraceError(f"{name}.{each}: must be from 1 to {steps}.")
    if texts["protocol"] not in PROTOCOLS or texts["measure"] not in MEASURES:
        raise TraceError(f"{name}: no such protocol or measure.")
    if min(numbers["mean"]) < 0:
        raise TraceError(f"{name}.mean: a divergence is at least 0.")
    return Curve(**texts, **numbers, **places)


def half_life(rows: NDArray[np.float64]) -> float:
    """First distance at which the mean of rows [n, steps] is at most half of what it is at distance 1.

    `steps` + 1 stands for: not within reach. Nothing at distance 1 has halved at once.
    """
    mean = rows.mean(0)
    below = np.flatnonzero(mean <= mean[0] / 2)
    return float(below[0] + 1 if len(below) else rows.shape[1] + 1)


def summarised(rows: Sequence[Row], passages: NDArray, resamples: int = RESAMPLES, **about: Any) -> Recovery:
    """Make a record of raw divergences, batch by batch [prefixes, steps].

    Parameters
    ----------
    passages : [prefixes] what is resampled together; at least two different ones.
    about : the other fields of the record.
    """
    together: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row.kind, row.protocol), []).append(row)
    raw = {
        (*key, measure): np.concatenate([getattr(row, measure) for row in batches])
        for key, batches in together.items()
        for measure in MEASURES
    }
    curves = []
    for (kind, protocol, measure), values in raw.items():
        mean, low, high = band(values, n_resamples=resamples, clusters=passages)
        top = 1.0 if measure == "total_variation" else np.inf
        reach = values.shape[1]
        middle, least, most = band(values, half_life, n_resamples=resamples, clusters=passages)
        met = None
        if protocol == "own" and kind != OTHER:
            _, under, over = band(values - raw[OTHER, protocol, measure], n_resamples=resamples, clusters=passages)
            same = np.flatnonzero((under <= 0) & (over >= 0))
            met = int(same[0] + 1) if len(same) else None
        places = (None if each > reach else int(each) for each in (middle, np.floor(least), np.ceil(most)))
        ends = (_rounded(np.clip(each, 0, top)) for each in (mean, low, high))
        curves.append(Curve(kind, protocol, measure, *ends, *places, met))
    return Recovery(curves=tuple(curves), prefixes=len(passages), passages=len(set(passages.tolist())), **about)


def _rounded(values: NDArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)


def recorded_recovery() -> Recovery:
    """Load the measurement that was made for the lessons."""
    return Recovery.load(data_folder() / "traces" / "recovery.json")


PHRASES = {
    "near miss": "After a near miss",
    "random word": "After a random word",
    "repeated word": "After a repeated word",
    "shuffled": "After a shuffled prefix",
    "truncated": "After a prefix that lost its beginning",
    "foreign": "After another passage's words",
}


def say(run: Recovery, kind: str, protocol: str, measure: str) -> str:
    """Say in a sentence or two what one curve shows, with the numbers of this run."""
    curve = run.curve(kind, protocol, measure)
    name = NAMES[measure].partition(",")[0]
    unit = " nats" if measure == "kl" else ""
    first, last = f"{curve.mean[0]:.2f}{unit}", f"{curve.mean[-1]:.2f}{unit}"
    head = f"{PHRASES.get(kind, kind)} the guesses are {first} apart in {name}, on average."
    if protocol == "given":
        if curve.half is None:
            return f"{head} Half of that is not gone within {run.steps} tokens: {last} is left."
        gone = f"Half of that is gone after {_tokens(curve.half)} ({_interval(curve, run.steps)})"
        return f"{head} {gone}; after {_tokens(run.steps)} {last} is left."
    other = run.curve(OTHER, protocol, measure)
    back = "" if curve.half is None else f" It halves after {_tokens(curve.half)} ({_interval(curve, run.steps)})."
    if curve.met is None:
        end = "The band of the difference of the two never holds 0."
    else:
        end = f"At token {curve.met} the band of the difference of the two holds 0 for the first time."
    beside = f"{other.mean[-1]:.2f}{unit}"
    return (
        f"{head}{back} After {_tokens(run.steps)} of its own words it is {last}; two runs without any error, on "
        f"other random numbers, are {beside} apart there. {end}"
    )


def _tokens(n: int) -> str:
    return "1 token" if n == 1 else f"{n} tokens"


def _interval(curve: Curve, steps: int) -> str:
    low = curve.half_low if curve.half_low is not None else f"more than {steps}"
    high = curve.half_high if curve.half_high is not None else f"more than {steps}"
    return f"95 % interval {low}" if low == high else f"95 % interval {low} to {high}"
