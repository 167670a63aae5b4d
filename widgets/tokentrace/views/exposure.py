"""Two lanes over one text, and an error put into the free one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.chain_rule import TextError
from tokentrace.exposure import KINDS, MEASURES, ErrorRun, TwoLanes, say_error, say_place, say_recovery
from tokentrace.passages import passage, passages
from tokentrace.trace import Settings, TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, SEND_EVERY, LiveView, checked_settings

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

MOST_RUNS, MOST_ERRORS = 6, 12  # beyond, what was made first in the page is let go
LONGEST_WORD = 60  # characters
MOST_WORDS = 100  # that both lanes may be given

Steps = Iterator[tuple[int, int, TwoLanes | None]]


class Lanes(LiveView):
    """The model fed the true text, above; fed its own words, below; and the lower one with an error in it.

    Parameters
    ----------
    runs : the runs to show first, a record or several.
    model : a model, or the name of one, for runs of the reader's own; None only shows the records.
    """

    _esm = esm("exposure.js")
    _css = css("exposure.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"shown", "error_shown", "place", "measure"})
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "lanes", "error", "stop"})

    title = traitlets.Unicode("Two lanes, one text", help="heading").tag(sync=True)
    passages = traitlets.List(help="texts to choose from: name, title, style").tag(sync=True)
    runs = traitlets.List(help="the runs as plain data, each with its sentences and where it comes from").tag(sync=True)
    shown = traitlets.Int(0, help="index of the run that is shown").tag(sync=True)
    error_shown = traitlets.Int(-1, help="index of its error that is shown; -1 shows the two lanes").tag(sync=True)
    place = traitlets.Int(0, help="place that is looked at, from 0").tag(sync=True)
    measure = traitlets.Enum(MEASURES, "tv", help="how far apart two guesses are: tv or kl").tag(sync=True)

    def __init__(self, runs: TwoLanes | Sequence[TwoLanes], model: GPT2 | str | None = None, **traits):
        self._runs = [runs] if isinstance(runs, TwoLanes) else list(runs)
        self._kept = len(self._runs)
        self._live = [False] * self._kept
        self._live_errors: list[set[tuple[int, str]]] = [set() for _ in self._runs]
        if not self._runs:
            raise TraceError("Lanes need a run to show first.")
        known = [{"name": each.name, "title": each.title, "style": each.style} for each in passages()]
        super().__init__(model, passages=known, **traits)
        self._send_runs(traits.get("shown", 0), traits.get("error_shown", -1), traits.get("place"))

    @property
    def run(self) -> TwoLanes:
        """The run that is shown, for the next cell to work with."""
        return self._runs[self.shown]

    @property
    def error_run(self) -> ErrorRun | None:
        """The run with an error that is shown, or None."""
        return None if self.error_shown < 0 else self.run.errors[self.error_shown]

    @traitlets.validate("shown", "error_shown", "place")
    def _within(self, proposal: dict) -> int:
        low, high = {
            "shown": (0, len(self._runs) - 1),
            "error_shown": (-1, len(self.run.errors) - 1),
            "place": (0, len(self.run.true) - 1),
        }[proposal["trait"].name]
        return max(low, min(proposal["value"], high))

    @traitlets.observe("shown")
    def _other_run(self, _change: dict):
        self.error_shown = self.error_shown  # what one run has another may not: the checks bring it within
        self.place = self.place

    def on_lanes(self, message: dict):
        """Read a passage in both ways, as the browser asks."""

        def begin(model: GPT2) -> Steps:
            from tokentrace.two_lanes import stream_lanes

            text, words, seed, settings = checked_lanes(message)
            chosen = {name: getattr(settings, name) for name in ("strategy", "temperature", "top_k", "top_p")}
            return stream_lanes(model, text, words=words, seed=seed, **chosen)

        def show(run: TwoLanes):
            self._runs.append(run)
            self._live.append(True)
            self._live_errors.append(set())
            if len(self._runs) > max(MOST_RUNS, self._kept + 1):
                for column in (self._runs, self._live, self._live_errors):
                    del column[self._kept]
            self._send_runs(len(self._runs) - 1)

        self._make(message, message.get("model") or self.model, begin, show)

    def on_error(self, message: dict):
        """Put a token into the free lane, as the browser asks."""
        index = message.get("run")
        if type(index) is not int or not 0 <= index < len(self._runs):
            self.say("There is no such run here.")
            return
        old = self._runs[index]

        def begin(model: GPT2) -> Steps:
            from tokentrace.two_lanes import stream_error

            at, token, kind = checked_error(message, old, model)
            return stream_error(model, old, at, token, kind)

        def show(run: TwoLanes):
            where = self._runs.index(old)
            self._live_errors[where].add((run.errors[-1].at, run.errors[-1].kind))
            self._runs[where] = keep_errors(run, MOST_ERRORS)
            self._send_runs(where, len(self._runs[where].errors) - 1, run.errors[-1].at)

        self._make(message, old.model.name, begin, show)

    def _make(self, message: dict, name: str, begin: Callable[[GPT2], Steps], show: Callable[[TwoLanes], None]):
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A run is still being made; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._run(name, message.get("request"), begin, show))

    async def _run(self, name: str, request: Any, begin: Callable, show: Callable):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            steps, record = begin(await self.opened(name)), None
            began = told = perf_counter()
            while not self._stopping and (step := await asyncio.to_thread(next, steps, None)):
                done, total, record = step
                if perf_counter() - told > SEND_EVERY:
                    told = perf_counter()
                    rate = round(done / (told - began), 1)
                    self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
            if record is None:
                raise TraceError("Stopped; what was shown stays.")
            with self.hold_sync():
                self.model = name
                show(record)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The run broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _send_runs(self, shown: int, error: int = -1, place: int | None = None):
        """Send the runs, and show one of them: its last place, unless another is given."""
        told = zip(self._runs, self._live, self._live_errors, strict=True)
        with self.hold_sync():
            self.runs = [tell(run, live, errors) for run, live, errors in told]
            self.shown = shown
            self.error_shown = error
            self.place = len(self.run.true) - 1 if place is None else place


def tell(run: TwoLanes, live: bool, live_errors: set[tuple[int, str]]) -> dict[str, Any]:
    """A run as the browser takes it: its data, its sentences, and which of it was computed here."""
    places = range(len(run.true))
    return {
        "run": run.to_dict(),
        "live": live,
        "sentences": [say_place(run, place) for place in places],
        "errors": [
            {
                "live": live or (error.at, error.kind) in live_errors,
                "sentences": [say_error(run, error, place) for place in places],
                "found": {measure: say_recovery(error, measure) for measure in MEASURES},
                "halved": {measure: error.halved(measure) for measure in MEASURES},
            }
            for error in run.errors
        ],
    }


def keep_errors(run: TwoLanes, most: int) -> TwoLanes:
    """A record with its last errors only."""
    return replace(run, errors=run.errors[-most:])


def checked_lanes(message: dict) -> tuple[Any, int, int, Settings]:
    """Passage, words given, seed and settings of a browser's message, or a sentence about what is wrong."""
    name, words, seed = (message.get(key) for key in ("passage", "words", "seed"))
    if not isinstance(name, str):
        raise TextError("Choose a text first.")
    if type(words) is not int or not 0 <= words <= MOST_WORDS:
        raise TextError(f"The words given to both must be a whole number from 0 to {MOST_WORDS}.")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise TraceError("The seed must be a whole number from 0 to 4,294,967,295.")
    return passage(name), words, seed, checked_settings(message.get("settings"))


def checked_error(message: dict, run: TwoLanes, model: GPT2) -> tuple[int, int, str]:
    """Place, token and kind of a browser's message, or a TextError."""
    from tokentrace.two_lanes import typed_token

    at, kind, word = (message.get(key) for key in ("at", "kind", "word"))
    if type(at) is not int or not 0 <= at < len(run.own):
        raise TextError("Choose the word to replace first.")
    if kind == KINDS[-1]:
        if not isinstance(word, str) or not word.strip():
            raise TextError("Type the word to put there.")
        if len(word) > LONGEST_WORD:
            raise TextError(f"A token is no longer than {LONGEST_WORD} characters.")
        return at, typed_token(model, word), kind
    if kind not in KINDS or kind not in (offered := run.offered(at)):
        raise TextError("No such error can be put there.")
    return at, offered[kind], kind
