"""The calls of a function as data: bound, stored, told apart, and made again."""

from __future__ import annotations

import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from types import FunctionType
from typing import Any, Final

from interlock.errors import Invalid, Misfit
from interlock.flow import nearest
from interlock.flow.python import forms
from interlock.flow.python.values import MISSING, Coder
from interlock.model.json import Json

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_DIGEST_BYTES: Final = 8


class Signature:
    """What a function takes and gives.

    `what` names the function in errors: "step `price`". Its annotations are resolved when they are first needed, since they
    may name what its module defines later; `names` are those that its module does not have, such as local classes.
    Raises Invalid for what is no plain function.
    """

    def __init__(self, function: Callable[..., Any], what: str = "", names: Mapping[str, Any] | None = None) -> None:
        self.function = _checked(function)
        self.what = what or f"the function `{self.function.__qualname__}`"
        self.is_async = inspect.iscoroutinefunction(self.function)
        self.parameters: Mapping[str, Parameter] = inspect.signature(self.function).parameters
        self._names = names
        self._bind = _binder(self.function, self.parameters.values())
        kinds = {parameter.kind: name for name, parameter in self.parameters.items()}
        self._rest = kinds.get(Parameter.VAR_POSITIONAL)
        self._keywords = kinds.get(Parameter.VAR_KEYWORD)
        self._in_order = self._rest is not None or Parameter.POSITIONAL_ONLY in kinds

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give each parameter its value, defaults included. Raises TypeError as the function itself would."""
        return self._bind(*args, **kwargs)

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Json]:
        """Give the arguments of a call as JSON, by name; what equals its default is left out.

        So a parameter with a default can be added later, and the call is still the same one. Raises TypeError or Misfit.
        """
        arguments: dict[str, Json] = {}
        for name, value in self._bind(*args, **kwargs).items():
            parameter = self.parameters[name]
            if value is parameter.default or (name in (self._rest, self._keywords) and not value):
                continue
            encoded = self._coders[name].encode(value)
            if type(value) is not type(parameter.default) or forms.canonical(encoded) != self._defaults.get(name):
                arguments[name] = encoded
        return arguments

    def call(self, arguments: Mapping[str, Json]) -> tuple[list[Any], dict[str, Any]]:
        """Give what to call the function with. Raises Misfit for arguments that are missing, unknown or do not fit."""
        values = {name: self._coders[name].decode(value) for name, value in self._arranged(arguments).items()}
        missing = [name for name, parameter in self.parameters.items() if name not in values and _is_needed(parameter)]
        if missing:
            raise Misfit(f"{self.what} needs `{missing[0]}`; it was given {_listed(arguments)}")
        args: list[Any] = []
        if self._in_order:
            positional = [parameter for parameter in self.parameters.values() if parameter.kind in _POSITIONAL]
            args += [values.pop(parameter.name, parameter.default) for parameter in positional]
        args += values.pop(self._rest, ()) if self._rest else ()
        keywords = values.pop(self._keywords, {}) if self._keywords else {}
        return args, {**values, **keywords}

    def encode_result(self, value: Any) -> Json:
        """Give the JSON of what the function returned. Raises Misfit."""
        return self._result.encode(value)

    def decode_result(self, value: Json) -> Any:
        """Give what the function returned. Raises Misfit."""
        return self._result.decode(value)

    def _arranged(self, arguments: Mapping[str, Json]) -> Mapping[str, Json]:
        """Put arguments that no parameter has the name of among the keywords that the function takes besides."""
        unknown = [name for name in arguments if name not in self.parameters]
        if not unknown:
            return arguments
        if self._keywords is None:
            meant = nearest.name(unknown[0], self.parameters)
            hint = f"; did you mean `{meant}`?" if meant else f"; it takes {_listed(self.parameters)}"
            raise Misfit(f"{self.what} has no parameter `{unknown[0]}`{hint}")
        known = {name: value for name, value in arguments.items() if name in self.parameters}
        more = {name: arguments[name] for name in unknown}
        return {**known, self._keywords: {**known.get(self._keywords, {}), **more}}

    @functools.cached_property
    def _coders(self) -> dict[str, Coder]:
        return {name: self._planned(name, parameter) for name, parameter in self.parameters.items()}

    def _planned(self, name: str, parameter: Parameter) -> Coder:
        annotation = self._annotations.get(name, MISSING)
        each = Any if annotation is MISSING else annotation
        stars = ""
        if parameter.kind is Parameter.VAR_POSITIONAL:
            annotation, stars = tuple.__class_getitem__((each, ...)), "*"
        elif parameter.kind is Parameter.VAR_KEYWORD:
            annotation, stars = dict.__class_getitem__((str, each)), "**"
        return Coder(annotation, f"the argument `{stars}{name}` of {self.what}", f"{stars}{name}: {{}}")

    @functools.cached_property
    def _result(self) -> Coder:
        return Coder(self._annotations.get("return", MISSING), f"the result of {self.what}", "-> {}")

    @functools.cached_property
    def _annotations(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self.function, localns=dict(self._names or {}), include_extras=True)
        except NameError as error:
            raise Invalid(
                f"an annotation of {self.what} names `{error.name}`, which the module {self.function.__module__} does not "
                f"have; import it there, outside of TYPE_CHECKING, or define it at the top of the module"
            ) from error

    @functools.cached_property
    def _defaults(self) -> dict[str, bytes]:
        """The JSON text of each default that has one."""
        texts: dict[str, bytes] = {}
        for name, parameter in self.parameters.items():
            if parameter.default is MISSING:
                continue
            try:
                texts[name] = forms.canonical(self._coders[name].encode(parameter.default))
            except Misfit:  # a default such as `...` stands for itself
                continue
        return texts


def digest(arguments: Mapping[str, Json]) -> str:
    """Give 16 hexadecimal characters that tell arguments apart; the order of names and keys does not count."""
    return hashlib.blake2b(forms.canonical(arguments), digest_size=_DIGEST_BYTES).hexdigest()


def _checked(function: Any) -> FunctionType:
    advice = "make it a function of a module, or a staticmethod"
    if isinstance(function, staticmethod):
        function = function.__func__
    name = getattr(function, "__qualname__", None) or repr(function)
    if not isinstance(function, FunctionType):
        raise Invalid(f"`{name}` is {type(function).__name__}; workflows and steps are functions: {advice}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise Invalid(f"`{name}` is a generator, which cannot be stored half-way; return a list instead of yielding")
    first = next(iter(inspect.signature(function).parameters), None)
    owner = function.__qualname__.rpartition(".")[0]
    if first in ("self", "cls") and owner and not owner.endswith("<locals>"):
        raise Invalid(
            f"`{name}` is a method; workflows and steps are functions, without a `{first}` to store: {advice}"
        )
    return function


def _binder(function: FunctionType, parameters: typing.Iterable[Parameter]) -> Callable[..., dict[str, Any]]:
    """Make a function of the same parameters that gives them by name.

    Python itself binds the call then: as fast as it calls, and with its own words for a wrong one.
    """
    bare = inspect.Signature(
        [
            parameter.replace(annotation=MISSING, default=MISSING if parameter.default is MISSING else _Default(name))
            for parameter in parameters
            for name in [parameter.name]
        ]
    )
    names = ", ".join(f"{name!r}: {name}" for name in bare.parameters)
    defaults = {f"_default_{parameter.name}": parameter.default for parameter in parameters}
    source = f"lambda {str(bare)[1:-1]}: {{{names}}}"
    binder: FunctionType = eval(source, defaults)  # noqa: S307 (made of the parameters' names alone, as dataclasses are)
    binder.__qualname__ = function.__qualname__
    return binder


class _Default:
    """Reads as the name of a default."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"_default_{self._name}"


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is MISSING and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _listed(names: typing.Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
