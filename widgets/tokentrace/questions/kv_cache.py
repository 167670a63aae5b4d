"""Questions of chapter 4 on the arithmetic: bytes of a position, what fits a card, what shrinks a cache, and waste."""

from __future__ import annotations

from dataclasses import replace

from tokentrace.architectures import PRESETS, CacheShape
from tokentrace.exercises import Choice, Number, Question
from tokentrace.kv_cache import GB, as_kind, cache_bytes, longest_context, say_bytes, weight_bytes
from tokentrace.paging import Service
from tokentrace.student import pick

SHARED = ("llama-3-8b", "llama-2-70b", "llama-3.1-405b", "mixtral-8x7b", "qwen2.5-7b", "qwen2.5-72b")  # grouped queries
CARDS = (("llama-3-8b", 24), ("llama-2-7b", 24), ("llama-2-13b", 48), ("qwen2.5-7b", 24), ("llama-3.1-8b", 48))


def questions(service: Service) -> dict[str, Question]:
    """Return the questions; `service` is how one piece for the longest text served the page's requests."""
    made = (cache_position(), cache_room(), cache_smallest(), cache_waste(service))
    return {question.name: question for question in made}


def cache_position() -> Question:
    """Bytes of one position of a model with grouped queries."""
    shape = PRESETS[pick("cache_position", SHARED)]
    kib = cache_bytes(shape, 1) / 1024
    return Number(
        "cache_position",
        f"{shape.name} has {shape.layers} layers, {shape.heads} query heads, {shape.kv_heads} KV heads and a head size "
        f"of {shape.head_size}. Numbers are kept in two bytes. How many KiB does *one position* take in its cache?",
        lambda: kib,
        low=1,
        high=20_000,
        unit="KiB",
        log=True,
        tolerance=1.02,
        why={
            kib * shape.heads / shape.kv_heads: "You counted the query heads. Only KV heads keep something.",
            kib / 2: "Keys *and* values are kept, or: a number takes two bytes. One factor 2 is missing.",
            kib * 2: "One factor 2 too many: keys and values, and two bytes a number. No more.",
            kib / shape.layers: "That is one layer. Each of them has keys and values of its own.",
            kib * 1.024: "1 KiB is 1,024 bytes, not 1,000.",
        },
        too_low="Multiply all of it: 2, layers, KV heads, head size, bytes.",
        too_high="Something is in it that is not kept: compare with 2 × layers × KV heads × head size × bytes.",
        because=f"2 × {shape.layers} × {shape.kv_heads} × {shape.head_size} × 2 = {cache_bytes(shape, 1):,} bytes.",
    )


def cache_room() -> Question:
    """The longest context beside the weights."""
    key, card = pick("cache_room", CARDS)
    shape = PRESETS[key]
    heavy = weight_bytes(shape) or 0
    room = card * GB - heavy
    longest, first = longest_context(shape, room) or 0, cache_bytes(shape, 1)
    return Number(
        "cache_room",
        f"{shape.name} lies on a card of {card} GB (10⁹ bytes each). Its weights take {heavy / GB:.1f} GB of them, and "
        f"one position takes {first:,} bytes. How many positions of *one* text fit beside the weights?",
        lambda: longest,
        low=1000,
        high=1_000_000,
        unit="positions",
        log=True,
        tolerance=1.05,
        why={
            card * GB / first: "The weights are on the card, too: take them away first.",
            longest / 2: "Keys and values are both in these bytes already.",
            heavy / first: "That is how many would fit into the place of the weights.",
        },
        too_low="Divide the bytes that are left by the bytes of one position.",
        too_high="Divide the bytes that are left by the bytes of one position.",
        because=f"({card} − {heavy / GB:.2f}) · 10⁹ / {first:,}, rounded down. Activations need some room, too, so in "
        "truth it is a little less.",
    )


def cache_smallest() -> Question:
    """Which of some changes shrinks a cache most."""
    key = pick("cache_smallest", ("llama-2-7b", "llama-3-8b", "opt-13b", "llama-2-70b"))
    shape, positions = PRESETS[key], 4096
    now = cache_bytes(shape, positions)
    made = {
        "One KV head for all query heads (MQA)": cache_bytes(as_kind(shape, "MQA"), positions),
        "Numbers in 4 bits instead of 16": cache_bytes(shape, positions, 1, "int4"),
        "Half as many positions": cache_bytes(shape, positions // 2),
        "A window of 1,024 positions on every second layer": cache_bytes(_windowed(shape), positions),
    }
    least = min(made, key=made.__getitem__)
    return Choice(
        "cache_smallest",
        f"{shape.name} keeps {say_bytes(now)} for {positions:,} positions ({shape.heads} query heads, "
        f"{shape.kv_heads} KV heads). Which single change leaves the smallest cache?",
        lambda: least,
        options={
            option: f"It leaves {say_bytes(n)}" + (": the least of all." if option == least else ", not the least.")
            for option, n in made.items()
        },
    )


def _windowed(shape: CacheShape) -> CacheShape:
    return replace(shape, window=1024, windowed=shape.layers // 2)


def cache_waste(service: Service) -> Question:
    """A guess before the simulation is looked at."""
    return Number(
        "cache_waste",
        "Every text gets one piece of memory, as long as the longest text there may be. While others wait, which share "
        "of all that memory holds tokens?",
        lambda: 100 * service.shares["tokens"],
        low=0,
        high=100,
        unit="%",
        predict=True,
        because=lambda: (
            f"{service.shares['reserved']:.0%} are reserved for tokens to come, {service.shares['internal']:.0%} will "
            f"never be filled, {service.shares['external']:.0%} lie free."
        ),
    )
