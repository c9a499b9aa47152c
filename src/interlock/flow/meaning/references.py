"""What names stand for: the reusable components of `use`, functions, catalogs, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.calls import CALLS
from interlock.flow.grammar.shapes import quoted
from interlock.model import duration
from interlock.model.json import Json

DEFAULT_CATALOG: Final = "default"
PYTHON: Final = "python:"
_PYTHON_PATH: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z")
_CATALOGED: Final = re.compile(r"([^:@]+):([^:@]+)@([^:@]+)\Z")
_URI: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://|file:")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of reference: its section of `use`, and what one thing of the kind is called."""

    role: Role
    section: str
    thing: str

    @property
    def code(self) -> str:
        return f"unknown-{self.thing}"


_KINDS: Final = (
    _Kind(Role.AUTHENTICATION_NAME, "authentications", "authentication"),
    _Kind(Role.ERROR_NAME, "errors", "error"),
    _Kind(Role.RETRY_NAME, "retries", "retry"),
    _Kind(Role.SECRET_NAME, "secrets", "secret"),
    _Kind(Role.TIMEOUT_NAME, "timeouts", "timeout"),
)


def check(value: Json, findings: Findings) -> None:
    """Note names that stand for nothing, functions that call themselves, and components that nothing uses."""
    use = value.get("use") if isinstance(value, dict) else None
    sections: dict[str, Json] = use if isinstance(use, dict) else {}
    for kind in _KINDS:
        _check_kind(kind, _names(sections, kind.section), findings)
    _check_functions(sections, findings)


def is_uri(function: str) -> bool:
    """Say whether a called function is named by its URI."""
    return _URI.match(function) is not None


def catalog_of(function: str) -> str | None:
    """Give the catalog of `name:version@catalog`, None for every other name."""
    match = _CATALOGED.match(function)
    return match.group(3) if match else None


def function_calls(findings: Findings) -> Iterator[tuple[str, str]]:
    """Give the place of `call` and the name of each function that is called; protocols are none."""
    for path, task in findings.places[Role.TASK]:
        function = task.get("call")
        if isinstance(function, str) and function not in CALLS:
            yield f"{path}/call", function


def _names(sections: dict[str, Json], section: str) -> list[str]:
    content = sections.get(section)
    if isinstance(content, dict):
        return list(content)
    return [name for name in content if isinstance(name, str)] if isinstance(content, list) else []


def _check_kind(kind: _Kind, names: list[str], findings: Findings) -> None:
    used = findings.places[kind.role]
    for path, name in used:
        if name not in names:
            near = nearest.name(name, names)
            message = f"`use.{kind.section}` has no {quoted(name)}{_advice(kind, name, near, names)}"
            findings.add(kind.code, message, path, found=name, nearest=near)
    if kind.role is not Role.SECRET_NAME:  # a secret is used by expressions too
        _warn_unused(kind.section, set(names) - {name for _, name in used}, findings)


def _advice(kind: _Kind, name: str, near: str | None, names: list[str]) -> str:
    if kind.role is Role.TIMEOUT_NAME and _is_duration(name):
        return f"; a timeout given as text is a name, write `{{after: {name}}}`"
    if near:
        return f"; did you mean `{near}`?"
    return f"; it has {', '.join(f'`{known}`' for known in names[:8])}" if names else f"; define the {kind.thing} there"


def _is_duration(text: str) -> bool:
    try:
        duration.parse(text)
    except ValueError:
        return False
    return True


def _warn_unused(section: str, unused: set[str], findings: Findings) -> None:
    for name in sorted(unused):
        path = pointer.child(f"/use/{section}", name)
        findings.warn("unused", f"nothing uses {quoted(name)}", path, at_key=True)


# -- functions -------------------------------------------------------------------------------------------------------


def _check_functions(sections: dict[str, Json], findings: Findings) -> None:
    functions = _names(sections, "functions")
    catalogs = [*_names(sections, "catalogs"), DEFAULT_CATALOG]
    called = list(function_calls(findings))
    for path, function in called:
        if function not in functions:
            _check_foreign(path, function, functions, catalogs, findings)
    _warn_unused("functions", set(functions) - {function for _, function in called}, findings)
    _check_circles(functions, called, findings)


def _check_foreign(path: str, function: str, functions: list[str], catalogs: list[str], findings: Findings) -> None:
    if function.startswith(PYTHON):
        if not _PYTHON_PATH.match(function.removeprefix(PYTHON)):
            message = f"{quoted(function)} names no Python function; write python:package.module:function"
            findings.add("unknown-function", message, path, found=function)
        return
    if is_uri(function):
        return
    catalog = catalog_of(function)
    if catalog is None:
        near = nearest.name(function, [*functions, *CALLS])
        advice = f"; did you mean `{near}`?" if near else "; define it under `use.functions`"
        message = f"no function is called {quoted(function)}{advice}"
        findings.add("unknown-function", message, path, found=function, nearest=near)
    elif catalog not in catalogs:
        near = nearest.name(catalog, catalogs)
        advice = f"; did you mean `{near}`?" if near else "; define it under `use.catalogs`"
        message = f"no catalog is called {quoted(catalog)}{advice}"
        findings.add("unknown-catalog", message, path, found=catalog, nearest=near)


def _check_circles(functions: list[str], called: list[tuple[str, str]], findings: Findings) -> None:
    """Note each function that calls itself, straight or through others; it could never be unfolded."""
    calls: dict[str, list[str]] = {}
    for name in functions:
        prefix = pointer.child("/use/functions", name) + "/"
        calls[name] = [function for path, function in called if path.startswith(prefix) and function in functions]
    noted: set[str] = set()
    for name in functions:
        circle = _circle(name, calls)
        if circle and not noted.intersection(circle):
            noted.update(circle)
            way = " → ".join(f"`{step}`" for step in [*circle, name])
            path = pointer.child("/use/functions", name)
            findings.add("circular-function", f"a function calls itself: {way}", path, at_key=True)


def _circle(start: str, calls: dict[str, list[str]]) -> list[str]:
    """Give a shortest way from `start` back to itself, without the return; empty when there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for step in calls[way[-1]]:
            if step == start:
                return way
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []
