"""Turn the corpus into what training reads: a byte-level BPE tokenizer and files of token ids.

    python data/storyteller/prepare.py --vocabulary 8192

Writes `ids-8192/` in the cache folder: tokenizer.json, train.bin and valid.bin (uint16), facts.json.
"""

import argparse
import json
import lzma
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
BOOK_BREAK = "\n\0\n"
RECIPE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """Folder for everything that stays out of git: corpus, token ids, checkpoints, logs."""
    return Path(os.environ.get("TOKENTRACE_CACHE", Path.home() / ".cache" / "tokentrace")) / "storyteller"


def corpus_folder(given: Path | None = None) -> Path:
    """Find the folder that holds `train.txt.xz` and `valid.txt.xz`.

    Raises
    ------
    SystemExit
        With the command that builds the corpus, when there is none.
    """
    places = [given] if given else [cache_folder() / "corpus", RECIPE.parents[2] / "shared" / "corpus"]
    for place in places:
        if (place / "train.txt.xz").is_file() and (place / "valid.txt.xz").is_file():
            return place
    looked = " or ".join(str(place) for place in places)
    raise SystemExit(
        f"No corpus in {looked}. With a network, build it first: python {Path(__file__).with_name('books.py')}"
    )


def read_books(path: Path) -> list[str]:
    """Unpack a corpus file into its books, each a string with one paragraph a line."""
    return lzma.decompress(path.read_bytes()).decode("utf-8").strip("\n").split(BOOK_BREAK)


def train_tokenizer(books: list[str], vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE of `vocabulary` entries; id 0 is the end-of-text token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_paragraphs(books), trainer)
    return tokenizer


def _paragraphs(books: list[str]) -> Iterator[str]:
    for book in books:
        yield from book.splitlines(keepends=True)


def encode(tokenizer: Tokenizer, books: list[str]) -> np.ndarray:
    """Token ids of the books one after another, each opened by the end-of-text token: uint16 [tokens]."""
    ids: list[int] = []
    for book in books:
        ids.append(0)
        lines = book.splitlines(keepends=True)
        # No piece of GPT-2's pattern spans a newline and the word after it, so slices of whole
        # paragraphs give the same ids as the book at once, and batches of them use every core.
        slices = ["".join(lines[start : start + 500]) for start in range(0, len(lines), 500)]
        for piece in tokenizer.encode_batch(slices):
            ids += piece.ids
        ids += tokenizer.encode("\n").ids
    return np.array(ids, dtype=np.uint16)


def whole_words(tokenizer: Tokenizer, books: list[str]) -> float:
    """Share of the running words in a text that are one token (with the space before them)."""
    words = [word for book in books for word in re.findall(r" [A-Za-z]+", book)]
    return sum(len(piece.ids) == 1 for piece in tokenizer.encode_batch(words)) / len(words)


def prepare(corpus: Path, folder: Path, vocabulary: int) -> dict:
    """Write the tokenizer and the ids of both texts to `folder`; returns the facts it also saves there."""
    folder.mkdir(parents=True, exist_ok=True)
    train, valid = (read_books(corpus / f"{name}.txt.xz") for name in ("train", "valid"))
    tokenizer = train_tokenizer(train, vocabulary)
    facts: dict = {"vocabulary": tokenizer.get_vocab_size(), "whole_words": whole_words(tokenizer, valid)}
    for name, books in (("train", train), ("valid", valid)):
        ids = encode(tokenizer, books)
        ids.tofile(folder / f"{name}.bin")
        # Counted in what the ids stand for, end-of-text tokens aside: bits a byte must not depend on markers.
        facts[name] = {"books": len(books), "tokens": len(ids), "bytes": sum(len(b.encode()) + 1 for b in books)}
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="folder with train.txt.xz and valid.txt.xz")
    parser.add_argument("--vocabulary", type=int, default=8192, help="entries of the tokenizer (at most 65,536)")
    given = parser.parse_args()
    folder = cache_folder() / f"ids-{given.vocabulary}"
    facts = prepare(corpus_folder(given.corpus), folder, given.vocabulary)
    per_token = facts["valid"]["bytes"] / facts["valid"]["tokens"]
    print(f"{folder}: {facts['train']['tokens']:,} tokens to train on, {facts['valid']['tokens']:,} held out")
    print(f"{per_token:.2f} bytes a token, {facts['whole_words']:.1%} of the held-out words are one token")


if __name__ == "__main__":
    main()
