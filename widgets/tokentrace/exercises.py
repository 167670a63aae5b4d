"""Questions about a run: asked before the answer is shown, judged at once, with a reason.

The answer is a value or a function, taken from a trace: it stands in no cell and leaves Python only when the
student has answered. `tokentrace.views.Exercise` shows a question, `tokentrace.score` counts the answers.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tokentrace.student import chance

LONGEST_ANSWER = 200  # characters
MINUS = "\N{MINUS SIGN}"
STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})  # curly quotation marks
FACTORS = {1000: "a thousand", 100: "a hundred", 10: "ten"}


class AnswerError(ValueError):
    """An answer that cannot be judged; the message is a sentence for the student, and no try is counted."""


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer: true unless it is wrong, and as text what the student reads.

    Attributes
    ----------
    right : None for a guess, which is not judged.
    say, because : the verdict and its reason.
    side : of a wrong number, "low" or "high".
    """

    right: bool | None
    say: str
    because: str = ""
    side: str = ""

    def __bool__(self) -> bool:
        return self.right is not False

    def __str__(self) -> str:
        return f"{self.say} {self.because}".strip()


@dataclass(frozen=True)
class Question:
    """What all kinds of question share; ask a `Choice`, a `Number` or a `Text`.

    Parameters
    ----------
    name : a short word of its own on the page; the score and `check` know the question by it.
    text : the question; `code` in backticks, *stressed* and **strong** between stars.
    answer : the right answer, or a function that returns it. The function may look at a run that is not there
        yet: while it returns None or meets an unknown name, the student is told to run it first.
    why : wrong answers that somebody may well give, and why each is tempting but wrong; or a function of the
        wrong answer that says so.
    because : why the right answer is right; or a function that says so.
    predict : a guess before a run: no answer is wrong, it is kept and shown beside what was measured.
    """

    kind: ClassVar[str] = ""

    name: str
    text: str
    answer: Any
    why: Mapping[Any, str] | Callable[[Any], str] = field(default_factory=dict, kw_only=True)
    because: str | Callable[[], str] = field(default="", kw_only=True)
    predict: bool = field(default=False, kw_only=True)

    def ask(self) -> dict[str, Any]:
        """Return what a browser may know before there is an answer."""
        return {"kind": self.kind, "text": self.text, "predict": self.predict}

    def read(self, answer: Any) -> Any:
        """Return an answer as this kind takes it; an AnswerError if it is none."""
        raise NotImplementedError

    def measured(self) -> Any:
        """Return the right answer; an AnswerError while the run that it comes from is not there."""
        try:
            value = _now(self.answer)
        except NameError:
            value = None
        if value is None:
            raise AnswerError("There is nothing to compare with yet. Run the next cell, then press the button again.")
        return value

    def check(self, answer: Any) -> Verdict:
        """Judge an answer. A wrong one is told why it is wrong, not what would be right."""
        answer, right = self.read(answer), self.measured()
        if self.predict:
            return Verdict(None, self._compare(answer, right), self._because(right))
        if self._accepts(answer, right):
            return Verdict(True, self._praise(answer, right), self._because(right))
        return Verdict(False, self._blame(answer, right), self._reason(answer, right), self._side(answer, right))

    def reveal(self) -> Verdict:
        """Give the answer away."""
        right = self.measured()
        return Verdict(False, f"It is {self._show(right)}.", self._because(right))

    def _show(self, value: Any) -> str:
        return str(value)

    def _accepts(self, answer: Any, right: Any) -> bool:
        return answer == right

    def _praise(self, _answer: Any, right: Any) -> str:
        return f"Right: {self._show(right)}."

    def _blame(self, _answer: Any, _right: Any) -> str:
        return "Not this one."

    def _side(self, _answer: Any, _right: Any) -> str:
        return ""

    def _because(self, _right: Any) -> str:
        return _now(self.because)

    def _reason(self, answer: Any, _right: Any) -> str:
        return self.why(answer) if callable(self.why) else self.why.get(answer, "")

    def _compare(self, answer: Any, right: Any) -> str:
        if self._accepts(answer, right):
            return f"As you guessed: {self._show(right)}."
        return f"You guessed {self._show(answer)}; it is {self._show(right)}."


