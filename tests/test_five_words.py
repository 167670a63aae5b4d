"""The five-word language: exact sums, brute force, a sampler held against its products, and the tree on the page."""

import itertools
import json
import math
import random
import subprocess
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.test_views import talk
from tokentrace import five_words
from tokentrace.five_words import END, LIMIT, VOCABULARY, conditionals, factors, fit, greedy, probability, sentences
from tokentrace.views import AllSentences, WordTree

EXAMPLE = ("I", "love", "AI", END)
SOURCE = {
    ("I",): (0.05, 0.60, 0.15, 0.15, 0.05),
    ("I", "love"): (0.05, 0.05, 0.70, 0.15, 0.05),
    ("I", "love", "AI"): (0.05, 0.05, 0.05, 0.05, 0.80),
}


@pytest.fixture(scope="module")
def exact():
    return sentences()


def test_the_sources_tables_stand_as_they_are():
    for context, table in SOURCE.items():
        assert tuple(map(float, conditionals(context).values())) == table
    assert conditionals(())["I"] == Fraction(20, 100)


def test_every_context_has_a_distribution():
    for length in range(LIMIT + 1):
        for context in itertools.product(VOCABULARY[:-1], repeat=length):
            assert sum(conditionals(context).values()) == 1


def test_the_worked_example():
    assert probability(EXAMPLE) == Fraction(672, 10_000)
    assert [round(math.log(factor), 2) for factor in factors(EXAMPLE)] == [-1.61, -0.51, -0.36, -0.22]
    assert round(math.fsum(map(math.log, factors(EXAMPLE))), 2) == -2.70


def test_all_sentences_together_are_certain(exact):
    """Brute force over all words of all lengths. Catches: a branch forgotten, a limit off by one."""
    found = dict(exact)
    wanted = {}
    for length in range(LIMIT + 1):
        for words in itertools.product(VOCABULARY[:-1], repeat=length):
            wanted[(*words, END)] = math.prod(factors((*words, END)), start=Fraction(1))
    assert found == wanted
    assert sum(found.values()) == 1
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_greedy_is_not_the_most_probable_sentence(exact):
    """What the lesson says, by brute force. Catches: a table of ours that makes it untrue."""
    best = max((probability((*words, END)), (*words, END)) for n in range(LIMIT + 1) for words in _words(n))
    assert best[1] == exact[0][0] == EXAMPLE
    words = greedy()
    for place, word in enumerate(words):
        assert max(conditionals(words[:place]).values()) == conditionals(words[:place])[word]
    assert words != EXAMPLE and probability(words) < probability(EXAMPLE)


def _words(n):
    return itertools.product(VOCABULARY[:-1], repeat=n)


def test_conditionals_come_back_out_of_the_joint(exact):
    """The chain rule is an identity: marginals of the list of sentences give the tables back."""
    for context in [(), ("I",), ("I", "love"), ("I", "love", "AI"), ("code", "AI"), ("love",) * LIMIT]:
        begins = sum(p for words, p in exact if words[: len(context)] == context)
        for word, wanted in conditionals(context).items():
            longer = (*context, word)
            assert sum(p for words, p in exact if words[: len(longer)] == longer) / begins == wanted


@pytest.mark.parametrize("seed", range(4))
def test_drawn_frequencies_fit_the_products(exact, seed):
    """Catches: a draw from the wrong table, an interval too short; see the broken samplers below."""
    numbers = random.Random(seed)
    found = fit(Counter(five_words.draw(numbers) for _ in range(20_000)), exact)
    assert found.draws == 20_000 and found.degrees > 50
    assert found.p > 1e-4


@pytest.mark.parametrize("broken", ["last word only", "ticket too small", "never ends early"])
def test_a_broken_sampler_is_found_out(exact, broken, monkeypatch):
    if broken == "last word only":
        name = five_words.table_name
        monkeypatch.setattr(five_words, "table_name", lambda words: name(words) and name(words[-1:]))
    numbers = random.Random(0)
    if broken == "ticket too small":
        below = numbers.randrange
        numbers.randrange = lambda n: below(n - 3)
    drawn = Counter(five_words.draw(numbers) for _ in range(20_000))
    if broken == "never ends early":
        del drawn[(END,)]
    assert fit(drawn, exact).p < 1e-4


