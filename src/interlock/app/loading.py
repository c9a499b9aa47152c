"""Finds the Python workflows that somebody names, by importing the modules that they are in."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from interlock import errors
from interlock.flow import functions, nearest
from interlock.flow.python import registry
from interlock.flow.python.workflow import Workflow, program

_REFERENCE: Final = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


def is_reference(text: str) -> bool:
    """Say whether a text names a function as `package.module:function`; a version begins with a digit."""
    return _REFERENCE.match(text) is not None


def published(source: str, folder: Path | None) -> Workflow[Any, Any]:
    """Give the function of a published Python workflow, imported if need be. Raises Invalid."""
    known = program(source)
    found = registry.workflow(known.namespace, known.name, known.version)
    return found or workflow(known.function, (folder or Path.cwd()).absolute())


def workflow(reference: str, folder: Path) -> Workflow[Any, Any]:
    """Import `package.module:function`, which is to be a workflow. Raises Invalid that says what was found instead."""
    module_name, _, name = reference.partition(":")
    module = _imported(module_name, folder)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Workflow):
        return found
    named = [known.function.__qualname__ for known in registry.workflows() if known.function.__module__ == module_name]
    if found is None:
        near = nearest.name(name, named)
        hint = f"; did you mean `{near}`?" if near else f"; its workflows are: {', '.join(named) or 'none'}"
        raise errors.Invalid(f"the module {module_name!r} has no `{name}`{hint}")
    raise errors.Invalid(f"{reference} is {type(found).__name__} and no workflow; decorate it with @workflow")


def load(modules: Sequence[str], folder: Path) -> None:
    """Import the modules of a program, so that this process can execute its workflows. Raises Invalid."""
    for name in modules:
        before = len(registry.workflows())
        _imported(name, folder)
        if len(registry.workflows()) == before and not any(
            known.function.__module__.startswith(name) for known in registry.workflows()
        ):
            raise errors.Invalid(f"importing {name!r} brought no workflow; name the module that has or imports them")


def _imported(name: str, folder: Path) -> object:
    functions.enter(str(folder))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise errors.Invalid(f"there is no module {name!r} in {folder}, nor is it installed") from error
        raise errors.Invalid(f"importing {name!r} failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise errors.Invalid(f"importing {name!r} failed: {type(error).__name__}: {error}") from error
