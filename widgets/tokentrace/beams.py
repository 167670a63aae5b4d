"""What a beam search was: at every step the hypotheses kept and pruned, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

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
)
from tokentrace.trace import Model

FORMAT, VERSION = "tokentrace beams", 1
FATES = ("kept", "finished", "pruned")
STOPS = ("length", "context", "settled", "stopped")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A beginning extended by one token.

    Attributes
    ----------
    parent : which of the hypotheses kept at the step before it extends, 0 = the best of them.
    token : id of the token.
    logprob : of the whole text after the prompt, nats.
    fate : kept, finished (it ended and can win) or pruned.
    """

    parent: int
    token: int
    logprob: float
    fate: str


@dataclass(frozen=True, slots=True)
class BeamStep:
    """The extensions that a step ranked, best first, and its measured time in milliseconds."""

    rows: tuple[Hypothesis, ...]
    ms: float

    @property
    def kept(self) -> tuple[Hypothesis, ...]:
        """Hypotheses to go on with."""
        return tuple(row for row in self.rows if row.fate == "kept")


class Ranked(NamedTuple):
    """A text of the final ranking: it ended at `step` as the `row`-th there."""

    tokens: tuple[int, ...]
    logprob: float
    score: float
    step: int
    row: int


def score(logprob: float, length: int, length_penalty: float) -> float:
    """What hypotheses of different lengths are compared by; `length` counts the end token too.

    Every further token lowers the log-probability, so without a correction (penalty 0) short texts win. With
    penalty 1 it is the mean log-probability of a token.
    """
    return logprob / length**length_penalty


