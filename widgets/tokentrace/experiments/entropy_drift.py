"""The measurement of entropy drift: what stands in a model's own text, and what its way of choosing adds."""

from __future__ import annotations

from typing import Any

from tokentrace.experiments import Experiment, Told

NAMES = {
    "true": "true text",
    "drawn": "own text, drawn at T = 1",
    "top-p": "own text, top-p",
    "greedy": "own text, greedy",
    "greedy, then drawn": "greedy, then drawn",
}


def tell_drift(record: dict[str, Any]) -> Told:
    """Say how own text differs from true text, and greedy text from drawn text."""
    means, gaps, late = record["means"], record["gaps"], record["late"]
    drawn, true, greedy = (means[way] for way in ("drawn", "true", "greedy"))
    moved = gaps["exposure"]["entropy"]
    sentence = (
        f"Over {record['n_true']} tokens the guess has {true['entropy'][0]:.2f} bits of entropy along the passages and "
        f"{drawn['entropy'][0]:.2f} along text that it drew itself: {_differ(moved)}. Stretches of {record['gram']} "
        f"tokens that stood there before: {true['repeated'][0]:.1%} in the passages, {drawn['repeated'][0]:.1%} in "
        f"drawn text, {greedy['repeated'][0]:.1%} in greedy text; {greedy['loops']} of {greedy['texts']} greedy texts "
        "end in a circle. "
    )
    sentence += _decided(gaps["exposure"]["repeated"], gaps["decoding"]["repeated"])
    sentence += (
        f" Where drawing takes over half-way, the last quarter holds {late['greedy, then drawn']:.1%} instead of "
        f"{late['greedy']:.1%}."
    )
    rows = []
    for way, name in NAMES.items():
        of, bins = means[way], record["bins"][way]["entropy"]
        rows.append(
            (
                name,
                f"{bins[0][0]:.2f}",
                f"{bins[-1][0]:.2f}",
                f"{2 ** of['entropy'][0]:.1f}",
                f"{2 ** of['surprise']:.1f}",
                f"{of['repeated'][0]:.1%}",
                f"{of['distinct_3']:.2f}",
                f"{of['loops']} of {of['texts']}",
            )
        )
    heads = (
        "text", "entropy at first, bits", "at the end", "like equal choices", "perplexity of what came",
        "repeated", "distinct triples", "end in a circle",
    )  # fmt: skip
    return Told(sentence, heads, rows)


def _differ(gap: list[float]) -> str:
    """A difference of means with its band, and whether 0 lies in it."""
    mean, low, high = gap
    band = f"a difference of {mean:+.2f} (95 % band {low:+.2f} to {high:+.2f}"
    return f"{band}, which holds 0)".replace("-", "−") if low <= 0 <= high else f"{band})".replace("-", "−")


def _decided(exposure: list[float], decoding: list[float]) -> str:
    """What the repetition is owed to, as far as the two differences say."""
    (drawn, low, high), (greedy, least, _) = exposure, decoding
    if least <= 0:
        return "Greedy text repeats itself no more than drawn text here."
    if low <= 0 <= high:
        return (
            "Reading its own words adds no repetition that can be told from chance; always taking the best token does."
        )
    share = drawn / (drawn + greedy)
    if low > 0:
        return f"Of what greedy text repeats beyond true text, {share:.1%} is there in drawn text already."
    return "Drawn text repeats less than true text; always taking the best token repeats more."


def same_choices(record: dict[str, Any]) -> tuple[float, float, float]:
    """Perplexity on true text, and 2 to the entropy along drawn text, as Braverman et al. compare; and their ratio."""
    perplexity, choices = 2 ** record["means"]["true"]["surprise"], 2 ** record["means"]["drawn"]["entropy"][0]
    return perplexity, choices, choices / perplexity


DRIFT = Experiment(
    "entropy_drift",
    "Does it drift on its own words?",
    tell_drift,
    "entropy_drift:entropy_drift",
    "figures.entropy_drift:entropy_drift",
)
