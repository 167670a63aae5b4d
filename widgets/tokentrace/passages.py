"""Short texts that no model has been trained on: the true text of the exposure chapter.

Written for this project, in the plain prose of the storyteller's books: stories, fables, letters, recipes,
reports, dialogues, diaries, notices. One file each in `data/passages`: title, style, an empty line, the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tokentrace.models import data_folder
from tokentrace.plain_data import TraceError

DEFAULT = "lamp"


@dataclass(frozen=True, slots=True)
class Passage:
    """A short original text.

    Attributes
    ----------
    name : of its file.
    style : story, fable, letter, recipe and so on.
    text : 80 to 150 words.
    """

    name: str
    title: str
    style: str
    text: str

    @property
    def n_words(self) -> int:
        """Words of the text, divided at white space."""
        return len(self.text.split())


@cache
def passages() -> tuple[Passage, ...]:
    """Every passage, in the order of their files' names.

    Raises
    ------
    TraceError
        If a file is not a title, a style, an empty line and a text; the message names it.
    """
    return tuple(_read(file) for file in sorted((data_folder() / "passages").glob("*.txt")))


def passage(name: str = DEFAULT) -> Passage:
    """Return the passage of this name, or raise a TraceError that lists the names there are."""
    known = {each.name: each for each in passages()}
    if name not in known:
        raise TraceError(f"There is no passage called {name!r:.40}. There are: {', '.join(known)}.")
    return known[name]


def _read(file) -> Passage:
    title, _, rest = file.read_text(encoding="utf-8").partition("\n")
    style, _, rest = rest.partition("\n")
    empty, _, text = rest.partition("\n")
    if not (title.strip() and style.strip() and text.strip()) or empty.strip():
        raise TraceError(f"{file.name}: expected a title, a style, an empty line and a text.")
    return Passage(file.stem, title.strip(), style.strip(), text.strip())
