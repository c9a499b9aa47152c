"""Forms of lists, sets, tuples and dicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from interlock.flow.python import forms
from interlock.flow.python.forms import Form, Unfit
from interlock.model import json
from interlock.model.json import Json


class Items(Form):
    """Lists, tuples of one kind of items, and sets, which are sorted. An abstract kind comes back as the first of `kinds`."""

    shapes = frozenset({forms.ARRAY})

    def __init__(self, name: str, kinds: tuple[Callable[[list[Any]], Collection[Any]], ...], item: Form) -> None:
        self.name = f"{name}[{item.name}{', ...' if name == 'tuple' else ''}]"
        self._kinds = kinds
        self._item = item
        self._sorted = kinds[0] in (set, frozenset)

    def accepts(self, value: Any) -> bool:
        return type(value) in self._kinds

    def encode(self, value: Any) -> Json:
        if type(value) not in self._kinds:
            raise forms.misfit(value, self.name)
        items = self._item.encode_all(value)
        return sorted(items, key=_order) if self._sorted else items

    def decode(self, value: Json) -> Any:
        if type(value) is not list:
            raise forms.misfit(value, self.name)
        items = self._item.decode_all(value)
        kind = self._kinds[0]
        return items if kind is list else kind(items)


def _order(item: Json) -> tuple[float, bytes]:
    """Numbers by size, then all else by its text."""
    if not isinstance(item, int | float):
        return math.inf, forms.canonical(item)
    try:
        return float(item), forms.canonical(item)
    except OverflowError:  # an integer beyond every float
        return math.inf if item > 0 else -math.inf, forms.canonical(item)


class Row(Form):
    """A tuple that says the kind of each of its items, or a named tuple, whose last ones may have defaults."""

    shapes = frozenset({forms.ARRAY})

    def __init__(self, name: str, kind: Callable[[list[Any]], Any], defaults: int = 0) -> None:
        self.name = name
        self.items: tuple[Form, ...] = ()  # filled in later: a named tuple may contain itself
        self._kind = kind
        self._defaults = defaults

    def accepts(self, value: Any) -> bool:
        return type(value) is self._kind

    def encode(self, value: Any) -> Json:
        if type(value) is not self._kind:
            raise forms.misfit(value, self.name)
        return self._each("encode", value, 0)

    def decode(self, value: Json) -> Any:
        if type(value) is not list:
            raise forms.misfit(value, self.name)
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

    shapes = frozenset({forms.OBJECT})

    def __init__(self, name: str, key: Form, value: Form) -> None:
        self.name = f"{name}[{key.name}, {value.name}]"
        self._key = key
        self._value = value
        self._plain_keys = key.name == "str"
        self._text_keys = key.shapes == {forms.STRING}

    def accepts(self, value: Any) -> bool:
        return type(value) is dict

    def encode(self, value: Any) -> Json:
        if type(value) is not dict:
            raise forms.misfit(value, self.name)
        if self._plain_keys and forms.keys_are_text(value):
            return forms.each_value(self._value.encode, value)
        return forms.each_value(self._value.encode, {self._encoded_key(key): item for key, item in value.items()})

    def decode(self, value: Json) -> Any:
        if type(value) is not dict:
            raise forms.misfit(value, self.name)
        items = forms.each_value(self._value.decode, value)
        return items if self._plain_keys else {self._decoded_key(key): item for key, item in items.items()}

    def _encoded_key(self, key: Any) -> str:
        try:
            encoded = self._key.encode(key)
        except Unfit as unfit:
            raise Unfit(f"has the key {key!r}, which {unfit.message}") from unfit
        return encoded if self._text_keys else forms.canonical(encoded).decode()

    def _decoded_key(self, text: str) -> Any:
        try:
            return self._key.decode(text if self._text_keys else json.decode(text))
        except (Unfit, msgspec.DecodeError) as error:
            raise Unfit(f"has the key {text!r}, which is no {self._key.name}") from error
