"""Questions of chapter 4 on a run with a cache and without: what is computed, what is spoiled, what is saved."""

from __future__ import annotations

from typing import Any

from tokentrace.cache_run import CacheRun, pairs, projections
from tokentrace.exercises import Choice, Number, Question
from tokentrace.experiments.cache_run import saved
from tokentrace.measuring import middle
from tokentrace.student import pick

TEXTS = ((10, 20), (8, 12), (20, 30), (5, 40), (12, 25), (30, 16))  # prompt, new tokens
NAMES = {"linear": "The linear layers", "attention": "The attention", "head": "The head", "rest": "All the rest"}


def questions(run: CacheRun, long: CacheRun, where: dict[str, Any]) -> dict[str, Question]:
    """Return the questions on the run of the grid, the run of the race, and where the time of a pass goes."""
    made = (without(), with_cache(), spoiled(run), ratio(long), which_count(), saved_part(where))
    return {question.name: question for question in made}


def without() -> Question:
    """Positions whose keys and values are computed when nothing is kept."""
    prompt, new = pick("cache_without", TEXTS)
    last = prompt + new - 1
    return Number(
        "cache_without",
        f"A prompt of {prompt} tokens, {new} tokens are written, nothing is kept. For how many positions does each "
        "layer compute a key and a value, all passes together?",
        lambda: projections(prompt, new, False),
        low=1,
        high=3 * projections(prompt, new, False),
        step=1,
        tolerance=0,
        why={
            last: "That is the number with a cache. Without one every pass begins at the first token again.",
            prompt + new: "So many tokens the text has in the end. Most of them are computed in many passes.",
            last + projections(prompt, new, False) + 1: "One pass too many: the last token is written, never read.",
            new * (prompt + new): "Not every pass reads the whole final text: the first one reads the prompt only.",
            new * prompt: "The text grows: only the first pass reads just the prompt.",
        },
        too_low=f"Add up what each of the {new} passes reads: {prompt}, then {prompt + 1}, and so on.",
        too_high=f"The last of the {new} passes reads {last} positions: the token it writes is not read any more.",
        because=f"{prompt} + {prompt + 1} + … + {last}. With a cache it is {last}: each position once.",
    )


def with_cache() -> Question:
    """How the cache's length goes on."""
    prompt, new = pick("cache_columns", TEXTS)
    last = prompt + new - 1
    return Number(
        "cache_columns",
        f"A prompt of {prompt} tokens, and {new} tokens were written with a cache. How many columns does it hold when "
        "the last of them has been chosen?",
        lambda: last,
        low=0,
        high=2 * (prompt + new),
        step=1,
        tolerance=0,
        why={
            prompt + new: "The last token was chosen, but no pass has read it: it has no key and no value yet.",
            new: "The prompt has its columns, too: the first pass filled them.",
            prompt: "So many there were after the first pass. Every later pass added one.",
            new - 1: "The prompt has its columns, too.",
        },
        too_low="The prompt’s columns, and one for each later pass.",
        too_high="A column is a token that was read. Which token has not been read yet?",
        because=f"{prompt} from the prompt and one from each of the {new - 1} passes after it.",
    )


def spoiled(run: CacheRun) -> Question:
    """What one replaced token spoils."""
    edit = pick("cache_spoiled", run.edits[1:-1])
    n, deepest = len(run.ids), edit.changed[-1]
    return Number(
        "cache_spoiled",
        f"{n} columns are in the cache, positions 0 to {n - 1}. The token at position {edit.at} is replaced by "
        "another. How many columns of the last layer must be computed anew?",
        lambda: deepest.count("1"),
        low=0,
        high=n,
        step=1,
        tolerance=0,
        why={
            1: "That holds for layer 0 only. Above it a column is made of all tokens before it, so of the new one too.",
            edit.at: "So many stand before it, and those cannot have seen it: they stay.",
            n - edit.at - 1: "You left out the column of the replaced token itself.",
            n: "The mask keeps the positions before the edit from seeing it: their columns stay.",
        },
        too_low="All positions after it have looked back at it.",
        too_high="Positions before it have never seen it.",
        because=f"Positions {edit.at} to {n - 1}, compared number by number on this run. Edit early, and the cache "
        "is of little use; add at the end, and it all stays.",
    )


def ratio(long: CacheRun) -> Question:
    """How much the cache gains over a whole run: a guess."""
    fast, slow = (middle(long.totals(way))[1] for way in ("cached", "uncached"))
    return Number(
        "cache_ratio",
        f"The model writes {len(long.tokens)} tokens after a prompt of {len(long.prompt_tokens)}, once with a cache "
        "and once without. How many times as long does it take without?",
        lambda: slow / fast,
        low=0.5,
        high=100,
        unit="times",
        log=True,
        tolerance=1.3,
        predict=True,
        because="Each layer computed "
        f"{long_count(long):.0f} times as many keys and values without the cache. Time follows the count only where "
        "computing is all there is to do; a pass has fixed costs, and on few rows a processor is not at its best.",
    )


def long_count(run: CacheRun) -> float:
    """How many times as many keys and values are computed without the cache, counted."""
    return sum(run.uncached.projections) / sum(run.cached.projections)


def which_count() -> Question:
    """What 500,500 counts."""
    n = pick("cache_count", (1000, 100, 200, 400))
    anew, kept = projections(1, n, False), projections(1, n, True)
    right = "Keys and values computed in a layer"
    return Choice(
        "cache_count",
        f"Of {n:,} tokens, one pass each, somebody says: without a cache {anew:,}, with a cache {kept:,}. What is "
        "counted here?",
        lambda: right,
        options={
            right: f"Without a cache pass t computes t of them: 1 + 2 + … + {n:,}. With one, each position once.",
            "Pairs of a query and a key": f"Those are {pairs(1, n, False):,} without a cache, and {anew:,} *with* one: "
            "each new token still looks at all before it.",
            "Forward passes": f"There are {n:,} either way: one a token. The cache makes them shorter, not fewer.",
            "Bytes in the cache": "Bytes grow with layers, heads and head size too, and without a cache there are "
            "none to keep.",
        },
    )


def saved_part(where: dict[str, Any]) -> Question:
    """Which part of the model the cache spares most, by the measurement of the page."""
    gains = saved(where, -1)
    most = max(gains, key=gains.__getitem__)
    n = where["lengths"][-1]
    other = {
        "linear": "They work on each position alone. Without a cache they work on all positions again in every pass.",
        "attention": "It does get shorter: one query instead of all. It is what the cache is named after.",
        "head": "It scores only the last position here, with the cache or without.",
        "rest": "Norms, sums and Python’s own work: some of it grows with the positions.",
    }
    measured = f"Measured at {n} tokens: {gains[most]:.1f} of {sum(gains.values()):.1f} ms that were saved."
    return Choice(
        "cache_saved",
        f"Look at the measurement above, at {n} tokens. Which part of a pass does the cache shorten most, in "
        "milliseconds?",
        lambda: NAMES[most],
        options={
            name: measured if part == most else f"{other[part]} Saved here: {gains[part]:.1f} ms."
            for part, name in NAMES.items()
        },
        because=measured,
    )
