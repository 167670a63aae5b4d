"""Filters against transformers' own, the draw against exact enumeration and chi-square."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tokentrace.sampling import draw, entropy, filter_logits, most_probable

# Ties come from the few round values, infinities as tokens that something before has forbidden.
logit = st.floats(-20, 20, width=32) | st.sampled_from([0.0, 1.0, -1.0, 2.0]) | st.just(-math.inf)
vectors = st.lists(logit, min_size=1, max_size=24).filter(lambda v: max(v) > -math.inf).map(torch.tensor)
temperatures = st.sampled_from([0.3, 0.8, 1.0, 2.0])
CASES = settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def theirs(logits, temperature=1.0, k=None, p=None):
    """What `generate` of transformers makes of logits [vocab]."""
    scores = logits[None]
    if temperature != 1:
        scores = TemperatureLogitsWarper(temperature)(None, scores)
    if k is not None:
        scores = TopKLogitsWarper(k)(None, scores)
    if p is not None and p < 1:
        scores = TopPLogitsWarper(p)(None, scores)
    return scores[0]


def check_nucleus(logits, tempered, p, ours, expected):
    """Compare what top-p kept of `tempered` logits with what theirs did.

    The paper's nucleus is the smallest set whose mass reaches p. Two things it leaves open. Of tokens that tie at
    its edge some are kept and some not, and which is arbitrary: transformers' sort, from below, mostly keeps the
    higher ids; we keep the lower ones, always. And where a mass meets p to rounding (they sum in fp32, from below),
    either count is right. Apart from that both keep the same tokens.
    """
    probabilities = tempered.softmax(-1)
    mass = tempered.double().softmax(-1).sort(descending=True).values.cumsum(-1)
    least, most = (min(int((mass < p + slack).sum()) + 1, len(mass)) for slack in (-1e-6, 1e-6))
    assert least <= min(ours.isfinite().sum(), expected.isfinite().sum())
    if least < most:
        assert max(ours.isfinite().sum(), expected.isfinite().sum()) <= most
        return
    torch.testing.assert_close(probabilities[ours.isfinite()].sum(), probabilities[expected.isfinite()].sum())
    edge = probabilities[ours.isfinite()].min()
    assert torch.equal(ours[probabilities > edge], expected[probabilities > edge])
    assert ours.isfinite().sum() == expected.isfinite().sum()
    kept = ours[probabilities == edge].isfinite().tolist()
    assert kept == sorted(kept, reverse=True), "of equal tokens the lower ids"


@CASES
@given(vectors, temperatures)
def test_temperature_equals_transformers(logits, temperature):
    """Catches: a temperature that multiplies, or that is applied to probabilities."""
    torch.testing.assert_close(filter_logits(logits, temperature), theirs(logits, temperature))


@CASES
@given(vectors, st.integers(1, 30))
def test_top_k_equals_transformers(logits, k):
    """Catches: `<=` for `<` at the k-th logit (ties), an off-by-one k, a k beyond the vocabulary."""
    torch.testing.assert_close(filter_logits(logits, top_k=k), theirs(logits, k=k))


@CASES
@given(vectors, st.floats(0.01, 1.0))
def test_top_p_equals_transformers(logits, p):
    """Catches: a strict/loose cut off by one token, an empty nucleus."""
    check_nucleus(logits, logits, p, filter_logits(logits, top_p=p), theirs(logits, p=p))


@CASES
@given(vectors, temperatures, st.integers(1, 30), st.floats(0.01, 1.0))
def test_all_filters_together_equal_transformers(logits, temperature, k, p):
    """Catches: another order of the filters; a nucleus of raw probabilities instead of what is left."""
    both = filter_logits(logits, temperature, k, p)
    check_nucleus(logits, theirs(logits, temperature, k), p, both, theirs(logits, temperature, k, p))


def test_the_difference_at_a_tie_is_which_and_not_how_many():
    """Four equal tokens, p = 0.6: three reach it. The only difference to transformers that there is."""
    logits = torch.zeros(4)
    assert filter_logits(logits, top_p=0.6).isfinite().tolist() == [True, True, True, False]
    assert theirs(logits, p=0.6).isfinite().sum() == 3
    exact = torch.tensor([0.5, 0.25, 0.25]).log()  # a mass that meets p needs no further token
    assert filter_logits(exact, top_p=0.5).isfinite().tolist() == [True, False, False]
    assert theirs(exact, p=0.5).isfinite().tolist() == [True, False, False]


@pytest.mark.parametrize("odd", [math.inf, math.nan])
def test_what_is_no_logit_is_refused(odd):
    with pytest.raises(ValueError, match="not a number"):
        filter_logits(torch.tensor([0.0, odd]), top_p=0.9)


@pytest.mark.parametrize(
    "kind", [dict(), dict(temperature=0.7), dict(top_k=6), dict(top_p=0.8), dict(temperature=1.5, top_k=9, top_p=0.9)]
)
def test_samples_follow_the_filtered_distribution(kind):
    """Chi-square of 20,000 draws over what each filter kept, against the 99.9 % point (Wilson and Hilferty 1931).

    The expected frequencies come from transformers' filters. Catches: drawing from the raw distribution, a kept
    token that is never drawn, a cut one that is.
    """
    logits = 2 * torch.randn(14, generator=torch.Generator().manual_seed(5))
    names = {"temperature": "temperature", "top_k": "k", "top_p": "p"}
    expected = theirs(logits, **{names[name]: value for name, value in kind.items()}).double().softmax(-1)
    ours = filter_logits(logits, **kind).softmax(-1)
    numbers = torch.rand(20_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    counts = torch.zeros(14, dtype=torch.float64)
    for u in numbers.tolist():
        counts[draw(ours, u)[0]] += 1
    kept = expected > 0
    assert counts[~kept].sum() == 0
    freedom = int(kept.sum()) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.0902 * math.sqrt(2 / (9 * freedom))) ** 3
    wanted = expected[kept] * len(numbers)
    assert float(((counts[kept] - wanted) ** 2 / wanted).sum()) < limit


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
