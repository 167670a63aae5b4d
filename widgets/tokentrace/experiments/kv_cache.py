"""The measurements of chapter 4: prefill and decode, the roofline, a cache and weights in fewer bits."""

from __future__ import annotations

import statistics
from typing import Any

from tokentrace.experiments import Experiment, Told
from tokentrace.measuring import middle
from tokentrace.roofline import attainable, ridge

Record = dict[str, Any]
UNFINISHED = Told("Stopped before every pass was timed.", (), [])


def timed(record: Record, kind: str) -> list[dict[str, Any]]:
    """Passes of this kind that were timed, with `low`, `median` and `high` seconds added."""
    found = []
    for entry in record["passes"]:
        if entry["kind"] == kind and entry["seconds"]:
            low, median, high = middle(entry["seconds"])
            found.append(entry | {"low": low, "median": median, "high": high})
    return found


def limits(record: Record) -> dict[str, float]:
    """What the machine did at best, for a roof is what nothing gets past: bandwidth (near, far) and throughput."""
    return {name: max(record[name]) for name in ("bandwidth", "far_bandwidth", "throughput")}


def ten_times(record: Record) -> tuple[dict[str, Any], dict[str, Any]]:
    """The prompt that fills the window, and the one nearest to a tenth of it."""
    prompts = timed(record, "prefill")
    longest = prompts[-1]
    return min(prompts[:-1] or prompts, key=lambda each: abs(each["new"] - longest["new"] / 10)), longest


def tell_prefill(record: Record) -> Told:
    """Say what a longer prompt costs, and how much faster a prompt is read than a text is written."""
    prompts, steps = timed(record, "prefill"), timed(record, "decode")
    if len(prompts) < 2 or not steps:
        return UNFINISHED
    rows = [
        (
            "prefill" if each["kind"] == "prefill" else "decode",
            str(each["new"] * each["batch"]),
            f"{1000 * each['median']:.1f}",
            f"{1000 * each['low']:.1f} to {1000 * each['high']:.1f}",
            f"{each['new'] * each['batch'] / each['median']:.0f}",
        )
        for each in (*prompts, *steps)
    ]
    short, long = ten_times(record)
    best = max(prompts, key=lambda each: each["new"] / each["median"])
    one, most = steps[0], steps[-1]
    fastest, alone = best["new"] / best["median"], 1 / one["median"]
    sentence = (
        f"A prompt of {long['new']} tokens took {long['median'] / short['median']:.1f} times as long as one of "
        f"{short['new']}. A prompt was read at up to {fastest:.0f} tokens a second, one text written at {alone:.0f}: "
        f"{fastest / alone:.0f} times the tokens a second. {most['batch']} texts written at once came to "
        f"{most['batch'] / most['median']:.0f}."
    )
    return Told(sentence, ("pass", "tokens in it", "ms, median", "least to most", "tokens a second"), rows)


def tell_roofline(record: Record) -> Told:
    """Say which side of the ridge each pass lies on, and how near to the roof."""
    passes = [*timed(record, "prefill"), *timed(record, "decode")]
    if not passes or not record["throughput"]:
        return UNFINISHED
    most = limits(record)
    rows, bound = [], {}
    turn = ridge(most["throughput"], most["bandwidth"])
    for each in passes:
        intensity = each["operations"] / each["bytes"]
        roof = attainable(most["throughput"], most["bandwidth"], intensity)
        reached = each["operations"] / each["median"]
        name = f"prefill of {each['new']}" if each["kind"] == "prefill" else f"decode of {each['batch']} at once"
        bound[each["kind"], each["new"], each["batch"]] = reached / roof
        rows.append(
            (name, f"{intensity:.2f}", f"{reached / 1e9:.1f}", f"{roof / 1e9:.1f}", f"{reached / roof:.0%}",
             "memory" if intensity < turn else "multiplying")
        )  # fmt: skip
    sentence = (
        f"This machine multiplies at {most['throughput'] / 1e9:.0f} billion operations a second and reads the model’s "
        f"{record['weight_bytes'] / 1e6:.0f} MB at {most['bandwidth'] / 1e9:.0f} GB/s, so its ridge is at {turn:.1f} "
        f"operations a byte. {_side('Decode of one text', bound['decode', 1, 1], passes, 'decode', turn)} "
        f"{_side('The longest prefill', bound['prefill', ten_times(record)[1]['new'], 1], passes, 'prefill', turn)}"
    )
    if over := [name for name, *_, share, _ in rows if float(share.rstrip("%")) > 100]:
        sentence += f" Above the roof: {', '.join(over)}. Limits and passes were measured in turns, not at once."
    heads = ("pass", "operations a byte", "reached, GFLOP/s", "roof, GFLOP/s", "of the roof", "bound by")
    return Told(sentence, heads, rows)


def _side(name: str, share: float, passes: list[dict[str, Any]], kind: str, turn: float) -> str:
    of_kind = [each for each in passes if each["kind"] == kind]
    each = of_kind[0] if kind == "decode" else of_kind[-1]
    intensity = each["operations"] / each["bytes"]
    where = "left of it, where memory is waited for" if intensity < turn else "right of it, where multiplying decides"
    return f"{name}, {intensity:.3g} operations a byte, lies {where}, and reached {share:.0%} of the roof."


