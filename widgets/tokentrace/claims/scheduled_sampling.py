"""What sources say of training on true words and of the mask, beside what these trainings gave."""

from __future__ import annotations

from tokentrace.claims import Claim, Finding
from tokentrace.mask_training import MaskTraining
from tokentrace.scheduled_sampling import Outcome, TrainingRun, apart

WHITE_PAPER = "a white paper on autoregressive models"
SHEKHAR = "A. Shekhar, *Autoregressive Models*"
SAME = 1e-4  # gradients that differ by less, relative to their length, differ by rounding


def claims(ways: TrainingRun, texts: TrainingRun, width: TrainingRun, mask: MaskTraining) -> list[Claim]:
    """Return the rows that these trainings can measure; one that lacks what a row compares leaves it empty."""
    return [
        Claim("Teacher forcing creates exposure bias.", WHITE_PAPER, lambda: created(ways)),
        Claim(
            "Feeding a learner more and more of its own samples makes it better at going on from its own words.",
            "Bengio et al. 2015, on captions",
            lambda: scheduled(ways),
        ),
        Claim(
            "The rule of scheduled sampling is not consistent: the truth is not its best answer.",
            "Huszár 2015",
            lambda: consistent(ways),
        ),
        Claim(
            "What is called exposure bias is a lack of generalisation: more text makes the gap smaller.",
            "after Schmidt 2019",
            lambda: shrinks(texts, "text"),
        ),
        Claim("A larger model makes the gap smaller, too.", "after Schmidt 2019", lambda: shrinks(width, "width")),
        Claim(
            "With the causal mask and true words given, all places are trained in one pass.",
            "Vaswani et al. 2017; every source here",
            lambda: in_one_pass(mask),
        ),
        Claim(
            "A score of minus infinity before the softmax keeps a place from seeing later words.",
            SHEKHAR,
            lambda: hidden(mask),
        ),
        Claim("A model that may peek in training would just copy the answer.", SHEKHAR, lambda: copies(mask)),
    ]


def created(run: TrainingRun) -> Finding | None:
    """Whether teacher forcing alone has a gap, and whether ways without it have none."""
    teacher = run.outcome("teacher")
    others = [each for each in run.outcomes if each.recipe.way != "teacher"]
    if teacher is None or not others:
        return None
    told = ", ".join(f"{each.recipe.name} {_pair(each)}" for each in others)
    has = teacher.ratio[1] > 1
    free = [each for each in others if each.ratio[0] < teacher.ratio[0]]
    worse = [each for each in free if each.own[1] > teacher.own[2]]
    if not has:
        verdict, end = "wrong", "Its ratio does not differ from 1 by more than chance."
    elif free and len(worse) == len(free):
        verdict = "simplified"
        end = "Ways with fewer true words have a smaller ratio, but are further from the truth on their own words."
    else:
        verdict = "holds" if free else "simplified"
        end = "A way with fewer true words has a smaller ratio." if free else "Other ways have no smaller ratio."
    return Finding(f"KL after true and after own words: teacher forcing {_pair(teacher)}; {told}. {end}", verdict)


def scheduled(run: TrainingRun) -> Finding | None:
    """The schedules against teacher forcing after own words."""
    teacher = run.outcome("teacher")
    mixed = [each for each in run.outcomes if each.recipe.way in ("linear", "exponential", "sigmoid")]
    if teacher is None or not mixed:
        return None
    first = min(mixed, key=lambda each: each.own[0])
    better = first.own[0] < teacher.own[0]
    sure = apart(first, teacher)
    verdict = ("holds" if better else "wrong") if sure else "simplified"
    chance = "" if sure else " That may be chance."
    return Finding(
        f"After own words the best schedule ({first.recipe.name}) is {first.own[0]:.3f} nats from the truth, teacher "
        f"forcing {teacher.own[0]:.3f}; {first.share[0]:.0%} and {teacher.share[0]:.0%} of their sentences are in the "
        f"language.{chance} Here the text is free: nothing outside it says what is to come, as a picture does for a "
        "caption.",
        verdict,
    )


def consistent(run: TrainingRun) -> Finding | None:
    """Learner and truth by the rule of the last update."""
    mixed = [each for each in run.outcomes if each.recipe.way != "teacher"]
    if not mixed:
        return None
    told = ", ".join(f"{each.recipe.name}: learner {each.fed:.2f}, truth {each.fed_truth:.2f}" for each in mixed)
    below = sum(each.fed < each.fed_truth for each in mixed)
    teacher = run.outcome("teacher")
    beside = f" By teacher forcing: learner {teacher.fed:.2f}, truth {teacher.fed_truth:.2f}." if teacher else ""
    return Finding(
        f"Loss by the rule of the last update, nats a word: {told}.{beside}",
        "holds" if below == len(mixed) else "simplified" if below else "wrong",
    )


def shrinks(run: TrainingRun, what: str) -> Finding | None:
    """Gap and ratio from the smallest to the largest learner."""
    if run.plan.kind != {"text": "texts", "width": "width"}[what] or len(run.outcomes) < 2:
        return None
    small, large = run.outcomes[0], run.outcomes[-1]
    nearer, narrower = large.own[0] < small.own[0], large.gap < small.gap
    if nearer:
        end = (
            "It loses less after its own words, and the gap is smaller."
            if narrower
            else (
                "It loses less after its own words, but it gains even more after true ones, so the gap is not smaller."
            )
        )
    else:
        end = "It does not lose less after its own words."
    return Finding(
        f"From {small.recipe.name} to {large.recipe.name}: after true words {small.data[0]:.3f} to {large.data[0]:.3f} "
        f"nats from the truth, after own words {small.own[0]:.3f} to {large.own[0]:.3f}. The difference goes from "
        f"{small.gap:.3f} to {large.gap:.3f}, their ratio from {small.ratio[0]:.2f} to {large.ratio[0]:.2f}. {end}",
        "holds" if nearer and narrower else "simplified" if nearer else "wrong",
    )


def in_one_pass(run: MaskTraining) -> Finding:
    """Gradients of one pass and of a pass for each place."""
    same = run.gradients_apart < SAME
    return Finding(
        f"One backward pass over {run.places} places of a batch took {run.one_ms:.0f} ms, one for each place "
        f"{run.many_ms:.0f} ms. The gradients differ by {run.gradients_apart:.0e} of their length.",
        "holds" if same and run.one_ms < run.many_ms else "simplified" if same else "wrong",
    )


def hidden(run: MaskTraining) -> Finding:
    """What a changed later word does to earlier guesses."""
    return Finding(
        f"With the mask a changed word moved the logits before it by {run.masked.leak:g} at most, without it by "
        f"{run.open.leak:.3g}.",
        "holds" if run.masked.leak == 0 < run.open.leak else "wrong",
    )


def copies(run: MaskTraining) -> Finding:
    """Loss below the truth's, and nothing learned for writing."""
    below, useless = run.open.held[-1] < run.truth, run.open.alone[-1] > run.masked.alone[-1]
    return Finding(
        f"Trained without the mask, the loss on new text is {run.open.held[-1]:.2f} nats a word; the truth’s own is "
        f"{run.truth:.2f}. With only the words before, it is {run.open.alone[-1]:.2f}, and {run.open.share[0]:.0%} of "
        f"the sentences are in the language; with the mask {run.masked.alone[-1]:.2f} and {run.masked.share[0]:.0%}.",
        "holds" if below and useless else "wrong",
    )


def _pair(each: Outcome) -> str:
    return f"{each.data[0]:.3f} and {each.own[0]:.3f}, ratio {each.ratio[0]:.2f}"
