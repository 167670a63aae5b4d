"""Measure, print the tables, and write `build/bench.json`; about a quarter of an hour on two quiet cores."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

import torch

import tokentrace
from benches import caching, decoding, recovering, speculating, starting
from benches.shapes import SHAPES, write_model
from tokentrace.models import find, open_model

BUILD = Path(__file__).parents[1] / "build"
NEW_TOKENS = {"17M": 128, "124M": 48, "speculation": 48}
PARTS = ("17M", "124M", "start", "speculation", "cache", "recovery")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of every contestant (15)")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    wanted = parser.parse_args()
    parts = {wanted.only} if wanted.only else set(PARTS)
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
        if not parts & {size, "start"}:
            continue
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
    if "speculation" in parts:
        n = NEW_TOKENS["speculation"]
        found["speculation"] = speculating.measure(open_model(), open_model("draft"), n, wanted.rounds)
        for way, rows in found["speculation"].items():
            print(f"\nStoryteller with its draft, {way}, {n} tokens after each of 6 prompts; median (quartiles)")
            print(f"{'':<18}{'tokens a second':>28}{'x target alone':>24}")
            for name, row in rows.items():
                print(f"{name:<18}{row['rate']!s:>28}{row['speed']!s:>24}")
    if "cache" in parts:
        model = open_model()
        found["cache"] = rows = caching.measure(model, wanted.rounds)
        print("\nStoryteller with a cache and without, ms a token; median (quartiles)")
        print(f"{'':<18}{'with':>28}{'without':>28}{'x with the cache':>28}")
        for name, row in rows.items():
            print(f"{name:<18}{row['cached']!s:>28}{row['uncached']!s:>28}{row['times']!s:>28}")
        found["cache saves"] = rows = caching.saved(model, wanted.rounds)
        print("\nWhat the cache saves in one pass, ms; median (quartiles)")
        print(f"{'':<10}" + "".join(f"{name:>26}" for name in caching.PARTS.values()))
        for name, row in rows.items():
            print(f"{name:<10}" + "".join(f"{row[part]!s:>26}" for part in caching.PARTS))
    if "recovery" in parts:
        found["recovery"] = rows = recovering.compare(open_model(), max(5, wanted.rounds // 3))
        whole = rows.pop("whole")
        for protocol, ways in rows.items():
            print(f"\nRecovery from three kinds of error, protocol “{protocol}”; median (quartiles)")
            print(f"{'':<18}{'prefixes a second':>28}{'x one by one':>24}")
            for name, row in ways.items():
                print(f"{name:<18}{row['rate']!s:>28}{row['speed']!s:>24}")
        print(", ".join(f"{name} {value}" for name, value in whole.items()))
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
