"""How Python values stand in JSON: a form per kind of annotation.

A form is exact both ways: `encode` refuses what would come back as something else, so that a workflow which is resumed
sees what it saw before. It never gives out a part of what it was given: both sides may change their own later.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
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

_SHAPES: Final[dict[type, str]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}
_ATOMS: Final = frozenset({str, int, bool, type(None)})
_FLOATS: Final = frozenset({float})
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
    """One kind of annotation. `name` reads like the annotation, `shapes` are the kinds of JSON that it may become."""

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
        return _each(self.encode, values)

    def decode_all(self, values: Iterable[Json]) -> list[Any]:
        """Give the value of each one, in order. Raises Unfit, which names the index."""
        return _each(self.decode, values)


def _each(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
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
    return _SHAPES[type(value)]


def canonical(value: Json) -> bytes:
    """Give the JSON text of a value with the keys of its objects sorted: the same for equal values."""
    return _canonical.encode(value)


def key_part(key: Any) -> str:
    """Give the step of a path that a key of an object is."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def seen(value: Any) -> str:
    """Say what a value is, briefly: its type, and itself when that is short."""
    kind = type(value).__qualname__
    if type(value) in _SHAPES and value is not None and type(value) not in (list, dict):
        text = repr(value)
        return f"{kind} {text}" if len(text) <= 40 else f"{kind} {text[:37]}..."
    return kind if value is not None else "None"


class Anything(Form):
    """`Any`, or no annotation at all: plain JSON and nothing else, since nothing says what to make of it afterwards."""

    name = "Any"
    shapes = EVERY
    native = True

    def accepts(self, value: Any) -> bool:
        return True

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
        return value.copy() if _ATOMS.issuperset(map(type, value)) else _each(plain, value)
    if kind is dict:
        if not _STRINGS.issuperset(map(type, value)):
            key = next(key for key in value if type(key) is not str)
            raise Unfit(
                f"has the key {key!r}; a key must be a str unless an annotation such as dict[int, str] says more"
            )
        return value.copy() if _ATOMS.issuperset(map(type, value.values())) else _each_value(plain, value)
    raise Unfit(f"is {seen(value)}", unannotated=kind)


def finite(value: float) -> float:
    """Give a number back. Raises Unfit for NaN and the infinities, which JSON has no number for."""
    if math.isfinite(value):
        return value
    raise Unfit(f"is {value}, which JSON cannot hold; use None, or Decimal for a number that may be {value}")


