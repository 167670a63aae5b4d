"""What every measurement says of itself: the model, the machine, and the middle of its repeats."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

# How far a measurement is, of how many steps, and its record so far: whoever runs it can show that, and stop.
Progress = Iterator[tuple[int, int, dict[str, Any]]]


def middle(values: list[float]) -> tuple[float, float, float]:
    """Least, median and most of a few repeats."""
    return min(values), statistics.median(values), max(values)


def heading(model: GPT2, prompt: str) -> dict[str, Any]:
    """What every record says first: which model, when, and on what machine."""
    return {
        "model": model.name,
        "n_parameters": model.n_parameters,
        "fingerprint": model.fingerprint,
        "n_ctx": model.config.n_ctx,
        "prompt": prompt,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """The processor's name, how many cores there are, and how many of them torch uses."""
    import torch  # only whoever measures needs it: a page that shows a record does not

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"processor": name, "cores": os.cpu_count() or 1, "threads": torch.get_num_threads()}


def say_machine(record: dict[str, Any]) -> str:
    """Where a record was made, in words."""
    of = record["machine"]
    threads = f"{of['threads']} thread{'s' if of['threads'] > 1 else ''}"
    return f"{record['model']} on {of['processor']}, {threads}"
