"""Finds Python functions by name, checks how they are called, and turns what they do into outcomes."""

from __future__ import annotations

import filecmp
import importlib
import inspect
import json as stdlib_json  # strict where ours is generous: no sets, no NaN
import os
import sys
from collections.abc import Callable

import msgspec

from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Done, Failed, FailureClass, Outcome, PythonTarget


class Unusable(Exception):
    """A function that cannot be called; the message says why and what to do."""


def find(name: str, folder: str) -> Callable[..., Json]:
    """Give the function `package.module:function`; the run's folder is on sys.path. Raises Unusable."""
    module_name, _, attribute = name.partition(":")
    if folder not in sys.path:
        sys.path.insert(0, folder)
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
        return Done(json.decode(stdlib_json.dumps(value, allow_nan=False)))
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
    # A file name that is not UTF-8 comes with surrogates, which JSON cannot hold.
    detail = str(error).encode("utf-8", "backslashreplace").decode()
    return Failed(kind, Fault(type=fault.RUNTIME, status=500, title=type(error).__name__, detail=detail or None))


def invalid(detail: str) -> Failed:
    """Give the outcome of a call that could not be made."""
    return Failed(
        FailureClass.INVALID, Fault(type=fault.CONFIGURATION, status=400, title="Function not usable", detail=detail)
    )
