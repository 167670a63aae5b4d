"""The causal mask: one pass gives every conditional of a text, because no position can see a later one.

Positions are counted from 0, the start token; position k holds the k-th token of the text, and its logits guess
token k + 1. So row k of the mask may look at columns 0 to k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tokentrace import plain_data
from tokentrace.chain_rule import TextError, text_tokens
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
from tokentrace.trace import Model

if TYPE_CHECKING:
    from torch import Tensor

    from tokentrace.lm import GPT2

FORMAT, VERSION = "tokentrace mask", 1
MOST_TOKENS = 24  # a row and a column each: more cannot be read on a page


@dataclass(frozen=True, slots=True)
class Change:
    """One token replaced by another, and how far that moved the guess at every position.

    Attributes
    ----------
    at : position of the replaced token, 1 = the first of the text.
    token : id that stands there instead.
    moved, moved_open : largest change of a logit at each position 0 to n, with the mask and without it.
    logprob, logprob_open : ln P of the new token at its place, nats, with the mask and without it.
    """

    at: int
    token: int
    moved: tuple[float, ...]
    moved_open: tuple[float, ...]
    logprob: float
    logprob_open: float

    @property
    def before(self) -> float:
        """Largest move at a position before the change, with the mask."""
        return max(self.moved[: self.at])

    @property
    def before_open(self) -> float:
        """Largest move at a position before the change, without the mask."""
        return max(self.moved_open[: self.at])


@dataclass(frozen=True, slots=True)
class MaskRun(Record):
    """A text scored in one pass and in n, with the mask and without, whole and with one token changed.

    Attributes
    ----------
    start, ids : the start token, and the tokens of the text.
    one_pass, n_passes : ln P of each token given those before it, nats, from one pass and from n.
    no_mask : what the model says of each token when every position sees the whole text: no conditional.
    gap : largest difference of any logit between the one pass and the n passes.
    one_ms, n_ms : measured time of the one pass, and of each of the n, milliseconds.
    layer, head : whose attention is shown, counted from 0.
    attention, attention_open : weights [n + 1][n + 1], a row a reading position, with and without the mask.
    """

    model: Model
    text: str
    start: int
    recorded: str
    vocabulary: Mapping[int, bytes]
    ids: tuple[int, ...]
    one_pass: tuple[float, ...]
    n_passes: tuple[float, ...]
    no_mask: tuple[float, ...]
    gap: float
    one_ms: float
    n_ms: tuple[float, ...]
    layer: int
    head: int
    attention: tuple[tuple[float, ...], ...]
    attention_open: tuple[tuple[float, ...], ...]
    changes: tuple[Change, ...]

    def token_text(self, token: int) -> str:
        """What a token looks like on its own."""
        return self.vocabulary[token].decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("ids", "one_pass", "n_passes", "no_mask", "n_ms"):
            plain[name] = list(plain[name])
        for name in ("attention", "attention_open"):
            plain[name] = [list(row) for row in plain[name]]
        changes = [asdict(each) for each in self.changes]
        for each in changes:
            each["moved"], each["moved_open"] = list(each["moved"]), list(each["moved_open"])
        return plain | {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.model),
            "vocabulary": vocabulary_to_dict(self.vocabulary),
            "changes": changes,
        }

    @classmethod
    def from_dict(cls, data: Any) -> MaskRun:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("mask", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("mask", data, {"format", "version"} | {field.name for field in fields(cls)})
        n = len(typed("ids", data["ids"], list))
        columns = {name: tuple(list_of(name, data[name], float, n)) for name in ("one_pass", "n_passes", "no_mask")}
        squares = {name: _square(name, data[name], n + 1) for name in ("attention", "attention_open")}
        run = cls(
            model=build(Model, "model", data["model"]),
            text=typed("text", data["text"], str),
            start=typed("start", data["start"], int),
            recorded=typed("recorded", data["recorded"], str),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            ids=tuple(list_of("ids", data["ids"], int)),
            gap=typed("gap", data["gap"], float),
            one_ms=typed("one_ms", data["one_ms"], float),
            n_ms=tuple(list_of("n_ms", data["n_ms"], float, n)),
            layer=typed("layer", data["layer"], int),
            head=typed("head", data["head"], int),
            changes=tuple(
                _change(f"changes[{i}]", each, n) for i, each in enumerate(typed("changes", data["changes"], list))
            ),
            **columns,
            **squares,
        )
        run._check()
        return run

    def _check(self):
        """What must hold between the fields."""
        if not self.ids:
            raise TraceError("ids: a text has at least one token.")
        used = {self.start, *self.ids, *(change.token for change in self.changes)}
        all_listed(used, self.vocabulary)
        if b"".join(self.vocabulary[token] for token in self.ids) != self.text.encode():
            raise TraceError("text: the tokens do not spell it.")
        for name in ("attention", "attention_open"):
            for index, row in enumerate(getattr(self, name)):
                if min(row) < 0 or abs(math.fsum(row) - 1) > 0.01:
                    raise TraceError(f"{name}[{index}]: weights are at least 0 and add up to 1.")
                if name == "attention" and any(row[index + 1 :]):
                    raise TraceError(f"{name}[{index}]: with the mask a position gives no weight to a later one.")


def _square(name: str, data: Any, size: int) -> tuple[tuple[float, ...], ...]:
    rows = list_of(name, data, list, size)
    return tuple(tuple(list_of(f"{name}[{index}]", row, float, size)) for index, row in enumerate(rows))


def _change(name: str, data: Any, n: int) -> Change:
    data = mapping(name, data)
    exactly(name, data, {field.name for field in fields(Change)})
    moved = {each: tuple(list_of(f"{name}.{each}", data[each], float, n + 1)) for each in ("moved", "moved_open")}
    logprobs = {each: typed(f"{name}.{each}", data[each], float) for each in ("logprob", "logprob_open")}
    change = Change(
        at=typed(f"{name}.at", data["at"], int), token=typed(f"{name}.token", data["token"], int), **moved, **logprobs
    )
    if not 1 <= change.at <= n:
        raise TraceError(f"{name}.at: must be from 1 to {n}.")
    return change


def from_one_pass(model: GPT2, ids: list[int], *, causal: bool = True) -> Tensor:
    """Logits [positions, vocab] of a start token and what follows it, all from one forward pass."""
    return model.forward([ids], causal=causal)[0]


def from_n_passes(model: GPT2, ids: list[int]) -> Iterator[tuple[Tensor, float]]:
    """Logits [vocab] after each beginning of a text, from a pass of its own each, and its milliseconds."""
    for end in range(1, len(ids) + 1):
        began = perf_counter()
        logits = model.forward([ids[:end]], last_only=True)[0, -1]
        yield logits, _ms(began)


def logprobs_of(logits: Tensor, ids: list[int]) -> list[float]:
    """Ln P of each token of `ids` after the first, nats, from the logits [n or more, vocab] before them."""
    import torch

    found = logits[: len(ids) - 1].double().log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return [round(min(0.0, value), 7) for value in found.tolist()]


def attention_of(model: GPT2, ids: list[int], *, causal: bool = True) -> Tensor:
    """Attention weights [n_layer, n_head, n + 1, n + 1] of a pass."""
    import torch

    layers: list[Tensor] = []
    model.forward([ids], attention=layers, causal=causal)
    return torch.stack(layers)[:, 0]


def widest_head(weights: Tensor) -> tuple[int, int]:
    """Layer and head whose reading is spread the widest: the largest mean entropy; the most to see in a picture."""
    import torch

    entropies = torch.special.entr(weights).sum(-1).mean(-1)
    place = int(entropies.argmax())
    return divmod(place, weights.shape[1])


def study(
    model: GPT2,
    text: str,
    changes: Mapping[int, str] | None = None,
    layer: int | None = None,
    head: int | None = None,
) -> MaskRun:
    """Score a text in one pass and in n, and replace tokens one at a time, with the mask and without.

    Parameters
    ----------
    changes : what to write instead of the token at a position, 1 = the first; each must be one token.
    layer, head : whose attention to keep, counted from 0; by default the most widely spread head.

    Raises
    ------
    TextError
        If text, change, layer or head cannot be used; the message says why.
    """
    import torch

    from tokentrace.generation_loop import describe

    tokens, start = text_tokens(model, text), model.tokenizer.end_of_text
    if len(tokens) > MOST_TOKENS:
        raise TextError(f"The text is {len(tokens)} tokens long; the picture has room for {MOST_TOKENS}: shorten it.")
    ids = [start, *tokens]
    if len(ids) > model.config.n_ctx:
        raise TextError(f"With its start token the text is longer than {model.name} can read ({model.config.n_ctx}).")
    replaced = {at: _single(model, at, text, len(tokens)) for at, text in (changes or {}).items()}
    attention = attention_of(model, ids)  # also wakes the machine, so that the timed passes are not the first
    widest = widest_head(attention)
    layer, head = widest[0] if layer is None else layer, widest[1] if head is None else head
    if not (0 <= layer < model.config.n_layer and 0 <= head < model.config.n_head):
        raise TextError(f"{model.name} has layers 1 to {model.config.n_layer} of {model.config.n_head} heads each.")

    began = perf_counter()
    at_once = from_one_pass(model, ids[:-1])  # n positions give n guesses; the one after the last token scores nothing
    one_ms = _ms(began)
    parts, times = zip(*from_n_passes(model, ids[:-1]), strict=True)
    one_by_one = torch.stack(parts)
    whole = from_one_pass(model, ids)
    opened = from_one_pass(model, ids, causal=False)
    made = []
    for at, token in replaced.items():
        other = [*ids[:at], token, *ids[at + 1 :]]
        hidden, seen = from_one_pass(model, other), from_one_pass(model, other, causal=False)
        made.append(
            Change(
                at,
                token,
                _moves(whole, hidden),
                _moves(opened, seen),
                logprobs_of(hidden, other)[at - 1],
                logprobs_of(seen, other)[at - 1],
            )
        )
    used = {*ids, *replaced.values()}
    return MaskRun(
        model=describe(model),
        text=text,
        start=start,
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        vocabulary={token: model.tokenizer.token_bytes(token) for token in sorted(used)},
        ids=tuple(tokens),
        one_pass=tuple(logprobs_of(at_once, ids)),
        n_passes=tuple(logprobs_of(one_by_one, ids)),
        no_mask=tuple(logprobs_of(opened, ids)),
        gap=_significant(float((at_once - one_by_one).abs().max())),
        one_ms=one_ms,
        n_ms=tuple(times),
        layer=layer,
        head=head,
        attention=_rounded(attention[layer, head]),
        attention_open=_rounded(attention_of(model, ids, causal=False)[layer, head]),
        changes=tuple(made),
    )


def _single(model: GPT2, at: int, text: str, n: int) -> int:
    """Id of the one token that a replacement is."""
    if not 1 <= at <= n:
        raise TextError(f"There is no token {at} in this text; it has {n}.")
    found = model.tokenizer.encode(text)
    if len(found) != 1:
        pieces = " and ".join(f"“{model.tokenizer.decode([token])}”" for token in found[:6]) or "nothing"
        raise TextError(f"“{text}” is {len(found)} tokens ({pieces}), and one token takes one place: try another word.")
    return found[0]


def _moves(old: Tensor, new: Tensor) -> tuple[float, ...]:
    """Largest change of a logit at each position."""
    return tuple(_significant(value) for value in (old - new).abs().amax(-1).tolist())


def _rounded(weights: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 4) for value in row) for row in weights.tolist())


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _ms(began: float) -> float:
    return round((perf_counter() - began) * 1000, 3)


def recorded_mask(name: str = "causal_mask") -> MaskRun:
    """Load a run that was made for the lessons, `data/traces/<name>.json`."""
    return MaskRun.load(data_folder() / "traces" / f"{name}.json")


def say_change(run: MaskRun, change: Change, masked: bool) -> str:
    """Say which positions a change moved, in a sentence with the run's numbers."""
    moved = change.moved if masked else change.moved_open
    n, at = len(run.ids), change.at
    was, now = (f"“{run.token_text(token).strip()}”" for token in (run.ids[at - 1], change.token))
    head = f"Changing token {at}, {was} to {now},"
    early = [place for place in range(at) if moved[place] > 0]
    later = f"position {n}" if at == n else f"positions {at} to {n}"
    if not early:
        return f"{head} moved {later} and none before: there the largest change of a logit is exactly 0."
    most = max(moved[:at])
    where = f"all {at}" if len(early) == at else f"{len(early)} of the {at}"
    earlier = "positions" if at > 1 else "position"
    return f"{head} moved {later} and also {where} {earlier} before it, by up to {most:.2g}: they have seen it."
