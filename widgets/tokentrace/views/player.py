"""The player: one run on screen, one token at a time; the browser owns the clock."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

import traitlets

from tokentrace.trace import Settings, Trace, TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import LiveView, checked, checked_settings

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

MOST_RUNS = 12


class Player(LiveView):
    """Plays a trace, and with a model at hand writes new ones live.

    Parameters
    ----------
    trace : the run to show first; None starts empty.
    model : a model, or the name of one, for live runs and branches; None plays only what was recorded.
    """

    _esm = esm("player.js")
    _css = css("player.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"run", "step", "speed"})
    messages: ClassVar[frozenset[str]] = LiveView.messages | {"branch"}

    title = traitlets.Unicode("One token at a time", help="heading of the view").tag(sync=True)
    runs = traitlets.List(help="traces as plain data: the first run, then its branches").tag(sync=True)
    modes = traitlets.List(help="for each run 'recorded', or 'live' if it was computed in this page").tag(sync=True)
    run = traitlets.Int(0, help="which run is shown").tag(sync=True)
    step = traitlets.Int(-1, help="which of its steps; -1 shows the prompt alone").tag(sync=True)
    speed = traitlets.Enum([1, 4, 15, 0], 1, help="tokens a second; 0 plays in the measured times").tag(sync=True)
    settings = traitlets.Dict(help="how tokens are picked").tag(sync=True)
    autoplay = traitlets.Bool(False, help="begin to write as soon as the view is shown").tag(sync=True)

    def __init__(self, trace: Trace | None = None, model: GPT2 | str | None = None, **traits):
        self._traces: list[Trace] = []
        if trace:
            traits = {"prompt": trace.prompt, "settings": asdict(trace.settings), "seed": trace.seed} | traits
        traits["settings"] = asdict(Settings(**traits.get("settings", {})))
        step = traits.pop("step", None)
        super().__init__(model, **traits)
        if trace:
            self._show([trace], ["recorded"])
        if step is not None:
            self.step = step

    @classmethod
    def live(cls, model: GPT2 | str, prompt: str, *, seed: int = 0, title: str | None = None, **settings) -> Player:
        """Start empty and continue `prompt` as soon as the view is shown; `settings` as for `generate`."""
        traits = {"title": title} if title else {}
        return cls(None, model, prompt=prompt, seed=seed, settings=settings, autoplay=True, **traits)

    @property
    def trace(self) -> Trace | None:
        """The run that is shown, for the next cell to work with."""
        return self._traces[self.run] if self._traces else None

    @traitlets.validate("run", "step")
    def _within(self, proposal: dict) -> int:
        if proposal["trait"].name == "run":
            return max(0, min(proposal["value"], len(self._traces) - 1))
        return max(-1, min(proposal["value"], (len(self.trace.steps) if self.trace else 0) - 1))

    def on_generate(self, message: dict):
        """Write a continuation of the prompt that the browser sent."""

        def begin(model: GPT2) -> list:
            from tokentrace.generation_loop import Recording

            prompt, seed = checked(message)
            settings = checked_settings(message.get("settings"))
            recording = Recording(model, prompt, settings, seed)
            self.prompt, self.seed, self.settings, self.autoplay = prompt, seed, asdict(settings), False
            return [recording]

        self.write(message, begin, lambda traces: self._show(traces, ["live"]))

    def on_branch(self, message: dict):
        """Fork a run where the browser says, with the token it names."""

        def begin(model: GPT2) -> list:
            from tokentrace.generation_loop import branch

            run, at, token = (message.get(name) for name in ("run", "at", "token"))
            if not all(type(value) is int for value in (run, at, token)) or not 0 <= run < len(self._traces):
                raise TraceError("That token cannot be written here.")
            if len(self._traces) >= MOST_RUNS:
                raise TraceError(f"{MOST_RUNS} runs are kept at most; write the prompt again to start afresh.")
            return [branch(model, self._traces[run], at, token)]

        self.write(message, begin, lambda new: self._show([*self._traces, *new], [*self.modes, "live"]))

    def _show(self, traces: list[Trace], modes: list[str]):
        self._traces = traces
        with self.hold_sync():
            self.runs, self.modes = [trace.to_dict() for trace in traces], modes
            self.run = len(traces) - 1
            self.step = len(traces[-1].steps) - 1
