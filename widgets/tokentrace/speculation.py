"""Speculative sampling: a draft guesses a few tokens, the target verifies them in one pass.

The text is distributed exactly as the target alone would write it (Leviathan, Kalman & Matias 2023, "Fast
Inference from Transformers via Speculative Decoding", algorithm 1; Chen et al. 2023). A guess is kept with
probability min(1, target / draft); the first one that is not is replaced by a draw from what the draft gave
too little, and when all are kept the target's pass has one more token to give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from torch import Tensor

from tokentrace.draft_length import DraftLength, Fixed
from tokentrace.drafters import Drafter, ModelDrafter, distribution
from tokentrace.lm import GPT2
from tokentrace.sampling import draw
from tokentrace.trace import Settings


class Round(NamedTuple):
    """What one round gave.

    Attributes
    ----------
    guesses : tokens that the draft guessed.
    kept : how many of them the target kept.
    token : what the target put after those: a replacement, or one token more when all were kept.
    proposals : the distribution [vocab] that each guess was drawn from.
    wanted : the target's distributions at the places it looked at.
    throws : for each guess tested, the number that was compared with its probability of being kept.
    seconds : the time that guessing took, and that reading the guesses took.
    """

    guesses: list[int]
    kept: int
    token: int
    proposals: Sequence[Tensor] = ()
    wanted: Sequence[Tensor] = ()
    throws: Sequence[float] = ()
    seconds: tuple[float, float] = (0.0, 0.0)

    @property
    def tokens(self) -> list[int]:
        """What the round adds to the text."""
        return [*self.guesses[: self.kept], self.token]


class Dice:
    """The chance in a run; the same seed throws the same."""

    def __init__(self, seed: int = 0):
        self.numbers = np.random.default_rng(seed)
        self.last = 0.0  # the number of the last decision

    def pick(self, probabilities: Tensor) -> int:
        """Draw a token from a distribution [vocab]."""
        return draw(probabilities, float(self.numbers.random()))[0]

    def happens(self, probability: float) -> bool:
        """Decide whether something of this probability happens."""
        self.last = float(self.numbers.random())
        return self.last < probability


def acceptance(target: Tensor, draft: Tensor, token: int) -> float:
    """Probability of keeping a guess that was drawn from `draft`: min(1, target / draft)."""
    return min(1.0, float(target[token] / draft[token]))


def residual(target: Tensor, draft: Tensor) -> Tensor:
    """What takes a rejected guess's place: where the target wants more than the draft gave, max(0, target - draft)."""
    missing = (target - draft).clamp(min=0)
    total = missing.sum()
    return missing / total if total > 0 else target  # two equal distributions, and a rejection by rounding


def verify(guesses: list[int], proposals: Sequence[Tensor], target: Iterable[Tensor], dice: Dice) -> Round:
    """Keep guesses up to the first that is rejected, and let the target add one token.

    Parameters
    ----------
    proposals : the distribution that each guess was drawn from.
    target : the target's distributions at the same places, and at the place after them; only those that are
        looked at are asked for.
    """
    wanted, seen, throws = iter(target), [], []
    for place, (guess, proposed) in enumerate(zip(guesses, proposals, strict=True)):
        seen.append(next(wanted))
        kept = dice.happens(acceptance(seen[-1], proposed, guess))
        throws.append(dice.last)
        if not kept:
            return Round(guesses, place, dice.pick(residual(seen[-1], proposed)), proposals, seen, throws)
    seen.append(next(wanted))
    return Round(guesses, len(guesses), dice.pick(seen[-1]), proposals, seen, throws)


def speculate(
    target: GPT2,
    draft: GPT2 | Drafter,
    tokens: list[int],
    settings: Settings,
    dice: Dice,
    n_guesses: int | DraftLength = 4,
) -> Iterator[Round]:
    """Continue `tokens` round by round, up to `settings.max_new_tokens`, the context, or the end of the text.

    The last round may go on after a token for the end; `continuation` cuts there.

    Parameters
    ----------
    draft : a model with the target's tokens, or any other drafter.
    n_guesses : how many a round, or the rule that decides it.

    Raises
    ------
    ValueError
        If the two models do not share their tokens, there is nothing to continue, or too much.
    """
    text, end = list(tokens), len(tokens) + settings.max_new_tokens
    n_ctx = target.config.n_ctx
    drafter = draft if hasattr(draft, "propose") else ModelDrafter(draft, target, settings, min(n_ctx, end))
    length = Fixed(n_guesses) if isinstance(n_guesses, int) else n_guesses
    n_ctx = min(n_ctx, drafter.n_ctx or n_ctx)
    if not 1 <= len(text) <= n_ctx:
        raise ValueError(f"The text is {len(text)} tokens long; 1 to {n_ctx} can be read.")
    read = target.new_cache(capacity=min(n_ctx, end))
    while len(text) < end and len(text) <= n_ctx:
        start = perf_counter()
        room = min(length.most, end - len(text) - 1, n_ctx - len(text))
        guesses, proposals = guess(drafter, text, length, room, dice)
        guessed = perf_counter()
        logits = target.forward([[*text, *guesses][read.length :]], read)[0, -len(guesses) - 1 :]
        seconds = guessed - start, perf_counter() - guessed
        found = verify(guesses, proposals, (distribution(row, settings) for row in logits), dice)
        text += found.tokens
        # What was rejected is forgotten; the last token is yet to be read.
        read.truncate(min(read.length, len(text) - 1))
        drafter.forget(len(text) - 1)
        length.learn(found)
        yield found._replace(seconds=seconds)
        if target.tokenizer.end_of_text in found.tokens:
            return


def guess(
    drafter: Drafter, text: list[int], length: DraftLength, room: int, dice: Dice
) -> tuple[list[int], list[Tensor]]:
    """Guesses of one round, and what each was drawn from."""
    guesses: list[int] = []
    proposals: list[Tensor] = []
    while len(guesses) < room:
        proposal = drafter.propose([*text, *guesses])
        if proposal is None or not length.goes_on(len(guesses), proposal):
            break
        proposals.append(proposal)
        guesses.append(dice.pick(proposal))
    return guesses, proposals


def continuation(
    target: GPT2,
    draft: GPT2 | Drafter,
    tokens: list[int],
    settings: Settings,
    dice: Dice,
    n_guesses: int | DraftLength = 4,
) -> list[int]:
    """Tokens that follow, up to and with the one that ends the text."""
    written = [token for found in speculate(target, draft, tokens, settings, dice, n_guesses) for token in found.tokens]
    end = target.tokenizer.end_of_text
    return written[: written.index(end) + 1] if end in written else written
