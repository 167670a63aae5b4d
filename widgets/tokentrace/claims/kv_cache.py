"""What sources say of a cache's size and of paging, beside what the arithmetic, a real cache and real lengths give."""

from __future__ import annotations

from dataclasses import replace

from tokentrace.architectures import PRESETS, CacheShape
from tokentrace.cache_reading import CacheReading
from tokentrace.claims import Claim, Finding
from tokentrace.kv_cache import as_kind, cache_bytes, say_bytes
from tokentrace.paging import Service

CHAPTER = "the chapter “Autoregressive Generation”"
CARD = "a glossary card on autoregressive generation"
ARTICLE = "an article on the idea of autoregressive models"
# Width of some models, from LitGPT's table and nanoGPT's, for the head size.
WIDTHS = {"gpt-2": 768, "llama-3-8b": 4096, "qwen2.5-7b": 3584, "gemma-2-2b": 2304, "gemma-3-27b": 5376}


def claims(reading: CacheReading, piece: Service, pages: Service) -> list[Claim]:
    """Return the rows on the arithmetic and on paging.

    Parameters
    ----------
    reading : a cache that was weighed.
    piece, pages : how one piece for the longest text, and pages, served the same requests.
    """
    return [
        Claim("Each token sees everything before it.", f"{CARD}; {ARTICLE}", sees_all),
        Claim("A cache takes 2 · layers · heads · head size · positions · bytes.", CHAPTER, lambda: formula(reading)),
        Claim(
            "80 layers, 8 KV heads, head size 128, 4,096 positions in fp16 make about 1.3 GB.", CHAPTER, seventy_billion
        ),
        Claim("The head size is the model's width divided by its query heads.", "many calculators", head_size),
        Claim("The cache grows linearly with the text, and so limits batch and length.", CHAPTER, linear),
        Claim("Multi-query and grouped-query attention shrink the cache.", f"{CHAPTER}; Shazeer 2019", grouped),
        Claim(
            "Paged attention puts the cache's memory to better use.",
            "Kwon et al. 2023 (vLLM)",
            lambda: paging(piece, pages),
        ),
        Claim("Paged attention makes the cache itself smaller.", "blog posts", lambda: shrinks(piece, pages)),
    ]


def sees_all() -> Finding:
    """Context limits and windows of the presets."""
    windowed = [shape for shape in PRESETS.values() if shape.windowed]
    shape = min(windowed, key=lambda each: each.window or 0, default=None)
    example = f": in {shape.name}, {shape.windowed} of {shape.layers} layers see {shape.window:,}" if shape else ""
    return Finding(
        f"Up to the context at most. And of {len(PRESETS)} known shapes {len(windowed)} have layers that see only a "
        f"sliding window{example}.",
        "simplified" if windowed else "holds",
    )


def formula(reading: CacheReading) -> Finding:
    """The formula against a real cache, and against shapes with fewer KV heads than query heads."""
    own = 2 * reading.layers * reading.kv_heads * reading.head_size * reading.positions * reading.batch
    own *= {"fp32": 4, "bf16": 2, "fp16": 2}.get(reading.dtype, 0)
    fewer = [shape for shape in PRESETS.values() if shape.kv_heads < shape.heads and not shape.latent]
    most = max(fewer, key=lambda shape: shape.heads / shape.kv_heads)
    return Finding(
        f"For {reading.model.name} it gives {own:,} bytes, and its tensors hold {reading.nbytes:,}. But *heads* must "
        f"be those that keep keys and values: {len(fewer)} of {len(PRESETS)} known shapes have fewer of them than "
        f"query heads, {most.name} {most.heads // most.kv_heads} times fewer. And a batch multiplies it.",
        "wrong" if own != reading.nbytes else "simplified" if fewer else "holds",
    )


