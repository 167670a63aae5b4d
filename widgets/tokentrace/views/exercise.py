"""Exercises on a page, and the card that counts them: the browser asks, Python judges."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import ClassVar

import traitlets

from tokentrace.exercises import AnswerError, Question
from tokentrace.score import PAGE, Sheet
from tokentrace.student import student
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View


class Exercise(View):
    """One question, judged as soon as it is answered.

    Parameters
    ----------
    question : a `Choice`, a `Number` or a `Text` of `tokentrace.exercises`.
    sheet : where the answers are counted; by default on the page's own sheet, which `check` and `Scorecard` read.
    """

    _esm = esm("exercise.js")
    _css = css("exercise.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "answer", "show", "restore"})

    ask = traitlets.Dict(help="the question, without its answer").tag(sync=True)
    state = traitlets.Dict(help="the tries and what was said of them; the answer once it may be seen").tag(sync=True)
    place = traitlets.Dict(help="number of this exercise on the page, and how many there are").tag(sync=True)
    note = traitlets.Unicode(help="a sentence about an answer that could not be judged").tag(sync=True)
    rounds = traitlets.Int(0, help="how often the page was started again").tag(sync=True)
    key = traitlets.Unicode(help="under which the browser remembers the answers").tag(sync=True)

    def __init__(self, question: Question, sheet: Sheet = PAGE, **traits):
        self._name, self._sheet = question.name, sheet
        self._attempt = sheet.add(question)
        words = f"{student()}|{question.name}|{question.text}"
        key = hashlib.sha256(words.encode()).hexdigest()[:16]
        super().__init__(ask=question.ask(), state=self._attempt.state(), key=key, **traits)
        sheet.listeners[question.name] = self._refresh
        sheet.changed()

    @property
    def answer(self):
        """What the student answered last, for the next cell to work with; None before."""
        return self._attempt.answers[-1] if self._attempt.answers else None

    def on_answer(self, message: dict):
        """Judge an answer."""
        self._act(message, lambda: self._attempt.submit(message.get("answer")))

    def on_show(self, message: dict):
        """Show the answer, if it is time."""
        self._act(message, self._attempt.show)

    def on_restore(self, message: dict):
        """Take over what the browser has kept from an earlier visit."""
        tries, shown = message.get("tries"), message.get("shown")
        self._act(message, lambda: self._sheet.restore(self._name, tries, shown))

    def _act(self, message: dict, act: Callable):
        self.error = note = ""
        try:
            act()
        except AnswerError as refusal:
            note = str(refusal)
        except Exception as error:
            self.say(f"This question cannot be judged here ({type(error).__name__}: {error}).")
        self.note = note
        self._sheet.changed()
        # Sent last: what comes before it is the reply, and that it comes shows that the kernel lives.
        self.on_ping(message)

    def _refresh(self):
        attempt = self._sheet.attempts[self._name]
        if attempt is not self._attempt and not attempt.answers:
            self.rounds += 1
            self.note = self.error = ""
        self._attempt = attempt
        number, of = self._sheet.place(self._name)
        with self.hold_sync():
            self.place, self.state = {"number": number, "of": of}, attempt.state()


class Scorecard(View):
    """How far the page's exercises are done, and a file of it for the teacher.

    In JupyterLab the file is written beside the notebook, on a page the browser saves it.

    Parameters
    ----------
    notebook : what the file says it is from, such as "02_generation_loop".
    sheet : whose answers are counted; by default the page's.
    """

    _esm = esm("scorecard.js")
    _css = css("scorecard.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "save", "clear"})

    score = traitlets.Dict(help="the score as it will stand in the file").tag(sync=True)
    writes = traitlets.Bool(help="whether files are written here rather than saved by the browser").tag(sync=True)
    saved = traitlets.Unicode(help="the file that was written").tag(sync=True)

    def __init__(self, notebook: str = "", sheet: Sheet = PAGE, **traits):
        self._notebook, self._sheet = notebook, sheet
        on_a_page = any(name.startswith("VOILA_") for name in os.environ)
        super().__init__(score=sheet.to_dict(notebook), writes=not on_a_page, **traits)
        sheet.listeners[" scorecard"] = self._refresh

    def save(self, name: str = "", folder: str = ".") -> str:
        """Write the file from a cell, and return its path."""
        return str(self._sheet.save(self._notebook, name, folder))

    def on_save(self, message: dict):
        """Write the file beside the notebook."""
        name = message.get("name")
        self.error = self.saved = ""
        try:
            if self.writes:
                self.saved = self.save(name if isinstance(name, str) else "")
        except OSError as error:
            self.say(f"The file could not be written ({error.strerror}).")
        self.on_ping(message)

    def on_clear(self, message: dict):
        """Forget all answers."""
        self._sheet.clear()
        self.saved = ""
        self.on_ping(message)

    def _refresh(self):
        self.score = self._sheet.to_dict(self._notebook)