@given(st.floats(0, 400), st.integers(1, 200))
def test_the_tail_of_chi_square_is_the_incomplete_gamma_function(statistic, degrees):
    wanted = torch.special.gammaincc(torch.tensor(degrees / 2).double(), torch.tensor(statistic / 2).double())
    assert five_words.chi_square_tail(statistic, degrees) == pytest.approx(float(wanted), rel=1e-4, abs=1e-9)


def test_fit_pools_what_is_rare(exact):
    few = fit(Counter([EXAMPLE] * 7), exact)
    assert (few.chi_square, few.degrees, few.p) == (None, 0, None)
    assert few.largest == pytest.approx(1 - float(probability(EXAMPLE)))
    perfect = Counter({words: float(1000 * p) for words, p in exact})
    found = fit(perfect, exact)
    assert found.chi_square == pytest.approx(0, abs=1e-9) and found.p == pytest.approx(1)
    assert found.degrees == sum(1000 * p >= 5 for _, p in exact)
    assert fit(Counter(), exact).draws == 0


# ---- the views


def test_the_page_looks_up_the_same_tables(node, tmp_path):
    """Python's rule and the browser's, over every context. Catches: one of them changed alone."""
    contexts = [words for n in range(LIMIT + 1) for words in itertools.product(VOCABULARY[:-1], repeat=n)]
    frontend = Path(five_words.__file__).parent / "frontend" / "chain_rule.js"
    script = tmp_path / "tables.mjs"
    given = {"tables": {name: list(table) for name, table in five_words.TABLES.items()}, "limit": LIMIT}
    script.write_text(
        f'import {{ tableAfter }} from "{frontend.as_uri()}";\n'
        f"const {{ tables, limit }} = {json.dumps(given)};\n"
        f"const contexts = {json.dumps(contexts)};\n"
        "console.log(JSON.stringify(contexts.map((words) => tableAfter(tables, limit, words))));"
    )
    ran = subprocess.run([node, script], capture_output=True, text=True, check=True)
    for words, found in zip(contexts, json.loads(ran.stdout), strict=True):
        assert found["hundredths"] == [100 * p for p in conditionals(words).values()]
        assert (found["name"] or None) == (five_words.table_name(words) or None)


def test_the_tree_takes_only_what_can_be_said():
    tree = WordTree(("I", "love"))
    assert tree.probability == pytest.approx(0.12)
    tree.set_state({"words": ["I", "love", "AI", END]})
    assert tree.probability == pytest.approx(0.0672)
    for refused in (["tea"], [END, "I"], ["I"] * (LIMIT + 1), "I love", [1], None):
        tree.set_state({"words": refused})
        assert tree.words == list(EXAMPLE)
    tree.set_state({"tables": {}, "words": []})
    assert tree.probability == 1 and tree.tables


def test_the_sampler_counts_every_draw():
    view = AllSentences(seed=3)
    assert view.fit["draws"] == 0 and sum(view.counts) == 0
    sent = talk(view, *({"type": "draw", "n": n, "request": n} for n in (1, 10, 100, 1000)))
    assert sum(view.counts) == view.fit["draws"] == 1111
    assert [draws for draws, _ in view.path] == [1, 11, 111, 1111]
    assert len(sent) == 4 and not view.error
    rows = [tuple(row["words"]) for row in view.rows]
    again = random.Random(3)
    drawn = Counter(five_words.draw(again) for _ in range(1111))
    assert view.counts == [*(drawn[words] for words in rows), 1111 - sum(drawn[words] for words in rows)]
    assert [row["words"] for row in view.rows if row["best"]] == [list(EXAMPLE)]
    assert [tuple(row["words"]) for row in view.rows if row["greedy"]] == [greedy()]
    assert view.rest["probability"] + sum(row["probability"] for row in view.rows) == pytest.approx(1)
    first = view.counts
    talk(view, {"type": "clear"})
    assert view.fit["draws"] == 0 and view.path == []
    talk(view, *({"type": "draw", "n": n} for n in (1, 10, 100, 1000)))
    assert view.counts == first, "the same seed draws the same sentences"


@pytest.mark.parametrize("n", [None, 0, 7, True, "10", [1], 10**9])
def test_the_sampler_refuses_other_numbers(n):
    view = AllSentences(draws=10)
    talk(view, {"type": "draw", "n": n})
    assert view.fit["draws"] == 10 and view.error.endswith(".")
