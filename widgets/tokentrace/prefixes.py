"""Beginnings of equal length cut out of passages, and the same beginnings made wrong in six ways.

Shapes: n prefixes of `length` tokens each, and the `steps` tokens that truly follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokentrace.tokenizer import Tokenizer

ERRORS = ("near miss", "random word", "repeated word")
CORRUPTIONS = ("shuffled", "truncated", "foreign")
KINDS = (*ERRORS, *CORRUPTIONS)
KEPT = 4  # a truncated prefix keeps one token in so many, the last ones

Ids = NDArray[np.int64]


class PrefixError(ValueError):
    """Passages that no prefixes can be cut from; the message is a sentence for the reader."""


@dataclass(frozen=True)
class Prefixes:
    """Beginnings and how they go on, in an order in which every stretch holds many passages.

    Attributes
    ----------
    passage : [n] number of the passage that a prefix was cut from: what is resampled together.
    given : [n, length] tokens read; the last one is what an error replaces.
    true : [n, steps] tokens that follow in the passage.
    words : whole words of the passages that are one token, for random ones.
    """

    passage: Ids
    given: Ids
    true: Ids
    words: Ids

    def __len__(self) -> int:
        return len(self.given)

    def part(self, low: int, high: int) -> Prefixes:
        """The prefixes low to high - 1."""
        return Prefixes(self.passage[low:high], self.given[low:high], self.true[low:high], self.words)


def cut(tokenizer: Tokenizer, texts: Sequence[str], count: int, length: int, steps: int, seed: int = 0) -> Prefixes:
    """Cut about equally many prefixes out of every text, where a whole word stands and another one before it.

    Parameters
    ----------
    count : how many at most; texts with fewer places give fewer.
    seed : of the choice among the places of a text.

    Raises
    ------
    PrefixError
        If fewer than two texts are long enough: then nothing can be said of how sure a mean is.
    """
    ids = [np.array(tokenizer.encode(text), dtype=np.int64) for text in texts]
    whole = [whole_words(tokenizer, each) for each in ids]
    random = np.random.default_rng(seed)
    places = []
    for tokens, word in zip(ids, whole, strict=True):
        ends = np.arange(length, len(tokens) - steps + 1)  # how many tokens of the text have been read
        places.append(random.permutation(ends[word[ends - 1] & word[ends - 2]]))
    if sum(len(each) > 0 for each in places) < 2:
        raise PrefixError(
            f"Fewer than two passages are long enough: {length} tokens are read and {steps} must follow, with a word "
            "in the middle."
        )
    # Round after round one of every text, so that a run that is stopped has seen them all.
    turns = [(turn, text) for text, each in enumerate(places) for turn in range(len(each))]
    turns = sorted(turns)[:count]
    ends = [int(places[text][turn]) for turn, text in turns]
    return Prefixes(
        passage=np.array([text for _, text in turns]),
        given=np.stack([ids[text][end - length : end] for (_, text), end in zip(turns, ends, strict=True)]),
        true=np.stack([ids[text][end : end + steps] for (_, text), end in zip(turns, ends, strict=True)]),
        words=np.unique(np.concatenate([tokens[word] for tokens, word in zip(ids, whole, strict=True)])),
    )


def whole_words(tokenizer: Tokenizer, ids: Ids) -> NDArray[np.bool_]:
    """Whether each token of a text is a word of letters, with the space before it and no letter after it."""
    pieces = [tokenizer.token_bytes(int(token)).decode("utf-8", "replace") for token in ids]
    after = [*pieces[1:], ""]
    return np.array(
        [
            piece[:1] == " " and piece[1:].isalpha() and not (then[:1].isalpha() or then[:1] in "'’")
            for piece, then in zip(pieces, [each or " " for each in after], strict=True)
        ],
        dtype=bool,
    )


def spoiled(kind: str, prefixes: Prefixes, seed: int = 0) -> Ids:
    """Prefixes [n, length] that are wrong in one way; a truncated one has fewer tokens.

    A near miss is the model's own second choice, so it is left to whoever has the model: the last token stays.
    What is left of a truncated prefix is read at the first places, so that its positions change too.

    Parameters
    ----------
    seed : of random words, of the new order, and of the choice of another passage.

    Raises
    ------
    PrefixError
        If there is no such way.
    """
    given, random = prefixes.given.copy(), np.random.default_rng([seed, KINDS.index(kind) if kind in KINDS else 0])
    if kind == "near miss":
        return given
    if kind == "random word":
        given[:, -1] = [_another(random, prefixes.words, row[-2:]) for row in given]
    elif kind == "repeated word":
        given[:, -1] = given[:, -2]
    elif kind == "shuffled":
        given = random.permuted(given, axis=1)
    elif kind == "truncated":
        given = given[:, -max(1, given.shape[1] // KEPT) :]
    elif kind == "foreign":
        for row, passage in enumerate(prefixes.passage):
            given[row] = prefixes.given[random.choice(np.flatnonzero(prefixes.passage != passage))]
    else:
        raise PrefixError(f"There is no prefix that is {kind!r}; there is: {', '.join(KINDS)}.")
    return given


def _another(random: np.random.Generator, words: Ids, taken: Ids) -> int:
    """A word that does not stand there already."""
    return int(random.choice(words[~np.isin(words, taken)]))
