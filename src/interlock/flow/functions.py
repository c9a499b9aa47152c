"""Finds Python functions by name, checks how they are called, and turns what they do into outcomes."""

from __future__ import annotations

import filecmp
import importlib
import inspect
import json as stdlib_json  # strict where ours is generous: no sets, no NaN
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from interlock import errors
from interlock.flow.python import raised, registry, step_context
from interlock.flow.python.step import Step
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Done, Failed, FailureClass, Outcome, PythonTarget


class Unusable(Exception):
    """A function that cannot be called; the message says why and what to do."""


def enter(folder: str) -> None:
    """Let modules of a folder be found."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def allows(allow: tuple[str, ...] | None, function: str) -> bool:
    """Say whether the prefixes of modules in `allow`, None for all, let `package.module:function` be called."""
    module = function.partition(":")[0]
    return allow is None or any(module == prefix or module.startswith(prefix.rstrip(".") + ".") for prefix in allow)


def find(name: str, folder: str) -> Callable[..., Json]:
    """Give the function `package.module:function`; the run's folder is on sys.path. Raises Unusable.

    A step of this process is known by its name, wherever it was made: in a script, in a test.
    """
    if (known := registry.step(name)) is not None:
        return known
    module_name, _, attribute = name.partition(":")
    enter(folder)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Unusable(f"cannot import {module_name!r} for {name!r}: {error} (folder {folder})") from error
    except (Exception, SystemExit) as error:
        raise Unusable(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    _check_origin(module_name, folder)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        what = "no" if found is None else "a value but no"
        raise Unusable(f"the module {module_name!r} has {what} function {attribute!r}")
    return found


def _check_origin(name: str, folder: str) -> None:
    """Raise Unusable when the folder has a module of this name, but another one was imported before it.

    A process has one module per name, while two runs may come from two folders that both have a `steps.py`. A copy of
    the same text is the same module.
    """
    imported = getattr(sys.modules[name], "__file__", None)
    path = os.path.join(folder, *name.split("."))
    own = next((file for file in (path + ".py", os.path.join(path, "__init__.py")) if os.path.isfile(file)), None)
    if own is None or imported is None or own == imported:
        return
    if os.path.isfile(imported) and filecmp.cmp(own, imported, shallow=False):
        return
    raise Unusable(
        f"the module {name!r} of the folder {folder} is hidden by {imported}, which this process has imported before; "
        f"rename it or run the step isolated"
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A function with the arguments of one call, ready to be called."""

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    step: Step[Any, Any] | None
    """The step that the function is, which knows the types of what it takes and gives."""
    undoes: bool

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    def call(self) -> Any:
        """Call the function; an async one gives what is to be awaited."""
        return self.function(*self.args, **self.kwargs)

    def result(self, value: Any) -> Outcome:
        """Give the outcome of a call that returned."""
        if self.step is None:
            return result(value)
        if self.undoes:
            return Done(None, step_context.written())
        try:
            return Done(self.step.signature.encode_result(value), step_context.written())
        except errors.Invalid as error:
            text = Fault(type=fault.RUNTIME, status=500, title="Result cannot be stored", detail=str(error))
            return Failed(FailureClass.INVALID, text)

    def failed(self, error: BaseException) -> Failed:
        """Give the outcome of a call that raised; final for an error that the step is not to be retried for."""
        outcome = failed(error)
        retry_on = None if self.step is None or self.undoes else self.step.options.retry_on
        if retry_on is not None and not isinstance(error, retry_on):
            return msgspec.structs.replace(outcome, final=True)
        return outcome


def prepared(target: PythonTarget, folder: str) -> Prepared:
    """Give the call that a target asks for. Raises Unusable for a function that is not there, or called wrongly."""
    function = find(target.function, folder)
    if not isinstance(function, Step):
        check_call(function, target)
        return Prepared(function, (), target.arguments, None, False)
    arguments = target.arguments["arguments"] if target.undoes else target.arguments
    try:
        args, kwargs = function.signature.call(arguments)
        if not target.undoes:
            return Prepared(function.function, args, kwargs, function, False)
        given = function.signature.decode_result(target.arguments["output"])
    except (errors.Invalid, TypeError) as error:
        raise Unusable(f"{target.function} cannot be called with {sorted(arguments)}: {error}") from error
    undo = function.options.compensate
    if undo is None:
        raise Unusable(f"the step {target.function} names no function that undoes it any more")
    plain = undo.function if isinstance(undo, Step) else undo
    return Prepared(plain, (given, *args), kwargs, function, True)


def check_call(function: Callable[..., Json], target: PythonTarget) -> None:
    """Raise Unusable when the arguments do not fit the function's parameters."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that does not tell
        return
    try:
        signature.bind(**target.arguments)
    except TypeError as error:
        raise Unusable(
            f"{target.function}{signature} cannot be called with {sorted(target.arguments)}: {error}"
        ) from None


def result(value: Json) -> Outcome:
    """Give the outcome of a call that returned; its value must be JSON."""
    try:
        return Done(json.decode(stdlib_json.dumps(value, allow_nan=False)), step_context.written())
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        detail = (
            f"it returned {type(value).__name__}, which is not JSON: {error}; return dicts, lists, strings or numbers"
        )
        return Failed(
            FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500, title="Result is not JSON", detail=detail)
        )


def failed(error: BaseException) -> Failed:
    """Give the outcome of a call that raised."""
    kind = FailureClass.OUT_OF_MEMORY if isinstance(error, MemoryError) else FailureClass.APPLICATION
    return Failed(kind, raised.fault_of(error))


def invalid(detail: str) -> Failed:
    """Give the outcome of a call that could not be made."""
    return Failed(
        FailureClass.INVALID, Fault(type=fault.CONFIGURATION, status=400, title="Function not usable", detail=detail)
    )
