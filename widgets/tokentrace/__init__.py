"""Interactive notebooks that show how a language model writes, one token at a time."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Read when torch is first imported and first used, so they are said here; what the user has set stays.
# A thread that waits for the other core spins for some microseconds, then sleeps. Spinning on, as is the
# default, makes a token take ten to a hundred times as long on a busy machine; sleeping at once, half as
# long again on a quiet one.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# Weights in pages of 2 MB instead of 4 kB: a token of a 124M model then takes a tenth less time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Loaded when first asked for (PEP 562), so that `import tokentrace` costs nothing.
PUBLIC = {
    "Trace": "tokentrace.trace",
    "branch": "tokentrace.generation_loop",
    "draw": "tokentrace.sampling",
    "entropy": "tokentrace.sampling",
    "filter_logits": "tokentrace.sampling",
    "generate": "tokentrace.generation_loop",
    "load": "tokentrace.models:open_model",
    "load_any": "tokentrace.any_model",
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
