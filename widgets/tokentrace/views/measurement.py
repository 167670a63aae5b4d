"""A measurement: recorded at first, repeated on this machine when the reader presses the button."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import traitlets

from tokentrace.experiments import PROMPT, Experiment
from tokentrace.figures import to_svg
from tokentrace.measuring import say_machine
from tokentrace.trace import TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, SEND_EVERY, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2


class Measurement(LiveView):
    """Shows a measurement's figure, sentence and table, and measures anew with progress and Stop.

    Parameters
    ----------
    experiment : how to measure, tell and draw.
    record : what was measured before.
    model : a model, or the name of one, to measure with; None shows only the record.

    Attributes
    ----------
    record : what was measured last, for the next cell to work with.
    """

    _esm = esm("measurement.js")
    _css = css("measurement.css")

    title = traitlets.Unicode(help="heading").tag(sync=True)
    svg = traitlets.Unicode(help="the figure").tag(sync=True)
    sentence = traitlets.Unicode(help="what was found").tag(sync=True)
    heads = traitlets.List(help="heads of the table").tag(sync=True)
    rows = traitlets.List(help="rows of the table").tag(sync=True)
    machine = traitlets.Unicode(help="where it was measured").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)

    def __init__(
        self, experiment: Experiment, record: dict[str, Any], model: GPT2 | str | None = "storyteller", **traits
    ):
        self.experiment = experiment
        super().__init__(model, title=experiment.title, **traits)
        self._show(record, self._drawn(record), "recorded")

    def on_generate(self, message: dict):
        """Measure on this machine."""
        if self._busy:
            self.say("A measurement is under way; stop it first.")
        elif not self.can_live:
            self.say("No model is at hand here to measure with.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._measure(message.get("request")))

    async def _measure(self, request: Any):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            model = await self.opened(self.model)
            steps = self.experiment.measure(model, PROMPT)
            began, told, record = perf_counter(), 0.0, None
            while not self._stopping and (step := await asyncio.to_thread(next, steps, None)):
                done, total, record = step
                if perf_counter() - told > SEND_EVERY:
                    told = perf_counter()
                    rate = round(done / (told - began), 1)
                    self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
            if self._stopping or record is None:
                raise TraceError("Stopped; the last whole measurement stays.")
            self._show(record, await asyncio.to_thread(self._drawn, record), "live")
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The measurement broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _drawn(self, record: dict[str, Any]) -> str:
        return to_svg(self.experiment.draw(record))

    def _show(self, record: dict[str, Any], svg: str, mode: str):
        told, machine = self.experiment.tell(record), say_machine(record)
        self.record = record
        with self.hold_sync():
            self.svg, self.mode, self.sentence, self.machine = svg, mode, told.sentence, machine
            self.heads, self.rows = list(told.heads), [list(row) for row in told.rows]
