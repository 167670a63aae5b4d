"""Many readers at once: the same requests in static and in continuous batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.batching import MOST_REQUESTS, Machine, compare, draw_requests, rates_worth_trying, say_batching
from tokentrace.experiments.kv_cache import SPEEDS
from tokentrace.plain_data import in_range
from tokentrace.views._assets import css, esm
from tokentrace.views.measurement import Measurement

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

LANES = (2, 4, 8, 16)


class Batching(Measurement):
    """Lanes of requests over time, static above and continuous below; simulated with measured step times.

    Parameters
    ----------
    record : of `prefill_decode.speeds`; the reader can measure their own.
    model : a model, or the name of one, to measure with; None shows only the record.
    requests : how many there are.
    lanes : rows of the batch; of 2, 4, 8 and 16 those up to the largest batch that was measured.
    rate : index into `rates`: 0 for all at once, else more and more requests a second.
    spread : how much the lengths differ, from 0, all the same, to 1.
    seed : of arrivals and lengths.
    """

    _esm = esm("batching.js")
    _css = css("batching.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"requests", "lanes", "rate", "spread", "seed"})

    requests = traitlets.Int(24, help="how many requests there are").tag(sync=True)
    lanes = traitlets.Int(8, help="rows of the batch").tag(sync=True)
    rate = traitlets.Int(0, help="index into `rates`, how fast requests come").tag(sync=True)
    spread = traitlets.Float(0.8, help="how much the lengths differ, 0 to 1").tag(sync=True)
    seed = traitlets.Int(1, help="of arrivals and lengths").tag(sync=True)
    lane_choices = traitlets.List(help="batch sizes to choose from").tag(sync=True)
    most_requests = traitlets.Int(MOST_REQUESTS, help="most requests there may be").tag(sync=True)
    rates = traitlets.List([0.0], help="requests a second to choose from; 0 stands for all at once").tag(sync=True)
    served = traitlets.Dict(help="`batching.compare` for these settings").tag(sync=True)

    def __init__(
        self,
        record: dict[str, Any],
        model: GPT2 | str | None = "storyteller",
        requests: int = 24,
        lanes: int = 8,
        rate: int = 3,
        spread: float = 0.8,
        seed: int = 1,
        **traits,
    ):
        self._wanted = {"requests": requests, "lanes": lanes, "rate": rate, "spread": spread, "seed": seed}
        self._machine = Machine(1.0, ((1, 1.0),))
        super().__init__(replace(SPEEDS, title="Many readers at once"), record, model, **traits)

    @traitlets.validate("requests", "lanes", "rate", "spread", "seed")
    def _in_range(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        ranges = {
            "requests": (1, MOST_REQUESTS),
            "rate": (0, len(self.rates) - 1),
            "spread": (0, 1),
            "seed": (0, 2**31),
        }
        try:
            if name == "lanes":
                in_range(name, value, 1, max(self.lane_choices, default=LANES[-1]), whole=True)
            else:
                in_range(name, value, *ranges[name], whole=name != "spread")
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None
        return value

    @traitlets.observe("requests", "lanes", "rate", "spread", "seed")
    def _settings(self, _change: dict):
        if self.served and self.lane_choices:
            self._serve()

    def _drawn(self, record: dict[str, Any]) -> str:
        return ""  # the lanes are the figure, and the browser draws them

    def _show(self, record: dict[str, Any], svg: str, mode: str):
        self._machine = Machine.measured(record)
        with self.hold_sync():
            super()._show(record, svg, mode)
            self.served = {}  # nothing is served anew until all that depends on the machine is in place
            self.rates = [0.0, *rates_worth_trying(self._machine)]
            self.lane_choices = [size for size in LANES if size <= self._machine.most]
            wanted, self._wanted = self._wanted, {}
            for name, value in wanted.items():
                setattr(self, name, value)
            self.rate = min(self.rate, len(self.rates) - 1)
            self.lanes = min(self.lanes, self._machine.most)
            self._serve()

    def _serve(self):
        """Serve the requests of these settings both ways."""
        rate = self.rates[self.rate] or None
        found = compare(draw_requests(self.requests, rate, self.spread, self.seed), self._machine, self.lanes)
        rows = [
            [
                str(number + 1),
                f"{request['arrival']:.3f}",
                str(request["tokens"]),
                *(
                    f"{found[policy]['served'][number][moment]:.3f}"
                    for policy in ("static", "continuous")
                    for moment in ("first", "end")
                ),
            ]
            for number, request in enumerate(found["requests"])
        ]
        heads = ["request", "came at, s", "tokens", "static: first token, s", "last, s", "continuous: first token, s"]
        with self.hold_sync():
            self.served, self.sentence = found, say_batching(found)
            self.heads, self.rows = [*heads, "last, s"], rows
