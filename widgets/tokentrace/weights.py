"""The tensors of a model in Hugging Face's format: mapped, taken out by name, and plain words for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tokentrace.model_files import ModelError, weight_files

# Causal masks that old exports saved among the weights, and the second head of GPT2DoubleHeadsModel.
NOT_WEIGHTS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)|multiple_choice_head\..*")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (safe_open is no dict)
                yield name, opened.get_tensor(name)
    except FileNotFoundError:
        raise ModelError(f"There is no {file.name} in {file.parent}, though the index names it.") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is no safetensors file, or it is cut off or damaged ({error}).") from None
