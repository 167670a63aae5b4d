"""Many readers at once: static against continuous batching, simulated exactly with step times that were measured.

Requests come in, wait, have their prompt read and their tokens written, and leave. *Static* batching fills a batch,
and starts the next one when its last request is done; a row whose request is done goes on as padding. *Continuous*
batching decides anew before every pass (iteration-level scheduling, Orca: Yu et al. 2022). Both serve who came first
first, read every prompt in a pass of its own, and use the same times.

If all requests come at once and no pass for fewer rows takes longer than one for more, continuous batching is
never later with the last token: it needs at most as many passes of at least k rows as static, for every k. With
arrivals in between there is no such guarantee; the page says what came out.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tokentrace.plain_data import TraceError, in_range

POLICIES = ("static", "continuous")
PROMPT_TOKENS = 32  # of each request; a prefill of that length is among the measured ones
MEAN_TOKENS = 32  # that a request wants
MOST_REQUESTS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants `tokens` tokens and says so at `arrival` seconds."""

    arrival: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Served:
    """How one request fared; seconds.

    Attributes
    ----------
    lane : row of the batch that it held, from 0.
    begin : when the pass that reads its prompt started.
    first, end : when its first and its last token were there.
    released : when its lane was free for somebody else; static batching pads from `end` to then.
    tokens : written for it.
    """

    lane: int
    begin: float
    first: float
    end: float
    released: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Measured times: `read` seconds to read a prompt, and seconds of one step for each batch size measured."""

    read: float
    steps: tuple[tuple[int, float], ...]

    @classmethod
    def measured(cls, record: Mapping[str, Any]) -> Machine:
        """Take the medians of a record of `prefill_decode.speeds`; a TraceError if it holds none."""
        times = [(each, statistics.median(each["seconds"])) for each in record["passes"] if each["seconds"]]
        steps = tuple(sorted((each["batch"], seconds) for each, seconds in times if each["kind"] == "decode"))
        reads = [(each["new"], seconds) for each, seconds in times if each["kind"] == "prefill"]
        if not steps or steps[0][0] != 1 or not reads:
            raise TraceError("passes: a step for one text and the reading of a prompt must have been timed.")
        return cls(min(reads, key=lambda read: abs(read[0] - PROMPT_TOKENS))[1], steps)

    @property
    def most(self) -> int:
        """Largest batch that was measured."""
        return self.steps[-1][0]

    def step(self, rows: int) -> float:
        """Seconds of one step for so many rows; between two measured sizes on the line that joins them."""
        for (low, before), (high, after) in pairwise(self.steps):
            if low <= rows <= high:
                return before + (after - before) * (rows - low) / (high - low)
        if rows == self.steps[0][0]:
            return self.steps[0][1]
        raise TraceError(f"A step for {rows} rows was not measured; {self.most} is the most.")


def draw_requests(n: int, rate: float | None, spread: float, seed: int = 0) -> tuple[Request, ...]:
    """Draw n requests; the lengths are the same for every rate.

    Parameters
    ----------
    rate : requests a second, with exponential gaps (a Poisson process); None: all come at once.
    spread : lengths are drawn evenly from `MEAN_TOKENS` times 1 - spread to 1 + spread, and are at least 1.

    Raises
    ------
    TraceError
        If a number is out of its range.
    """
    in_range("requests", n, 1, MOST_REQUESTS, whole=True)
    in_range("rate", rate, 1e-6, 1e9, optional=True)
    in_range("spread", spread, 0, 1)
    numbers = np.random.default_rng(seed)
    where, gaps = numbers.random(n) * 2 - 1, numbers.exponential(size=n)
    arrivals = np.zeros(n) if rate is None else (np.cumsum(gaps) - gaps[0]) / rate
    return tuple(
        Request(float(at), max(1, round(MEAN_TOKENS * (1 + spread * float(x)))))
        for at, x in zip(arrivals, where, strict=True)
    )


def simulate(policy: str, requests: Sequence[Request], machine: Machine, lanes: int) -> list[Served]:
    """Serve all requests with a batch of at most `lanes` rows; the order of the result is that of the requests."""
    in_range("lanes", lanes, 1, machine.most, whole=True)
    if policy not in POLICIES:
        raise TraceError(f"The policy {policy!r} is none of {', '.join(POLICIES)}.")
    order = sorted(range(len(requests)), key=lambda i: requests[i].arrival)
    serve = _static if policy == "static" else _continuous
    served = serve([requests[i] for i in order], machine, lanes)
    return [one for _, one in sorted(zip(order, served, strict=True), key=lambda pair: pair[0])]


def _static(queue: Sequence[Request], machine: Machine, lanes: int) -> list[Served]:
    served: list[Served] = []
    now = 0.0
    while len(served) < len(queue):
        waiting = queue[len(served) :]
        now = max(now, waiting[0].arrival)
        batch = [request for request in waiting[:lanes] if request.arrival <= now]
        begins, firsts = [], []
        for _ in batch:
            begins.append(now)
            now += machine.read
            firsts.append(now)
        ends = list(firsts)
        for written in range(2, max(request.tokens for request in batch) + 1):
            now += machine.step(len(batch))
            ends = [now if written <= request.tokens else end for request, end in zip(batch, ends, strict=True)]
        rows = zip(begins, firsts, ends, batch, strict=True)
        served += [Served(lane, a, b, c, now, request.tokens) for lane, (a, b, c, request) in enumerate(rows)]
    return served


def _continuous(queue: Sequence[Request], machine: Machine, lanes: int) -> list[Served]:
    served: dict[int, Served] = {}
    running: dict[int, list] = {}  # lane: which request, when it began, when its first token came, how many it has
    now, following = 0.0, 0
    while len(served) < len(queue):
        if not running:
            now = max(now, queue[following].arrival)
        while following < len(queue) and queue[following].arrival <= now and len(running) < lanes:
            lane = min(set(range(lanes)) - running.keys())
            running[lane] = [following, now, now + machine.read, 1]
            now += machine.read
            following += 1
            _let_go(running, served, queue, now)
        if running:
            now += machine.step(len(running))
            for one in running.values():
                one[3] += 1
            _let_go(running, served, queue, now)
    return [served[i] for i in range(len(queue))]


def _let_go(running: dict[int, list], served: dict[int, Served], queue: Sequence[Request], now: float):
    """Free the lanes of those that have all their tokens."""
    for lane, (which, begin, first, tokens) in list(running.items()):
        if tokens == queue[which].tokens:
            served[which] = Served(lane, begin, first, now, now, tokens)
            del running[lane]


def account(requests: Sequence[Request], served: Sequence[Served], lanes: int) -> dict[str, float]:
    """What a schedule comes to.

    `seconds` from the first request to the last token; `rate` in tokens a second over that time; `busy`, `padded`
    and `idle`, shares of all rows' time; `wait` and `latency`, mean seconds until the first and the last token;
    `worst`, the longest wait.
    """
    start = min(request.arrival for request in requests)
    seconds = max(one.end for one in served) - start
    whole = seconds * lanes
    busy = sum(one.end - one.begin for one in served) / whole
    padded = sum(one.released - one.end for one in served) / whole
    waits = [one.first - request.arrival for request, one in zip(requests, served, strict=True)]
    return {
        "seconds": seconds,
        "rate": sum(one.tokens for one in served) / seconds,
        "busy": busy,
        "padded": padded,
        "idle": max(0.0, 1 - busy - padded),
        "wait": statistics.fmean(waits),
        "worst": max(waits),
        "latency": statistics.fmean(
            one.end - request.arrival for request, one in zip(requests, served, strict=True)
        ),
    }  # fmt: skip


def compare(requests: Sequence[Request], machine: Machine, lanes: int) -> dict[str, Any]:
    """Serve the same requests both ways; plain data for a view."""
    made: dict[str, Any] = {"lanes": lanes, "requests": [asdict(request) for request in requests]}
    for policy in POLICIES:
        served = simulate(policy, requests, machine, lanes)
        made[policy] = {
            "served": [asdict(one) for one in served],
            "account": account(requests, served, lanes),
        }
    return made


def rates_worth_trying(machine: Machine) -> list[float]:
    """Arrival rates, requests a second: about 1, 2, 4 and 8 times what the machine can do for one at a time."""
    alone = 1 / (machine.read + (MEAN_TOKENS - 1) * machine.step(1))
    return sorted({float(f"{alone * times:.1g}") for times in (1, 2, 4, 8)})


def say_batching(found: Mapping[str, Any]) -> str:
    """Say which way did better, in time, in tokens a second and in waiting."""
    static, free = (found[policy]["account"] for policy in POLICIES)
    gain = free["rate"] / static["rate"]
    lead = "the same number of" if abs(gain - 1) < 0.01 else f"{gain:.2f} times the"
    says = (
        f"Continuous batching gave {lead} tokens a second, {free['rate']:.0f} and {static['rate']:.0f} with static "
        f"batches. The last token came after {free['seconds']:.2f} s, static {static['seconds']:.2f} s; the mean wait "
        f"for a first token was {free['wait']:.2f} s, static {static['wait']:.2f} s. Static batches spent "
        f"{static['padded']:.0%} of the rows’ time on padding."
    )
    if free["seconds"] > static["seconds"] * 1.001:
        says += " Here continuous batching was later with the last token."
    return says
