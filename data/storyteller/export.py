"""Write a run's last checkpoint as a Hugging Face folder: fp16 safetensors, config and tokenizer.

    python data/storyteller/export.py storyteller data/models/storyteller

Tests and pages load it from there; the checkpoint stays where it is. `training.json` says how long it was trained,
and lets train.py go on from the exported model where the checkpoint is lost.
"""

import argparse
import json
from pathlib import Path

import torch
from prepare import END_OF_TEXT, cache_folder
from train import new_model, newest_checkpoint
from transformers import PreTrainedTokenizerFast

from tokentrace.model_files import CHECKSUMS, sha256


def export(run: str, folder: Path) -> None:
    """Write run `run` to `folder`, for `GPT2LMHeadModel.from_pretrained` and `AutoTokenizer`."""
    saved = newest_checkpoint(cache_folder() / "runs" / run)
    if saved is None:
        raise SystemExit(f"Run {run} has no checkpoint yet.")
    model = new_model(**saved["shape"])
    model.load_state_dict(saved["model"])
    model.config.activation_function = "gelu_new"  # GPT-2's own name for what it was trained with
    model.config.use_cache = True
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # it is written for its owner alone
    record = {name: saved[name] for name in ("optimizer", "rate", "tokens", "seconds", "windows")}
    (folder / "training.json").write_text(json.dumps(record | {"seconds": round(saved["seconds"])}, indent=1) + "\n")
    PreTrainedTokenizerFast(
        tokenizer_file=str(cache_folder() / f"ids-{saved['shape']['vocabulary']}" / "tokenizer.json"),
        bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, unk_token=END_OF_TEXT,
        model_max_length=saved["shape"]["context"],
    ).save_pretrained(folder)  # fmt: skip
    list_checksums(folder)


def list_checksums(folder: Path) -> None:
    """Put the files of a model into the SHA256SUMS beside its folder, which is checked when it is opened."""
    sums = folder.parent / CHECKSUMS
    listed = sums.read_text("ascii").splitlines() if sums.is_file() else []
    lines = [line for line in listed if not line.split(maxsplit=1)[1].startswith(f"{folder.name}/")]
    files = [file for file in folder.iterdir() if file.suffix in (".json", ".safetensors")]
    lines += [f"{sha256(file)}  {folder.name}/{file.name}" for file in files]
    sums.write_text("\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n", "ascii")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name given to train.py")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    export(given.run, given.folder)
    size = sum(path.stat().st_size for path in given.folder.iterdir())
    print(f"{given.folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
