"""Auto-regression on a series of numbers, and three regressors beside each other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.autoregression import ORDERS, YULE, forecast, sunspots
from tokentrace.bigram import Bigram
from tokentrace.chain_rule import TextError
from tokentrace.regressors import compare, mean_bits
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View
from tokentrace.views._live import IDLE, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

LONGEST = 300  # characters of a prompt to compare on


class SelfRegression(View):
    """Yearly sunspot numbers, an AR(p) fitted to Yule's years, and its guesses in two ways.

    Parameters
    ----------
    order : p, how many years the fit looks back.
    origin : the last year it is told; from the next on one line still gets the truth and one its own guesses.
    noisy : whether a drawn residual is added to each of its own guesses.
    seed : of the residuals that are drawn.
    """

    _esm = esm("autoregression.js")
    _css = css("autoregression.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"order", "origin", "noisy", "seed"})

    title = traitlets.Unicode("Regressed on its own past", help="heading").tag(sync=True)
    first = traitlets.Int(help="the first year there is a number for").tag(sync=True)
    values = traitlets.List(help="the number of each year").tag(sync=True)
    fitted = traitlets.List(list(YULE), help="first and last year of the fit").tag(sync=True)
    orders = traitlets.List(list(ORDERS), help="smallest and largest order").tag(sync=True)
    origins = traitlets.List(help="first and last year to start from").tag(sync=True)
    order = traitlets.Int(2, help="p, how many years the fit looks back").tag(sync=True)
    origin = traitlets.Int(YULE[1], help="the last year it is told").tag(sync=True)
    noisy = traitlets.Bool(False, help="whether residuals are drawn").tag(sync=True)
    seed = traitlets.Int(0, help="of the residuals").tag(sync=True)
    forecast = traitlets.Dict(help="`autoregression.forecast` for these settings").tag(sync=True)
    sentence = traitlets.Unicode(help="what is seen, in words").tag(sync=True)

    def __init__(self, order: int = 2, origin: int = YULE[1], noisy: bool = False, seed: int = 0, **traits):
        self._series = sunspots()
        first, last = self._series.first + ORDERS[1] - 1, self._series.last - 1
        super().__init__(first=self._series.first, values=list(self._series.values), origins=[first, last], **traits)
        with self.hold_trait_notifications():
            self.order, self.origin, self.noisy, self.seed = order, origin, noisy, seed
        self._compute()

    @traitlets.validate("order", "origin", "seed")
    def _in_range(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {"order": ORDERS, "origin": tuple(self.origins), "seed": (0, 2**31)}[name]
        if not low <= value <= high:
            raise traitlets.TraitError(f"{name} is from {low} to {high}, not {value}.")
        return value

    @traitlets.observe("order", "origin", "noisy", "seed")
    def _settings(self, _change: dict):
        if self.forecast:
            self._compute()

    def _compute(self):
        found = forecast(self._series, self.order, self.origin, self.seed)
        with self.hold_sync():
            self.forecast, self.sentence = found, say_forecast(found, self.noisy)


def say_forecast(found: dict[str, Any], noisy: bool) -> str:
    """Say how the two ways of guessing fare, with the numbers of this fit."""
    wave = f"swings once in {found['period']:.1f} years" if found["period"] else "does not swing"
    rest = f"rests at {found['mean']:.0f}"
    if noisy:
        own = "with a drawn residual a year its own guesses go on cycling"
    else:
        own = f"on its own guesses it {wave}, keeps {found['damping']:.2f} of the swing each year, and {rest}"
    return (
        f"AR({found['order']}) after {found['origin']}: given the true years it misses by {found['given_error']:.0f} "
        f"(root mean square); {own}. Without noise its own guesses miss by {found['own_error']:.0f}."
    )


class Regressors(LiveView):
    """AR(2), a table of pairs and a GPT-2 side by side: what each looks at, its guess, its text, its score.

    Parameters
    ----------
    record : what `regressors.compare` gave.
    model : a model, or the name of one, to compare on a prompt of the reader's own; None only shows the record.
    """

    _esm = esm("regressors.js")
    _css = css("regressors.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "compare"})

    title = traitlets.Unicode("One idea, three regressors", help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    record = traitlets.Dict(help="the comparison as plain data").tag(sync=True)
    bits = traitlets.List(help="bits per byte of the table and of the model over all sentences").tag(sync=True)

    def __init__(self, record: dict[str, Any], model: GPT2 | str | None = None, **traits):
        super().__init__(model, **traits)
        self._take(record)

    def on_compare(self, message: dict):
        """Compare on the prompt that the browser sent."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A comparison is still under way.")
        else:
            self._busy, self.error = True, ""
            self.start(self._compare(name, message))

    async def _compare(self, name: str, message: dict):
        self.status = IDLE | {"state": "loading", "request": message.get("request")}
        try:
            prompt, seed = message.get("text"), message.get("seed")
            if not isinstance(prompt, str) or len(prompt) > LONGEST:
                raise TextError(f"The prompt must be text of at most {LONGEST} characters.")
            if type(seed) is not int or not 0 <= seed < 2**31:
                raise TextError("The seed must be a whole number from 0 on.")
            model = await self.opened(name)
            self.status = self.status | {"state": "running"}
            record = await asyncio.to_thread(lambda: compare(model, Bigram.load(), prompt, (seed, seed + 1)))
            with self.hold_sync():
                self.model, self.mode = name, "live"
                self._take(record)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The comparison broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _take(self, record: dict[str, Any]):
        with self.hold_sync():
            self.record = record
            self.bits = [None if record["refused"] else mean_bits(record, "bigram"), mean_bits(record, "gpt2")]
