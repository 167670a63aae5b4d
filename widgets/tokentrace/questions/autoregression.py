"""Questions of chapter 1 on regression: a guess from two years, rolling forward, and what a pair cannot know."""

from __future__ import annotations

from typing import Any

from tokentrace.autoregression import YULE, fit, roll_forward, sunspots
from tokentrace.exercises import Choice, Number, Question
from tokentrace.student import pick

# Beginnings and others that end in the same word, and some that do not.
BEGINNINGS = (
    ("The king opened the", "She fell into the", ("The king opened a", "The king opened his")),
    ("He was afraid of", "A cup of", ("He was afraid to", "He was afraid that")),
    ("The boy ran to", "Nothing is left to", ("The boy ran from", "The boy ran after")),
    ("She took the lamp and", "Bread and butter and", ("She took the lamp which", "She took the lamp but")),
)


def questions(interaction: dict[str, Any]) -> dict[str, Question]:
    """Return the questions on the sunspots, the table of pairs, and a recorded non-additive change."""
    made = (next_year(), rolling(), blind(), together(interaction), own_words())
    return {question.name: question for question in made}


def next_year() -> Question:
    """One step of the AR(2) by hand."""
    spots = sunspots()
    fitted = fit(spots.between(*YULE), 2)
    year = pick("next_year", (1930, 1937, 1941, 1948, 1951, 1958, 1960, 1971, 1982))
    before, last = spots[year - 2], spots[year - 1]
    # With the coefficients as they stand in the question, so that a pocket calculator finds the same.
    c, one, two = round(fitted.constant, 1), round(fitted.coefficients[0], 2), round(fitted.coefficients[1], 2)
    right = c + one * last + two * before
    return Number(
        "next_year",
        f"The AR(2) says x(t) = {c} + {one} · x(t−1) − {-two} · x(t−2). In {year - 2} there were {before:g} sunspots "
        f"on average, in {year - 1} {last:g}. What does it guess for {year}?",
        lambda: right,
        low=-50,
        high=300,
        tolerance=0.6,
        why={
            c + one * before + two * last: "The two years are the wrong way round: x(t−1) is the year just before.",
            one * last + two * before: f"You left out the constant {c}.",
            c
            + one * last
            - two * before: "The second coefficient is negative: what was high two years ago counts against.",
            last: "That is the year before. The regression weighs both years.",
        },
        too_high="Multiply each year by its own coefficient, mind the minus, and add the constant.",
        too_low="Multiply each year by its own coefficient, mind the minus, and add the constant.",
        because=f"{c} + {one} · {last:g} − {-two} · {before:g}. In {year} there were {spots[year]:g}: "
        "a regression guesses, it does not know.",
    )


def rolling() -> Question:
    """Where the AR(2) goes on its own guesses."""
    spots = sunspots()
    fitted = fit(spots.between(*YULE), 2)
    far = roll_forward(fitted, spots.between(*YULE), 200)[-1]
    right = f"It rests near {fitted.mean:.0f}"
    settled = abs(far - fitted.mean) < 0.5
    return Choice(
        "rolling",
        "The AR(2) goes on from 1924 on nothing but its own guesses, and no noise is added. What does it say for a "
        "year long after that?",
        lambda: right if settled else None,
        options={
            right: "Each swing keeps a part of the one before, and nothing new comes in: it dies down to the mean.",
            "It cycles for ever, as the sun does": "The sun is pushed anew every year. Without that noise each of its "
            "swings is smaller than the last.",
            "It grows beyond all bounds": "It would if a root were larger than 1. Here the swings shrink.",
            "It stops: there is no true year to look at": "It looks at its own guesses. Nothing tells it that they are "
            "not true.",
        },
    )


def blind() -> Question:
    """What a pair cannot know."""
    text, same, others = pick("blind", BEGINNINGS)
    last = text.split()[-1]
    options = {
        f"`{same}`": f"Both end in `{last}`, and that is all a 2-gram looks at.",
        **{
            f"`{each}`": f"It shares its beginning, but ends in `{each.split()[-1]}`: a 2-gram looks up another row."
            for each in others
        },
        "None: every beginning gets a guess of its own": "That is so for a GPT-2. A table of pairs has a row a token.",
    }
    return Choice(
        "blind",
        f"A 2-gram guesses what follows `{text}`. For which other beginning does it guess exactly the same?",
        lambda: f"`{same}`",
        options=options,
    )


def together(interaction: dict[str, Any]) -> Question:
    """Additive or not."""
    language = interaction["language"]
    none, first, second, both = language["values"]
    one, two = first - none, second - none
    words = [f"`{old.strip()}` by `{new.strip()}`" for old, new in (language["first"], language["second"])]
    right = f"{_sign(both - none)}: what one word does depends on the other"
    return Choice(
        "together",
        f"In `{language['text']}` the log-probability of `{language['target'].strip()}` changes by {_sign(one)} nats "
        f"when {words[0]} is replaced, and by {_sign(two)} when {words[1]} is. What happens when both are?",
        lambda: right,
        options={
            right: "Measured. No weighted sum of words can do that: its changes add up.",
            f"{_sign(one + two)}: the two add up": "So it would be for a weighted sum, such as the AR(2). A network "
            "multiplies and bends: the words interact.",
            f"{_sign(min(one, two))}: the larger one alone counts": "Neither change hides the other. Measure it.",
            f"{_sign((one + two) / 2)}: their mean": "Nothing is averaged here. Both changes act at once.",
        },
    )


def own_words() -> Question:
    """What a regressor conditions on."""
    n = pick("own_words", (9, 14, 22, 31))
    return Number(
        "own_words",
        f"A GPT-2 scores a letter of {n} tokens that somebody else has written. How many tokens of its own does it "
        "read while it does so?",
        lambda: 0,
        low=0,
        high=60,
        step=1,
        tolerance=0,
        why={
            n: "It reads them, but they are not its own: somebody else wrote them.",
            n - 1: "It reads so many before the last one, and none of them is its own.",
            1: "Not even the last one: its guesses are compared with the letter, not written down.",
        },
        too_high="In scoring, nothing that it guesses is ever put back into the text.",
        too_low="Fewer than none cannot be.",
        because="Auto-regression means conditioning on the sequence so far. Feeding on itself is only how it writes.",
    )


def _sign(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{abs(value):.2f}"
