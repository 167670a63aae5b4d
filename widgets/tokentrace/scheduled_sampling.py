"""Ways to train a small learner: on true words, on its own samples, or on a mixture that changes as it learns.

Teacher forcing feeds the true word after every guess (Williams and Zipser 1989). Scheduled sampling (Bengio et al.
2015) feeds it with a chance that falls as training goes on, and the learner's own sample otherwise. This module holds
the schedules and the record of a training; `training.py` makes one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from tokentrace import plain_data
from tokentrace.models import data_folder
from tokentrace.plain_data import Record, TraceError, build, exactly, in_range, list_of, mapping, typed

FORMAT, VERSION = "tokentrace training", 1
LAST = 0.02  # what the exponential schedule has come down to at the last update, before the floor

WAYS = {
    "teacher": "teacher forcing",
    "linear": "scheduled, linear",
    "exponential": "scheduled, exponential",
    "sigmoid": "scheduled, inverse sigmoid",
    "own": "own samples only",
}
KINDS = {"ways": "the way of training", "texts": "how much text", "width": "the size of the learner"}
TEXTS, WIDTH = 2000, 64
MOST_TEXTS = 10_000
AMOUNTS, WIDTHS = (100, 400, 2000, 8000), (8, 16, 32, 64)
PLACES = 24  # words of a text

Band = tuple[float, float, float]  # estimate, low and high end of the 95 % band


def linear(update: int, slope: float, floor: float = 0.0) -> float:
    """Chance of a true word max(floor, 1 − slope · update); Bengio et al. 2015, section 2.4."""
    return max(floor, 1 - slope * update)


def exponential(update: int, base: float) -> float:
    """Chance of a true word base^update, with base < 1; Bengio et al. 2015, section 2.4."""
    return base**update


def inverse_sigmoid(update: int, k: float) -> float:
    """Chance of a true word k / (k + e^(update / k)), with k ≥ 1; Bengio et al. 2015, section 2.4."""
    return k / (k + math.exp(min(update / k, 700)))


@cache
def half_way(updates: int) -> float:
    """The k ≥ 1 whose inverse sigmoid passes one half in the middle of training: k ln k = updates / 2."""
    low, high = 1.0, max(4.0, float(updates))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.log(middle) < updates / 2 else (low, middle)
    return high


def chance(way: str, update: int, updates: int, floor: float) -> float:
    """Chance that the next word read is the true one, at an update counted from 0; no schedule falls below the floor.

    Each schedule is scaled to the length of training: the straight line reaches 0, the exponential one `LAST`, at
    its end, and the inverse sigmoid is at one half in its middle.
    """
    if way == "teacher":
        return 1.0
    if way == "own":
        return 0.0
    if way == "linear":
        return linear(update, 1 / updates, floor)
    if way == "exponential":
        return max(floor, exponential(update, LAST ** (1 / updates)))
    return max(floor, inverse_sigmoid(update, half_way(updates)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of learner.

    Attributes
    ----------
    way : a key of `WAYS`.
    texts : how many texts it may learn from; they come again and again.
    width : numbers in its state.
    """

    name: str
    way: str
    texts: int
    width: int

    def __post_init__(self):
        if self.way not in WAYS:
            raise TraceError(f"There is no way of training called {self.way!r:.40}.")
        in_range("texts", self.texts, 10, MOST_TEXTS, whole=True)
        in_range("width", self.width, 2, 128, whole=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be trained: recipes that differ in one thing, each from several seeds.

    Attributes
    ----------
    kind : what differs, a key of `KINDS`.
    floor : the least chance of a true word under a schedule.
    """

    kind: str
    recipes: tuple[Recipe, ...]
    updates: int
    floor: float
    seeds: int = 3

    def __post_init__(self):
        if self.kind not in KINDS:
            raise TraceError(f"There is no comparison of {self.kind!r:.40}.")
        if not self.recipes:
            raise TraceError("Choose at least one learner to train.")
        in_range("updates", self.updates, 1, 2000, whole=True)
        in_range("floor", self.floor, 0, 1)
        in_range("seeds", self.seeds, 1, 5, whole=True)


def plan(
    kind: str = "ways",
    chosen: Sequence[int] | None = None,
    updates: int = 400,
    floor: float = 0.25,
    texts: int = TEXTS,
    seeds: int = 3,
) -> Plan:
    """Plan a comparison.

    Parameters
    ----------
    chosen : numbers of the recipes that take part, counted from 0; None is all.
    texts : how many texts the learners have, unless that is what differs.
    """
    if kind == "texts":
        recipes = [Recipe(f"{amount:,} texts", "teacher", amount, WIDTH) for amount in AMOUNTS]
    elif kind == "width":
        recipes = [Recipe(f"{width} numbers in its state", "teacher", texts, width) for width in WIDTHS]
    else:
        recipes = [Recipe(name, way, texts, WIDTH) for way, name in WAYS.items()]
    taken = range(len(recipes)) if chosen is None else sorted(set(chosen))
    if not all(type(each) is int and 0 <= each < len(recipes) for each in taken):
        raise TraceError("That learner is not in this comparison.")
    return Plan(kind, tuple(recipes[each] for each in taken), updates, floor, seeds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe, over all its seeds.

    Attributes
    ----------
    chances : of a true word at the points of the curves.
    training : loss on what it was trained on, mean since the point before, nats a word.
    held : loss on held-out text after true words, nats a word.
    data, own : KL(truth ‖ learner), nats a word, after true words and after words of its own.
    ratio : own / data, the exposure-bias ratio.
    each : (data, own) of every seed; the bands are over texts, and this shows what another seed changes.
    data_by_place, own_by_place : the same divergences along a text, a few places together.
    share : of the whole sentences it writes that are sentences of the language.
    fed, fed_truth : loss on held-out text by the rule of its last update, of the learner and of the truth itself.
    samples : texts it wrote, as words.
    wrong : for each sample, the places where a sentence first leaves the language.
    """

    recipe: Recipe
    chances: tuple[float, ...]
    training: tuple[float, ...]
    held: tuple[float, ...]
    data: Band
    own: Band
    ratio: Band
    each: tuple[tuple[float, float], ...]
    data_by_place: tuple[Band, ...]
    own_by_place: tuple[Band, ...]
    share: Band
    fed: float
    fed_truth: float
    samples: tuple[tuple[str, ...], ...]
    wrong: tuple[tuple[int, ...], ...]

    @property
    def gap(self) -> float:
        """How much more is lost after its own words than after true ones, nats a word."""
        return self.own[0] - self.data[0]


@dataclass(frozen=True, slots=True)
class TrainingRun(Record):
    """A training and what was measured after it.

    Attributes
    ----------
    done : updates that were made; fewer than planned if it was stopped.
    seconds : that they took, for all learners together.
    at : updates at which the curves have a point.
    truth : loss of the true conditionals on the held-out text, nats a word: the least there is.
    truth_share : of the truth's own sentences that are sentences of the language; the others have a slip in them.
    """

    recorded: str
    machine: dict[str, Any]
    plan: Plan
    done: int
    seconds: float
    at: tuple[int, ...]
    truth: float
    truth_share: Band
    outcomes: tuple[Outcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        return {"format": FORMAT, "version": VERSION} | rounded(asdict(self))

    @classmethod
    def from_dict(cls, data: Any) -> TrainingRun:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("training", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("training", data, {"format", "version"} | {field.name for field in fields(cls)})
        planned = mapping("plan", data["plan"])
        exactly("plan", planned, {field.name for field in fields(Plan)})
        recipes = tuple(
            build(Recipe, f"plan.recipes[{at}]", each)
            for at, each in enumerate(list_of("plan", planned["recipes"], dict))
        )
        rest = {name: typed(f"plan.{name}", planned[name], kind) for name, kind in _PLANNED.items()}
        at = tuple(list_of("at", data["at"], int))
        outcomes = list_of("outcomes", data["outcomes"], dict, len(recipes))
        return cls(
            recorded=typed("recorded", data["recorded"], str),
            machine=mapping("machine", data["machine"]),
            plan=Plan(recipes=recipes, **rest),
            done=typed("done", data["done"], int),
            seconds=typed("seconds", data["seconds"], float),
            at=at,
            truth=typed("truth", data["truth"], float),
            truth_share=_band("truth_share", data["truth_share"]),
            outcomes=tuple(_outcome(f"outcomes[{place}]", each, len(at)) for place, each in enumerate(outcomes)),
        )

    def outcome(self, way: str) -> Outcome | None:
        """What became of a way of training, if it took part."""
        return next((each for each in self.outcomes if each.recipe.way == way), None)


_PLANNED = {"kind": str, "updates": int, "floor": float, "seeds": int}


def _outcome(name: str, data: dict[str, Any], points: int) -> Outcome:
    exactly(name, data, {field.name for field in fields(Outcome)})
    curves = ("chances", "training", "held")
    bands, places = ("data", "own", "ratio", "share"), ("data_by_place", "own_by_place")
    samples = list_of(f"{name}.samples", data["samples"], list)
    wrong = list_of(f"{name}.wrong", data["wrong"], list, len(samples))
    return Outcome(
        recipe=build(Recipe, f"{name}.recipe", data["recipe"]),
        **{each: tuple(list_of(f"{name}.{each}", data[each], float, points)) for each in curves},
        **{each: _band(f"{name}.{each}", data[each]) for each in bands},
        **{
            each: tuple(_band(f"{name}.{each}", row) for row in list_of(f"{name}.{each}", data[each], list))
            for each in places
        },
        each=tuple(tuple(list_of(f"{name}.each", row, float, 2)) for row in list_of(name, data["each"], list)),
        **{each: typed(f"{name}.{each}", data[each], float) for each in ("fed", "fed_truth")},
        samples=tuple(tuple(list_of(f"{name}.samples", row, str)) for row in samples),
        wrong=tuple(tuple(list_of(f"{name}.wrong", row, int)) for row in wrong),
    )


def _band(name: str, data: Any) -> Band:
    return tuple(list_of(name, data, float, 3))


def rounded(value: Any) -> Any:
    """Tuples as lists, floats with five digits: more is not measured, and a page is sent all of them."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def recorded_training(kind: str = "ways") -> TrainingRun:
    """Load the training that was recorded for the lessons."""
    return TrainingRun.load(data_folder() / "traces" / f"training_{kind}.json")


def apart(one: Outcome, other: Outcome) -> bool:
    """Whether two recipes differ after own words by more than chance.

    Their bands do not meet, and every seed of the one is below every seed of the other: the bands are over texts and do
    not know how much another training would have changed.
    """
    low, high = sorted((one, other), key=lambda each: each.own[0])
    return low.own[2] < high.own[1] and max(own for _, own in low.each) < min(own for _, own in high.each)


def best(run: TrainingRun) -> Outcome:
    """The recipe that is nearest to the truth on its own words."""
    return min(run.outcomes, key=lambda each: each.own[0])


def say_run(run: TrainingRun) -> str:
    """Say which recipe came nearest to the truth, and what its ratio is."""
    first = best(run)
    after = f"After its own words, {_named(first)} is nearest to the truth: KL {first.own[0]:.3g} nats a word."
    others = [each for each in run.outcomes if each is not first]
    if others:
        second = min(others, key=lambda each: each.own[0])
        tie = "" if apart(first, second) else "; that may be chance"
        after = f"{after[:-1]}, against {second.own[0]:.3g} for {_named(second)}{tie}."
    low = min(run.outcomes, key=lambda each: each.ratio[0])
    if low is first:
        return f"{after} Its exposure-bias ratio is {first.ratio[0]:.2f}{' and the smallest' if others else ''}."
    return (
        f"{after} The smallest exposure-bias ratio, {low.ratio[0]:.2f}, belongs to {_named(low)}; "
        f"{low.share[0]:.0%} of its own sentences are in the language, against {first.share[0]:.0%}. "
        "A ratio compares a learner with itself only."
    )


def say_outcome(run: TrainingRun, outcome: Outcome) -> str:
    """Say what one recipe gave, beside the truth."""
    verdict = (
        f"the learner’s {outcome.fed:.2f} is below the truth’s {outcome.fed_truth:.2f}: by this rule the truth is not "
        "the best answer"
        if outcome.fed < outcome.fed_truth
        else f"the truth’s {outcome.fed_truth:.2f} is not beaten by the learner’s {outcome.fed:.2f}"
    )
    return (
        f"Loss on held-out text {outcome.held[-1]:.3f} nats a word, the truth’s own {run.truth:.3f}. "
        f"{outcome.share[0]:.0%} of its sentences are in the language; of the truth’s, {run.truth_share[0]:.0%}, "
        f"and the rest have a slip. Scored by the rule it was last trained by, {verdict}."
    )


def _named(outcome: Outcome) -> str:
    way = outcome.recipe.way
    return outcome.recipe.name if outcome.recipe.name == WAYS[way] else f"the learner with {outcome.recipe.name}"
