"""Questions of chapter 3 on recovery and drift: how soon an error is forgotten, and what makes a text go round."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from tokentrace.exercises import Choice, Question
from tokentrace.recovery import OTHER, Recovery
from tokentrace.student import pick

ALIKE = 0.1  # two divergences that differ by less than this share are about the same


def questions(run: Recovery, drift: dict[str, Any]) -> dict[str, Question]:
    """Return the questions on a measured recovery and a measured drift."""
    made = (half_gone(run), on_its_own(run), slower(run), circle(drift))
    return {question.name: question for question in made}


def half_gone(run: Recovery) -> Question:
    """How soon half of the divergence is gone, before it is shown."""
    kind = pick("half_gone", [kind for kind in run.kinds if kind in ("random word", "repeated word")] or run.kinds)
    curve, steps = run.curve(kind), run.steps
    ranges = [(2, 3), (4, 8), (9, 16), (17, steps)]
    within = {f"after {low} to {high} tokens": (low, high) for low, high in ranges if low <= high}
    never = f"not within {steps} tokens"
    right = next((text for text, (low, high) in within.items() if curve.half and low <= curve.half <= high), never)
    found = "It does not halve" if curve.half is None else f"After {curve.half} tokens it has halved"
    answers = [*within, never]
    soon = "So soon? Until then the error is still among the last few tokens that the guess hangs on most."
    late = "Each true token that follows pushes the error further back, and nearby tokens tell most of what comes next."
    return Choice(
        "half_gone",
        f"In {run.prefixes} prefixes the last token is replaced (“{kind}”); then all of them go on as the passage "
        "does. When is half of the divergence of the guesses gone, on average?",
        lambda: right,
        options={answer: soon if place < answers.index(right) else late for place, answer in enumerate(answers)},
        because=f"{found}: it goes from {curve.mean[0]:.2f} to {curve.mean[-1]:.2f} in total variation.",
        shuffle=False,
    )


def on_its_own(run: Recovery) -> Question:
    """Where an error leads when the model reads its own words."""
    kind = pick("on_its_own", run.kinds[:3])
    error, other = (run.curve(each, "own").mean[-1] for each in (kind, OTHER))
    options = {
        "much closer": "Then the same random numbers would have brought it back to the text that it had left.",
        "about as far apart": "A single other word is enough for another text: on the same numbers too.",
        "much farther apart": "Then an error would lead to worse than simply another text.",
    }
    factor = error / max(other, 1e-9)
    right = list(options)[0 if factor < 1 - ALIKE else 2 if factor > 1 + ALIKE else 1]
    return Choice(
        "on_its_own",
        f"Now the model goes on by itself: once after the true prefix, once after an error (“{kind}”), on the same "
        f"random numbers. {run.steps} tokens later, how far apart are the two guesses, beside two runs *without* any "
        "error on *other* random numbers?",
        lambda: right,
        options=options,
        because=f"{error:.2f} with the error, {other:.2f} without one. {options[right]}",
        shuffle=False,
    )


def slower(run: Recovery) -> Question:
    """Which of two wrong prefixes is minded longer."""
    beyond = run.steps + 1
    halves = {kind: run.curve(kind).half or beyond for kind in run.kinds}
    # A pair that differs, so that there is something to find.
    pairs = [pair for pair in combinations(run.kinds, 2) if halves[pair[0]] != halves[pair[1]]]
    one, other = pick("slower", pairs or list(combinations(run.kinds, 2)))
    said = {kind: f"more than {run.steps}" if halves[kind] == beyond else str(halves[kind]) for kind in (one, other)}
    hint = "Ask how much of what the next guesses read is not as it was, and how far back it lies."
    same = "Both halve after as many tokens"
    right = same if halves[one] == halves[other] else max((one, other), key=halves.__getitem__)
    return Choice(
        "slower",
        "The text goes on as it was. After which prefix does it take longer until half of the first divergence is "
        f"gone: “{one}” or “{other}”?",
        lambda: right,
        options=dict.fromkeys((one, other, same), hint),
        because=f"Half of it is gone after {said[one]} tokens ({one}) and after {said[other]} ({other}).",
        shuffle=False,
    )


def circle(drift: dict[str, Any]) -> Question:
    """Whether drawing leads out of a circle that greedy choice has led into."""
    stays, leaves = drift["late"]["greedy"], drift["late"]["greedy, then drawn"]
    options = {
        "It goes on in its circle": "Then what it has read would be enough to keep it there, however it chooses.",
        "It gets out, for the most part": "What it has read pulls it back, but only a choice that always takes the "
        "best token follows that pull every time.",
        "There was no circle to get out of": "Then greedy choice would not repeat itself here.",
    }
    right = list(options)[2 if stays < 0.2 else 0 if leaves > stays / 2 else 1]
    return Choice(
        "circle",
        "Half-way through a greedy text, tokens are drawn at temperature 1 instead. The model has all the repeated "
        "text before its eyes. What does it do?",
        lambda: right,
        options=options,
        because=f"In the last quarter {leaves:.1%} of it is repeated, instead of {stays:.1%}. {options[right]}",
        shuffle=False,
    )
