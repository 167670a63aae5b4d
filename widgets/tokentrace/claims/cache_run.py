"""What sources say of the cache, beside what was counted and measured on the runs of this page."""

from __future__ import annotations

import math
from itertools import accumulate

from tokentrace.cache_run import WAYS, CacheRun, pairs, projections, small
from tokentrace.claims import Claim, Finding
from tokentrace.measuring import middle

SHEKHAR = "A. Shekhar, *Autoregressive Models*"
PAPER = "a white paper on autoregressive models"
CARD = "a glossary card on autoregressive generation"
OVERVIEW = "an overview of faster decoding"
SAME = 1e-3  # two ways to compute one logit in single precision differ by less


def claims(run: CacheRun, long: CacheRun) -> list[Claim]:
    """Return the rows that the run of the grid and the run of the race can measure."""
    return [
        Claim("The prompt is read in one pass, its keys and values are stored, and the pass gives the first guess.",
              PAPER, lambda: one_pass(run)),
        Claim("Without a cache every step computes all earlier keys and values again.", f"{PAPER}; {SHEKHAR}",
              lambda: again(long)),
        Claim("For 1,000 tokens that is 500,500 computations instead of 1,000.", SHEKHAR, lambda: units(long)),
        Claim("Without a cache attention goes over 500,500 positions instead of 1,000.", PAPER,
              lambda: wrong_object(long)),
        Claim("Without a cache the whole work grows like n squared.", PAPER, lambda: squared(long)),
        Claim("The cache turns that into n.", PAPER, lambda: linear(long)),
        Claim("Per token the cache makes it n instead of n squared.", CARD, lambda: per_token(long)),
        Claim("An answer of 1,000 tokens takes about ten times as long as one of 100.", SHEKHAR,
              lambda: ten_times(long)),
        Claim("An answer of 500 tokens takes 500 times as long as one token.", PAPER, lambda: one_token(long)),
        Claim("That a cache is optional is a misconception.", PAPER, lambda: optional(long)),
        Claim("The cache is there because the past does not change.", SHEKHAR, lambda: past(run)),
        Claim("Each step loads all weights again and processes everything.", OVERVIEW, lambda: everything(long)),
    ]  # fmt: skip


def one_pass(run: CacheRun) -> Finding:
    """Columns after the first pass."""
    p = len(run.prompt_tokens)
    filled = run.length[0] == p == run.cached.projections[0]
    return Finding(
        f"The first pass computed keys and values of {run.cached.projections[0]} positions in each layer; the cache "
        f"then held {run.length[0]} columns, {run.nbytes[0]:,} bytes, and the first token was chosen.",
        "holds" if filled else "wrong",
    )


def again(run: CacheRun) -> Finding:
    """Keys and values computed by the last pass."""
    n, (kept, anew) = run.length[-1], (getattr(run, way).projections[-1] for way in WAYS)
    every = all(found == length for found, length in zip(run.uncached.projections, run.length, strict=True))
    return Finding(
        f"The last pass, at {n} tokens, computed {anew} keys and values in each layer without the cache, and {kept} "
        "with it. Counted in the run.",
        "holds" if every and kept == 1 else "wrong",
    )


def units(run: CacheRun) -> Finding:
    """The formula of the sum against the count of this run."""
    p, n = len(run.prompt_tokens), len(run.tokens)
    counted = [sum(getattr(run, way).projections) for way in WAYS]
    formula = [projections(p, n, way == "cached") for way in WAYS]
    return Finding(
        f"Counted here, for {n} tokens after {p}: {counted[1]:,} instead of {counted[0]:,} positions a layer; the sum "
        f"gives {formula[1]:,} and {formula[0]:,}. For 1,000 from one it gives {projections(1, 1000, False):,} and "
        f"{projections(1, 1000, True):,}: keys and values.",
        "holds" if counted == formula else "wrong",
    )


def wrong_object(run: CacheRun) -> Finding:
    """Pairs of queries and keys, counted."""
    kept, anew = (sum(getattr(run, way).pairs) for way in WAYS)
    same = anew == sum(run.uncached.projections)
    return Finding(
        f"What attention goes over are pairs of a query and a key: {anew:,} without and {kept:,} with the cache in "
        f"this run. For 1,000 tokens {pairs(1, 1000, False):,} and {pairs(1, 1000, True):,}: 500,500 is what is left "
        "*with* a cache.",
        "holds" if same else "wrong",
    )


def exponent(counts: list[int], lengths: tuple[int, ...]) -> float:
    """Power of n with which a pass's count grows along the run."""
    half = len(counts) // 2
    return math.log(counts[-1] / counts[half]) / math.log(lengths[-1] / lengths[half]) if half else 0.0


