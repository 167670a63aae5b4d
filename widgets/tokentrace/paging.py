"""Where the memory of a cache goes when many texts share it: one piece for each, or pages handed out one by one.

A request brings a prompt and will write so many tokens, which nobody knows beforehand. Whoever keeps its cache in one
piece must set aside a guess at once; pages can be handed out as the text grows (Kwon et al. 2023, SOSP, "Efficient
memory management for large language model serving with PagedAttention", arXiv 2309.06180).

Memory is counted in slots; a slot holds one position. Time is counted in steps, and in a step every text that has its
memory writes one token. This module needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

POLICIES = ("maximum", "power of two", "exact", "pages")
KINDS = ("tokens", "reserved", "internal", "external", "free")
MOST_STEPS = 100_000


class PagingError(ValueError):
    """Memory or requests that cannot be served; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one reader asks for: tokens of the prompt, and tokens that will be written."""

    prompt: int
    output: int

    @property
    def total(self) -> int:
        """Positions in its cache at the end; the last token written is never read."""
        return self.prompt + self.output - 1


@dataclass(frozen=True, slots=True)
class Stay:
    """A piece of memory that a request had.

    Attributes
    ----------
    request : its index.
    start, size : first slot and how many.
    begin, end : step from which it had the piece, and step at which it gave it back.
    admitted, base : step at which the request began to be served, and positions that it read then.
    offset : position of the request's text that the first slot holds.
    """

    request: int
    start: int
    size: int
    begin: int
    end: int
    admitted: int
    base: int
    offset: int

    def parts(self, request: Request, step: int) -> tuple[int, int, int]:
        """Slots of this piece that hold tokens at a step, that will, and that never will."""
        held = self.base + step - self.admitted - self.offset
        filled = max(0, min(self.size, held))
        used = max(filled, min(self.size, request.total - self.offset))
        return filled, used - filled, self.size - used


@dataclass(frozen=True, slots=True)
class Service:
    """How one policy served the requests.

    Attributes
    ----------
    steps : how many it took.
    use : for each step the slots that hold tokens, that are reserved for tokens still to come, that nothing will
        ever fill (internal), that are free but in no use to the request that waits (external), and that are free
        with nobody waiting; together all slots.
    running, waiting : for each step how many requests are served, and how many wait for memory.
    stays : every piece of memory handed out.
    preempted : how often a request lost its pages and had to begin again.
    """

    policy: str
    slots: int
    steps: int
    use: tuple[tuple[int, int, int, int, int], ...]
    running: tuple[int, ...]
    waiting: tuple[int, ...]
    stays: tuple[Stay, ...]
    preempted: int

    @property
    def shares(self) -> dict[str, float]:
        """Mean share of the memory in each kind of use while somebody waits or, if nobody ever does, at all times."""
        rows = [row for row, waiting in zip(self.use, self.waiting, strict=True) if waiting] or list(self.use)
        return {kind: sum(row[i] for row in rows) / (len(rows) * self.slots) for i, kind in enumerate(KINDS)}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a page."""
        stays = [list(asdict(stay).values()) for stay in self.stays]
        return asdict(self) | {"stays": stays, "shares": self.shares}


def aside(policy: str, request: Request, longest: int) -> int:
    """Slots that a policy sets aside at once for a request whose text may become `longest` positions long."""
    if policy == "maximum":
        return longest
    if policy == "power of two":
        size = 1
        while size < request.output:
            size *= 2
        return min(longest, request.prompt + size)
    return request.total


