"""A trace is what one generation run was: recorded once, plain data, shown by every view."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FORMAT, VERSION = "tokentrace", 1
STRATEGIES = ("sample", "greedy")
STOPS = ("length", "end_of_text", "context", "stopped")


class TraceError(ValueError):
    """A trace, or the settings of a run, that cannot be right; the message names the field."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How tokens are picked. A `None` filter is off.

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

    def __post_init__(self):
        if self.strategy not in STRATEGIES:
            raise TraceError(f"strategy must be one of {', '.join(STRATEGIES)}, not {self.strategy!r}.")
        _in_range("temperature", self.temperature, 0.05, 10.0)
        _in_range("top_k", self.top_k, 1, 1_000_000, whole=True, optional=True)
        _in_range("top_p", self.top_p, 0.001, 1.0, optional=True)
        _in_range("max_new_tokens", self.max_new_tokens, 1, 1024, whole=True)


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
class Trace:
    """One generation run.

    Attributes
    ----------
    prompt_tokens : ids the prompt became.
    seed : of the random numbers; the same seed gives every strategy the same ones.
    recorded : when, ISO 8601.
    prefill_ms : measured time of the prompt's forward pass, milliseconds.
    stop : why the run ended: length, end_of_text, context or stopped (by the reader).
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
            "settings": asdict(self.settings),
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
        data = _mapping("trace", data)
        if data.get("format") != FORMAT:
            raise TraceError("format: this is not a tokentrace file.")
        if data.get("version") != VERSION:
            raise TraceError(f"version: this file is version {data.get('version')!r}, readable is {VERSION}.")
        _exactly("trace", data, {"format", "version"} | {field.name for field in fields(cls)})
        vocabulary = {}
        for key, value in _mapping("vocabulary", data["vocabulary"]).items():
            vocabulary[_token_id(key)] = _token_bytes(f"vocabulary.{key}", value)
        trace = cls(
            model=_build(Model, "model", data["model"]),
            prompt=_typed("prompt", data["prompt"], str),
            prompt_tokens=tuple(_list("prompt_tokens", data["prompt_tokens"], int)),
            settings=_build(Settings, "settings", data["settings"]),
            seed=_typed("seed", data["seed"], int),
            recorded=_typed("recorded", data["recorded"], str),
            prefill_ms=_typed("prefill_ms", data["prefill_ms"], float),
            stop=_typed("stop", data["stop"], str),
            branch=None if data["branch"] is None else _build(Branch, "branch", data["branch"]),
            vocabulary=vocabulary,
            steps=_steps_from_columns(data["steps"]),
        )
        trace._check()
        return trace

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON and return the path."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace file; one that is not right raises a TraceError that names file and field."""
        path = Path(path)
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant))
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{path.name}: {error}") from error

    def _check(self):
        """What must hold between the fields."""
        if self.stop not in STOPS:
            raise TraceError(f"stop: must be one of {', '.join(STOPS)}, not {self.stop!r}.")
        used = {*self.prompt_tokens, *self.tokens, *(c.token for s in self.steps for c in s.candidates)}
        if missing := used - self.vocabulary.keys():
            raise TraceError(f"vocabulary: token {min(missing)} occurs in the run but is not listed.")
        for index, step in enumerate(self.steps):
            for name in ("probability", "filtered", "low", "kept_mass"):
                if not 0 <= getattr(step, name) <= 1.000001:
                    raise TraceError(f"steps.{name}[{index}]: a probability lies between 0 and 1.")
        if self.branch and not 0 <= self.branch.at < max(1, len(self.steps)):
            raise TraceError("branch.at: the fork lies outside the run.")


def steps_to_columns(steps: tuple[Step, ...]) -> dict[str, list]:
    """One list a field, one entry a step: small in a file, quick to read in the browser."""
    columns: dict[str, list] = {name: [getattr(step, name) for step in steps] for name in SCALARS}
    columns["candidates"] = [[c.token for c in step.candidates] for step in steps]
    columns["candidate_probability"] = [[c.probability for c in step.candidates] for step in steps]
    columns["candidate_filtered"] = [[c.filtered for c in step.candidates] for step in steps]
    return columns


