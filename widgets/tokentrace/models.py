"""The models there are: names, the folders they stand for, and one shared copy of each in a process."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from tokentrace import hub
from tokentrace.model_files import ModelError, check, weight_files

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

LOCK = Lock()


def data_folder() -> Path:
    """Where the project's data lie: TOKENTRACE_DATA, else `data` in the checkout around this package."""
    return Path(os.environ.get("TOKENTRACE_DATA") or Path(__file__).resolve().parents[2] / "data")


def models_folder() -> Path:
    """Where the embedded models lie."""
    return data_folder() / "models"


def embedded() -> dict[str, Path]:
    """Names of the models in the repository, and their folders."""
    return {config.parent.name: config.parent for config in sorted(models_folder().glob("*/config.json"))}


def available() -> dict[str, Path]:
    """Names of the models at hand and their folders: the embedded ones, then those fetched from the hub."""
    found = embedded()
    return found | {name: folder for name, folder in hub.cached().items() if name not in found}


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a model, given by its name or by its path.

    Raises
    ------
    ModelError
        If there is none; for one that can be fetched, the message holds the command.
    """
    found = available()
    name = str(name_or_path)
    if name in found:
        return found[name]
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path.resolve()
    if name in hub.MODELS:
        raise ModelError(f"{name} is not on this machine yet. Fetch it once, with a network: {hub.FETCH} {name}")
    names = ", ".join(found) or f"none in {models_folder()}"
    raise ModelError(f"There is no model called {name!r} here, nor such a folder. There is: {names}.")


def open_model(name_or_path: str | os.PathLike[str] = "storyteller", precision: str = "fp32") -> GPT2:
    """Open a GPT-2 by name or folder; asked twice, the same one is given twice.

    Parameters
    ----------
    name_or_path : an embedded model ("storyteller", "draft"), one fetched from the hub ("gpt2",
        "distilgpt2", "gpt2-medium", "gpt2-large"), or a folder in Hugging Face's format.
    precision : "fp32", "bf16" or "int8".

    Raises
    ------
    ModelError
        If there is no such model, or it cannot be used; the message says why. Nothing is downloaded here.
    """
    with LOCK:  # so that two players asking at once do not open it twice
        return _opened(find(name_or_path), precision)


@cache
def _opened(folder: Path, precision: str) -> GPT2:
    from tokentrace.lm import GPT2

    check(folder)
    return GPT2(folder, precision, name=next((name for name, at in hub.cached().items() if at == folder), None))


def table() -> str:
    """Every model that has a name: its size, and where it lies or how to get it."""
    here = available()
    rows = []
    for name in here | hub.MODELS:
        if name in here:
            size = sum(file.stat().st_size for file in weight_files(here[name])) / 1e6
            rows.append(f"{name:<12} {size:8.1f} MB   {here[name]}")
        else:
            rows.append(f"{name:<12} {hub.MODELS[name].megabytes:8} MB   not here: {hub.FETCH} {name}")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """List the models, or fetch some: `python -m tokentrace.models [fetch NAME ...]`."""
    parser = argparse.ArgumentParser(prog="python -m tokentrace.models", description="List the models.")
    commands = parser.add_subparsers(dest="command")
    fetching = commands.add_parser("fetch", help="download models from the Hugging Face hub")
    fetching.add_argument("names", nargs="+", metavar="NAME", help=", ".join(hub.MODELS))
    given = parser.parse_args(arguments)
    try:
        for name in given.names if given.command else ():
            print(f"{name}: {hub.fetch(name)}")
        print(table() if not given.command else "Ready: every page opened from now on offers them.")
    except (ModelError, KeyboardInterrupt) as error:
        sys.exit(str(error) or f"Stopped. What has come is kept; {hub.FETCH} goes on.")


if __name__ == "__main__":
    main()
