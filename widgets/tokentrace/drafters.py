"""Who guesses for the target: a smaller model, the text so far, a table, the target's own first layers, an oracle.

A drafter says what it would draw the next token from; the loop in `speculation` draws, verifies and takes back.
Whatever it says, the text stays distributed as the target's own: a poor drafter costs time, never quality.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from tokentrace.lm import GPT2
from tokentrace.sampling import filter_logits
from tokentrace.trace import Settings


class Drafter(Protocol):
    """Guesses what a target will write, one token at a time.

    Attributes
    ----------
    name : for the reader.
    n_ctx : the longest text it can read; None if any.
    """

    name: str
    n_ctx: int | None

    def propose(self, text: list[int]) -> Tensor | None:
        """Distribution [vocab] that the token after a text is to be drawn from; None if it has no guess."""

    def forget(self, n: int) -> None:
        """Take back what it has read after the first n tokens: some of it was rejected."""


def distribution(logits: Tensor, settings: Settings) -> Tensor:
    """What a token is drawn from [vocab]: target and draft go through the same filters before they are compared.

    Under greedy all probability is on one token: a guess is then kept if it is the target's own choice.
    """
    if settings.strategy == "greedy":
        return certain(int(logits.argmax()), logits)
    return filter_logits(logits, settings.temperature, settings.top_k, settings.top_p).softmax(-1)


def certain(token: int, like: Tensor) -> Tensor:
    """All probability on one token, in the shape and type of another distribution."""
    found = torch.zeros_like(like)
    found[token] = 1.0
    return found


class ModelDrafter:
    """A smaller model with the target's tokens, or the target's own first layers (`GPT2.first_layers`).

    Raises
    ------
    ValueError
        If the two models do not share their tokens.
    """

    def __init__(self, model: GPT2, target: GPT2, settings: Settings, capacity: int | None = None):
        if target.tokenizer.inner.get_vocab() != model.tokenizer.inner.get_vocab():
            raise ValueError(f"{model.name} has other tokens than {target.name}, so it cannot guess for it.")
        self.model, self.settings = model, settings
        self.name, self.n_ctx = model.name, model.config.n_ctx
        self.cache = model.new_cache(capacity=min(capacity or self.n_ctx, self.n_ctx))

    def propose(self, text: list[int]) -> Tensor:
        """Read what is new of the text, and say what may follow it."""
        logits = self.model.forward([text[self.cache.length :]], self.cache, last_only=True)[0, -1]
        return distribution(logits, self.settings)

    def forget(self, n: int) -> None:
        """Take back what was read after the first n tokens."""
        self.cache.truncate(min(self.cache.length, n))


class PromptLookup:
    """Copies what followed the last time the text had the same few tokens (Saxena 2023).

    Parameters
    ----------
    vocab_size : of the target.
    longest, shortest : how many last tokens are looked for; the longest that is found counts.
    """

    n_ctx = None

    def __init__(self, vocab_size: int, longest: int = 3, shortest: int = 1):
        if not 1 <= shortest <= longest:
            raise ValueError(f"Between 1 and {longest} tokens can be looked for, not {shortest}.")
        self.name, self.lengths = "prompt lookup", range(longest, shortest - 1, -1)
        self.nothing = torch.zeros(vocab_size)
        self.place, self.read = 0, -1

    def propose(self, text: list[int]) -> Tensor | None:
        """All probability on the token that followed, or None if the text's last tokens are new."""
        if len(text) == self.read + 1 and text[-1] == text[self.place]:
            self.place += 1  # what was copied last was written: the copy goes on
        else:
            self.place = self.find(text)
        self.read = len(text)
        return certain(text[self.place], self.nothing) if self.place else None

    def find(self, text: list[int]) -> int:
        """Where the text goes on that ended like this before; 0 if it never did."""
        for n in self.lengths:
            for end in range(len(text) - 1, n - 1, -1):
                if text[end - n : end] == text[-n:]:
                    return end
        return 0

    def forget(self, n: int) -> None:
        """Look anew."""
        self.read = -1


class TableDrafter:
    """A table of what followed each few tokens in texts that the target wrote: next to free.

    Parameters
    ----------
    texts : token ids of the target's own samples.
    order : the longest run of tokens that is looked up; where it is not in the table, a shorter one is.
    """

    n_ctx = None

    def __init__(self, texts: Iterable[list[int]], vocab_size: int, settings: Settings, order: int = 3):
        if order < 1:
            raise ValueError(f"A table looks up at least one token, not {order}.")
        self.name, self.settings, self.order, self.vocab_size = f"table of {order} tokens", settings, order, vocab_size
        self.followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for text in texts:
            for place in range(1, len(text)):
                for n in range(1, min(order, place) + 1):
                    self.followers[tuple(text[place - n : place])][text[place]] += 1

    def propose(self, text: list[int]) -> Tensor | None:
        """How often each token followed the longest known run, filtered as the target's guess is."""
        for n in range(min(self.order, len(text)), 0, -1):
            if found := self.followers.get(tuple(text[-n:])):
                logits = torch.full((self.vocab_size,), -torch.inf, dtype=torch.float64)
                logits[list(found)] = torch.tensor(list(found.values()), dtype=torch.float64).log()
                return distribution(logits, self.settings)
        return None

    def forget(self, n: int) -> None:
        """Nothing was read."""


class Oracle:
    """Knows the target, and is right as often as is wished: for teaching and for tests, as it saves nothing.

    With a target's distribution p and the unlikeliest token u it proposes w·p + (1 - w)·u, where w makes
    sum(min(target, proposal)) the `rate`. It can be no worse than p(u).
    """

    def __init__(self, target: GPT2, settings: Settings, rate: float):
        if not 0 <= rate <= 1:
            raise ValueError(f"A rate of acceptance lies between 0 and 1, not at {rate}.")
        self.inner, self.rate = ModelDrafter(target, target, settings), rate
        self.name, self.n_ctx = f"oracle, right {rate:.0%} of the time", target.config.n_ctx

    def propose(self, text: list[int]) -> Tensor:
        """Mix the target's own distribution with a token it would hardly write."""
        target = self.inner.propose(text)
        worst = int(target.argmin())
        least = float(target[worst])
        share = max(0.0, (self.rate - least) / (1 - least)) if least < 1 else 1.0
        return share * target + (1 - share) * certain(worst, target)

    def forget(self, n: int) -> None:
        """Take back what was read after the first n tokens."""
        self.inner.forget(n)
