"""What `call: approval:1.0.0@default` and `metadata.interlock.await` may say, and on which tasks."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from interlock.expr import template
from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import kind_of, listed, quoted
from interlock.flow.grammar.tasks import kinds_of
from interlock.flow.meaning import schemas
from interlock.flow.reporting import APPROVAL, ARGUMENTS, TASKS, TERMS, TOKEN
from interlock.model import duration
from interlock.model.call import TOKEN_OPERATIONS
from interlock.model.json import Json

_OTHER_APPROVAL: Final = re.compile(r"approval(:[^@]*)?@default")
_NO_EFFECT: Final = (
    "only a call or a run has an effect that can hand a token on; give it to the task that does the work"
)


def check(functions: Collection[str], findings: Findings) -> None:
    """Note wrong questions, and tasks that cannot wait for a report. `functions`: the names of `use.functions`."""
    for path, task in findings.places[Role.TASK]:
        call = task.get("call")
        if call == APPROVAL:
            _check_approval(f"{path}/with", task.get("with", {}), findings)
        elif isinstance(call, str) and _OTHER_APPROVAL.fullmatch(call):
            message = f"there is one version of `approval`: write {APPROVAL}, not {quoted(call)}"
            findings.add("unknown-function", message, f"{path}/call", found=call, nearest=APPROVAL)
        metadata = task.get("metadata")
        content = metadata.get("interlock") if isinstance(metadata, dict) else None
        if isinstance(content, dict) and "await" in content:
            place = f"{path}/metadata/interlock/await"
            _check_await(place, content["await"], findings)
            reason = _unfit(task, functions)
            if reason:
                findings.add("invalid-metadata", f"`await` has no meaning here: {reason}", place, at_key=True)


def _unfit(task: dict[str, Json], functions: Collection[str]) -> str:
    """Say why a task cannot wait for a report; empty when it can."""
    run, call = task.get("run"), task.get("call")
    if call == APPROVAL:
        return "an approval waits for its answer anyway; write `expires` under `with`"
    if call == TASKS:
        return "a task graph is waited for anyway"
    if isinstance(run, dict) and "workflow" in run:
        return "a workflow is waited for anyway; let a step of it wait"
    if isinstance(call, str) and call in functions:
        return f"{quoted(call)} is a task of its own; write `await` there"
    kinds = [kind for kind in kinds_of(task) if kind not in ("call", "run")]
    return f"this is `{kinds[0]}`, and {_NO_EFFECT}" if kinds else ""


# -- values ------------------------------------------------------------------------------------------------------------


def _check_approval(path: str, given: Json, findings: Findings) -> None:
    if not isinstance(given, dict):
        return  # the structure says so
    for key, value in given.items():
        place = pointer.child(path, key)
        if key not in ARGUMENTS:
            _unknown(place, key, "an approval", ARGUMENTS, findings)
        elif key == "expires" and not _is_expression(value):  # which is noted with the other arguments
            _check_duration(place, value, findings)
        elif key == "schema":
            schemas.check_document(place, value, findings)


def _check_await(place: str, value: Json, findings: Findings) -> None:
    terms = value.get(TOKEN) if isinstance(value, dict) and set(value) == {TOKEN} else None
    if value == TOKEN:
        return
    if not isinstance(terms, dict):
        expected = "`token`, or `{token: {expires: 1h, heartbeat: 1m, operations: [complete, fail]}}`"
        message = f"`await` must be {expected}, not {kind_of(value)}"
        findings.add("invalid-metadata", message, place, at_key=True, expected=expected)
        return
    for key, given in terms.items():
        inner = pointer.child(pointer.child(place, TOKEN), key)
        if key not in TERMS:
            _unknown(inner, key, "a token", TERMS, findings)
        elif key == "operations":
            _check_operations(inner, given, findings)
        else:
            _check_duration(inner, given, findings)


def _unknown(place: str, key: str, what: str, known: Collection[str], findings: Findings) -> None:
    near = nearest.name(key, list(known))
    advice = f"; did you mean `{near}`?" if near else f"; it has {listed(list(known), 'and')}"
    message = f"{what} has no `{key}`{advice}"
    findings.add("unknown-metadata", message, place, at_key=True, found=key, nearest=near)


def _check_duration(place: str, value: Json, findings: Findings) -> None:
    if _is_expression(value):
        findings.note(Role.EXPRESSION, place, value)
        return
    if _is_duration(value):
        return
    message = f"`{pointer.last(place)}` must be a duration such as 30s, PT5M or 2h, or an expression"
    findings.add("invalid-metadata", message, place, at_key=True)


def _is_expression(value: Json) -> bool:
    return isinstance(value, str) and template.is_expression(value)


def _is_duration(value: Json) -> bool:
    try:
        return duration.parse(value) > 0
    except (ValueError, OverflowError):
        return False


def _check_operations(place: str, value: Json, findings: Findings) -> None:
    if not isinstance(value, list) or not value:
        message = f"`operations` must be a list of {listed(list(TOKEN_OPERATIONS), 'and')}, not {kind_of(value)}"
        findings.add("invalid-metadata", message, place, at_key=True)
        return
    for number, operation in enumerate(value):
        if operation not in TOKEN_OPERATIONS:
            near = nearest.name(operation, list(TOKEN_OPERATIONS)) if isinstance(operation, str) else None
            advice = f"; did you mean `{near}`?" if near else f"; there are {listed(list(TOKEN_OPERATIONS), 'and')}"
            message = f"a token has no operation {operation!r}{advice}"
            findings.add("invalid-metadata", message, f"{place}/{number}", found=str(operation), nearest=near)
