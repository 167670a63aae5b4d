"""What is said of prefill, decode, batches and fewer bits, beside the measurements of the page."""

from __future__ import annotations

from typing import Any

from tokentrace.batching import Machine, compare, draw_requests
from tokentrace.claims import Claim, Finding
from tokentrace.experiments.kv_cache import limits, mean_kl, pass_name, ten_times, timed, weight_rates
from tokentrace.roofline import ridge, tokens_per_second

BOOK = "a chapter on autoregressive generation"
CARD = "a glossary card on autoregressive generation"
ARTICLE = "an article on the idea of autoregressive models"
WHITE_PAPER = "a white paper on autoregressive models"

# By the makers' data sheets, 16 bits without sparsity: operations and bytes a second.
A100, H100 = (312e12, 2.039e12), (989e12, 3.35e12)
BILLIONS_70 = 70e9 * 2  # bytes of 70 billion weights in 16 bits


def claims(
    prefill_decode: dict[str, Any], quantized_cache: dict[str, Any], quantized_weights: dict[str, Any]
) -> list[Claim]:
    """Return the rows of the table, for records of the experiments with these names."""
    speeds, cache, weights = prefill_decode, quantized_cache, quantized_weights
    return [
        Claim("Reading a prompt is compute-bound.", BOOK, lambda: compute_bound(speeds)),
        Claim("A prompt of 1,000 tokens takes about as long as one of 100.", BOOK, lambda: same_time(speeds)),
        Claim("Reading the prompt is 10 to 100 times faster per token than writing.", BOOK, lambda: per_token(speeds)),
        Claim(
            "Writing is bound by memory bandwidth: each token reads all weights and the cache.",
            f"{BOOK}; Kwon et al. 2023",
            lambda: decode_bound(speeds),
        ),
        Claim("Memory bandwidth, not computing, is the limit.", WHITE_PAPER, lambda: which_limit(speeds)),
        Claim(
            "Large models give 30 to 100 and more tokens a second to each reader.", BOOK, lambda: large_models(speeds)
        ),
        Claim("Generation cannot be parallelised.", ARTICLE, lambda: parallel(speeds)),
        Claim("Writing many texts at once improves throughput.", f"{CARD}; {ARTICLE}", lambda: batching(speeds)),
        Claim(
            "Continuous batching improves utilisation.", f"{BOOK}; Yu et al. 2022 (Orca)", lambda: continuous(speeds)
        ),
        Claim("Fewer bits speed up each forward pass.", ARTICLE, lambda: fewer_bits(weights)),
        Claim("Fewer bits speed up decode, which waits for memory.", BOOK, lambda: fewer_bits_decode(weights)),
        Claim(
            "Keys are better rounded per channel, values per token.", "Liu et al. 2024 (KIVI)", lambda: kivi(cache)
        ),
    ]  # fmt: skip


def _intensity(entry: dict[str, Any]) -> float:
    return entry["operations"] / entry["bytes"]


def _ridge(record: dict[str, Any]) -> float:
    most = limits(record)
    return ridge(most["throughput"], most["bandwidth"])


def compute_bound(record: dict[str, Any]) -> Finding:
    """On which side of the ridge prompts of each length lie."""
    turn, prompts = _ridge(record), timed(record, "prefill")
    right = [each["new"] for each in prompts if _intensity(each) > turn]
    where = f"{len(right)} of {len(prompts)} measured lengths" + (f", from {right[0]} tokens on," if right else "")
    verdict = "holds" if len(right) == len(prompts) else "simplified" if right else "wrong"
    return Finding(
        f"The ridge of this machine is at {turn:.1f} operations a byte: {where} lie right of it. On an A100 it is at "
        f"{ridge(*A100):.0f}, so a prompt of fewer tokens than that waits for memory there.",
        verdict,
    )


def same_time(record: dict[str, Any]) -> Finding:
    """How much longer a prompt ten times as long takes."""
    short, long = ten_times(record)
    times, tokens = long["median"] / short["median"], long["new"] / short["new"]
    return Finding(
        f"{long['new']} tokens took {times:.1f} times as long as {short['new']}, with {tokens:.1f} times the tokens. "
        "(A large card with few tokens to do lies in between: its first hundred or so cost little more than one.)",
        "holds" if times < 1.5 else "simplified" if times < tokens / 3 else "wrong",
    )


def per_token(record: dict[str, Any]) -> Finding:
    """Tokens a second of the best prefill against those of one text."""
    best = max(each["new"] / each["median"] for each in timed(record, "prefill"))
    one, *_, most = timed(record, "decode")
    ratio, many = best * one["median"], best * most["median"] / most["batch"]
    return Finding(
        f"{ratio:.1f} times the tokens a second of one text, {many:.1f} times those of {most['batch']} texts at once: "
        "it depends on the batch and the length.",
        "holds" if 10 <= ratio <= 100 else "simplified" if ratio > 1.1 else "wrong",
    )


def decode_bound(record: dict[str, Any]) -> Finding:
    """Intensity of decode at batch 1, and whether more texts cost more time."""
    turn, (one, *others) = _ridge(record), timed(record, "decode")
    four = next((each for each in others if each["batch"] == 4), others[0])
    more = four["median"] / one["median"]
    left = _intensity(one) < turn
    most = limits(record)
    share = one["operations"] / one["median"] / (_intensity(one) * most["bandwidth"])
    return Finding(
        f"At batch 1, {_intensity(one):.2f} operations a byte against a ridge at {turn:.1f}; {share:.0%} of the "
        f"bandwidth was reached. {four['batch']} texts, {four['batch']} times the multiplying, took {more:.1f} times "
        "as long. (The bytes of the cache grow with the batch, those of the weights do not.)",
        "holds" if left and more < four["batch"] / 2 else "simplified" if left else "wrong",
    )


