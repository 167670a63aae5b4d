"""Join a view's front-end files into the one module and the one style sheet that anywidget loads.

Every view on a page is sent its own copy, so what browsers do not read is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

FRONTEND = Path(__file__).parents[1] / "frontend"
IMPORT_JS = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"(\./[\w./-]+\.js)";?[ \t]*\n', re.M)
IMPORT_CSS = re.compile(r'^@import\s*"(\./[\w./-]+\.css)";[ \t]*\n', re.M)
EXPORT = re.compile(r"^export (?!default)", re.M)

COMMENT = r"/\*.*?\*/\s*|//[^\n]*\n\s*"
# Strings, templates (at most one within another) and regular expressions after "= ", "(" or "!" stay as they are.
TEMPLATE = r"""`(?:\\.|\$\{(?:[^{}`"]|"[^"]*"|`[^`]*`|\{[^{}]*\})*\}|[^`\\])*`"""
KEPT = rf'"(?:\\.|[^"\\\n])*"|{TEMPLATE}|(?:(?<== )|(?<=[(!]))/(?:\\.|[^/\\\n])+/'
LAST = r"[,;]\s*(?=\})|,\s*(?=[)\]])"
SIGNS = r"\s*([{(\[,;=?:<>&|*])\s*|\s*([)}\]])\s*| (!=|[+/-](?= [^+-])) ?"
JS = re.compile(rf"{COMMENT}|({KEPT})|{LAST}|{SIGNS}|[ \t]*(\n)\s*", re.S)
CSS = re.compile(rf"{COMMENT}|;\s*(?=\}})|\s*([{{}};,])\s*|(?<=:) | ([*/>]) (?=[\w(.])", re.S)


def esm(name: str) -> str:
    """Return a module with the text of what it imports before its own, each file once."""
    return _squeeze(JS, EXPORT.sub("", _join(FRONTEND / name, IMPORT_JS, set())))


def css(name: str) -> str:
    """Return the theme, then a style sheet with what it imports."""
    seen: set[Path] = set()
    return _squeeze(CSS, "".join(_join(FRONTEND / file, IMPORT_CSS, seen) for file in ("shared/theme.css", name)))


def _join(file: Path, statement: re.Pattern[str], seen: set[Path]) -> str:
    file = file.resolve()
    if file in seen:
        return ""
    seen.add(file)
    source = file.read_text(encoding="utf-8")
    parts = [_join(file.parent / path, statement, seen) for path in statement.findall(source)]
    return "".join(parts) + statement.sub("", source)


def _squeeze(pattern: re.Pattern[str], source: str) -> str:
    return pattern.sub(lambda found: "".join(filter(None, found.groups())), source)
