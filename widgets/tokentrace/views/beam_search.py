"""Beam search as a tree that grows: what was kept at each step, what was pruned, and where greedy is in it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.beams import Beams
from tokentrace.repetition import measures
from tokentrace.trace import TraceError
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, SEND_EVERY, LiveView, checked

if TYPE_CHECKING:
    from tokentrace.beam_search import Search
    from tokentrace.lm import GPT2

MOST_BEAMS, MOST_TOKENS = 8, 60
LIVE = "yours"


class BeamSearch(LiveView):
    """Shows recorded beam searches, one at a time, and runs new ones.

    Parameters
    ----------
    searches : name of each search and its record.
    model : a model, or the name of one, for live searches; None shows only what was recorded.
    """

    _esm = esm("beam_search.js")
    _css = css("beam_search.css")
    from_browser: ClassVar[frozenset[str]] = frozenset({"shown", "step"})

    title = traitlets.Unicode("Several beginnings at once", help="heading").tag(sync=True)
    names = traitlets.List(help="what each search is called").tag(sync=True)
    records = traitlets.List(help="the searches as plain data").tag(sync=True)
    repetition = traitlets.List(help="for each the measures of its best text").tag(sync=True)
    shown = traitlets.Int(0, help="which of them is shown").tag(sync=True)
    step = traitlets.Int(0, help="which of its steps").tag(sync=True)

    def __init__(self, searches: dict[str, Beams], model: GPT2 | str | None = None, **traits):
        self._recorded = dict(searches)
        first = next(iter(searches.values()))
        super().__init__(model, prompt=first.prompt, **traits)
        self._show(self._recorded, 0)

    @property
    def beams(self) -> Beams:
        """The search that is shown, for the next cell to work with."""
        return self._searches[self.shown]

    @traitlets.validate("shown", "step")
    def _within(self, proposal: dict) -> int:
        most = len(self._searches) if proposal["trait"].name == "shown" else len(self.beams.steps)
        return max(0, min(proposal["value"], most - 1))

    def _show(self, searches: dict[str, Beams], shown: int):
        self._searches = list(searches.values())
        with self.hold_sync():
            self.names = list(searches)
            self.records = [beams.to_dict() for beams in self._searches]
            best = [beams.ranking()[0].tokens for beams in self._searches]
            self.repetition = [measures(tokens).to_dict() for tokens in best]
            self.shown = shown
            self.step = len(self._searches[shown].steps) - 1

    def on_generate(self, message: dict):
        """Search anew for the prompt, the beams and the ends that the browser sent."""
        name = message.get("model") or self.model
        if name not in self.model_names:
            self.say("No such model is at hand here.")
        elif self._busy:
            self.say("A search is still running; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._search(name, message))

    async def _search(self, name: str, message: dict):
        request = message.get("request")
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            wanted = checked_search(message)
            model = await self.opened(name)
            from tokentrace.beam_search import Search, sentence_ends

            ends = sentence_ends(model) if wanted.pop("sentence") else None
            search = Search(model, **wanted, ends=ends)
            await self._run(search, request)
            self.model, self.prompt = name, wanted["prompt"]
            self._show(self._recorded | {LIVE: search.beams}, len(self._recorded))
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The search broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    async def _run(self, search: Search, request: Any):
        began = told = perf_counter()
        steps = iter(search)
        while not self._stopping and await asyncio.to_thread(next, steps, None) is not None:
            done, now = len(search.steps), perf_counter()
            if now - told > SEND_EVERY:
                told, total = now, search.start.max_new_tokens
                rate = round(done / (now - began), 1)
                self.status = {"state": "running", "request": request, "done": done, "total": total, "rate": rate}
        if not search.steps:
            raise TraceError("Stopped before the first step.")


def checked_search(message: dict) -> dict[str, Any]:
    """What a browser wants to be searched for, or a TraceError."""
    prompt, _ = checked(message | {"seed": 0})
    num_beams, n, sentence = (message.get(name) for name in ("num_beams", "max_new_tokens", "sentence"))
    for name, value, most in (("Beams", num_beams, MOST_BEAMS), ("Tokens", n, MOST_TOKENS)):
        if type(value) is not int or not 1 <= value <= most:
            raise TraceError(f"{name} must be a whole number from 1 to {most}.")
    return {"prompt": prompt, "num_beams": num_beams, "max_new_tokens": n, "sentence": sentence is True}
