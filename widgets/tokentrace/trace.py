"""A trace is what one generation run was: recorded once, plain data, shown by every view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tokentrace import plain_data
from tokentrace.plain_data import (
    Record,
    TraceError,
    all_listed,
    build,
    exactly,
    in_range,
    list_of,
    mapping,
    typed,
    vocabulary_from_dict,
    vocabulary_to_dict,
)

FORMAT, VERSION = "tokentrace", 2
STRATEGIES = ("sample", "greedy", "beam")
STOPS = ("length", "end_of_text", "stop_string", "context", "stopped")


@dataclass(frozen=True, slots=True)
class Settings:
    """How tokens are picked. A `None` filter is off.

    Attributes
    ----------
    num_beams : how many hypotheses a beam search keeps; None for every other strategy.
    stop : texts that end the run when a token completes one of them; one text alone may be given as it is.

    Raises
    ------
    TraceError
        If a value is out of range; the message is a sentence for the reader.
    """

    strategy: str = "sample"
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: int = 40
    num_beams: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self):
        if self.strategy not in STRATEGIES:
            raise TraceError(f"strategy must be one of {', '.join(STRATEGIES)}, not {self.strategy!r}.")
        in_range("temperature", self.temperature, 0.05, 10.0)
        in_range("top_k", self.top_k, 1, 1_000_000, whole=True, optional=True)
        in_range("top_p", self.top_p, 0.001, 1.0, optional=True)
        in_range("max_new_tokens", self.max_new_tokens, 1, 1024, whole=True)
        in_range("num_beams", self.num_beams, 1, 64, whole=True, optional=self.strategy != "beam")
        if self.num_beams and self.strategy != "beam":
            raise TraceError(f"num_beams is for the strategy beam, not for {self.strategy}.")
        if isinstance(self.stop, str | list):
            object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        if not isinstance(self.stop, tuple) or not all(isinstance(text, str) and text for text in self.stop):
            raise TraceError(f"stop must be one or several texts that are not empty, not {self.stop!r:.40}.")
        if len(self.stop) > 16 or max(map(len, self.stop), default=0) > 200:
            raise TraceError("stop may hold 16 texts at most, of 200 characters at most.")


@dataclass(frozen=True, slots=True)
class Model:
    """Which model ran: enough to know it again and to scale what is drawn."""

    name: str
    fingerprint: str
    n_parameters: int
    vocab_size: int
    n_ctx: int
    precision: str


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a run was forked from another: at step `at` the reader forced `token`."""

    at: int
    token: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the most probable next tokens, before and after the filters (0 = cut)."""

    token: int
    probability: float
    filtered: float


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop.

    Attributes
    ----------
    token : id of the token written.
    logprob : its log-probability in nats, from the raw logits.
    probability, filtered : its probability before and after temperature and filters.
    rank : its place among all tokens, 1 = most probable.
    entropy : of the raw distribution, bits.
    uniform : the random number that picked it; None where none was used (greedy, forced).
    low : filtered mass of the kept tokens that stand before it, most probable first;
        the token was picked because `uniform` lies in [low, low + filtered).
    kept, kept_mass : how many tokens the filters kept, and their raw probability mass.
    ms : measured time of the step, milliseconds.
    forced : True if the reader chose the token.
    candidates : the most probable tokens, best first.
    """

    token: int
    logprob: float
    probability: float
    filtered: float
    rank: int
    entropy: float
    uniform: float | None
    low: float
    kept: int
    kept_mass: float
    ms: float
    forced: bool
    candidates: tuple[Candidate, ...]

    @property
    def surprise(self) -> float:
        """How unexpected the token was, bits: -log2 of its raw probability."""
        return -self.logprob / math.log(2)


SCALARS = {
    "token": int,
    "logprob": float,
    "probability": float,
    "filtered": float,
    "rank": int,
    "entropy": float,
    "uniform": float,
    "low": float,
    "kept": int,
    "kept_mass": float,
    "ms": float,
    "forced": bool,
}
CANDIDATES = {"candidates": int, "candidate_probability": float, "candidate_filtered": float}


