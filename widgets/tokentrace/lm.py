"""GPT-2, written to be read: token numbers go in, scores for the next token come out.

The model of Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". Shapes are
in brackets: `batch` texts, `new` positions in this call, `past` positions in the cache before it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tokentrace.activations import ACTIVATIONS
from tokentrace.config import Config
from tokentrace.linear import PRECISIONS, Linear, activation_dtype, linear
from tokentrace.model_files import fingerprint, read_json
from tokentrace.tokenizer import Tokenizer
from tokentrace.weights import Weights


class KVCache:
    """Keys and values of the positions read so far, in memory that is set aside once.

    Attributes
    ----------
    length, capacity : positions in use, and how many there is room for.
    memory : [n_layer, 2 (keys, values), batch, n_head, capacity, d_head]
    """

    def __init__(self, config: Config, batch_size: int, capacity: int, dtype: torch.dtype):
        if not 1 <= capacity <= config.n_ctx:
            raise ValueError(f"A cache can hold 1 to {config.n_ctx} positions of this model, not {capacity}.")
        if batch_size < 1:
            raise ValueError(f"A cache is for at least one text, not {batch_size}.")
        shape = (config.n_layer, 2, batch_size, config.n_head, capacity, config.d_head)
        self.memory = torch.empty(shape, dtype=dtype)  # what lies beyond `length` is never read
        self.layers = self.memory.unbind()
        self.batch_size, self.capacity, self.length = batch_size, capacity, 0

    def keys(self, layer: int) -> Tensor:
        """Keys of a layer [batch, n_head, length, d_head]."""
        return self.layers[layer][0, :, :, : self.length]

    def values(self, layer: int) -> Tensor:
        """Values of a layer [batch, n_head, length, d_head]."""
        return self.layers[layer][1, :, :, : self.length]

    def write(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """Put `new` [2, batch, n_head, new, d_head] after the others; returns all keys and all values.

        `length` stays: a forward pass moves it on when every layer is written.
        """
        end = self.length + new.shape[3]
        self.layers[layer][:, :, :, self.length : end] = new
        keys, values = self.layers[layer][:, :, :, :end]
        return keys, values

    def truncate(self, n: int) -> None:
        """Forget all but the first n positions: what follows a rejected guess."""
        if not 0 <= n <= self.length:
            raise ValueError(f"The cache holds {self.length} positions, so it cannot be cut back to {n}.")
        self.length = n

    def keep(self, n: int, path: list[int]) -> None:
        """Forget all but the first n positions and those of `path`, which move up behind them.

        What is left of a tree of guesses when one branch of it was verified.
        """
        if not all(n <= place < self.length for place in path):
            raise ValueError(f"The cache holds {self.length} positions; {path} cannot move up behind the first {n}.")
        self.memory[..., n : n + len(path), :] = self.memory[..., path, :]
        self.truncate(n + len(path))

    @property
    def nbytes(self) -> int:
        """Bytes of the positions in use."""
        return self.allocated_nbytes * self.length // self.capacity

    @property
    def allocated_nbytes(self) -> int:
        """Bytes set aside for all positions."""
        return self.memory.numel() * self.memory.element_size()


class Block:
    """One layer: attention gathers from the positions before, the MLP works on each position alone."""

    def __init__(self, config: Config, layer: int, weights: Weights, precision: str):
        self.config, self.layer = config, layer
        width, inner, name = config.n_embd, config.n_inner, f"h.{layer}."

        def projection(part: str, n_in: int, n_out: int) -> Linear:
            weight, bias = weights.take(f"{name}{part}.weight", n_in, n_out), weights.take(f"{name}{part}.bias", n_out)
            return linear(weight, bias, precision)

        self.norm_1 = Norm(config, f"{name}ln_1", weights, precision)
        self.to_qkv = projection("attn.c_attn", width, 3 * width)
        self.from_heads = projection("attn.c_proj", width, width)
        self.norm_2 = Norm(config, f"{name}ln_2", weights, precision)
        self.widen = projection("mlp.c_fc", width, inner)
        self.activation = ACTIVATIONS[config.activation]
        self.narrow = projection("mlp.c_proj", inner, width)
        self.scale = config.d_head**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer + 1

    def __call__(
        self, x: Tensor, cache: KVCache | None, mask: Tensor | None, causal: bool, attention: list[Tensor] | None
    ) -> Tensor:
        """[batch, new, n_embd] in and out."""
        x = x + self.attend(self.norm_1(x), cache, mask, causal, attention)
        return x + self.narrow(self.activation(self.widen(self.norm_2(x))))

    def attend(
        self, x: Tensor, cache: KVCache | None, mask: Tensor | None, causal: bool, attention: list[Tensor] | None
    ) -> Tensor:
        """Every position mixes the values of the positions it may see, weighed by query times key."""
        batch, new, width = x.shape
        qkv = self.to_qkv(x).view(batch, new, 3, self.config.n_head, -1).permute(2, 0, 3, 1, 4)
        query = qkv[0]  # [batch, n_head, new, d_head]
        keys, values = qkv[1:] if cache is None else cache.write(self.layer, qkv[1:])  # [..., past + new, d_head]
        if attention is not None:
            scores = query @ keys.transpose(-1, -2) * self.scale
            attention.append((scores if mask is None else scores + mask).softmax(-1))
        mixed = F.scaled_dot_product_attention(query, keys, values, mask, is_causal=causal, scale=self.scale)
        return self.from_heads(mixed.transpose(1, 2).reshape(batch, new, width))


class Norm:
    """Layer norm: mean 0 and variance 1 along the width, then a learned scale and shift."""

    def __init__(self, config: Config, name: str, weights: Weights, precision: str):
        dtype = activation_dtype(precision)
        self.shape, self.epsilon = (config.n_embd,), config.layer_norm_epsilon
        self.scale = weights.take(f"{name}.weight", config.n_embd).to(dtype)
        self.shift = weights.take(f"{name}.bias", config.n_embd).to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., n_embd] in and out."""
        return torch.layer_norm(x, self.shape, self.scale, self.shift, self.epsilon)


