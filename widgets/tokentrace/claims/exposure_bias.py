"""What sources say of exposure bias, beside both published measures of it on one pair of models."""

from __future__ import annotations

from tokentrace.bias_run import BiasRun
from tokentrace.bias_words import band, number, side
from tokentrace.claims import Claim, Finding

PAPER = "a white paper on autoregressive models"
HE = "He, Zhang, Zhou & Glass 2021"
ARORA = "Arora, El Asri, Bahuleyan & Cheung 2022"
REPORTED = 60  # percent, in the abstract of Arora et al. 2022
SMALL = 0.05  # a ratio's band within 5% of 1 is called a small effect here


def claims(run: BiasRun) -> list[Claim]:
    """Return the rows that a run of both measures can decide."""
    return [
        Claim(
            "Exposure bias costs only 2 to 3% of the performance.",
            f"{PAPER}, without a source. The abstract of the first version of {HE} has one measured gap, of 3%, and "
            "later versions have no number; “2–3%” is the quality lost by a faster solver of routing problems "
            "(Xiao et al. 2024)",
            lambda: two_to_three(run),
        ),
        Claim("Exposure bias is not catastrophic, and less severe than was thought.",
              f"{PAPER}, which cites “Wang et al. 2019”; the paper, arXiv 1905.10617, is by {HE}, and says: limited, "
              "not incremental", lambda: not_catastrophic(run)),
        Claim("Errors compound: an early one cascades to all later tokens.",
              f"several introductions; {ARORA} report an excess of more than {REPORTED}% for long texts",
              lambda: compound(run)),
        Claim("A model can recover from a history that is slightly wrong.", f"{HE}", lambda: recovers(run)),
    ]  # fmt: skip


def two_to_three(run: BiasRun) -> Finding:
    """Whether one number does for all decoders."""
    value, low, high = run.overall["total_variation"]
    losses = [group.excess.last()[0] for group in run.decoders]
    ratio = (100 * (end - 1) for end in (value, low, high))
    told = f"from {number(min(losses))}% to {number(max(losses))}%" if losses else "not measured"
    fits = low >= 1.02 and high <= 1.03 and all(2 <= loss <= 3 for loss in losses)
    return Finding(
        f"Here own prefixes change the distance from the truth by {band(tuple(ratio), 1, '%')}, and the gathered "
        f"error by {told}, as the decoder may be. One number for all of them there is not.",
        "holds" if fits else "wrong",
    )


def not_catastrophic(run: BiasRun) -> Finding:
    """Ancestral prefixes against other decoders' contexts."""
    _value, low, high = ends = run.overall["total_variation"]
    most = max(run.decoders, key=lambda group: group.excess.last()[0])
    small = high <= 1 + SMALL
    more = side(*most.excess.last()[1:], 0) > 0
    return Finding(
        f"EB-C in total variation is {band(ends, 2)} for ancestral samples. The largest excess of a decoder is that "
        f"of {most.name}, {band(most.excess.last(), 0, '%')} after {run.length} tokens.",
        "holds" if small and not more else "simplified" if small or low <= 1 else "wrong",
    )


def compound(run: BiasRun) -> Finding:
    """Whether the excess itself grows with the length."""
    told, growing = [], []
    for group in run.decoders:
        places = [group.excess.at.index(each) for each in (8, group.excess.at[-1]) if each in group.excess.at]
        early, late = (group.excess.value[places[0]], group.excess.last()[0])
        low = group.excess.last()[1]
        told.append(f"{group.name} {number(early)}% to {number(late)}%")
        growing.append(low > 0 and late > early)
    return Finding(
        f"If errors compounded, the excess would lie above 0 and rise with the length. From 8 to {run.length} tokens: "
        f"{', '.join(told)}. That happens for {sum(growing)} of {len(growing)} decoders, and "
        f"{sum(group.excess.last()[0] > REPORTED for group in run.decoders)} pass {REPORTED}%.",
        "holds" if growing and all(growing) else "simplified" if any(growing) else "wrong",
    )


def recovers(run: BiasRun) -> Finding:
    """The ratio does not grow with the prefix length."""
    curve = run.prefix["total_variation"]
    third = max(1, len(curve.at) // 3)
    first, last = (sum(each) / third for each in (curve.value[:third], curve.value[-third:]))
    _, low, high = run.overall["total_variation"]
    return Finding(
        f"Own prefixes grow ever longer, and EB-C is {number(first, 2)} in the first third of the lengths and "
        f"{number(last, 2)} in the last. The recovery from a single error is measured further up.",
        "holds" if last <= first + SMALL and high <= 1 + SMALL else "simplified" if low <= 1 else "wrong",
    )
