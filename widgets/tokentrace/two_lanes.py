"""Running the two lanes, and the free one again with an error in it: what makes the records of `exposure.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokentrace.chain_rule import TextError, text_tokens
from tokentrace.divergence import kl, total_variation
from tokentrace.exposure import KINDS, ErrorRun, TwoLanes
from tokentrace.generation_loop import describe, pick
from tokentrace.lm import GPT2
from tokentrace.passages import Passage, passage, passages
from tokentrace.trace import Settings, TraceError

PLACES = 32  # tokens after the opening: two or three lines of text on a page
WORDS = 8  # given to both lanes before they start
SEED = 6

Progress = tuple[int, int, TwoLanes | None]


def run_lanes(model: GPT2, text: Passage | None = None, **options) -> TwoLanes:
    """Read a passage in both ways and return the record; options as for `stream_lanes`."""
    *_, (_, _, record) = stream_lanes(model, text, **options)
    return record


def stream_lanes(
    model: GPT2, text: Passage | None = None, *, words: int = WORDS, places: int = PLACES, seed: int = SEED, **settings
) -> Iterator[Progress]:
    """Like `run_lanes`, but yield (passes done, passes in all, None) after each pass of the free lane, then the record.

    Parameters
    ----------
    text : the true text, by default the passage of the lesson.
    words : of the text that both lanes are given first.
    places : tokens of the text to go on for, if it is that long.
    seed : of the random numbers; place i uses the i-th in both lanes.
    **settings : fields of `tokentrace.trace.Settings`; greedy unless told otherwise.

    Raises
    ------
    TextError, TraceError
        If text or settings cannot be used; the message says why.
    """
    text = text or passage()
    chosen = Settings(**({"strategy": "greedy"} | settings | {"max_new_tokens": places}))
    if chosen.strategy == "beam":
        raise TraceError("A beam search does not write token by token, so it has no lane here.")
    ids = text_tokens(model, text.text)
    first = after_words(model, ids, words)
    opening, true = [model.tokenizer.end_of_text, *ids[:first]], ids[first : min(first + places, model.config.n_ctx)]
    if not true:
        raise TextError(f"After {words} words there is nothing left of this text to guess: give the lanes fewer.")
    uniforms = [
        None if chosen.strategy == "greedy" else float(u) for u in np.random.default_rng(seed).random(len(true))
    ]

    model.forward([opening])  # wakes the machine, so that the timed passes are not the first
    began = perf_counter()
    forced = model.forward([[*opening, *true[:-1]]])[0, first:]  # row i guesses true[i]
    one_ms = _ms(began)
    lane, gap, rows = Lane(model, opening, chosen, uniforms), 0.0, []
    for place in range(len(true)):
        logits = lane.read()
        if lane.own == true[:place]:
            # Both lanes have read the same, so theirs is one guess; the two ways of computing it differ by rounding.
            gap, logits = max(gap, float((logits - forced[place]).abs().max())), forced[place]
        rows.append(logits)
        lane.write(logits)
        yield place + 1, len(true), None
        if lane.ended:
            break

    n, free = len(lane.own), torch.stack(rows)
    opening, true, forced, uniforms = opening[1:], true[:n], forced[:n], uniforms[:n]
    columns = {
        "opening": opening,
        "true": true,
        "uniforms": uniforms,
        "choices": [pick(row, chosen, u or 0.0).token for row, u in zip(forced, uniforms, strict=True)],
        "own": lane.own,
        "forced_logprobs": _logprobs(forced, true),
        "free_logprobs": _logprobs(free, true),
        "kl": _significant(kl(forced, free)),
        "tv": _significant(total_variation(forced, free)),
        "near": [best_other(row, token) for row, token in zip(free, lane.own, strict=True)],
        "random": [random_word(model, token, seed, place) for place, token in enumerate(lane.own)],
        "repeat": [last_word(model, [*opening, *lane.own[:place]]) for place in range(n)],
        "n_ms": lane.ms,
    }
    names = ("opening", "true", "choices", "own", "near", "random", "repeat")
    used = {model.tokenizer.end_of_text, *(token for name in names for token in columns[name] if token is not None)}
    record = TwoLanes(
        model=describe(model),
        passage=text.name,
        title=text.title,
        text=text.text,
        start=model.tokenizer.end_of_text,
        settings=chosen,
        seed=seed,
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        vocabulary={token: model.tokenizer.token_bytes(token) for token in sorted(used)},
        gap=float(f"{gap:.3g}"),
        one_ms=one_ms,
        ended=lane.ended,
        errors=(),
        **{name: tuple(column) for name, column in columns.items()},
    )
    yield n, n, record


def put_error(model: GPT2, lanes: TwoLanes, at: int, token: int, kind: str = KINDS[-1]) -> TwoLanes:
    """Put a token in place `at` of the free lane, let it go on, and return the record with this run added."""
    *_, (_, _, record) = stream_error(model, lanes, at, token, kind)
    return record


def stream_error(model: GPT2, lanes: TwoLanes, at: int, token: int, kind: str = KINDS[-1]) -> Iterator[Progress]:
    """Like `put_error`, but yield (passes done, passes in all, None) after each pass, then the record.

    Raises
    ------
    TextError
        If place or token cannot be used, or the lanes were run with other weights.
    """
    if model.fingerprint != lanes.model.fingerprint:
        raise TextError("These lanes were run with other weights, so they cannot be gone on with: write them anew.")
    if not 0 <= at < len(lanes.own):
        raise TextError(f"There is no place {at + 1} in these lanes; they have {len(lanes.own)}.")
    if token == lanes.own[at]:
        raise TextError("This is the word that stands there: choose another one, or there is no error.")
    opening, same = [lanes.start, *lanes.opening], at + 1
    clean = model.forward([[*opening, *lanes.own[:-1]]])[0, len(lanes.opening) :]
    lane = Lane(model, [*opening, *lanes.own[:at], token], lanes.settings, list(lanes.uniforms[same:]))
    rows, total = [], len(lanes.own) - same
    while len(rows) < total and not lane.ended:
        rows.append(lane.read())
        lane.write(rows[-1])
        yield len(rows), total, None
    guesses, others = torch.stack(rows) if rows else clean[:0], clean[same : same + len(rows)]
    run = ErrorRun(
        at=at,
        kind=kind,
        token=token,
        logprob=_logprobs(clean[at : at + 1], [token])[0],
        own=(*lanes.own[:at], token, *lane.own),
        kl=(0.0,) * same + _significant(kl(others, guesses)),
        tv=(0.0,) * same + _significant(total_variation(others, guesses)),
    )
    kept = tuple(each for each in lanes.errors if (each.at, each.kind) != (at, kind))
    new = {each: model.tokenizer.token_bytes(each) for each in run.own}
    yield total, total, replace(lanes, errors=(*kept, run), vocabulary={**lanes.vocabulary, **new})


class Lane:
    """A lane that runs free: read what was written last, then write the next token.

    Attributes
    ----------
    own : tokens written so far; ms : measured time of each pass, milliseconds.
    """

    def __init__(self, model: GPT2, opening: list[int], settings: Settings, uniforms: list[float | None]):
        self.model, self.settings, self.uniforms, self.unread = model, settings, uniforms, opening
        self.own: list[int] = []
        self.ms: list[float] = []
        self.cache = model.new_cache(capacity=len(opening) + max(0, len(uniforms) - 1))

    @property
    def ended(self) -> bool:
        """Whether the model said that the text is over."""
        return bool(self.own) and self.own[-1] == self.model.tokenizer.end_of_text

    def read(self) -> Tensor:
        """One pass over what has not been read: logits [vocab] for the next place."""
        began = perf_counter()
        logits = self.model.forward([self.unread], self.cache, last_only=True)[0, -1]
        self.ms.append(_ms(began))
        return logits

    def write(self, logits: Tensor) -> None:
        """Choose the next token by the settings and this place's random number."""
        token = pick(logits, self.settings, self.uniforms[len(self.own)] or 0.0).token
        self.own.append(token)
        self.unread = [token]


