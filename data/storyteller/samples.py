"""Let a model write on, at temperature 1: text to distil its draft on.

    python data/storyteller/samples.py FOLDER --windows 2000

Writes `samples-NAME.bin` beside the token ids, for `train.py --text train samples-NAME`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from batches import Batches, read_ids
from prepare import cache_folder
from transformers import GPT2LMHeadModel


@torch.no_grad()
def continuations(model: GPT2LMHeadModel, prompts: torch.Tensor, length: int) -> torch.Tensor:
    """Draw `length` tokens after each prompt from the whole distribution: int64 [batch, prompt + length]."""
    ids, step, cache = prompts, prompts, None
    for _ in range(length):
        output = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        step = torch.multinomial(output.logits[:, -1].float().softmax(dim=-1), 1)
        ids = torch.cat([ids, step], dim=1)
    return ids


def main() -> None:
    """Read the command line and write the samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported folder")
    parser.add_argument("--windows", type=int, default=2000, help="full contexts to write (default 2000)")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of the training text that open each")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    model = GPT2LMHeadModel.from_pretrained(given.model, dtype=torch.float32).eval()
    ids = cache_folder() / f"ids-{model.config.vocab_size}"
    prompts = Batches(read_ids(ids / "train.bin"), given.prompt, given.batch, seed=given.seed + 1)
    path = ids / f"samples-{given.model.name}.bin"
    with path.with_suffix(".part").open("wb") as file:
        for done in range(0, given.windows, given.batch):
            opening = prompts.next()[:, : given.prompt]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                written = continuations(model, opening, model.config.n_positions - given.prompt)
            file.write(written.numpy().astype(np.uint16).tobytes())
            print(f"{min(done + given.batch, given.windows):,} of {given.windows:,} windows", flush=True)
    path.with_suffix(".part").replace(path)
    print(path)


if __name__ == "__main__":
    main()