@dataclass(frozen=True)
class Choice(Question):
    """One of several options is right.

    Parameters
    ----------
    options : each option, and why it is wrong or right.
    shuffle : another order for every student; not where the options have an order of their own.
    """

    kind = "choice"

    options: Mapping[str, str] = field(kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)

    def ask(self) -> dict[str, Any]:
        """Return the question and its options without their reasons."""
        options = list(self.options)
        if self.shuffle:
            chance(self.name).shuffle(options)
        return super().ask() | {"options": options}

    def read(self, answer: Any) -> str:
        """Return one of the options; an AnswerError if it is none."""
        if not isinstance(answer, str) or answer not in self.options:
            raise AnswerError("Choose one of the answers first.")
        return answer

    def measured(self) -> str:
        """Return the right option; a ValueError if the run's answer is none of them."""
        if (value := super().measured()) not in self.options:
            raise ValueError(f"{value!r} is none of the options of {self.name!r}")
        return value

    def _because(self, right: str) -> str:
        return super()._because(right) or self.options[right]

    def _reason(self, answer: str, right: str) -> str:
        return super()._reason(answer, right) or self.options[answer]


@dataclass(frozen=True)
class Number(Question):
    """A guess on a number line; the answer appears on the same line.

    Parameters
    ----------
    low, high : ends of the line; a guess beyond them can be typed.
    unit : in the plural; "%" stands close to its number.
    log : equal steps along the line are equal factors.
    step : how finely the handle moves; 1 or more for whole numbers.
    tolerance : how far off is still right: in units, by default a twentieth of the line; on a logarithmic
        line a factor, by default 1.25.
    ends : a word for each end.
    why : its keys are the numbers that known mistakes lead to, worked out from the same run.
    too_low, too_high : what to say to other guesses on that side.
    """

    kind = "number"

    low: float = field(kw_only=True)
    high: float = field(kw_only=True)
    unit: str = field(default="", kw_only=True)
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    tolerance: float | None = field(default=None, kw_only=True)
    ends: tuple[str, str] = field(default=("", ""), kw_only=True)
    too_low: str = field(default="", kw_only=True)
    too_high: str = field(default="", kw_only=True)

    def __post_init__(self):
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.name}: no such line runs from {self.low} to {self.high}")

    def ask(self) -> dict[str, Any]:
        """Return the question and its line, without the answer."""
        line = {name: getattr(self, name) for name in ("low", "high", "unit", "log")}
        return super().ask() | line | {"step": self._grain, "ends": list(self.ends)}

    def read(self, answer: Any) -> float:
        """Return a finite number; an AnswerError if it is none."""
        if isinstance(answer, bool) or not isinstance(answer, int | float) or not abs(answer) < 1e15:
            raise AnswerError("Give a number first: drag the handle or type one.")
        return answer

    def measured(self) -> float:
        """Return the number that is right; a ValueError if the run's answer is none."""
        if not math.isfinite(value := float(super().measured())):
            raise ValueError(f"the answer of {self.name!r} is {value}")
        return value

    @property
    def _grain(self) -> float | None:
        """Step of the handle: a hundredth of the line, rounded up to 1, 2 or 5; None where factors are equal."""
        if self.step or self.log:
            return self.step
        hundredth = (self.high - self.low) / 100
        power = 10.0 ** math.floor(math.log10(hundredth))
        return next(power * factor for factor in (1, 2, 5, 10) if power * factor > hundredth * 0.999)

    def _show(self, value: float) -> str:
        whole = (self.step or 0) >= 1 or abs(value) >= 1000
        text = f"{value:,.0f}" if whole else f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"
        unit = self.unit.removesuffix("s") if text == "1" else self.unit
        return text.replace("-", MINUS) + ("" if unit in ("", "%") else " ") + unit

    def _misses(self, guess: float, right: float) -> float:
        """Distance in tolerances; at most 1 is right."""
        if guess == right:
            return 0.0
        if self.log:
            return abs(math.log(guess / right)) / math.log(self.tolerance or 1.25) if guess > 0 < right else math.inf
        allowed = (self.high - self.low) / 20 if self.tolerance is None else self.tolerance
        # Of the places where the handle stops, the one nearest to the answer must be right.
        return abs(guess - right) / max(allowed, self._grain / 2)

    def _accepts(self, answer: float, right: float) -> bool:
        return self._misses(answer, right) <= 1 + 1e-9

    def _praise(self, answer: float, right: float) -> str:
        said = "" if self._show(answer) == self._show(right) else f", and you said {self._show(answer)}"
        return f"Right: {self._show(right)}{said}."

    def _side(self, answer: float, right: float) -> str:
        return "low" if answer < right else "high"

    def _blame(self, answer: float, right: float) -> str:
        side = self._side(answer, right)
        if self._misses(answer, right) <= 2:
            return f"Close, but a little too {side}."
        if answer * right > 0:
            times = max(answer / right, right / answer)
            for factor, word in FACTORS.items():
                if times >= factor:
                    return f"Too {side}, by more than {word} times."
        return f"Too {side}."

    def _reason(self, answer: float, right: float) -> str:
        if callable(self.why):
            return self.why(answer)
        mistakes = [value for value in self.why if self._accepts(answer, value) and not self._accepts(value, right)]
        if mistakes:
            return self.why[min(mistakes, key=lambda value: self._misses(answer, value))]
        return self.too_low if self._side(answer, right) == "low" else self.too_high

    def _compare(self, answer: float, right: float) -> str:
        guess, found = self._show(answer), self._show(right)
        if guess == found:
            return f"As you guessed: {found}."
        side = self._side(answer, right)
        factor = self.log and answer > 0 < right
        gap = f"{max(answer / right, right / answer):.2g} times" if factor else self._show(abs(answer - right))
        return f"You guessed {guess}, it is {found}: {gap} too {side}."


