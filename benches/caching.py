"""One text written with a cache and without, in turns; and where a pass's time goes with each."""

from __future__ import annotations

from benches.timing import Spread, interleave, ratios, spread
from tokentrace.cache_race import passes
from tokentrace.experiments import PROMPT
from tokentrace.experiments.cache_run import PARTS
from tokentrace.generation_loop import prompt_tokens
from tokentrace.lm import GPT2
from tokentrace.where_time_goes import ANEW, CACHED, where_time_goes

LENGTHS = (24, 60, 120, 240)


def measure(model: GPT2, rounds: int, lengths: tuple[int, ...] = LENGTHS) -> dict[str, dict[str, Spread]]:
    """Time both ways for each number of new tokens.

    Returns
    -------
    dict
        For each length: `cached` and `uncached` in ms a token, and `times`, how many times as long without, round by
        round.
    """
    ids, found = prompt_tokens(model, PROMPT), {}
    for n in (n for n in lengths if len(ids) + n - 1 <= model.config.n_ctx):
        runs = {way: lambda way=way, n=n: sum(1 for _ in passes(model, ids, n, way)) for way in ("cached", "uncached")}
        seconds = interleave(runs, rounds)
        found[f"{n} tokens"] = {way: spread([1000 * each / n for each in own]) for way, own in seconds.items()} | {
            "times": spread(ratios(seconds["uncached"], seconds["cached"]))
        }
    return found


def saved(model: GPT2, rounds: int) -> dict[str, dict[str, Spread]]:
    """Milliseconds that the cache saves in each part of a pass, at every length; negative where it costs."""
    *_, (_, _, record) = where_time_goes(model, PROMPT, rounds=rounds)
    found = {}
    for place, n in enumerate(record["lengths"]):
        both = list(zip(record["seconds"][ANEW][place], record["seconds"][CACHED][place], strict=True))
        found[f"at {n}"] = {part: spread([1000 * (anew[part] - kept[part]) for anew, kept in both]) for part in PARTS}
    return found
