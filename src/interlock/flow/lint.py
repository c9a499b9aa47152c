"""Habits of other systems that are valid here and mean something else, or nothing.

Slips that make a document wrong are answered where they are found, with the name that was meant (`nearest`); these do
not, and are only warned about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import listed
from interlock.model.json import Json

_ERROR_FIELDS: Final = ("type", "status", "instance", "title", "detail")


def check(value: Json, findings: Findings) -> None:
    """Warn about merge keys, error filters that compare nothing, and races of one."""
    for path in _merge_keys("", value):
        message = "`<<` is an ordinary key in YAML 1.2 and merges nothing; write the properties out"
        findings.warn("merge-key", message, path, at_key=True)
    for path, task in findings.places[Role.TASK]:
        _check_filter(path, task, findings)
        _check_race(path, task, findings)


def _merge_keys(path: str, value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            place = pointer.child(path, key)
            if key == "<<":
                yield place
            yield from _merge_keys(place, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _merge_keys(f"{path}/{index}", item)


def _check_filter(path: str, task: dict[str, Json], findings: Findings) -> None:
    catch = task.get("catch")
    errors = catch.get("errors") if isinstance(catch, dict) else None
    content = errors.get("with") if isinstance(errors, dict) else None
    if isinstance(content, dict) and content and not any(name in content for name in _ERROR_FIELDS):
        message = f"errors have {listed(_ERROR_FIELDS, 'and')}; this filter names none of them"
        findings.warn("empty-filter", message, f"{path}/catch/errors/with", at_key=True)


def _check_race(path: str, task: dict[str, Json], findings: Findings) -> None:
    fork = task.get("fork")
    branches = fork.get("branches") if isinstance(fork, dict) else None
    if isinstance(fork, dict) and isinstance(branches, list) and len(branches) == 1 and fork.get("compete") is True:
        findings.warn("lonely-race", "one branch has nobody to compete with", f"{path}/fork/compete", at_key=True)
