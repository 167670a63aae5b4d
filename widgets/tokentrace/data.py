"""The runs recorded for the lessons: what a page shows before any model is loaded."""

from __future__ import annotations

from tokentrace.models import data_folder
from tokentrace.trace import Trace


def recorded(name: str) -> Trace:
    """Load `data/traces/<name>.json`."""
    return Trace.load(data_folder() / "traces" / f"{name}.json")
