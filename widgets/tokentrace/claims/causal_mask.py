"""What sources say of scoring, the mask and self-feeding, beside what was measured on the runs of this page."""

from __future__ import annotations

import math

from tokentrace.causal_mask import MaskRun
from tokentrace.claims import Claim, Finding

SHEKHAR = "A. Shekhar, *Autoregressive Models*"
EXPLAINER = "an article on the idea of autoregressive models"
CARD = "a glossary card on autoregressive generation"
SAME = 1e-4  # two ways to compute one logit in single precision differ by less


def claims(run: MaskRun) -> list[Claim]:
    """Return the rows that a study of the mask can measure."""
    return [
        Claim(
            "The probability of a whole sentence is never computed in one shot.", SHEKHAR, lambda: one_shot(run)
        ),
        Claim(
            "A language model regresses on its own previous outputs.",
            f"{CARD}; {EXPLAINER}",
            lambda: own_outputs(run),
        ),
        Claim(
            "In training and in use the same model behaves in two slightly different ways.",
            SHEKHAR,
            lambda: two_behaviours(run),
        ),
        Claim(
            "With a causal mask all positions can be trained at once.",
            "Vaswani et al. 2017; every source here",
            lambda: at_once(run),
        ),
        Claim(
            "The mask sets scores to minus infinity before the softmax, so that their weights are 0.",
            SHEKHAR,
            lambda: weights(run),
        ),
        Claim("Without the mask a model would copy the answer.", SHEKHAR, lambda: copying(run)),
        Claim("Attention gives each word a weight of importance.", "a white paper on autoregressive models",
              lambda: importance(run)),
    ]  # fmt: skip


def one_shot(run: MaskRun) -> Finding:
    """One pass against n."""
    n = len(run.ids)
    gap = max(abs(a - b) for a, b in zip(run.one_pass, run.n_passes, strict=True))
    return Finding(
        f"All {n} conditionals of a given sentence came out of one pass, ln P = {_nats(math.fsum(run.one_pass))}. "
        f"{n} separate passes gave the same, up to {max(gap, 1e-12):.0e} nats. To *write* it takes one pass a token.",
        "wrong" if gap <= SAME else "holds",
    )


def own_outputs(run: MaskRun) -> Finding:
    """The sentence was given: nothing of the model's own was read."""
    n = len(run.ids)
    return Finding(
        f"While it writes, yes. But the {n} tokens scored here were given, and none of them was the model’s: "
        "it conditions on the sequence so far, whoever wrote it.",
        "simplified" if n else "holds",
    )


def two_behaviours(run: MaskRun) -> Finding:
    """The pass that scores and the passes that write."""
    return Finding(
        "A pass that scores the whole text and the passes that a writer would make, one for each beginning, gave "
        f"the same logits up to {max(run.gap, 1e-12):.0e}: one function, and only the source of the prefix differs.",
        "wrong" if run.gap <= SAME else "holds",
    )


def at_once(run: MaskRun) -> Finding:
    """How much less there is to read."""
    n = len(run.ids)
    spent = math.fsum(run.n_ms)
    gap = max(abs(a - b) for a, b in zip(run.one_pass, run.n_passes, strict=True))
    return Finding(
        f"One pass over {n} positions gave {n} guesses in {run.one_ms:.1f} ms; {n} passes read "
        f"{n * (n + 1) // 2} positions and took {spent:.1f} ms in all. Training needs a guess at every position, too.",
        "holds" if gap <= SAME else "wrong",
    )


def weights(run: MaskRun) -> Finding:
    """Weights above the diagonal, and what a change moves before it."""
    above = max(value for row, line in enumerate(run.attention) for value in (*line[row + 1 :], 0.0))
    still = max((change.before for change in run.changes), default=0.0)
    seen = max((change.before_open for change in run.changes), default=0.0)
    return Finding(
        f"The largest weight above the diagonal is {above:g}. Changing a later token moved the logits before it by "
        f"{still:g} at most; without the mask by up to {seen:.2g}.",
        "holds" if above == 0 and still <= SAME < seen else "wrong",
    )


def copying(run: MaskRun) -> Finding:
    """What the mask's absence does to a model that was trained with it."""
    masked, opened = math.fsum(run.one_pass), math.fsum(run.no_mask)
    better = sum(b > a for a, b in zip(run.one_pass, run.no_mask, strict=True))
    chances = [math.exp(value) for value in run.no_mask]
    return Finding(
        f"This model was trained with the mask and has not learned to copy: without it ln P goes from {_nats(masked)} "
        f"to {_nats(opened)}, {better} of {len(chances)} tokens get more probable, and the mean probability of the "
        f"right one is {sum(chances) / len(chances):.2f}, not 1. A model *trained* without it could copy.",
        "holds" if min(chances) > 0.9 else "simplified",
    )


def importance(run: MaskRun) -> Finding:
    """Attention of the last position against what replacing a token does to it."""
    places = [(change.at, run.attention[-1][change.at], change.moved[-1]) for change in run.changes]
    by_weight = [place for place, *_ in sorted(places, key=lambda each: -each[1])]
    by_effect = [place for place, *_ in sorted(places, key=lambda each: -each[2])]
    told = ", ".join(
        f"`{run.token_text(run.ids[place - 1]).strip()}` {weight:.0%} and {effect:.2f}"
        for place, weight, effect in places
    )
    return Finding(
        f"One head of one layer against what replacing the token did to the last position’s logits: {told}. "
        f"By weight the order is {by_weight}, by effect {by_effect}.",
        "holds" if by_weight == by_effect and len(places) > 2 else "simplified",
    )


def _nats(value: float) -> str:
    return f"{value:.1f} nats".replace("-", "−")
