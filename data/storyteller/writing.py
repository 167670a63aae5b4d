"""Let an exported model write: ten continuations for its card, none picked.

    python data/storyteller/writing.py [FOLDER]

The first ten prompts of data/prompts.txt, seeds 1 to 10, temperature 1 and no filters: whatever comes, comes.
Prints Markdown.
"""

import argparse
from pathlib import Path

import torch
from prepare import RECIPE

import tokentrace
from tokentrace.lm import GPT2

PROMPTS = (RECIPE.parent / "prompts.txt").read_text("utf-8").splitlines()


def continuations(model: GPT2, prompt: str, count: int, length: int, random: torch.Generator) -> list[str]:
    """Draw `count` texts of up to `length` tokens after one prompt, side by side, at temperature 1."""
    tokens, end = model.tokenizer.encode(prompt), model.tokenizer.end_of_text
    cache = model.new_cache(batch_size=count, capacity=len(tokens) + length)
    step, columns = torch.tensor([tokens] * count), []
    for _ in range(length):
        mass = model.forward(step, cache, last_only=True)[:, -1].softmax(-1).cumsum(-1)
        drawn = torch.rand(count, 1, generator=random) * mass[:, -1:]  # ten times as fast as multinomial
        step = torch.searchsorted(mass, drawn, right=True)
        columns.append(step)
    rows = torch.cat(columns, 1).tolist()
    return [model.tokenizer.decode(row[: row.index(end)] if end in row else row) for row in rows]


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="storyteller", help="name or exported folder")
    parser.add_argument("--length", type=int, default=60, help="tokens in each (default 60)")
    given = parser.parse_args()
    model = tokentrace.load(given.model if given.model in tokentrace.models.embedded() else Path(given.model))
    for seed, prompt in enumerate(PROMPTS[:10], start=1):
        written = tokentrace.generate(model, prompt, seed=seed, max_new_tokens=given.length).text
        print(f"{seed}. **{prompt}**{' '.join(written.split(chr(10)))}\n")


if __name__ == "__main__":
    main()
