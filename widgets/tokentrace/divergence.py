"""How far apart two guesses of the next token are: Kullback-Leibler, total variation, Jensen-Shannon.

All take log-probabilities [..., vocabulary], natural logarithms; logits will do, for the rows are normalised here.
All count in float64, and two guesses that are the same to the last bit are exactly 0 apart.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(P ‖ Q) = Σ p ln(p / q), nats [...]: what is lost by expecting Q where P is true.

    Not the same the other way round. 0 if the two are equal, without a ceiling, and infinite where Q rules
    out a token that P allows; a token that P rules out counts nothing (Kullback and Leibler 1951).

    Parameters
    ----------
    log_p, log_q : [..., vocabulary], of shapes that broadcast; -inf is a probability of 0.
    """
    log_p, log_q = _normalised(log_p), _normalised(log_q)
    return _sum_over(log_p.exp(), log_p - log_q)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """TV = ½ Σ |p − q| = 1 − Σ min(p, q), from 0 to 1 [...]: the probability mass on which the two differ.

    It is the largest difference of the probability of any event, and the chance that two tokens drawn from P and
    Q in the best coupling are not the same (Levin, Peres and Wilmer 2009, section 4).

    Parameters
    ----------
    log_p, log_q : [..., vocabulary], of shapes that broadcast; -inf is a probability of 0.
    """
    distance = (_normalised(log_p).exp() - _normalised(log_q).exp()).abs().sum(-1) / 2
    return distance.clamp(max=1.0)


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    """JS = ½ KL(P ‖ M) + ½ KL(Q ‖ M) with M = ½ P + ½ Q, nats, from 0 to ln 2 [...]; symmetric (Lin 1991).

    Parameters
    ----------
    log_p, log_q : [..., vocabulary], of shapes that broadcast; -inf is a probability of 0.
    """
    p, q = _normalised(log_p).exp(), _normalised(log_q).exp()
    middle = (p + q) / 2
    return (_sum_over(p, (p / middle).log()) + _sum_over(q, (q / middle).log())) / 2


def _normalised(log_probabilities: Tensor) -> Tensor:
    return torch.as_tensor(log_probabilities).double().log_softmax(-1)


def _sum_over(p: Tensor, log_ratio: Tensor) -> Tensor:
    """Σ p × log ratio, where 0 × anything is 0; rounding may take it a hair under its least value, 0."""
    return torch.where(p > 0, p * log_ratio, 0.0).sum(-1).clamp(min=0.0)
