"""The files of a model in Hugging Face's format: what is read from them, and plain words for what is wrong."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CHECKSUMS = "SHA256SUMS"
# Causal masks that old exports saved among the weights, and the second head of GPT2DoubleHeadsModel.
NOT_WEIGHTS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)|multiple_choice_head\..*")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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


class Weights:
    """The tensors of a model folder by their bare names (`wte.weight`), taken out one by one.

    They are mapped, not read: memory is used as they are touched, and shared with other processes.

    Raises
    ------
    ModelError
        If a file is missing, truncated or no safetensors file, or holds a tensor twice.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.tensors: dict[str, Tensor] = {}
        for file in weight_files(folder):
            for full_name, tensor in _tensors(file):
                name = full_name.removeprefix("transformer.")
                if NOT_WEIGHTS.fullmatch(name):
                    continue
                if name in self.tensors:
                    raise ModelError(f"{file} holds the tensor {name} a second time.")
                if tensor.dtype not in DTYPES:
                    raise ModelError(
                        f"The tensor {name} in {file} is stored as {tensor.dtype}, which is not supported."
                    )
                self.tensors[name] = tensor

    def tie(self, head: str, table: str) -> None:
        """Make one tensor of two that mean the same; where both are there and differ, both are kept."""
        if head in self.tensors and torch.equal(self.tensors.setdefault(table, self.tensors[head]), self.tensors[head]):
            del self.tensors[head]

    def take(self, name: str, *shape: int) -> Tensor:
        """Take out a tensor, in the type of the file; a ModelError if it is missing or has another shape."""
        if name not in self.tensors:
            raise ModelError(f"The weights in {self.folder} lack the tensor {name}.")
        found = self.tensors.pop(name)
        if tuple(found.shape) != shape:
            expected = list(shape)
            raise ModelError(f"The tensor {name} in {self.folder} is {list(found.shape)} where {expected} is expected.")
        return found

    def finish(self) -> None:
        """Make sure that nothing is left over: a tensor without use is a model of another kind."""
        if self.tensors:
            raise ModelError(f"The weights in {self.folder} hold the unexpected tensor {min(self.tensors)}.")


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


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (safe_open is no dict)
                yield name, opened.get_tensor(name)
    except FileNotFoundError:
        raise ModelError(f"There is no {file.name} in {file.parent}, though the index names it.") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is no safetensors file, or it is cut off or damaged ({error}).") from None
