"""What a measurement of exposure bias has shown, in sentences that follow from its numbers in either direction."""

from __future__ import annotations

from tokentrace.bias_run import ANCESTRAL, BiasRun, Group

NAMES = {"total_variation": "total variation", "jensen_shannon": "Jensen-Shannon divergence"}


def side(low: float, high: float, even: float) -> int:
    """1 or −1 if a whole band lies above or below what is even, else 0."""
    return (low > even) - (high < even)


def number(value: float, digits: int = 0) -> str:
    """A number with a real minus sign, and no minus before a zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def band(ends: tuple[float, float, float], digits: int = 0, unit: str = "") -> str:
    """An estimate and its band."""
    value, low, high = (number(each, digits) for each in ends)
    return f"{value}{unit} (95% band {low} to {high})"


def say_prefixes(run: BiasRun, measure: str) -> str:
    """He et al.'s ratio over all prefix lengths."""
    value, low, high = ends = run.overall[measure]
    words = {1: "That is an exposure bias", 0: "No exposure bias is shown", -1: "That is the opposite of a bias"}
    shown = f"{words[side(low, high, 1)]}: the band lies {('below', 'around', 'above')[side(low, high, 1) + 1]} 1."
    if low == high == 1:
        shown = "There is nothing to lose: the learner is the oracle, or as good."
    if measure == "quality":
        return (
            f"EB-M = {band(ends, 2)}: after the data’s prefixes {run.learner.name} writes {number(value, 2)} times as "
            f"well as after its own, by the oracle’s mean probability of a token. {shown}"
        )
    return (
        f"EB-C = {band(ends, 2)} in {NAMES[measure]}, over all lengths at once: after its own prefixes "
        f"{run.learner.name} is {number(value, 2)} times as far from the truth as after the data’s. {shown}"
    )


def say_excess(run: BiasRun, decoder: str) -> str:
    """Arora et al.'s excess of one decoder, and how all of them lie."""
    group = run.group(decoder)
    if group is None:
        return "No decoder is measured yet."
    at, ends = group.excess.at[-1], group.excess.last()
    early = next(place for place, step in enumerate(group.excess.at) if step >= min(8, at))
    sides = [side(*each.excess.last()[1:], 0) for each in run.decoders]
    less, more, even = (sides.count(each) for each in (-1, 1, 0))
    return (
        f"{decoder}: {at} steps gathered the error of {number(group.acc_err.last()[0], 1)} steps on data, "
        f"%ExAccErr = {band(ends, 1, '%')}; it was {number(group.excess.value[early], 1)}% after "
        f"{group.excess.at[early]} {'token' if group.excess.at[early] == 1 else 'tokens'}. Of {len(run.decoders)} "
        f"{'decoder' if len(run.decoders) == 1 else 'decoders'}, {more} gathered more than on data, {less} less, "
        f"and {even} {'shows' if even == 1 else 'show'} no difference."
    )


def say_contexts(run: BiasRun, decoder: str) -> str:
    """Where the texts of data, ancestral sampling and one decoder lie, and what that makes of the dispute."""
    data, shown = run.groups[0], [run.group(name) for name in dict.fromkeys((ANCESTRAL, decoder))]
    parts = [f"the data cost the oracle {number(data.surprise, 1)} nats a token, and the learner’s error there is "
             f"{number(data.divergence, 2)} nats"]  # fmt: skip
    parts += [f"{name_of(each)}: {number(each.surprise, 1)} and {number(each.divergence, 2)}" for each in shown if each]
    return f"{'; '.join(parts)}. {verdict(run)}".replace("the data cost", "The data cost", 1)


def name_of(group: Group) -> str:
    """A decoder as it is called in a sentence."""
    return "ancestral samples" if group.name == ANCESTRAL else group.name


def verdict(run: BiasRun) -> str:
    """Whether the visited contexts decide: both sides may be right about their own."""
    plain = run.group(ANCESTRAL)
    others = [group for group in run.decoders if group.name != ANCESTRAL]
    apart = [group for group in others if side(*group.excess.last()[1:], 0)]
    if plain is None or not others:
        return "Measure another decoder beside ancestral sampling to compare."
    calm = side(*plain.excess.last()[1:], 0) == 0
    if not apart:
        return "Here no decoder’s contexts make a difference that the bands can show."
    values = [group.excess.last()[0] for group in apart]
    far = f"{number(min(values))}% to {number(max(values))}%" if len(values) > 1 else f"{number(values[0])}%"
    if calm:
        return (
            f"Plain sampling leaves the error as it is on data; along the texts of {len(apart)} of {len(others)} other "
            f"decoders it changes, by {far}. Which contexts are visited decides, so both sides can be right."
        )
    return (
        f"Here plain sampling itself changes the error, by {number(plain.excess.last()[0])}%, and {len(apart)} of "
        f"{len(others)} other decoders by {far}."
    )
