"""How Python values stand in JSON: a form per kind of annotation.

A form is exact both ways: `encode` refuses what would come back as something else, so that a workflow which is resumed
sees what it saw before. It never gives out a part of what it was given: both sides may change their own later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from interlock.model import json
from interlock.model.json import Json

NULL: Final = "null"
BOOLEAN: Final = "boolean"
NUMBER: Final = "number"
STRING: Final = "string"
ARRAY: Final = "array"
OBJECT: Final = "object"
EVERY: Final = frozenset({NULL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT})

SHAPES: Final[dict[type, str]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}
_ATOMS: Final = frozenset({str, int, bool, type(None)})
_STRINGS: Final = frozenset({str})
_canonical = msgspec.json.Encoder(order="deterministic")


class Unfit(Exception):
    """A value that does not fit. `path` leads to it; `unannotated` is its type where only an annotation was missing."""

    def __init__(self, message: str, unannotated: type | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.unannotated = unannotated
        self.path = ""

    def within(self, part: str) -> None:
        """Put `part`, such as `.price` or `[2]`, before the path."""
        self.path = part + self.path


class Form:
    """One kind of annotation. `name` reads like the annotation, `shapes` are the kinds of JSON that it may become.

    Each kind has these three methods of its own; only `Anything`, which is in no union, is never asked whether it accepts.
    """

    name: str
    shapes: frozenset[str]
    native = False
    """Whether each JSON value of these shapes stands for itself."""

    def accepts(self, value: Any) -> bool:
        """Say by its type alone whether `value` may be of this form."""
        raise NotImplementedError

    def encode(self, value: Any) -> Json:
        """Give the JSON of `value`. Raises Unfit."""
        raise NotImplementedError

    def decode(self, value: Json) -> Any:
        """Give the value whose JSON is `value`. Raises Unfit."""
        raise NotImplementedError

    def encode_all(self, values: Iterable[Any]) -> list[Json]:
        """Give the JSON of each one, in order. Raises Unfit, which names the index."""
        return each(self.encode, values)

    def decode_all(self, values: Iterable[Json]) -> list[Any]:
        """Give the value of each one, in order. Raises Unfit, which names the index."""
        return each(self.decode, values)


def each(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """Apply a function to each one, in order. Raises Unfit, which names the index."""
    results: list[Any] = []
    try:
        for value in values:
            results.append(function(value))
    except Unfit as unfit:
        unfit.within(f"[{len(results)}]")
        raise
    return results


def shape(value: Json) -> str:
    """Give the kind of a JSON value."""
    return SHAPES[type(value)]


def canonical(value: Json) -> bytes:
    """Give the JSON text of a value with the keys of its objects sorted: the same for equal values."""
    return _canonical.encode(value)


def keys_are_text(value: Mapping[Any, Any]) -> bool:
    """Say whether each key is a str and of no class derived from it."""
    return _STRINGS.issuperset(map(type, value))


def key_part(key: Any) -> str:
    """Give the step of a path that a key of an object is."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def seen(value: Any) -> str:
    """Say what a value is, briefly: its type, and itself when that is short."""
    kind = type(value).__qualname__
    if type(value) in SHAPES and value is not None and type(value) not in (list, dict):
        text = repr(value)
        return f"{kind} {text}" if len(text) <= 40 else f"{kind} {text[:37]}..."
    return kind if value is not None else "None"


class Anything(Form):
    """`Any`, or no annotation at all: plain JSON and nothing else, since nothing says what to make of it afterwards.

    It is never a member of a union: a union with it is `Any`.
    """

    name = "Any"
    shapes = EVERY
    native = True

    def encode(self, value: Any) -> Json:
        return plain(value)

    def decode(self, value: Json) -> Any:
        return json.copy(value)


def plain(value: Any) -> Json:
    """Give an independent copy of a value that is plain JSON already. Raises Unfit for any other."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is float:
        return finite(value)
    if kind is list:
        return value.copy() if _ATOMS.issuperset(map(type, value)) else each(plain, value)
    if kind is dict:
        if not keys_are_text(value):
            key = next(key for key in value if type(key) is not str)
            raise Unfit(
                f"has the key {key!r}; a key must be a str unless an annotation such as dict[int, str] says more"
            )
        return value.copy() if _ATOMS.issuperset(map(type, value.values())) else each_value(plain, value)
    raise Unfit(f"is {seen(value)}", unannotated=kind)


def finite(value: float) -> float:
    """Give a number back. Raises Unfit for NaN and the infinities, which JSON has no number for."""
    if math.isfinite(value):
        return value
    raise Unfit(f"is {value}, which JSON cannot hold; use None, or Decimal for a number that may be {value}")


def each_value(function: Callable[[Any], Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a function to each item of an object. Raises Unfit, which names the key."""
    result: dict[str, Any] = {}
    key = ""
    try:
        for key, item in value.items():
            result[key] = function(item)
    except Unfit as unfit:
        unfit.within(key_part(key))
        raise
    return result


def misfit(value: Any, name: str) -> Unfit:
    """Give the error for a value of another type than `name`; it tells how to make a plain one of a subclass."""
    for base in (str, int, float, list, dict, tuple, set, frozenset):
        if base.__name__ == name.partition("[")[0] and isinstance(value, base) and type(value) is not bool:
            kind = type(value).__qualname__
            return Unfit(f"is {kind}, which would come back as {base.__name__}; give {base.__name__}(...) of it")
    return Unfit(f"is {seen(value)}, not {name}")
