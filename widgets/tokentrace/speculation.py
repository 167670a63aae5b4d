"""Speculative sampling: a draft guesses a few tokens, the target verifies them in one pass.

The text is distributed exactly as the target alone would write it (Leviathan, Kalman & Matias 2023, "Fast
Inference from Transformers via Speculative Decoding", algorithm 1; Chen et al. 2023). A guess is kept with
probability min(1, target / draft); the first one that is not is replaced by a draw from what the draft gave
too little, and when all are kept the target's pass has one more token to give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tokentrace.lm import GPT2
from tokentrace.sampling import draw, filter_logits
from tokentrace.trace import Settings


class Round(NamedTuple):
    """What one round gave: the draft's `guesses`, how many were `kept`, and the `token` the target put after those."""

    guesses: list[int]
    kept: int
    token: int

    @property
    def tokens(self) -> list[int]:
        """What the round adds to the text."""
        return [*self.guesses[: self.kept], self.token]


class Dice:
    """The chance in a run; the same seed throws the same."""

    def __init__(self, seed: int = 0):
        self.numbers = np.random.default_rng(seed)

    def pick(self, probabilities: Tensor) -> int:
        """Draw a token from a distribution [vocab]."""
        return draw(probabilities, float(self.numbers.random()))[0]

    def happens(self, probability: float) -> bool:
        """Decide whether something of this probability happens."""
        return self.numbers.random() < probability


def distribution(logits: Tensor, settings: Settings) -> Tensor:
    """What a token is drawn from [vocab]: target and draft go through the same filters before they are compared.

    Under greedy all probability is on one token: a guess is then kept if it is the target's own choice.
    """
    if settings.strategy == "greedy":
        return torch.zeros_like(logits).index_fill_(0, logits.argmax(), 1.0)
    return filter_logits(logits, settings.temperature, settings.top_k, settings.top_p).softmax(-1)


def acceptance(target: Tensor, draft: Tensor, token: int) -> float:
    """Probability of keeping a guess that was drawn from `draft`: min(1, target / draft)."""
    return min(1.0, float(target[token] / draft[token]))


def residual(target: Tensor, draft: Tensor) -> Tensor:
    """What takes a rejected guess's place: where the target wants more than the draft gave, max(0, target - draft)."""
    missing = (target - draft).clamp(min=0)
    total = missing.sum()
    return missing / total if total > 0 else target  # two equal distributions, and a rejection by rounding


def verify(guesses: list[int], draft: Sequence[Tensor], target: Iterable[Tensor], dice: Dice) -> Round:
    """Keep guesses up to the first that is rejected, and let the target add one token.

    Parameters
    ----------
    draft : the distribution that each guess was drawn from.
    target : the target's distributions at the same places, and at the place after them.
    """
    wanted = iter(target)
    for place, (guess, proposed, real) in enumerate(zip(guesses, draft, wanted)):  # noqa: B905 (one more in wanted)
        if not dice.happens(acceptance(real, proposed, guess)):
            return Round(guesses, place, dice.pick(residual(real, proposed)))
    return Round(guesses, len(guesses), dice.pick(next(wanted)))


def speculate(
    target: GPT2, draft: GPT2, tokens: list[int], settings: Settings, dice: Dice, n_guesses: int = 4
) -> Iterator[Round]:
    """Continue `tokens` round by round, up to `settings.max_new_tokens`, the context, or the end of the text.

    The last round may go on after a token for the end; `continuation` cuts there.

    Raises
    ------
    ValueError
        If the two models do not share their tokens, there is nothing to continue, or too much.
    """
    if target.tokenizer.inner.get_vocab() != draft.tokenizer.inner.get_vocab():
        raise ValueError(f"{draft.name} has other tokens than {target.name}, so it cannot guess for it.")
    if n_guesses < 0:
        raise ValueError(f"A draft can guess no fewer than 0 tokens, not {n_guesses}.")
    text, end = list(tokens), len(tokens) + settings.max_new_tokens
    n_ctx = min(target.config.n_ctx, draft.config.n_ctx)
    if not 1 <= len(text) <= n_ctx:
        raise ValueError(f"The text is {len(text)} tokens long; 1 to {n_ctx} can be read.")
    read, guessed_from = (model.new_cache(capacity=min(n_ctx, end)) for model in (target, draft))
    while len(text) < end and len(text) <= n_ctx:
        guesses, proposals = [], []
        for _ in range(min(n_guesses, end - len(text) - 1, n_ctx - len(text))):
            logits = draft.forward([[*text, *guesses][guessed_from.length :]], guessed_from, last_only=True)[0, -1]
            proposals.append(distribution(logits, settings))
            guesses.append(dice.pick(proposals[-1]))
        logits = target.forward([[*text, *guesses][read.length :]], read)[0, -len(guesses) - 1 :]
        found = verify(guesses, proposals, (distribution(row, settings) for row in logits), dice)
        text += found.tokens
        for cache in (read, guessed_from):  # what was rejected is forgotten; the last token is yet to be read
            cache.truncate(min(cache.length, len(text) - 1))
        yield found
        if target.tokenizer.end_of_text in found.tokens:
            return


def continuation(
    target: GPT2, draft: GPT2, tokens: list[int], settings: Settings, dice: Dice, n_guesses: int = 4
) -> list[int]:
    """Tokens that follow, up to and with the one that ends the text."""
    written = [token for found in speculate(target, draft, tokens, settings, dice, n_guesses) for token in found.tokens]
    end = target.tokenizer.end_of_text
    return written[: written.index(end) + 1] if end in written else written
