"""Build the corpus from the books' source repositories at Standard Ebooks (needs a network, a few minutes).

    python data/storyteller/books.py

Fetches every book of books.txt, takes the text out of its chapters, and writes train.txt.xz and
valid.txt.xz to `corpus/` in the cache folder: one paragraph a line, books parted by a line with a single NUL.
The books change a little as Standard Ebooks corrects them, so the text is the same only in substance.
"""

import argparse
import hashlib
import io
import lzma
import re
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from prepare import BOOK_BREAK, RECIPE, cache_folder

ARCHIVE = "https://github.com/standardebooks/{name}/archive/refs/heads/master.tar.gz"
EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
BLOCKS = {"p", "li", "dt", "dd"} | HEADINGS
LEFT_OUT = {"table", "figure", "img", "svg", "nav"}
PLAIN = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "—": "--", "⸺": "----", "⸻": "------", "–": "-", "‑": "-", "…": "..."}
    | dict.fromkeys("\u00ad\u200b\u2060\ufeff", "")  # soft hyphen, zero-width space, word joiner, byte order mark
)


def book_list(held_out: bool) -> list[str]:
    """Names of the books in books.txt: those held out (marked with `*` there), or the others."""
    lines = (RECIPE / "books.txt").read_text("utf-8").splitlines()
    names = [line.split() for line in lines if line and not line.startswith("#")]
    return [words[-1] for words in names if (words[0] == "*") == held_out]


def paragraphs(chapter: str) -> list[str]:
    """Text of one XHTML file as plain paragraphs; none if it is front or back matter."""
    body = next(part for part in ElementTree.fromstring(chapter) if _tag(part) == "body")
    if "bodymatter" not in _types(body):
        return []
    found = (" ".join(text.translate(PLAIN).split()) for text in _blocks(body))
    return [text for text in found if text]


def _blocks(element: ElementTree.Element) -> Iterator[str]:
    if _tag(element) in LEFT_OUT:
        return
    if _tag(element) in BLOCKS and not any(_tag(inner) in BLOCKS for inner in element.iter() if inner is not element):
        # "Part II" is a heading; a chapter's bare "II" is not.
        named = any("label" in _types(inner) for inner in element.iter())
        numeral = _tag(element) in HEADINGS and not named
        yield "" if numeral and "z3998:roman" in _types(element) else "".join(_pieces(element, numeral))
        return
    for inner in element:
        yield from _blocks(inner)


def _pieces(element: ElementTree.Element, without_numerals: bool) -> Iterator[str]:
    yield element.text or ""
    for inner in element:
        note = "noteref" in _types(inner)
        numeral = without_numerals and {"z3998:roman", "ordinal"} & _types(inner)
        if _tag(inner) == "br":
            yield " "
        elif not note and not numeral and _tag(inner) not in LEFT_OUT:
            yield from _pieces(inner, without_numerals)
        yield inner.tail or ""


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _types(element: ElementTree.Element) -> set[str]:
    return set(element.get(EPUB_TYPE, "").split())


def read_archive(packed: bytes) -> list[str]:
    """Paragraphs of a whole book, chapters in reading order, from its repository packed as tar.gz."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            place = member.name.partition("/src/epub/")[2]
            if place == "content.opf" or (place.startswith("text/") and place.endswith(".xhtml")):
                files[place] = archive.extractfile(member).read().decode("utf-8")
    package = ElementTree.fromstring(files["content.opf"])
    places = {item.get("id"): item.get("href") for item in package.iter() if _tag(item) == "item"}
    order = [places[item.get("idref")] for item in package.iter() if _tag(item) == "itemref"]
    return [text for place in order if place in files for text in paragraphs(files[place])]


def unfit_words() -> set[str]:
    """Hashes of the words that no paragraph may hold: SHA-256 of each in small letters, from unfit.txt."""
    return set((RECIPE / "unfit.txt").read_text("ascii").split())


def fit(paragraph: str, unfit: set[str]) -> bool:
    """Tell whether a paragraph has none of the unfit words, in singular or plural."""
    words = {form for word in re.findall(r"[a-z]+", paragraph.lower()) for form in (word, word.removesuffix("s"))}
    return not any(hashlib.sha256(word.encode()).hexdigest() in unfit for word in words)


def fetch(name: str, folder: Path) -> bytes:
    """Fetch the packed repository of a book, or take the copy that an earlier call left in `folder`."""
    path = folder / f"{name}.tar.gz"
    if not path.exists():
        with urllib.request.urlopen(ARCHIVE.format(name=name), timeout=60) as answer:
            part = path.with_suffix(".part")
            part.write_bytes(answer.read())
            part.replace(path)
    return path.read_bytes()


def main() -> None:
    """Fetch, clean and pack both texts."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    downloads, corpus, unfit = cache_folder() / "books", cache_folder() / "corpus", unfit_words()
    downloads.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    for file, held_out in (("train", False), ("valid", True)):
        books, dropped = [], 0
        for name in book_list(held_out):
            print(f"{file}: {name}", flush=True)
            try:
                text = read_archive(fetch(name, downloads))
            except OSError as error:
                raise SystemExit(f"Could not fetch {name}: {error}. What is fetched stays; run this again.") from error
            kept = [paragraph for paragraph in text if fit(paragraph, unfit)]
            dropped += len(text) - len(kept)
            books.append("\n".join(kept))
        (corpus / f"{file}.txt.xz").write_bytes(lzma.compress((BOOK_BREAK.join(books) + "\n").encode("utf-8")))
        print(f"{file}: {len(books)} books, {dropped:,} unfit paragraphs dropped")


if __name__ == "__main__":
    main()
