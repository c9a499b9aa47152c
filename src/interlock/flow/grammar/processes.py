"""What `run` executes: containers, scripts, shell commands, other workflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.authentication import RESOURCE
from interlock.flow.grammar.shapes import Boolean, Choice, Record, Shape, Text
from interlock.flow.grammar.values import DURATION, FREE_MAP, PLAIN_TEXT, TASK_LEVEL, TEXT, TEXTS
from interlock.model.json import Json


@dataclass(frozen=True, slots=True)
class _Lifetime:
    """`after` must stand beside `cleanup: eventually`, and nowhere else."""

    record: Record
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        self.record.check(value, path, findings)
        if not isinstance(value, dict) or "cleanup" not in value:
            return
        is_eventual = value["cleanup"] == "eventually"
        if is_eventual and "after" not in value:
            message = "`cleanup: eventually` needs `after`"
            findings.add("missing-property", message, path, at_key=True, expected="after")
        elif not is_eventual and "after" in value:
            message = "`after` is of use only with `cleanup: eventually`"
            findings.add("exclusive-properties", message, pointer.child(path, "after"), at_key=True)


_RUN_LEVEL: Final = {**TASK_LEVEL, **dict.fromkeys(("await", "return"), "under `run`, one level up")}
_PROCESS: Final[dict[str, Shape]] = {"stdin": TEXT, "arguments": TEXTS, "environment": FREE_MAP}
_CONTAINER: Final = Record(
    who="`container`",
    fields={
        **_PROCESS,
        "image": TEXT,
        "name": TEXT,
        "command": Text(role=Role.COMMAND),
        "ports": FREE_MAP,
        "volumes": FREE_MAP,
        "lifetime": _Lifetime(
            Record(
                who="`lifetime`",
                fields={"cleanup": Choice(("always", "never", "eventually")), "after": DURATION},
                required=("cleanup",),
            )
        ),
        "pullPolicy": Choice(("ifNotPresent", "always", "never")),
    },
    required=("image",),
    homes=_RUN_LEVEL,
)
_SCRIPT: Final = Record(
    who="`script`",
    fields={"language": PLAIN_TEXT, "code": PLAIN_TEXT, "source": RESOURCE, **_PROCESS},
    required=("language",),
    one_of=(("code", "source"),),
    homes=_RUN_LEVEL,
)
_SHELL: Final = Record(
    who="`shell`",
    fields={"command": Text(role=Role.COMMAND), **_PROCESS},
    required=("command",),
    homes=_RUN_LEVEL,
)
_SUBFLOW: Final = Record(
    who="`workflow`",
    fields={"namespace": TEXT, "name": TEXT, "version": TEXT, "input": FREE_MAP},
    required=("namespace", "name", "version"),
    homes=_RUN_LEVEL,
)
PROCESSES: Final = ("container", "script", "shell", "workflow")
RUN: Final = Record(
    who="`run`",
    fields={
        "container": _CONTAINER,
        "script": _SCRIPT,
        "shell": _SHELL,
        "workflow": _SUBFLOW,
        "await": Boolean(),
        "return": Choice(("stdout", "stderr", "code", "all", "none")),
    },
    one_of=(PROCESSES,),
    homes=TASK_LEVEL,
)
