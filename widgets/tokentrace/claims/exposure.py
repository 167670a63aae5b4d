"""What sources say of teacher forcing and of errors that spread, beside the two lanes of this page."""

from __future__ import annotations

import math
from statistics import mean

from tokentrace.claims import Claim, Finding
from tokentrace.exposure import TwoLanes

SHEKHAR = "A. Shekhar, *Autoregressive Models*"
EXPLAINER = "an article on the idea of autoregressive models"
CARD = "a glossary card on autoregressive generation"
SAME = 1e-4  # two ways to compute one logit in single precision differ by less


def claims(run: TwoLanes) -> list[Claim]:
    """Return the rows that the two lanes and the errors put into them can measure."""
    return [
        Claim(
            "Teacher forcing feeds the true token at every step.",
            "Williams and Zipser 1989",
            lambda: feeding(run),
        ),
        Claim(
            "With teacher forcing and a causal mask all positions are worked on at once.",
            f"{SHEKHAR}; {EXPLAINER}",
            lambda: at_once(run),
        ),
        Claim(
            "A language model always goes on from its own previous outputs.",
            f"{CARD}; {EXPLAINER}",
            lambda: own_outputs(run),
        ),
        Claim(
            "In training and in use the model is one, but it behaves in two slightly different ways.",
            SHEKHAR,
            lambda: two_behaviours(run),
        ),
        Claim(
            "Exposure bias: trained on true prefixes, used on its own.",
            "Bengio et al. 2015; the word is from Ranzato et al. 2016",
            lambda: own_prefixes(run),
        ),
        Claim(
            "If one token is wrong, all later ones are conditioned on a wrong past.",
            CARD,
            lambda: conditioned(run),
        ),
        Claim(
            "An early error cascades: it grows with every further token.",
            f"{SHEKHAR}; {EXPLAINER}; {CARD}",
            lambda: cascade(run),
        ),
    ]


def feeding(run: TwoLanes) -> Finding:
    """What the upper lane would have written is not what it reads next."""
    n = len(run.true)
    missed = sum(choice != true for choice, true in zip(run.choices, run.true, strict=True))
    return Finding(
        f"The upper lane would have written another token than the text’s at {missed} of {n} places, and was fed the "
        "text’s all the same.",
        "holds" if missed else "simplified",
    )


def at_once(run: TwoLanes) -> Finding:
    """One pass against n, and the same logits."""
    n = len(run.true)
    return Finding(
        f"One pass made {n} guesses in {run.one_ms:.1f} ms; running free took {n} passes and {math.fsum(run.n_ms):.1f} "
        f"ms. Where both had read the same, their logits differed by {run.gap:.0e} at most.",
        "holds" if run.gap <= SAME else "wrong",
    )


def own_outputs(run: TwoLanes) -> Finding:
    """The same model in both roles: what stands before a guess may be anybody's."""
    n, places = len(run.true), _same_places(run)
    return Finding(
        f"So it is in the lower lane. The upper lane is the same model, and none of the {n} tokens that it was fed "
        f"came from it. At {places} place{'s' if places > 1 else ''} both had read the same, and the two guesses were "
        f"one up to {run.gap:.0e}: it goes on from what stands there, whoever wrote it.",
        "simplified" if run.gap <= SAME else "holds",
    )


def two_behaviours(run: TwoLanes) -> Finding:
    """Same words, same guess."""
    places = _same_places(run)
    return Finding(
        f"At {places} place{'s' if places > 1 else ''} both lanes had read the same words: one pass and passes of one "
        f"token each gave the same logits up to {run.gap:.0e}. It is one function, and only the words it reads differ.",
        "wrong" if run.gap <= SAME else "holds",
    )


def own_prefixes(run: TwoLanes) -> Finding:
    """The definition is right; what it does is another question."""
    n, after = len(run.true), run.tv[_same_places(run) :]
    if not after:
        return Finding(f"Here the two prefixes were the same at all {n} places: nothing was measured.", "simplified")
    return Finding(
        f"The prefixes differed at {len(after)} of {n} places, and there the guesses were {mean(after):.2f} apart "
        f"(mean total variation); mean loss on the true words {run.forced_loss:.2f} against {run.free_loss:.2f} nats. "
        "That says how the two inputs differ, not yet that the model writes worse for it.",
        "holds" if mean(after) > 0 else "wrong",
    )


def conditioned(run: TwoLanes) -> Finding | None:
    """Exactly 0 up to the error, something after it."""
    later = [value for error in run.errors for value in error.after()]
    if not later:
        return None
    moved = sum(value > 0 for value in later)
    return Finding(
        f"In {len(run.errors)} runs with an error the guesses up to it were exactly the same, and after it {moved} of "
        f"{len(later)} differed.",
        "holds" if moved == len(later) else "simplified",
    )


def cascade(run: TwoLanes) -> Finding | None:
    """The first half of what follows against the second: growth would show."""
    halves = [
        (each[: len(each) // 2], each[len(each) // 2 :]) for each in (e.after() for e in run.errors) if len(each) > 3
    ]
    if not halves:
        return None
    first, second = (mean(value for each in side for value in each) for side in zip(*halves, strict=True))
    growing = sum(mean(late) > mean(early) for early, late in halves)
    return Finding(
        f"After {len(halves)} errors the divergence was {first:.2f} (total variation) in the first half of what "
        f"followed and {second:.2f} in the second; it grew in {growing} of {len(halves)} runs. Two texts that went "
        "different ways are far apart whatever parted them: the recovery curve asks this of many openings.",
        "holds" if growing == len(halves) and second > 1.5 * first else "simplified",
    )


def _same_places(run: TwoLanes) -> int:
    return len(run.true) if run.parted is None else run.parted + 1
