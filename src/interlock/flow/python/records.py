"""Forms of classes with fields: dataclasses, `msgspec.Struct`, typed dictionaries, and unions of anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from interlock.flow.python import forms
from interlock.flow.python.forms import Form, Unfit
from interlock.model.json import Json

TYPE: Final = "$type"
"""Names the member of a union where the shape of the JSON does not tell it."""

VALUE: Final = "$value"
"""Holds the value of such a member when it is not an object with fields."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """`stored` is its name in JSON. `given`: the constructor takes it. `required`: it has no default."""

    name: str
    stored: str
    form: Form
    given: bool = True
    required: bool = True


class Record(Form):
    """An object with named fields. A field that JSON has too many is passed over: it was removed since.

    `build` makes the value of the fields that its constructor takes; `tag` is the field and the value that a tagged struct
    writes besides; `array` says that its fields stand as a list.
    """

    shapes = frozenset({forms.OBJECT})

    def __init__(self, name: str, kind: type, build: Callable[..., Any]) -> None:
        self.name = name
        self.fields: tuple[Field, ...] = ()  # filled in later: a record may contain itself
        self.tag: tuple[str, Json] | None = None
        self.is_closed = False
        self._kind = kind
        self._build = build

    def accepts(self, value: Any) -> bool:
        return type(value) is self._kind

    def encode(self, value: Any) -> Json:
        if type(value) is not self._kind:
            raise self._other(value)
        result: dict[str, Json] = {} if self.tag is None else dict([self.tag])
        for field in self.fields:
            try:
                result[field.stored] = field.form.encode(getattr(value, field.name))
            except Unfit as unfit:
                unfit.within(forms.key_part(field.name))
                raise
            except AttributeError as error:
                raise Unfit(f"has no value for its field `{field.name}`") from error
        return result

    def decode(self, value: Json) -> Any:
        if type(value) is not dict:
            raise forms.misfit(value, self.name)
        self._check(value)
        given: dict[str, Any] = {}
        set_later: dict[str, Any] = {}
        for field in self.fields:
            if field.stored in value:
                (given if field.given else set_later)[field.name] = decode_field(field, value[field.stored])
            elif field.required:
                raise Unfit(f"lacks `{field.stored}` of {self.name}")
        try:
            built = self._build(**given)
        except (TypeError, ValueError) as error:
            raise Unfit(f"is refused by {self.name}: {error}") from error
        for name, item in set_later.items():
            object.__setattr__(built, name, item)  # as a frozen dataclass does it itself
        return built

    def _check(self, value: dict[str, Json]) -> None:
        tag = self.tag
        if tag is not None and value.get(tag[0], tag[1]) != tag[1]:
            raise Unfit(f"is tagged {value[tag[0]]!r}, not {tag[1]!r}")
        if self.is_closed:
            known = {field.stored for field in self.fields} | ({tag[0]} if tag else set())
            for name in value:
                if name not in known:
                    raise Unfit(f"has `{name}`, which {self.name} does not have")

    def _other(self, value: Any) -> Unfit:
        if isinstance(value, self._kind):
            kind = type(value).__qualname__
            return Unfit(f"is {kind}, which would come back as {self.name}; annotate it with {kind} or a union of both")
        return forms.misfit(value, self.name)


class TypedDictionary(Record):
    """A `TypedDict`: a dict with exactly the keys that it names."""

    def accepts(self, value: Any) -> bool:
        return type(value) is dict

    def encode(self, value: Any) -> Json:
        if type(value) is not dict:
            raise forms.misfit(value, self.name)
        result: dict[str, Json] = {}
        for field in self.fields:
            if field.name in value:
                try:
                    result[field.name] = field.form.encode(value[field.name])
                except Unfit as unfit:
                    unfit.within(forms.key_part(field.name))
                    raise
            elif field.required:
                raise Unfit(f"lacks {field.name!r} of {self.name}")
        if len(result) < len(value):
            surplus = next(key for key in value if key not in result)
            raise Unfit(f"has {surplus!r}, which {self.name} does not have")
        return result


class Listed(Record):
    """A struct that msgspec writes as a list (`array_like=True`)."""

    shapes = frozenset({forms.ARRAY})

    def encode(self, value: Any) -> Json:
        return list(super().encode(value).values())

    def decode(self, value: Json) -> Any:
        if type(value) is not list:
            raise forms.misfit(value, self.name)
        names = [self.tag[0]] if self.tag is not None else []
        names += [field.stored for field in self.fields]
        return super().decode(dict(zip(names, value, strict=False)))


def decode_field(field: Field, value: Json) -> Any:
    """Give the value of a field. Raises Unfit, whose path begins with the field."""
    try:
        return field.form.decode(value)
    except Unfit as unfit:
        unfit.within(forms.key_part(field.stored))
        raise


class Union(Form):
    """One of several forms. Those that share a shape of JSON with another say in it which one they are.

    A plain value of JSON (text, a number, ...) never does. JSON that does not say it, such as the input that a person wrote,
    is of the first member that it fits, plain ones first.
    """

    def __init__(self, members: list[Form]) -> None:
        self.name = " | ".join(member.name for member in members)
        self.shapes = frozenset().union(*(member.shapes for member in members))
        self.members = members
        self._members = sorted(members, key=lambda member: not member.native)
        self._tagged = _tagged(members)
        if self._tagged:
            self.shapes |= {forms.OBJECT}

    def accepts(self, value: Any) -> bool:
        return any(member.accepts(value) for member in self._members)

    def encode(self, value: Any) -> Json:
        fitting = [member for member in self._members if member.accepts(value)]
        if not fitting:
            raise Unfit(f"is {forms.seen(value)}, not {self.name}")
        for member in fitting[:-1]:
            try:
                return self._tag(member, member.encode(value))
            except Unfit:
                continue
        return self._tag(fitting[-1], fitting[-1].encode(value))

    def _tag(self, member: Form, encoded: Json) -> Json:
        if member.name not in self._tagged:
            return encoded
        if isinstance(member, Record) and type(encoded) is dict:
            return {TYPE: member.name, **encoded}
        return {TYPE: member.name, VALUE: encoded}

    def decode(self, value: Json) -> Any:
        if self._tagged and type(value) is dict and value.get(TYPE) in self._tagged:
            return self._decode_tagged(self._tagged[value[TYPE]], value)
        fitting = [member for member in self._members if forms.shape(value) in member.shapes]
        if not fitting:
            raise Unfit(f"is {forms.seen(value)}, not {self.name}")
        for member in fitting[:-1]:
            try:
                return member.decode(value)
            except Unfit:
                continue
        return fitting[-1].decode(value)

    def _decode_tagged(self, member: Form, value: dict[str, Json]) -> Any:
        if isinstance(member, Record) and not isinstance(member, Listed):
            return member.decode({name: item for name, item in value.items() if name != TYPE})
        return member.decode(value.get(VALUE))


def _tagged(members: list[Form]) -> dict[str, Form]:
    """Give the members, by name, that must say in JSON which one they are."""
    foreign = [member for member in members if not member.native]
    tagged = {
        member.name: member
        for member in foreign
        if any(member.shapes & other.shapes for other in members if other is not member)
    }
    if tagged:  # an object that says it must not be taken for one that happens to look like it
        tagged |= {member.name: member for member in foreign if forms.OBJECT in member.shapes}
    return tagged