def serve(requests: Sequence[Request], slots: int, policy: str, *, longest: int, page: int = 16) -> Service:
    """Serve requests that all wait from the start, in their order, and see where the memory goes.

    Parameters
    ----------
    slots : positions that the memory holds.
    policy : "maximum" sets `longest` slots aside in one piece, "power of two" the prompt and the next power of two
        from the number of tokens to be written, "exact" what will be needed (an oracle: nobody knows it), "pages"
        hands out pages of `page` slots, the next one when the last is full.
    longest : positions that a text may have at most.

    Raises
    ------
    PagingError
        If a request can never be served.
    """
    if policy not in POLICIES:
        raise PagingError(f"A policy is one of {', '.join(POLICIES)}, not {policy!r:.40}.")
    if page < 1 or slots < 1:
        raise PagingError("Memory and pages have at least one slot.")
    for request in requests:
        if request.prompt < 1 or request.output < 1 or request.total > longest:
            raise PagingError(f"A text of {request.total:,} positions is longer than the {longest:,} there may be.")
        need = aside(policy, request, longest) if policy != "pages" else -(-request.total // page) * page
        if need > (slots // page * page if policy == "pages" else slots):
            raise PagingError(f"A request needs {need:,} slots and there are {slots:,}: more memory is needed.")
    return (_Pages if policy == "pages" else _Pieces)(requests, slots, policy, longest, page).run()


class _Server:
    """The queue, and what both kinds of memory have in common."""

    def __init__(self, requests: Sequence[Request], slots: int, policy: str, longest: int, page: int):
        self.requests, self.slots, self.policy, self.longest, self.page = requests, slots, policy, longest, page
        self.waiting = list(range(len(requests)))
        self.admitted: dict[int, int] = {}  # in the order of admission: request, step
        self.step = self.preempted = 0
        self.stays: list[Stay] = []
        self.use: list[tuple[int, int, int, int, int]] = []
        self.running: list[int] = []
        self.crowd: list[int] = []
        self.written = dict.fromkeys(range(len(requests)), 0)  # tokens written before a request lost its memory

    def run(self) -> Service:
        """Step by step until all are served."""
        while self.waiting or self.admitted:
            self.make_room()
            while self.waiting and self.admit(self.waiting[0]):
                self.admitted[self.waiting.pop(0)] = self.step
            self.use.append(self.look())
            self.running.append(len(self.admitted))
            self.crowd.append(len(self.waiting))
            self.step += 1
            for request in [each for each in self.admitted if self.held(each) > self.requests[each].total]:
                self.give_back(request)
                del self.admitted[request]
            if self.step > MOST_STEPS:
                raise PagingError(f"Not served after {MOST_STEPS:,} steps: give it more memory.")
        stays = tuple(sorted(self.stays, key=lambda stay: (stay.begin, stay.start)))
        told = (tuple(self.use), tuple(self.running), tuple(self.crowd))
        return Service(self.policy, self.slots, self.step, *told, stays, self.preempted)

    def held(self, request: int) -> int:
        """Positions in its cache at this step: the first step reads the prompt, each later one a token more."""
        return self.requests[request].prompt + self.written[request] + self.step - self.admitted[request]

    def make_room(self):
        """Give those that are served the memory for their next token."""

    def admit(self, request: int) -> bool:
        """Give a waiting request its memory, if it can be had."""
        raise NotImplementedError

    def give_back(self, request: int):
        """Take a request's memory back."""
        raise NotImplementedError

    def sizes(self, request: int) -> int:
        """Slots that a request has."""
        raise NotImplementedError

    def look(self) -> tuple[int, int, int, int, int]:
        """What the slots are used for now."""
        tokens = reserved = taken = 0
        for request in self.admitted:
            size, held = self.sizes(request), self.held(request)
            tokens, taken = tokens + held, taken + size
            reserved += min(size, self.requests[request].total) - held
        free = self.slots - taken
        rest = (free, 0) if self.waiting else (0, free)
        return tokens, reserved, taken - tokens - reserved, *rest


class _Pieces(_Server):
    """Each request has one piece, the first hole that is large enough."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.pieces: dict[int, tuple[int, int]] = {}

    def admit(self, request: int) -> bool:
        size, start = aside(self.policy, self.requests[request], self.longest), 0
        for other, length in sorted(self.pieces.values()):
            if other - start >= size:
                break
            start = other + length
        if start + size > self.slots:
            return False
        self.pieces[request] = (start, size)
        return True

    def give_back(self, request: int):
        start, size = self.pieces.pop(request)
        begin = self.admitted[request]
        self.stays.append(Stay(request, start, size, begin, self.step, begin, self.requests[request].prompt, 0))

    def sizes(self, request: int) -> int:
        return self.pieces[request][1]


class _Pages(_Server):
    """Pages of equal size, anywhere; when none is left, the request that came last gives its own back."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.free = list(range(self.slots // self.page))
        self.pages: dict[int, list[tuple[int, int]]] = {}  # page and the step from which it is had

    def make_room(self):
        for request in list(self.admitted):
            while request in self.admitted and len(self.pages[request]) * self.page < self.held(request):
                if not self.free:
                    self.push_out(next(reversed(self.admitted)))
                else:
                    self.pages[request].append((self.free.pop(0), self.step))

    def push_out(self, request: int):
        """Let a request go on later; what it had read and written must be read again."""
        self.give_back(request)
        self.written[request] += self.step - self.admitted[request]
        del self.admitted[request]
        self.waiting.insert(0, request)
        self.preempted += 1

    def admit(self, request: int) -> bool:
        need = -(-(self.requests[request].prompt + self.written[request]) // self.page)
        if len(self.free) < need:
            return False
        self.pages[request] = [(self.free.pop(0), self.step) for _ in range(need)]
        return True

    def give_back(self, request: int):
        admitted, base = self.admitted[request], self.requests[request].prompt + self.written[request]
        for index, (page, begin) in enumerate(self.pages.pop(request)):
            place = (page * self.page, self.page, begin, self.step)
            self.stays.append(Stay(request, *place, admitted, base, index * self.page))
            self.free.append(page)
        self.free.sort()

    def sizes(self, request: int) -> int:
        return len(self.pages[request]) * self.page