def seventy_billion() -> Finding:
    """The example, exactly."""
    shape = CacheShape("the example", 80, 64, 8, 128)
    n, all_heads = cache_bytes(shape, 4096), cache_bytes(as_kind(shape, "MHA"), 4096)
    return Finding(
        f"{n:,} bytes: {n / 1e9:.2f} GB or {n / 2**30:.2f} GiB, which are not the same. Had all 64 heads kept their "
        f"own, it would be {all_heads / 1e9:.1f} GB.",
        "holds" if abs(n / 1e9 - 1.3) < 0.05 else "wrong",
    )


def head_size() -> Finding:
    """Head sizes that are numbers of their own."""
    other = {key: width for key, width in WIDTHS.items() if width != PRESETS[key].heads * PRESETS[key].head_size}
    told = "; ".join(
        f"{PRESETS[key].name} has a width of {width:,} and {PRESETS[key].heads} heads of {PRESETS[key].head_size}, "
        f"not {width / PRESETS[key].heads:g}"
        for key, width in other.items()
    )
    return Finding(
        f"So in {len(WIDTHS) - len(other)} of {len(WIDTHS)} models looked at. {told}." if other else "In all of them.",
        "simplified" if other else "holds",
    )


def linear() -> Finding:
    """Twice the positions."""
    doubled = {
        key: cache_bytes(shape, shape.context or 1) / cache_bytes(shape, (shape.context or 2) // 2)
        for key, shape in PRESETS.items()
    }
    straight = [key for key, times in doubled.items() if times == 2]
    least = min(doubled, key=doubled.__getitem__)
    return Finding(
        f"From half the context to all of it the cache doubles in {len(straight)} of {len(PRESETS)} known shapes. "
        f"Layers with a window stop growing: in {PRESETS[least].name} the second half makes "
        f"it {doubled[least]:.3g} times as large.",
        "holds" if len(straight) == len(PRESETS) else "simplified",
    )


def grouped() -> Finding:
    """One model with the three kinds."""
    shape = PRESETS["llama-2-70b"]
    sizes = {kind: cache_bytes(as_kind(shape, kind, shape), 4096) for kind in ("MHA", "GQA", "MQA")}
    return Finding(
        f"{shape.name} at 4,096 positions: {say_bytes(sizes['MHA'])} if every head kept its own, "
        f"{say_bytes(sizes['GQA'])} with its {shape.kv_heads} groups, {say_bytes(sizes['MQA'])} with one for all.",
        "holds" if sizes["MQA"] < sizes["GQA"] < sizes["MHA"] else "wrong",
    )


def paging(piece: Service, pages: Service) -> Finding:
    """Shares of the memory that hold tokens."""
    before, after = piece.shares["tokens"], pages.shares["tokens"]
    return Finding(
        f"Over this page's requests {before:.0%} of the memory held tokens with one piece for the longest text, and "
        f"{after:.0%} with pages; {piece.steps:,} steps became {pages.steps:,}. (The paper measured 20.4 to 38.2 % in "
        "systems before it.)",
        "holds" if after > before and pages.steps <= piece.steps else "wrong",
    )


def shrinks(piece: Service, pages: Service) -> Finding:
    """A position takes as many bytes as before; more texts fit."""
    shape = replace(PRESETS["opt-13b"], context=None)
    once, more = (sum(each.running) / each.steps for each in (piece, pages))
    return Finding(
        f"A position of {shape.name} takes {cache_bytes(shape, 1):,} bytes, in one piece or in pages: no factor of the "
        f"formula is about where it lies. What changes is how many texts are served at once: {once:.1f} in one piece "
        f"each, {more:.1f} in pages.",
        "wrong" if _slots_filled(piece) == _slots_filled(pages) else "holds",
    )


def _slots_filled(service: Service) -> dict[int, int]:
    """Positions that each request has in memory when it ends."""
    ends: dict[int, int] = {}
    for stay in service.stays:
        ends[stay.request] = max(ends.get(stay.request, 0), stay.base + stay.end - 1 - stay.admitted)
    return ends
