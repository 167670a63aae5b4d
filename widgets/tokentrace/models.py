"""The models there are: names, the folders they stand for, and one shared copy of each in a process."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from tokentrace.weights import ModelError, weight_files

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

LOCK = Lock()


def data_folder() -> Path:
    """Where the project's data lie: TOKENTRACE_DATA, else `data` in the checkout around this package."""
    return Path(os.environ.get("TOKENTRACE_DATA") or Path(__file__).resolve().parents[2] / "data")


def models_folder() -> Path:
    """Where the embedded models lie."""
    return data_folder() / "models"


def available() -> dict[str, Path]:
    """Names of the embedded models, and their folders."""
    return {config.parent.name: config.parent for config in sorted(models_folder().glob("*/config.json"))}


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a model, given by the name of an embedded one or by its path."""
    found = available()
    if str(name_or_path) in found:
        return found[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path.resolve()
    names = ", ".join(found) or f"none in {models_folder()}"
    raise ModelError(f"There is no model called {str(name_or_path)!r} here, nor such a folder. There is: {names}.")


def open_model(name_or_path: str | os.PathLike[str] = "storyteller", precision: str = "fp32") -> GPT2:
    """Open a GPT-2 by name or folder; asked twice, the same one is given twice.

    Parameters
    ----------
    name_or_path : an embedded model ("storyteller", "draft"), or a folder in Hugging Face's format.
    precision : "fp32", "bf16" or "int8".

    Raises
    ------
    ModelError
        If there is no such model, or it cannot be used; the message says why.
    """
    with LOCK:  # so that two players asking at once do not open it twice
        return _opened(find(name_or_path), precision)


@cache
def _opened(folder: Path, precision: str) -> GPT2:
    from tokentrace.lm import GPT2

    return GPT2(folder, precision)


def main() -> None:
    """Print the embedded models."""
    found = available()
    if not found:
        print(f"There is no model in {models_folder()}.")
    for name, folder in found.items():
        size = sum(file.stat().st_size for file in weight_files(folder)) / 1e6
        print(f"{name:<16} {size:8.1f} MB   {folder}")


if __name__ == "__main__":
    main()
