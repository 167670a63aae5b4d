"""The chain rule on a real model: the probability of a text is the product of one conditional a token.

P(x1 … xn) = P(x1) · P(x2 | x1) · … · P(xn | x1 … xn-1), and so ln P is a sum. A text starts after GPT-2's
end-of-text token, so that its first token has a probability too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

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
from tokentrace.trace import Model

if TYPE_CHECKING:
    from torch import Tensor

    from tokentrace.lm import GPT2

FORMAT, VERSION = "tokentrace score", 1
N_CANDIDATES = 8
AT_ONCE = 64  # positions whose probabilities are worked out together: in double precision, so not too many
FLOATS = ("float16", "float32", "float64")


class TextError(ValueError):
    """A text that cannot be scored; the message is a sentence for the reader."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One token of a given text: what the model thought of it before it came.

    Attributes
    ----------
    token : its id.
    logprob : ln P(token | what stands before it), nats.
    rank : its place among all tokens, 1 = most probable.
    entropy : of the whole distribution at this place, bits.
    candidates, candidate_logprobs : the most probable tokens there, best first, and their ln P, nats.
    """

    token: int
    logprob: float
    rank: int
    entropy: float
    candidates: tuple[int, ...]
    candidate_logprobs: tuple[float, ...]

    @property
    def probability(self) -> float:
        """P(token | what stands before it)."""
        return math.exp(self.logprob)


SCALARS = {"token": int, "logprob": float, "rank": int, "entropy": float}
CANDIDATES = {"candidates": int, "candidate_logprobs": float}


@dataclass(frozen=True, slots=True)
class Score(Record):
    """A given text, scored token by token in one forward pass.

    Attributes
    ----------
    start : id of the token that stands before the first one; it is given, not scored.
    recorded : when, ISO 8601.
    ms : measured time of the pass, milliseconds.
    vocabulary : bytes of every token id that occurs.
    """

    model: Model
    text: str
    start: int
    recorded: str
    ms: float
    vocabulary: Mapping[int, bytes]
    tokens: tuple[Scored, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the text's tokens."""
        return tuple(each.token for each in self.tokens)

    @property
    def n_bytes(self) -> int:
        """Length of the text in UTF-8, bytes."""
        return len(self.text.encode())

    @property
    def logprob(self) -> float:
        """Log-probability of the text, nats: the sum over its tokens."""
        return math.fsum(each.logprob for each in self.tokens)

    @property
    def perplexity(self) -> float:
        """Inverse probability a token, as a geometric mean: exp(-ln P / n)."""
        return math.exp(-self.logprob / len(self.tokens))

    @property
    def bits_per_token(self) -> float:
        """Mean surprise of a token, bits."""
        return -self.logprob / math.log(2) / len(self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Surprise a byte of text, bits: the one measure that compares models with different tokens."""
        return -self.logprob / math.log(2) / self.n_bytes

    def token_text(self, token: int) -> str:
        """What a token looks like on its own."""
        return self.vocabulary[token].decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tokens by column, as files and front ends read them."""
        columns = {name: [getattr(each, name) for each in self.tokens] for name in SCALARS}
        columns |= {name: [list(getattr(each, name)) for each in self.tokens] for name in CANDIDATES}
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.model),
            "text": self.text,
            "start": self.start,
            "recorded": self.recorded,
            "ms": self.ms,
            "vocabulary": vocabulary_to_dict(self.vocabulary),
            "tokens": columns,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Score:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("score", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("score", data, {"format", "version"} | {field.name for field in fields(cls)})
        score = cls(
            model=build(Model, "model", data["model"]),
            text=typed("text", data["text"], str),
            start=typed("start", data["start"], int),
            recorded=typed("recorded", data["recorded"], str),
            ms=typed("ms", data["ms"], float),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            tokens=_tokens_from_columns(data["tokens"]),
        )
        score._check()
        return score

    def _check(self):
        """What must hold between the fields."""
        if not self.tokens:
            raise TraceError("tokens: a scored text has at least one token.")
        used = {self.start, *self.ids, *(c for each in self.tokens for c in each.candidates)}
        all_listed(used, self.vocabulary)
        if b"".join(self.vocabulary[token] for token in self.ids) != self.text.encode():
            raise TraceError("text: the tokens do not spell it.")
        for index, each in enumerate(self.tokens):
            if each.logprob > 0 or each.entropy < 0:
                raise TraceError(f"tokens[{index}]: a log-probability is at most 0, an entropy at least 0.")
            if not 1 <= each.rank <= self.model.vocab_size:
                raise TraceError(f"tokens.rank[{index}]: must be from 1 to {self.model.vocab_size}.")


def _tokens_from_columns(data: Any) -> tuple[Scored, ...]:
    data = mapping("tokens", data)
    exactly("tokens", data, SCALARS.keys() | CANDIDATES.keys())
    length = len(typed("tokens.token", data["token"], list))
    columns = {name: list_of(f"tokens.{name}", data[name], kind, length) for name, kind in SCALARS.items()}
    for name, kind in CANDIDATES.items():
        lists = list_of(f"tokens.{name}", data[name], list, length)
        sizes = [len(each) for each in columns.get("candidates", lists)]
        columns[name] = [
            tuple(list_of(f"tokens.{name}[{index}]", each, kind, sizes[index])) for index, each in enumerate(lists)
        ]
    return tuple(Scored(*row) for row in zip(*columns.values(), strict=True))


def score(model: GPT2, text: str) -> Score:
    """Score every token of a text in one forward pass.

    Raises
    ------
    TextError
        If the text cannot be scored; the message says why.
    """
    import torch

    from tokentrace.generation_loop import describe

    ids, start = text_tokens(model, text), model.tokenizer.end_of_text
    began = perf_counter()
    logits = model.forward([[start, *ids[:-1]]])[0]  # row i holds the guess for token i
    ms = round((perf_counter() - began) * 1000, 3)
    tokens: list[Scored] = []
    for first in range(0, len(ids), AT_ONCE):
        logprobs = logits[first : first + AT_ONCE].double().log_softmax(-1)
        tokens += map(_scored, torch.tensor(ids[first : first + AT_ONCE]), logprobs)
    used = {start, *ids, *(candidate for each in tokens for candidate in each.candidates)}
    return Score(
        model=describe(model),
        text=text,
        start=start,
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        ms=ms,
        vocabulary={token: model.tokenizer.token_bytes(token) for token in sorted(used)},
        tokens=tuple(tokens),
    )


def _scored(token: Tensor, logprobs: Tensor) -> Scored:
    """One token from the log-probabilities [vocab] of its place."""
    best = logprobs.topk(min(N_CANDIDATES, len(logprobs)))
    probabilities = logprobs.exp()
    return Scored(
        token=int(token),
        logprob=round(min(0.0, float(logprobs[token])), 7),
        rank=int((logprobs > logprobs[token]).sum()) + 1,
        entropy=round(max(0.0, -float((probabilities * logprobs.clamp_min(-1e4)).sum())) / math.log(2), 5),
        candidates=tuple(best.indices.tolist()),
        candidate_logprobs=tuple(round(min(0.0, value), 5) for value in best.values.tolist()),
    )


def text_tokens(model: GPT2, text: str) -> list[int]:
    """Token ids of a text to score, or a TextError that says in a sentence what is wrong with it."""
    if model.tokenizer.end_of_text is None:
        raise TextError(f"{model.name} has no start token, so the first word of a text has no probability.")
    if not text.strip():
        raise TextError("Type a sentence first: there is no text to score.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise TextError("The text holds half of a character; delete it.")
    ids = model.tokenizer.encode(text)
    if len(ids) > model.config.n_ctx:
        raise TextError(
            f"The text is {len(ids)} tokens long, and {model.name} reads at most {model.config.n_ctx} at once: "
            "shorten it."
        )
    if b"".join(map(model.tokenizer.token_bytes, ids)) != text.encode():
        raise TextError(f"{model.name} has no tokens for some character of this text.")
    return ids


def scored(name: str) -> Score:
    """Load a text that was scored for the lessons, `data/traces/<name>.json`."""
    return Score.load(data_folder() / "traces" / f"{name}.json")


def products(logprobs: Sequence[float], dtype: str) -> list[float]:
    """Multiply the conditionals one after the other in a float type: what a computer that does so holds.

    Parameters
    ----------
    logprobs : ln P of each token, nats.
    dtype : "float16", "float32" or "float64"; every factor and every product is rounded to it.

    Returns
    -------
    list of float
        The product after each token; 0 from where it underflows.
    """
    import numpy as np

    kind, product = np.dtype(dtype).type, np.dtype(dtype).type(1)
    found = []
    with np.errstate(under="ignore"):
        for logprob in logprobs:
            product = product * kind(math.exp(logprob))
            found.append(float(product))
    return found


def smallest(dtype: str) -> float:
    """The smallest number above 0 that a float type holds."""
    import numpy as np

    return float(np.finfo(dtype).smallest_subnormal)


def first_zero(values: Sequence[float]) -> int | None:
    """Index at which a running product has become 0; None if it never does."""
    return next((index for index, value in enumerate(values) if value == 0), None)


def running(score: Score) -> dict[str, Any]:
    """What is known of a text after each of its tokens, by column.

    Returns
    -------
    dict
        logprob (nats), perplexity and bits_per_byte of the text so far; `products`, for each float type
        the list of `products`, the index of its first zero, and ln of the smallest number above 0.
    """
    values = [each.logprob for each in score.tokens]
    sums = [math.fsum(values[: index + 1]) for index in range(len(values))]
    sizes = [len(score.vocabulary[token]) for token in score.ids]
    n_bytes = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    by_type = {}
    for dtype in FLOATS:
        column = products(values, dtype)
        by_type[dtype] = {"values": column, "zero": first_zero(column), "floor": math.log(smallest(dtype))}
    return {
        "logprob": sums,
        "perplexity": [math.exp(-total / (index + 1)) for index, total in enumerate(sums)],
        "bits_per_byte": [-total / math.log(2) / size for total, size in zip(sums, n_bytes, strict=True)],
        "bytes": n_bytes,
        "products": by_type,
    }


@dataclass(frozen=True, slots=True)
class Pair:
    """A place in two versions of a text: index of its token in each, None where a version has none there."""

    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """Two versions of a text, token beside token.

    Attributes
    ----------
    pairs : all places in order: first those before the change, then the changed ones, then those after it.
    before, after : how many places stand before the first change and after the last one.
    """

    pairs: tuple[Pair, ...]
    before: int
    after: int


def align(old: Sequence[int], new: Sequence[int]) -> Change:
    """Lay two lists of token ids side by side: what they share at the start, and what they share at the end."""
    shorter = min(len(old), len(new))
    before = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    after = next((i for i in range(shorter - before) if old[-1 - i] != new[-1 - i]), shorter - before)
    middle_old, middle_new = range(before, len(old) - after), range(before, len(new) - after)
    pairs = [Pair(index, index) for index in range(before)]
    for place in range(max(len(middle_old), len(middle_new))):
        pairs.append(
            Pair(
                middle_old[place] if place < len(middle_old) else None,
                middle_new[place] if place < len(middle_new) else None,
            )
        )
    pairs += [Pair(len(old) - left, len(new) - left) for left in range(after, 0, -1)]
    return Change(tuple(pairs), before, after)


def moved(old: Score, new: Score) -> tuple[list[float], list[float]]:
    """How far the conditionals of shared tokens differ between two versions, nats: before the change, after it."""
    change = align(old.ids, new.ids)
    gaps = [
        new.tokens[pair.new].logprob - old.tokens[pair.old].logprob
        for pair in change.pairs
        if pair.old is not None and pair.new is not None
    ]
    return gaps[: change.before], gaps[len(gaps) - change.after :]
