"""One run with a key-value cache and without: bytes, work and time of every pass, as plain data.

Passes are counted from 0: pass 0 reads the whole prompt, pass k the k-th new token. With a prompt of P tokens the
cache holds P + k columns after pass k, and N new tokens take N passes; the last one is written but never read.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from itertools import accumulate
from typing import Any

from tokentrace import plain_data
from tokentrace.measuring import middle, say_machine
from tokentrace.models import data_folder
from tokentrace.plain_data import (
    Record,
    TraceError,
    all_listed,
    build,
    exactly,
    list_of,
    mapping,
    typed,
    vocabulary_from_dict,
    vocabulary_to_dict,
)
from tokentrace.trace import Model

FORMAT, VERSION = "tokentrace cache run", 1
WAYS = ("cached", "uncached")
COUNTS = ("projections", "pairs", "scored")
BY_FORMULA = (100, 1000, 10_000)  # tokens; most windows here are too small for the last ones, formulas have none


def projections(prompt: int, new: int, cached: bool) -> int:
    """Positions whose keys and values a layer computes to write `new` tokens after `prompt` tokens."""
    last = prompt + new - 1  # length of the text that the last pass has read
    return last if cached else triangle(last) - triangle(prompt - 1)


def pairs(prompt: int, new: int, cached: bool) -> int:
    """Pairs of query and key that a head of a layer looks at, under the causal mask, to write `new` tokens."""
    last = prompt + new - 1
    return triangle(last) if cached else tetrahedron(last) - tetrahedron(prompt - 1)


def triangle(n: int) -> int:
    """1 + 2 + ... + n."""
    return n * (n + 1) // 2


def tetrahedron(n: int) -> int:
    """The first n triangles together."""
    return n * (n + 1) * (n + 2) // 6


FORMULAS = {"projections": projections, "pairs": pairs}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the size of a cache depends on; `n_bytes` of one number, `n_inner` the width inside an MLP."""

    n_layer: int
    n_kv_head: int
    d_head: int
    n_bytes: int
    n_embd: int
    n_inner: int

    def bytes_of(self, n: int) -> int:
        """Bytes of n positions of one text: keys and values of every layer and every head that keeps them."""
        return 2 * self.n_layer * self.n_kv_head * self.d_head * n * self.n_bytes

    @property
    def equal_at(self) -> int:
        """Positions at which attention takes as many operations as the linear layers: 4nd = 8d² + 4d·n_inner."""
        return 2 * self.n_embd + self.n_inner


