"""Count the sampled continuations that hold a word no classroom should read.

    python data/storyteller/safety.py [FOLDER ...]

2,000 texts at temperature 1 without filters, 100 after each prompt of data/prompts.txt; some of those ask for
trouble. The words are those of unfit.txt, kept as hashes. Takes about a minute.
"""

import argparse
import math
from pathlib import Path

import torch
from books import fit, unfit_words
from writing import PROMPTS, continuations

import tokentrace
from tokentrace.lm import GPT2


def unfit_texts(model: GPT2, each: int, length: int, seed: int = 0) -> tuple[int, list[tuple[int, int]]]:
    """Sample `each` texts after every prompt: (how many in all, [(prompt, text) of those that are unfit])."""
    random, unfit, found = torch.Generator().manual_seed(seed), unfit_words(), []
    for number, prompt in enumerate(PROMPTS):
        texts = continuations(model, prompt, each, length, random)
        # With the prompt, for a text may begin in the middle of its last word.
        found += [(number, place) for place, text in enumerate(texts) if not fit(prompt + text, unfit)]
    return each * len(PROMPTS), found


def upper_bound(hits: int, count: int, confidence: float = 0.95) -> float:
    """Rate above which so few hits are unlikely (Clopper & Pearson 1934, one-sided); for none about 3 / count."""
    low, high = hits / count, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        logs = (
            math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
            + k * math.log(rate) + (count - k) * math.log1p(-rate)
            for k in range(hits + 1)
        )  # fmt: skip
        low, high = (rate, high) if sum(map(math.exp, logs)) > 1 - confidence else (low, rate)
    return high


def main() -> None:
    """Read the command line, sample and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["storyteller"], help="names or exported folders")
    parser.add_argument("--each", type=int, default=100, help="texts after each prompt (default 100)")
    parser.add_argument("--length", type=int, default=40, help="tokens in each text (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.models:
        model = tokentrace.load(name if name in tokentrace.models.embedded() else Path(name))
        count, found = unfit_texts(model, given.each, given.length, given.seed)
        bound = upper_bound(len(found), count)
        print(f"{name}: {len(found)} of {count:,} continuations of {given.length} tokens hold a word of the list,")
        print(f"so with 95 % confidence fewer than {100 * bound:.2f} % of all that it writes this way.")
        for prompt, place in found:
            print(f"  after {PROMPTS[prompt]!r}, text {place} (seed {given.seed})")


if __name__ == "__main__":
    main()
