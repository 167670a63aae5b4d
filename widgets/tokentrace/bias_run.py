"""The record of both measurements of exposure bias: plain data that a page shows without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from tokentrace import plain_data
from tokentrace.models import data_folder
from tokentrace.plain_data import Record, TraceError, build, exactly, list_of, mapping, typed
from tokentrace.trace import Model, Settings

FORMAT, VERSION = "tokentrace exposure bias", 1
DATA, ANCESTRAL = "data", "T 1"
DECODERS = {
    ANCESTRAL: Settings(),
    "greedy": Settings(strategy="greedy"),
    "T 0.5": Settings(temperature=0.5),
    "T 1.5": Settings(temperature=1.5),
    "top-k 10": Settings(top_k=10),
    "top-p 0.9": Settings(top_p=0.9),
    "T 0.8": Settings(temperature=0.8),
    "T 2": Settings(temperature=2.0),
    "top-k 100": Settings(top_k=100),
    "top-p 0.5": Settings(top_p=0.5),
}
RECORDED = (ANCESTRAL, "greedy", "T 0.5", "T 1.5", "top-k 10", "top-p 0.9")
MEASURES = ("total_variation", "jensen_shannon", "quality")


@dataclass(frozen=True, slots=True)
class Curve:
    """Estimates with the ends of their 95 % bands, at prefix lengths or after numbers of tokens."""

    at: tuple[int, ...]
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def last(self) -> tuple[float, float, float]:
        """Value and band at the greatest length."""
        return self.value[-1], self.low[-1], self.high[-1]


@dataclass(frozen=True, slots=True)
class Group:
    """The texts of one writer, and what the two models say along them.

    Attributes
    ----------
    name : "data", or a decoder of `DECODERS`.
    error : mean KL(oracle ‖ learner) at a step, nats.
    excess, acc_err : %ExAccErr and AccErr up to each length, against the data.
    texts : for every text the oracle's mean surprise at its tokens and the mean KL along it, nats a token.
    given, example : the beginning of the first text, and how it was gone on with.
    """

    name: str
    error: Curve
    excess: Curve
    acc_err: Curve
    texts: tuple[tuple[float, float], ...]
    given: str
    example: str

    @property
    def surprise(self) -> float:
        """What the oracle makes of the tokens, nats each, mean over texts."""
        return float(np.mean([surprise for surprise, _ in self.texts]))

    @property
    def divergence(self) -> float:
        """Mean KL(oracle ‖ learner) a step, nats."""
        return float(np.mean([divergence for _, divergence in self.texts]))


@dataclass(frozen=True, slots=True)
class BiasRun(Record):
    """Both measurements of one pair of models.

    Attributes
    ----------
    texts, context, length : texts of each writer, tokens of the data they begin with, tokens after these.
    prefix : He et al.'s ratios by prefix length: EB-C in total variation and in Jensen-Shannon, EB-M in quality.
    overall : the same over all lengths at once: value, low, high.
    groups : the data, then the decoders.
    """

    oracle: Model
    learner: Model
    recorded: str
    machine: dict[str, Any]
    seed: int
    texts: int
    context: int
    length: int
    prefix: dict[str, Curve]
    overall: dict[str, tuple[float, float, float]]
    groups: tuple[Group, ...]

    def group(self, name: str) -> Group | None:
        """The texts of one writer, if there are any."""
        return next((group for group in self.groups if group.name == name), None)

    @property
    def decoders(self) -> tuple[Group, ...]:
        """The decoders that went on from the data's contexts."""
        return self.groups[1:]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "format": FORMAT,
            "version": VERSION,
            "oracle": asdict(self.oracle),
            "learner": asdict(self.learner),
            "prefix": {name: _curve_to_dict(each) for name, each in self.prefix.items()},
            "overall": {name: list(each) for name, each in self.overall.items()},
            "groups": [_group_to_dict(each) for each in self.groups],
        }

    @classmethod
    def from_dict(cls, data: Any) -> BiasRun:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("exposure bias", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("exposure bias", data, {"format", "version"} | {field.name for field in fields(cls)})
        run = cls(
            oracle=build(Model, "oracle", data["oracle"]),
            learner=build(Model, "learner", data["learner"]),
            recorded=typed("recorded", data["recorded"], str),
            machine=mapping("machine", data["machine"]),
            **{name: typed(name, data[name], int) for name in ("seed", "texts", "context", "length")},
            prefix={
                name: _read_curve(f"prefix.{name}", each) for name, each in mapping("prefix", data["prefix"]).items()
            },
            overall={
                name: tuple(list_of(f"overall.{name}", each, float, 3))
                for name, each in mapping("overall", data["overall"]).items()
            },
            groups=tuple(
                _read_group(f"groups[{i}]", each, data["texts"])
                for i, each in enumerate(typed("groups", data["groups"], list))
            ),
        )
        run._check()
        return run

    def _check(self):
        """What must hold between the fields."""
        if [group.name for group in self.groups[:1]] != [DATA]:
            raise TraceError(f"groups: the first is {DATA!r}.")
        if unknown := [group.name for group in self.decoders if group.name not in DECODERS]:
            raise TraceError(f"groups: {unknown[0]!r} is no decoder.")
        for each in (self.prefix, self.overall):
            if unknown := each.keys() - set(MEASURES) or {"total_variation"} - each.keys():
                raise TraceError(f"prefix and overall hold {', '.join(MEASURES)}; wrong or missing: {min(unknown)!r}.")
        if any(self.groups[0].excess.value):
            raise TraceError("groups[0].excess: the data have no excess over themselves.")


def _curve_to_dict(each: Curve) -> dict[str, list]:
    return {name: list(getattr(each, name)) for name in ("at", "value", "low", "high")}


def _read_curve(name: str, data: Any) -> Curve:
    data = mapping(name, data)
    exactly(name, data, {"at", "value", "low", "high"})
    at = list_of(f"{name}.at", data["at"], int)
    ends = [tuple(list_of(f"{name}.{end}", data[end], float, len(at))) for end in ("value", "low", "high")]
    if not at or sorted(set(at)) != at:
        raise TraceError(f"{name}.at: lengths go up, and there is at least one.")
    if any(not low <= value <= high for value, low, high in zip(*ends, strict=True)):
        raise TraceError(f"{name}: a value lies within its band.")
    return Curve(tuple(at), *ends)


def _group_to_dict(group: Group) -> dict[str, Any]:
    plain = {field.name: getattr(group, field.name) for field in fields(group)}
    curves = {name: _curve_to_dict(plain[name]) for name in ("error", "excess", "acc_err")}
    return plain | curves | {"texts": [list(each) for each in group.texts]}


def _read_group(name: str, data: Any, texts: int) -> Group:
    data = mapping(name, data)
    exactly(name, data, {field.name for field in fields(Group)})
    return Group(
        **{each: typed(f"{name}.{each}", data[each], str) for each in ("name", "given", "example")},
        **{each: _read_curve(f"{name}.{each}", data[each]) for each in ("error", "excess", "acc_err")},
        texts=tuple(
            tuple(list_of(f"{name}.texts[{i}]", each, float, 2))
            for i, each in enumerate(list_of(f"{name}.texts", data["texts"], list, texts))
        ),
    )


def curve(at: Sequence[int], band: Sequence[np.ndarray]) -> Curve:
    """Make a curve of arrays [l]: value, low, high, to four digits."""
    value, low, high = (tuple(significant(float(each)) for each in end) for end in band)
    return Curve(tuple(int(each) for each in at), value, low, high)


def significant(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.4g}")


def recorded_bias(name: str = "exposure_bias") -> BiasRun:
    """Load a run that was made for the lessons, `data/traces/<name>.json`."""
    return BiasRun.load(data_folder() / "traces" / f"{name}.json")
