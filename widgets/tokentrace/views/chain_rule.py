"""The chain rule by hand: a sentence of five words chosen word by word, and all sentences there are."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from typing import ClassVar

import traitlets

from tokentrace import five_words
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View

DRAWS = (1, 10, 100, 1000)
MOST_DRAWS = 100_000
LISTED = 12


class WordTree(View):
    """A tree that grows as the reader chooses words, and beside it the product and the sum of logs.

    Parameters
    ----------
    words : the path to show first, such as ("I", "love"); `<end>` may be its last word.
    """

    _esm = esm("chain_rule.js")
    _css = css("chain_rule.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"words"})

    title = traitlets.Unicode("A sentence, word by word", help="heading").tag(sync=True)
    vocabulary = traitlets.List(list(five_words.VOCABULARY), help="the words, <end> last").tag(sync=True)
    tables = traitlets.Dict(help="for each context the hundredths of each word").tag(sync=True)
    given = traitlets.List(list(five_words.GIVEN), help="contexts whose tables are the source's").tag(sync=True)
    limit = traitlets.Int(five_words.LIMIT, help="how many words a sentence has at most").tag(sync=True)
    words = traitlets.List(traitlets.Unicode(), help="the words chosen so far").tag(sync=True)

    def __init__(self, words: tuple[str, ...] = (), **traits):
        tables = {name: list(table) for name, table in five_words.TABLES.items()}
        super().__init__(tables=tables, words=list(words), **traits)

    @property
    def probability(self) -> float:
        """P of the words chosen so far, for the next cell to work with; 1 before the first."""
        return float(five_words.probability(self.words))

    @traitlets.validate("words")
    def _a_path(self, proposal: dict) -> list[str]:
        words = proposal["value"]
        known = all(word in five_words.VOCABULARY for word in words)
        if not known or five_words.END in words[:-1] or not five_words.probability(words):
            raise traitlets.TraitError("These words are no beginning of a sentence here.")
        return words


class AllSentences(View):
    """Every sentence of the five words by its probability, and how often a sampler draws each.

    Parameters
    ----------
    seed : of the draws; the same seed draws the same sentences.
    draws : how many to draw before the view is shown.
    """

    _esm = esm("all_sentences.js")
    _css = css("all_sentences.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "draw", "clear"})

    title = traitlets.Unicode("All sentences, and a sampler", help="heading").tag(sync=True)
    rows = traitlets.List(help="words and probability of the most probable sentences, and greedy's").tag(sync=True)
    rest = traitlets.Dict(help="how many other sentences there are, and their probability together").tag(sync=True)
    counts = traitlets.List(help="how often each row was drawn, and last the rest").tag(sync=True)
    fit = traitlets.Dict(help="draws, largest difference, chi-square and its degrees of freedom").tag(sync=True)
    path = traitlets.List(help="draws and largest difference after each press").tag(sync=True)
    last = traitlets.List(help="the sentence that was drawn last").tag(sync=True)

    def __init__(self, seed: int = 0, draws: int = 0, **traits):
        self._exact = five_words.sentences()
        best, choice = self._exact[0][0], five_words.greedy()
        places = list(range(LISTED))
        at = next(place for place, (words, _) in enumerate(self._exact) if words == choice)
        if at not in places:
            places[-1] = at
        self._listed = [self._exact[place][0] for place in places]
        rows = [
            {
                "words": list(self._exact[place][0]),
                "probability": float(self._exact[place][1]),
                "place": place + 1,
                "best": self._exact[place][0] == best,
                "greedy": place == at,
            }
            for place in places
        ]
        others = 1 - sum(self._exact[place][1] for place in places)
        rest = {"sentences": len(self._exact) - len(rows), "probability": float(others)}
        super().__init__(rows=rows, rest=rest, **traits)
        self._seed = seed
        self._begin()
        self._draw(draws)

    def on_draw(self, message: dict):
        """Draw some more sentences."""
        n = message.get("n")
        self.error = ""
        if type(n) is not int or n not in DRAWS:
            self.say("That many sentences cannot be drawn at once.")
        elif sum(self._drawn.values()) + n > MOST_DRAWS:
            self.say(f"{MOST_DRAWS:,} draws are enough: start over to draw again.")
        else:
            self._draw(n)
        self.on_ping(message)

    def on_clear(self, message: dict):
        """Forget all draws and begin again with the same random numbers."""
        self.error = ""
        self._begin()
        self._draw(0)
        self.on_ping(message)

    def _begin(self):
        self._numbers, self._drawn = random.Random(self._seed), Counter()
        self.path, self.last = [], []

    def _draw(self, n: int):
        drawn = [five_words.draw(self._numbers) for _ in range(n)]
        self._drawn.update(drawn)
        total = sum(self._drawn.values())
        listed = [self._drawn[words] for words in self._listed]
        found = five_words.fit(self._drawn, self._exact)
        with self.hold_sync():
            self.counts, self.fit = [*listed, total - sum(listed)], asdict(found)
            if drawn:
                self.path, self.last = [*self.path, [total, found.largest]], list(drawn[-1])
