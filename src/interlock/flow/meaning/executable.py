"""What this version executes: everything else that the specification knows is valid, and warned about.

`validate` accepts such documents; `run` and `publish` refuse every document with a warning `not-executable-yet`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from interlock.flow import nearest
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.calls import CALLS
from interlock.flow.grammar.shapes import listed, quoted
from interlock.flow.meaning import cron
from interlock.model.json import Json

CODE: Final = "not-executable-yet"
_CALLS: Final = frozenset({"http", "openapi"})
_SCRIPT_LANGUAGES: Final = ("python", "js")
_DSL: Final = "1.0"


def check(value: Json, findings: Findings) -> None:
    """Warn about every construct that is valid but not executable yet; note what never can be executed."""
    root: dict[str, Json] = value if isinstance(value, dict) else {}
    _check_version(root, findings)
    _check_schedule(root, findings)
    for path, thing in _not_yet(root, findings):
        findings.warn(CODE, f"{thing} is valid, but this version cannot execute it yet", path, at_key=True)
    for path, task in findings.places[Role.TASK]:
        _check_script(path, task, findings)


def _not_yet(root: dict[str, Json], findings: Findings) -> Iterator[tuple[str, str]]:
    if "schedule" in root:
        yield "/schedule", "`schedule`"
    for path, task in findings.places[Role.TASK]:
        yield from _not_yet_in_task(path, task)


def _not_yet_in_task(path: str, task: dict[str, Json]) -> Iterator[tuple[str, str]]:
    protocol = task.get("call")
    if isinstance(protocol, str) and protocol in CALLS and protocol not in _CALLS:
        yield f"{path}/call", f"`call: {protocol}`"
    run = task.get("run")
    if not isinstance(run, dict):
        return
    if run.get("await") is False and "workflow" not in run:
        yield f"{path}/run/await", "`await: false`"


def _check_version(root: dict[str, Json], findings: Findings) -> None:
    header = root.get("document")
    dsl = header.get("dsl") if isinstance(header, dict) else None
    if isinstance(dsl, str) and not dsl.startswith(f"{_DSL.split('.')[0]}."):
        message = f"the document is written for version {quoted(dsl)} of the language; this is {_DSL}"
        findings.add("unsupported-dsl", message, "/document/dsl", found=dsl, expected=_DSL)


def _check_schedule(root: dict[str, Json], findings: Findings) -> None:
    schedule = root.get("schedule")
    expression = schedule.get("cron") if isinstance(schedule, dict) else None
    if isinstance(expression, str) and (flaw := cron.flaw(expression)):
        findings.add("invalid-cron", f"{quoted(expression)}: {flaw}", "/schedule/cron", found=expression)


def _check_script(path: str, task: dict[str, Json], findings: Findings) -> None:
    run = task.get("run")
    script = run.get("script") if isinstance(run, dict) else None
    language = script.get("language") if isinstance(script, dict) else None
    if isinstance(language, str) and language not in _SCRIPT_LANGUAGES:
        near = nearest.name(language, _SCRIPT_LANGUAGES)
        advice = f"; did you mean `{near}`?" if near else ""
        message = f"scripts are written in {listed(_SCRIPT_LANGUAGES)}, not in {quoted(language)}{advice}"
        findings.add("unsupported-language", message, f"{path}/run/script/language", found=language, nearest=near)
