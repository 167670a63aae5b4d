"""Weigh the cache of the embedded model once, for the first look at the arithmetic."""

from pathlib import Path

from tokentrace.cache_reading import read

POSITIONS = 256


def record_reading(model, folder: Path):
    """Write the reading of the storyteller's cache, `cache_reading.json`."""
    *_, (_, _, found) = read(model, min(POSITIONS, model.config.n_ctx))
    print(f"{found.save(folder / 'cache_reading.json').name}: {found.nbytes:,} bytes")
