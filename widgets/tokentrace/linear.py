"""Linear layers for generation on CPU: y = x W + b, with the weights laid out once for speed.

One token at a time is bound by how fast the weights stream through memory, so layout and size
decide: oneDNN's blocked layout reads faster than a plain matrix, bf16 halves the bytes, int8
quarters them. The fast kernels are private operations of PyTorch: each is tried on a small matrix
first, and where it is missing or wrong the plain `addmm` does the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

PRECISIONS = ("fp32", "bf16", "int8")
Linear = Callable[[Tensor], Tensor]  # [..., n_in] -> [..., n_out]


def activation_dtype(precision: str) -> torch.dtype:
    """Give the type of what flows between layers; the int8 kernel is fast with bf16 only."""
    return torch.float32 if precision == "fp32" else torch.bfloat16


def linear(weight: Tensor, bias: Tensor | None = None, precision: str = "fp32") -> Linear:
    """Prepare one layer.

    Parameters
    ----------
    weight : [n_in, n_out], GPT-2's layout, any float dtype.
    bias : [n_out] or None.
    precision : "fp32", "bf16", or "int8" (weights only, one scale per output).
    """
    make = {"fp32": Packed, "bf16": Packed, "int8": Int8}[precision]
    fits = precision != "int8" or weight.shape[0] % Int8.STRIDE == 0
    return (make if fits and works(make, precision) else Portable)(weight, bias, precision)


class Portable:
    """`addmm` on [n_in, n_out]: right everywhere, and the reference for the other kernels."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: str):
        dtype = activation_dtype(precision)
        if precision == "int8":
            quantised, scale = quantise(weight)
            weight = (quantised * scale[:, None]).t()
        self.weight = weight.to(dtype).contiguous()
        self.bias = torch.zeros(weight.shape[1], dtype=dtype) if bias is None else bias.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: [..., n_in] in, [..., n_out] out."""
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).unflatten(0, x.shape[:-1])


class Packed:
    """oneDNN with the weights in its own blocked layout, fp32 or bf16."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: str):
        dtype = activation_dtype(precision)
        # oneDNN chooses its blocks by how many rows it is told to expect. Told 4, it reads one row at nearly its
        # best and five at the same price; told 1, five rows cost twice as much, and drafts could not pay.
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.t().to(dtype).contiguous(), 4)
        self.bias = None if bias is None else bias.to(dtype)
        self.multiply = torch.ops.mkldnn._linear_pointwise.default

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: [..., n_in] in, [..., n_out] out."""
        return self.multiply(x, self.weight, self.bias, "none", [], "")


class Int8:
    """Weights as whole numbers from -127 to 127 with one scale per output; activations in bf16."""

    # The kernel reads this many inputs at a time and past the end of the memory when they do not come out even.
    STRIDE = 16

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: str):
        self.weight, scale = quantise(weight)
        self.scale = scale.bfloat16()
        self.bias = None if bias is None else bias.bfloat16()

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: [..., n_in] in, [..., n_out] out."""
        y = torch._weight_int8pack_mm(x.flatten(0, -2), self.weight, self.scale)
        if self.bias is not None:
            y += self.bias
        return y.unflatten(0, x.shape[:-1])


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[n_in, n_out] as int8 [n_out, n_in] and its scales [n_out]: the largest of each row becomes 127."""
    rows = weight.t().float()
    scale = rows.abs().amax(1).clamp_min(1e-12) / 127
    return (rows / scale[:, None]).round().to(torch.int8).contiguous(), scale


@cache
def works(make: type, precision: str) -> bool:
    """Whether a private kernel exists on this machine and agrees with `addmm`; tried once."""
    if os.environ.get("TOKENTRACE_KERNEL") == "portable":
        return False
    random = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(shape, generator=random) for shape in ((96, 160), (160,), (2, 3, 96)))
    x = x.to(activation_dtype(precision))
    try:
        found = make(weight, bias, precision)(x)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    expected = Portable(weight, bias, precision)(x)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    return torch.allclose(found.float(), expected.float(), rtol=tolerance, atol=10 * tolerance)
