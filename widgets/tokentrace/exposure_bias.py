"""Exposure bias as both sides of its dispute measure it, where the truth is known: one model plays the data.

The oracle `o` is the data distribution here, the learner `p` a model of it, so that the distance between their next
guesses can be computed exactly after every prefix; only the expectation over prefixes is estimated. He, Zhang, Zhou &
Glass 2021 ("Exposure Bias versus Self-Recovery", EMNLP) divide what happens after the learner's own prefixes by what
happens after prefixes of the data. Arora, El Asri, Bahuleyan & Cheung 2022 ("Why Exposure Bias Matters", Findings of
ACL) add up KL(o ‖ p) along the texts that a decoder writes, and divide by the same sum along the data.

The functions take one row a text and one column a position. `weights` are the probabilities of the rows, for exact
enumeration; None: the rows are samples, equally likely.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tokentrace.bootstrap import Band, ratio_band

Numbers = NDArray[np.float64]


def discrepancy(divergences: ArrayLike, weights: ArrayLike | None = None) -> Numbers:
    """Conditional generation discrepancy, CGD(l) = E_W [ d(p(· | W), o(· | W)) ] over prefixes W of length l.

    He et al. 2021, with d the total variation or the Jensen-Shannon divergence (`tokentrace.divergence`).

    Parameters
    ----------
    divergences : [n, l], of the guesses after every prefix.

    Returns
    -------
    [l]
    """
    values = np.asarray(divergences, dtype=np.float64)
    return values.mean(0) if weights is None else np.asarray(weights, dtype=np.float64) @ values


def eb_c(
    own: ArrayLike, data: ArrayLike, own_weights: ArrayLike | None = None, data_weights: ArrayLike | None = None
) -> Numbers:
    """EB-C(l) = CGD after the learner's own prefixes / CGD after prefixes of the data; above 1 is exposure bias.

    He et al. 2021. A learner that is the oracle loses nothing after either, and nothing over nothing is 1.

    Parameters
    ----------
    own, data : [n, l] and [m, l] divergences; the own prefixes are ancestral samples of the learner.

    Returns
    -------
    [l]
    """
    return _over(discrepancy(own, own_weights), discrepancy(data, data_weights))


def eb_m(
    after_data: ArrayLike,
    after_own: ArrayLike,
    data_weights: ArrayLike | None = None,
    own_weights: ArrayLike | None = None,
) -> Numbers:
    """EB-M(l) = f(continuations of data prefixes) / f(continuations of own prefixes); above 1 is exposure bias.

    He et al. 2021, the form for quality. There f is a corpus score of the text (like BLEU); here the oracle can be
    asked itself: f is the mean of `quality`.

    Parameters
    ----------
    after_data, after_own : [n, l] and [m, l] quality of the learner's continuation of a prefix of each length.

    Returns
    -------
    [l]
    """
    return _over(discrepancy(after_data, data_weights), discrepancy(after_own, own_weights))


def quality(logprobs: ArrayLike) -> Numbers:
    """Geometric mean of the probabilities that the oracle gives to a continuation's tokens, from 0 to 1 [...].

    Parameters
    ----------
    logprobs : [..., tokens], nats, each given all before it.
    """
    return np.exp(np.asarray(logprobs, dtype=np.float64).mean(-1))


def regret(divergences: ArrayLike, weights: ArrayLike | None = None) -> Numbers:
    """Accumulated regret, R_≤l = Σ_t≤l E [ KL(o ‖ p) ], nats, over the contexts that a decoder visits at step t.

    Arora et al. 2022, imitation learning's regret for a text; their code accumulates the same KL(o ‖ p).
    Along contexts of the data it is l · ε_≤l, with ε_≤l the mean error a step.

    Parameters
    ----------
    divergences : [n, l] of KL(o ‖ p), nats.

    Returns
    -------
    [l]
    """
    return discrepancy(divergences, weights).cumsum(-1)


def acc_err(own: ArrayLike, data: ArrayLike) -> Numbers:
    """AccErr_≤(l) = R_≤l / ε_≤l: how many steps' worth of error have gathered after l steps; l if none is added.

    Arora et al. 2022.

    Parameters
    ----------
    own, data : [l], `regret` along a decoder's texts and along the data.

    Returns
    -------
    [l]
    """
    steps = np.arange(1, np.shape(own)[-1] + 1)
    return steps * _over(np.asarray(own), np.asarray(data))


def excess(own: ArrayLike, data: ArrayLike) -> Numbers:
    """%ExAccErr_≤(l) = 100 · (R_≤l − l ε_≤l) / (l ε_≤l): the part of the regret that is owed to the contexts.

    Arora et al. 2022. 0 if the error a step is what it is on data; negative where the visited contexts are easier
    for the learner. Parameters as in `acc_err`.

    Returns
    -------
    [l], percent
    """
    return 100 * (_over(np.asarray(own), np.asarray(data)) - 1)


def eb_band(above: ArrayLike, below: ArrayLike, level: float = 0.95, seed: int = 0) -> Band:
    """`eb_c(above, below)` or `eb_m(above, below)` with a bootstrap band, three [l]; row i of both is one pair.

    The rows are pairs because they share their random numbers: what is drawn again is the pair.
    """
    return ratio_band(above, below, paired=True, level=level, seed=seed)


def excess_band(own: ArrayLike, data: ArrayLike, level: float = 0.95, seed: int = 0) -> Band:
    """%ExAccErr with a bootstrap band, three [l], from the divergences [n, l] along both; row i of both is one pair."""
    sums = (np.cumsum(np.asarray(each, dtype=np.float64), axis=-1) for each in (own, data))
    value, low, high = (100 * (end - 1) for end in ratio_band(*sums, paired=True, level=level, seed=seed))
    return value, low, high


def windowed(values: ArrayLike, width: int) -> Numbers:
    """Means over windows of `width` positions side by side, [n, l // width]; what is left over is not used."""
    values = np.asarray(values, dtype=np.float64)
    windows = values.shape[1] // width
    return values[:, : windows * width].reshape(len(values), windows, width).mean(-1)


def _over(above: Numbers, below: Numbers) -> Numbers:
    """A ratio in which nothing over nothing is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), 1.0, above / below)
