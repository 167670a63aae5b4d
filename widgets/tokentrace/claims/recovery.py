"""What sources say of recovery, compounding errors and degeneration, beside what was measured on this page."""

from __future__ import annotations

from typing import Any

from tokentrace.claims import Claim, Finding
from tokentrace.experiments.entropy_drift import same_choices
from tokentrace.prefixes import ERRORS
from tokentrace.recovery import OTHER, Recovery

ARTICLES = "articles on autoregressive models"
PAPER = "a white paper on autoregressive models"
HE = "He, Zhang, Zhou and Glass 2021, *Exposure Bias versus Self-Recovery*"
HOLTZMAN = "Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration*"
CHIANG = "Chiang and Chen 2021 find degeneration partly due to exposure bias; Holtzman et al. blame the decoding"
BRAVERMAN = "Braverman et al. 2020, *Calibration, Entropy Rates, and Memory in Language Models*"


def claims(run: Recovery, drift: dict[str, Any]) -> list[Claim]:
    """Return the rows that a recovery and a drift can measure."""
    return [
        Claim("A model recovers by itself from a history that is slightly wrong.", HE, lambda: recovers(run)),
        Claim(
            "An early error compounds: it spreads to all later tokens and grows.",
            ARTICLES,
            lambda: compounds(run),
        ),
        Claim("The damage done by reading its own words is not catastrophic.", PAPER, lambda: damage(drift)),
        Claim("Exposure bias is why language models go off the rails.", CHIANG, lambda: rails(drift)),
        Claim(
            "Always taking what is most probable makes a text repeat itself; drawing does not.",
            HOLTZMAN,
            lambda: maximising(drift),
        ),
        Claim(
            "On its own text a model is less sure than its perplexity on true text promises.",
            BRAVERMAN,
            lambda: calibration(drift),
        ),
    ]


def recovers(run: Recovery) -> Finding:
    """Half-lives of the three kinds of error while the text goes on as it was."""
    curves = [run.curve(kind) for kind in ERRORS if kind in run.kinds]
    told = ", ".join(
        f"{curve.half} ({curve.kind})" if curve.half else f"more than {run.steps} ({curve.kind})" for curve in curves
    )
    left = max(curve.mean[-1] for curve in curves)
    return Finding(
        f"Where the text goes on as it was, half of the divergence is gone after so many tokens: {told}; after "
        f"{run.steps} at most {left:.2f} is left of {max(curve.mean[0] for curve in curves):.2f}, mean over "
        f"{run.prefixes} prefixes.",
        "holds" if all(curve.half for curve in curves) else "wrong",
    )


def compounds(run: Recovery) -> Finding:
    """Whether divergence grows: on the true text, and on the model's own words."""
    kind = ERRORS[1] if ERRORS[1] in run.kinds else run.kinds[0]
    given, own, other = run.curve(kind), run.curve(kind, "own"), run.curve(OTHER, "own")
    grows, spreads = given.mean[-1] > given.mean[0], own.mean[-1] > given.mean[-1]
    return Finding(
        f"All later guesses are conditioned on the {kind}. While the text is given, the divergence goes from "
        f"{given.mean[0]:.2f} to {given.mean[-1]:.2f} in {run.steps} tokens. On its own words the model writes another "
        f"text: {own.mean[-1]:.2f} apart there, beside {other.mean[-1]:.2f} of two runs without any error.",
        "holds" if grows else "simplified" if spreads else "wrong",
    )


def damage(drift: dict[str, Any]) -> Finding:
    """Own text that was drawn, against true text, as the model sees them."""
    gap, repeated = drift["gaps"]["exposure"]["entropy"], drift["gaps"]["exposure"]["repeated"]
    quiet = gap[1] <= 0 <= gap[2] and repeated[1] <= 0 <= repeated[2]
    return Finding(
        f"Along {drift['n_true']} tokens that it drew itself, the model’s entropy is {_signed(gap[0])} bits from that "
        f"along true text (95 % band {_signed(gap[1])} to {_signed(gap[2])}), and its repetition "
        f"{_signed(100 * repeated[0])} points. This is what the model sees, and it is not a judge of its own text: for "
        "that see the oracle above.",
        "simplified" if quiet else "wrong",
    )


def rails(drift: dict[str, Any]) -> Finding:
    """Repetition of drawn text and of greedy text, which both read their own words."""
    means, late = drift["means"], drift["late"]
    exposure, decoding = (drift["gaps"][name]["repeated"] for name in ("exposure", "decoding"))
    verdict = "holds" if exposure[1] > 0 >= decoding[1] else "simplified" if decoding[1] > 0 else "wrong"
    freed = late["greedy, then drawn"] < late["greedy"] / 2
    told = (
        f"Drawn and greedy text both read their own words, but {means['drawn']['repeated'][0]:.1%} of the one and "
        f"{means['greedy']['repeated'][0]:.1%} of the other is repeated (true text: "
        f"{means['true']['repeated'][0]:.1%}). Where drawing takes over from greedy choice, the last quarter holds "
        f"{late['greedy, then drawn']:.1%}."
    )
    if decoding[1] > 0 and freed:
        told += " Here a circle needs both: own words to read, and a choice that always follows them."
    return Finding(told, verdict)


def maximising(drift: dict[str, Any]) -> Finding:
    """Texts that end in a circle."""
    means, gap = drift["means"], drift["gaps"]["decoding"]["repeated"]
    told = ", ".join(
        f"{means[way]['loops']} of {means[way]['texts']} ({name})"
        for way, name in (("greedy", "greedy"), ("top-p", f"top-p {drift['top_p']}"), ("drawn", "T = 1"))
    )
    return Finding(
        f"Texts of {drift['n']} tokens that end in a circle: {told}. Greedy text repeats {100 * gap[0]:.1f} points "
        f"more than drawn text (95 % band {_signed(100 * gap[1])} to {_signed(100 * gap[2])}).",
        "holds" if gap[1] > 0 and means["drawn"]["loops"] < means["greedy"]["loops"] else "wrong",
    )


def calibration(drift: dict[str, Any]) -> Finding:
    """Perplexity on true text beside the equal choices that its entropy on its own text amounts to."""
    perplexity, choices, ratio = same_choices(drift)
    return Finding(
        f"Perplexity {perplexity:.1f} on the passages; along its own draws its entropy is like {choices:.1f} equal "
        f"choices, {ratio:.2f} times as many. (Braverman et al. report 23.7 and 61.2 for GPT-2 on web text; here "
        f"{drift['n_true']} tokens.)",
        "holds" if ratio > 1.5 else "simplified" if ratio > 1 else "wrong",
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
