"""A 2-gram sampler as in Shannon's papers: the next token drawn from a table of which token followed which.

P(w | v) = max(n(v, w) - D, 0) / n(v) + λ(v)·P(w): absolute discounting (Ney, Essen and Kneser 1994), where λ(v) is
what the discount and the pruned pairs leave over and P(w) is how common w is, so that nothing has probability 0.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tokentrace.models import data_folder

if TYPE_CHECKING:
    from tokentrace.lm import GPT2
    from tokentrace.tokenizer import Tokenizer

DISCOUNT = 0.75


class TableError(ValueError):
    """A table that does not fit; the message is a sentence for the reader."""


class Bigram:
    """Counts of neighbouring tokens, and the next-token distribution they give.

    Parameters
    ----------
    starts : [vocab + 1] where each token's followers begin in the two columns below.
    followers, counts : [kept pairs] the following token, and how often it came there.
    singles : [vocab] how often each token came at all.
    vocabulary : fingerprint of the tokenizer whose tokens these are; see `fingerprint`.
    """

    def __init__(
        self, starts: np.ndarray, followers: np.ndarray, counts: np.ndarray, singles: np.ndarray, vocabulary: str
    ):
        if len(starts) != len(singles) + 1 or starts[-1] != len(followers) or len(followers) != len(counts):
            raise TableError("The table of token pairs is damaged: its columns do not fit each other.")
        self.starts, self.followers, self.counts = starts, followers, counts
        self.singles, self.vocabulary = singles, vocabulary
        # Half a count for tokens that never came: rare, but not impossible.
        self.common = (singles + 0.5) / (singles.sum() + 0.5 * len(singles))

    @classmethod
    def load(cls, path: str | Path | None = None) -> Bigram:
        """Read a table; by default the one made from the storyteller's training text."""
        path = Path(path or data_folder() / "bigrams.npz")
        try:
            with np.load(path) as table:
                sizes = table["sizes"].astype(np.int64)
                # Followers are kept as steps from one to the next, which pack well.
                starts = np.concatenate([[0], sizes.cumsum()])
                steps = table["steps"].astype(np.int64)
                followers = steps.cumsum()
                before = np.concatenate([[0], followers])[starts[:-1]]
                followers -= np.repeat(before, sizes)
                return cls(
                    starts, followers, table["counts"], table["singles"].astype(np.int64), str(table["vocabulary"])
                )
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise TableError(f"The table of token pairs {path.name} cannot be read: {error}.") from None

    @property
    def tokens(self) -> int:
        """How many tokens of text were counted."""
        return int(self.singles.sum())

    @property
    def pairs(self) -> int:
        """How many different pairs the table keeps."""
        return len(self.followers)

    def check(self, tokenizer: Tokenizer, name: str = "this model") -> None:
        """Raise a TableError that says so if the table was counted in another tokenizer's tokens."""
        if fingerprint(tokenizer) != self.vocabulary:
            raise TableError(
                f"The table of pairs was counted in the storyteller's tokens, and {name} cuts text differently."
            )

    def next(self, previous: int) -> np.ndarray:
        """P of each token [vocab] after `previous`."""
        first, last = self.starts[previous], self.starts[previous + 1]
        total = int(self.singles[previous])
        if first == last or total == 0:
            return self.common.copy()
        seen = (self.counts[first:last] - DISCOUNT) / total
        found = (1 - seen.sum()) * self.common
        found[self.followers[first:last]] += seen
        return found

    def logprobs(self, ids: list[int]) -> list[float]:
        """Ln P of each token after the first given the one before it, nats."""
        return [math.log(self.next(one)[two]) for one, two in pairwise(ids)]

    def write(self, ids: list[int], n: int, seed: int) -> list[int]:
        """Go on for n tokens; step t uses the t-th random number of `seed`, as the generation loop does."""
        import torch

        from tokentrace.sampling import draw

        numbers, written = np.random.default_rng(seed), []
        for _ in range(n):
            token, _ = draw(torch.from_numpy(self.next((written or ids)[-1])), float(numbers.random()))
            written.append(token)
        return written


def fingerprint(tokenizer: Tokenizer) -> str:
    """What tells one set of tokens from another: a hash of their bytes in order."""
    digest = hashlib.sha256()
    for token in range(tokenizer.vocab_size):
        piece = tokenizer.token_bytes(token)
        digest.update(len(piece).to_bytes(4, "big") + piece)
    return digest.hexdigest()[:16]


def bits_per_byte(logprobs: list[float], text: str) -> float:
    """Surprise a byte of text, bits: what can be compared across models."""
    return -math.fsum(logprobs) / math.log(2) / len(text.encode())


def score_table(table: Bigram, model: GPT2, text: str) -> list[float]:
    """Ln P of each token of a text after the start token, nats, from the table alone."""
    from tokentrace.chain_rule import text_tokens

    table.check(model.tokenizer, model.name)
    return table.logprobs([model.tokenizer.end_of_text, *text_tokens(model, text)])
