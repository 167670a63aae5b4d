"""A language small enough to list: five words, and every sentence of it with its exact probability.

The chain rule by hand. Three tables and P(I) = 0.20 are a worked example of A. Shekhar's; so that every sentence
has a probability, the other tables are ours. Probabilities are whole hundredths, so sums are exact as fractions.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

END = "<end>"
VOCABULARY = ("I", "love", "AI", "code", END)
LIMIT = 6  # words; a sentence that long ends with certainty, so that there are finitely many
SOURCE = "A. Shekhar, “Autoregressive Models”, Outcome School blog"
EXPECTED = 5  # a bin of the chi-square test holds at least so many expected draws (Cochran's rule)

# What may come next, in hundredths, in the order of VOCABULARY. A context that is listed has a table of its own.
# Any other has the table of its last word, "… word": such a model looks back one word only.
GIVEN = {
    "I": (5, 60, 15, 15, 5),
    "I love": (5, 5, 70, 15, 5),
    "I love AI": (5, 5, 5, 5, 80),
}
OURS = {
    "": (20, 17, 40, 19, 4),  # the 20 is given
    "… I": (3, 50, 10, 32, 5),
    "… love": (10, 5, 40, 35, 10),
    "… AI": (12, 25, 10, 38, 15),
    "… code": (14, 20, 26, 10, 30),
}
TABLES = GIVEN | OURS

Sentence = tuple[str, ...]


def table_name(context: Sequence[str]) -> str | None:
    """Name of the table that holds in a context; None at the limit, where only the end may come."""
    if len(context) >= LIMIT:
        return None
    name = " ".join(context)
    return name if name in TABLES else f"… {context[-1]}"


def conditionals(context: Sequence[str]) -> dict[str, Fraction]:
    """P(word | context) of every word, exact."""
    name = table_name(context)
    hundredths = (0,) * (len(VOCABULARY) - 1) + (100,) if name is None else TABLES[name]
    return {word: Fraction(each, 100) for word, each in zip(VOCABULARY, hundredths, strict=True)}


def factors(sentence: Sequence[str]) -> list[Fraction]:
    """The conditional of each word given the words before it."""
    return [conditionals(sentence[:place])[word] for place, word in enumerate(sentence)]


def probability(sentence: Sequence[str]) -> Fraction:
    """P(sentence) by the chain rule: the product of its factors."""
    return math.prod(factors(sentence), start=Fraction(1))


def greedy() -> Sentence:
    """The sentence that takes the most probable word every time; of equals the first in the vocabulary."""
    words: Sentence = ()
    while not words or words[-1] != END:
        table = conditionals(words)
        words = (*words, max(VOCABULARY, key=table.__getitem__))
    return words


@cache
def sentences() -> tuple[tuple[Sentence, Fraction], ...]:
    """Every sentence there is and its probability, most probable first."""
    return tuple(sorted(_grow((), Fraction(1)), key=lambda pair: (-pair[1], len(pair[0]), pair[0])))


def _grow(words: Sentence, product: Fraction) -> Iterator[tuple[Sentence, Fraction]]:
    for word, conditional in conditionals(words).items():
        if not conditional:
            continue
        if word == END:
            yield (*words, word), product * conditional
        else:
            yield from _grow((*words, word), product * conditional)


def draw(numbers: random.Random) -> Sentence:
    """Draw one sentence, word by word, each from its own table."""
    words: Sentence = ()
    while not words or words[-1] != END:
        name, ticket = table_name(words), numbers.randrange(100)
        if name is None:
            return (*words, END)
        place = 0
        while ticket >= TABLES[name][place]:
            ticket -= TABLES[name][place]
            place += 1
        words = (*words, VOCABULARY[place])
    return words


@dataclass(frozen=True, slots=True)
class Fit:
    """How far drawn sentences lie from their products.

    Attributes
    ----------
    draws : how many sentences were drawn.
    largest : the largest difference between a frequency and its product, among single sentences.
    chi_square, degrees : Pearson's statistic; sentences with fewer than five expected draws are one bin.
        None while there are fewer than two bins.
    p : chance of a statistic at least as large if the products are right.
    """

    draws: int
    largest: float
    chi_square: float | None
    degrees: int
    p: float | None


def fit(counts: Mapping[Sentence, int], exact: Sequence[tuple[Sentence, Fraction]]) -> Fit:
    """Compare how often sentences were drawn with their probabilities."""
    draws = sum(counts.values())
    if not draws:
        return Fit(0, 0.0, None, 0, None)
    counts = Counter(counts)
    largest = max(abs(counts[words] / draws - float(product)) for words, product in exact)
    single = [(counts[words], draws * float(product)) for words, product in exact if draws * product >= EXPECTED]
    rest = draws - sum(found for found, _ in single), draws - sum(wanted for _, wanted in single)
    if rest[1] >= EXPECTED:
        single.append(rest)
    elif single and rest[1] > 1e-9:
        found, wanted = single.pop()
        single.append((found + rest[0], wanted + rest[1]))
    degrees = len(single) - 1
    if degrees < 1:
        return Fit(draws, largest, None, 0, None)
    statistic = math.fsum((found - wanted) ** 2 / wanted for found, wanted in single)
    return Fit(draws, largest, statistic, degrees, chi_square_tail(statistic, degrees))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(chi-square >= statistic): the upper regularised gamma function of degrees/2 at statistic/2.

    By its recurrence Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1), from Q(1/2, x) = erfc(sqrt x) or Q(1, x) = e^-x.
    """
    x, a = statistic / 2, 0.5 if degrees % 2 else 1.0
    tail = math.erfc(math.sqrt(x)) if degrees % 2 else math.exp(-x)
    while a < degrees / 2:
        tail += math.exp(a * math.log(x) - x - math.lgamma(a + 1)) if x else 0.0
        a += 1
    return min(1.0, tail)
