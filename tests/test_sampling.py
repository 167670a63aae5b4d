"""Filters against transformers' own, the draw against exact enumeration and chi-square."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tokentrace.sampling import draw, entropy, filter_logits, most_probable

logit = st.floats(-20, 20, width=32) | st.sampled_from([0.0, 1.0, -1.0]) | st.just(-math.inf)
vectors = st.lists(logit, min_size=1, max_size=40).filter(lambda v: max(v) > -math.inf).map(torch.tensor)


@settings(max_examples=500)
@given(vectors, st.sampled_from([0.3, 0.8, 1.0, 2.0]), st.integers(1, 50))
def test_temperature_and_top_k_equal_transformers(logits, temperature, k):
    """Catches: `<=` for `<` at the k-th logit (ties), dividing after the cut, an off-by-one k."""
    expected = TemperatureLogitsWarper(temperature)(None, logits[None]) if temperature != 1 else logits[None]
    expected = TopKLogitsWarper(k)(None, expected)[0]
    torch.testing.assert_close(filter_logits(logits, temperature, k), expected)


@settings(max_examples=500)
@given(vectors, st.floats(0.01, 0.99))
def test_top_p_equals_transformers(logits, p):
    """Catches: a strict/loose cut off by one token, mass of raw instead of tempered probabilities.

    Tied tokens at the cut are interchangeable, so sorted values are compared; where the mass meets p
    to rounding, either count is right.
    """
    ours = filter_logits(logits, top_p=p)
    theirs = TopPLogitsWarper(p)(None, logits[None])[0]
    mass = logits.double().softmax(-1).sort(descending=True).values.cumsum(-1)
    if (mass - p).abs().min() > 1e-6:
        torch.testing.assert_close(ours.sort().values, theirs.sort().values)
    else:
        assert abs(int(ours.isfinite().sum()) - int(theirs.isfinite().sum())) <= 1


@given(vectors, st.integers(1, 10), st.floats(0.05, 0.99))
def test_top_p_works_on_what_top_k_left(logits, k, p):
    """Catches: computing the nucleus on unfiltered probabilities."""
    both = filter_logits(logits, top_k=k, top_p=p)
    torch.testing.assert_close(both, filter_logits(filter_logits(logits, top_k=k), top_p=p))


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=70, max_size=1500), st.floats(0, 0.9999))
@settings(max_examples=60, deadline=None)
def test_most_probable_is_a_prefix_of_the_full_sort(values, mass):
    """Catches: trusting topk's arbitrary choice among ties at its edge."""
    probabilities = torch.tensor(values).softmax(-1)
    order, found = most_probable(probabilities, mass)
    full = probabilities.double().argsort(descending=True, stable=True)
    assert order.tolist() == full[: len(order)].tolist()
    assert float(found.sum()) > mass or len(order) == len(values)


def test_draw_inverts_the_cumulative_distribution_exactly():
    """Every u of a fine grid falls on the token whose interval holds it. Catches: left for right edge."""
    probabilities = torch.tensor([0.125, 0.5, 0.0, 0.25, 0.125], dtype=torch.float64)
    picked = [draw(probabilities, u / 64)[0] for u in range(64)]
    assert picked == [1] * 32 + [3] * 16 + [0] * 8 + [4] * 8
    assert draw(probabilities, 0.6) == (3, 0.5)


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_draw_at_the_ends_never_picks_a_cut_token(u):
    logits = filter_logits(torch.randn(5000, generator=torch.Generator().manual_seed(0)), top_k=3)
    token, low = draw(logits.softmax(-1), u)
    assert logits[token].isfinite() and 0 <= low < 1


def test_draws_follow_the_distribution():
    """Chi-square over 20,000 draws, five cells, seed fixed: the 99.9 % point for 4 degrees is 18.5."""
    probabilities = torch.tensor([0.4, 0.3, 0.2, 0.07, 0.03])
    uniforms = torch.rand(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    counts = torch.zeros(5)
    for u in uniforms.tolist():
        counts[draw(probabilities, u)[0]] += 1
    expected = probabilities * len(uniforms)
    assert float(((counts - expected) ** 2 / expected).sum()) < 18.5


def test_entropy_in_bits():
    assert entropy(torch.full((8,), 1 / 8)) == pytest.approx(3)
    assert entropy(torch.tensor([1.0, 0.0])) == 0
