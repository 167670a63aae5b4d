"""What sources say of auto-regression and its history, beside what was fitted, counted and measured here."""

from __future__ import annotations

import math
from typing import Any

from tokentrace.autoregression import YULE, fit, period, sunspots
from tokentrace.claims import Claim, Finding
from tokentrace.regressors import mean_bits

PAPER = "a white paper on autoregressive models"
EXPLAINER = "an article on the idea of autoregressive models"
PUBLISHED = {"Yule": 1927, "Markov": 1913, "Shannon": 1948}
ADDS_UP = 0.05  # nats or sunspots: less apart than this is a sum


def claims(record: dict[str, Any], interaction: dict[str, Any]) -> list[Claim]:
    """Return the rows of the three regressors.

    Parameters
    ----------
    record : what `regressors.compare` gave.
    interaction : the non-additive change, as in `data/traces/interaction.json`.
    """
    return [
        Claim("*Auto* means self and *regression* means prediction.", PAPER, regression),
        Claim(
            "Auto-regression began in the 1950s, in economics and meteorology.",
            f"{PAPER}; against it G. U. Yule, *Philosophical Transactions A* 226, 1927",
            history,
        ),
        Claim(
            "Language models that predict the next word are from the 2010s.",
            f"{PAPER}; against it A. A. Markov 1913, C. E. Shannon 1948",
            lambda: early(record),
        ),
        Claim("The next word is a weighted combination of the words before.", PAPER, lambda: weighted(interaction)),
        Claim(
            "*Autoregressive* means that a model feeds on its own output.",
            f"{EXPLAINER}; against it the use of the word since Yule",
            feeding,
        ),
    ]


def regression() -> Finding:
    """A regression is a fit."""
    fitted = fit(sunspots().between(*YULE), 2)
    one, two = fitted.coefficients
    return Finding(
        "*Regression* is fitting one variable on others; here on its own past: "
        f"x(t) = {fitted.constant:.1f} + {one:.2f}·x(t−1) − {-two:.2f}·x(t−2), from {len(fitted.residuals)} years. "
        f"Predicting is one use of it; it misses by {fitted.spread:.1f} a year.",
        "simplified" if fitted.spread > 0 else "holds",
    )


def history() -> Finding:
    """Yule's fit on Yule's years."""
    fitted = fit(sunspots().between(*YULE), 2)
    years = period(fitted)
    earlier = 1950 - PUBLISHED["Yule"]
    found = f"once in {years:.1f} years" if years else "not at all"
    return Finding(
        f"Fitted on the years that Yule had, {YULE[0]} to {YULE[1]}, an AR(2) swings {found}. He published it in "
        f"{PUBLISHED['Yule']}, {earlier} years before 1950, and on sunspots.",
        "wrong" if years and earlier > 0 else "holds",
    )


def early(record: dict[str, Any]) -> Finding | None:
    """A table of pairs, as one could have counted it by hand."""
    if record["refused"]:
        return None
    bits, ours = mean_bits(record, "bigram"), mean_bits(record, "gpt2")
    size = record["model"]["vocab_size"]
    return Finding(
        f"A table of {record['pairs']:,} pairs predicts the next token: {bits:.2f} bits per byte on the sentences "
        f"above, and {ours:.2f} for the GPT-2. One choice among {size:,} equally likely tokens costs "
        f"{math.log2(size):.0f} bits. Markov counted pairs of letters in {PUBLISHED['Markov']}, "
        f"Shannon sampled from pairs of words in {PUBLISHED['Shannon']}.",
        "wrong" if max(PUBLISHED.values()) < 2010 and bits < 8 else "holds",
    )


def weighted(interaction: dict[str, Any]) -> Finding:
    """Two changes together."""
    language, series = interaction["language"], interaction["series"]
    none, first, second, both = language["values"]
    return Finding(
        f"Replacing two words changes ln P of `{language['target'].strip()}` by {first - none:+.2f} and "
        f"{second - none:+.2f} nats, both together by {both - none:+.2f}: {abs(language['apart']):.2f} away from the "
        f"sum. For the AR(2) it is {abs(series['apart']):.0e}.".replace("-", "−"),
        "wrong" if abs(language["apart"]) > ADDS_UP > abs(series["apart"]) else "holds",
    )


def feeding() -> Finding:
    """Two ways to guess, one fit."""
    from tokentrace.autoregression import forecast

    found = forecast(sunspots(), 2, YULE[1])
    return Finding(
        f"One fit, used in two ways: given the true years it misses by {found['given_error']:.0f}, fed on its own "
        f"guesses by {found['own_error']:.0f}. Auto-regressive it is in both; self-feeding only in the second.",
        "simplified" if found["given_error"] < found["own_error"] else "holds",
    )
