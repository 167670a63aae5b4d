"""A model that counts and times its own work: the linear layers, the attention between them, and the head.

The counts are taken from the tensors of every real call: how many rows went through a layer, how many keys each
query was allowed to see. Nothing here is worked out from a formula.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from tokentrace.linear import Linear
    from tokentrace.lm import GPT2, Block, KVCache

PARTS = ("linear", "attention", "head")


@dataclass
class Work:
    """What a model did since the counters were set to zero.

    Attributes
    ----------
    projections : for each layer, positions whose key and value were computed.
    pairs : for each layer, pairs of a query and a key it may see, of one head.
    scored : positions that the head gave logits for.
    operations : additions and multiplications of each part: 2 a weight and row in linear layers and head; in the
        attention 2 a number of a pair's query times key, and 2 for its share of the value.
    seconds : measured time of each part; attention is what `attend` takes without its linear layers.
    """

    projections: list[int]
    pairs: list[int]
    scored: int = 0
    operations: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))


class Instrumented:
    """A copy of a model that shares its weights and keeps a tally; the model itself stays as it is.

    Attributes
    ----------
    model : reads like the one it was made from.
    work : what it did since `reset`.
    """

    def __init__(self, model: GPT2):
        self.model = copy(model)
        self.model.blocks = [self._block(block, layer) for layer, block in enumerate(model.blocks)]
        self.model.head = self._linear("head", model.head, self._score)
        self.reset()

    def reset(self) -> Work:
        """Set the counters to zero; returns what they held."""
        n = len(self.model.blocks)
        done, self.work = getattr(self, "work", None), Work([0] * n, [0] * n)
        return done or self.work

    def _block(self, block: Block, layer: int) -> Block:
        heard = copy(block)
        heard.to_qkv = self._linear("linear", block.to_qkv, lambda rows: self._project(layer, rows))
        for name in ("from_heads", "widen", "narrow"):
            setattr(heard, name, self._linear("linear", getattr(block, name)))
        heard.attend = self._attention(heard.attend, layer, block.config.n_embd)
        return heard

    def _linear(self, part: str, multiply: Linear, tell: Callable[[int], None] | None = None) -> Linear:
        def counted(x: Tensor) -> Tensor:
            start = perf_counter()
            y = multiply(x)
            self.work.seconds[part] += perf_counter() - start
            rows = x.shape[:-1].numel()
            self.work.operations[part] += 2 * rows * x.shape[-1] * y.shape[-1]
            if tell:
                tell(rows)
            return y

        return counted

    def _attention(self, attend: Callable[..., Tensor], layer: int, width: int) -> Callable[..., Tensor]:
        def counted(
            x: Tensor, cache: KVCache | None, mask: Tensor | None, causal: bool, attention: list[Tensor] | None
        ) -> Tensor:
            inside, start = self.work.seconds["linear"], perf_counter()
            y = attend(x, cache, mask, causal, attention)
            inside = self.work.seconds["linear"] - inside
            self.work.seconds["attention"] += perf_counter() - start - inside
            seen = x.shape[0] * visible_pairs(x.shape[1], 0 if cache is None else cache.length, mask, causal)
            self.work.pairs[layer] += seen
            self.work.operations["attention"] += 4 * width * seen
            return y

        return counted

    def _project(self, layer: int, rows: int) -> None:
        self.work.projections[layer] += rows

    def _score(self, rows: int) -> None:
        self.work.scored += rows


def visible_pairs(new: int, past: int, mask: Tensor | None, causal: bool) -> int:
    """Pairs of one of `new` queries and a key it may see, as one call of the attention was told."""
    if mask is not None:
        return int((mask == 0).sum())
    return new * (new + 1) // 2 if causal else new * (past + new)