@dataclass(frozen=True, slots=True)
class Beams(Record):
    """One beam search.

    Attributes
    ----------
    ends : ids of the tokens that finish a hypothesis.
    stop : why the search ended: length, context, settled (nothing that still runs could win) or stopped.
    vocabulary : bytes of every token id that occurs.
    greedy : the greedy path beside it: its tokens, and its log-probability after each, nats.
    """

    model: Model
    prompt: str
    prompt_tokens: tuple[int, ...]
    num_beams: int
    max_new_tokens: int
    length_penalty: float
    ends: tuple[int, ...]
    n_return: int
    recorded: str
    stop: str
    vocabulary: Mapping[int, bytes]
    steps: tuple[BeamStep, ...]
    greedy: tuple[tuple[int, float], ...]

    def check_options(self):
        """Raise a TraceError if the search cannot be run like this."""
        in_range("num_beams", self.num_beams, 1, 64, whole=True)
        in_range("max_new_tokens", self.max_new_tokens, 1, 1024, whole=True)
        in_range("length_penalty", self.length_penalty, -5.0, 5.0)
        in_range("n_return", self.n_return, 1, self.num_beams, whole=True)
        if any(type(token) is not int or not 0 <= token < self.model.vocab_size for token in self.ends):
            raise TraceError(f"ends must be token ids below {self.model.vocab_size}.")

    def tokens(self, step: int, row: int) -> tuple[int, ...]:
        """Tokens of the hypothesis that is the `row`-th of a step, from the prompt on."""
        found = []
        hypothesis = self.steps[step].rows[row]
        while True:
            found.append(hypothesis.token)
            if not step:
                return tuple(reversed(found))
            step -= 1
            hypothesis = self.steps[step].kept[hypothesis.parent]

    def finished(self) -> tuple[tuple[int, int], ...]:
        """Step and row of every hypothesis that finished; of those still running if none has."""
        wanted = "finished" if any(row.fate == "finished" for step in self.steps for row in step.rows) else "kept"
        steps = range(len(self.steps)) if wanted == "finished" else range(len(self.steps) - 1, len(self.steps))
        return tuple((at, i) for at in steps for i, row in enumerate(self.steps[at].rows) if row.fate == wanted)

    def ranking(self, length_penalty: float | None = None) -> list[Ranked]:
        """Finished texts, the best first.

        Parameters
        ----------
        length_penalty : another one than the search was run with. Then all that finished are ranked anew; the
            search itself might have gone on longer with it.
        """
        penalty = self.length_penalty if length_penalty is None else length_penalty
        found = []
        for step, row in self.finished():
            logprob = self.steps[step].rows[row].logprob
            found.append(Ranked(self.tokens(step, row), logprob, score(logprob, step + 1, penalty), step, row))
        found.sort(key=lambda each: -each.score)
        return found[: self.n_return] if length_penalty is None else found

    def greedy_tokens(self) -> tuple[int, ...]:
        """Tokens of the greedy path, up to its end."""
        found = tuple(token for token, _ in self.greedy)
        end = next((i for i, token in enumerate(found) if token in self.ends), len(found))
        return found[: end + 1]

    def greedy_pruned(self) -> int | None:
        """Step at which the greedy path fell out of the beam; None if it never did."""
        path = self.greedy_tokens()
        for step, record in enumerate(self.steps[: len(path)]):
            alive = (i for i, row in enumerate(record.rows) if row.fate != "pruned")
            if all(self.tokens(step, i) != path[: step + 1] for i in alive):
                return step
        return None

    def text(self, tokens: tuple[int, ...]) -> str:
        """What tokens of this search read as."""
        return b"".join(self.vocabulary[token] for token in tokens).decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        names = [field.name for field in fields(Hypothesis)]
        return {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(self, name) for name in self.__slots__},
            "model": asdict(self.model),
            "prompt_tokens": list(self.prompt_tokens),
            "ends": list(self.ends),
            "vocabulary": plain_data.vocabulary_to_dict(self.vocabulary),
            "steps": [
                {name: [getattr(row, name) for row in step.rows] for name in names} | {"ms": step.ms}
                for step in self.steps
            ],
            "greedy": {"token": [token for token, _ in self.greedy], "logprob": [value for _, value in self.greedy]},
        }

    @classmethod
    def from_dict(cls, data: Any) -> Beams:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("beams", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("beams", data, {"format", "version", *cls.__slots__})
        greedy = mapping("greedy", data["greedy"])
        exactly("greedy", greedy, {"token", "logprob"})
        path = list_of("greedy.token", greedy["token"], int)
        beams = cls(
            model=build(Model, "model", data["model"]),
            prompt=typed("prompt", data["prompt"], str),
            prompt_tokens=tuple(list_of("prompt_tokens", data["prompt_tokens"], int)),
            ends=tuple(list_of("ends", data["ends"], int)),
            **{name: typed(name, data[name], int) for name in ("num_beams", "max_new_tokens", "n_return")},
            **{name: typed(name, data[name], str) for name in ("recorded", "stop")},
            length_penalty=typed("length_penalty", data["length_penalty"], float),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            steps=tuple(_step(f"steps[{at}]", step) for at, step in enumerate(list_of("steps", data["steps"], dict))),
            greedy=tuple(zip(path, list_of("greedy.logprob", greedy["logprob"], float, len(path)), strict=True)),
        )
        beams._check()
        return beams

    def _check(self):
        """What must hold between the fields."""
        self.check_options()
        if self.stop not in STOPS:
            raise TraceError(f"stop: must be one of {', '.join(STOPS)}, not {self.stop!r}.")
        if len(self.greedy) != len(self.steps):
            raise TraceError(f"greedy: has {len(self.greedy)} entries, there are {len(self.steps)} steps.")
        parents, best = 1, math.inf
        used = {*self.prompt_tokens, *self.ends, *(token for token, _ in self.greedy)}
        for at, step in enumerate(self.steps):
            for i, row in enumerate(step.rows):
                used.add(row.token)
                if row.fate not in FATES:
                    raise TraceError(f"steps[{at}].fate[{i}]: must be one of {', '.join(FATES)}, not {row.fate!r}.")
                if not 0 <= row.parent < parents:
                    raise TraceError(f"steps[{at}].parent[{i}]: no hypothesis {row.parent} was kept before.")
            values = [row.logprob for row in step.rows]
            if values != sorted(values, reverse=True) or not values or values[0] > min(best, 0.0) + 1e-3:
                raise TraceError(f"steps[{at}].logprob: must fall from row to row, and from step to step.")
            parents, best = len(step.kept), values[0]
            if parents > self.num_beams:
                raise TraceError(f"steps[{at}].fate: keeps {parents} hypotheses of {self.num_beams}.")
            if not parents and at + 1 < len(self.steps):
                raise TraceError(f"steps[{at}].fate: keeps none, and still there is a next step.")
        all_listed(used, self.vocabulary)


def _step(name: str, data: dict[str, Any]) -> BeamStep:
    kinds = {"parent": int, "token": int, "logprob": float, "fate": str}
    exactly(name, data, {*kinds, "ms"})
    length = len(typed(f"{name}.token", data["token"], list))
    columns = [list_of(f"{name}.{field}", data[field], kind, length) for field, kind in kinds.items()]
    rows = tuple(Hypothesis(*row) for row in zip(*columns, strict=True))
    return BeamStep(rows, typed(f"{name}.ms", data["ms"], float))