@dataclass(frozen=True, slots=True)
class Trace(Record):
    """One generation run.

    Attributes
    ----------
    prompt_tokens : ids the prompt became.
    seed : of the random numbers; the same seed gives every strategy the same ones.
    recorded : when, ISO 8601.
    prefill_ms : measured time of the prompt's forward pass, milliseconds.
    stop : why the run ended: length, end_of_text, stop_string, context or stopped (by the reader).
    branch : set if this run was forked from another.
    vocabulary : bytes of every token id that occurs; a token may be a fragment of a character.
    """

    model: Model
    prompt: str
    prompt_tokens: tuple[int, ...]
    settings: Settings
    seed: int
    recorded: str
    prefill_ms: float
    stop: str
    vocabulary: Mapping[int, bytes]
    steps: tuple[Step, ...]
    branch: Branch | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        """Ids of the tokens written."""
        return tuple(step.token for step in self.steps)

    @property
    def text(self) -> str:
        """The text written, without the prompt; a fragment that never became a character shows as �."""
        return b"".join(self.vocabulary[token] for token in self.tokens).decode("utf-8", "replace")

    @property
    def logprob(self) -> float:
        """Log-probability of the whole text given the prompt, nats: the sum over the steps."""
        return math.fsum(step.logprob for step in self.steps)

    def token_text(self, token: int) -> str:
        """What a token looks like on its own."""
        return self.vocabulary[token].decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, steps by column, as files and front ends read them."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.model),
            "prompt": self.prompt,
            "prompt_tokens": list(self.prompt_tokens),
            "settings": asdict(self.settings) | {"stop": list(self.settings.stop)},
            "seed": self.seed,
            "recorded": self.recorded,
            "prefill_ms": self.prefill_ms,
            "stop": self.stop,
            "branch": asdict(self.branch) if self.branch else None,
            "vocabulary": vocabulary_to_dict(self.vocabulary),
            "steps": steps_to_columns(self.steps),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Trace:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = _up_to_date(mapping("trace", data))
        plain_data.header(data, FORMAT, VERSION)
        exactly("trace", data, {"format", "version"} | {field.name for field in fields(cls)})
        trace = cls(
            model=build(Model, "model", data["model"]),
            prompt=typed("prompt", data["prompt"], str),
            prompt_tokens=tuple(list_of("prompt_tokens", data["prompt_tokens"], int)),
            settings=build(Settings, "settings", data["settings"]),
            seed=typed("seed", data["seed"], int),
            recorded=typed("recorded", data["recorded"], str),
            prefill_ms=typed("prefill_ms", data["prefill_ms"], float),
            stop=typed("stop", data["stop"], str),
            branch=None if data["branch"] is None else build(Branch, "branch", data["branch"]),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            steps=_steps_from_columns(data["steps"]),
        )
        trace._check()
        return trace

    def _check(self):
        """What must hold between the fields."""
        if self.stop not in STOPS:
            raise TraceError(f"stop: must be one of {', '.join(STOPS)}, not {self.stop!r}.")
        used = {*self.prompt_tokens, *self.tokens, *(c.token for s in self.steps for c in s.candidates)}
        all_listed(used, self.vocabulary)
        for index, step in enumerate(self.steps):
            for name in ("probability", "filtered", "low", "kept_mass"):
                if not 0 <= getattr(step, name) <= 1.000001:
                    raise TraceError(f"steps.{name}[{index}]: a probability lies between 0 and 1.")
        if self.branch and not 0 <= self.branch.at < max(1, len(self.steps)):
            raise TraceError("branch.at: the fork lies outside the run.")


def _up_to_date(data: dict[str, Any]) -> dict[str, Any]:
    """A trace of version 1, which knew neither beams nor stop strings, as one of today."""
    if data.get("version") != 1 or not isinstance(settings := data.get("settings"), dict):
        return data
    return data | {"version": VERSION, "settings": {"num_beams": None, "stop": []} | settings}


def steps_to_columns(steps: tuple[Step, ...]) -> dict[str, list]:
    """One list a field, one entry a step: small in a file, quick to read in the browser."""
    columns: dict[str, list] = {name: [getattr(step, name) for step in steps] for name in SCALARS}
    columns["candidates"] = [[c.token for c in step.candidates] for step in steps]
    columns["candidate_probability"] = [[c.probability for c in step.candidates] for step in steps]
    columns["candidate_filtered"] = [[c.filtered for c in step.candidates] for step in steps]
    return columns


def _steps_from_columns(data: Any) -> tuple[Step, ...]:
    data = mapping("steps", data)
    exactly("steps", data, SCALARS.keys() | CANDIDATES.keys())
    length = len(typed("steps.token", data["token"], list))
    columns = {}
    for name, kind in SCALARS.items():
        columns[name] = list_of(f"steps.{name}", data[name], kind, length, optional=name == "uniform")
    triples = [typed(f"steps.{name}", data[name], list) for name in CANDIDATES]
    candidates = []
    for index in range(length):
        rows = []
        for (name, kind), column in zip(CANDIDATES.items(), triples, strict=True):
            if len(column) != length:
                raise TraceError(f"steps.{name}: has {len(column)} entries, token has {length}.")
            rows.append(list_of(f"steps.{name}[{index}]", column[index], kind, len(rows[0]) if rows else None))
        candidates.append(tuple(Candidate(*row) for row in zip(*rows, strict=True)))
    return tuple(
        Step(**{name: column[index] for name, column in columns.items()}, candidates=candidates[index])
        for index in range(length)
    )
