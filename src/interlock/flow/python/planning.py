"""Plans the form of an annotation, once."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from interlock.flow.python import containers, forms, pydantic, records, scalars
from interlock.flow.python.forms import Form
from interlock.flow.python.records import Field, Record

ADVICE: Final = "use a dataclass, a pydantic model, a msgspec.Struct, a TypedDict or plain JSON"

_NONE: Final = scalars.Scalar("None", frozenset({type(None)}))
_NAMED: Final[dict[type, Form]] = {
    **{text.kind: text for text in scalars.texts()},
    object: forms.Anything(),
    str: scalars.Scalar("str", frozenset({str})),
    bool: scalars.Scalar("bool", frozenset({bool})),
    int: scalars.Scalar("int", frozenset({int, bool})),
    float: scalars.Scalar("float", frozenset({float, int, bool})),
    type(None): _NONE,
}
_ANYTHING: Final = _NAMED[object]
_ABSENT: Final[tuple[Any, ...]] = (None, typing.NoReturn, typing.Never)
_WRAPPERS: Final[tuple[Any, ...]] = (typing.Annotated, typing.Required, typing.NotRequired, typing.Final)
_LISTS: Final = (list, tuple)
_SETS: Final = (set, frozenset)
_ITEMS: Final[dict[Any, tuple[Callable[[list[Any]], collections.abc.Collection[Any]], ...]]] = {
    list: (list,),
    set: (set,),
    frozenset: (frozenset,),
    collections.abc.Sequence: _LISTS,
    collections.abc.MutableSequence: _LISTS,
    collections.abc.Collection: _LISTS,
    collections.abc.Iterable: _LISTS,
    collections.abc.Set: _SETS,
    collections.abc.MutableSet: _SETS,
}
_TABLES: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class Unsupported(Exception):
    """An annotation that nothing can be stored by; the message says which and what to do."""


def form_of(annotation: Any) -> Form:
    """Give the form of an annotation, `inspect.Parameter.empty` included. Raises Unsupported."""
    try:
        hash(annotation)
    except TypeError:  # Annotated with something that has no hash
        return _Planner().plan(annotation)
    return _cached(annotation)


@functools.lru_cache(maxsize=4096, typed=True)
def _cached(annotation: Any) -> Form:
    return _Planner().plan(annotation)


def is_storable(kind: type) -> bool:
    """Say whether a value of this class could be stored if an annotation named it."""
    try:
        form_of(kind)
    except Unsupported:
        return False
    return True


def described(annotation: Any) -> str:
    """Write an annotation as a person would."""
    if annotation is None or annotation is type(None):
        return "None"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(described(argument) for argument in arguments)
    is_special = any(origin is special for special in (typing.Annotated, collections.abc.Callable))
    if is_special:  # what they are given is not only types
        return str(annotation).replace("typing.", "").replace("collections.abc.", "")
    if isinstance(origin, type) and arguments:
        return f"{origin.__qualname__}[{', '.join(described(argument) for argument in arguments)}]"
    if annotation is ...:
        return "..."
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


class _Deferred(Form):
    """Stands for an alias inside of itself."""

    shapes = forms.EVERY
    target: Form

    def __init__(self, name: str) -> None:
        self.name = name

    def accepts(self, value: Any) -> bool:
        return self.target.accepts(value)

    def encode(self, value: Any) -> Any:
        return self.target.encode(value)

    def decode(self, value: Any) -> Any:
        return self.target.decode(value)


class _Planner:
    """Plans one annotation. It remembers what it has begun, since a class or an alias may contain itself."""

    def __init__(self) -> None:
        self._begun: list[tuple[Any, tuple[Any, ...], Form]] = []

    def plan(self, annotation: Any) -> Form:
        """Give the form of an annotation without free type variables. Raises Unsupported."""
        if annotation is Any or annotation is inspect.Parameter.empty:
            return _ANYTHING
        if any(annotation is absent for absent in _ABSENT):
            return _NONE
        if isinstance(annotation, typing.TypeVar):
            return self.plan(_substituted(annotation, {}))
        if isinstance(annotation, typing.NewType):
            return self.plan(annotation.__supertype__)
        origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
        if any(origin is wrapper for wrapper in _WRAPPERS):
            return self.plan(arguments[0] if arguments else Any)
        if isinstance(origin, type):
            return _NAMED.get(origin) or self._plan_class(origin, arguments, annotation)
        if origin is typing.Union:
            return self._plan_union(arguments)
        if origin is typing.Literal:
            return scalars.Chosen({(type(value), value): self.plan(type(value)) for value in arguments})
        if hasattr(origin, "__value__"):
            return self._plan_alias(origin, arguments)
        raise Unsupported(_refusal(annotation))

    def _plan_class(self, kind: type, arguments: tuple[Any, ...], annotation: Any) -> Form:
        if kind is types.UnionType:
            return self._plan_union(arguments)
        if kind in _ITEMS:
            return containers.Items(kind.__name__, _ITEMS[kind], self.plan(arguments[0] if arguments else Any))
        if kind in _TABLES:
            key, value = arguments or (str, Any)
            return containers.Table(kind.__name__, self.plan(key), self.plan(value))
        if kind is tuple:
            return self._plan_tuple(arguments, annotation)
        if issubclass(kind, enum.Enum):
            return scalars.Members(kind)
        return self._plan_fields(kind, arguments, annotation)

    def _plan_tuple(self, arguments: tuple[Any, ...], annotation: Any) -> Form:
        if annotation is tuple or annotation is typing.Tuple:  # noqa: UP006 (its bare spelling is another object)
            arguments = (Any, ...)
        if len(arguments) == 2 and arguments[1] is ...:
            return containers.Items("tuple", (tuple,), self.plan(arguments[0]))
        items = tuple(self.plan(argument) for argument in arguments)
        row = containers.Row(f"tuple[{', '.join(item.name for item in items) or '()'}]", tuple)
        row.items = items
        return row

    def _plan_union(self, arguments: tuple[Any, ...]) -> Form:
        members: list[Form] = []
        for argument in arguments:
            form = self.plan(argument)
            members += form.members if isinstance(form, records.Union) else [form]
        if _ANYTHING in members:
            return _ANYTHING
        names = [member.name for member in members]
        for name in names:
            if names.count(name) > 1 and members[names.index(name)] not in _NAMED.values():
                raise Unsupported(f"has two members that are called {name}; rename one of them")
        return records.Union(members)

    def _plan_alias(self, alias: Any, arguments: tuple[Any, ...]) -> Form:
        begun = self._find(alias, arguments)
        if begun is not None:
            return begun
        deferred = _Deferred(described(alias[arguments] if arguments else alias))
        self._begun.append((alias, arguments, deferred))
        variables = dict(zip(alias.__type_params__, arguments, strict=False))
        deferred.target = self.plan(_substituted(alias.__value__, variables))
        return deferred.target

    def _find(self, origin: Any, arguments: tuple[Any, ...]) -> Form | None:
        """Look by equality: what annotations are made of has not always a hash."""
        found = (form for begun, given, form in self._begun if begun is origin and given == arguments)
        return next(found, None)

    def _plan_fields(self, kind: type, arguments: tuple[Any, ...], annotation: Any) -> Form:
        begun = self._find(kind, arguments)
        if begun is not None:
            return begun
        name = described(annotation)
        if typing.is_typeddict(kind):
            return self._plan_typed_dictionary(records.TypedDictionary(name, dict, dict), kind, arguments)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return self._plan_named_tuple(name, kind, arguments)
        if issubclass(kind, msgspec.Struct):
            return self._plan_struct(name, kind, arguments)
        if dataclasses.is_dataclass(kind):
            return self._plan_dataclass(name, kind, arguments)
        if pydantic.is_known(kind):
            return _pydantic(kind)
        raise Unsupported(_refusal(annotation))

    def _plan_typed_dictionary(self, record: Record, kind: Any, arguments: tuple[Any, ...]) -> Form:
        self._begun.append((kind, arguments, record))
        variables = _variables(kind, arguments)
        record.fields = tuple(
            Field(
                name=name,
                stored=name,
                form=self.plan(_substituted(hint, variables)),
                required=_is_required(kind, name, hint),
            )
            for name, hint in _resolved(kind).items()
        )
        return record

    def _plan_named_tuple(self, name: str, kind: Any, arguments: tuple[Any, ...]) -> Form:
        row = containers.Row(name, kind, defaults=len(kind._field_defaults))
        self._begun.append((kind, arguments, row))
        hints = _field_hints(kind, arguments)
        row.items = tuple(self.plan(hints.get(field, Any)) for field in kind._fields)
        return row

    def _plan_struct(self, name: str, kind: type[msgspec.Struct], arguments: tuple[Any, ...]) -> Form:
        config = kind.__struct_config__
        record = (records.Listed if config.array_like else Record)(name, kind, kind)
        self._begun.append((kind, arguments, record))
        hints = _field_hints(kind, arguments)
        record.is_closed = config.forbid_unknown_fields
        if config.tag is not None:
            record.tag = (config.tag_field or "type", config.tag)
        record.fields = tuple(
            Field(name=field.name, stored=field.encode_name, form=self.plan(hints[field.name]), required=field.required)
            for field in msgspec.structs.fields(kind)
        )
        return record

    def _plan_dataclass(self, name: str, kind: Any, arguments: tuple[Any, ...]) -> Form:
        record = Record(name, kind, kind)
        self._begun.append((kind, arguments, record))
        hints = _field_hints(kind, arguments)
        initial = [key for key, hint in hints.items() if isinstance(hint, dataclasses.InitVar)]
        if initial:
            raise Unsupported(f"is the dataclass {name}, whose `{initial[0]}` is an InitVar that nothing keeps")
        record.fields = tuple(
            Field(
                name=field.name,
                stored=field.name,
                form=self.plan(hints[field.name]),
                given=field.init,
                required=field.init and field.default is field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(kind)
        )
        return record


def _is_required(kind: Any, name: str, hint: Any) -> bool:
    origin = typing.get_origin(hint)  # the class itself does not know it where annotations are postponed
    if origin in (typing.Required, typing.NotRequired):
        return origin is typing.Required
    return name in kind.__required_keys__


def _pydantic(kind: type) -> Form:
    try:
        return pydantic.Model(kind)
    except (RuntimeError, NameError) as error:  # what pydantic raises for a schema that it cannot make
        raise Unsupported(f"is the pydantic class {kind.__qualname__}, which is not complete: {error}") from error


def _refusal(annotation: Any) -> str:
    if isinstance(annotation, str | typing.ForwardRef):
        return f"names {annotation!r}, which cannot be found; write the name without quotes"
    return f"is {described(annotation)}, which cannot be stored; {ADVICE}"


def _field_hints(kind: type, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Give the annotation of each field, inherited ones included, with type variables replaced.

    A base may call its variables as its child does and mean others, so each class replaces its own.
    """
    bindings: dict[type, dict[Any, Any]] = {}
    _bind(kind, arguments, bindings)
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        own = inspect.get_annotations(base) if base is not object else {}
        if own:
            resolved = _resolved(base)
            hints |= {name: _substituted(resolved[name], bindings.get(base, {})) for name in own}
    return hints


def _bind(kind: type, arguments: tuple[Any, ...], bindings: dict[type, dict[Any, Any]]) -> None:
    bindings[kind] = variables = _variables(kind, arguments)
    for base in kind.__dict__.get("__orig_bases__", kind.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin is not object and origin is not typing.Generic:
            _bind(origin, tuple(_substituted(item, variables) for item in typing.get_args(base)), bindings)


def _variables(kind: Any, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    return dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))


def _resolved(kind: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise Unsupported(
            f"is {kind.__qualname__}, whose annotations name `{error.name}`, which the module {kind.__module__} does not "
            f"have; import it there, outside of TYPE_CHECKING, or define it at the top of the module"
        ) from error


def _substituted(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """Replace type variables; one that nobody bound is its bound, or anything."""
    if isinstance(annotation, typing.TypeVar):
        return variables.get(annotation, annotation.__bound__ or Any)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(_substituted(parameter, variables) for parameter in parameters)]
