"""Auto-regression as it was first meant: a series regressed on its own past, and rolled forward on its own guesses.

x(t) = c + φ1·x(t-1) + … + φp·x(t-p) + e(t), fitted by least squares, as by G. U. Yule in 1927 for p = 2 and the
yearly sunspot numbers of 1749 to 1924.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokentrace.models import data_folder

YULE = (1749, 1924)
ORDERS = (1, 12)
AHEAD = 64  # years that the view rolls forward


class SeriesError(ValueError):
    """A series that cannot be fitted or rolled forward; the message is a sentence for the reader."""


@dataclass(frozen=True)
class Series:
    """Numbers of consecutive years."""

    first: int
    values: tuple[float, ...]

    @property
    def last(self) -> int:
        """The last year."""
        return self.first + len(self.values) - 1

    @property
    def years(self) -> range:
        """All years."""
        return range(self.first, self.last + 1)

    def __getitem__(self, year: int) -> float:
        """Return the number of a year."""
        if year not in self.years:
            raise SeriesError(f"There is no number for {year}: the series runs from {self.first} to {self.last}.")
        return self.values[year - self.first]

    def between(self, first: int, last: int) -> tuple[float, ...]:
        """Numbers of the years from `first` to `last`, both included."""
        return tuple(self[year] for year in range(first, last + 1))


@dataclass(frozen=True)
class Fit:
    """An AR(p) fitted by least squares.

    Attributes
    ----------
    constant : c, in the unit of the series.
    coefficients : φ1 … φp; φ1 weighs the value just before.
    residuals : what each fitted value missed by, in the unit of the series.
    """

    constant: float
    coefficients: tuple[float, ...]
    residuals: tuple[float, ...]

    @property
    def order(self) -> int:
        """How many values it looks back."""
        return len(self.coefficients)

    @property
    def spread(self) -> float:
        """Standard deviation of the residuals, with as many taken off n as numbers were fitted."""
        free = len(self.residuals) - self.order - 1
        return math.sqrt(math.fsum(each * each for each in self.residuals) / free)

    @property
    def mean(self) -> float:
        """The value at which it rests: c / (1 - φ1 - … - φp)."""
        return self.constant / (1 - math.fsum(self.coefficients))

    def next(self, past: Sequence[float]) -> float:
        """Guess the next value from the last `order` values of `past`."""
        if len(past) < self.order:
            raise SeriesError(
                f"An AR({self.order}) needs {self.order} values before it can guess; {len(past)} is too few."
            )
        return self.constant + math.fsum(phi * past[-1 - lag] for lag, phi in enumerate(self.coefficients))


def sunspots() -> Series:
    """Yearly mean sunspot numbers, 1700 to 1988: the Zürich series, begun by Rudolf Wolf."""
    lines = (data_folder() / "sunspots.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    first = int(rows[0]["year"])
    if [int(row["year"]) for row in rows] != list(range(first, first + len(rows))):
        raise SeriesError("sunspots.csv: the years do not follow each other.")
    return Series(first, tuple(float(row["number"]) for row in rows))


def fit(values: Sequence[float], order: int) -> Fit:
    """Fit an AR(order) with a constant by least squares.

    Raises
    ------
    SeriesError
        If the series is too short for so many coefficients.
    """
    values = np.asarray(values, dtype=float)
    rows = len(values) - order
    if order < 1 or rows < 2 * (order + 1):
        raise SeriesError(f"{len(values)} values are too few to fit {order} coefficients and a constant.")
    past = np.column_stack([np.ones(rows), *(values[order - lag : len(values) - lag] for lag in range(1, order + 1))])
    solution = np.linalg.lstsq(past, values[order:], rcond=None)[0]
    residuals = values[order:] - past @ solution
    return Fit(float(solution[0]), tuple(map(float, solution[1:])), tuple(map(float, residuals)))


def roll_forward(fitted: Fit, start: Sequence[float], n: int, noise: Sequence[float] | None = None) -> list[float]:
    """Go on from `start` for n values, each from those before it, the fit's own guesses among them.

    Parameters
    ----------
    noise : added to each guess, such as drawn residuals; None adds nothing.
    """
    values = list(start)
    for step in range(n):
        values.append(fitted.next(values) + (noise[step] if noise is not None else 0.0))
    return values[len(start) :]


def drawn_residuals(fitted: Fit, n: int, seed: int) -> list[float]:
    """Draw n of the fit's own residuals, with replacement."""
    numbers = np.random.default_rng(seed).integers(len(fitted.residuals), size=n)
    return [fitted.residuals[each] for each in numbers]


