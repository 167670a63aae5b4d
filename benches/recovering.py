"""The recovery experiment batched, beside the same prefixes one by one; and the whole of it once."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from benches.timing import interleave, ratios, spread
from tokentrace.lm import GPT2
from tokentrace.passages import passages
from tokentrace.prefixes import ERRORS, cut
from tokentrace.recovering import BATCH, COUNT, LENGTH, PROTOCOLS, STEPS, measure, recover

PLAIN, BATCHED = "one by one", f"{BATCH} at once"


def contestants(model: GPT2, protocol: str, n: int) -> dict[str, Callable[[], object]]:
    """Ways to measure the three kinds of error over n prefixes."""
    prefixes = cut(model.tokenizer, [each.text for each in passages()], n, LENGTH, STEPS)
    sizes = {PLAIN: 1, BATCHED: BATCH}
    return {
        name: lambda size=size: list(measure(model, prefixes, ERRORS, (protocol,), size))
        for name, size in sizes.items()
    }


def compare(model: GPT2, rounds: int, n: int = BATCH) -> dict[str, dict]:
    """Time the experiment in both protocols.

    Returns
    -------
    dict
        For each protocol and contestant: `rate` in prefixes a second and `speed` in multiples of one by one; and
        `whole`, the seconds of all prefixes, steps, kinds of error and protocols, with bands and half-lives.
    """
    found: dict[str, dict] = {}
    for protocol in PROTOCOLS:
        seconds = interleave(contestants(model, protocol, n), rounds)
        rates = {name: [n / each for each in own] for name, own in seconds.items()}
        found[protocol] = {
            name: {"rate": spread(own), "speed": spread(ratios(own, rates[PLAIN]))} for name, own in rates.items()
        }
    start = perf_counter()
    *_, (_, _, run) = recover(model, [each.text for each in passages()], kinds=ERRORS)
    found["whole"] = {"seconds": round(perf_counter() - start, 1), "prefixes": run.prefixes, "steps": run.steps}
    found["whole"] |= {"kinds": len(run.kinds), "wanted": COUNT}
    return found
