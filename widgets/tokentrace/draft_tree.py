"""A tree of guesses: several next tokens are tried at once, and one pass of the target verifies them all.

Each guess may look at the text, at the guesses it follows and at itself, and at nothing else: tree attention
(Miao et al. 2024, "SpecInfer"). The guesses after one place are drawn from the draft without replacement, and are
verified one after the other; each that is rejected leaves what the draft gave too little for the next (Jeon et al.
2024, "Recursive Speculative Decoding"). So the text is distributed as the target's own, as with one line of guesses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor

from tokentrace.drafters import distribution
from tokentrace.lm import GPT2, KVCache
from tokentrace.speculation import Dice, acceptance, residual
from tokentrace.trace import Settings

ROOT = -1  # the parent of a guess that follows the text itself


class Guess(NamedTuple):
    """One node: the `token` that was guessed, and the `parent` guess it follows."""

    token: int
    parent: int


class TreeRound(NamedTuple):
    """What one round gave: all guesses, which of them the target kept, root first, and the token it put after those."""

    guesses: list[Guess]
    path: list[int]
    token: int

    @property
    def tokens(self) -> list[int]:
        """What the round adds to the text."""
        return [*(self.guesses[place].token for place in self.path), self.token]


class Tree:
    """Guesses under way: who follows whom, and what each one's followers are drawn from."""

    def __init__(self):
        self.guesses: list[Guess] = []
        self.proposals: dict[int, Tensor] = {}

    def followers(self, place: int) -> list[int]:
        """The guesses after a guess, or after the text (`ROOT`), in the order they were drawn in."""
        return [index for index, guess in enumerate(self.guesses) if guess.parent == place]

    def line(self, place: int) -> list[int]:
        """A guess and those it follows, root first."""
        found = []
        while place != ROOT:
            found.append(place)
            place = self.guesses[place].parent
        return found[::-1]

    def grow(self, place: int, width: int, dice: Dice, settings: Settings):
        """Draw the guesses after one; greedy takes the most probable ones, since chance plays no part in it."""
        left = self.proposals[place]
        for _ in range(min(width, int((left > 0).sum()))):
            token = int(left.argmax()) if settings.strategy == "greedy" else dice.pick(left)
            self.guesses.append(Guess(token, place))
            left = without(left, token)

    def sight(self, text: int, first: int, past: int) -> Tensor:
        """Who sees whom [new, past + new] when the guesses from `first` on are read after `past` positions.

        The text is `text` tokens long; those of it that are not yet read come before the guesses.
        """
        unread = max(0, text - past)
        n = len(self.guesses) - first
        seen = torch.zeros(unread + n, past + unread + n, dtype=torch.bool)
        seen[:, :text] = torch.ones(unread + n, text, dtype=torch.bool).tril(past)
        seen[unread:, :text] = True
        for index in range(first, len(self.guesses)):
            seen[unread + index - first, [text + place for place in self.line(index)]] = True
        return seen

    def places(self, text: int, first: int, past: int) -> Tensor:
        """Where in the text each of them stands: all guesses of one depth at the same place."""
        depths = [text + len(self.line(index)) - 1 for index in range(first, len(self.guesses))]
        return torch.tensor([*range(past, text), *depths])


def without(probabilities: Tensor, token: int) -> Tensor:
    """The distribution that is left when a token may not be drawn again; all zero if it was the only one."""
    left = probabilities.clone()
    left[token] = 0
    total = left.sum()
    return left / total if total > 0 else left


def read(model: GPT2, cache: KVCache, text: list[int], tree: Tree, first: int) -> Tensor:
    """Read what is new of the text, then the guesses from `first` on; logits [guesses + 1, vocab], the text's first."""
    past = cache.length
    unread = text[past:]
    ids = [*unread, *(guess.token for guess in tree.guesses[first:])]
    if len(tree.guesses) == first:
        return model.forward([ids], cache, last_only=True)[0]
    positions, mask = tree.places(len(text), first, past), tree.sight(len(text), first, past)
    return model.forward([ids], cache, positions=positions, mask=mask)[0, max(0, len(unread) - 1) :]


def plant(draft: GPT2, cache: KVCache, text: list[int], widths: Sequence[int], dice: Dice, settings: Settings) -> Tree:
    """Let the draft guess level by level: `widths[0]` tokens after the text, `widths[1]` after each of those, ..."""
    tree, level, first = Tree(), [ROOT], 0
    for width in widths:
        logits = read(draft, cache, text, tree, first)
        for place, row in zip(level, logits[-len(level) :], strict=True):
            greedy = settings.strategy == "greedy"
            tree.proposals[place] = row.softmax(-1) if greedy else distribution(row, settings)
        first = len(tree.guesses)
        for place in level:
            tree.grow(place, width, dice, settings)
        level = [*range(first, len(tree.guesses))]
    return tree


def verify_tree(tree: Tree, target: Tensor, settings: Settings, dice: Dice) -> TreeRound:
    """Follow the guesses that the target keeps, from the text on, and let it add one token.

    Parameters
    ----------
    target : its logits [guesses + 1, vocab] after the text and after each guess.
    """
    at, path = ROOT, []
    while True:
        wanted = distribution(target[at + 1], settings)
        proposed = tree.proposals.get(at)
        for place in tree.followers(at):
            token = tree.guesses[place].token
            if dice.happens(acceptance(wanted, proposed, token)):
                path.append(place)
                break
            wanted, proposed = residual(wanted, proposed), without(proposed, token)
        else:
            return TreeRound(tree.guesses, path, dice.pick(wanted))
        at = place


def speculate_tree(
    target: GPT2,
    draft: GPT2,
    tokens: list[int],
    settings: Settings,
    dice: Dice,
    widths: Sequence[int] = (3, 2, 1),
) -> Iterator[TreeRound]:
    """Continue `tokens` by trees of guesses, up to `settings.max_new_tokens`, the context, or the end of the text.

    Raises
    ------
    ValueError
        If the two models do not share their tokens, there is nothing to continue or too much, or a level of the
        tree has no guesses.
    """
    if target.tokenizer.inner.get_vocab() != draft.tokenizer.inner.get_vocab():
        raise ValueError(f"{draft.name} has other tokens than {target.name}, so it cannot guess for it.")
    if any(width < 1 for width in widths):
        raise ValueError(f"Every level of a tree needs at least one guess: {tuple(widths)}.")
    text, end = list(tokens), len(tokens) + settings.max_new_tokens
    n_ctx = min(target.config.n_ctx, draft.config.n_ctx)
    if not 1 <= len(text) <= n_ctx:
        raise ValueError(f"The text is {len(text)} tokens long; 1 to {n_ctx} can be read.")
    seen, guessed_from = (model.new_cache(capacity=n_ctx) for model in (target, draft))
    while len(text) < end and len(text) <= n_ctx:
        levels = fitting(widths, end - len(text) - 1, n_ctx - len(text))
        tree = plant(draft, guessed_from, text, levels, dice, settings)
        found = verify_tree(tree, read(target, seen, text, tree, 0), settings, dice)
        for cache in (seen, guessed_from):
            path = [len(text) + place for place in found.path]
            cache.keep(min(cache.length, len(text)), [place for place in path if place < cache.length])
        text += found.tokens
        yield found
        if target.tokenizer.end_of_text in found.tokens:
            return


def fitting(widths: Sequence[int], depth: int, room: int) -> Sequence[int]:
    """The levels of a tree that there is room for: so many deep, and so many guesses in all."""
    sizes = accumulate(accumulate(widths, mul))
    return widths[: sum(size <= room for level, size in enumerate(sizes) if level < depth)]
