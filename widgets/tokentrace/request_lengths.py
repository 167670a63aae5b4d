"""How long real requests are: prompts, and what a model wrote to each until its paragraph ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tokentrace import plain_data
from tokentrace.models import data_folder
from tokentrace.paging import Request
from tokentrace.plain_data import Record, TraceError, build, exactly, list_of, mapping, typed
from tokentrace.trace import Model

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

FORMAT, VERSION = "tokentrace request lengths", 1
MOST = 160  # tokens written to a prompt at most
STOP = "\n"  # a paragraph's end
SETTINGS = {"temperature": 0.8, "top_p": 0.95}
SENTENCE = re.compile(r"(?<=[.!?])[\"”’']?\s+")


@dataclass(frozen=True, slots=True)
class RequestLengths(Record):
    """Prompts and answers of one model, in tokens.

    Attributes
    ----------
    prompts, outputs : tokens of each prompt, and of what was written to it.
    ended : whether the paragraph ended by itself; else it was cut off at MOST tokens or at the end of the context.
    """

    model: Model
    recorded: str
    prompts: tuple[int, ...]
    outputs: tuple[int, ...]
    ended: tuple[int, ...]

    @property
    def requests(self) -> tuple[Request, ...]:
        """As the simulation takes them."""
        return tuple(Request(*each) for each in zip(self.prompts, self.outputs, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        columns = {name: list(getattr(self, name)) for name in ("prompts", "outputs", "ended")}
        return {"format": FORMAT, "version": VERSION, "model": asdict(self.model), "recorded": self.recorded} | columns

    @classmethod
    def from_dict(cls, data: Any) -> RequestLengths:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("lengths", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("lengths", data, {"format", "version", "model", "recorded", "prompts", "outputs", "ended"})
        prompts = tuple(list_of("prompts", data["prompts"], int))
        outputs, ended = (tuple(list_of(name, data[name], int, len(prompts))) for name in ("outputs", "ended"))
        if not prompts or min(*prompts, *outputs, 1) < 1:
            raise TraceError("prompts, outputs: there is at least one request, and each has at least one token.")
        recorded = typed("recorded", data["recorded"], str)
        return cls(build(Model, "model", data["model"]), recorded, prompts, outputs, ended)


def prompts() -> list[str]:
    """Prompts of every length: the openings in `data/prompts.txt`, and beginnings of the passages, in turn."""
    from tokentrace.passages import passages

    short = (data_folder() / "prompts.txt").read_text(encoding="utf-8").splitlines()
    long = [" ".join(SENTENCE.split(passage.text)[: 1 + i % 5]) for i, passage in enumerate(passages())]
    found: list[str] = []
    for i in range(max(len(short), len(long))):
        found += [*long[i : i + 1], *(each for each in short[i : i + 1] if each.strip())]
    return found


def measure(model: GPT2, texts: list[str] | None = None, seed: int = 0) -> Iterator[tuple[int, int, RequestLengths]]:
    """Let a model write a paragraph to each prompt; yields prompts done, prompts in all, and the lengths so far."""
    from tokentrace.generation_loop import describe, generate

    texts = prompts() if texts is None else texts
    rows: list[tuple[int, int, int]] = []
    for number, text in enumerate(texts):
        ids = model.tokenizer.encode(text)[: model.config.n_ctx - MOST]
        run = generate(
            model, model.tokenizer.decode(ids), seed=seed + number, stop=STOP, max_new_tokens=MOST, **SETTINGS
        )
        rows.append((len(run.prompt_tokens), len(run.steps), int(run.stop in ("stop_string", "end_of_text"))))
        when = datetime.now(UTC).isoformat(timespec="seconds")
        yield number + 1, len(texts), RequestLengths(describe(model), when, *zip(*rows, strict=True))


def recorded_lengths(name: str = "request_lengths") -> RequestLengths:
    """Load lengths that were recorded for the lessons, `data/traces/<name>.json`."""
    return RequestLengths.load(data_folder() / "traces" / f"{name}.json")
