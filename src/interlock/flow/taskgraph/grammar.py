"""What a task graph may look like: the shapes of its document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from interlock.flow.findings import Findings
from interlock.flow.grammar.patterns import about_name, is_name
from interlock.flow.grammar.shapes import (
    Anything,
    Boolean,
    Choice,
    Either,
    Integer,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    kind_of,
    label,
    wrong_type,
)
from interlock.flow.nearest import name as nearest_name
from interlock.flow.taskgraph import targets
from interlock.model import duration
from interlock.model.json import Json
from interlock.model.task import FailureClass
from interlock.model.task_graph import RetryTerms

TARGETS: Final = ("run", "python", "container", "workflow", "agent")
"""What a task can be; it is exactly one of them."""
OF_PROGRAMS: Final = frozenset(
    {"environment", "stdin", "required_skill", "skills", "pool", "cpu", "memory", "gpu", "labels", "workspace"}
)
"""What a workflow has no use for, since its run is no process; those of `defaults` do not count for it."""
OF_PROCESSES: Final = frozenset({"environment", "stdin"})
"""What a function has no use for, since it is called with arguments; those of `defaults` do not count for it."""
MOST_RETRIES: Final = 1000
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")
_NO_BRANCH: Final = re.compile(
    r"\A\Z|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:\A|/)\.|\.lock(?:/|\Z)|\A[-/]|[/.]\Z|\A(?:@|HEAD)\Z"
)
"""What `git check-ref-format --branch` refuses."""
_MEGABYTES: Final = {
    "": 1.0,
    "mb": 1.0,
    "mib": 1.0,
    "m": 1.0,
    "mi": 1.0,
    "gb": 1000.0,
    "g": 1000.0,
    "gib": 1024.0,
    "gi": 1024.0,
}
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*\Z")


def megabytes(value: Json) -> float | None:
    """Give an amount of memory in megabytes, from a number of them or a text such as `4 GiB`; None: it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if value >= 0 else None
    found = _SIZE.match(value) if isinstance(value, str) else None
    unit = _MEGABYTES.get(found[2].lower()) if found else None
    return None if found is None or unit is None else float(found[1]) * unit


def seconds(value: Json) -> float | None:
    """Give a duration in seconds, from any form that Interlock knows; None: it is none."""
    try:
        return duration.parse(value)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _Read:
    """A value that `read` understands."""

    expected: str
    read: Callable[[Json], object | None]
    code: str = "invalid-value"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if self.read(value) is None:
            message = f"{label(path)} must be {self.expected}, not {kind_of(value)}"
            findings.add(self.code, message, path, found=str(value), expected=self.expected)


def _some_seconds(value: Json) -> float | None:
    return seconds(value) or None


def _amount(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


class _Command:
    """A list of arguments. A text would have to be read by a shell, so it says where that is written."""

    expected = "a list of arguments, such as [my-agent, -p, text]"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, str):
            advice = "; no shell reads it, so write the arguments apart, or `run: {shell: ...}` for a command line"
            wrong_type(value, path, findings, self.expected, advice)
        else:
            ListOf(targets.PLAIN, minimum=1).check(value, path, findings)
            if isinstance(value, list) and value and isinstance(value[0], str) and not value[0].strip():
                findings.add("empty", "the first argument names the program, and is empty", f"{path}/0")


class _Run:
    """What `run` executes: arguments, or a command line for a shell."""

    expected = "a list of arguments, or a map with `shell`"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, dict):
            _SHELL.check(value, path, findings)
        else:
            _Command().check(value, path, findings)


class Retry:
    """Budgets by failure class, `max_attempts`, and the wait between attempts."""

    expected = "a map of budgets"

    def __init__(self, record: Record) -> None:
        self.record: Final = record

    def check(self, value: Json, path: str, findings: Findings) -> None:
        self.record.check(value, path, findings)
        if isinstance(value, dict) and "max_attempts" in value and FailureClass.APPLICATION in value:
            message = "`max_attempts` counts executions of the work and `application` its retries; give one of them"
            findings.add("exclusive-properties", message, f"{path}/application", at_key=True)


