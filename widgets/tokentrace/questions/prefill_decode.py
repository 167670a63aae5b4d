"""Questions of chapter 4 on prefill, decode, fewer bits and batches; each answer is worked out from a run."""

from __future__ import annotations

from typing import Any

from tokentrace.exercises import Choice, Number, Question
from tokentrace.experiments.kv_cache import mean_kl, ten_times, weight_rates
from tokentrace.roofline import tokens_per_second
from tokentrace.student import pick

# Weights in billions, bytes of each, and bandwidth of the card in TB/s (A100 80 GB, H100, H200 by their data sheets).
CARDS = ((7, 2, 2.039), (13, 2, 2.039), (70, 2, 3.35), (8, 2, 3.35), (70, 1, 3.35), (32, 2, 4.8))
BATCH = ((40, 10, 20, 30), (64, 16, 16, 32), (50, 5, 25, 40), (30, 30, 10, 20), (48, 12, 36, 24))


def questions(
    prefill_decode: dict[str, Any], quantized_cache: dict[str, Any], quantized_weights: dict[str, Any]
) -> dict[str, Question]:
    """Return the questions, for records of the experiments with these names."""
    made = (
        ten_times_the_prompt(prefill_decode),
        upper_bound(),
        smaller_weights(quantized_weights),
        which_way(quantized_cache),
        padding(),
    )
    return {question.name: question for question in made}


def ten_times_the_prompt(record: dict[str, Any]) -> Question:
    """Put the claim of equal time to the reader before it is measured."""
    short, long = ten_times(record)
    ms, right = 1000 * short["median"], 1000 * long["median"]
    times = long["new"] / short["new"]
    low, high = min(ms, right) / 2, max(ms * times, right) * 4
    return Number(
        "ten_times_the_prompt",
        f"A prompt of {short['new']} tokens was read in {ms:.1f} ms here, in one pass. How long did one of "
        f"{long['new']} tokens take, in one pass too?",
        lambda: right,
        low=float(f"{low:.1g}"),
        high=float(f"{high:.1g}"),
        log=True,
        unit="ms",
        tolerance=1.6,
        why={
            ms: "One pass is not one price: the pass multiplies every weight with every token of the prompt.",
            ms * times * times: "Squared would be right if attention were most of the work. For a model of this size "
            "the weight matrices are, and their work grows with the tokens, not with their square.",
        },
        too_low="All weights are multiplied with every token. See how many tokens more there are.",
        too_high="Take the time of one token, and multiply it by the number of tokens.",
        because=f"{right / ms:.1f} times as long for {times:.1f} times the tokens. Sharing a pass would make more "
        "tokens cheaper only while the machine still waits for memory.",
    )


def upper_bound() -> Question:
    """Bandwidth over bytes."""
    billions, number_bytes, terabytes = pick("upper_bound", CARDS)
    weights, bandwidth = billions * 1e9 * number_bytes, terabytes * 1e12
    right = tokens_per_second(weights, bandwidth)
    return Number(
        "upper_bound",
        f"{billions} billion weights of {number_bytes} byte{'s' if number_bytes > 1 else ''} each lie on a card that "
        f"reads {terabytes:g} TB a second. One text is written, and the cache is short. At most how many tokens a "
        "second can there be?",
        lambda: right,
        low=5,
        high=2000,
        log=True,
        unit="tokens",
        tolerance=1.15,
        why={
            right * (2 if number_bytes == 2 else 0.5): f"Mind the bytes of a number: here it takes {number_bytes}.",
            bandwidth / 1e9: "That is what the card reads in a second, in GB. How often do all weights fit into it?",
        },
        too_high="Every weight must be read for every token: how many bytes is that, and how long does it take?",
        too_low="Divide the bytes that can be read in a second by the bytes of all weights.",
        because=f"{weights / 1e9:.0f} GB a token, and {terabytes:g} TB a second: {terabytes * 1e12 / weights:.0f} "
        "tokens. No number of operations a second can change that; more readers at once can share the reading.",
    )


def smaller_weights(record: dict[str, Any]) -> Question:
    """Where int8 gains the most."""
    rates = weight_rates(record)
    names = ("reading a long prompt", "writing one text", "writing many texts at once")
    gains = [fewer / exact for fewer, exact in zip(rates["int8"], rates["fp32"], strict=True)]
    right = names[gains.index(max(gains))]
    theory = (
        "A prompt gives each weight that is read work for many tokens: where the multiplying decides, fewer bytes "
        "save little.",
        "One token is all that each weight is read for: where reading takes the time, fewer bytes save the most.",
        "With many texts each weight that is read serves many tokens: reading is a smaller part of the time.",
    )
    options = {
        name: f"{gain:.1f} times the tokens a second of fp32 here. {why}"
        for name, gain, why in zip(names, gains, theory, strict=True)
    }
    return Choice(
        "smaller_weights",
        "The weights are kept in int8, a quarter of the bytes of fp32. Where did the tokens a second grow the most?",
        lambda: right,
        options=options,
    )


def which_way(record: dict[str, Any]) -> Question:
    """Whether keys want a step per channel."""
    options = ("one step for each channel, over several tokens", "one step for each token, over several channels")
    bits = pick("which_way", (8, 4, 2))
    found = {each["keys"]: mean_kl(record, each) for each in record["schemes"] if each["bits"] == bits}
    right = options[0] if found["channel"] < found["token"] else options[1]
    spans = record["spans"]["keys"]
    told = (
        f"Keys per channel: KL {found['channel']:.2g} nats a token; keys per token: {found['token']:.2g}. The widest "
        f"channel of the head shown spans {spans[0]:.3g}, the median one {spans[len(spans) // 2]:.3g}."
    )
    return Choice(
        "which_way",
        f"Keys are rounded to {bits} bits in groups of {record['group']} numbers with one step each; values the other "
        "way. Which groups of keys moved the guesses less?",
        lambda: right,
        options={
            options[0]: f"{told} A step is as wide as its group needs: a wide channel should not share one with a "
            "narrow one.",
            options[1]: f"{told} Channels next to each other in one token can be of very different size.",
        },
    )


def padding() -> Question:
    """Rows that a static batch computes for nobody."""
    wanted = pick("padding", BATCH)
    steps, waste = max(wanted), sum(max(wanted) - each for each in wanted)
    rows = steps * len(wanted)
    right = 100 * waste / rows
    return Number(
        "padding",
        f"A static batch of {len(wanted)} requests that want {', '.join(map(str, wanted[:-1]))} and {wanted[-1]} "
        "tokens runs until the last is done. What share of its rows is padding?",
        lambda: right,
        low=0,
        high=100,
        step=1,
        unit="%",
        tolerance=2,
        why={
            100 - right: "That is the share that somebody wanted. The rest is padding.",
            100 * waste / (rows - waste): "You divided by the tokens that were wanted. All rows are more than that.",
            75: "Three of four are done before the last, but each of them was at work for a while.",
        },
        too_high="Before a request is done its row is at work: count only the rows after that.",
        too_low="A row whose request is done goes on until the longest is done.",
        because=f"{steps} steps of {len(wanted)} rows are {rows}; {sum(wanted)} tokens were wanted. The other {waste} "
        "rows were computed for nobody.",
    )
