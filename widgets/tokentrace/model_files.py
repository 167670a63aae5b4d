"""The files of a model in Hugging Face's format: which there are, whether they are the right ones, and their JSON.

Whoever only lists models, or shows a record, needs no torch for it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CHECKSUMS = "SHA256SUMS"


class ModelError(ValueError):
    """A model folder that cannot be used; the message is a sentence for the reader."""


def weight_files(folder: Path) -> list[Path]:
    """Find the safetensors files of a model folder: one, or the shards that its index names."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        names = read_json(folder / INDEX).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise ModelError(f"{folder / INDEX} has no weight_map from tensors to files.")
        # Only the name: an index cannot point outside its folder.
        return [folder / Path(name).name for name in sorted(set(names.values()))]
    if (folder / "pytorch_model.bin").is_file():
        raise ModelError(f"{folder} holds pytorch_model.bin; only safetensors is opened, because a .bin can run code.")
    raise ModelError(f"There is no {SINGLE} in {folder}.")


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; asked again, it is read again only if its size or time has changed."""
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@cache
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the weights; of several shards, of their SHA-256s."""
    sums = [sha256(file) for file in weight_files(folder)]
    return (sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest())[:12]


def check(folder: Path) -> None:
    """Compare the files of a model folder with the SHA256SUMS beside it, where there is one that lists them.

    The format is that of `sha256sum`, names as seen from the file: `storyteller/model.safetensors`.

    Raises
    ------
    ModelError
        If a listed file is missing or is not the one that was listed.
    """
    sums = folder.parent / CHECKSUMS
    lines = sums.read_text(encoding="ascii").splitlines() if sums.is_file() else []
    for wanted, name in (line.split(maxsplit=1) for line in lines if line):
        file = sums.parent / name
        if file.parent != folder:
            continue
        if not file.is_file():
            raise ModelError(f"There is no {file.name} in {folder}, though {sums.name} lists it.")
        if sha256(file) != wanted:
            raise ModelError(
                f"{file} is not the file that {sums.name} lists: it is cut off, damaged or another model's. "
                f"In a checkout, `git checkout -- {file.name}` in its folder brings it back."
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"There is no {path.name} in {path.parent}.") from None
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object.")
    return found
