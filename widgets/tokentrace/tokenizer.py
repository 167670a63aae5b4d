"""Text to token numbers and back, and the bytes that each token stands for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from tokentrace.model_files import ModelError

END_OF_TEXT = "<|endoftext|>"


class Tokenizer:
    """A byte-level BPE: `tokenizer.json`, or GPT-2's own `vocab.json` and `merges.txt`.

    Attributes
    ----------
    vocab_size : how many tokens there are; a model may have a few more rows than that.
    end_of_text : number of `<|endoftext|>`, or None where there is no such token.
    """

    def __init__(self, inner: tokenizers.Tokenizer):
        inner.no_truncation()
        inner.no_padding()
        self.inner = inner
        self.vocab_size = inner.get_vocab_size()
        self.end_of_text = inner.token_to_id(END_OF_TEXT)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Open the tokenizer of a model folder; ModelError when there is none or it is damaged."""
        folder = Path(folder)
        single, vocabulary, merges = (folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
        try:
            if single.is_file():
                return cls(tokenizers.Tokenizer.from_file(str(single)))
            if vocabulary.is_file() and merges.is_file():
                return cls(byte_level(models.BPE.from_file(str(vocabulary), str(merges))))
        except Exception as error:  # the Rust library raises nothing narrower
            raise ModelError(f"The tokenizer in {folder} cannot be read: {error}.") from None
        raise ModelError(f"There is no tokenizer.json in {folder}, nor vocab.json with merges.txt.")

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text."""
        return self.inner.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token numbers; bytes that are no valid UTF-8 together become U+FFFD."""
        return self.inner.decode(list(ids), skip_special_tokens=False)

    def token_bytes(self, id: int) -> bytes:
        """Give what one token adds to the text: perhaps only part of a character.

        Special tokens give their text as UTF-8; a number without a token gives nothing.
        """
        if id in self._added:
            return self._added[id].encode()
        token = self.inner.id_to_token(id) or ""
        return b"".join(BYTE_OF.get(character) or character.encode() for character in token)

    @cached_property
    def _added(self) -> dict[int, str]:
        return {id: token.content for id, token in self.inner.get_added_tokens_decoder().items()}


def byte_level(bpe: models.BPE) -> tokenizers.Tokenizer:
    """GPT-2's tokenizer around a vocabulary: its way to split words, and its end-of-text token."""
    inner = tokenizers.Tokenizer(bpe)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if inner.token_to_id(END_OF_TEXT) is not None:
        inner.add_special_tokens([END_OF_TEXT])
    return inner


def byte_letters() -> dict[str, bytes]:
    """GPT-2's alphabet: every byte as one visible character (`bytes_to_unicode` of its encoder.py).

    Printable Latin-1 stands for itself; the other 68 bytes follow from U+0100 on: a space is "Ġ".
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {chr(byte): bytes([byte]) for byte in visible}
    return letters | {chr(0x100 + place): bytes([byte]) for place, byte in enumerate(hidden)}


BYTE_OF = byte_letters()
