"""The language whose truth is known: grammar and exact conditionals against listing everything there is."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from tokentrace.synthetic_language import (
    ADJECTIVE,
    ADJECTIVES,
    ANIMALS,
    BEST,
    DEEPER,
    LIKES,
    OF_OBJECT,
    RELATIVE,
    SENSES,
    TRANSITIVE,
    WORDS,
    barnyard,
    compile_moves,
    sentences_of,
    share_of_sentences,
)


def phrases():
    """Noun phrases with their chances, written out anew: "the old dogs"."""
    for animal, many in itertools.product(ANIMALS, (False, True)):
        noun = animal + "s" * many
        yield ["the", noun], (1 - ADJECTIVE) / 6, animal, many
        for adjective in ADJECTIVES:
            yield ["the", adjective, noun], ADJECTIVE / len(ADJECTIVES) / 6, animal, many


def numbered(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


def verb(stem: str, many: bool) -> str:
    return stem if many else f"{stem}s"


def clauses(many: bool):
    """Relative clauses on a main subject: one that does something, or one that something is done to."""
    yield [], 1 - RELATIVE
    for sense, (thing, chance, *_) in itertools.product(SENSES, list(phrases())):
        share = RELATIVE * (1 - OF_OBJECT) / len(SENSES) * chance
        yield ["that", verb(sense, many), *thing], share
    for sense, (inner, chance, _, inner_many) in itertools.product(SENSES, list(phrases())):
        share = RELATIVE * OF_OBJECT * chance / len(SENSES)
        yield ["that", *inner, verb(sense, inner_many)], share * (1 - DEEPER)
        for other, (thing, deep, *_) in itertools.product(SENSES, list(phrases())):
            words = ["that", *inner, "that", verb(other, inner_many), *thing, verb(sense, inner_many)]
            yield words, share * DEEPER * deep / len(SENSES)


def endings(animal: str, many: bool):
    for act in LIKES.values():
        liked = BEST if LIKES[animal] == act else (1 - BEST) / 2
        yield [verb(act, many), "."], (1 - TRANSITIVE) * liked
    for sense, (thing, chance, *_) in itertools.product(SENSES, list(phrases())):
        yield [verb(sense, many), *thing, "."], TRANSITIVE / len(SENSES) * chance


def all_sentences():
    """Every sentence of the grammar from rules of its own, with its chance."""
    for subject, chance, animal, many in phrases():
        for clause, share in clauses(many):
            for ending, rest in endings(animal, many):
                yield [*subject, *clause, *ending], chance * share * rest


@pytest.fixture(scope="module")
def every():
    return list(all_sentences())


def test_the_sentences_are_those_of_the_grammar_and_no_others(every):
    """Catches: "that the the dog", a verb that agrees with the wrong noun, a chance that got lost."""
    assert sum(chance for _, chance in every) == pytest.approx(1, abs=1e-9)
    assert len({tuple(words) for words, _ in every}) == len(every)
    exact, place = barnyard(slip=0.0), {word: at for at, word in enumerate(WORDS)}
    numbers = np.random.default_rng(0)
    for at in [*range(100), *numbers.integers(len(every), size=800)]:
        words, chance = every[at]
        ids = [place[word] for word in words]
        assert exact.is_sentence(ids), words
        told = exact.conditionals(np.array([ids]))[0]
        assert told[range(len(ids)), ids].sum() == pytest.approx(math.log(chance), abs=1e-9)


def test_what_is_drawn_follows_the_chances(every):
    """Catches: a speaker who draws from other tables than those that are scored."""
    language = barnyard(slip=0.0)
    drawn = [tuple(s) for row in language.draw(3000, 24, seed=5) for s in sentences_of(row)]
    assert all(language.is_sentence(sentence) for sentence in drawn)
    bark = language.words.index("bark")
    dogs = {language.words.index("dog"), language.words.index("dogs")}
    first = [s for s in drawn if len(s) == 4 and s[1] in dogs]
    share = np.mean([s[2] in (bark, bark - 1) for s in first])
    assert share == pytest.approx(BEST, abs=0.05)


# Two states, three words: small enough to list every history, intended words and slips and all.
TINY = {
    "start": {"a": (0.5, "start"), "b": (0.5, "late")},
    "late": {"b": (0.25, "late"), ".": (0.75, "start")},
}


def histories(words, moves, slip, length):
    """Every way in which the speaker can say so many words: (what was said, its exact chance), one by one."""
    stack = [((), "start", Fraction(1))]
    while stack:
        said, state, chance = stack.pop()
        if len(said) == length:
            yield said, chance
            continue
        for meant, (p, after) in moves[state].items():
            stack.append(((*said, meant), "start" if meant == "." else after, chance * Fraction(p) * (1 - slip)))
            for heard in words:  # a slip: any word at all, each equally likely
                then = "start" if heard == "." else state if meant == "." else after
                stack.append(((*said, heard), then, chance * Fraction(p) * slip / len(words)))


def test_the_conditional_after_any_words_is_that_of_all_histories():
    """Exact enumeration. Catches: a belief that is not updated by what was heard, a slip that moves the state wrongly,
    a broken-off sentence that goes on."""
    words, slip = (".", "a", "b"), Fraction(1, 8)
    language = compile_moves(words, "start", TINY, float(slip))
    totals = {}
    for said, chance in histories(words, TINY, slip, 4):
        for cut in range(5):
            totals[said[:cut]] = totals.get(said[:cut], 0) + chance
    assert totals[()] == 1
    every = list(itertools.product(range(3), repeat=4))
    told = np.exp(language.conditionals(np.array(every)))
    for ids, rows in zip(every, told, strict=True):
        for place in range(4):
            before = tuple(words[each] for each in ids[:place])
            wanted = [float(totals[(*before, word)] / totals[before]) for word in words]
            assert rows[place] == pytest.approx(wanted, abs=1e-12)


def test_there_is_a_truth_even_after_nonsense():
    """Catches: a nan or a zero after words that the grammar does not allow."""
    language = barnyard()
    ids = np.random.default_rng(1).integers(len(WORDS), size=(50, 24))
    told = language.conditionals(ids)
    assert np.isfinite(told).all()
    assert np.exp(told).sum(-1) == pytest.approx(1)
    assert np.exp(told).min() >= language.slip / len(WORDS) * (1 - 1e-9)


def test_a_long_clause_does_not_hide_who_is_meant():
    """Catches: a verb that follows the nearest noun instead of its own subject."""
    language = barnyard()
    ids = numbered("the dog that the owls that see the cats hear .")
    truth = dict(zip(WORDS, np.exp(language.conditionals(np.array([ids]))[0, -1]), strict=True))
    assert max(truth, key=truth.get) == "barks"
    assert truth["bark"] < 0.01 > truth["sing"]


def test_feeding_true_words_only_is_plain_scoring():
    """Catches: a mixture that draws although the chance is 1, or scores another word than the true one."""
    language = barnyard()
    ids = language.draw(40, 24, seed=3)
    plain = np.take_along_axis(language.conditionals(ids), ids[..., None], -1)[..., 0]
    assert language.fed_on_itself(ids, 1.0, seed=0) == pytest.approx(plain)
    assert language.fed_on_itself(ids, 0.0, seed=0)[:, 0] == pytest.approx(plain[:, 0])
    assert language.fed_on_itself(ids, 0.0, seed=0).mean() < plain.mean() - 1


def test_wrong_places_are_where_a_sentence_first_leaves_the_language():
    language = barnyard()
    ids = numbered("the dog bark . the old cat sleeps . owl the the . the dogs")
    assert language.wrong_places(ids) == [2, 9]
    right = [language.is_sentence(each) for each in sentences_of(ids)]
    assert right == [False, True, False]
    assert [language.text(each) for each in sentences_of(ids)][1] == "the old cat sleeps ."
    assert not language.is_sentence(ids[:2])
    assert not language.is_sentence([])


def test_the_share_of_sentences_counts_what_is_said_without_a_slip():
    """Catches: unfinished sentences that count, a band that is none where nothing varies."""
    language = barnyard()
    slips = 1 - 20 / 21 * language.slip * 1.0  # a slip that says the intended word is none
    texts = language.draw(2000, 24, seed=9)
    share, low, high = share_of_sentences(language, texts)
    mean = np.mean([len(s) for row in texts for s in sentences_of(row)])
    assert low < share < high
    assert share == pytest.approx(slips**mean, abs=0.03)
    none = np.zeros((10, 5), dtype=int)
    assert share_of_sentences(language, none) == (0.0, 0.0, pytest.approx(3 / 50))
    one = np.tile([WORDS.index(word) for word in ("the", "dog", "barks", ".")], (10, 2))
    assert share_of_sentences(language, one) == (1.0, pytest.approx(1 - 3 / 20), 1.0)
    assert share_of_sentences(language, np.ones((10, 5), dtype=int)) == (0.0, 0.0, 1.0)
