"""Repetition measures against brute force and texts whose circles are known."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentrace.repetition import Loop, distinct, longest_repeat, loop, measures

texts = st.lists(st.integers(0, 3), max_size=24)


def occurrences(tokens, stretch):
    n = len(stretch)
    return sum(tokens[i : i + n] == stretch for i in range(len(tokens) - n + 1))


@given(texts)
def test_longest_repeat_by_brute_force(tokens):
    """Catches: a repeat that must not overlap, one that counts itself, an end that is cut off."""
    stretches = (tokens[i:j] for i in range(len(tokens)) for j in range(i + 1, len(tokens) + 1))
    wanted = max((len(each) for each in stretches if occurrences(tokens, each) > 1), default=0)
    assert longest_repeat(tokens) == wanted


@given(texts, st.integers(1, 3))
def test_distinct_by_hand(tokens, n):
    grams = [" ".join(map(str, tokens[i : i + n])) for i in range(len(tokens) - n + 1)]
    assert distinct(tokens, n) == (len(set(grams)) / len(grams) if grams else None)


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(10, 99), min_size=4, max_size=9, unique=True))
def test_a_circle_is_found_where_it_begins(before, circle):
    """Catches: a period that is a multiple, a start off by one, a last round that is not whole."""
    tokens = before + circle * 3 + circle[:2]
    assert loop(tokens) == Loop(len(before), len(circle), 3 + 2 / len(circle))


@given(texts)
def test_a_loop_is_one(tokens):
    found = loop(tokens)
    if found:
        tail = tokens[found.start :]
        assert all(tail[i] == tail[i + found.period] for i in range(len(tail) - found.period))
        assert len(tail) >= max(8, 2 * found.period)


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        ([], None),
        ([7] * 7, None),
        ([7] * 8, Loop(0, 1, 8.0)),
        ([1, 2, 3, 4, 1, 2, 3, 4], Loop(0, 4, 2.0)),
        ([1, 2, 3, 4, 1, 2, 3, 4, 9], None),
        (list(range(40)), None),
    ],
)
def test_small_texts(tokens, wanted):
    assert loop(tokens) == wanted


def test_measures_are_plain_data():
    found = measures([1, 2, 1, 2])
    assert (found.n, found.distinct_1, found.distinct_2, found.longest, found.loop_start) == (4, 0.5, 2 / 3, 2, None)
    json.dumps([found.to_dict(), measures([]).to_dict()], allow_nan=False)