def vocabulary_to_dict(vocabulary: Mapping[int, bytes]) -> dict[str, str | dict[str, str]]:
    """Token bytes for JSON: text where they are text, else the bytes in hexadecimal."""
    plain = {}
    for token, piece in vocabulary.items():
        try:
            plain[str(token)] = piece.decode("utf-8")
        except UnicodeDecodeError:
            plain[str(token)] = {"bytes": piece.hex()}
    return plain


def _steps_from_columns(data: Any) -> tuple[Step, ...]:
    data = _mapping("steps", data)
    _exactly("steps", data, SCALARS.keys() | CANDIDATES.keys())
    length = len(_typed("steps.token", data["token"], list))
    columns = {}
    for name, kind in SCALARS.items():
        columns[name] = _list(f"steps.{name}", data[name], kind, length, optional=name == "uniform")
    triples = [_typed(f"steps.{name}", data[name], list) for name in CANDIDATES]
    candidates = []
    for index in range(length):
        rows = []
        for (name, kind), column in zip(CANDIDATES.items(), triples, strict=True):
            if len(column) != length:
                raise TraceError(f"steps.{name}: has {len(column)} entries, token has {length}.")
            rows.append(_list(f"steps.{name}[{index}]", column[index], kind, len(rows[0]) if rows else None))
        candidates.append(tuple(Candidate(*row) for row in zip(*rows, strict=True)))
    return tuple(
        Step(**{name: column[index] for name, column in columns.items()}, candidates=candidates[index])
        for index in range(length)
    )


def _typed(name: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TraceError(f"{name}: expected {kind.__name__}, found {value!r:.40}.")
    if kind is float and not math.isfinite(value):
        raise TraceError(f"{name}: {value} is not a finite number.")
    return value


def _list(name: str, value: Any, kind: type, length: int | None = None, optional: bool = False) -> list:
    value = _typed(name, value, list)
    if length is not None and len(value) != length:
        raise TraceError(f"{name}: has {len(value)} entries, expected {length}.")
    return [
        None if optional and item is None else _typed(f"{name}[{index}]", item, kind)
        for index, item in enumerate(value)
    ]


def _mapping(name: str, value: Any) -> dict:
    return _typed(name, value, dict)


def _exactly(name: str, data: dict, expected: set[str]):
    if missing := expected - data.keys():
        raise TraceError(f"{name}: the field {min(missing)!r} is missing.")
    if unknown := data.keys() - expected:
        raise TraceError(f"{name}: the field {min(unknown)!r} is unknown.")


def _build(cls: type, name: str, data: Any) -> Any:
    data = _mapping(name, data)
    _exactly(name, data, {field.name for field in fields(cls)})
    kinds = {"int": int, "float": float, "str": str}
    values = {}
    for field in fields(cls):
        kind, _, optional = field.type.partition(" | ")
        value = data[field.name]
        values[field.name] = None if optional and value is None else _typed(f"{name}.{field.name}", value, kinds[kind])
    try:
        return cls(**values)
    except TraceError as error:
        raise TraceError(f"{name}: {error}") from error


def _token_id(key: Any) -> int:
    if not (isinstance(key, str) and key.isdecimal()):
        raise TraceError(f"vocabulary: {key!r:.40} is not a token id.")
    return int(key)


def _token_bytes(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    try:
        return bytes.fromhex(value["bytes"])
    except (KeyError, TypeError, ValueError):
        raise TraceError(f"{name}: expected text, or bytes in hexadecimal.") from None


def _in_range(name: str, value: Any, low: float, high: float, whole: bool = False, optional: bool = False):
    if optional and value is None:
        return
    kind = int if whole else (int, float)
    if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
        number = "a whole number" if whole else "a number"
        raise TraceError(f"{name} must be {number} from {low} to {high}, not {value!r:.40}.")


def _no_constant(name: str):
    raise TraceError(f"{name} is not a number that a trace may hold.")
