"""Records as plain JSON: writing them, and reading them back with an error that names the field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, TypeVar

Kind = TypeVar("Kind")


class TraceError(ValueError):
    """A trace, or the settings of a run, that cannot be right; the message names the field."""


class Record:
    """What was recorded once: a class with `to_dict` and `from_dict` that can be written to a file and read back."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote; anything else raises a TraceError that names the field."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON and return the path."""
        return save(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a record's file; one that is not right raises a TraceError that names file and field."""
        return load(path, cls.from_dict)


def all_listed(used: set[int], vocabulary: Mapping[int, bytes]):
    """Check that every token of a record is in its vocabulary."""
    if missing := used - vocabulary.keys():
        raise TraceError(f"vocabulary: token {min(missing)} occurs in the record but is not listed.")


def save(path: str | Path, data: dict[str, Any]) -> Path:
    """Write plain data as one line of JSON and return the path."""
    path = Path(path)
    path.write_text(json.dumps(data, allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return path


def load(path: str | Path, from_dict: Callable[[Any], Kind]) -> Kind:
    """Read what `save` wrote; a file that is not right raises a TraceError that names file and field."""
    path = Path(path)
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8"), parse_constant=no_constant))
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path.name}: {error}") from error


def header(data: dict[str, Any], kind: str, version: int):
    """Check that data say to be of this format and version."""
    if data.get("format") != kind:
        raise TraceError(f"format: this is not a {kind} file.")
    if data.get("version") != version:
        raise TraceError(f"version: this file is version {data.get('version')!r}, readable is {version}.")


def vocabulary_to_dict(vocabulary: Mapping[int, bytes]) -> dict[str, str | dict[str, str]]:
    """Token bytes for JSON: text where they are text, else the bytes in hexadecimal."""
    plain = {}
    for token, piece in vocabulary.items():
        try:
            plain[str(token)] = piece.decode("utf-8")
        except UnicodeDecodeError:
            plain[str(token)] = {"bytes": piece.hex()}
    return plain


def vocabulary_from_dict(data: Any) -> dict[int, bytes]:
    """Read what `vocabulary_to_dict` wrote."""
    vocabulary = {}
    for key, value in mapping("vocabulary", data).items():
        vocabulary[token_id(key)] = token_bytes(f"vocabulary.{key}", value)
    return vocabulary


def typed(name: str, value: Any, kind: type) -> Any:
    """Return a value if it is of this type; a whole number will do for a float."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TraceError(f"{name}: expected {kind.__name__}, found {value!r:.40}.")
    if kind is float and not math.isfinite(value):
        raise TraceError(f"{name}: {value} is not a finite number.")
    return value


def list_of(name: str, value: Any, kind: type, length: int | None = None, optional: bool = False) -> list:
    """Return a list whose entries are of this type, or None where that is allowed."""
    value = typed(name, value, list)
    if length is not None and len(value) != length:
        raise TraceError(f"{name}: has {len(value)} entries, expected {length}.")
    return [
        None if optional and item is None else typed(f"{name}[{index}]", item, kind) for index, item in enumerate(value)
    ]


def mapping(name: str, value: Any) -> dict:
    """Return a value if it is a dictionary."""
    return typed(name, value, dict)


def exactly(name: str, data: dict, expected: set[str]):
    """Check that there are these fields and no others."""
    if missing := expected - data.keys():
        raise TraceError(f"{name}: the field {min(missing)!r} is missing.")
    if unknown := data.keys() - expected:
        raise TraceError(f"{name}: the field {min(unknown)!r} is unknown.")


def build(cls: type[Kind], name: str, data: Any) -> Kind:
    """Make a dataclass of scalars and texts from a dictionary with exactly its fields."""
    data = mapping(name, data)
    exactly(name, data, {field.name for field in fields(cls)})
    kinds = {"int": int, "float": float, "str": str}
    values = {}
    for field in fields(cls):
        kind, _, optional = field.type.partition(" | ")
        value, label = data[field.name], f"{name}.{field.name}"
        if kind == "tuple[str, ...]":
            values[field.name] = tuple(list_of(label, value, str))
        else:
            values[field.name] = None if optional and value is None else typed(label, value, kinds[kind])
    try:
        return cls(**values)
    except TraceError as error:
        raise TraceError(f"{name}: {error}") from error


def token_id(key: Any) -> int:
    """Read a token id that is a key of a vocabulary."""
    if not (isinstance(key, str) and key.isdecimal()):
        raise TraceError(f"vocabulary: {key!r:.40} is not a token id.")
    return int(key)


def token_bytes(name: str, value: Any) -> bytes:
    """Read the bytes of one token: text, or hexadecimal digits."""
    if isinstance(value, str):
        return value.encode("utf-8")
    try:
        return bytes.fromhex(value["bytes"])
    except (KeyError, TypeError, ValueError):
        raise TraceError(f"{name}: expected text, or bytes in hexadecimal.") from None


def in_range(name: str, value: Any, low: float, high: float, whole: bool = False, optional: bool = False):
    """Check a setting."""
    if optional and value is None:
        return
    kind = int if whole else (int, float)
    if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
        number = "a whole number" if whole else "a number"
        raise TraceError(f"{name} must be {number} from {low} to {high}, not {value!r:.40}.")


def no_constant(name: str):
    """Refuse NaN and the infinities, which are not JSON."""
    raise TraceError(f"{name} is not a number that a trace may hold.")
