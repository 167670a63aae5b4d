"""Any causal language model that transformers opens, behind the interface of `tokentrace.lm.GPT2`.

Llama, Qwen, Gemma and the rest can so be generated with, traced and branched. This module alone knows transformers,
and its cache; it is imported when the first such model is opened.
"""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokentrace import models
from tokentrace.lm import check_room
from tokentrace.model_files import ModelError, fingerprint, read_json, weight_files
from tokentrace.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
UNLIMITED = 2048  # positions given to a model that names no limit, as those with ALiBi do
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
LOCK = Lock()


def load_any(name_or_path: str | os.PathLike[str], precision: str = "fp32") -> AnyModel:
    """Open a causal language model of any kind; asked twice, the same one is given twice.

    Parameters
    ----------
    name_or_path : a name that `load` knows, a folder in Hugging Face's format, or a repository on the hub,
        such as "Qwen/Qwen3-0.6B", that is in the Hugging Face cache.
    precision : "fp32" or "bf16".

    Raises
    ------
    ModelError
        If it is not on this machine (nothing is downloaded here), or is no causal language model.
    """
    if precision not in DTYPES:
        raise ValueError(f"The precision {precision!r} is none of {', '.join(DTYPES)}.")
    folder, name = _find(str(name_or_path))
    with LOCK:
        return _opened(folder, precision, name)


@cache
def _opened(folder: Path, precision: str, name: str) -> AnyModel:
    return AnyModel(folder, precision, name)


def _find(name: str) -> tuple[Path, str]:
    """Folder of a model, and what to call it."""
    repository = re.fullmatch(r"[\w.-]+/([\w.-]+)", name)
    if repository and not Path(name).is_dir():
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(name, "config.json")
        if not isinstance(config, str):
            raise ModelError(f"{name} is not on this machine yet. Fetch it once, with a network: hf download {name}")
        return Path(config).parent, repository[1]
    folder = models.find(name)
    return folder, name if name in models.available() else folder.name


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


@dataclass(frozen=True)
class Shape:
    """What `Config` says of a GPT-2, of any model.

    Attributes
    ----------
    n_kv_head : heads that keep keys and values; with grouped queries fewer than n_head.
    """

    vocab_size: int
    n_ctx: int
    n_embd: int
    n_layer: int
    n_head: int
    n_kv_head: int
    d_head: int


class AnyCache:
    """Keys and values read so far, in transformers' cache; the interface of `tokentrace.lm.KVCache`.

    Every layer keeps every position, one with a sliding window too, so that any guess can be taken back.
    """

    def __init__(self, batch_size: int, capacity: int):
        from transformers import DynamicCache

        if batch_size < 1:
            raise ValueError(f"A cache is for at least one text, not {batch_size}.")
        self.theirs = DynamicCache()
        self.batch_size, self.capacity = batch_size, capacity

    @property
    def length(self) -> int:
        """Positions in use."""
        return self.theirs.get_seq_length()

    def keys(self, layer: int) -> Tensor:
        """Keys of a layer [batch, n_kv_head, length, d_head]."""
        return self.theirs.layers[layer].keys

    def values(self, layer: int) -> Tensor:
        """Values of a layer [batch, n_kv_head, length, d_head]."""
        return self.theirs.layers[layer].values

    def truncate(self, n: int) -> None:
        """Forget all but the first n positions: what follows a rejected guess."""
        if not 0 <= n <= self.length:
            raise ValueError(f"The cache holds {self.length} positions, so it cannot be cut back to {n}.")
        if n < self.length:
            self.theirs.crop(n - self.length)

    @property
    def nbytes(self) -> int:
        """Bytes of the positions in use: 2 x layers x n_kv_head x d_head x positions x bytes of a number."""
        return sum(tensor.nbytes for layer in self.theirs.layers for tensor in (layer.keys, layer.values))

    allocated_nbytes = nbytes