def period(fitted: Fit) -> float | None:
    """How long the slowest-dying wave of the fit takes, in steps; None if it does not swing.

    The roots of z^p - φ1·z^(p-1) - … - φp: a pair r·exp(±iω) swings once in 2π/ω steps and shrinks by r each step.
    """
    roots = [root for root in _roots(fitted) if root.imag > 1e-9]
    return 2 * math.pi / math.atan2(max(roots, key=abs).imag, max(roots, key=abs).real) if roots else None


def damping(fitted: Fit) -> float:
    """By how much the fit's slowest-dying wave shrinks each step: the largest absolute value of a root."""
    return max(map(abs, _roots(fitted)))


def _roots(fitted: Fit) -> list[complex]:
    return [complex(root) for root in np.roots([1.0, *(-phi for phi in fitted.coefficients)])]


def forecast(series: Series, order: int, origin: int, seed: int = 0, years: tuple[int, int] = YULE) -> dict[str, Any]:
    """Fit on some years, then guess those after `origin` in both ways: given the truth, and on its own guesses.

    Returns
    -------
    dict
        order, origin, first (the year after the origin), given (one step ahead from true values), own (free
        running), noisy (free running with drawn residuals), truth (None where no year is known), constant,
        coefficients, spread, period, damping, mean, and the root mean square errors given_error and own_error.

    Raises
    ------
    SeriesError
        If order or origin is out of range.
    """
    if not ORDERS[0] <= order <= ORDERS[1]:
        raise SeriesError(f"The order is from {ORDERS[0]} to {ORDERS[1]}, not {order}.")
    if not series.first + order - 1 <= origin < series.last:
        raise SeriesError(f"Start in a year from {series.first + order - 1} to {series.last - 1}.")
    fitted = fit(series.between(*years), order)
    known = series.between(series.first, origin)
    last = min(series.last, origin + AHEAD)
    given = [fitted.next(series.between(series.first, year - 1)) for year in range(origin + 1, last + 1)]
    own = roll_forward(fitted, known, AHEAD)
    truth = series.between(origin + 1, last)
    return {
        "order": order,
        "origin": origin,
        "first": origin + 1,
        "given": given,
        "own": own,
        "noisy": roll_forward(fitted, known, AHEAD, drawn_residuals(fitted, AHEAD, seed)),
        "seed": seed,
        "constant": fitted.constant,
        "coefficients": list(fitted.coefficients),
        "spread": fitted.spread,
        "period": period(fitted),
        "damping": damping(fitted),
        "mean": fitted.mean,
        "given_error": rms(given, truth),
        "own_error": rms(own[: len(truth)], truth),
    }


def rms(guesses: Sequence[float], truth: Sequence[float]) -> float:
    """Root mean square error."""
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(guesses, truth, strict=True)) / len(truth))


def interaction_of(fitted: Fit, past: Sequence[float], changes: dict[int, float]) -> list[float]:
    """Guess with none, each and both of two past values changed.

    Parameters
    ----------
    changes : lag (1 = the value just before) and what to add there; exactly two.

    Returns
    -------
    list of float
        The four guesses: none, first, second, both. For a linear fit both - none is the sum of the single changes.
    """
    (first, one), (second, two) = changes.items()
    found = []
    for a, b in ((0.0, 0.0), (one, 0.0), (0.0, two), (one, two)):
        values = list(past)
        values[-first] += a
        values[-second] += b
        found.append(fitted.next(values))
    return found
