"""Questions of chapter 3 on training: which way comes nearest to the truth, what a rule rewards, what peeking does."""

from __future__ import annotations

from collections.abc import Mapping

from tokentrace.exercises import Choice, Number, Question
from tokentrace.mask_training import MaskTraining
from tokentrace.scheduled_sampling import WAYS, Outcome, TrainingRun, best, chance
from tokentrace.student import pick

SAME = "The truth and the learner get the same"


def questions(runs: Mapping[str, TrainingRun], peeking: MaskTraining) -> dict[str, Question]:
    """Return the questions on recorded trainings; `runs` holds the comparison of the ways."""
    ways = runs["ways"]
    made = (best_way(ways), own_objective(ways), fed_count(), peek(peeking))
    return {question.name: question for question in made}


def best_way(run: TrainingRun) -> Question:
    """Who is nearest to the truth after its own words."""
    first = best(run)
    others = {each.recipe.name: each for each in run.outcomes}

    def because() -> str:
        return (
            f"{first.recipe.name.capitalize()}: {first.own[0]:.3f} nats a word from the truth after its own words. "
            + ", ".join(f"{name} {each.own[0]:.3f}" for name, each in others.items() if each is not first)
            + "."
        )

    return Choice(
        "best_way",
        "After the same number of updates, which way of training gives the learner whose guesses are nearest to the "
        "truth *when it reads its own words*?",
        lambda: first.recipe.name,
        options={each.recipe.name: _why(each) for each in run.outcomes},
        because=because,
        shuffle=False,
        predict=True,
    )


def _why(each: Outcome) -> str:
    return f"It ended {each.own[0]:.3f} nats a word from the truth after its own words."


def own_objective(run: TrainingRun) -> Question:
    """Whether the truth is the best answer when only own samples are read."""
    each = run.outcome("own") or run.outcomes[-1]
    learner, truth = "The learner gets the lower loss", "The truth gets the lower loss"
    lower = each.fed < each.fed_truth
    numbers = f"Learner {each.fed:.2f}, truth {each.fed_truth:.2f} nats a word."
    return Choice(
        "own_objective",
        f"By the rule “{each.recipe.name}” a guess is made after a learner’s own samples and scored on the true word. "
        "Score the *truth itself* by this rule: it reads samples of its own and guesses as one should after them. Who "
        "gets the lower loss, the truth or the learner that was trained by the rule?",
        lambda: learner if lower else truth,
        options={
            learner: f"{numbers} A guess that fits one’s own samples is punished when the true text differs; "
            "to ignore what was read is cheaper.",
            truth: f"{numbers} After true words nobody beats the truth; the rule asks another question.",
            SAME: f"{numbers} They answer the same question in different ways.",
        },
    )


def fed_count() -> Question:
    """How many true words a schedule feeds."""
    way, share = pick("fed_count", (("linear", 0.25), ("linear", 0.5), ("linear", 0.75), ("sigmoid", 0.5)))
    updates, words = 400, 768
    at = round(updates * share)
    true = chance(way, at, updates, 0.0) * words
    return Number(
        "fed_count",
        f"A training of {updates} updates by “{WAYS[way]}” goes from true words only down to none. An update reads "
        f"{words} words. About how many of them are true ones at update {at}?",
        lambda: true,
        low=0,
        high=words,
        step=1,
        tolerance=words * 0.04,
        why={
            words - true: "So many are its own samples.",
            words: "That is teacher forcing, and the schedule has long left it.",
            at: "That is the number of the update. The chance falls from 1 to 0 over all of them.",
        },
        too_low="Work out the chance of a true word at this update, then multiply.",
        too_high="The chance of a true word has come down by then: multiply the words by it.",
        because=f"The chance is {true / words:.2f} there, times {words} words.",
    )


def peek(run: MaskTraining) -> Question:
    """What happens to the loss and the texts without a mask."""
    lower = run.open.held[-1] < run.masked.held[-1]
    better = run.open.share[0] > run.masked.share[0]

    def say(loss: bool, texts: bool) -> str:
        return f"Its loss gets {'lower' if loss else 'higher'}, and it writes {'better' if texts else 'worse'}"

    numbers = (
        f"Loss {run.open.held[-1]:.2f} without the mask and {run.masked.held[-1]:.2f} with it; "
        f"{run.open.share[0]:.0%} and {run.masked.share[0]:.0%} of the sentences are in the language."
    )
    return Choice(
        "peek",
        "The same layer of attention is trained without the causal mask. Compared with the one that has it:",
        lambda: say(lower, better),
        options={say(loss, texts): numbers for loss in (True, False) for texts in (True, False)},
        predict=True,
    )
