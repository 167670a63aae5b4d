"""Measure models on the held-out books: loss, perplexity, bits a byte, and how well a draft foresees its target.

    python data/storyteller/evaluate.py [FOLDER ...] [--drafts FOLDER ...]

Without folders: the pair in data/models, what was exported to `models/` in the cache folder, and the pilot pair
where it is at hand. Prints Markdown tables.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from prepare import RECIPE, cache_folder, corpus_folder, encode, read_books
from samples import continuations
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel
from transformers.utils import logging

MODELS = RECIPE.parent / "models"
PILOT = RECIPE.parents[2] / "shared" / "pilot-model"


def scored_windows(ids: torch.Tensor, context: int, stride: int) -> Iterator[tuple[torch.Tensor, int]]:
    """Windows that score every token of a text but its first once: (window [<= context + 1], first scored place).

    Every token has at least `context - stride` tokens of its book before it, as far as the book has them.
    """
    scored = 1
    while scored < len(ids):
        end = min(len(ids), max(scored + stride, context + 1))
        start = max(0, end - context - 1)
        yield ids[start:end], scored - start
        scored = end


class Agreement:
    """Running means, over positions, of what a target and a draft say about the next token."""

    def __init__(self):
        self.accepted, self.same, self.positions = 0.0, 0, 0

    def add(self, target: torch.Tensor, draft: torch.Tensor) -> None:
        """Count positions, from both models' logits [positions, vocabulary]."""
        overlap = torch.minimum(target.softmax(dim=-1), draft.softmax(dim=-1)).sum(dim=-1)
        self.accepted += overlap.double().sum().item()
        self.same += (target.argmax(dim=-1) == draft.argmax(dim=-1)).sum().item()
        self.positions += len(target)

    @property
    def acceptance(self) -> float:
        """Chance that speculative sampling at temperature 1 keeps a proposal: mean of sum min(p, q).

        Leviathan, Kalman & Matias 2023, theorem 3.5 and corollary 3.6.
        """
        return self.accepted / self.positions

    @property
    def greedy_match(self) -> float:
        """Share of positions where both find the same token most probable."""
        return self.same / self.positions


def open_folder(folder: Path) -> GPT2LMHeadModel:
    """Open an exported model in single precision."""
    return GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def held_out(folder: Path, draft_folders: list[Path], books: list[str], stride: int):
    """Go over the held-out books once: (loss in nats per token, bits per byte, [Agreement per draft])."""
    model, drafts = open_folder(folder), [open_folder(draft) for draft in draft_folders]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    agreements = [Agreement() for _ in drafts]
    nats, tokens = 0.0, 0
    for book in books:
        ids = torch.from_numpy(encode(tokenizer, [book]).astype("int64"))
        for window, first in scored_windows(ids, model.config.n_positions, stride):
            logits = model(window[None, :-1]).logits[0, first - 1 :]
            nats += torch.nn.functional.cross_entropy(logits, window[first:], reduction="sum").double().item()
            tokens += len(logits)
            for draft, agreement in zip(drafts, agreements, strict=True):
                agreement.add(logits, draft(window[None, :-1]).logits[0, first - 1 :])
    n_bytes = sum(len(book.encode("utf-8")) + 1 for book in books)
    return nats / tokens, nats / math.log(2) / n_bytes, agreements


@torch.no_grad()
def own_samples(folder: Path, draft_folders: list[Path], books: list[str], count: int, length: int) -> list[Agreement]:
    """Agreement on what the target itself writes, at temperature 1, after openings from the held-out books."""
    torch.manual_seed(0)
    model = open_folder(folder)
    ids = torch.from_numpy(encode(Tokenizer.from_file(str(folder / "tokenizer.json")), books).astype("int64"))
    opening = min(32, model.config.n_positions // 4)
    length = min(length, model.config.n_positions - opening)
    starts = torch.linspace(0, len(ids) - opening, count).long()
    prompts = torch.stack([ids[start : start + opening] for start in starts])
    agreements = [Agreement() for _ in draft_folders]
    drafts = [open_folder(draft) for draft in draft_folders]
    for batch in prompts.split(32):
        written = continuations(model, batch, length)[:, :-1]
        target = model(written).logits[:, opening - 1 :].flatten(0, 1)
        for draft, agreement in zip(drafts, agreements, strict=True):
            agreement.add(target, draft(written).logits[:, opening - 1 :].flatten(0, 1))
    return agreements


def usual() -> tuple[list[Path], list[Path]]:
    """Folders to measure when none are given: the target and others, and the drafts that share its tokens."""
    target = MODELS / "storyteller"
    tokens = vocabulary(target)
    models, drafts = [target], [MODELS / "draft"]
    for config in sorted([*cache_folder().glob("models/*/config.json"), *PILOT.glob("*/config.json")]):
        small = config.parent.name.startswith(("draft", "distilled"))
        (drafts if small and vocabulary(config.parent) == tokens else models).append(config.parent)
    return models, drafts


def vocabulary(folder: Path) -> dict[str, int]:
    """Tokens of an exported model, and their numbers."""
    return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()


def name(folder: Path) -> str:
    """Last two parts of a folder's path: enough to tell models of one name apart."""
    return "/".join(folder.resolve().parts[-2:])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, help="exported folders; the first is the drafts' target")
    parser.add_argument("--drafts", nargs="*", type=Path, default=[], help="exported folders of draft models")
    parser.add_argument("--corpus", type=Path, help="folder with valid.txt.xz")
    parser.add_argument("--stride", type=int, default=256, help="tokens scored per window (default 256)")
    parser.add_argument("--samples", type=int, default=128, help="continuations to compare on (default 128)")
    parser.add_argument("--length", type=int, default=128, help="tokens in each (default 128)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(given.threads)
    models, drafts = given.models, given.drafts
    if not models:
        models, drafts = usual()
    books = read_books(corpus_folder(given.corpus) / "valid.txt.xz")

    print("| model | parameters | held-out loss (nats per token) | perplexity | bits a byte |\n|---|---|---|---|---|")
    target_agreements = []
    for place, folder in enumerate([*models, *drafts]):
        loss, bits, agreements = held_out(folder, drafts if place == 0 else [], books, given.stride)
        size = open_folder(folder).num_parameters()
        print(f"| {name(folder)} | {size / 1e6:.2f}M | {loss:.4f} | {math.exp(loss):.2f} | {bits:.4f} |", flush=True)
        target_agreements = target_agreements or agreements
    if drafts:
        on_samples = own_samples(models[0], drafts, books, given.samples, given.length)
        print(f"\n| draft of {name(models[0])} | text | acceptance at T = 1 | same greedy token |\n|---|---|---|---|")
        for draft, *measured in zip(drafts, target_agreements, on_samples, strict=True):
            for text, found in zip(("held out", "the target's own"), measured, strict=True):
                print(f"| {name(draft)} | {text} | {found.acceptance:.3f} | {found.greedy_match:.3f} |")


if __name__ == "__main__":
    main()
