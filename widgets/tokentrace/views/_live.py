"""Writing live: load a model when it is first needed, stream steps to the browser, stop when told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace import models
from tokentrace.trace import Settings, Step, Trace, TraceError, steps_to_columns, vocabulary_to_dict
from tokentrace.views._base import View

if TYPE_CHECKING:
    from tokentrace.generation_loop import Recording
    from tokentrace.lm import GPT2

SEND_EVERY = 0.03  # seconds: faster than the eye, slow enough for a poor network
LONGEST_PROMPT = 20_000  # characters
IDLE = {"state": "idle", "request": 0, "done": 0, "total": 0, "rate": 0.0}


class LiveView(View):
    """A view that can compute new runs.

    Parameters
    ----------
    model : a model, or the name of one, which is loaded when it is first needed; None only plays records.
    """

    messages: ClassVar[frozenset[str]] = frozenset({"ping", "generate", "stop"})

    can_live = traitlets.Bool(help="whether a model can be reached").tag(sync=True)
    model_names = traitlets.List(help="models to choose from").tag(sync=True)
    model = traitlets.Unicode(help="the model chosen").tag(sync=True)
    prompt = traitlets.Unicode(help="the text to continue").tag(sync=True)
    seed = traitlets.Int(0, help="of the random numbers").tag(sync=True)
    status = traitlets.Dict(IDLE, help="state, request, done, total, rate in tokens a second").tag(sync=True)

    def __init__(self, model: GPT2 | str | None = None, **traits):
        self._models: dict[str, GPT2] = {}
        self._busy = self._stopping = False
        names: list[str] = []
        if isinstance(model, str):
            names = [model, *(name for name in models.available() if name != model)]
        elif model is not None:
            names, self._models[model.name] = [model.name], model
        super().__init__(can_live=bool(names), model_names=names, model=names[0] if names else "", **traits)

    def on_stop(self, _message: dict):
        """End the run under way after the token it is at."""
        self._stopping = True

    async def opened(self, name: str) -> GPT2:
        """Return the model of this name, loaded beside the page's other work if it was not."""
        if name not in self._models:
            self._models[name] = await asyncio.to_thread(models.open_model, name)
        return self._models[name]

    def write(
        self,
        message: dict,
        begin: Callable[[GPT2], Sequence[Recording]],
        show: Callable[[list[Trace]], None],
    ):
        """Start what a browser's message asked for: recordings side by side, then `show` their traces.

        A ValueError of either callable becomes the view's sentence.
        """
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A run is still being written; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._write(name, message.get("request"), begin, show))

    async def _write(self, name: str, request: Any, begin: Callable, show: Callable):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            recordings = begin(await self.opened(name))
            await self._stream(recordings, request)
            self.model = name
            show([recording.trace for recording in recordings])
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The run broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    async def _stream(self, recordings: Sequence[Recording], request: Any):
        """Send the steps as they come, several at once when they come fast."""
        lanes = [Lane(self, recording, request, index) for index, recording in enumerate(recordings)]
        total = sum(recording.settings.max_new_tokens for recording in recordings)
        kept = sum(lane.sent for lane in lanes)
        began, told = perf_counter(), 0.0
        while lanes and not self._stopping:
            # Between any two tokens the loop must breathe: that is when a Stop is heard.
            await asyncio.sleep(0)
            lanes = [lane for lane in lanes if lane.advance()]
            now = perf_counter()
            if now - told > SEND_EVERY:
                done = sum(len(recording.steps) for recording in recordings)
                rate, told = round((done - kept) / (now - began), 1), now
                self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
        for lane in lanes:
            lane.flush()
        if not all(recording.steps or recording.trace.steps for recording in recordings):
            raise TraceError("Stopped before the first token.")


class Lane:
    """One recording on its way to the browser."""

    def __init__(self, view: View, recording: Recording, request: Any, index: int):
        self.view, self.recording, self.request, self.index = view, recording, request, index
        self.steps = iter(recording)
        self.sent, self.sent_at = len(recording.steps), perf_counter()
        trace = recording.trace
        self.known = set(trace.vocabulary)
        view.send({"type": "begin", "request": request, "lane": index, "trace": trace.to_dict()})

    def advance(self) -> bool:
        """Compute one more step; False when the run has ended."""
        more = next(self.steps, None) is not None and self.recording.stop == "stopped"
        if not more or perf_counter() - self.sent_at > SEND_EVERY:
            self.flush()
        return more

    def flush(self):
        """Send what has not been sent."""
        steps: list[Step] = self.recording.steps[self.sent :]
        used = {each.token for step in steps for each in (step, *step.candidates)}
        token_bytes = self.recording.model.tokenizer.token_bytes
        message = {
            "type": "steps",
            "request": self.request,
            "lane": self.index,
            "first": self.sent,
            "steps": steps_to_columns(tuple(steps)),
            "vocabulary": vocabulary_to_dict({token: token_bytes(token) for token in used - self.known}),
        }
        self.known |= used
        self.sent, self.sent_at = len(self.recording.steps), perf_counter()
        self.view.send(message)


def checked(message: dict) -> tuple[str, int]:
    """Prompt and seed of a browser's message, or a TraceError."""
    prompt, seed = message.get("prompt"), message.get("seed")
    if not isinstance(prompt, str):
        raise TraceError("The prompt must be text.")
    if len(prompt) > LONGEST_PROMPT:
        raise TraceError(f"The prompt is {len(prompt):,} characters long; {LONGEST_PROMPT:,} are read at most.")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise TraceError("The seed must be a whole number from 0 to 4,294,967,295.")
    return prompt, seed


def checked_settings(settings: Any) -> Settings:
    """Settings as a browser sent them, or a TraceError."""
    try:
        return Settings(**settings)
    except TypeError:
        raise TraceError("These settings are not ones that a run can have.") from None
