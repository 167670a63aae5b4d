"""Where the time of one pass goes: linear layers, attention, head; with a cache, and without.

Three ways to get the guess after n tokens: read one with the others in the cache; read all of them and score the
last position; read all of them and score every position, as a loop does that forgets what it needs. The ways take
turns, and the operations of each part are counted in the same passes that are timed.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from tokentrace.cache_race import passes, shape_of
from tokentrace.generation_loop import prompt_tokens
from tokentrace.instrumented import PARTS, Instrumented
from tokentrace.measuring import Progress, heading

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

CACHED, ANEW, ALL = WAYS = ("with the cache", "all read again", "all read and scored again")


def where_time_goes(
    model: GPT2, prompt: str, lengths: tuple[int, ...] = (16, 64, 128, 256, 512), rounds: int = 7
) -> Progress:
    """Time and operations of one pass at each length of the text, part by part.

    The record's `seconds` holds for each way a list a length of a dictionary a round: `linear`, `attention`, `head`
    and `rest`; `operations` a dictionary a length, counted. The text is the prompt and what the model makes of it.
    """
    ids = prompt_tokens(model, prompt)
    lengths = tuple(n for n in lengths if n <= model.config.n_ctx) or (model.config.n_ctx,)
    longest = lengths[-1]
    text = (ids + [each.token for each in passes(model, ids, max(1, longest - len(ids)), "cached")])[:longest]
    counter = Instrumented(model)
    cache = model.new_cache(1, longest)
    counter.model.forward([text], cache)  # also wakes the machine
    shape = shape_of(model)
    record = heading(model, prompt) | {
        "lengths": list(lengths),
        "equal_at": shape.equal_at,
        "seconds": {way: [[] for _ in lengths] for way in WAYS},
        "operations": {way: [{} for _ in lengths] for way in WAYS},
    }
    done, total = 0, rounds * len(lengths)
    for turn in range(rounds):
        for place, n in enumerate(lengths):
            for way in WAYS[turn % 3 :] + WAYS[: turn % 3]:
                cache.length = n - 1  # what lies beyond was written by the same text, and stays
                counter.reset()
                start = perf_counter()
                if way == CACHED:
                    counter.model.forward([text[n - 1 : n]], cache, last_only=True)
                else:
                    counter.model.forward([text[:n]], last_only=way == ANEW)
                whole = perf_counter() - start
                work = counter.reset()
                spent = {part: round(work.seconds[part], 7) for part in PARTS}
                spent["rest"] = round(max(0.0, whole - sum(work.seconds.values())), 7)
                record["seconds"][way][place].append(spent)
                record["operations"][way][place] = dict(work.operations)
            done += 1
            yield done, total, record
