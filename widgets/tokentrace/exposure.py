"""Two lanes over one text: the model fed the true words, and fed its own; and what one wrong word does to the second.

Teacher forcing feeds the true token at every place (Williams and Zipser 1989), and so one forward pass gives every
guess. Running free, each token is an input of the next pass: n tokens take n passes, one after the other. Both lanes
pick by the same rule with the same random numbers, so while the texts agree they say the same. Guesses are compared
as the model makes them, before temperature and filters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tokentrace import plain_data
from tokentrace.models import data_folder
from tokentrace.plain_data import (
    Record,
    TraceError,
    all_listed,
    build,
    exactly,
    list_of,
    mapping,
    typed,
    vocabulary_from_dict,
    vocabulary_to_dict,
)
from tokentrace.trace import Model, Settings

FORMAT, VERSION = "tokentrace lanes", 1
KINDS = ("near miss", "random word", "repeated word", "your word")
MEASURES = ("tv", "kl")

TOKENS = ("opening", "true", "choices", "own", "near", "random", "repeat")
NUMBERS = ("forced_logprobs", "free_logprobs", "kl", "tv", "n_ms")


@dataclass(frozen=True, slots=True)
class ErrorRun:
    """The free lane once more, with one token replaced and the same random numbers after it.

    Attributes
    ----------
    at : index of the replaced token; kind : one of `KINDS`; token : the id put there.
    logprob : ln P of that token where it was put, nats: how wrong it is to the model.
    own : tokens of this run, as many as it wrote; before `at` those of the lane.
    kl, tv : between the guesses of the run without the error and this one at each place; 0 up to `at`,
        for until then both have read the same.
    """

    at: int
    kind: str
    token: int
    logprob: float
    own: tuple[int, ...]
    kl: tuple[float, ...]
    tv: tuple[float, ...]

    def after(self, measure: str = "tv") -> tuple[float, ...]:
        """Divergence at 1, 2, 3 … tokens after the error."""
        return getattr(self, measure)[self.at + 1 :]

    def halved(self, measure: str = "tv") -> int | None:
        """Tokens after the error at which the divergence is first at most half of its first value, or None."""
        after = self.after(measure)
        return next((place for place, value in enumerate(after, 1) if value <= after[0] / 2 < after[0]), None)

    def most_again(self, measure: str = "tv") -> float:
        """Largest divergence after it had halved; 0 if it never had, or if the run ended there."""
        half = self.halved(measure)
        return max(self.after(measure)[half:], default=0.0) if half else 0.0


@dataclass(frozen=True, slots=True)
class TwoLanes(Record):
    """A text read by one model in two ways, place by place.

    Attributes
    ----------
    passage, title, text : of the true text.
    start, opening : the start token, and the tokens of the text that both lanes are given.
    true : the tokens of the text that follow, one a place.
    settings, seed, uniforms : how both lanes pick; at each place both use the same random number (None: greedy).
    choices, own : what the teacher-forced lane would have written, and what the free-running lane wrote.
    forced_logprobs, free_logprobs : ln P(true token) in the two lanes, nats; minus that is the loss.
    kl, tv : KL(forced ‖ free) in nats, and total variation, of the two guesses; exactly 0 while both have read
        the same.
    near, random, repeat : errors to put in at each place: the best other token there, a random word, the last word
        again (None where there is none).
    gap : largest difference of any logit between the one pass and the n, where both lanes have read the same.
    one_ms, n_ms : measured time of the one pass, and of each of the n (the first reads the opening), milliseconds.
    ended : whether the free lane said that the text is over, which ends both.
    """

    model: Model
    passage: str
    title: str
    text: str
    start: int
    settings: Settings
    seed: int
    recorded: str
    vocabulary: Mapping[int, bytes]
    opening: tuple[int, ...]
    true: tuple[int, ...]
    uniforms: tuple[float | None, ...]
    choices: tuple[int, ...]
    own: tuple[int, ...]
    forced_logprobs: tuple[float, ...]
    free_logprobs: tuple[float, ...]
    kl: tuple[float, ...]
    tv: tuple[float, ...]
    near: tuple[int, ...]
    random: tuple[int, ...]
    repeat: tuple[int | None, ...]
    gap: float
    one_ms: float
    n_ms: tuple[float, ...]
    ended: bool
    errors: tuple[ErrorRun, ...]

    @property
    def parted(self) -> int | None:
        """Index of the first place where the free lane wrote another token than the text's, or None."""
        return next(
            (place for place, pair in enumerate(zip(self.own, self.true, strict=True)) if pair[0] != pair[1]), None
        )

    @property
    def forced_loss(self) -> float:
        """Mean loss on the true tokens when fed the true text, nats."""
        return -math.fsum(self.forced_logprobs) / len(self.true)

    @property
    def free_loss(self) -> float:
        """Mean loss on the true tokens when fed its own words, nats."""
        return -math.fsum(self.free_logprobs) / len(self.true)

    def offered(self, at: int) -> dict[str, int]:
        """Tokens that may be put at a place, by kind of error; only those that differ from what stands there."""
        found = zip(KINDS, (self.near[at], self.random[at], self.repeat[at]), strict=False)
        return {kind: token for kind, token in found if token is not None and token != self.own[at]}

    def token_text(self, token: int) -> str:
        """What a token looks like on its own."""
        return self.vocabulary[token].decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        errors = [asdict(each) for each in self.errors]
        for each in [plain, *errors]:
            each.update({name: list(value) for name, value in each.items() if isinstance(value, tuple)})
        settings = asdict(self.settings) | {"stop": list(self.settings.stop)}
        return plain | {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.model),
            "settings": settings,
            "vocabulary": vocabulary_to_dict(self.vocabulary),
            "errors": errors,
        }

    @classmethod
    def from_dict(cls, data: Any) -> TwoLanes:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("lanes", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("lanes", data, {"format", "version"} | {field.name for field in fields(cls)})
        n = len(typed("true", data["true"], list))
        columns: dict[str, Any] = {
            name: tuple(list_of(name, data[name], int, None if name == "opening" else n, optional=name == "repeat"))
            for name in TOKENS
        }
        columns |= {name: tuple(list_of(name, data[name], float, n)) for name in NUMBERS}
        run = cls(
            model=build(Model, "model", data["model"]),
            settings=build(Settings, "settings", data["settings"]),
            uniforms=tuple(list_of("uniforms", data["uniforms"], float, n, optional=True)),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            errors=tuple(_error(f"errors[{i}]", each) for i, each in enumerate(typed("errors", data["errors"], list))),
            **{name: typed(name, data[name], str) for name in ("passage", "title", "text", "recorded")},
            **{name: typed(name, data[name], int) for name in ("start", "seed")},
            **{name: typed(name, data[name], float) for name in ("gap", "one_ms")},
            ended=typed("ended", data["ended"], bool),
            **columns,
        )
        run._check()
        return run

    def _check(self):
        """What must hold between the fields."""
        if not self.true:
            raise TraceError("true: both lanes have at least one place.")
        used = {self.start, *(token for name in TOKENS for token in getattr(self, name) if token is not None)}
        used |= {token for error in self.errors for token in (error.token, *error.own)}
        all_listed(used, self.vocabulary)
        if not self.text.encode().startswith(b"".join(self.vocabulary[each] for each in (*self.opening, *self.true))):
            raise TraceError("true: the tokens do not spell the text.")
        same = len(self.true) if self.parted is None else self.parted + 1
        for name in ("kl", "tv"):
            if any(getattr(self, name)[:same]):
                raise TraceError(f"{name}: where both lanes have read the same, they differ by exactly 0.")
        for index, error in enumerate(self.errors):
            _check_error(f"errors[{index}]", error, self)


def _error(name: str, data: Any) -> ErrorRun:
    data = mapping(name, data)
    exactly(name, data, {field.name for field in fields(ErrorRun)})
    own = tuple(list_of(f"{name}.own", data["own"], int))
    columns = {each: tuple(list_of(f"{name}.{each}", data[each], float, len(own))) for each in ("kl", "tv")}
    return ErrorRun(
        at=typed(f"{name}.at", data["at"], int),
        kind=typed(f"{name}.kind", data["kind"], str),
        token=typed(f"{name}.token", data["token"], int),
        logprob=typed(f"{name}.logprob", data["logprob"], float),
        own=own,
        **columns,
    )


def _check_error(name: str, error: ErrorRun, lanes: TwoLanes):
    at = error.at
    if error.kind not in KINDS:
        raise TraceError(f"{name}.kind: must be one of {', '.join(KINDS)}, not {error.kind!r:.40}.")
    if not 0 <= at < len(error.own) <= len(lanes.own):
        raise TraceError(f"{name}.at: the error lies outside the run.")
    if error.own[:at] != lanes.own[:at] or error.own[at] != error.token:
        raise TraceError(f"{name}.own: up to the error it is the free lane, and there the error.")
    if error.token == lanes.own[at]:
        raise TraceError(f"{name}.token: this token stands there without an error.")
    if any(error.tv[: at + 1]) or any(error.kl[: at + 1]):
        raise TraceError(f"{name}: up to the error the two runs differ by exactly 0.")


def recorded_lanes(name: str = "exposure") -> TwoLanes:
    """Load a run that was made for the lessons, `data/traces/<name>.json`."""
    return TwoLanes.load(data_folder() / "traces" / f"{name}.json")


def say_place(run: TwoLanes, place: int) -> str:
    """Say what happened at one place of the two lanes, in a sentence or two with the run's numbers."""
    true, choice, own = (_named(run, column[place]) for column in (run.true, run.choices, run.own))
    forced, free = -run.forced_logprobs[place], -run.free_logprobs[place]
    head = f"Place {place + 1} of {len(run.true)}."
    if run.parted is None or place <= run.parted:
        same = "Both have read the same, so they make the same guess: the divergence is exactly 0."
        if place != run.parted:
            return f"{head} {same} They say {own}, which is true (loss {forced:.2f})."
        return f"{head} {same} They say {own} where the text has {true} (loss {forced:.2f}), and here the texts part."
    said = f"{choice}, which is true" if run.choices[place] == run.true[place] else f"{choice} for {true}"
    return (
        f"{head} Fed the true text it would say {said} (loss {forced:.2f}); fed its own words it says {own} "
        f"(loss {free:.2f} on {true}). {_apart(run, place)}"
    )


def say_error(run: TwoLanes, error: ErrorRun, place: int) -> str:
    """Say what one place of the run with an error shows, in a sentence with the run's numbers."""
    new, old = _named(run, error.token), _named(run, run.own[error.at])
    if place < error.at:
        return "Before the error the two runs are one."
    if place == error.at:
        return (
            f"Here {new} was put where it had written {old} ({error.kind}; to the model a chance of "
            f"{_one_in(error.logprob)}). Up to here both runs have read the same: the divergence is exactly 0."
        )
    after = f"{place - error.at} token{'s' if place > error.at + 1 else ''} after the error"
    if place >= len(error.own):
        return f"{after} the run with the error has already ended."
    return f"{after}. {_apart(error, place)}"


def say_recovery(error: ErrorRun, measure: str = "tv") -> str:
    """Say whether a divergence has halved after an error, in sentences with the run's numbers."""
    after = error.after(measure)
    if not after:
        return "The error stands at the last place: nothing comes after it here."
    half, unit = error.halved(measure), "" if measure == "tv" else " nats"
    name = "Total variation" if measure == "tv" else "The KL divergence"
    if half is None:
        tokens = f"{len(after)} token{'s' if len(after) > 1 else ''}"
        return (
            f"{name} began at {_number(after[0])}{unit} and never fell to half of that in the {tokens} after the error."
        )
    here = f"at most half of that for the first time after {half} tokens, at {_number(after[half - 1])}"
    head = f"{name} began at {_number(after[0])}{unit} and was {here}."
    if (again := error.most_again(measure)) > after[0] / 2:
        return f"{head} Later it rose to {_number(again)} again: the two texts went different ways."
    return f"{head} {'There the run ends.' if half == len(after) else 'It stayed there to the end of the run.'}"


def _named(run: TwoLanes, token: int) -> str:
    if token == run.start:
        return "its end of text"
    text = run.token_text(token)
    return f"“{text.strip()}”" if text.strip() else "a line end" if "\n" in text else "a space"


def _apart(run: TwoLanes | ErrorRun, place: int) -> str:
    return f"The two guesses differ: total variation {_number(run.tv[place])}, KL {_number(run.kl[place])} nats."


def _one_in(logprob: float) -> str:
    """A chance as readers know it, to two digits."""
    n = math.exp(min(-logprob, 700.0))
    return f"1 in {float(f'{n:.2g}'):,.10g}" if n < 1e9 else f"1 in 10^{math.log10(n):.0f}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else f"{value:.1g}"
