"""How many bytes a KV cache takes: the arithmetic, and a table on the command line.

    python -m tokentrace.kv_cache llama-3-70b --tokens 8192 --batch 16 --dtype fp16
    python -m tokentrace.kv_cache --config path/to/config.json --json

Every layer keeps a key and a value for every position it has read: 2 x layers x KV heads x head size x positions x
batch x bytes (Pope et al. 2022, arXiv 2211.05102). With `architectures.py`, which holds the shapes of known
models, this file needs nothing but the standard library: both can be lifted into any other tool.
"""

from __future__ import annotations

import argparse
import json
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tokentrace.architectures import PRESETS, CacheShape, ShapeError, from_config

BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "int4": 4}
KINDS = ("MHA", "GQA", "MQA", "MLA")
GB = 10**9  # what is written on a card; a GiB has 2**30 bytes
ENDLESS = 2**40  # positions or texts: what fits with so many is limited by something else


def bits(dtype: str) -> int:
    """Bits of a number of this type; a ShapeError for any other."""
    if dtype not in BITS:
        raise ShapeError(f"Numbers are kept in {', '.join(BITS)}, not in {dtype!r:.40}.")
    return BITS[dtype]


def cache_bytes(shape: CacheShape, positions: int, batch: int = 1, dtype: str = "fp16") -> int:
    """Bytes of keys and values of `batch` texts of so many positions each; a last half byte counts as one."""
    return -(-shape.numbers * shape.kept(positions) * batch * bits(dtype) // 8)


def weight_bytes(shape: CacheShape, dtype: str = "fp16") -> int | None:
    """Bytes of the weights; None if nobody knows how many there are."""
    return None if shape.parameters is None else -(-shape.parameters * bits(dtype) // 8)


def longest_context(shape: CacheShape, room: int, batch: int = 1, dtype: str = "fp16") -> int | None:
    """Positions of each of `batch` texts that fit into `room` bytes; None if memory sets no limit."""
    found = bisect_right(range(ENDLESS + 1), room, key=lambda n: cache_bytes(shape, n, batch, dtype)) - 1
    return None if found >= ENDLESS else max(found, 0)


def largest_batch(shape: CacheShape, room: int, positions: int, dtype: str = "fp16") -> int:
    """Texts of so many positions each that fit into `room` bytes."""
    found = bisect_right(range(ENDLESS + 1), room, key=lambda n: cache_bytes(shape, positions, n, dtype)) - 1
    return max(found, 0)


def as_kind(shape: CacheShape, kind: str, like: CacheShape | None = None) -> CacheShape:
    """Give a shape another kind of attention, with the groups or the latent of `like` where those are of that kind."""
    plain = replace(shape, latent=0, rope=0)
    if kind == "MLA":
        latent, rope = (like.latent, like.rope) if like and like.latent else (512, 64)  # those of DeepSeek-V2
        return replace(shape, latent=latent, rope=rope)
    if kind == "GQA":
        own = like.kv_heads if like and like.heads == shape.heads and 1 < like.kv_heads < like.heads else None
        parts = [n for n in range(2, shape.heads) if shape.heads % n == 0]
        if not (own or parts):
            raise ShapeError(f"{shape.heads} query heads cannot be cut into groups of the same size.")
        return replace(plain, kv_heads=own or min(parts, key=lambda n: (abs(n - 8), n)))
    return replace(plain, kv_heads=shape.heads if kind == "MHA" else 1)


# ---- telling ----


def say_bytes(n: int) -> str:
    """Bytes in units of 1,024."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if n >= 1024**power:
            return f"{n / 1024**power:,.2f}".removesuffix(".00") + f" {unit}"
    return f"{n:,} bytes"


def say_units(n: int) -> str:
    """Bytes in units of 1,000 and in units of 1,024, which are not the same."""
    power = 3 if n >= GB / 10 else 2 if n >= 10**5 else 1
    small, large = "KMG"[power - 1], "kMG"[power - 1]
    return f"{n / 1000**power:,.2f} {large}B = {n / 1024**power:,.2f} {small}iB"


def factors(shape: CacheShape, positions: int, batch: int = 1, dtype: str = "fp16") -> list[dict[str, Any]]:
    """The factors of `cache_bytes`, in the order of the formula: value, symbol and name of each."""
    rows: list[tuple[float, str, str]] = []
    if shape.latent:
        rows.append((shape.numbers, f"{shape.latent} + {shape.rope}", "latent and places"))
    else:
        rows.append((2, "", "K and V"))
    if shape.windowed:
        full, inside = shape.layers - shape.windowed, min(positions, shape.window)
        said = f"{full} × {positions:,} + {shape.windowed} × {inside:,}" if full else f"{shape.windowed} × {inside:,}"
        rows.append((shape.kept(positions), said, "positions kept"))
    else:
        rows.append((shape.layers, "L", "layers"))
    if not shape.latent:
        rows += [(shape.kv_heads, "n_kv", "KV heads"), (shape.head_size, "d_head", "head size")]
    if not shape.windowed:
        rows.append((positions, "n", "positions"))
    each = bits(dtype) / 8
    rows += [(batch, "B", "batch"), (int(each) if each >= 1 else each, "bytes", dtype)]
    return [{"value": value, "symbol": symbol, "name": name} for value, symbol, name in rows]


def report(shape: CacheShape, positions: int, batch: int = 1, dtype: str = "fp16", card: float | None = None,
           weights: str = "fp16") -> list[tuple[str, str]]:  # fmt: skip
    """Name and value of all there is to say: the table of the command line and of the page."""
    total, first = cache_bytes(shape, positions, batch, dtype), cache_bytes(shape, 1, 1, dtype)
    rows = [
        ("cache", f"{total:,} bytes = {say_units(total)}"),
        ("first position", f"{first:,} bytes ({say_bytes(first)})"),
        (
            "attention",
            f"{shape.kind}, {'one latent' if shape.latent else shape.kv_heads} for {shape.heads} query heads",
        ),
    ]
    if shape.kind != "MHA":
        larger = cache_bytes(as_kind(shape, "MHA"), positions, batch, dtype)
        rows.append(("with all heads", f"{larger:,} bytes, {larger / total:.3g} times as much"))
    if shape.windowed:
        unbound = cache_bytes(replace(shape, window=None, windowed=0), positions, batch, dtype)
        rows.append(("without windows", f"{unbound:,} bytes, {unbound / total:.3g} times as much"))
    if shape.context:
        most = cache_bytes(shape, shape.context, batch, dtype)
        rows.append(("at its longest", f"{shape.context:,} positions: {say_bytes(most)}"))
    if (heavy := weight_bytes(shape, weights)) is not None:
        rows.append(("weights", f"{heavy:,} bytes in {weights} ({say_units(heavy)})"))
    if card:
        rows += fit(shape, positions, batch, dtype, card, weights)
    return rows


def fit(shape: CacheShape, positions: int, batch: int, dtype: str, card: float, weights: str) -> list[tuple[str, str]]:
    """What fits a card of so many GB of 10^9 bytes beside the weights, activations left out."""
    heavy = weight_bytes(shape, weights)
    if heavy is None:
        return [(f"on {card:g} GB", "the number of parameters is not known")]
    room = int(card * GB) - heavy
    if room < 0:
        return [(f"on {card:g} GB", f"the weights alone need {heavy / GB:,.1f} GB: nothing fits beside them")]
    longest = longest_context(shape, room, batch, dtype)
    far = "no limit: all layers forget" if longest is None else f"{longest:,} positions"
    if longest and shape.context and longest > shape.context:
        far += f" (the model was made for {shape.context:,})"
    return [
        (f"on {card:g} GB", f"{room:,} bytes are left beside the weights"),
        (f"longest context, batch {batch:,}", far),
        (f"largest batch, {positions:,} positions", f"{largest_batch(shape, room, positions, dtype):,}"),
    ]


# ---- the command line ----


def listing() -> str:
    """All presets: their shapes, bytes of a position, and where the numbers are from."""
    rows = [f"{'name':<16} kind layers  heads  KV  size   context   KiB a position, fp16"]
    for shape in PRESETS.values():
        kept = "latent" if shape.latent else f"{shape.kv_heads:3} {shape.head_size:5}"
        first = cache_bytes(shape, 1) / 1024
        rows.append(
            f"{shape.key:<16} {shape.kind} {shape.layers:6} {shape.heads:6} {kept:>9} {shape.context:9,} "
            f"{first:12,.4g}   {shape.source}{f' ({shape.note})' if shape.note else ''}"
        )
    return "\n".join(rows)


def read_shape(name: str | None, path: str | None) -> CacheShape:
    """Return the shape that the command line names; a ShapeError if there is none."""
    if path:
        try:
            return from_config(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ShapeError(f"{path} cannot be read as a configuration: {error}") from None
    if name not in PRESETS:
        raise ShapeError(f"There is no preset {name!r}. There is: {', '.join(PRESETS)}.")
    return PRESETS[name]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for a preset or a configuration; without either, list the presets."""
    parser = argparse.ArgumentParser(prog="python -m tokentrace.kv_cache", description="How large a KV cache is.")
    parser.add_argument("name", nargs="?", help="a preset; without one, all are listed")
    parser.add_argument("--config", metavar="FILE", help="a Hugging Face config.json instead of a preset")
    parser.add_argument("--tokens", type=int, help="positions of each text; by default the model's context")
    parser.add_argument("--batch", type=int, default=1, help="texts at once")
    parser.add_argument("--dtype", choices=BITS, default="fp16", help="what a number is kept in")
    parser.add_argument("--card", type=float, metavar="GB", help="say what fits a card of so many GB (10^9 bytes)")
    parser.add_argument("--weights", choices=BITS, default="fp16", help="what the weights are kept in")
    parser.add_argument("--parameters", type=int, help="how many weights there are, for a configuration")
    parser.add_argument("--json", action="store_true", help="print plain data")
    given = parser.parse_args(arguments)
    if not (given.name or given.config):
        return print(listing())
    try:
        shape = read_shape(given.name, given.config)
        if given.parameters is not None:
            shape = replace(shape, parameters=given.parameters)
        print(told(shape, given))
    except ShapeError as error:
        sys.exit(str(error))


def told(shape: CacheShape, given: argparse.Namespace) -> str:
    """What the command line prints; a ShapeError if the numbers asked for make no sense."""
    positions = given.tokens if given.tokens is not None else shape.context
    if positions is None:
        raise ShapeError("The configuration names no context length: say how many positions with --tokens.")
    if positions < 1 or given.batch < 1 or (given.card is not None and not 0 < given.card < 1e9):
        raise ShapeError("Positions and batch are whole numbers from 1 up, and a card has more than 0 GB.")
    settings = (shape, positions, given.batch, given.dtype)
    if given.json:
        rows = dict(report(*settings, given.card, given.weights))
        plain = {"shape": asdict(shape), "positions": positions, "batch": given.batch, "dtype": given.dtype}
        return json.dumps(plain | {"bytes": cache_bytes(*settings), "report": rows}, indent=1)
    formula = " x ".join(f"{each['value']:,} {each['name']}" for each in factors(*settings))
    lines = [f"{name:<32} {value}" for name, value in report(*settings, given.card, given.weights)]
    source = f"shape: {shape.source}" + (f" ({shape.note})" if shape.note else "")
    return "\n".join([f"{shape.name}: {formula}", *lines, source])


if __name__ == "__main__":
    main()
