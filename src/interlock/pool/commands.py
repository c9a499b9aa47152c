"""What a target is as a command of this machine: a program, its arguments, and the files that it needs.

A string meets a shell only in `ShellTarget.command`; everything else is an argument, a variable or a file, whatever it
holds.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final, assert_never

import msgspec

from interlock.model import json
from interlock.model.task import (
    CommandTarget,
    ContainerTarget,
    FailureClass,
    HttpTarget,
    OpenApiTarget,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
    Target,
    WorkflowTarget,
)

_SHELL: Final = "/bin/sh"
_CALL_FILE: Final = "call.json"
_BASE_VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV")
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class Impossible(Exception):
    """This machine cannot run the target; the message says why and what to do."""

    def __init__(self, failure: FailureClass, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A target as a process. `environment` is all of it; `files` are to stand in the spool."""

    argv: list[str]
    environment: dict[str, str]
    files: dict[str, str] = {}
    stdin: str | None = None


def command(
    target: Target, folder: str, spool: str, variables: dict[str, str], python: str = sys.executable
) -> Command:
    """Give the command of a target that starts in `folder`, with `variables` added to a clean base.

    `python`: the interpreter of scripts.

    Raises Impossible when this machine lacks what it needs.
    """
    environment = _base() | variables
    match target:
        case CommandTarget():
            environment |= target.environment
            argv = [_program(target.argv[0], folder, environment.get("PATH", _DEFAULT_PATH)), *target.argv[1:]]
            return Command(argv=argv, environment=environment, stdin=target.stdin)
        case ShellTarget():
            argv = [_SHELL, "-c", target.command, "sh", *target.arguments]
            return Command(argv=argv, environment=environment | target.environment, stdin=target.stdin)
        case ScriptTarget():
            return _script(target, folder, spool, environment, python)
        case PythonTarget():
            files = {_CALL_FILE: json.encode(target).decode()}
            return Command(argv=[target.function, _CALL_FILE], environment=environment, files=files)
        case ContainerTarget():
            detail = (
                f"the image {target.image} needs a pool of containers (docker or kubernetes); this one starts processes"
            )
            raise Impossible(FailureClass.INVALID, detail)
        case HttpTarget() | OpenApiTarget():
            raise Impossible(FailureClass.INVALID, "an HTTP request is no process; the node performs it itself")
        case WorkflowTarget():
            raise Impossible(FailureClass.INVALID, "a workflow is no process; it becomes a run of its own")
        case _:
            assert_never(target)


def _base() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _BASE_VARIABLES if name in os.environ}
    return {"PATH": _DEFAULT_PATH} | inherited


def _script(target: ScriptTarget, folder: str, spool: str, environment: dict[str, str], python: str) -> Command:
    match target.language:
        case "python":
            program, name = python, "script.py"
            environment |= {"PYTHONPATH": folder, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        case "js":
            program, name = _node(environment["PATH"]), "script.mjs"
        case language:
            raise Impossible(FailureClass.INVALID, f"scripts in {language!r} cannot be run; use python or js")
    return Command(
        argv=[program, os.path.join(spool, name), *target.arguments],
        environment=environment | target.environment,
        files={name: target.code},
        stdin=target.stdin,
    )


def _program(name: str, folder: str, path: str) -> str:
    """Give the file of a program: one that is named with a slash stands in the folder, any other on PATH."""
    if os.sep in name:
        return os.path.join(folder, name)
    found = shutil.which(name, path=path)
    if found is None:
        raise Impossible(FailureClass.LAUNCH, f"there is no program {name!r} on the PATH of this machine: {path}")
    return found


def _node(path: str) -> str:
    program = shutil.which("node", path=path)
    if program is None:
        raise Impossible(FailureClass.LAUNCH, "scripts in js need Node.js: there is no program `node` on PATH")
    return program
