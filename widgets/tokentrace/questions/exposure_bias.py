"""Questions of chapter 3 on measuring exposure bias: what the two published measures say of one run."""

from __future__ import annotations

from tokentrace.bias_run import ANCESTRAL, BiasRun
from tokentrace.bias_words import number, side
from tokentrace.exercises import Choice, Number, Question
from tokentrace.student import pick


def questions(run: BiasRun) -> dict[str, Question]:
    """Return the questions on a measured pair of models."""
    made = (easier_contexts(run), excess_by_hand(), reading_the_band(run))
    return {question.name: question for question in made}


def easier_contexts(run: BiasRun) -> Question:
    """A guess before the pictures, of where the learner is furthest from the truth."""
    names = [group.name for group in run.groups]
    return Choice(
        "easier_contexts",
        f"The model `{run.learner.name}` goes on from the data with several decoders. Along whose texts are its "
        f"guesses *furthest* from those of `{run.oracle.name}`? Guess before you look.",
        lambda: max(run.groups, key=lambda group: group.divergence).name,
        options={name: "" for name in names},
        because=lambda: (
            "Mean KL at a step: "
            + ", ".join(f"{group.name} {number(group.divergence, 2)}" for group in run.groups)
            + " nats."
        ),
        predict=True,
    )


def excess_by_hand() -> Question:
    """%ExAccErr from four numbers, and AccErr's meaning."""
    steps, on_data, on_own = pick("excess_by_hand", ((4, 0.5, 0.6), (5, 0.4, 0.5), (10, 0.2, 0.3), (8, 0.5, 0.4)))
    right = round(100 * (on_own / on_data - 1))
    return Number(
        "excess_by_hand",
        f"After data the learner’s error is {on_data:g} nats at every step, along a decoder’s own text it is "
        f"{on_own:g} nats. What is %ExAccErr after {steps} steps?",
        lambda: right,
        low=-100,
        high=200,
        step=1,
        tolerance=0,
        unit="%",
        why={
            round(100 * on_own / on_data): "That is the regret as a share of what data would give. The *excess* is "
            "what lies beyond 100%.",
            -right: "Look at the sign: more than on data is above 0, less is below.",
            round(steps * 100 * (on_own / on_data - 1)): "Both sums have the same number of steps, so their ratio "
            "does not grow with it.",
            round(100 * (1 - on_data / on_own)): "You divided by the decoder’s error. The excess is measured against "
            "the error on data.",
        },
        too_high="Divide the difference of the two sums by the sum on data.",
        too_low="Divide the difference of the two sums by the sum on data.",
        because=f"R = {steps} · {on_own:g} and l·ε = {steps} · {on_data:g}, so ({on_own:g} − {on_data:g}) / "
        f"{on_data:g} = {number(right)}%. It stays the same at every length: such an error does not compound.",
    )


def reading_the_band(run: BiasRun) -> Question:
    """What a band around a ratio does and does not say."""
    group = pick("reading_the_band", [each for each in run.decoders if each.name != ANCESTRAL] or run.decoders)
    value, low, high = group.excess.last()
    options = {
        "more error than along data": "Then the whole band would lie above 0.",
        "less error than along data": "Then the whole band would lie below 0.",
        "this run cannot tell": "Then 0 would lie within the band.",
    }
    right = list(options)[{1: 0, -1: 1, 0: 2}[side(low, high, 0)]]
    return Choice(
        "reading_the_band",
        f"After {group.excess.at[-1]} tokens %ExAccErr of {group.name} is {number(value, 1)}%, with a 95% band from "
        f"{number(low, 1)}% to {number(high, 1)}%. What has been shown of the contexts that it visits?",
        lambda: right,
        options=options | {right: "The band holds 0 only where the run cannot tell which side it is."},
    )
