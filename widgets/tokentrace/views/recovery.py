"""Recovery over many prefixes: recorded at first, measured here on a button, with a curve that grows as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace import recovery
from tokentrace.recovery import MEASURES, OTHER, PROTOCOLS, say
from tokentrace.trace import TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

COUNTS = (50, 100, 200)  # prefixes to choose from
AT_ONCE = 12  # prefixes between two signs of life: a little slower than a full batch, but sooner seen and stopped


class Recovery(LiveView):
    """How far guesses are apart after an error, against the distance from it, and how soon that halves.

    Parameters
    ----------
    run : the measurement to show first.
    model : a model, or the name of one, to measure with; None only shows the record.
    texts : passages to cut prefixes from; those of the course unless given.
    kind, protocol, measure : which curve is in front at first.
    """

    _esm = esm("recovery.js")
    _css = css("recovery.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "measure", "stop"})
    from_browser: ClassVar[frozenset[str]] = frozenset({"kind", "protocol", "measure"})

    title = traitlets.Unicode("Does it recover?", help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    record = traitlets.Dict(help="the measurement as plain data").tag(sync=True)
    sentences = traitlets.Dict(help="what each curve shows, by protocol, measure and kind").tag(sync=True)
    kind = traitlets.Unicode(help="what is wrong with the prefix").tag(sync=True)
    protocol = traitlets.Enum(PROTOCOLS, "given", help="who goes on after the prefix").tag(sync=True)
    measure = traitlets.Enum(MEASURES, "total_variation", help="which divergence").tag(sync=True)
    counts = traitlets.List(list(COUNTS), help="how many prefixes can be asked for").tag(sync=True)

    def __init__(
        self,
        run: recovery.Recovery,
        model: GPT2 | str | None = "storyteller",
        texts: tuple[str, ...] | None = None,
        kind: str = "random word",
        **traits,
    ):
        self._texts = texts
        super().__init__(model, **traits)
        self._take(run)
        if kind in run.kinds:
            self.kind = kind

    @property
    def run(self) -> recovery.Recovery:
        """The measurement that is shown, for the next cell to work with."""
        return self._shown

    @traitlets.validate("kind")
    def _measured(self, proposal: dict) -> str:
        if proposal["value"] not in self._shown.kinds:
            raise traitlets.TraitError(f"There is no prefix that is {proposal['value']!r} here.")
        return proposal["value"]

    def on_measure(self, message: dict):
        """Measure with as many prefixes as the browser asks for."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A measurement is under way; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._measure(name, message))

    async def _measure(self, name: str, message: dict):
        request = message.get("request")
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            count = checked_count(message)
            model = await self.opened(name)
            steps = await asyncio.to_thread(self._begin, model, count)
            began, shown = perf_counter(), False
            self.status = self.status | {"state": "running", "total": count}
            while not self._stopping and (step := await asyncio.to_thread(next, steps, None)):
                done, total, run = step
                if run is not None:
                    with self.hold_sync():
                        self.model, self.mode, shown = name, "live", True
                        self._take(run)
                rate = round(done / (perf_counter() - began), 2)
                self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
            if not shown:
                raise TraceError("Stopped before the first prefixes were read; what was shown stays.")
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The measurement broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _begin(self, model: GPT2, count: int):
        from tokentrace.passages import passages
        from tokentrace.recovering import recover

        texts = [each.text for each in passages()] if self._texts is None else self._texts
        return recover(model, texts, count, batch=AT_ONCE)

    def _take(self, run: recovery.Recovery):
        self._shown = run
        with self.hold_sync():
            if self.kind not in run.kinds:
                self.kind = run.kinds[0]
            self.record = run.to_dict()
            self.sentences = {
                protocol: {
                    measure: {
                        each.kind: say(run, each.kind, protocol, measure)
                        for each in run.curves
                        if (each.protocol, each.measure) == (protocol, measure) and each.kind != OTHER
                    }
                    for measure in MEASURES
                }
                for protocol in PROTOCOLS
            }


def checked_count(message: Mapping[str, Any]) -> int:
    """Number of prefixes that a browser asks for, or a TraceError."""
    count = message.get("count")
    if count not in COUNTS or type(count) is not int:
        raise TraceError(f"Choose {', '.join(map(str, COUNTS[:-1]))} or {COUNTS[-1]} prefixes.")
    return count
