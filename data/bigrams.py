"""Count which token follows which in the storyteller's training text: python data/bigrams.py.

Reads the token ids that `storyteller/prepare.py` left in the cache folder and writes `bigrams.npz` beside this file.
The counts are statistics of the text; the text itself is not kept.
"""

import os
from pathlib import Path

import numpy as np

from tokentrace.bigram import fingerprint
from tokentrace.tokenizer import Tokenizer

HERE = Path(__file__).resolve().parent
LEAST = 5  # pairs that came fewer times are left out, so that the file stays small


def ids_folder() -> Path:
    """Where the token ids lie; SystemExit with the command that makes them when they do not."""
    cache = Path(os.environ.get("TOKENTRACE_CACHE", Path.home() / ".cache" / "tokentrace"))
    folder = cache / "storyteller" / "ids-8192"
    if not (folder / "train.bin").is_file():
        raise SystemExit(f"No token ids in {folder}: run data/storyteller/prepare.py --vocabulary 8192 first.")
    return folder


def count(ids: np.ndarray, vocab: int, least: int) -> dict[str, np.ndarray]:
    """Columns of the table, from token ids [n]: see `tokentrace.bigram.Bigram`."""
    pairs, counts = np.unique(ids[:-1].astype(np.int64) * vocab + ids[1:], return_counts=True)
    kept = counts >= least
    before, after = np.divmod(pairs[kept], vocab)
    sizes = np.bincount(before, minlength=vocab)
    steps = np.diff(after, prepend=0)
    firsts = np.concatenate([[0], sizes.cumsum()])[:-1][sizes > 0]
    steps[firsts] = after[firsts]
    return {
        "sizes": sizes.astype(np.uint16),
        "steps": steps.astype(np.uint16),
        "counts": counts[kept].astype(np.uint32),
        "singles": np.bincount(ids, minlength=vocab).astype(np.uint32),
    }


def main() -> None:
    """Write the table."""
    folder = ids_folder()
    tokenizer = Tokenizer.from_folder(folder)
    ids = np.fromfile(folder / "train.bin", dtype=np.uint16)
    table = count(ids, tokenizer.vocab_size, LEAST)
    np.savez_compressed(HERE / "bigrams.npz", vocabulary=fingerprint(tokenizer), **table)
    size = (HERE / "bigrams.npz").stat().st_size
    print(f"{len(ids):,} tokens, {len(table['steps']):,} pairs that came {LEAST} times or more, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