class AnyModel:
    """A model of transformers ready to run; attributes as those of `tokentrace.lm.GPT2`."""

    def __init__(self, folder: str | Path, precision: str = "fp32", name: str | None = None):
        self.folder = Path(folder)
        self.name = name or self.folder.resolve().name
        self.precision, self.dtype = precision, DTYPES[precision]
        self.inner, self.tokenizer = self._open()
        self.n_parameters = sum(parameter.numel() for parameter in self.inner.parameters())
        self.config = self._measured()

    def _open(self) -> tuple[PreTrainedModel, AnyTokenizer]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        read_json(self.folder / "config.json")
        weight_files(self.folder)
        try:
            inner, report = AutoModelForCausalLM.from_pretrained(
                self.folder,
                dtype=self.dtype,
                attn_implementation="eager",  # the only kind that every model has, and that shows its weights
                local_files_only=True,
                use_safetensors=True,  # a .bin can run code
                ignore_mismatched_sizes=True,  # they are reported, as those that are missing
                output_loading_info=True,
            )
        except Exception as error:  # transformers raises nearly everything
            sentence = f"{self.folder} is no causal language model that transformers opens: {_first_line(error)}"
            raise ModelError(sentence) from None
        if missing := report["missing_keys"]:
            raise ModelError(f"The weights in {self.folder} lack the tensor {min(missing)}.")
        if other := report["mismatched_keys"]:
            raise ModelError(
                f"The tensor {min(other)[0]} in {self.folder} has another shape than config.json gives it."
            )
        try:
            return inner.eval(), AnyTokenizer(AutoTokenizer.from_pretrained(self.folder, local_files_only=True))
        except Exception as error:
            raise ModelError(f"The tokenizer in {self.folder} cannot be read: {_first_line(error)}") from None

    def _measured(self) -> Shape:
        """Let the model read three tokens and look: a config names these numbers in a dozen ways."""
        said = self.inner.config.get_text_config(decoder=True)
        kept, attention = AnyCache(1, 3), []
        try:
            logits = self._run(torch.tensor([[0, 1, 2]]), kept, attention=attention).logits
        except Exception as error:  # of a cache of another kind, for the most part
            raise ModelError(f"{self.name} cannot be used here: {_first_line(error)}") from None
        if any(weights.triu(1).any() for weights in attention):
            raise ModelError(f"{self.name} is no causal language model: it looks at what follows a token.")
        if kept.length != 3 or not attention:
            raise ModelError(f"{self.name} keeps no keys and values of what it has read, so it cannot be used here.")
        return Shape(
            vocab_size=logits.shape[-1],
            n_ctx=getattr(said, "max_position_embeddings", None) or UNLIMITED,
            n_embd=said.hidden_size,
            n_layer=len(kept.theirs.layers),
            n_head=attention[0].shape[1],
            n_kv_head=kept.keys(0).shape[1],
            d_head=kept.keys(0).shape[3],
        )

    @cached_property
    def fingerprint(self) -> str:
        """What tells these weights from others."""
        return fingerprint(self.folder)

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> AnyCache:
        """Make an empty cache with room for `capacity` positions, by default for the whole context."""
        capacity = self.config.n_ctx if capacity is None else capacity
        if not 1 <= capacity <= self.config.n_ctx:
            raise ValueError(f"A cache can hold 1 to {self.config.n_ctx} positions of this model, not {capacity}.")
        return AnyCache(batch_size, capacity)

    def forward(
        self,
        ids: Tensor | list[list[int]],
        cache: AnyCache | None = None,
        *,
        last_only: bool = False,
        hidden: list[Tensor] | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        """Read the next tokens of a text and score what may follow each of them; see `GPT2.forward`.

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
        if int(ids.min()) < 0 or int(ids.max()) >= self.config.vocab_size:
            raise ValueError(f"A token number lies outside the {self.config.vocab_size} of this model.")
        logits = self._run(ids, cache, last_only, hidden, attention).logits.float()
        return logits[:, -1:] if last_only else logits

    def _run(self, ids: Tensor, cache: AnyCache | None, last_only=False, hidden=None, attention=None):
        keep = {"logits_to_keep": 1} if last_only and self._can_keep_one else {}
        with torch.no_grad():
            found = self.inner(
                ids,
                past_key_values=cache and cache.theirs,
                use_cache=cache is not None,
                output_hidden_states=hidden is not None,
                output_attentions=attention is not None,
                **keep,
            )
        if hidden is not None:
            hidden += found.hidden_states
        if attention is not None:
            attention += [weights for weights in getattr(found, "attentions", None) or () if weights is not None]
        return found

    @cached_property
    def _can_keep_one(self) -> bool:
        return "logits_to_keep" in inspect.signature(self.inner.forward).parameters


class AnyTokenizer(Tokenizer):
    """A tokenizer of transformers with the interface of `tokentrace.tokenizer.Tokenizer`.

    A text opens as its model was taught: with the token for the beginning of a text, if the tokenizer
    sets one. It is there once, also when the text spells it out, and a token for the end is never added.
    """

    def __init__(self, theirs: PreTrainedTokenizerFast):
        super().__init__(theirs.backend_tokenizer)
        self.end_of_text = theirs.eos_token_id
        begin = [theirs.bos_token_id]
        self.opening = begin if self.inner.encode("a").ids[:1] == begin else []
        decoder = self.inner.decoder.__getstate__().decode() if self.inner.decoder else ""  # as tokenizer.json has it
        self.decoders = set(re.findall(r'"type":"(\w+)"', decoder))

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, with the opening token where the model wants one."""
        ids = self.inner.encode(text, add_special_tokens=False).ids
        return ids if ids[:1] == self.opening else self.opening + ids

    def token_bytes(self, id: int) -> bytes:
        """Give what one token adds to the text: perhaps only part of a character."""
        if id in self._added or "ByteLevel" in self.decoders:
            return super().token_bytes(id)
        token = self.inner.id_to_token(id) or ""
        if "ByteFallback" in self.decoders and (byte := BYTE.fullmatch(token)):
            return bytes.fromhex(byte[1])
        if self.decoders & {"Metaspace", "Replace"}:  # SentencePiece's: ▁ is a space
            return token.replace("▁", " ").encode()
        return self.inner.decode([id]).encode()
