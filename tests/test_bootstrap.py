"""Bands hold the truth as often as they say: counted on synthetic cases whose truth is known."""

import itertools

import numpy as np
import pytest

from tokentrace.bootstrap import band, ratio_band

BLOCK, BLOCKS = 400, 10
REPEATS = BLOCK * BLOCKS
# Draws [n, repeats] of a skewed or discrete measure, and its mean.
CASES = {
    "normal": (lambda rng, shape: rng.normal(3, 1, shape), 3.0),
    "exponential": (lambda rng, shape: rng.exponential(1, shape), 1.0),
    "gamma": (lambda rng, shape: rng.gamma(0.5, 1, shape), 0.5),
    "share": (lambda rng, shape: rng.beta(0.5, 2, shape), 0.2),
}


def held(ends, truth) -> float:
    _, low, high = ends
    return float(((low <= truth) & (truth <= high)).mean())


def as_promised(ends, truth) -> bool:
    """Whether 93 to 97 of 100 bands hold the truth: of all, and in blocks of 400 repetitions but for chance.

    A perfect 95 % band leaves that range in 7 % of such blocks (binomial), so 3 of 10 may; in 1 of 300 cases 4 would.
    """
    blocks = [
        held((None, low, high), truth) for low, high in zip(*(np.split(each, BLOCKS) for each in ends[1:]), strict=True)
    ]
    return 0.93 <= held(ends, truth) <= 0.97 and sum(not 0.93 <= block <= 0.97 for block in blocks) <= 3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [64, 200])
def test_a_mean_lies_within_its_band_95_times_in_100(name, n):
    """10 times 400 repetitions of the whole measurement. Catches: percentile ends for skewed data, swapped ends."""
    draw, truth = CASES[name]
    samples = draw(np.random.default_rng(n), (n, REPEATS))  # a column a repetition
    assert as_promised(band(samples), truth)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", ["exponential", "gamma", "share"])
def test_a_ratio_lies_within_its_band_95_times_in_100(name, paired):
    """Catches: pairs drawn apart, which makes paired bands too wide, or independent rows drawn together."""
    draw, _ = CASES[name]
    rng = np.random.default_rng(7 + paired)
    above, below = draw(rng, (128, REPEATS)), draw(rng, (128, REPEATS))
    if paired:
        above = 0.5 * above + below  # E above / E below = 1.5, and each row is one pair
    ends = ratio_band(above, below, paired=paired)
    assert as_promised(ends, 1.5 if paired else 1.0)
    if paired:
        _, low, high = ratio_band(above, below)
        assert held((None, low, high), 1.5) > 0.97  # and that is why the pairing is said


def test_rows_of_one_cluster_are_not_independent():
    """40 clusters of 5 rows that share most of what they are. Catches: clusters ignored, which misses half the time."""
    rng = np.random.default_rng(3)
    shared = np.repeat(rng.exponential(1, (40, REPEATS)), 5, axis=0)
    samples = shared + 0.1 * rng.normal(size=(200, REPEATS))
    clusters = [f"passage {i}" for i in np.repeat(np.arange(40), 5)]
    assert as_promised(band(samples, clusters=clusters), 1.0)
    assert held(band(samples), 1.0) < 0.75


def test_resampling_of_three_values_against_all_27_resamples():
    """Every resample of three values, enumerated. Catches: drawing without replacement."""
    values = np.array([0.0, 1.0, 5.0])
    estimate, low, high = band(values, statistic=lambda rows: rows.max(0), n_resamples=4000)
    largest = [max(rows) for rows in itertools.product(values, repeat=3)]
    assert largest.count(0) / 27 > 0.025  # so that the lower end is exactly 0
    assert (estimate, low, high) == (5, 0, 5)
    exact = np.repeat([np.mean(rows) for rows in itertools.product(values, repeat=3)], 1000)
    for level in (0.5, 0.9):
        ends = band(values, statistic=lambda rows: rows.mean(0), level=level, n_resamples=20_000)[1:]
        assert ends == pytest.approx(np.quantile(exact, [(1 - level) / 2, (1 + level) / 2]))


def test_any_shape_any_statistic_the_same_seed():
    """Catches: an axis lost, a band of one column that depends on its neighbours, chance that cannot be repeated."""
    samples = np.random.default_rng(0).exponential(1, (50, 3, 70))
    one, again = band(samples, seed=5), band(samples, seed=5)
    assert all(end.shape == (3, 70) for end in one)
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert one[0] == pytest.approx(samples.mean(0))
    assert band(samples[:, 1, 65], seed=5)[1] == pytest.approx(one[1][1, 65])
    estimate, low, high = band(samples, statistic=lambda rows: np.median(rows, axis=0).sum(-1), n_resamples=200)
    assert estimate.shape == low.shape == high.shape == (3,)
    assert ((low <= estimate) & (estimate <= high)).all()
    narrow, wide = (band(samples, level=level) for level in (0.5, 0.99))
    assert (wide[1] < narrow[1]).all()
    assert (wide[2] > narrow[2]).all()


def test_nothing_that_varies_and_nothing_at_all():
    """Catches: a division by a standard error of 0, 0 / 0 that is not 1."""
    for estimate, low, high in (band(np.full((9, 2), 0.1)), ratio_band(np.full((9, 2), 0.3), np.full((5, 2), 0.2))):
        assert (low == pytest.approx(estimate)) and (high == pytest.approx(estimate))
    assert [float(end[0]) for end in ratio_band(np.zeros((4, 1)), np.zeros((4, 1)), paired=True)] == [1, 1, 1]
    assert np.isinf(ratio_band(np.ones((4, 1)), np.zeros((4, 1)))[0]).all()
    assert [float(end[0]) for end in ratio_band(np.zeros((4, 1)), np.ones((4, 1)))] == [0, 0, 0]


def test_what_cannot_have_a_band_is_refused():
    with pytest.raises(ValueError, match="two independent units"):
        band([[1.0]])
    with pytest.raises(ValueError, match="two independent units"):
        band([1.0, 2.0], clusters=["a", "a"])
    with pytest.raises(ValueError, match="labels"):
        band([1.0, 2.0], clusters=["a"])
    with pytest.raises(ValueError, match="level"):
        band([1.0, 2.0], level=95)
    with pytest.raises(ValueError, match="equally many"):
        ratio_band([1.0, 2.0], [1.0, 2.0, 3.0], paired=True)
    with pytest.raises(ValueError, match="below 0"):
        ratio_band([1.0, -2.0], [1.0, 2.0])
