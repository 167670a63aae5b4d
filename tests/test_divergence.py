"""Divergences against sums by hand, the best coupling, and what theory says of them."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentrace.divergence import jensen_shannon, kl, total_variation

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6)


def logs(probabilities) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def shares(weights) -> list[float]:
    return [each / sum(weights) for each in weights]


@settings(max_examples=80, deadline=None)
@given(PAIRS.map(lambda pairs: tuple(zip(*pairs, strict=True))).filter(lambda sides: all(map(any, sides))))
def test_they_are_the_sums_of_their_definitions(pair):
    """Catches: a swapped direction of KL, a missing half, zeros that become NaN."""
    p, q = map(shares, pair)
    by_hand = sum(a * math.log(a / b) if b else math.inf for a, b in zip(p, q, strict=True) if a)
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    to_middle = [sum(a * math.log(a / m) for a, m in zip(side, middle, strict=True) if a) for side in (p, q)]
    assert float(kl(logs(p), logs(q))) == pytest.approx(by_hand, abs=1e-12)
    assert float(jensen_shannon(logs(p), logs(q))) == pytest.approx(sum(to_middle) / 2, abs=1e-12)
    assert float(total_variation(logs(p), logs(q))) == pytest.approx(1 - sum(map(min, p, q)), abs=1e-12)


def test_total_variation_is_the_largest_difference_of_any_event():
    """Catches: the plain L1 distance, twice as large."""
    p, q = shares([5, 1, 0, 3, 2]), shares([1, 1, 4, 2, 2])
    events = itertools.chain.from_iterable(itertools.combinations(range(5), n) for n in range(6))
    largest = max(abs(sum(p[i] for i in event) - sum(q[i] for i in event)) for event in events)
    assert float(total_variation(logs(p), logs(q))) == pytest.approx(largest, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.001, 20))
def test_bounds_of_theory(seed, spread):
    """Pinsker: TV ≤ √(KL / 2); Lin: TV² / 2 ≤ JS ≤ TV × ln 2. Catches: bits for nats in one of them."""
    numbers = np.random.default_rng(seed)
    one, other = (torch.from_numpy(numbers.normal(0, spread, (3, 50))) for _ in range(2))
    tv, js = total_variation(one, other), jensen_shannon(one, other)
    assert (tv <= (kl(one, other) / 2).sqrt() + 1e-12).all()
    assert (js <= tv * math.log(2) + 1e-12).all()
    assert (js >= tv**2 / 2 - 1e-12).all()
    assert torch.allclose(js, jensen_shannon(other, one), atol=1e-14)


def test_bounds_are_reached_without_overlap():
    one, other = logs([0.5, 0.5, 0, 0]), logs([0, 0, 0.25, 0.75])
    assert float(total_variation(one, other)) == 1
    assert float(jensen_shannon(one, other)) == pytest.approx(math.log(2))
    assert float(kl(one, other)) == math.inf


@pytest.mark.parametrize("measure", [kl, total_variation, jensen_shannon])
def test_the_same_guess_is_exactly_zero_away(measure):
    """Catches: a smoothing term, or a comparison of rounded with unrounded values."""
    logits = torch.randn(4, 7, 300, generator=torch.manual_seed(1)) * 8
    assert measure(logits, logits.clone()).tolist() == [[0.0] * 7] * 4
    assert measure(logits.log_softmax(-1), logits.log_softmax(-1)).count_nonzero() == 0


@pytest.mark.parametrize("measure", [kl, total_variation, jensen_shannon])
def test_logits_will_do_and_rows_broadcast(measure):
    """Catches: rows that are not normalised, float32 sums."""
    rows, one = torch.randn(5, 40, generator=torch.manual_seed(2)) * 3, torch.randn(40)
    found = measure(rows, one)
    assert found.dtype == torch.float64
    assert found.shape == (5,)
    single = [measure(row.double().log_softmax(-1), one.double().log_softmax(-1)) for row in rows]
    assert torch.allclose(found, torch.stack(single), atol=1e-12)


def test_small_divergences_keep_their_size():
    """KL of two near guesses is half the squared change, weighed by p. Catches: float32."""
    p = torch.softmax(torch.randn(200, dtype=torch.float64, generator=torch.manual_seed(3)), -1)
    shift = 1e-5 * torch.randn(200, dtype=torch.float64, generator=torch.manual_seed(4))
    expected = float((p * (shift - (p * shift).sum()) ** 2).sum()) / 2
    assert float(kl(p.log(), p.log() + shift)) == pytest.approx(expected, rel=1e-3)
