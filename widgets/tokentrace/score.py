"""What a student has answered on a page, and the file of it that a teacher collects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokentrace.exercises import AnswerError, Question, Verdict
from tokentrace.student import clean, seed, student

TRIES_BEFORE_SHOW = 2
MOST_TRIES = 50


class Attempt:
    """A question and the answers given to it.

    Attributes
    ----------
    answers, verdicts : what was answered and what was said of it; a guess may still wait for its verdict.
    shown : what was said when the student gave up.
    value : the right answer, once it is on the table; None before.
    """

    def __init__(self, question: Question):
        self.question = question
        self.answers: list[Any] = []
        self.verdicts: list[Verdict] = []
        self.shown: Verdict | None = None
        self.value: Any = None

    @property
    def right(self) -> bool | None:
        """Whether the student found the answer; None before a try, and for a guess."""
        return self.verdicts[-1].right if self.verdicts else None

    @property
    def may_show(self) -> bool:
        """Whether the answer may be asked for: beside a guess, or after two tries."""
        enough = 1 if self.question.predict else TRIES_BEFORE_SHOW
        return self.value is None and len(self.answers) >= enough

    def submit(self, answer: Any):
        """Take an answer; an AnswerError says why it cannot be judged. A guess is kept even then."""
        if self.value is not None:
            raise AnswerError("This question is answered.")
        if len(self.answers) >= MOST_TRIES:
            raise AnswerError("That were many tries. Let the answer be shown.")
        answer = self.question.read(answer)
        if self.question.predict:
            self.answers = [answer]
            self.show()
        else:
            verdict = self.question.check(answer)
            self.answers.append(answer)
            self.verdicts.append(verdict)
            self.value = self.question.measured() if verdict.right else None

    def show(self):
        """Put the answer on the table; an AnswerError if it is too early."""
        if not self.may_show:
            raise AnswerError("Try it first.")
        value = self.question.measured()
        if self.question.predict:
            self.verdicts = [self.question.check(self.answers[0])]
        else:
            self.shown = self.question.reveal()
        self.value = value

    def state(self) -> dict[str, Any]:
        """Return what a browser may know now: the right answer is in it only once it is on the table."""
        judged = zip(self.answers, self.verdicts, strict=False)
        return {
            "tries": [{"answer": answer, **asdict(verdict)} for answer, verdict in judged],
            "kept": self.answers[-1] if self.answers and not self.verdicts else None,
            "shown": asdict(self.shown) if self.shown is not None else None,
            "value": self.value[0] if isinstance(self.value, tuple) else self.value,
            "may_show": self.may_show,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the question's line of a score file."""
        return {
            "name": self.question.name,
            "kind": self.question.kind,
            "question": self.question.text,
            "graded": not self.question.predict,
            "right": self.right,
            "shown": self.shown is not None,
            "tries": len(self.answers),
            "answers": list(self.answers),
        }


class Sheet:
    """All questions of a page in the order they were asked; `listeners` hear of every change."""

    def __init__(self):
        self.attempts: dict[str, Attempt] = {}
        self.listeners: dict[str, Callable[[], None]] = {}

    def add(self, question: Question) -> Attempt:
        """Ask a question. Asked again under the same name, it starts anew in its old place."""
        self.listeners.pop(question.name, None)
        attempt = self.attempts[question.name] = Attempt(question)
        return attempt

    def place(self, name: str) -> tuple[int, int]:
        """Return the number of a question among the graded ones (0 for a guess), and how many these are."""
        graded = [key for key, attempt in self.attempts.items() if not attempt.question.predict]
        return graded.index(name) + 1 if name in graded else 0, len(graded)

    def restore(self, name: str, tries: Any, shown: Any):
        """Take over answers that a browser has kept, if they are judged today as they were then."""
        again = Attempt(self.attempts[name].question)
        try:
            for each in list(tries)[:MOST_TRIES]:
                again.submit(each["answer"])
            if shown and again.value is None:
                again.show()
            same = [each["right"] for each in tries] == [verdict.right for verdict in again.verdicts]
        except AnswerError:
            same = again.question.predict and bool(again.answers)
        except (TypeError, KeyError):
            same = False
        if same and not self.attempts[name].answers:
            self.attempts[name] = again
            self.changed()

    def clear(self):
        """Forget all answers."""
        self.attempts = {name: Attempt(attempt.question) for name, attempt in self.attempts.items()}
        self.changed()

    def changed(self):
        """Tell all who show the sheet."""
        for listener in tuple(self.listeners.values()):
            listener()

    def to_dict(self, notebook: str = "") -> dict[str, Any]:
        """Return the score as plain JSON values; what would have been right is not in it."""
        graded = [attempt for attempt in self.attempts.values() if not attempt.question.predict]
        return {
            "format": "tokentrace score",
            "version": 1,
            "notebook": notebook,
            "student": student(),
            "seed": seed(),
            "right": sum(attempt.right is True for attempt in graded),
            "of": len(graded),
            "exercises": [attempt.to_dict() for attempt in self.attempts.values()],
        }

    def save(self, notebook: str = "", name: str = "", folder: str | Path = ".") -> Path:
        """Write the score for the teacher, as JSON, and return its path.

        Parameters
        ----------
        name : what the student is called in the file; the questions do not depend on it.
        """
        name = clean(name)
        saved = datetime.now(UTC).isoformat(timespec="seconds")
        words = "-".join(filter(None, ("score", notebook, name or student())))
        path = Path(folder, re.sub(r"[^\w.-]+", "-", words).strip("-.") + ".json")
        score = {**self.to_dict(notebook), "name": name, "saved": saved}
        path.write_text(json.dumps(score, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


PAGE = Sheet()  # a kernel serves one page


def check(name: str, answer: Any) -> Verdict:
    """Judge an answer to a question of this page, without counting a try.

    For a test cell, nbgrader's or one's own, below the cell in which the student worked out `surprise`::

        verdict = check("surprise", surprise)
        assert verdict, verdict

    A wrong answer fails with the sentence that the exercise shows. The cell holds no answer, so it may be seen.

    Raises
    ------
    KeyError
        If no such question has been asked.
    """
    if name not in PAGE.attempts:
        raise KeyError(f"no question {name!r} has been asked on this page: run its cell first")
    return PAGE.attempts[name].question.check(answer)
