"""The causal mask as a picture, and one pass beside n passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.causal_mask import MaskRun, say_change, study
from tokentrace.chain_rule import TextError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LiveView
from tokentrace.views.sentence import checked_text

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

STAND_INS = (" the", " and", " not")  # put in for a token of a text of the reader's own, until they choose one
LONGEST_WORD = 60  # characters


class Study(LiveView):
    """A view of a `MaskRun` that can make another one.

    Parameters
    ----------
    run : the run to show first.
    model : a model, or the name of one, for runs of the reader's own; None only shows the record.
    """

    messages: ClassVar[frozenset[str]] = frozenset({"ping", "study"})

    title = traitlets.Unicode(help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    study = traitlets.Dict(help="the run as plain data").tag(sync=True)
    sentences = traitlets.List(help="for each change what it moved, with the mask and without").tag(sync=True)

    def __init__(self, run: MaskRun, model: GPT2 | str | None = None, **traits):
        super().__init__(model, **traits)
        self._take(run)

    @property
    def run(self) -> MaskRun:
        """The run that is shown, for the next cell to work with."""
        return self._shown

    def on_study(self, message: dict):
        """Make the run that the browser asks for."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A run is still being made.")
        else:
            self._busy, self.error = True, ""
            self.start(self._study(name, message))

    async def _study(self, name: str, message: dict):
        request = message.get("request")
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            text = checked_text(message.get("text"))
            at, word = checked_change(message)
            model = await self.opened(name)
            self.status = IDLE | {"state": "running", "request": request}
            begin = self._begin(model, text, at, word)
            run = await asyncio.to_thread(begin)
            with self.hold_sync():
                self.model, self.mode = name, "live"
                self._take(run, at)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The run broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _begin(self, model: GPT2, text: str, at: int | None, word: str | None) -> Callable[[], MaskRun]:
        """A run of this text with one more change, and those that were shown if the text is the same."""
        old, changes = self._shown, {}
        same = text == old.text and model.fingerprint == old.model.fingerprint
        if same:
            changes = {change.at: old.token_text(change.token) for change in old.changes}
        if at is not None and word is not None:
            changes[at] = word
        if not changes:
            changes = stand_in(model, text)
        layer, head = (old.layer, old.head) if same else (None, None)
        return lambda: study(model, text, changes, layer, head)

    def _take(self, run: MaskRun, at: int | None = None):
        self._shown = run
        self.sentences = [[say_change(run, change, masked) for masked in (True, False)] for change in run.changes]
        self.study = run.to_dict()


class CausalMask(Study):
    """Who may look at whom, and how far each position's guess moves when one token is changed.

    Parameters
    ----------
    run, model : as for `Study`.
    masked : whether the mask is on at first.
    """

    _esm = esm("causal_mask.js")
    _css = css("causal_mask.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"masked", "shown"})

    title = traitlets.Unicode("Who can see whom", help="heading").tag(sync=True)
    masked = traitlets.Bool(True, help="whether the mask is on").tag(sync=True)
    shown = traitlets.Int(0, help="index of the change that is shown").tag(sync=True)

    @traitlets.validate("shown")
    def _within(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], len(self._shown.changes) - 1))

    def _take(self, run: MaskRun, at: int | None = None):
        places = [change.at for change in run.changes]
        with self.hold_sync():
            super()._take(run, at)
            self.shown = places.index(at) if at in places else 0


class OnePass(Study):
    """The same conditionals from one pass and from n, and what each of them cost."""

    _esm = esm("one_pass.js")
    _css = css("one_pass.css")

    title = traitlets.Unicode("One pass, and n passes", help="heading").tag(sync=True)


def checked_change(message: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Position and new token of a browser's message, both None where it asks for no change; or a TextError."""
    at, word = message.get("at"), message.get("word")
    if at is None and word is None:
        return None, None
    if type(at) is not int:
        raise TextError("Choose the token to change first.")
    if not isinstance(word, str) or not word.strip():
        raise TextError("Type the word to put there instead.")
    if len(word) > LONGEST_WORD:
        raise TextError(f"A token is no longer than {LONGEST_WORD} characters.")
    return at, word


def stand_in(model: GPT2, text: str) -> dict[int, str]:
    """A change for a text that has none yet: its third token, or the last if it is shorter."""
    ids = model.tokenizer.encode(text)
    at = min(3, len(ids))
    words = [word for word in STAND_INS if [token for token in model.tokenizer.encode(word)] != ids[at - 1 : at]]
    return {at: words[0]}