@dataclass(frozen=True, slots=True)
class Counted:
    """Work of one way, pass by pass, as it was counted.

    Attributes
    ----------
    projections, pairs : in each layer alike; pairs are those of one head.
    scored : positions that the head gave logits for.
    """

    projections: tuple[int, ...]
    pairs: tuple[int, ...]
    scored: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """One token of the text replaced, and which columns of the cache then differ.

    Attributes
    ----------
    at, token : position, from 0, and the id that was put there.
    changed : for each layer a text with a character a position: 1 where the key or the value is another one.
    """

    at: int
    token: int
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CacheRun(Record):
    """A greedy run made twice, with a cache and without.

    Attributes
    ----------
    machine : processor, cores, threads.
    tokens, uncached_tokens : what each way wrote.
    length, nbytes : columns and bytes in the cache after each pass; the bytes are those of its live tensors.
    set_aside : bytes of the memory that was reserved when the run began.
    gaps : largest difference of a logit at each pass; None once the two ways have written different tokens.
    margin : the smallest lead of a chosen token's logit over the next best.
    cached_ms, uncached_ms : a row a round, a number a pass; the ways took turns.
    edits : each position's token replaced, at the end of the run.
    """

    model: Model
    shape: Shape
    machine: Mapping[str, Any]
    recorded: str
    prompt: str
    vocabulary: Mapping[int, bytes]
    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    uncached_tokens: tuple[int, ...]
    length: tuple[int, ...]
    nbytes: tuple[int, ...]
    set_aside: int
    gaps: tuple[float | None, ...]
    margin: float
    cached_ms: tuple[tuple[float, ...], ...]
    uncached_ms: tuple[tuple[float, ...], ...]
    cached: Counted
    uncached: Counted
    edits: tuple[Edit, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Tokens whose columns are in the cache at the end."""
        return (*self.prompt_tokens, *self.tokens[:-1])

    @property
    def gap(self) -> float:
        """Largest difference of any logit, as long as both ways had the same text to read."""
        return max(gap for gap in self.gaps if gap is not None)

    @property
    def same(self) -> bool:
        """Whether both ways wrote the same tokens."""
        return self.tokens == self.uncached_tokens

    def ms(self, way: str) -> tuple[tuple[float, ...], ...]:
        """Milliseconds of one way, a row a round."""
        return self.cached_ms if way == "cached" else self.uncached_ms

    def totals(self, way: str) -> list[float]:
        """Milliseconds of the whole run in each round."""
        return [sum(passes) for passes in self.ms(way)]

    def middle_round(self, way: str) -> int:
        """The round that took the median time: one that happened, so it can be replayed."""
        totals = self.totals(way)
        return sorted(range(len(totals)), key=totals.__getitem__)[(len(totals) - 1) // 2]

    def ratios(self) -> list[float]:
        """How many times as long the run took without the cache, round by round."""
        return [slow / fast for fast, slow in zip(self.totals("cached"), self.totals("uncached"), strict=True)]

    def passes(self, way: str) -> list[tuple[float, float, float]]:
        """Least, median and most milliseconds of each pass."""
        return [middle(list(rounds)) for rounds in zip(*self.ms(way), strict=True)]

    def quartiles(self, way: str) -> list[tuple[float, float]]:
        """Between which times the middle half of each pass's rounds lies."""
        rounds = zip(*self.ms(way), strict=True)
        cuts = [statistics.quantiles(ms, n=4, method="inclusive") if len(ms) > 1 else [*ms] * 3 for ms in rounds]
        return [(low, high) for low, _, high in cuts]

    def no_gain(self) -> list[int]:
        """Passes whose median was not shorter with the cache."""
        both = zip(self.passes("cached"), self.passes("uncached"), strict=True)
        return [place for place, ((_, fast, _), (_, slow, _)) in enumerate(both) if fast >= slow]

    def token_text(self, token: int) -> str:
        """What a token looks like on its own."""
        return self.vocabulary[token].decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as files and front ends read them."""
        return plain({field.name: getattr(self, field.name) for field in fields(self)}) | {
            "format": FORMAT,
            "version": VERSION,
            "vocabulary": vocabulary_to_dict(self.vocabulary),
        }

    @classmethod
    def from_dict(cls, data: Any) -> CacheRun:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("cache run", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("cache run", data, {"format", "version"} | {field.name for field in fields(cls)})
        n = len(typed("tokens", data["tokens"], list))
        tokens = {name: tuple(list_of(name, data[name], int)) for name in ("prompt_tokens", "tokens")}
        columns = {name: tuple(list_of(name, data[name], int, n)) for name in ("uncached_tokens", "length", "nbytes")}
        times = {f"{way}_ms": _rows(f"{way}_ms", data[f"{way}_ms"], n) for way in WAYS}
        run = cls(
            model=build(Model, "model", data["model"]),
            shape=build(Shape, "shape", data["shape"]),
            machine=_machine(data["machine"]),
            recorded=typed("recorded", data["recorded"], str),
            prompt=typed("prompt", data["prompt"], str),
            vocabulary=vocabulary_from_dict(data["vocabulary"]),
            set_aside=typed("set_aside", data["set_aside"], int),
            gaps=tuple(list_of("gaps", data["gaps"], float, n, optional=True)),
            margin=typed("margin", data["margin"], float),
            edits=tuple(_edit(f"edits[{i}]", each) for i, each in enumerate(typed("edits", data["edits"], list))),
            **{way: _counted(way, data[way], n) for way in WAYS},
            **tokens,
            **columns,
            **times,
        )
        run._check()
        return run

    def _check(self):
        """What must hold between the fields."""
        if not self.prompt_tokens or not self.tokens:
            raise TraceError("tokens: a run has a prompt and at least one pass.")
        if self.gaps[0] is None:
            raise TraceError("gaps: the first pass of both ways reads the same prompt.")
        if len(self.cached_ms) != len(self.uncached_ms) or not self.cached_ms:
            raise TraceError("cached_ms: both ways are timed in the same rounds, at least one.")
        used = {*self.prompt_tokens, *self.tokens, *self.uncached_tokens, *(edit.token for edit in self.edits)}
        all_listed(used, self.vocabulary)
        if list(self.length) != [len(self.prompt_tokens) + k for k in range(len(self.tokens))]:
            raise TraceError("length: the cache grows by one column a pass.")
        for index, edit in enumerate(self.edits):
            if not 0 <= edit.at < len(self.ids):
                raise TraceError(f"edits[{index}].at: must be from 0 to {len(self.ids) - 1}.")
            if [len(row) for row in edit.changed] != [len(self.ids)] * self.shape.n_layer:
                raise TraceError(f"edits[{index}].changed: a row a layer, a character a position.")


def recorded_cache_run(name: str = "cache_run") -> CacheRun:
    """Load a run that was made for the lessons, `data/traces/<name>.json`."""
    return CacheRun.load(data_folder() / "traces" / f"{name}.json")


def view_data(run: CacheRun) -> dict[str, Any]:
    """Return a run as plain data, with what the views show beside it: the formulas, and the counts added up."""
    p, n = len(run.prompt_tokens), len(run.tokens)
    counted = {way: {name: list(accumulate(getattr(getattr(run, way), name))) for name in COUNTS} for way in WAYS}
    by_formula = {
        way: {name: [of(p, k + 1, way == "cached") for k in range(n)] for name, of in FORMULAS.items()} for way in WAYS
    }
    return run.to_dict() | {
        "formula_bytes": [run.shape.bytes_of(length) for length in run.length],
        "counted": counted,
        "by_formula": by_formula,
        "replay": {way: run.middle_round(way) for way in WAYS},
        "beyond": [beyond(n, run.model.n_ctx) for n in BY_FORMULA],
        "passes": {way: [[round(ms, 3) for ms in each] for each in run.passes(way)] for way in WAYS},
        "quartiles": {way: [[round(ms, 3) for ms in each] for each in run.quartiles(way)] for way in WAYS},
        "where": say_machine({"model": run.model.name, "machine": run.machine}),
    }


def beyond(n: int, n_ctx: int) -> dict[str, Any]:
    """Work for n tokens, one pass each, by the formulas alone, and whether a window could hold them."""
    work = {name: [of(1, n, cached) for cached in (False, True)] for name, of in FORMULAS.items()}
    return {"n": n, "fits": n <= n_ctx} | work


def say_race(run: CacheRun) -> str:
    """Say whether both ways wrote the same, and what the cache gained, if it gained."""
    n = len(run.tokens)
    if run.same:
        said = f"All {n} tokens are the same, and no logit differed by more than {small(run.gap)}. "
    else:
        at = next(k for k in range(n) if run.tokens[k] != run.uncached_tokens[k]) + 1
        said = f"The texts part at token {at}: until then no logit differed by more than {small(run.gap)}, and the "
        said += f"closest choice was won by {small(run.margin)}. "
    fast, slow = (middle(run.totals(way))[1] for way in WAYS)
    least, most = min(run.ratios()), max(run.ratios())
    times = f"{slow / fast:.2f} times; round by round {least:.2f} to {most:.2f} times"
    if slow > fast:
        said += f"Without the cache the run took {slow:,.0f} ms against {fast:,.0f} ms, {times}."
        said += " Not every round was a gain." if least <= 1 else ""
    else:
        said += f"The cache gained nothing here: {slow:,.0f} ms without it, {fast:,.0f} ms with it, {times}."
    (_, first, _), (_, anew, _) = (run.passes(way)[0] for way in WAYS)
    said += f" The first pass reads the whole prompt either way, {first:.1f} ms and {anew:.1f} ms: nothing to save. "
    later = [place for place in run.no_gain() if place]
    if later:
        return said + f"Passes after it that were not faster with the cache, by their median: {len(later)} of {n - 1}."
    return said + "Every pass after it was faster with the cache, by its median."


def small(value: float) -> str:
    """A small number with one digit, written out: 0.00003."""
    return format(Decimal(f"{value:.1g}"), "f")


def say_counts(run: CacheRun) -> str:
    """Say whether the work that was counted is what the formulas give."""
    p = len(run.prompt_tokens)
    wrong = [
        f"{name} of the {way} run at pass {k}"
        for way in WAYS
        for name, of in FORMULAS.items()
        for k, found in enumerate(accumulate(getattr(getattr(run, way), name)))
        if found != of(p, k + 1, way == "cached")
    ]
    if wrong:
        return f"Counted in the run. The formulas give another number for {wrong[0]} and {len(wrong) - 1} more."
    return f"Counted in the run; the formulas give the same numbers after each of its {len(run.tokens)} passes."


def say_edit(run: CacheRun, edit: Edit) -> str:
    """Say how much of the cache one replaced token spoils."""
    n = len(run.ids)
    stale = [any(row[place] == "1" for row in edit.changed) for place in range(n)]
    was, now = (f"“{run.token_text(token).strip()}”" for token in (run.ids[edit.at], edit.token))
    said = f"With {now} instead of {was} at position {edit.at}, {sum(stale)} of {n} columns must be computed anew"
    said += f", and {n - sum(stale)} stay as they are." if not all(stale) else "."
    if any(stale[: edit.at]):
        return said + " Positions before the edit changed too: this model looks ahead."
    first = edit.changed[0].count("1")
    if first < sum(stale):
        said += f" In layer 0 only {first} of them differ{'s' if first == 1 else ''}: there a key and a value come "
        said += "from their own token alone."
    return said


def plain(value: Any) -> Any:
    """A record's parts as JSON has them."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, Model | Shape | Counted | Edit):
        return plain(asdict(value))
    return {name: plain(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def _rows(name: str, data: Any, n: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(list_of(f"{name}[{i}]", row, float, n)) for i, row in enumerate(typed(name, data, list)))


def _counted(name: str, data: Any, n: int) -> Counted:
    data = mapping(name, data)
    exactly(name, data, set(COUNTS))
    return Counted(**{each: tuple(list_of(f"{name}.{each}", data[each], int, n)) for each in COUNTS})


def _edit(name: str, data: Any) -> Edit:
    edit = build(Edit, name, data)
    if any(set(row) - {"0", "1"} for row in edit.changed):
        raise TraceError(f"{name}.changed: only 0 and 1 stand there.")
    return edit


def _machine(data: Any) -> dict[str, Any]:
    data = mapping("machine", data)
    exactly("machine", data, {"processor", "cores", "threads"})
    kinds = {"processor": str, "cores": int, "threads": int}
    return {name: typed(f"machine.{name}", data[name], kind) for name, kind in kinds.items()}
