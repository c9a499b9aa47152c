"""`metadata.interlock` of a task: what the specification lacks, in the place that it leaves free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from interlock.flow import nearest, pointer, requirements
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import kind_of, listed, quoted
from interlock.flow.grammar.tasks import TASK
from interlock.flow.meaning.limits import Limits
from interlock.model import duration
from interlock.model.event import UNDO
from interlock.model.json import Json
from interlock.model.task import FailureClass

KEYS: Final = (
    "compensate", "requires", "pool", "priority", "retry", "await", "isolated", "on_error", "concurrency", "rate",
    "idempotency_key", "cache", "max_interval",
)  # fmt: skip
"""Every key there will be; those without a check below are not built yet."""

_OF_EVERY_NODE: Final = "local"
_IN_NODE: Final = "in-process"

_NOT_OF_AN_UNDO: Final = {
    "then": "it ends where it began, so that nothing comes after it",
    "export": "its context ends with it",
}
_NOT_IN_AN_UNDO: Final = {
    "compensate": "an undo is not undone",
    "on_error": "a rollback goes on after an undo that fails",
}


def check(findings: Findings, limits: Limits) -> None:
    """Note unknown, wrong and not yet built keys, and list their expressions and the tasks that undo others."""
    for path, task in findings.places[Role.TASK]:  # which grows meanwhile by the undos, and what is in them
        metadata = task.get("metadata")
        if isinstance(metadata, dict) and "interlock" in metadata:
            place = f"{path}/metadata/interlock"
            _check_metadata(place, metadata["interlock"], findings, limits)
            _check_place(place, metadata["interlock"], task, findings)


def _check_place(path: str, content: Json, task: Mapping[str, Json], findings: Findings) -> None:
    """Check where a task is to be performed, which depends on what it is."""
    if not isinstance(content, dict):
        return
    pool = content.get("pool")
    if pool == _IN_NODE:
        message = f"`{_IN_NODE}` is the node itself; leave `pool` out"
        findings.add("invalid-metadata", message, f"{path}/pool", at_key=True, found=_IN_NODE)
    elif "pool" in content and not _is_for_pools(task):
        message = "`pool` is for `run` but of workflows, and for `call: python:...`; the node itself performs this task"
        findings.add("invalid-metadata", message, f"{path}/pool", at_key=True)
    elif "pool" in content and content.get("isolated"):
        message = "a task of a pool runs in a process of its own anyway; leave `isolated` out"
        findings.add("invalid-metadata", message, f"{path}/isolated", at_key=True)
    if content.get("requires") and pool in (None, _OF_EVERY_NODE) and not _is_container(task):
        findings.add("invalid-metadata", f"`requires` {requirements.NO_POOL}", f"{path}/requires", at_key=True)


def _is_container(task: Mapping[str, Json]) -> bool:
    """Say whether a task goes to a pool of containers anyway, whose room it may ask for."""
    run = task.get("run")
    return isinstance(run, dict) and "container" in run


def _is_for_pools(task: Mapping[str, Json]) -> bool:
    run, call = task.get("run"), task.get("call")
    if isinstance(run, dict):
        return "workflow" not in run
    return isinstance(call, str) and call.startswith("python:")


def _check_metadata(path: str, content: Json, findings: Findings, limits: Limits) -> None:
    if not isinstance(content, dict):
        findings.add("invalid-metadata", f"`interlock` must be a map, not {kind_of(content)}", path, at_key=True)
        return
    for key, value in content.items():
        place = pointer.child(path, key)
        if key not in KEYS:
            near = nearest.name(key, KEYS)
            advice = f"; did you mean `{near}`?" if near else f"; it knows {listed(list(KEYS), 'and')}"
            message = f"`metadata.interlock` has no `{key}`{advice}"
            findings.add("unknown-metadata", message, place, at_key=True, found=key, nearest=near)
        elif key in _NOT_IN_AN_UNDO and _is_in_undo(path, key):
            message = f"`{key}` has no meaning in `compensate`: {_NOT_IN_AN_UNDO[key]}"
            findings.add("meaningless-in-undo", message, place, at_key=True, found=key)
        elif key == "await":
            continue  # see `meaning.reporting`
        elif key in _CHECKS:
            _CHECKS[key](place, value, findings, limits)
        else:
            message = f"`metadata.interlock.{key}` is known but not built yet"
            findings.warn("not-executable-yet", message, place, at_key=True)


def _is_in_undo(path: str, key: str) -> bool:
    """Say whether a task is an undo or, for `compensate`, within one; a step within one may fail and be passed over."""
    task = path.removesuffix("/metadata/interlock")
    return task.endswith(UNDO) or (key == "compensate" and UNDO in task)


def _check_compensate(place: str, value: Json, findings: Findings, _: Limits) -> None:
    TASK.check(value, place, findings)
    for key in value if isinstance(value, dict) else ():
        if key in _NOT_OF_AN_UNDO:
            message = f"`{key}` has no meaning in `compensate`: {_NOT_OF_AN_UNDO[key]}"
            findings.add("meaningless-in-undo", message, f"{place}/{key}", at_key=True, found=key)


def _refuse(place: str, value: Json, expected: str, findings: Findings) -> None:
    message = f"`{pointer.last(place)}` must be {expected}, not {kind_of(value)}"
    findings.add("invalid-metadata", message, place, at_key=True, expected=expected)


def _check_isolated(place: str, value: Json, findings: Findings, _: Limits) -> None:
    if not isinstance(value, bool):
        _refuse(place, value, "true or false", findings)


def _check_on_error(place: str, value: Json, findings: Findings, _: Limits) -> None:
    if value not in ("continue", "fail"):
        _refuse(place, value, "`continue` or `fail`", findings)


def _check_idempotency_key(place: str, value: Json, findings: Findings, _: Limits) -> None:
    if isinstance(value, str):
        findings.note(Role.EXPRESSION, place, value)
    else:
        _refuse(place, value, "an expression", findings)


def _check_max_interval(place: str, value: Json, findings: Findings, _: Limits) -> None:
    try:
        duration.parse(value)
    except (ValueError, OverflowError):
        _refuse(place, value, "a duration such as PT5M", findings)


def _check_pool(place: str, value: Json, findings: Findings, _: Limits) -> None:
    if not isinstance(value, str) or not requirements.POOL.fullmatch(value):
        _refuse(place, value, "the name of a pool: letters, digits, `.`, `_` and `-`", findings)


def _check_requires(place: str, value: Json, findings: Findings, _: Limits) -> None:
    for mistake in requirements.mistakes(value):
        where = place if mistake.key is None else pointer.child(place, mistake.key)
        code = (
            "unknown-metadata"
            if mistake.key is not None and mistake.key not in requirements.KEYS
            else "invalid-metadata"
        )
        findings.add(code, mistake.message, where, at_key=True, found=mistake.key, nearest=mistake.near)


def _check_retry(place: str, value: Json, findings: Findings, limits: Limits) -> None:
    if not isinstance(value, dict):
        _refuse(place, value, "a map of failure classes to numbers of retries", findings)
        return
    classes = [str(failure) for failure in FailureClass]
    for failure, count in value.items():
        budget = pointer.child(place, failure)
        if failure not in classes:
            near = nearest.name(failure, classes)
            advice = f"; did you mean `{near}`?" if near else f"; there are {listed(classes, 'and')}"
            message = f"no failure class is called {quoted(failure)}{advice}"
            findings.add("unknown-metadata", message, budget, at_key=True, found=failure, nearest=near)
        elif isinstance(count, bool) or not isinstance(count, int) or count < 0:
            _refuse(budget, count, "a number of retries, 0 or more", findings)
        elif count > limits.max_retries:
            message = f"{count} retries; {limits.max_retries} are allowed"
            findings.add("too-many-retries", message, budget, found=str(count))


_CHECKS: Final[dict[str, Callable[[str, Json, Findings, Limits], None]]] = {
    "compensate": _check_compensate,
    "isolated": _check_isolated,
    "on_error": _check_on_error,
    "idempotency_key": _check_idempotency_key,
    "max_interval": _check_max_interval,
    "pool": _check_pool,
    "requires": _check_requires,
    "retry": _check_retry,
}
