"""Who learns here, so that questions differ between neighbours and stay the same after a reload."""

from __future__ import annotations

import hashlib
import os
import platform
import random
from collections.abc import Iterable
from getpass import getuser
from typing import Any
from urllib.parse import parse_qs

_named = ""


def student(name: str | None = None) -> str:
    """Return who answers here, or say it: `student("Ann")` holds while the kernel lives.

    The first of: the name said; the environment variable TOKENTRACE_STUDENT; `?student=…` in the address of
    a page; JUPYTERHUB_USER; else "guest-" and a number that stays the same for this user of this machine.
    Nothing is written to disk. A Voila server without accounts has one guest only: hand out links with
    `?student=…`. Said in a cell, the name travels with the notebook, also to a teacher who runs it again.
    """
    global _named
    if name is not None:
        _named = clean(name)
    link = parse_qs(os.environ.get("QUERY_STRING", "")).get("student", [""])[0]
    for known in (_named, os.environ.get("TOKENTRACE_STUDENT"), link, os.environ.get("JUPYTERHUB_USER")):
        if known and (known := clean(known)):
            return known
    return f"guest-{_digest(f'{_user()}@{platform.node()}')[:6]}"


def seed() -> int:
    """Return the student's number, below 2**32; it stands in the score file."""
    return int(_digest(student().casefold())[:8], 16)


def pick(name: str, options: Iterable, of: int | None = None) -> Any:
    """Return one of the options: another for a neighbour, the same after a reload.

    Parameters
    ----------
    name : of the question it is for; each question is picked for itself.
    of : a seed from a score file, to see what that student was asked.
    """
    return chance(name, of).choice(list(options))


def chance(name: str, of: int | None = None) -> random.Random:
    """Return the student's random numbers for a question."""
    return random.Random(f"{seed() if of is None else of}/{name}")


def clean(name: str) -> str:
    """Return a name in one line of at most 60 printable characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())[:60]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # in a container a user may be a number without a name
        return "nobody"
