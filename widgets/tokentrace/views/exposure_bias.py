"""Both sides of the dispute about exposure bias, measured where the truth is known."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.bias_run import ANCESTRAL, DECODERS, MEASURES, BiasRun
from tokentrace.bias_words import say_contexts, say_excess, say_prefixes
from tokentrace.trace import TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, SEND_EVERY, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

SIZES = (16, 32, 64, 128)  # texts of each writer


class ExposureBias(LiveView):
    """He et al.'s ratio by prefix length, Arora et al.'s excess by decoder, and which contexts explain both.

    Parameters
    ----------
    run : what was measured before.
    model : the oracle to measure with, or its name; None shows only the record.
    learner : the learner, or its name.

    Attributes
    ----------
    run : what was measured last, for the next cell to work with.
    """

    _esm = esm("exposure_bias.js")
    _css = css("exposure_bias.css")
    _taking = False  # while a run is taken over, a choice is not the reader's
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "generate", "stop"})
    from_browser: ClassVar[frozenset[str]] = frozenset({"measure", "scale", "decoder"})

    title = traitlets.Unicode("Both sides of a dispute", help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    record = traitlets.Dict(help="the run as plain data").tag(sync=True)
    measure = traitlets.Enum(MEASURES, MEASURES[0], help="which of He et al.'s ratios").tag(sync=True)
    scale = traitlets.Enum(["excess", "acc_err"], "excess", help="%ExAccErr or AccErr").tag(sync=True)
    decoder = traitlets.Unicode("greedy", help="whose contexts are looked at").tag(sync=True)
    sentences = traitlets.List(help="what the three pictures show, in words").tag(sync=True)
    offered = traitlets.List(list(DECODERS), help="decoders that can be measured").tag(sync=True)
    sizes = traitlets.List(list(SIZES), help="numbers of texts that can be measured").tag(sync=True)
    learner = traitlets.Unicode(help="the learner chosen").tag(sync=True)

    def __init__(self, run: BiasRun, model: GPT2 | str | None = "storyteller", learner: GPT2 | str = "draft", **traits):
        chosen = self._wanted = traits.pop("decoder", "greedy")
        super().__init__(model, **traits)
        if not isinstance(learner, str):
            self._models[learner.name] = learner
        name = learner if isinstance(learner, str) else learner.name
        if self.can_live and name not in self.model_names:
            self.model_names = [*self.model_names, name]
        self.learner = name
        self._take(run, "recorded")
        self.decoder = chosen

    @traitlets.validate("decoder")
    def _known(self, proposal: dict) -> str:
        if proposal["value"] not in [group.name for group in self.run.decoders]:
            raise traitlets.TraitError(f"{proposal['value']!r:.40} was not measured.")
        return proposal["value"]

    @traitlets.observe("measure", "scale", "decoder")
    def _said(self, _change: dict):
        if self.record and not self._taking:
            self._wanted = self.decoder
            self._say_all()

    def on_generate(self, message: dict):
        """Measure on this machine, with the models and decoders that the browser names."""
        names = [message.get("model") or self.model, message.get("learner") or self.learner]
        if self._busy:
            self.say("A measurement is under way; stop it first.")
        elif any(name not in self.model_names for name in names):
            self.say("No such model is at hand here.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._measure(*names, message))

    async def _measure(self, oracle: str, learner: str, message: dict):
        request, shown = message.get("request"), None
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            decoders, texts = checked(message.get("decoders"), message.get("texts"))
            models = [await self.opened(name) for name in (oracle, learner)]
            from tokentrace.visited_contexts import measure

            steps, began, told = measure(*models, decoders, texts=texts, **room(*models)), perf_counter(), 0.0
            while not self._stopping and (step := await asyncio.to_thread(next, steps, None)):
                done, total, run = step
                if run is not None and run is not shown:
                    shown = run
                    with self.hold_sync():
                        self.model, self.learner = oracle, learner
                        self._take(run, "live")
                if perf_counter() - told > SEND_EVERY:
                    told = perf_counter()
                    rate = round(done / (told - began), 1)
                    self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
            if self._stopping:
                kept = len(shown.decoders) if shown else 0
                there = f"{kept} of {len(decoders)} decoders are measured" if kept else "what was shown stays"
                raise TraceError(f"Stopped; {there}.")
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The measurement broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _take(self, run: BiasRun, mode: str):
        self.run, self._taking = run, True
        names = [group.name for group in run.decoders]
        with self.hold_sync():
            self.record, self.mode = run.to_dict(), mode
            if names:  # the one that was looked at, or the newest until that comes
                self.decoder = self._wanted if self._wanted in names else names[-1]
            if self.measure not in run.prefix:
                self.measure = MEASURES[0]
            self._say_all()
        self._taking = False

    def _say_all(self):
        run, decoder = self.run, self.decoder
        self.sentences = [say_prefixes(run, self.measure), say_excess(run, decoder), say_contexts(run, decoder)]


def room(oracle: GPT2, learner: GPT2) -> dict[str, int]:
    """How many tokens fit where the window is short; nothing where the usual ones do."""
    window = min(oracle.config.n_ctx, learner.config.n_ctx)
    return {} if window > 128 else {"context": max(1, window // 8), "length": window - max(1, window // 8) - 1}


def checked(decoders: Any, texts: Any) -> tuple[list[str], int]:
    """Decoders and number of texts as a browser sent them, with ancestral sampling first; or a TraceError."""
    if not isinstance(decoders, list) or any(each not in DECODERS for each in decoders):
        raise TraceError("These are not decoders that can be measured.")
    if texts not in SIZES:
        raise TraceError(f"The number of texts must be one of {', '.join(map(str, SIZES))}.")
    return [ANCESTRAL, *(name for name in DECODERS if name in decoders and name != ANCESTRAL)], texts
