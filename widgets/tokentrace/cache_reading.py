"""A cache weighed: a model reads a text for real, and the bytes of its keys and values are counted off the tensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tokentrace import plain_data
from tokentrace.architectures import CacheShape, ShapeError, from_config
from tokentrace.model_files import ModelError, read_json, weight_files
from tokentrace.models import data_folder
from tokentrace.plain_data import Record, TraceError, build, exactly, mapping, typed
from tokentrace.trace import Model

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

FORMAT, VERSION = "tokentrace cache reading", 1
TEXT = "The lighthouse keeper opened the door and"
MOST_TOKENS = 8192  # positions x batch: some seconds of work and some hundred megabytes on an old laptop
PIECE = 512  # tokens of all texts that are read between two looks at the clock


@dataclass(frozen=True, slots=True)
class CacheReading(Record):
    """What one real forward pass left in the cache.

    Attributes
    ----------
    layers, kv_heads, head_size : as the tensors have them.
    positions, batch : how much was read.
    dtype : of the tensors.
    nbytes : of the keys and values in use, counted off the live tensors; allocated is what was set aside.
    ms : how long reading took, milliseconds.
    """

    model: Model
    recorded: str
    layers: int
    kv_heads: int
    head_size: int
    positions: int
    batch: int
    dtype: str
    nbytes: int
    allocated: int
    ms: float

    def __post_init__(self):
        for name in ("layers", "kv_heads", "head_size", "positions", "batch", "nbytes"):
            if getattr(self, name) < 1:
                raise TraceError(f"{name}: must be at least 1.")
        if self.allocated < self.nbytes:
            raise TraceError("allocated: must be at least nbytes.")

    def of(self, shape: CacheShape, positions: int, batch: int, dtype: str) -> bool:
        """Whether this is a reading of just that cache."""
        mine = (self.layers, self.kv_heads, self.head_size, self.positions, self.batch, self.dtype)
        theirs = (shape.layers, shape.kv_heads, shape.head_size, positions, batch, dtype)
        return mine == theirs and not shape.latent and not shape.windowed

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"format": FORMAT, "version": VERSION}

    @classmethod
    def from_dict(cls, data: Any) -> CacheReading:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        data = mapping("reading", data)
        plain_data.header(data, FORMAT, VERSION)
        exactly("reading", data, {"format", "version"} | {field.name for field in fields(cls)})
        kinds = {"int": int, "float": float, "str": str}
        plain = {f.name: typed(f.name, data[f.name], kinds[f.type]) for f in fields(cls) if f.type in kinds}
        return cls(model=build(Model, "model", data["model"]), **plain)


def read(model: GPT2, positions: int, batch: int = 1) -> Iterator[tuple[int, int, CacheReading | None]]:
    """Let a model read `batch` texts of so many tokens each, and count the bytes of its cache.

    Yields
    ------
    tuple
        Positions read so far, positions in all, and the reading, which is None until the last.

    Raises
    ------
    ShapeError
        If there is nothing to read, or too much.
    """
    import torch

    from tokentrace.generation_loop import describe

    if not (1 <= positions <= model.config.n_ctx and batch >= 1):
        raise ShapeError(f"{model.name} reads 1 to {model.config.n_ctx:,} positions, not {positions:,}.")
    if positions * batch > MOST_TOKENS:
        raise ShapeError(f"{positions:,} × {batch:,} tokens take long to read; {MOST_TOKENS:,} at most are read here.")
    began = perf_counter()
    ids = torch.tensor(model.tokenizer.encode(TEXT)).repeat(positions)[:positions].repeat(batch, 1)
    cache = model.new_cache(batch, positions)
    piece = max(1, PIECE // batch)
    for start in range(0, positions, piece):
        model.forward(ids[:, start : start + piece], cache, last_only=True)
        if cache.length < positions:
            yield cache.length, positions, None
    keys = cache.keys(0)
    layers = [tensor for layer in range(model.config.n_layer) for tensor in (cache.keys(layer), cache.values(layer))]
    yield (
        positions,
        positions,
        CacheReading(
            model=describe(model),
            recorded=datetime.now(UTC).isoformat(timespec="seconds"),
            layers=len(layers) // 2,
            kv_heads=keys.shape[1],
            head_size=keys.shape[3],
            positions=keys.shape[2],
            batch=keys.shape[0],
            dtype={torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}.get(keys.dtype, "?"),
            nbytes=sum(tensor.numel() * tensor.element_size() for tensor in layers),
            allocated=cache.allocated_nbytes,
            ms=round((perf_counter() - began) * 1000, 3),
        ),
    )


def shape_of(model: GPT2) -> CacheShape:
    """Return the shape of a model that is open."""
    config = model.config
    return CacheShape(model.name, config.n_layer, config.n_head, config.n_kv_head, config.d_head, config.n_ctx,
                      model.n_parameters, source="the model that is open here")  # fmt: skip


def shape_in(folder: Path, name: str) -> CacheShape | None:
    """Return the shape of a model that lies in a folder, without loading it; None if that cannot be told."""
    try:
        shape = from_config(read_json(folder / "config.json"), name)
        count = sum(map(_parameters, weight_files(folder)))
    except (ModelError, ShapeError, OSError, ValueError, struct.error):
        return None
    return CacheShape(name, shape.layers, shape.heads, shape.kv_heads, shape.head_size, shape.context, count,
                      shape.window, shape.windowed, shape.latent, shape.rope, "config.json")  # fmt: skip


def _parameters(file: Path) -> int:
    """Numbers in a safetensors file, from its header alone."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(struct.unpack("<Q", opened.read(8))[0]))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def recorded_reading(name: str = "cache_reading") -> CacheReading:
    """Load a reading that was made for the lessons, `data/traces/<name>.json`."""
    return CacheReading.load(data_folder() / "traces" / f"{name}.json")
