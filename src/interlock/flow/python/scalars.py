"""Forms of single values: what JSON has itself, what stands as text, enums and literals."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from interlock.flow.python import forms
from interlock.flow.python.forms import Form, Unfit
from interlock.model.json import Json

_FLOATS: Final = frozenset({float})


class Scalar(Form):
    """A value that JSON has itself. A bool passes for an int and an int for a float, as they do for type checkers."""

    native = True

    def __init__(self, name: str, kinds: frozenset[type]) -> None:
        self.name = name
        self.shapes = frozenset(forms.SHAPES[kind] for kind in kinds)
        self._kinds = kinds
        self._exact = kinds - {float}

    def accepts(self, value: Any) -> bool:
        return type(value) in self._kinds

    def encode(self, value: Any) -> Json:
        kind = type(value)
        if kind in self._exact:
            return value
        if kind in self._kinds:
            return forms.finite(value)
        raise forms.misfit(value, self.name)

    def decode(self, value: Json) -> Any:
        return self.encode(value)

    def encode_all(self, values: Iterable[Any]) -> list[Json]:
        results = list(values)
        kinds = set(map(type, results))
        if kinds <= self._exact or (kinds == _FLOATS <= self._kinds and all(map(math.isfinite, results))):
            return results
        return forms.each(self.encode, results)

    def decode_all(self, values: Iterable[Json]) -> list[Any]:
        return self.encode_all(values)


class Text(Form):
    """A value that stands in JSON as text."""

    shapes = frozenset({forms.STRING})

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
            raise forms.misfit(value, self.name)
        return self._to_text(value)

    def decode(self, value: Json) -> Any:
        if type(value) is not str:
            raise forms.misfit(value, self.name)
        try:
            return self._from_text(value)
        except (ValueError, ArithmeticError) as error:
            raise Unfit(f"is {forms.seen(value)}, which is no {self.name}: {error}") from error


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
        self._kind = kind
        self._by_value = all(_raw(member) is not None for member in kind)
        self.shapes = frozenset(forms.shape(self.encode(member)) for member in kind)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self._kind)

    def encode(self, value: Any) -> Json:
        if not isinstance(value, self._kind):
            raise forms.misfit(value, self.name)
        return _raw(value) if self._by_value else value.name

    def decode(self, value: Json) -> Any:
        if type(value) not in (str, int):
            raise forms.misfit(value, self.name)
        try:
            return self._kind(value) if self._by_value else self._kind[value]
        except (ValueError, KeyError) as error:
            raise Unfit(f"is {forms.seen(value)}, which is no member of {self.name}") from error


def _raw(member: enum.Enum) -> Json:
    """Give the value of a member as plain text or integer, None when it is neither."""
    value = member.value
    return value if type(value) in (str, int) else None


class Chosen(Form):
    """`Literal[...]`."""

    def __init__(self, choices: Mapping[Any, Form]) -> None:
        self.name = f"Literal[{', '.join(repr(choice) for _, choice in choices)}]"
        self._forms = choices
        self._values = {forms.canonical(form.encode(value)): value for (_, value), form in choices.items()}
        self.shapes = frozenset(forms.shape(form.encode(value)) for (_, value), form in choices.items())

    def accepts(self, value: Any) -> bool:
        try:
            return (type(value), value) in self._forms
        except TypeError:  # what has no hash is no literal
            return False

    def encode(self, value: Any) -> Json:
        if not self.accepts(value):
            raise Unfit(f"is {forms.seen(value)}, not {self.name}")
        return self._forms[type(value), value].encode(value)

    def decode(self, value: Json) -> Any:
        text = forms.canonical(value)
        if text not in self._values:
            raise Unfit(f"is {forms.seen(value)}, not {self.name}")
        return self._values[text]