def mean_kl(record: Record, scheme: dict[str, Any]) -> float:
    """Mean KL from the first token on that looks back on rounded positions."""
    return statistics.fmean(scheme["kl"][record["group"] :] or [0.0])


def tell_cache(record: Record) -> Told:
    """Say what rounding the cache saves and costs, and which way round is better."""
    rows, means = [], {}
    for each in record["schemes"]:
        mean = mean_kl(record, each)
        way = f"keys per {each['keys']}, values per {each['values']}" if each["bits"] < 16 else "every number by itself"
        means[each["bits"], each["keys"]] = mean
        rows.append(
            (each["name"], way, f"{each['nbytes'] / 1024:.0f}", f"{each['nbytes'] / record['fp32_bytes']:.0%}",
             f"{mean:.2g}", f"{max(each['kl']):.2g}", f"{each['same']} of {record['written']}")
        )  # fmt: skip
    pairs = [(bits, means[bits, "channel"], means[bits, "token"]) for bits in (8, 4, 2) if (bits, "token") in means]
    if not pairs:
        return Told("Stopped before the schemes were compared.", (), [])
    better = [bits for bits, channel, token in pairs if channel < token]
    bits, channel, token = next((pair for pair in pairs if pair[0] == 4), pairs[-1])
    more = f"{max(channel, token) / max(min(channel, token), 1e-12):.1f} times"
    worse = "the other way round" if channel < token else "with keys per channel and values per token"
    sentence = (
        f"With keys per channel and values per token the guesses stayed nearer to fp32 in {len(better)} of "
        f"{len(pairs)} comparisons; in int{bits} the mean KL was {more} as large {worse}. "
    )
    changed = [each for each in record["schemes"] if each["same"] < record["written"] and each["keys"] == "channel"]
    if changed:
        sentence += f"The greedy text first changed with {changed[0]['name']}, at token {changed[0]['same'] + 1}."
    else:
        sentence += f"None of them changed the greedy text of {record['written']} tokens."
    heads = ("cache", "a step is shared", "KiB", "of fp32", "KL a token, nats", "largest", "greedy tokens the same")
    return Told(sentence, heads, rows)


def weight_rates(record: Record) -> dict[str, list[float]]:
    """Tokens a second of each pass in each precision that was timed."""
    return {
        each["name"]: [
            of["new"] * of["batch"] / statistics.median(seconds)
            for of, seconds in zip(record["passes"], each["seconds"], strict=True)
        ]
        for each in record["precisions"]
        if all(each["seconds"])
    }


def pass_name(entry: dict[str, Any]) -> str:
    """What a pass is called on the page."""
    if entry["kind"] == "prefill":
        return f"prefill of {entry['new']}"
    return "decode" if entry["batch"] == 1 else f"decode of {entry['batch']} at once"


def tell_weights(record: Record) -> Told:
    """Say what smaller weights gain in each kind of pass, and what they change."""
    rates = weight_rates(record)
    if len(rates) < 2:
        return UNFINISHED
    rows = [
        (each["name"], f"{each['weight_bytes'] / 1e6:.1f}", *(f"{rate:.0f}" for rate in rates[each["name"]]),
         f"{statistics.fmean(each['kl']):.2g}", f"{each['same']} of {record['written']}")
        for each in record["precisions"] if each["name"] in rates
    ]  # fmt: skip
    exact, parts = rates["fp32"], []
    for name, found in rates.items():
        if name != "fp32":
            gains = [
                f"{a / b:.1f}× in {pass_name(of)}" for of, a, b in zip(record["passes"], found, exact, strict=True)
            ]
            parts.append(f"{name}: {', '.join(gains)}")
    poor = [name for name, found in rates.items() if any(a < b for a, b in zip(found, exact, strict=True))]
    sentence = f"Tokens a second beside those of fp32. {'. '.join(parts)}. "
    sentence += f"Not every pass gained: some were slower in {' and '.join(poor)}." if poor else "Every pass gained."
    heads = ("weights", "MB", *(f"{pass_name(of)}, tokens/s" for of in record["passes"]), "KL a token, nats")
    return Told(sentence, (*heads, "greedy tokens the same"), rows)


def _drawn(name: str, title: str, tell: Any, measurer: str, figure: str) -> Experiment:
    return Experiment(name, title, tell, measurer, f"figures.kv_cache:{figure}")


SPEEDS = _drawn("prefill_decode", "Prefill and decode", tell_prefill, "prefill_decode:speeds", "prefill_decode")
ROOFLINE = _drawn("prefill_decode", "The roofline", tell_roofline, "prefill_decode:speeds", "roofline")
CACHE_BITS = _drawn(
    "quantized_cache", "A cache in fewer bits", tell_cache, "quantized_cache:quantized_cache", "quantized_cache"
)
WEIGHT_BITS = _drawn(
    "quantized_weights",
    "Weights in fewer bits",
    tell_weights,
    "quantized_weights:quantized_weights",
    "quantized_weights",
)
EXPERIMENTS = (SPEEDS, ROOFLINE, CACHE_BITS, WEIGHT_BITS)