class GPT2:
    """A GPT-2 ready to run.

    Attributes
    ----------
    config, name, tokenizer, precision : what it is; `name` is the folder's unless given.
    n_parameters : numbers it has learned, a tied head counted once.
    """

    def __init__(self, folder: str | Path, precision: str = "fp32", name: str | None = None):
        if precision not in PRECISIONS:
            raise ValueError(f"The precision {precision!r} is none of {', '.join(PRECISIONS)}.")
        self.folder = Path(folder)
        self.name = name or self.folder.resolve().name
        self.precision, self.dtype = precision, activation_dtype(precision)
        self.config = config = Config.from_dict(read_json(self.folder / "config.json"))
        self.tokenizer = Tokenizer.from_folder(self.folder)

        weights = Weights(self.folder)
        if config.tie_word_embeddings:
            weights.tie("lm_head.weight", "wte.weight")
        self.n_parameters = sum(tensor.numel() for tensor in weights.tensors.values())
        untied = "lm_head.weight" in weights.tensors or not config.tie_word_embeddings
        # The table stays as it is in the file: only the rows of the tokens at hand are ever read.
        self.token_table = weights.take("wte.weight", config.vocab_size, config.n_embd)
        self.position_table = weights.take("wpe.weight", config.n_ctx, config.n_embd).to(self.dtype)
        with ThreadPoolExecutor(2) as pool:  # laying out a matrix waits for memory most of the time
            self.blocks = list(pool.map(lambda layer: Block(config, layer, weights, precision), range(config.n_layer)))
        self.last_norm = Norm(config, "ln_f", weights, precision)
        head = weights.take("lm_head.weight", config.vocab_size, config.n_embd) if untied else self.token_table
        self.head = linear(head.t(), None, precision)
        weights.finish()

    @cached_property
    def fingerprint(self) -> str:
        """What tells these weights from others."""
        return fingerprint(self.folder)

    def first_layers(self, n: int) -> GPT2:
        """Return the same model left early: its first n layers, then the last norm and the head."""
        if not 1 <= n <= self.config.n_layer:
            raise ValueError(f"{self.name} can be left after 1 to {self.config.n_layer} layers, not {n}.")
        early = copy(self)
        early.config, early.blocks = replace(self.config, n_layer=n), self.blocks[:n]
        early.name = f"{self.name}, first {n} of {self.config.n_layer} layers"
        return early

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> KVCache:
        """Make an empty cache with room for `capacity` positions, by default for the whole context."""
        return KVCache(self.config, batch_size, self.config.n_ctx if capacity is None else capacity, self.dtype)

    def forward(
        self,
        ids: Tensor | list[list[int]],
        cache: KVCache | None = None,
        *,
        last_only: bool = False,
        hidden: list[Tensor] | None = None,
        attention: list[Tensor] | None = None,
        causal: bool = True,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Read the next tokens of a text and score what may follow each of them.

        One call reads a whole prompt, one token, or a few guesses to be verified.

        Parameters
        ----------
        ids : [batch, new] token numbers, a tensor or nested lists.
        cache : what was read before; the new positions are added to it.
        last_only : score only what follows the last token.
        hidden : a list to append to: the input of every layer and the output of the last norm
            [batch, new, n_embd], n_layer + 1 in all.
        attention : a list to append to: each layer's weights [batch, n_head, new, past + new].
        causal : False lets every position see the later ones too (a mistake worth looking at).
        positions : [new] places in the text, when they do not simply follow the cache.
        mask : [new, past + new] True where a new position may look, instead of the causal triangle.

        Returns
        -------
        Tensor
            Logits [batch, new or 1, vocab_size] in fp32.

        Raises
        ------
        ValueError
            If there are no tokens, too many for the context or the cache, or unknown ones.
        """
        ids = torch.as_tensor(ids)
        check_room(self, ids, cache)
        new, past = ids.shape[1], 0 if cache is None else cache.length
        if positions is None:
            positions = slice(past, past + new)
        visible = mask
        if mask is None and causal and new > 1 and (past or attention is not None):
            visible = torch.ones(new, past + new, dtype=torch.bool).tril(past)
        if visible is not None:
            visible = torch.zeros(visible.shape, dtype=self.dtype).masked_fill(~visible, -torch.inf)
        triangle = causal and visible is None and new > 1

        with torch.inference_mode():
            try:
                x = F.embedding(ids, self.token_table).to(self.dtype) + self.position_table[positions]
            except IndexError:
                raise ValueError(f"A token number lies outside the {self.config.vocab_size} of this model.") from None
            for block in self.blocks:
                if hidden is not None:
                    hidden.append(x)
                x = block(x, cache, visible, triangle, attention)
            x = self.last_norm(x)
        if hidden is not None:
            hidden.append(x)
        if cache is not None:
            cache.length += new
        # Outside inference mode, so that the logits are a tensor the reader may write into.
        return self.head(x[:, -1:].contiguous() if last_only else x).float()


def check_room(model: GPT2, ids: Tensor, cache: KVCache | None) -> None:
    """Make sure that there are tokens [batch, new], and room for them in the context and the cache."""
    if ids.ndim != 2:
        raise ValueError(f"Token numbers are expected as [batch, new], not in {ids.ndim} dimensions.")
    batch, new = ids.shape
    end, n_ctx = new + (0 if cache is None else cache.length), model.config.n_ctx
    if new < 1:
        raise ValueError("There is no token to read.")
    if end > n_ctx:
        raise ValueError(f"{end} tokens are more than {model.name} can read at once ({n_ctx}).")
    if cache is not None and end > cache.capacity:
        raise ValueError(f"The cache has room for {cache.capacity} positions, and {end} are needed.")
    if cache is not None and batch != cache.batch_size:
        raise ValueError(f"The cache is for a batch of {cache.batch_size}, and {batch} texts are given.")