def squared(run: CacheRun) -> Finding:
    """How the work of a pass grows without a cache; a run adds one power."""
    linear_part, attention = (
        exponent(list(counts), run.length) + 1 for counts in (run.uncached.projections, run.uncached.pairs)
    )
    return Finding(
        f"Keys and values, and with them all linear layers, grow with n to the power {linear_part:.2f} over a run; "
        f"the pairs of attention with n to the power {attention:.2f}.",
        "holds" if attention < 2.5 else "simplified",
    )


def linear(run: CacheRun) -> Finding:
    """The same with a cache."""
    linear_part, attention = (
        exponent(list(counts), run.length) + 1 for counts in (run.cached.projections, run.cached.pairs)
    )
    return Finding(
        f"With the cache keys and values grow with n to the power {linear_part:.2f} over a run, but the pairs still "
        f"with {attention:.2f}: every new token looks at all before it.",
        "holds" if attention < 1.5 else "simplified",
    )


def per_token(run: CacheRun) -> Finding:
    """Pairs of the last pass."""
    n, (kept, anew) = run.length[-1], (getattr(run, way).pairs[-1] for way in WAYS)
    return Finding(
        f"At {n} tokens one pass looked at {kept:,} pairs a head with the cache and {anew:,} without: n, and about "
        "n²/2. So it is for attention. The linear layers go from n rows to one.",
        "holds" if kept == n and anew > n else "wrong",
    )


def ten_times(run: CacheRun) -> Finding:
    """A tenth of the run against all of it."""
    n, tenth = len(run.tokens), max(1, len(run.tokens) // 10)
    grew = {}
    for way in WAYS:
        sums = [list(accumulate(row)) for row in run.ms(way)]
        grew[way] = middle([row[-1] / row[tenth - 1] for row in sums])[1]
    want = n / tenth
    near = {way: want / 1.4 <= each <= want * 1.4 for way, each in grew.items()}
    return Finding(
        f"{n} tokens took {grew['cached']:.1f} times as long as {tenth} with the cache, {grew['uncached']:.1f} times "
        f"without, for {want:.0f} times as many. Without a cache the factor grows with the length.",
        "holds" if all(near.values()) else "simplified" if near["cached"] else "wrong",
    )


def one_token(run: CacheRun) -> Finding:
    """The whole run against its first token."""
    n = len(run.tokens)
    times = middle([sum(row) / row[0] for row in run.cached_ms])[1]
    passes = [each[1] for each in run.passes("cached")]
    early, late = (middle(part)[1] for part in (passes[1 : 1 + max(1, n // 6)] or passes, passes[-max(1, n // 6) :]))
    return Finding(
        f"{n} tokens took {times:.0f} times as long as the first one, which includes reading the prompt. A later "
        f"token took {early:.1f} ms at the beginning and {late:.1f} ms at the end of the run.",
        "holds" if 0.9 * n <= times <= 1.1 * n else "simplified",
    )


def optional(run: CacheRun) -> Finding:
    """The same text, and how much longer."""
    fast, slow = (middle(run.totals(way))[1] for way in WAYS)
    if not run.same or run.gap > SAME:
        return Finding(
            f"The two ways differ here: logits by up to {small(run.gap)}, and the closest choice was won by "
            f"{small(run.margin)}.",
            "wrong",
        )
    return Finding(
        f"Without it the same {len(run.tokens)} tokens were written, no logit differed by more than {small(run.gap)}, "
        f"and it took {slow / fast:.1f} times as long. For what is written it is optional, for the time it is not.",
        "simplified" if slow > fast else "wrong",
    )


def past(run: CacheRun) -> Finding:
    """What replaced tokens changed before them and after."""
    before = sum(row[: edit.at].count("1") for edit in run.edits for row in edit.changed)
    after = sum("1" in row[edit.at :] for edit in run.edits for row in edit.changed)
    n = len(run.ids)
    return Finding(
        f"Each of {len(run.edits)} tokens was replaced once. Columns before it that changed, in all layers: {before}. "
        f"From it on the columns do change: replacing the first token spoils "
        f"{run.edits[0].changed[-1].count('1') if run.edits else 0} of {n}. This needs the causal mask: chapter 1 "
        "takes it away, and every position moves.",
        "holds" if before == 0 and after else "wrong",
    )


def everything(run: CacheRun) -> Finding:
    """Rows of the last pass."""
    kept, anew = (getattr(run, way).projections[-1] for way in WAYS)
    n = run.length[-1]
    return Finding(
        f"The weights are used in every pass, that is so. But of {n} tokens the last pass processed {kept} with the "
        f"cache, and {anew} without.",
        "simplified" if kept < n else "holds",
    )
