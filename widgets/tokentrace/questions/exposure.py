"""Questions of chapter 3 on the two lanes: what being fed its own words costs, and what an error can reach."""

from __future__ import annotations

from collections.abc import Sequence

from tokentrace.exercises import Choice, Number, Question
from tokentrace.exposure import TwoLanes
from tokentrace.student import pick


def questions(runs: Sequence[TwoLanes]) -> dict[str, Question]:
    """Return the questions on recorded runs of the two lanes, the one that the page opens with first."""
    made = (lane_loss(runs[0]), lane_passes(), lane_zeros(runs), error_reach(runs))
    return {question.name: question for question in made}


def lane_loss(run: TwoLanes) -> Question:
    """A guess before the run: how much the true words cost a lane that does not see them."""
    return Number(
        "lane_loss",
        f"One model guesses {len(run.true)} tokens of a text. Once it is shown the true words before each guess, once "
        "it sees only what it wrote itself. How many times as large is its mean loss on the true ones the second time?",
        lambda: run.free_loss / run.forced_loss,
        low=1,
        high=10,
        step=0.1,
        predict=True,
        ends=("no larger", "ten times"),
        because=f"{run.forced_loss:.2f} nats fed the true text, {run.free_loss:.2f} fed its own words. The second "
        "number is no fault of the model: it wrote another text, and a good one may be as far from this one.",
    )


def lane_passes() -> Question:
    """One pass for the upper lane, one a token for the lower."""
    opening, n = pick("lane_passes", ((8, 24), (10, 30), (12, 32), (15, 40), (20, 28), (6, 36)))
    return Number(
        "lane_passes",
        f"Both lanes are given {opening} tokens and then go on for {n}. The upper one is fed the true text, the lower "
        "one its own words. How many forward passes do the two need *together*?",
        lambda: n + 1,
        low=0,
        high=120,
        step=1,
        tolerance=0,
        why={
            2 * n: "The upper lane knows all its inputs beforehand: it does not have to go token by token.",
            2: "The lower lane cannot read a word before it has chosen it, and one pass chooses one.",
            n: "That is the lower lane alone.",
            n + 2: "The pass that reads the opening chooses the first token already.",
            opening + n + 1: "The opening is given: the first pass reads all of it at once.",
            opening + n: "The opening is given: one pass reads all of it. And do not forget the upper lane.",
        },
        too_high="The upper lane is one pass, the lower one a pass for each token.",
        too_low="The lower lane needs a pass for each token: each is an input of the next.",
        because=f"1 for the upper lane and {n} for the lower one.",
    )


def lane_zeros(runs: Sequence[TwoLanes]) -> Question:
    """The guess at the place where the texts part is still made from the same words."""
    known = {"greedy": "the greedy run", "sample": "the sampled run"}
    run = pick("lane_zeros", [each for each in runs if each.parted is not None] or runs)
    parted = len(run.true) - 1 if run.parted is None else run.parted
    return Number(
        "lane_zeros",
        f"Look at {known[run.settings.strategy]}, “{run.title}”. At how many places is the divergence of the two "
        "guesses *exactly* 0?",
        lambda: parted + 1,
        low=0,
        high=len(run.true),
        step=1,
        tolerance=0,
        why={
            parted: "Count the place where the texts part, too: that guess was made before the words differed.",
            len(run.true): "That would need two lanes that write the same text to the end.",
            0: "At the first place both have read only what was given.",
        },
        too_high="From the place after the first different word on they read different texts.",
        too_low="As long as both have read the same words they make the same guess.",
        because="Every place up to the one where the texts part: the same function of the same words.",
    )


def error_reach(runs: Sequence[TwoLanes]) -> Question:
    """What an error can move."""
    n = len(runs[0].true)
    at = pick("error_reach", [place for place in (3, 5, 8, 11, 14, 17) if place < n] or [1])
    right = f"Those at places {at + 1} to {n}"
    return Choice(
        "error_reach",
        f"A run of {n} places gets a wrong word at place {at}. Which guesses can differ from those of the run without "
        "it?",
        lambda: right,
        options={
            right: "The guess at a place is made from the words before it.",
            f"Those at places {at} to {n}": f"The guess at place {at} is made before the wrong word stands there.",
            f"Only that at place {at + 1}": "All later ones have the wrong word in what they have read.",
            "All of them": "The words before the error are the same, and no guess looks ahead.",
            f"Those at places {at + 1} to {n}, each more than the one before": "They can differ; that they must "
            "differ more and more does not follow. The page measures it.",
        },
    )