def _each_value(function: Callable[[Any], Any], value: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    key = ""
    try:
        for key, item in value.items():
            result[key] = function(item)
    except Unfit as unfit:
        unfit.within(key_part(key))
        raise
    return result


class Scalar(Form):
    """A value that JSON has itself. A bool passes for an int and an int for a float, as they do for type checkers."""

    native = True

    def __init__(self, name: str, kinds: frozenset[type]) -> None:
        self.name = name
        self.shapes = frozenset(_SHAPES[kind] for kind in kinds)
        self._kinds = kinds
        self._exact = kinds - {float}

    def accepts(self, value: Any) -> bool:
        return type(value) in self._kinds

    def encode(self, value: Any) -> Json:
        kind = type(value)
        if kind in self._exact:
            return value
        if kind in self._kinds:
            return finite(value)
        raise misfit(value, self.name)

    def decode(self, value: Json) -> Any:
        return self.encode(value)

    def encode_all(self, values: Iterable[Any]) -> list[Json]:
        results = list(values)
        kinds = set(map(type, results))
        if kinds <= self._exact or (kinds == _FLOATS <= self._kinds and all(map(math.isfinite, results))):
            return results
        return _each(self.encode, results)

    def decode_all(self, values: Iterable[Json]) -> list[Any]:
        return self.encode_all(values)


def misfit(value: Any, name: str) -> Unfit:
    """Give the error for a value of another type than `name`; it tells how to make a plain one of a subclass."""
    for base in (str, int, float, list, dict, tuple, set, frozenset):
        if base.__name__ == name.partition("[")[0] and isinstance(value, base) and type(value) is not bool:
            kind = type(value).__qualname__
            return Unfit(f"is {kind}, which would come back as {base.__name__}; give {base.__name__}(...) of it")
    return Unfit(f"is {seen(value)}, not {name}")


class Text(Form):
    """A value that stands in JSON as text."""

    shapes = frozenset({STRING})

    def __init__(self, kind: type, to_text: Callable[[Any], str], from_text: Callable[[str], Any]) -> None:
        self.name = kind.__name__
        self.kind = kind
        self._to_text = to_text
        self._from_text = from_text
        self._subclasses = issubclass(kind, pathlib.PurePath)  # Path() gives a PosixPath

    def accepts(self, value: Any) -> bool:
        return type(value) is self.kind or (self._subclasses and isinstance(value, self.kind))

    def encode(self, value: Any) -> Json:
        if not self.accepts(value):
            raise misfit(value, self.name)
        return self._to_text(value)

    def decode(self, value: Json) -> Any:
        if type(value) is not str:
            raise misfit(value, self.name)
        try:
            return self._from_text(value)
        except (ValueError, ArithmeticError) as error:
            raise Unfit(f"is {seen(value)}, which is no {self.name}: {error}") from error


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _duration(text: str) -> datetime.timedelta:
    return msgspec.convert(text, datetime.timedelta)


def texts() -> list[Text]:
    """Give the forms of the classes of the standard library that stand in JSON as text."""
    return [
        Text(bytes, _base64, _from_base64),
        Text(datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
        Text(datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
        Text(datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
        Text(datetime.timedelta, msgspec.to_builtins, _duration),
        Text(decimal.Decimal, str, decimal.Decimal),
        Text(uuid.UUID, str, uuid.UUID),
        *(Text(kind, str, kind) for kind in (pathlib.Path, pathlib.PosixPath, pathlib.PurePath)),
        *(Text(kind, str, kind) for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath)),
    ]


class Members(Form):
    """An enum: by value when all its values are text and integers, by name otherwise."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        self.name = kind.__qualname__
        self.shapes = frozenset({STRING, NUMBER})
        self._kind = kind
        self._by_value = all(_raw(member) is not None for member in kind)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self._kind)

    def encode(self, value: Any) -> Json:
        if not isinstance(value, self._kind):
            raise misfit(value, self.name)
        return _raw(value) if self._by_value else value.name

    def decode(self, value: Json) -> Any:
        if type(value) not in (str, int):
            raise misfit(value, self.name)
        try:
            return self._kind(value) if self._by_value else self._kind[value]
        except (ValueError, KeyError) as error:
            raise Unfit(f"is {seen(value)}, which is no member of {self.name}") from error


def _raw(member: enum.Enum) -> Json:
    """Give the value of a member as plain text or integer, None when it is neither."""
    value = member.value
    return value if type(value) in (str, int) else None


class Chosen(Form):
    """`Literal[...]`."""

    def __init__(self, choices: Mapping[Any, Form]) -> None:
        self.name = f"Literal[{', '.join(repr(choice) for _, choice in choices)}]"
        self._forms = choices
        self._values = {canonical(form.encode(value)): value for (_, value), form in choices.items()}
        self.shapes = frozenset(shape(form.encode(value)) for (_, value), form in choices.items())

    def accepts(self, value: Any) -> bool:
        try:
            return (type(value), value) in self._forms
        except TypeError:  # what has no hash is no literal
            return False

    def encode(self, value: Any) -> Json:
        if not self.accepts(value):
            raise Unfit(f"is {seen(value)}, not {self.name}")
        return self._forms[type(value), value].encode(value)

    def decode(self, value: Json) -> Any:
        text = canonical(value)
        if text not in self._values:
            raise Unfit(f"is {seen(value)}, not {self.name}")
        return self._values[text]


class Items(Form):
    """Lists, tuples of one kind of items, and sets, which are sorted. An abstract kind comes back as the first of `kinds`."""

    shapes = frozenset({ARRAY})

    def __init__(self, name: str, kinds: tuple[Callable[[list[Any]], Collection[Any]], ...], item: Form) -> None:
        self.name = f"{name}[{item.name}{', ...' if name == 'tuple' else ''}]"
        self._kinds = kinds
        self._item = item
        self._sorted = kinds[0] in (set, frozenset)

    def accepts(self, value: Any) -> bool:
        return type(value) in self._kinds

    def encode(self, value: Any) -> Json:
        if type(value) not in self._kinds:
            raise misfit(value, self.name)
        items = self._item.encode_all(value)
        return sorted(items, key=_order) if self._sorted else items

    def decode(self, value: Json) -> Any:
        if type(value) is not list:
            raise misfit(value, self.name)
        items = self._item.decode_all(value)
        kind = self._kinds[0]
        return items if kind is list else kind(items)


def _order(item: Json) -> tuple[float, bytes]:
    """Numbers by size, then all else by its text."""
    number = item if isinstance(item, int | float) else math.inf
    try:
        return float(number), canonical(item)
    except OverflowError:  # an integer beyond every float
        return math.copysign(math.inf, number), canonical(item)


class Row(Form):
    """A tuple that says the kind of each of its items, or a named tuple, whose last ones may have defaults."""

    shapes = frozenset({ARRAY})

    def __init__(self, name: str, kind: Callable[[list[Any]], Any], defaults: int = 0) -> None:
        self.name = name
        self.items: tuple[Form, ...] = ()  # filled in later: a named tuple may contain itself
        self._kind = kind
        self._defaults = defaults

    def accepts(self, value: Any) -> bool:
        return type(value) is self._kind

    def encode(self, value: Any) -> Json:
        if type(value) is not self._kind:
            raise misfit(value, self.name)
        return self._each("encode", value, 0)

    def decode(self, value: Json) -> Any:
        if type(value) is not list:
            raise misfit(value, self.name)
        items = self._each("decode", value, self._defaults)
        return self._kind(items) if self._kind is tuple else self._kind(*items)

    def _each(self, method: str, value: Collection[Any], missing: int) -> list[Any]:
        if not len(self.items) - missing <= len(value) <= len(self.items):
            raise Unfit(f"has {len(value)} items, but {self.name} has {len(self.items)}")
        results: list[Any] = []
        try:
            for form, item in zip(self.items, value, strict=False):
                results.append(getattr(form, method)(item))
        except Unfit as unfit:
            unfit.within(f"[{len(results)}]")
            raise
        return results


class Table(Form):
    """A dict. Keys that are no text stand as the JSON text of the key."""

    shapes = frozenset({OBJECT})

    def __init__(self, name: str, key: Form, value: Form) -> None:
        self.name = f"{name}[{key.name}, {value.name}]"
        self._key = key
        self._value = value
        self._plain_keys = key.name == "str"
        self._text_keys = key.shapes == {STRING}

    def accepts(self, value: Any) -> bool:
        return type(value) is dict

    def encode(self, value: Any) -> Json:
        if type(value) is not dict:
            raise misfit(value, self.name)
        if self._plain_keys and _STRINGS.issuperset(map(type, value)):
            return _each_value(self._value.encode, value)
        return _each_value(self._value.encode, {self._encoded_key(key): item for key, item in value.items()})

    def decode(self, value: Json) -> Any:
        if type(value) is not dict:
            raise misfit(value, self.name)
        items = _each_value(self._value.decode, value)
        return items if self._plain_keys else {self._decoded_key(key): item for key, item in items.items()}

    def _encoded_key(self, key: Any) -> str:
        try:
            encoded = self._key.encode(key)
        except Unfit as unfit:
            raise Unfit(f"has the key {key!r}, which {unfit.message}") from unfit
        return encoded if self._text_keys else canonical(encoded).decode()

    def _decoded_key(self, text: str) -> Any:
        try:
            return self._key.decode(text if self._text_keys else json.decode(text))
        except (Unfit, msgspec.DecodeError) as error:
            raise Unfit(f"has the key {text!r}, which is no {self._key.name}") from error
