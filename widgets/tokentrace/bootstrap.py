"""How sure a mean is: bands around means, ratios of means and other statistics, from resampling what was measured.

Whole units are drawn with replacement: the rows, or all rows of a cluster together where rows of one cluster are
not independent (several prefixes of one passage). Bands of means and of ratios are bootstrap-t bands (Efron &
Tibshirani 1993, chapter 12): in every resample the distance from the estimate is measured in that resample's own
standard error, so that skewed data are covered as often as promised. tests/test_bootstrap.py counts how often.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Band = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
RESAMPLES = 1000
CHUNK = 64  # columns at a time: a resample of all of them need not fit into memory


def band(
    samples: ArrayLike,
    statistic: Callable[[NDArray], ArrayLike] | None = None,
    level: float = 0.95,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> Band:
    """Estimate a statistic of the rows, and a band that holds its true value as often as `level` says.

    Parameters
    ----------
    samples : [n, ...], a row a unit.
    statistic : of rows [m, ...] to [...] (any shape); None is their mean. The mean has a bootstrap-t band, any
        other statistic a percentile band, whose ends are values that the statistic can take.
    level : share of the repetitions of the whole measurement in which the band should hold the truth.
    clusters : [n], a label a row; rows of one label are drawn together. None: every row is a unit.

    Returns
    -------
    tuple of three arrays [...]
        Estimate, low and high end. Where nothing varies both ends are the estimate.

    Raises
    ------
    ValueError
        If there are fewer than two units, or labels and rows do not match.
    """
    samples = np.asarray(samples, dtype=np.float64)
    groups = _units(len(samples), clusters)
    rng = np.random.default_rng(seed)
    if statistic is None:
        sums = _summed(samples.reshape(len(samples), -1), groups)
        sizes = np.bincount(groups).astype(np.float64)[:, None]
        return _shaped(_ratio_of_sums(sums, sizes, level, n_resamples, rng), samples.shape[1:])
    estimate = np.asarray(statistic(samples), dtype=np.float64)
    rows = [np.flatnonzero(groups == unit) for unit in range(groups.max() + 1)]
    found = []
    for drawn in rng.integers(len(rows), size=(n_resamples, len(rows))):
        found.append(statistic(samples[np.concatenate([rows[unit] for unit in drawn])]))
    low, high = np.quantile(np.asarray(found, dtype=np.float64), _tails(level), axis=0)
    return estimate, low, high


def ratio_band(
    numerator: ArrayLike,
    denominator: ArrayLike,
    paired: bool = False,
    level: float = 0.95,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Band:
    """Ratio of two means with a band: mean(numerator) / mean(denominator).

    Parameters
    ----------
    numerator : [n, ...], none below 0.
    denominator : [m, ...], none below 0.
    paired : whether row i of both belongs to the same unit (then n = m, and they are drawn together); otherwise the
        two are independent samples and are drawn each on its own.

    Returns
    -------
    tuple of three arrays [...]
        Estimate, low and high end. The band is a bootstrap-t band of the logarithm, with the delta method's standard
        error, so no end is below 0. Nothing over nothing is 1: no more is lost above than below. Something over
        nothing is infinite, and so are its ends.

    Raises
    ------
    ValueError
        If a value is below 0, there are fewer than two rows, or paired samples are not equally many.
    """
    above, below = (np.asarray(each, dtype=np.float64) for each in (numerator, denominator))
    if (above < 0).any() or (below < 0).any():
        raise ValueError("A ratio of means has a band here only where no value is below 0.")
    if min(len(above), len(below)) < 2:
        raise ValueError("A band needs at least two independent units above and below.")
    if paired and len(above) != len(below):
        raise ValueError(f"Paired samples are equally many, not {len(above)} and {len(below)}.")
    rng, shape = np.random.default_rng(seed), above.shape[1:]
    counts = [rng.multinomial(len(above), np.full(len(above), 1 / len(above)), size=n_resamples)]
    counts.append(
        counts[0] if paired else rng.multinomial(len(below), np.full(len(below), 1 / len(below)), size=n_resamples)
    )
    pieces = []
    above, below = above.reshape(len(above), -1), below.reshape(len(below), -1)
    for start in range(0, above.shape[1], CHUNK):
        each = above[:, start : start + CHUNK], below[:, start : start + CHUNK]
        pieces.append(_log_ratio(*each, counts, paired, level))
    return _shaped(tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True)), shape)


def _log_ratio(above: NDArray, below: NDArray, counts: list[NDArray], paired: bool, level: float) -> Band:
    """Ratio of column means [k] with the band that comes from bootstrap-t of its logarithm."""

    def log_and_error(weights: list[NDArray]) -> tuple[NDArray, NDArray]:
        n, m = len(above), len(below)
        top, bottom = weights[0] @ above / n, weights[1] @ below / m
        with np.errstate(divide="ignore", invalid="ignore"):
            var_top = (weights[0] @ above**2 / n - top**2).clip(0) / (n - 1) / top**2
            var_bottom = (weights[1] @ below**2 / m - bottom**2).clip(0) / (m - 1) / bottom**2
            variance = var_top + var_bottom
            if paired:
                variance -= 2 * (weights[0] @ (above * below) / n - top * bottom) / (n - 1) / (top * bottom)
            return np.log(top) - np.log(bottom), np.sqrt(variance.clip(0))

    estimate, error = (each[0] for each in log_and_error([np.ones((1, len(above))), np.ones((1, len(below)))]))
    low, high = _bootstrap_t(estimate, error, *log_and_error(counts), level)
    estimate = np.where((above.sum(0) == 0) & (below.sum(0) == 0), 0.0, estimate)
    certain = np.isnan(error) | ~np.isfinite(estimate)  # nothing above or nothing below: no error to speak of
    return tuple(np.exp(np.where(certain, estimate, each)) for each in (estimate, low, high))


def _ratio_of_sums(sums: NDArray, sizes: NDArray, level: float, n_resamples: int, rng: np.random.Generator) -> Band:
    """Mean of all rows, from the sum [units, k] and the number of rows [units, 1] of every unit."""
    n = len(sums)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)

    def mean_and_error(weights: NDArray, sums: NDArray) -> tuple[NDArray, NDArray]:
        total = weights @ sizes
        mean = weights @ sums / total
        spread = weights @ sums**2 - 2 * mean * (weights @ (sums * sizes)) + mean**2 * (weights @ sizes**2)
        return mean, np.sqrt(spread.clip(0) * n / (n - 1)) / total

    pieces = []
    for start in range(0, sums.shape[1], CHUNK):
        # Shifted by its mean, a column that does not vary has no spread left to round.
        part = sums[:, start : start + CHUNK]
        centre = part.sum(0) / sizes.sum()
        part = part - centre * sizes
        estimate, error = (each[0] for each in mean_and_error(np.ones((1, n)), part))
        ends = _bootstrap_t(estimate, error, *mean_and_error(counts, part), level)
        pieces.append((estimate + centre, *(end + centre for end in ends)))
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))


def _bootstrap_t(
    estimate: NDArray, error: NDArray, again: NDArray, errors: NDArray, level: float
) -> tuple[NDArray, NDArray]:
    """Ends [k] of a bootstrap-t band, from an estimate and its error [k] and those of the resamples [resamples, k]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (again - estimate) / errors
    distance = np.where(np.isfinite(distance), distance, 0.0)  # a resample that does not vary says nothing
    below, above = np.quantile(distance, _tails(level), axis=0)
    with np.errstate(invalid="ignore"):
        return estimate - above * error, estimate - below * error


def _units(n: int, clusters: ArrayLike | None) -> NDArray:
    """Number of its unit for each of n rows."""
    groups = np.arange(n) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    if len(groups) != n:
        raise ValueError(f"There are {n} rows, but {len(groups)} labels of clusters.")
    if n == 0 or groups.max() < 1:
        raise ValueError("A band needs at least two independent units.")
    return groups


def _summed(rows: NDArray, groups: NDArray) -> NDArray:
    """Sum of the rows [units, k] of every unit."""
    sums = np.zeros((groups.max() + 1, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"A level lies between 0 and 1, not {level}.")
    return (1 - level) / 2, (1 + level) / 2


def _shaped(parts: Band, shape: tuple[int, ...]) -> Band:
    estimate, low, high = (np.asarray(each).reshape(shape) for each in parts)
    return estimate, low, high
