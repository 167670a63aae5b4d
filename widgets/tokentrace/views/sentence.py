"""A given text on a real model: what each token cost, and what one changed word does to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.chain_rule import Score, TextError, align, moved, running, score
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LONGEST_PROMPT, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

STILL = 1e-4  # nats: less than this is how two passes of one model differ, not a change of its mind


class Scoring(LiveView):
    """A view that scores texts when the browser asks: one pass each, beside the page's other work."""

    messages: ClassVar[frozenset[str]] = frozenset({"ping", "score"})

    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)

    def score_live(self, message: dict, texts: list[Any], show: Callable[[list[Score]], None]):
        """Score what a browser's message holds, then `show` it; what goes wrong becomes the view's sentence."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A text is still being scored.")
        else:
            self._busy, self.error = True, ""
            self.start(self._score(name, message.get("request"), texts, show))

    async def _score(self, name: str, request: Any, texts: list[Any], show: Callable[[list[Score]], None]):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            texts = [checked_text(text) for text in texts]
            model = await self.opened(name)
            self.status = IDLE | {"state": "running", "request": request}
            scores = [await asyncio.to_thread(score, model, text) for text in texts]
            with self.hold_sync():
                self.model, self.mode = name, "live"
                show(scores)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The scoring broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE


class Sentence(Scoring):
    """A text with one bar a token, and the running product and sum of logs along it.

    Parameters
    ----------
    score : the scored text to show first.
    model : a model, or the name of one, to score other texts; None only shows the record.
    floats : whether the product in half, single and double precision is shown too.
    """

    _esm = esm("sentence.js")
    _css = css("sentence.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"step"})

    title = traitlets.Unicode("What a text costs", help="heading").tag(sync=True)
    floats = traitlets.Bool(False, help="whether the product in three float types is shown").tag(sync=True)
    text = traitlets.Unicode(help="the text in the field").tag(sync=True)
    scored = traitlets.Dict(help="the score as plain data").tag(sync=True)
    curves = traitlets.Dict(help="what is known after each token: `chain_rule.running`").tag(sync=True)
    step = traitlets.Int(0, help="index of the token looked at").tag(sync=True)

    def __init__(self, score: Score, model: GPT2 | str | None = None, **traits):
        step = traits.pop("step", None)
        super().__init__(model, **traits)
        self._take(score)
        if step is not None:
            self.step = step

    @property
    def score(self) -> Score:
        """The score that is shown, for the next cell to work with."""
        return self._shown

    @traitlets.validate("step")
    def _within(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], len(self._shown.tokens) - 1))

    def on_score(self, message: dict):
        """Score the text that the browser sent."""
        self.score_live(message, [message.get("text")], lambda scores: self._take(*scores))

    def _take(self, score: Score):
        self._shown = score
        with self.hold_sync():
            self.scored, self.curves, self.text = score.to_dict(), running(score), score.text
            self.step = len(score.tokens) - 1


class ChangedWord(Scoring):
    """Two versions of a text, token beside token: which conditionals move when a word is changed.

    Parameters
    ----------
    old, new : the scored versions to show first.
    model : a model, or the name of one, to score other versions; None only shows the record.
    """

    _esm = esm("changed_word.js")
    _css = css("changed_word.css")

    title = traitlets.Unicode("Change one word", help="heading").tag(sync=True)
    texts = traitlets.List(traitlets.Unicode(), help="both versions, as they stand in the fields").tag(sync=True)
    versions = traitlets.List(help="both scores as plain data").tag(sync=True)
    pairs = traitlets.List(help="for each place the index of its token in both versions, or None").tag(sync=True)
    shared = traitlets.List([0, 0], help="how many places stand before the change, and after it").tag(sync=True)
    sentence = traitlets.Unicode(help="what moved, in words").tag(sync=True)

    def __init__(self, old: Score, new: Score, model: GPT2 | str | None = None, **traits):
        super().__init__(model, **traits)
        self._take(old, new)

    @property
    def scores(self) -> tuple[Score, Score]:
        """The two versions that are shown, for the next cell to work with."""
        return self._shown

    def on_score(self, message: dict):
        """Score both versions that the browser sent."""
        texts = message.get("texts")
        texts = texts if isinstance(texts, list) and len(texts) == 2 else [None, None]
        self.score_live(message, texts, lambda scores: self._take(*scores))

    def _take(self, old: Score, new: Score):
        self._shown = old, new
        change = align(old.ids, new.ids)
        with self.hold_sync():
            self.texts, self.versions = [old.text, new.text], [old.to_dict(), new.to_dict()]
            self.pairs = [[pair.old, pair.new] for pair in change.pairs]
            self.shared, self.sentence = [change.before, change.after], say_moved(old, new)


def say_moved(old: Score, new: Score) -> str:
    """Say what changed between two versions, and by how much."""
    before, after = moved(old, new)
    if old.ids == new.ids:
        return "Both versions are the same: change a word in one of them."
    far = [gap for gap in after if abs(gap) > STILL]
    if not before:
        first = "No token stands before the change."
    else:
        most = max(map(abs, before))
        size = "exactly 0" if most == 0 else f"at most {most:.1g} nats"
        first = f"Before the change {_tokens(len(before))}: the difference is {size}."
    if not after:
        return f"{first} No token that both share stands after it."
    if not far:
        return f"{first} After it {_tokens(len(after))}: none moved by more than {STILL:g} nats."
    place = max(range(len(after)), key=lambda index: abs(after[index]))
    word = new.token_text(new.ids[len(new.ids) - len(after) + place]).strip()
    was, now = (_p(version, place - len(after)) for version in (old, new))
    most = f"{abs(after[place]):.2f} nats: “{word}” went from {was} to {now}"
    count = "all of them" if len(far) == len(after) else f"{len(far)} of them"
    return f"{first} After it {_tokens(len(after))}: {count} moved, the most by {most}."


def _tokens(n: int) -> str:
    return "1 token" if n == 1 else f"{n} tokens"


def _p(score: Score, index: int) -> str:
    return f"{score.tokens[index].probability:.2g}"


def checked_text(text: Any) -> str:
    """Return a text as a browser sent it, or a TextError."""
    if not isinstance(text, str):
        raise TextError("The text must be text.")
    if len(text) > LONGEST_PROMPT:
        raise TextError(f"The text is {len(text):,} characters long; {LONGEST_PROMPT:,} are read at most.")
    return text
