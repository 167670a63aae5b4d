"""The runs recorded for the lessons: what a page shows before any model is loaded."""

from __future__ import annotations

from typing import Any

from tokentrace import plain_data
from tokentrace.beams import Beams
from tokentrace.models import data_folder
from tokentrace.trace import Trace


def recorded(name: str) -> Trace:
    """Load `data/traces/<name>.json`."""
    return Trace.load(data_folder() / "traces" / f"{name}.json")


def searched(name: str) -> Beams:
    """Load the beam search in `data/traces/<name>.json`."""
    return Beams.load(data_folder() / "traces" / f"{name}.json")


def measured(name: str) -> dict[str, Any]:
    """Load the measurement in `data/traces/<name>.json`."""
    return plain_data.load(data_folder() / "traces" / f"{name}.json", lambda data: plain_data.mapping(name, data))
