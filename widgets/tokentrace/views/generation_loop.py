"""Strategies side by side: one prompt, the same random numbers, several ways to pick a token."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

import traitlets

from tokentrace.repetition import measures
from tokentrace.trace import Trace
from tokentrace.views._assets import css, esm
from tokentrace.views._live import LiveView, checked

if TYPE_CHECKING:
    from tokentrace.lm import GPT2


class Strategies(LiveView):
    """One lane a trace, all from one prompt and one seed, moving step by step together.

    Parameters
    ----------
    traces : name of each lane and its run; what differs between them are the settings.
    model : a model, or the name of one, to write the lanes anew for another prompt or seed.
    """

    _esm = esm("generation_loop.js")
    _css = css("generation_loop.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"step"})

    title = traitlets.Unicode("The same random numbers for every way to pick", help="heading").tag(sync=True)
    names = traitlets.List(help="name of each lane").tag(sync=True)
    settings = traitlets.List(help="for each lane how its tokens are picked").tag(sync=True)
    runs = traitlets.List(help="for each lane its trace as plain data").tag(sync=True)
    repetition = traitlets.List(help="for each lane how much its text repeats itself").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the runs come from").tag(sync=True)
    step = traitlets.Int(0, help="which step all lanes show").tag(sync=True)

    def __init__(self, traces: dict[str, Trace], model: GPT2 | str | None = None, **traits):
        first = next(iter(traces.values()))
        if any((trace.prompt, trace.seed) != (first.prompt, first.seed) for trace in traces.values()):
            raise ValueError("Lanes are compared on one prompt and one seed.")
        self._traces = list(traces.values())
        settings = [asdict(trace.settings) for trace in traces.values()]
        super().__init__(model, names=list(traces), settings=settings, prompt=first.prompt, seed=first.seed, **traits)
        self._show(self._traces, "recorded")

    @property
    def traces(self) -> dict[str, Trace]:
        """The runs that are shown, by name, for the next cell to work with."""
        return dict(zip(self.names, self._traces, strict=True))

    @traitlets.validate("step")
    def _within(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], max(len(trace.steps) for trace in self._traces) - 1))

    def on_generate(self, message: dict):
        """Write all lanes anew for the prompt and the seed that the browser sent."""

        def begin(model: GPT2) -> list:
            from tokentrace.generation_loop import stream

            prompt, seed = checked(message)
            recordings = [stream(model, prompt, seed=seed, **each) for each in self.settings]
            self.prompt, self.seed = prompt, seed
            return recordings

        self.write(message, begin, lambda traces: self._show(traces, "live"))

    def _show(self, traces: list[Trace], mode: str):
        self._traces = traces
        with self.hold_sync():
            self.repetition = [measures(trace.tokens).to_dict() for trace in traces]
            self.runs, self.mode = [trace.to_dict() for trace in traces], mode
            self.step = max(len(trace.steps) for trace in traces) - 1
