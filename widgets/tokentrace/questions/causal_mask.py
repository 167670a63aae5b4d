"""Questions of chapter 1 on the mask: what one changed token moves, and how many passes a text takes."""

from __future__ import annotations

from tokentrace.causal_mask import MaskRun
from tokentrace.exercises import Choice, Number, Question
from tokentrace.student import pick


def questions(run: MaskRun) -> dict[str, Question]:
    """Return the questions on a recorded study of the mask; the run must hold at least one change."""
    made = (moved(run), open_mask(run), score_passes(), write_passes(), cut_cells(), peeking(run))
    return {question.name: question for question in made}


def moved(run: MaskRun) -> Question:
    """How many positions a change moves."""
    change = pick("moved", run.changes)
    n, at = len(run.ids), change.at
    count = sum(value > 0 for value in change.moved)
    return Number(
        "moved",
        f"A start token at position 0 and {n} tokens after it. The mask is on, and the token at position {at} is "
        "replaced. At how many of these positions does the guess move?",
        lambda: count,
        low=0,
        high=n + 1,
        step=1,
        tolerance=0,
        why={
            n - at: "You left out the changed position itself: what it guesses depends on the new token too.",
            at: "So many stand before it. Those cannot see the change.",
            n + 1: "That is every position. The mask keeps those before the change from seeing it.",
            1: "The changed token is read by all later positions, not only by its own.",
        },
        too_high="Positions before the change cannot see it: count from the changed one on.",
        too_low="All later positions may look back at the changed one: count them all.",
        because=f"Positions {at} to {n}: {n} − {at} + 1. Before them the measured change is exactly 0.",
    )


def open_mask(run: MaskRun) -> Question:
    """The same without a mask."""
    change = pick("open_mask", run.changes)
    at = change.at
    count = sum(value > 0 for value in change.moved_open[:at])
    return Number(
        "open_mask",
        f"Now the mask is off, and the token at position {at} is replaced. At how many of the {at} positions "
        "*before* it does the guess move?",
        lambda: count,
        low=0,
        high=len(run.ids) + 1,
        step=1,
        tolerance=0,
        why={
            0: "That is so with the mask. Without it every position reads the whole text.",
            1: "The change reaches not only its neighbour: every position reads every other one.",
        },
        too_low="Without the mask each of them has seen the changed token.",
        too_high="There are not so many positions before it.",
        because=f"All of them, by up to {change.before_open:.2g}. A guess that has seen what it should guess is none.",
    )


def score_passes() -> Question:
    """One pass for a text that is given."""
    n = pick("score_passes", (12, 20, 35, 50, 80, 120))
    return Number(
        "score_passes",
        f"A text of {n} tokens is *given*, and it fits into the context. How many forward passes are needed to get the "
        "conditional of every token?",
        lambda: 1,
        low=0,
        high=200,
        step=1,
        tolerance=0,
        why={
            n: "So many are needed to *write* them, since each has to be there before the next. Here all are given.",
            n - 1: "One guess for each token, but all in the same pass.",
            2: "Not even two: each position guesses what follows it, all at the same time.",
        },
        too_high="The whole text is there already: every position can be worked on at once.",
        too_low="Without a pass there is no guess.",
        because="The mask keeps each position from what follows it, so one pass holds all guesses at once.",
    )


def write_passes() -> Question:
    """One pass for each token that is written."""
    prompt, new = pick("write_passes", ((5, 20), (8, 30), (12, 40), (20, 60), (6, 25), (10, 90)))
    return Number(
        "write_passes",
        f"A prompt of {prompt} tokens is given, and {new} tokens are to be written by the plain loop, one at a time. "
        "How many forward passes is that?",
        lambda: new,
        low=0,
        high=200,
        step=1,
        tolerance=0,
        why={
            prompt + new: "The prompt is given, so all of it is read in one pass, and that pass gives a token already.",
            new + 1: "The pass that reads the prompt gives the first new token: it needs no pass of its own.",
            prompt: "That is the length of the prompt. It takes one pass, however long it is.",
            1: "One pass is enough to *score* a text. To write, each token must be chosen before the next pass.",
        },
        too_high="One pass for each new token; the first one reads the whole prompt.",
        too_low="No pass can guess what follows a token that has not been chosen yet.",
        because="Each new token takes one pass. (Chapter 5 shows how a draft can save some of them.)",
    )


def cut_cells() -> Question:
    """How much of the square is cut."""
    n = pick("cut_cells", (6, 8, 9, 10, 12, 15))
    size = n * (n - 1) // 2
    return Number(
        "cut_cells",
        f"Draw the mask for {n} positions as a square of {n} by {n} cells. How many cells are cut?",
        lambda: size,
        low=0,
        high=n * n,
        step=1,
        tolerance=0,
        why={
            n * (n + 1) // 2: "So many are left. A position may look at itself, so the diagonal stays.",
            n * n // 2: "Not quite half: the diagonal is not cut.",
            n * n: "Then nothing could be read at all.",
            n: "That is the diagonal, and it is not cut.",
        },
        too_high="Only the part above the diagonal is cut.",
        too_low="Count row by row: the first row loses all cells but one, the last row none.",
        because=f"{n} · {n - 1} / 2: everything above the diagonal.",
    )


def peeking(run: MaskRun) -> Question:
    """What a sum of logs without a mask is."""
    masked, opened = (sum(values) for values in (run.one_pass, run.no_mask))
    right = "No: each guess has seen the token that it guesses"
    return Choice(
        "peeking",
        f"With the mask the ln P of the tokens add up to −{-masked:.1f}, without it to −{-opened:.1f}. "
        "Is the second one the log-probability of the text, too?",
        lambda: right,
        options={
            right: "The chain rule multiplies conditionals on what stands *before*. These are conditioned on "
            "everything, so their product is no probability of the text.",
            "Yes, a better one, if it is higher": "A guess that has seen the answer is not better, it is cheating: "
            "nothing adds up to 1 over all texts any more.",
            "Yes: it is the same model with the same weights": "The weights are the same, but what each guess may "
            "look at is not. The chain rule allows only what stands before.",
            "No: without the mask it has no numbers to add": "It has some: softmax gives a number for every token. "
            "Ask what each of them was conditioned on.",
        },
    )