def typed_token(model: GPT2, word: str) -> int:
    """The token that a word is, or a TextError: one token takes one place."""
    found = model.tokenizer.encode(word)
    if len(found) != 1:
        pieces = " and ".join(f"“{model.tokenizer.decode([token])}”" for token in found[:6]) or "nothing"
        raise TextError(f"“{word}” is {len(found)} tokens ({pieces}), and one token takes one place: try another word.")
    return found[0]


def after_words(model: GPT2, ids: list[int], words: int) -> int:
    """How many tokens the first words of a text are; a word is what white space divides."""
    read = b""
    for place, piece in enumerate(map(model.tokenizer.token_bytes, ids)):
        if len(read.split()) >= words and (piece[:1].isspace() or not read):
            return place
        read += piece
    return len(ids)


def best_other(logits: Tensor, token: int) -> int:
    """The most probable token of a guess [vocab] besides this one: a near miss."""
    first, second = logits.topk(2).indices.tolist()
    return second if first == token else first


def random_word(model: GPT2, token: int, seed: int, place: int) -> int:
    """A word of the passages that is one token and another than this one; for a model without such, any other token."""
    numbers = np.random.default_rng([seed, place])
    words = sorted({word for each in passages() for word in re.findall(r"\b[a-z]{3,}\b", each.text)})
    for chosen in numbers.permutation(len(words)):
        if len(found := model.tokenizer.encode(f" {words[chosen]}")) == 1 and found != [token]:
            return found[0]
    others = [each for each in range(model.config.vocab_size) if each not in (token, model.tokenizer.end_of_text)]
    return others[numbers.integers(len(others))]


def last_word(model: GPT2, ids: list[int]) -> int | None:
    """The last word of a text that is one token, or None."""
    pieces = [model.tokenizer.token_bytes(token).decode("utf-8", "replace") for token in ids]
    for token, piece, follower in zip(reversed(ids), reversed(pieces), ["", *reversed(pieces)], strict=False):
        if piece[:1].isspace() and piece.strip().isalpha() and not follower[:1].isalpha():
            return token
    return None


def _logprobs(logits: Tensor, tokens: list[int]) -> tuple[float, ...]:
    """Ln P of one token a row [n, vocab], nats."""
    found = logits.double().log_softmax(-1)[torch.arange(len(tokens)), torch.tensor(tokens)]
    return tuple(round(min(0.0, value), 7) for value in found.tolist())


def _significant(values: Tensor) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values.tolist())


def _ms(began: float) -> float:
    return round((perf_counter() - began) * 1000, 3)
