"""The shape of a GPT-2, read from `config.json`: computed right, or refused by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from tokentrace.activations import ACTIVATIONS
from tokentrace.model_files import ModelError

# Names in config.json that are not ours; where two mean the same, the later one here wins.
ALIASES = {
    "activation_function": "activation",
    "n_positions": "n_ctx",
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_ctx",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
# What transformers would compute differently, and the one value with which it does not.
REFUSED = {
    "add_cross_attention": False,
    "is_causal": True,
    "attention_chunk_size": None,
    "layer_types": None,
    "per_layer_config": None,
    "quantization_config": None,
    "sliding_window": None,
}
HEADS = ("GPT2LMHeadModel", "GPT2Model", "GPT2DoubleHeadsModel")


@dataclass(frozen=True)
class Config:
    """The shape of a GPT-2; the defaults are those of the smallest published one (124M)."""

    vocab_size: int = 50257
    n_ctx: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    tie_word_embeddings: bool = True

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Read a `config.json`; a ModelError names whatever this GPT-2 would not compute right."""
        if given.get("model_type", "gpt2") != "gpt2":
            raise ModelError(f"This is a {given['model_type']} model, not gpt2: tokentrace.load_any opens it.")
        for name in given.get("architectures") or ():
            if name not in HEADS:
                raise ModelError(f"The architecture {name} is not supported: it has no language modelling head.")
        for name, allowed in REFUSED.items():
            if given.get(name) not in (None, allowed):
                raise ModelError(f"A GPT-2 with {name} = {given[name]!r} is not supported.")
        # In transformers n_ctx is an old name without effect, and an alias wins over the name itself.
        known = {field.name for field in fields(cls)} - {"n_ctx"}
        plain = {name: value for name, value in given.items() if name in known}
        return cls(**plain | {ours: given[theirs] for theirs, ours in ALIASES.items() if theirs in given})

    def __post_init__(self):
        for name in ("vocab_size", "n_ctx", "n_embd", "n_layer", "n_head", "n_inner"):
            value = getattr(self, name)
            if name == "n_inner" and value is None:
                object.__setattr__(self, "n_inner", 4 * self.n_embd)
            elif type(value) is not int or value < 1:
                raise ModelError(f"{name} = {value!r} in the configuration should be a whole number from 1 up.")
        for name in ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings"):
            if type(getattr(self, name)) is not bool:
                raise ModelError(f"{name} = {getattr(self, name)!r} in the configuration should be true or false.")
        if not isinstance(self.layer_norm_epsilon, float | int) or not self.layer_norm_epsilon >= 0:
            raise ModelError(f"layer_norm_epsilon = {self.layer_norm_epsilon!r} should be a number from 0 up.")
        if self.n_embd % self.n_head:
            raise ModelError(f"n_embd = {self.n_embd} cannot be divided among n_head = {self.n_head} heads.")
        if self.activation not in ACTIVATIONS:
            raise ModelError(f"The activation function {self.activation!r} is not supported.")

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.n_embd // self.n_head

    @property
    def n_kv_head(self) -> int:
        """Heads that keep keys and values: all of them in a GPT-2."""
        return self.n_head