@dataclass(frozen=True)
class Text(Question):
    """An answer to type, such as the next token; capitals and outer spaces do not count.

    Parameters
    ----------
    answer : the text, or a tuple of several that are right.
    otherwise : what to say to a wrong answer that `why` does not know.
    """

    kind = "text"

    otherwise: str = field(default="", kw_only=True)

    def read(self, answer: Any) -> str:
        """Return some text, not too long; an AnswerError if it is none."""
        if not isinstance(answer, str) or not answer.strip():
            raise AnswerError("Type an answer first.")
        if len(answer) > LONGEST_ANSWER:
            raise AnswerError(f"Give an answer of at most {LONGEST_ANSWER} characters.")
        return answer.strip()

    def measured(self) -> tuple[str, ...]:
        """Return all texts that are right."""
        value = super().measured()
        return (value,) if isinstance(value, str) else tuple(value)

    def _show(self, value: str | tuple[str, ...]) -> str:
        return " or ".join(f"“{each.strip()}”" for each in ((value,) if isinstance(value, str) else value))

    def _accepts(self, answer: str, right: tuple[str, ...]) -> bool:
        return _plain(answer) in map(_plain, right)

    def _blame(self, answer: str, _right: tuple[str, ...]) -> str:
        return f"Not “{answer}”."

    def _reason(self, answer: str, _right: tuple[str, ...]) -> str:
        if callable(self.why):
            return self.why(answer) or self.otherwise
        known = {_plain(mistake): reason for mistake, reason in self.why.items()}
        return known.get(_plain(answer), self.otherwise)


def _now(value: Any) -> Any:
    return value() if callable(value) else value


def _plain(text: str) -> str:
    """One form of each character, no capitals, single spaces, straight quotation marks."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.translate(STRAIGHT).split())
