"""Where the memory of many caches goes: one piece for each text, or pages, over the lengths of real requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.paging import POLICIES, PagingError, Service, serve
from tokentrace.request_lengths import RequestLengths, measure
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

LIMITS = {"slots": (128, 8192), "page": (1, 256), "longest": (16, 4096)}


class Paging(LiveView):
    """Four ways to share one memory among requests, and a map of it at every step.

    Parameters
    ----------
    lengths : how long the requests are.
    model : a model, or the name of one, that can answer the prompts anew; None only simulates.
    slots, page : positions that the memory holds, and positions of a page.
    longest : positions that a text may have at most; by default what the lengths' model can read.
    policy : whose memory is drawn at first, one of `POLICIES`.
    """

    _esm = esm("paging.js")
    _css = css("paging.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "change", "measure", "stop"})
    from_browser: ClassVar[frozenset[str]] = frozenset({"step"})

    title = traitlets.Unicode("One memory, many texts", help="heading").tag(sync=True)
    mode = traitlets.Enum(["recorded", "live"], "recorded", help="where the lengths come from").tag(sync=True)
    lengths = traitlets.Dict(help="the lengths as plain data").tag(sync=True)
    settings = traitlets.Dict(help="slots, page, longest, policy").tag(sync=True)
    services = traitlets.List(help="how each policy fares, or why it cannot").tag(sync=True)
    shown = traitlets.Dict(help="the chosen policy's service as plain data").tag(sync=True)
    sentence = traitlets.Unicode(help="what is seen, in words").tag(sync=True)
    step = traitlets.Int(0, help="the step whose memory is drawn").tag(sync=True)

    def __init__(
        self,
        lengths: RequestLengths,
        model: GPT2 | str | None = None,
        *,
        slots: int = 2048,
        page: int = 16,
        longest: int | None = None,
        policy: str = "maximum",
        **traits,
    ):
        self._served: dict[str, Service] = {}
        super().__init__(model, **traits)
        self._set = {"slots": slots, "page": page, "longest": longest or lengths.model.n_ctx, "policy": policy}
        self._take(lengths, self._set)

    @property
    def service(self) -> Service:
        """How the policy that is drawn served the requests, for the next cell to work with."""
        return self._served[self._set["policy"]]

    @traitlets.validate("step")
    def _within(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], max(0, self.shown.get("steps", 1) - 1)))

    def on_change(self, message: dict):
        """Take over what the reader has set, or say why it cannot be."""
        self.error = ""
        try:
            self._take(self._lengths, self._set | checked(message.get("fields")))
        except PagingError as error:
            self.say(str(error))
        if not self._busy:  # what the browser waits for
            self.status = IDLE | {"request": message.get("request")}

    def on_measure(self, message: dict):
        """Let the model answer the prompts anew."""
        if self._busy:
            self.say("The prompts are still being answered; stop that first.")
        elif not self.can_live:
            self.say("No model is at hand here to answer the prompts.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._measure(message.get("request")))

    async def _measure(self, request: Any):
        self.status = IDLE | {"state": "loading", "request": request}
        try:
            model = await self.opened(self.model)
            runs, done, total, found = measure(model, seed=self.seed + 1), 0, 1, None
            while not self._stopping and (each := await asyncio.to_thread(next, runs, None)):
                done, total, found = each
                self.status = IDLE | {"state": "running", "request": request, "done": done, "total": total}
            if found is None or done < total:
                raise PagingError("Stopped; the lengths that were there stay.")
            self._take(found, self._set)
            self.seed, self.mode = self.seed + 1, "live"
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The answers broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    def _take(self, lengths: RequestLengths, chosen: dict):
        """Serve the lengths with every policy; nothing changes if the chosen one cannot."""
        served: dict[str, Service] = {}
        rows = []
        for policy in POLICIES:
            row = {"policy": policy, "why": ""}
            try:
                service = serve(
                    lengths.requests, chosen["slots"], policy, longest=chosen["longest"], page=chosen["page"]
                )
                served[policy] = service
                running = sum(service.running) / service.steps
                row |= {"shares": service.shares, "steps": service.steps, "preempted": service.preempted}
                row |= {"running": round(running, 1), "waited": any(service.waiting)}
            except PagingError as error:
                if policy == chosen["policy"]:
                    raise
                row["why"] = str(error)
            rows.append(row)
        moved = self.settings.get("policy") != chosen["policy"] or not self.shown
        self._lengths, self._set, self._served = lengths, dict(chosen), served
        with self.hold_sync():
            self.lengths, self.settings, self.services = lengths.to_dict(), dict(chosen), rows
            self.shown = served[chosen["policy"]].to_dict()
            self.step = self.shown["steps"] // 3 if moved else self._within({"value": self.step})
            self.sentence = say_services(served, lengths, chosen)


def checked(fields: Any) -> dict[str, Any]:
    """Settings as a browser sent them, or a PagingError."""
    if not isinstance(fields, dict):
        raise PagingError("Nothing was set.")
    for name, value in fields.items():
        if name == "policy":
            if value not in POLICIES:
                raise PagingError(f"A policy is one of {', '.join(POLICIES)}.")
        elif name not in LIMITS:
            raise PagingError("There is no such setting.")
        elif isinstance(value, bool) or not isinstance(value, int) or not LIMITS[name][0] <= value <= LIMITS[name][1]:
            low, high = LIMITS[name]
            what = {"slots": "The memory", "page": "A page", "longest": "The longest text"}[name]
            raise PagingError(f"{what} has from {low:,} to {high:,} slots.")
    return fields


def say_services(served: dict[str, Service], lengths: RequestLengths, chosen: dict) -> str:
    """Say how one piece for the longest text and pages compare, with the numbers of this simulation."""
    n, pages, whole = len(lengths.requests), served.get("pages"), served.get("maximum")
    if not (pages and whole):
        return f"{n} requests; this memory is too small for one of the four ways."
    a, b = whole.shares["tokens"], pages.shares["tokens"]
    said = (
        f"With one piece for the longest text there may be, {a:.0%} of the memory holds tokens; with pages of "
        f"{chosen['page']} it is {b:.0%}. The {n} requests take {whole.steps:,} steps and {pages.steps:,}."
    )
    if not any(pages.waiting):
        said += " With pages nobody has to wait: this memory is larger than these requests need."
    if pages.preempted:
        times = "once" if pages.preempted == 1 else f"{pages.preempted} times"
        said += f" But {times} the pages ran out, and a text had to give its own back and be read again later."
    best = min(service.steps for service in served.values())
    if pages.steps > best:
        said += " Here pages are not the fastest way."
    return said
