"""The form of pydantic's classes, which write and read their JSON themselves.

Pydantic is never imported here: who has such a class has imported it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from interlock.flow.python import forms
from interlock.flow.python.forms import Form, Unfit
from interlock.model import json
from interlock.model.json import Json

OLDEST: Final = (2, 11)
"""The first version that reads its own fields by their names, whatever aliases they have."""


def is_known(kind: type) -> bool:
    """Say whether `kind` is a class that pydantic 2 reads and writes."""
    return "pydantic" in sys.modules and hasattr(kind, "__get_pydantic_core_schema__")


class Model(Form):
    """A pydantic model, root model or any class that has a schema of pydantic's."""

    def __init__(self, kind: type) -> None:
        pydantic: Any = sys.modules["pydantic"]
        is_model = issubclass(kind, pydantic.BaseModel)
        self.name = kind.__qualname__
        self.shapes = frozenset({forms.OBJECT}) if is_model and not _is_root(kind) else forms.EVERY
        self._kind = kind
        self._origin = _origin(kind)
        self._adapter = pydantic.TypeAdapter(kind)
        self._adapter.rebuild(raise_errors=True)  # it may have put off what it cannot find

    def accepts(self, value: Any) -> bool:
        return type(value) is self._kind or _origin(type(value)) is self._origin

    def encode(self, value: Any) -> Json:
        if not self.accepts(value):
            raise forms.misfit(value, self.name)
        try:
            dumped = self._adapter.dump_python(value, mode="json", by_alias=False, round_trip=True, warnings="error")
        except ValueError as error:
            raise Unfit(f"cannot be written by pydantic: {error}") from error
        encoded = forms.plain(dumped)
        read = self.decode(encoded)
        if type(value) is self._kind:  # a Box(item=1) in place of a Box[int] is another one anyhow
            _check_same(value, read)
        return encoded

    def decode(self, value: Json) -> Any:
        try:
            return self._adapter.validate_json(json.encode(value), by_alias=True, by_name=True)
        except ValueError as error:
            raise Unfit(f"is refused by pydantic: {error}") from error


def _is_root(kind: type) -> bool:
    return bool(getattr(kind, "__pydantic_root_model__", False))


def _origin(kind: type) -> Any:
    """Give the class that a generic model was made from: `Box(item=1)` is taken for the `Box[int]` that it is to types."""
    metadata = getattr(kind, "__pydantic_generic_metadata__", None)
    return (metadata or {}).get("origin") or kind


def _check_same(value: Any, read: Any) -> None:
    """Raise Unfit when a model comes back as another one than it was, as with a secret that is written as asterisks.

    Private attributes and fields that are excluded on purpose do not count, nor does what cannot be compared.
    """
    fields = getattr(type(value), "model_fields", None)
    if fields is None or type(value) is not type(read):
        if type(value) is not type(read) or (_is_comparable(value) and value != read):
            raise Unfit(f"comes back from pydantic as {forms.seen(read)}; give it a serializer that keeps it")
        return
    for name, field in fields.items():
        if not field.exclude:
            try:
                _check_same(getattr(value, name), getattr(read, name))
            except Unfit as unfit:
                unfit.within(forms.key_part(name))
                raise


def _is_comparable(value: object) -> bool:
    equality: object = type(value).__eq__
    return equality is not object.__eq__
