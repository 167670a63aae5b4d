"""Learners trained while the reader watches: by several recipes, and with and without the causal mask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.mask_training import MaskTraining, say_mask_training
from tokentrace.plain_data import TraceError, in_range
from tokentrace.scheduled_sampling import KINDS, Plan, TrainingRun, plan, say_outcome, say_run
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View
from tokentrace.views._live import IDLE

if TYPE_CHECKING:
    from tokentrace.attention_learners import MaskTrainer
    from tokentrace.training import Trainer

TELL_EVERY = 0.25  # seconds between two looks at the curves


class TrainingView(View):
    """A training that is recorded at first, and made here when the reader asks for it.

    Stop ends the training; what has been learned by then is measured and shown.
    """

    messages: ClassVar[frozenset[str]] = frozenset({"ping", "train", "stop"})

    title = traitlets.Unicode(help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the numbers come from").tag(sync=True)
    status = traitlets.Dict(IDLE, help="state, request, updates done, total, rate a second").tag(sync=True)
    growing = traitlets.Dict(help="curves of the training under way; empty when there is none").tag(sync=True)
    run = traitlets.Dict(help="the training as plain data").tag(sync=True)
    sentence = traitlets.Unicode(help="what was found, in words").tag(sync=True)

    _busy = _stopping = False

    def on_train(self, message: dict):
        """Train by what the browser chose."""
        if self._busy:
            self.say("A training is under way; stop it first.")
            return
        try:
            begin = self._planned(message)
        except TraceError as error:
            self.say(str(error))
            return
        self._busy, self._stopping, self.error = True, False, ""
        self.start(self._train(message.get("request"), begin))

    def on_stop(self, _message: dict):
        """End the training after the updates it is at."""
        self._stopping = True

    async def _train(self, request: Any, begin: Callable[[], Trainer | MaskTrainer]):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            trainer = await asyncio.to_thread(begin)
            total, step = self._total(trainer), 1
            while trainer.done < total and not self._stopping:
                began = perf_counter()
                await asyncio.to_thread(trainer.advance, step)
                took = perf_counter() - began
                rate = step / took
                step = max(1, min(2 * step, round(TELL_EVERY * rate)))
                with self.hold_sync():
                    curves = [{name: list(points) for name, points in each.items()} for each in trainer.curves]
                    self.growing = {"names": list(trainer.names), "at": list(trainer.at), "curves": curves}
                    self.status = {
                        "state": "running", "request": request, "done": trainer.done, "total": total,
                        "rate": round(rate, 1),
                    }  # fmt: skip
            if not trainer.done:
                raise TraceError("Stopped before the first update; what was shown stays.")
            self.status = IDLE | {"state": "measuring", "request": request, "done": trainer.done, "total": total}
            run = await asyncio.to_thread(trainer.measure)
            with self.hold_sync():
                self._take(run)
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The training broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            with self.hold_sync():
                self._busy, self.growing, self.status = False, {}, IDLE

    def _planned(self, message: Mapping[str, Any]) -> Callable[[], Trainer | MaskTrainer]:
        raise NotImplementedError

    def _total(self, trainer: Trainer | MaskTrainer) -> int:
        raise NotImplementedError

    def _take(self, run: TrainingRun | MaskTraining):
        raise NotImplementedError


class Training(TrainingView):
    """Small learners of a language whose truth is known: loss as they learn, then how far each is from the truth.

    Parameters
    ----------
    runs : recorded trainings by kind of comparison; at least that of `kind`.
    kind : the comparison to show first, a key of `KINDS`.
    """

    _esm = esm("scheduled_sampling.js")
    _css = css("scheduled_sampling.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"kind", "shown"})

    title = traitlets.Unicode("Train it yourself", help="heading").tag(sync=True)
    kinds = traitlets.Dict(KINDS, help="what learners may differ in").tag(sync=True)
    kind = traitlets.Unicode("ways", help="what they differ in").tag(sync=True)
    offers = traitlets.Dict(help="for each kind the names of its learners").tag(sync=True)
    shown = traitlets.Int(0, help="number of the learner whose texts are shown").tag(sync=True)
    details = traitlets.List(help="for each learner what was found").tag(sync=True)

    def __init__(self, runs: Mapping[str, TrainingRun], kind: str = "ways", **traits):
        self._runs, self._live = dict(runs), set()
        kinds = {name: KINDS[name] for name in KINDS if name in self._runs}
        offers = {name: [recipe.name for recipe in plan(name).recipes] for name in kinds}
        super().__init__(kinds=kinds, offers=offers, **traits)
        self.kind = kind
        self._show()

    @property
    def training(self) -> TrainingRun:
        """The training that is shown, for the next cell to work with."""
        return self._runs[self.kind]

    @traitlets.validate("kind")
    def _known(self, proposal: dict) -> str:
        if proposal["value"] not in self._runs:
            raise traitlets.TraitError(f"There is no training of {proposal['value']!r:.40} here.")
        return proposal["value"]

    @traitlets.validate("shown")
    def _within(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], len(self.training.outcomes) - 1))

    @traitlets.observe("kind")
    def _other_kind(self, _change: dict):
        if self.run:
            self._show()

    def _planned(self, message: Mapping[str, Any]) -> Callable[[], Trainer]:
        made = checked_plan(message)

        def begin() -> Trainer:
            from tokentrace.training import Trainer

            return Trainer(made)

        return begin

    def _total(self, trainer: Trainer) -> int:
        return trainer.plan.updates

    def _take(self, run: TrainingRun):
        self._runs[run.plan.kind] = run
        self._live.add(run.plan.kind)
        self.kind = run.plan.kind
        self._show()

    def _show(self):
        run = self.training
        with self.hold_sync():
            self.run, self.sentence = run.to_dict(), say_run(run)
            self.details = [say_outcome(run, each) for each in run.outcomes]
            self.mode = "live" if self.kind in self._live else "recorded"
            self.shown = min(self.shown, len(run.outcomes) - 1)


class Peeking(TrainingView):
    """One layer of attention, trained with the causal mask and without it.

    Parameters
    ----------
    run : the training to show first.
    """

    _esm = esm("peeking.js")
    _css = css("peeking.css")

    title = traitlets.Unicode("With the mask and without", help="heading").tag(sync=True)

    def __init__(self, run: MaskTraining, **traits):
        super().__init__(**traits)
        self._show(run, "recorded")

    @property
    def training(self) -> MaskTraining:
        """The training that is shown, for the next cell to work with."""
        return self._shown

    def _planned(self, message: Mapping[str, Any]) -> Callable[[], MaskTrainer]:
        updates = message.get("updates")
        in_range("Updates", updates, 1, 2000, whole=True)

        def begin() -> MaskTrainer:
            from tokentrace.attention_learners import MaskTrainer

            return MaskTrainer(updates)

        return begin

    def _total(self, trainer: MaskTrainer) -> int:
        return trainer.updates

    def _take(self, run: MaskTraining):
        self._show(run, "live")

    def _show(self, run: MaskTraining, mode: str):
        self._shown = run
        with self.hold_sync():
            self.run, self.sentence, self.mode = run.to_dict(), say_mask_training(run), mode


def checked_plan(message: Mapping[str, Any]) -> Plan:
    """Return the plan that a browser's message asks for, or a TraceError that says what is wrong with it."""
    kind, chosen = message.get("kind"), message.get("chosen")
    if not isinstance(kind, str) or kind not in KINDS:
        raise TraceError("There is no such comparison.")
    if not isinstance(chosen, list) or not all(type(each) is int for each in chosen):
        raise TraceError("Choose at least one learner to train.")
    in_range("Updates", message.get("updates"), 1, 2000, whole=True)
    in_range("The least chance of a true word", message.get("floor"), 0, 1)
    in_range("Texts", message.get("texts"), 10, 10_000, whole=True)
    return plan(kind, chosen, message["updates"], float(message["floor"]), message["texts"])