def which_limit(record: dict[str, Any]) -> Finding:
    """Which passes lie left of the ridge."""
    turn = _ridge(record)
    passes = [*timed(record, "decode"), *timed(record, "prefill")]
    left = [pass_name(each) for each in passes if _intensity(each) < turn]
    return Finding(
        f"{len(left)} of {len(passes)} measured passes lie left of the ridge, where memory is waited for"
        + (f": {', '.join(left)}." if left else "."),
        "holds" if len(left) == len(passes) else "simplified" if left else "wrong",
    )


def large_models(record: dict[str, Any]) -> Finding:
    """The bound of bandwidth for 70 billion weights, and this machine's own."""
    one, eight = (tokens_per_second(BILLIONS_70, cards * H100[1]) for cards in (1, 8))
    here, (alone, *_) = limits(record)["bandwidth"] / record["weight_bytes"], timed(record, "decode")
    verdict = "holds" if one >= 30 else "simplified" if eight >= 30 else "wrong"
    return Finding(
        f"70 billion weights in 16 bits are {BILLIONS_70 / 1e9:.0f} GB: at 3.35 TB/s at most {one:.0f} tokens a second "
        f"from one card, {eight:.0f} from eight. (Not run here.) By the same formula this machine could give "
        f"{here:.0f} with {record['model']}, and gave {1 / alone['median']:.0f}.",
        verdict,
    )


def parallel(record: dict[str, Any]) -> Finding:
    """Many positions in one pass, and many texts in one pass."""
    one, *_, most = timed(record, "decode")
    gain = most["batch"] * one["median"] / most["median"]
    longest = timed(record, "prefill")[-1]["new"]
    return Finding(
        f"One text waits for each of its own tokens. But {longest} tokens that are given went through in one pass, and "
        f"{most['batch']} texts at once came to {gain:.1f} times the tokens a second of one.",
        "simplified" if gain > 1.1 else "holds",
    )


def batching(record: dict[str, Any]) -> Finding:
    """Tokens a second of the largest batch against one text."""
    one, *_, most = timed(record, "decode")
    gain = most["batch"] * one["median"] / most["median"]
    return Finding(
        f"{most['batch']} texts at once: {gain:.1f} times the tokens a second of one, each text at "
        f"{gain / most['batch']:.0%} of its speed alone.",
        "holds" if gain > 1.1 else "wrong",
    )


def continuous(record: dict[str, Any]) -> Finding:
    """Serve the same requests both ways with the measured step times."""
    found = compare(draw_requests(24, None, 0.8, 1), Machine.measured(record), 8)
    static, free = (found[policy]["account"] for policy in ("static", "continuous"))
    return Finding(
        f"Simulated with this machine’s times, 24 requests at once, 8 rows: {static['busy']:.0%} of the rows’ time at "
        f"work with static batches, {free['busy']:.0%} with continuous ones, {free['rate'] / static['rate']:.2f} times "
        "the tokens a second.",
        "holds" if free["busy"] > static["busy"] + 0.01 else "wrong",
    )


def fewer_bits(record: dict[str, Any]) -> Finding | None:
    """What each precision gains in each pass."""
    rates = weight_rates(record)
    if len(rates) < 2:
        return None
    exact = rates.pop("fp32")
    gains = {
        (name, pass_name(of)): rate / base
        for name, found in rates.items()
        for of, rate, base in zip(record["passes"], found, exact, strict=True)
    }
    told = "; ".join(f"{name} in {of} {gain:.1f}×" for (name, of), gain in gains.items())
    gained = sum(gain > 1.1 for gain in gains.values())
    return Finding(
        f"Tokens a second beside fp32: {told}.",
        "holds" if gained == len(gains) else "simplified" if gained else "wrong",
    )


def fewer_bits_decode(record: dict[str, Any]) -> Finding | None:
    """What each precision gains where one text is written."""
    rates = weight_rates(record)
    if len(rates) < 2:
        return None
    at = next(i for i, of in enumerate(record["passes"]) if (of["kind"], of["batch"]) == ("decode", 1))
    size = {each["name"]: each["weight_bytes"] for each in record["precisions"]}
    told = [(name, size["fp32"] / size[name], rates[name][at] / rates["fp32"][at]) for name in rates if name != "fp32"]
    parts = "; ".join(
        f"{name}: {fewer:.1f} times fewer bytes, {gain:.1f} times the tokens" for name, fewer, gain in told
    )
    gained = sum(gain > 1.1 for *_, gain in told)
    return Finding(
        f"{parts} a second.", "holds" if gained == len(told) else "simplified" if gained else "wrong"
    )  # fmt: skip


def kivi(record: dict[str, Any]) -> Finding:
    """KL of both arrangements at 4 bits, and how unequal channels are."""
    ways = {each["keys"]: mean_kl(record, each) for each in record["schemes"] if each["bits"] == 4}
    spans = record["spans"]
    ratio = {name: spans[name][0] / max(spans[name][len(spans[name]) // 2], 1e-9) for name in ("keys", "values")}
    return Finding(
        f"In 4 bits: KL {ways['channel']:.2g} nats a token that way, {ways['token']:.2g} the other way round. In the "
        f"head shown the widest channel is {ratio['keys']:.1f} times the median one for keys, "
        f"{ratio['values']:.1f} times for values.",
        "holds" if ways["channel"] < ways["token"] else "wrong",
    )
