"""A run with a cache beside the same run without: the grid that grows, and the race."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.cache_run import CacheRun, say_counts, say_edit, say_race, view_data
from tokentrace.trace import TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LONGEST_PROMPT, SEND_EVERY, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

MOST_COLUMNS = 40  # more cannot be told apart on a page
LENGTHS = (40, 120, 240)  # tokens that a race may write


class CacheView(LiveView):
    """A view of a `CacheRun` that can make another one.

    Parameters
    ----------
    run : the run to show first.
    model : a model, or the name of one, for runs of the reader's own; None only shows the record.
    """

    messages: ClassVar[frozenset[str]] = frozenset({"ping", "race", "stop"})

    title = traitlets.Unicode(help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    run = traitlets.Dict(help="the run as plain data, and the formulas beside it").tag(sync=True)
    counts = traitlets.Unicode(help="whether the counted work is what the formulas give").tag(sync=True)

    def __init__(self, run: CacheRun, model: GPT2 | str | None = None, **traits):
        super().__init__(model, **traits)
        self._take(run)

    @property
    def record(self) -> CacheRun:
        """The run that is shown, for the next cell to work with."""
        return self._shown

    def on_race(self, message: dict):
        """Write what the browser asks for, both ways."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A run is still being made; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._race(name, message))

    async def _race(self, name: str, message: dict):
        request = message.get("request")
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            prompt, n = checked_request(message)
            model = await self.opened(name)
            passes = self._begin(model, prompt, n)
            began, told, run = perf_counter(), 0.0, None
            while not self._stopping and (step := await asyncio.to_thread(next, passes, None)):
                done, total, run = step
                if perf_counter() - told > SEND_EVERY:
                    told = perf_counter()
                    rate = round(done / (told - began), 1)
                    self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
            if run is None:
                raise TraceError("Stopped; the last whole run stays.")
            with self.hold_sync():
                self.model, self.mode = name, "live"
                self._take(run)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The run broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _begin(self, model: GPT2, prompt: str, n: int):
        """Generator of the run that was asked for."""
        raise NotImplementedError

    def _take(self, run: CacheRun):
        self._shown = run
        self.counts = say_counts(run)
        self.run = view_data(run)


class CacheGrid(CacheView):
    """Layers by positions: the prompt fills its columns at once, every token after it adds one.

    Parameters
    ----------
    run, model : as for `CacheView`; the run must have its edits.
    step : the pass that is shown first, 0 = the prompt's.
    cache : whether the cache is on at first.
    """

    _esm = esm("cache_grid.js")
    _css = css("cache_grid.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"step", "cache", "edited"})

    title = traitlets.Unicode("The cache grows by one column a token", help="heading").tag(sync=True)
    step = traitlets.Int(0, help="the pass that is shown, from 0").tag(sync=True)
    cache = traitlets.Bool(True, help="whether the cache is on").tag(sync=True)
    edited = traitlets.Int(-1, help="position of the token that is replaced, or -1").tag(sync=True)
    edit_sentences = traitlets.List(help="for each position, what its edit spoils").tag(sync=True)

    def __init__(self, run: CacheRun, model: GPT2 | str | None = None, *, step: int | None = None, **traits):
        super().__init__(run, model, **traits)
        self.step = len(run.tokens) // 2 if step is None else step

    @traitlets.validate("step")
    def _in_the_run(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], len(self._shown.tokens) - 1))

    @traitlets.validate("edited")
    def _in_the_text(self, proposal: dict) -> int:
        return max(-1, min(proposal["value"], len(self._shown.edits) - 1))

    def _begin(self, model: GPT2, prompt: str, n: int):
        from tokentrace.cache_race import race
        from tokentrace.generation_loop import prompt_tokens

        length = len(prompt_tokens(model, prompt))
        if length > MOST_COLUMNS - 4:
            raise TraceError(
                f"The prompt is {length} tokens long, and the picture has room for {MOST_COLUMNS - 4}: shorten it."
            )
        n = min(len(self._shown.tokens), MOST_COLUMNS - length, model.config.n_ctx - length + 1)
        return race(model, prompt, n, edits=True)

    def _take(self, run: CacheRun):
        with self.hold_sync():
            super()._take(run)
            self.edit_sentences = [say_edit(run, edit) for edit in run.edits]
            self.edited, self.step = -1, len(run.tokens) // 2


class CacheRace(CacheView):
    """Both ways to write the same text in measured time, and what they differ in: logits, work, milliseconds."""

    _esm = esm("cache_race.js")
    _css = css("cache_race.css")

    title = traitlets.Unicode("The race: with the cache, and without", help="heading").tag(sync=True)
    sentence = traitlets.Unicode(help="what was found").tag(sync=True)
    lengths = traitlets.List(list(LENGTHS), help="tokens that a run may write").tag(sync=True)

    def _begin(self, model: GPT2, prompt: str, n: int):
        from tokentrace.cache_race import race

        return race(model, prompt, n)

    def _take(self, run: CacheRun):
        with self.hold_sync():
            super()._take(run)
            self.sentence = say_race(run)


def checked_request(message: dict[str, Any]) -> tuple[str, int]:
    """Prompt and number of new tokens of a browser's message, or a TraceError."""
    prompt, n = message.get("prompt"), message.get("n", LENGTHS[0])
    if not isinstance(prompt, str):
        raise TraceError("The prompt must be text.")
    if len(prompt) > LONGEST_PROMPT:
        raise TraceError(f"The prompt is {len(prompt):,} characters long; {LONGEST_PROMPT:,} are read at most.")
    if type(n) is not int or n not in LENGTHS:
        raise TraceError(f"A run writes {', '.join(map(str, LENGTHS[:-1]))} or {LENGTHS[-1]} tokens.")
    return prompt, n
