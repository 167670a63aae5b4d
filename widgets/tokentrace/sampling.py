"""From logits to one token: temperature, top-k, top-p, and a draw by one random number."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def filter_logits(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Divide by the temperature, then cut: logits outside top-k, then outside top-p, become -inf.

    Parameters
    ----------
    logits : [vocab]
    top_k : keep the k largest, and what ties with the last of them (Fan et al. 2018).
    top_p : keep the smallest set, most probable first, whose mass reaches p
        (the nucleus of Holtzman et al. 2020); never fewer than one token. Of tokens that tie at its edge
        the lower ids are kept. The paper leaves that open, and transformers keeps as many of them,
        but whichever its sort puts last.

    Returns
    -------
    Tensor
        [vocab]; its softmax is the distribution to draw from.

    Raises
    ------
    ValueError
        If the logits have no softmax to take a share of (NaN or +inf among them).
    """
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        kth = logits.topk(top_k).values[-1]
        logits = logits.masked_fill(logits < kth, -math.inf)
    if top_p is not None and top_p < 1:
        order, mass = most_probable(logits.softmax(-1), top_p)
        before = mass.cumsum(-1) - mass
        if before[-1] != before[-1]:
            raise ValueError("A logit is +inf or not a number, so there are no probabilities to take a share of.")
        nucleus = order[before < top_p]
        logits = torch.full_like(logits, -math.inf).index_copy(0, nucleus, logits[nucleus])
    return logits


def most_probable(probabilities: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """Token ids and probabilities (float64), most probable first, ties by id.

    As many as hold more than `mass`, and perhaps some more: a prefix of the full sorted order,
    found without sorting the whole vocabulary when a few tokens hold most of it.
    """
    for size in (64, 1024):
        if size >= len(probabilities):
            break
        floor = probabilities.topk(size).values[-1]
        # Ties with the smallest are left out: which of them made the cut is arbitrary.
        ids = (probabilities > floor).nonzero().flatten()
        found = probabilities[ids].double()
        if found.sum() > mass:
            order = found.argsort(descending=True, stable=True)
            return ids[order], found[order]
    found = probabilities.double()
    order = found.argsort(descending=True, stable=True)
    return order, found[order]


def draw(probabilities: Tensor, uniform: float) -> tuple[int, float]:
    """Pick by inverting the cumulative distribution at one number in [0, 1).

    The tokens lie end to end, most probable first; the one that `uniform` falls on is picked.

    Returns
    -------
    tuple of int and float
        The token, and the mass that lies before it.
    """
    order, mass = most_probable(probabilities, uniform)
    edges = mass.cumsum(-1)
    # Rounding can leave the total a hair under one; the last token with any mass then takes the rest.
    last = int((mass > 0).sum()) - 1
    place = min(int(torch.searchsorted(edges, uniform, right=True)), last)
    return int(order[place]), float(edges[place] - mass[place])


def entropy(probabilities: Tensor) -> float:
    """Shannon entropy in bits: the surprise to expect."""
    return float(torch.special.entr(probabilities).sum()) / math.log(2)
