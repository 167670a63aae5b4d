"""Record of one attention layer trained with the causal mask and without it; `attention_learners.py` makes one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from tokentrace import plain_data
from tokentrace.models import data_folder
from tokentrace.plain_data import Record, exactly, list_of, mapping, typed
from tokentrace.scheduled_sampling import Band, rounded

FORMAT, VERSION = "tokentrace mask training", 1


@dataclass(frozen=True, slots=True)
class Pupil:
    """What became of one learner.

    Attributes
    ----------
    training : loss on what it was trained on, mean since the point before, nats a word.
    held : loss on held-out text when one pass reads the whole text, as in training.
    alone : loss on held-out text when each guess is made from the words before it and nothing else, as in writing.
    leak : how far a changed word moved a logit at an earlier place, at most.
    share : of the whole sentences it writes that are sentences of the language, with a 95 % band.
    samples : texts it wrote, as words.
    wrong : for each sample, the places where a sentence first leaves the language.
    """

    training: tuple[float, ...]
    held: tuple[float, ...]
    alone: tuple[float, ...]
    leak: float
    share: Band
    samples: tuple[tuple[str, ...], ...]
    wrong: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class MaskTraining(Record):
    """Both learners, trained on the same batches from the same weights.

    Attributes
    ----------
    done : updates that were made; fewer than planned if it was stopped.
    at : updates at which the curves have a point.
    truth : loss of the true conditionals on the held-out text, nats a word: no guess made beforehand is lower but by
        luck.
    one_ms, many_ms : one backward pass over all places of a batch, and one for each place, milliseconds.
    gradients_apart : length of the difference of the two gradients, over the length of the first; with the mask.
    """

    recorded: str
    machine: dict[str, Any]
    updates: int
    done: int
    seconds: float
    places: int
    at: tuple[int, ...]
    truth: float
    one_ms: float
    many_ms: float
    gradients_apart: float
    masked: Pupil
    open: Pupil

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        return {"format": FORMAT, "version": VERSION} | rounded(asdict(self))

    @classmethod
    def from_dict(cls, data: Any) -> MaskTraining:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("mask training", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("mask training", data, {"format", "version"} | {field.name for field in fields(cls)})
        at = tuple(list_of("at", data["at"], int))
        whole, real = ("updates", "done", "places"), ("seconds", "truth", "one_ms", "many_ms", "gradients_apart")
        return cls(
            recorded=typed("recorded", data["recorded"], str),
            machine=mapping("machine", data["machine"]),
            at=at,
            **{name: typed(name, data[name], int) for name in whole},
            **{name: typed(name, data[name], float) for name in real},
            **{name: _pupil(name, data[name], len(at)) for name in ("masked", "open")},
        )


def _pupil(name: str, data: Any, points: int) -> Pupil:
    data = mapping(name, data)
    exactly(name, data, {field.name for field in fields(Pupil)})
    samples = list_of(f"{name}.samples", data["samples"], list)
    wrong = list_of(f"{name}.wrong", data["wrong"], list, len(samples))
    return Pupil(
        **{each: tuple(list_of(f"{name}.{each}", data[each], float, points)) for each in ("training", "held", "alone")},
        leak=typed(f"{name}.leak", data["leak"], float),
        share=tuple(list_of(f"{name}.share", data["share"], float, 3)),
        samples=tuple(tuple(list_of(f"{name}.samples", row, str)) for row in samples),
        wrong=tuple(tuple(list_of(f"{name}.wrong", row, int)) for row in wrong),
    )


def recorded_mask_training() -> MaskTraining:
    """Load the training that was recorded for the lessons."""
    return MaskTraining.load(data_folder() / "traces" / "training_mask.json")


def say_mask_training(run: MaskTraining) -> str:
    """Say what the mask's absence did, with the numbers of this run."""
    masked, peeking = run.masked, run.open
    below = "below" if peeking.held[-1] < run.truth else "above"
    nobody = ", which no honest guess can be" if below == "below" else ""
    return (
        f"After {run.done} updates, with the mask the loss on held-out text is {masked.held[-1]:.2f} nats a word, the "
        f"truth’s own {run.truth:.2f}. Without the mask it is {peeking.held[-1]:.2f}, {below} the truth{nobody}. With "
        f"only the words before, as in writing, it is {masked.alone[-1]:.2f} with the mask and {peeking.alone[-1]:.2f} "
        f"without; {masked.share[0]:.0%} and {peeking.share[0]:.0%} of their sentences are in the language."
    )
