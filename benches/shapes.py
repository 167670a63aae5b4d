"""GPT-2s of any shape with random weights: for speed and for equality, not for text."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import models

from tokentrace.tokenizer import END_OF_TEXT, byte_letters, byte_level

SHAPES = {
    "124M": {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024},
    "17M": {"n_layer": 8, "n_embd": 384, "n_head": 6, "vocab_size": 8192, "n_positions": 512},
}


def write_model(folder: Path, *, seed: int = 0, **config) -> Path:
    """Write a model folder as transformers writes one, with a byte-level tokenizer of as many tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**{"bos_token_id": 0, "eos_token_id": 0} | config))
    with torch.no_grad():
        for tensor in model.parameters():
            # Trained weights are larger than fresh ones, and no scale is 1 nor any bias 0.
            tensor.mul_(3).add_(torch.randn_like(tensor), alpha=0.02)
    model.save_pretrained(folder)
    write_tokenizer(folder, config["vocab_size"])
    return folder


def write_tokenizer(folder: Path, vocab_size: int) -> None:
    """End of text, the bytes, then made-up words, cut to size."""
    words = [END_OF_TEXT, *byte_letters(), *(f"Ġword{number}" for number in range(vocab_size))]
    vocabulary = {word: number for number, word in enumerate(words[:vocab_size])}
    byte_level(models.BPE(vocabulary, [])).save(str(folder / "tokenizer.json"))
