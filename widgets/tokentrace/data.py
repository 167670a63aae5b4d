"""Where the project's data lie, and the runs recorded for the lessons: what a page shows before a model is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from tokentrace.trace import Trace

DATA = Path(os.environ.get("TOKENTRACE_DATA") or Path(__file__).resolve().parents[2] / "data")


def recorded(name: str) -> Trace:
    """Load `data/traces/<name>.json`."""
    return Trace.load(DATA / "traces" / f"{name}.json")
