"""Interactive notebooks that show how a language model writes, one token at a time."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Threads that wait by spinning take the processor from the ones they wait for: on a busy machine a token
# then takes ten times as long. Read when torch is first imported, so it is said here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Loaded when first asked for (PEP 562), so that `import tokentrace` costs nothing.
PUBLIC = {
    "Trace": "tokentrace.trace",
    "branch": "tokentrace.generation_loop",
    "draw": "tokentrace.sampling",
    "entropy": "tokentrace.sampling",
    "filter_logits": "tokentrace.sampling",
    "generate": "tokentrace.generation_loop",
    "load": "tokentrace.models:open_model",
    "recorded": "tokentrace.data",
    "stream": "tokentrace.generation_loop",
}
__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, other_name = PUBLIC[name].partition(":")
    return getattr(import_module(module), other_name or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
