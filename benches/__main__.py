"""Measure, print the tables, and write `build/bench.json`; about ten minutes on two quiet cores."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

import torch

import tokentrace
from benches import decoding, starting
from benches.shapes import SHAPES, write_model
from tokentrace.models import find

BUILD = Path(__file__).parents[1] / "build"
NEW_TOKENS = {"17M": 128, "124M": 48}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of every contestant (15)")
    parser.add_argument("--only", choices=["17M", "124M", "start"], help="one part of it")
    wanted = parser.parse_args()
    parts = {wanted.only} if wanted.only else {"17M", "124M", "start"}
    machine = {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "tokentrace": tokentrace.__version__,
        "load": os.getloadavg()[0],
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    found = {"machine": machine}
    for size in ("17M", "124M"):
        folder = BUILD / "models" / size
        if not (folder / "model.safetensors").is_file():
            write_model(folder, **SHAPES[size])
        if size in parts:
            found[size] = rows = decoding.measure(folder, NEW_TOKENS[size], wanted.rounds)
            print(f"\nGPT-2 of {size}, random weights: 32 tokens read, {NEW_TOKENS[size]} written; median (quartiles)")
            print(f"{'':<18}{'ms a token':>24}{'x transformers':>24}{'% for recording':>24}")
            for name, row in rows.items():
                print(f"{name:<18}{row['ms']!s:>24}{row['speed']!s:>24}{row.get('cost', '')!s:>24}")
    if "start" in parts:
        for name, folder in {"storyteller": find("storyteller"), "124M": BUILD / "models" / "124M"}.items():
            found[f"start {name}"] = rows = starting.measure(folder, max(5, wanted.rounds // 2))
            print(f"\nProcess start to first token, {name}, seconds; median (quartiles)")
            for label, row in rows.items():
                print(f"{label:<18}{row!s:>24}")
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
