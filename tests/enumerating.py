"""Everything that may happen in a run with dice, on made-up models small enough to follow it all."""

import itertools
from types import SimpleNamespace

import torch

from tokentrace.drafters import distribution


class Memory:
    """The cache of a made-up model: the tokens themselves, so that a wrong rollback gives wrong numbers."""

    def __init__(self):
        self.tokens = []

    length = property(lambda self: len(self.tokens))

    def truncate(self, n):
        assert 0 <= n <= len(self.tokens)
        del self.tokens[n:]


class MadeUp:
    """A model in double precision whose logits depend on every token before, drawn once for each text."""

    def __init__(self, vocabulary, seed, n_ctx=20, end=None):
        self.seed, self.name, self.vocabulary = seed, f"model {seed}", vocabulary
        self.config = SimpleNamespace(n_ctx=n_ctx, vocab_size=vocabulary)
        inner = SimpleNamespace(get_vocab=lambda: {str(token): token for token in range(vocabulary)})
        self.tokenizer = SimpleNamespace(inner=inner, end_of_text=end)

    def new_cache(self, capacity):
        return Memory()

    def forward(self, ids, cache, last_only=False):
        rows = []
        for token in ids[0]:
            cache.tokens.append(token)
            rows.append(self.logits(cache.tokens))
        assert len(cache.tokens) <= self.config.n_ctx
        return torch.stack(rows[-1:] if last_only else rows)[None]

    def logits(self, tokens):
        number = 0
        for token in tokens:
            number = number * 7 + token + 1
        return 1.5 * torch.randn(
            self.vocabulary, generator=torch.Generator().manual_seed(number * 31 + self.seed), dtype=torch.float64
        )


class Fate:
    """Dice whose throws are decided beforehand; what lies beyond falls on the first side, and is noted."""

    def __init__(self, decided):
        self.decided, self.sides, self.probability = list(decided), [], 1.0
        self.last = 0.0

    def throw(self, probabilities):
        possible = [side for side, probability in enumerate(probabilities) if probability > 0]
        side = self.decided[len(self.sides)] if len(self.sides) < len(self.decided) else possible[0]
        self.sides.append((side, possible))
        self.probability *= probabilities[side]
        return side

    def pick(self, probabilities):
        return self.throw(probabilities.tolist())

    def happens(self, probability):
        return self.throw([probability, 1 - probability]) == 0


def every_outcome(run):
    """Run something once for every way its dice may fall; sums the probability of each result."""
    found, waiting = {}, [()]
    while waiting:
        decided = waiting.pop()
        fate = Fate(decided)
        result = tuple(run(fate))
        found[result] = found.get(result, 0.0) + fate.probability
        for place in range(len(decided), len(fate.sides)):
            side, possible = fate.sides[place]
            earlier = [each for each, _ in fate.sides[:place]]
            waiting += [(*earlier, other) for other in possible if other != side]
    return found


def texts_of(model, prompt, chosen, n):
    """Probability of every text of n tokens that the model alone may write, by the chain rule."""
    found = {}
    for text in itertools.product(range(model.vocabulary), repeat=n):
        probability, written = 1.0, ()
        for token in text:
            probability *= float(distribution(model.logits([*prompt, *written]), chosen)[token])
            written = (*written, token)
            if token == model.tokenizer.end_of_text:
                break
        found[written] = probability
    return {text: probability for text, probability in found.items() if probability > 0}