DURATION: Final = _Read("a duration such as 30s, 5m or PT2H", seconds, "invalid-duration")
SOME_TIME: Final = _Read("a duration above 0, such as 30s, 5m or PT2H", _some_seconds, "invalid-duration")
MEMORY: Final = _Read("megabytes, or a size such as 4 GiB", megabytes)
CORES: Final = _Read("a number of cores, 0 or more", _amount)
_ID_TEXT: Final = Text(
    "an id: letters, digits, `.`, `_`, `:` and `-`, at most 128",
    lambda text: _ID.match(text) is not None,
    "invalid-name",
)
_NAME: Final = Text("a valid name", is_name, "invalid-name", about_name)
_FILLED: Final = Text("text that is not empty", lambda text: bool(text.strip()), "empty")
_BRANCH: Final = Text(
    "the name of a branch as git takes it: no blanks, `..`, `@{`, ~^:?*[\\, nor `-` or `/` at its beginning",
    lambda text: _NO_BRANCH.search(text) is None,
    "invalid-name",
)
_ENVIRONMENT: Final = targets.Environment()
_MERGED: Final = {targets.MERGE: f"nowhere, {targets.MERGED}"}
_SHELL: Final = Record(
    who="`run`", fields={"shell": targets.COMMAND_LINE, "arguments": ListOf(targets.PLAIN)}, required=("shell",)
)
_RETRY_FIELDS: Final[dict[str, Shape]] = {
    **dict.fromkeys((str(each) for each in FailureClass), Integer(0, MOST_RETRIES)),
    "max_attempts": Integer(1, MOST_RETRIES + 1),
    "backoff": Choice(("exponential", "linear", "fixed")),
    "initial_interval": DURATION,
    "backoff_base": CORES,
    "max_interval": DURATION,
}
RETRY: Final = Retry(Record(who="`retry`", fields=_RETRY_FIELDS))
"""Of a file that has no `defaults`."""
_CONTAINER: Final = Record(
    who="`container`",
    homes=_MERGED,
    fields={
        "image": targets.IMAGE,
        "command": targets.PLAIN,
        "arguments": ListOf(targets.PLAIN),
        "environment": _ENVIRONMENT,
        "ports": MapOf(Integer(1, 65535)),
        "volumes": MapOf(Text()),
        "stdin": Text(),
        "name": Text(),
        "pull_policy": Choice(("ifNotPresent", "always", "never")),
    },
    required=("image",),
)
_WORKFLOW: Final = Record(
    who="`workflow`",
    fields={"namespace": _NAME, "name": _NAME, "version": targets.WORKFLOW_VERSION, "input": Anything(role=None)},
    required=("name",),
)
_AGENT: Final = Record(
    who="`agent`",
    fields={
        "command": _Command(),
        "prompt": Text(),
        "context": ListOf(Text()),
        "result": Text(),
    },
    required=("command",),
)
_DEPENDENCY: Final = Either(
    "the id of a task, or a map with `id` and `blocking`",
    text=_ID_TEXT,
    mapping=Record(who="a dependency", fields={"id": _ID_TEXT, "blocking": Boolean()}, required=("id",)),
)
_WORKSPACE: Final = Record(
    who="`workspace`",
    homes=_MERGED,
    fields={"branch": _BRANCH, "base": _FILLED, "clean": Choice(("always", "on-success", "never"))},
)
_CONCURRENCY: Final = Record(
    who="`concurrency`", fields={"key": _FILLED, "limit": Integer(1, 1_000_000)}, required=("key", "limit")
)
_RATE: Final = Record(
    who="`rate`",
    fields={"key": _FILLED, "per": SOME_TIME, "limit": Integer(1, 1_000_000)},
    required=("key", "limit", "per"),
)
TASK_FIELDS: Final[dict[str, Shape]] = {
    "id": _ID_TEXT,
    "title": Text(),
    "description": Text(),
    "run": _Run(),
    "python": targets.FUNCTION,
    "with": MapOf(Anything(role=None)),
    "container": Either("an image, or a map with `image`", text=targets.IMAGE, mapping=_CONTAINER),
    "workflow": Either("a name such as report:1.0.0, or a map with `name`", text=targets.WORKFLOW, mapping=_WORKFLOW),
    "agent": Either("a list of arguments, or a map with `command`", mapping=_AGENT, items=_Command()),
    "environment": _ENVIRONMENT,
    "stdin": Text(),
    "dependencies": ListOf(_DEPENDENCY),
    "required_skill": _FILLED,
    "skills": ListOf(_FILLED),
    "pool": Either("the name of a pool, or a list of them in order", text=_FILLED, items=ListOf(_FILLED, minimum=1)),
    "cpu": CORES,
    "memory": MEMORY,
    "gpu": Integer(0, 1024),
    "labels": MapOf(Text()),
    "priority": Integer(-1_000_000, 1_000_000),
    "retry": Retry(Record(who="`retry`", homes=_MERGED, fields=_RETRY_FIELDS)),
    "timeout": SOME_TIME,
    "deadline": DURATION,
    "expected": DURATION,
    "key": _FILLED,
    "concurrency": _CONCURRENCY,
    "rate": _RATE,
    "workspace": _WORKSPACE,
    "optional": Boolean(),
    "inputs": Anything(role=None),
    "metadata": MapOf(Anything(role=None)),
}
_TASK: Final = Record(
    who="a task",
    fields=TASK_FIELDS,
    required=("id",),
    one_of=(TARGETS,),
    needs={"with": "python"},
    homes={
        **_MERGED,
        "image": "under `container`",
        "command": "under `run`, as a list",
        "max_attempts": "under `retry`",
    },
)
GRAPH: Final = Record(
    who="the document",
    homes=_MERGED,
    fields={
        "graph": _NAME,
        "namespace": _NAME,
        "title": Text(),
        "description": Text(),
        "repository": _FILLED,
        "defaults": Record(
            who="`defaults`",
            homes=_MERGED,
            fields={
                name: shape
                for name, shape in TASK_FIELDS.items()
                if name not in (*TARGETS, "id", "title", "description", "dependencies", "with", "inputs", "stdin")
            },
        ),
        "tasks": ListOf(_TASK),
        "metadata": MapOf(Anything(role=None)),
    },
    required=("graph", "tasks"),
    expected="a map with `graph` and `tasks`",
)


def retry(given: dict[str, Json], default: RetryTerms = RetryTerms()) -> RetryTerms:  # noqa: B008 (it is frozen)
    """Give the terms that `retry` means, with those of `default` where it says nothing."""
    budgets = {str(each): int(given[each]) for each in FailureClass if each in given}
    if "max_attempts" in given:
        budgets[FailureClass.APPLICATION] = int(given["max_attempts"]) - 1
    initial = seconds(given["initial_interval"]) if "initial_interval" in given else None
    longest = seconds(given["max_interval"]) if "max_interval" in given else None
    if initial is not None and longest is None:  # the default must not shorten the wait that somebody asks for
        longest = max(initial, default.longest_seconds)
    return RetryTerms(
        budgets={**default.budgets, **budgets},
        backoff=given.get("backoff", default.backoff),
        initial_seconds=default.initial_seconds if initial is None else initial,
        base=float(given.get("backoff_base", default.base)),
        longest_seconds=default.longest_seconds if longest is None else longest,
    )


def nearest(wrong: str, ids: list[str]) -> str | None:
    """Give the id that `wrong` was probably meant to be."""
    return nearest_name(wrong, ids)
