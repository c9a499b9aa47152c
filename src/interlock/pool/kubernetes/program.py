"""What a target is as the command of a container: words for the manifest, and what only a Secret carries.

The arguments, variables and input of an attempt may hold secrets, and who may read Jobs may not always read Secrets. So the
manifest holds references only: `$(INTERLOCK_ARGUMENT_1)` is put in by the kubelet, as text, and no shell sees it. A string
meets a shell only in `ShellTarget.command`; input is opened by a fixed line of shell that gets everything as arguments.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from types import MappingProxyType
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
from interlock.pool.commands import Impossible
from interlock.pool.kubernetes.settings import KubernetesSettings, pull_policy
from interlock.pool.launcher import file_name

FOLDER: Final = "/var/run/interlock"
"""Where an attempt finds the files of its Secret."""
CALL_FILE: Final = "call.json"
_STDIN_FILE: Final = "stdin"
_OPEN_INPUT: Final = 'exec "$@" <"$0"'
_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SECRET_BYTES: Final = 1024 * 1024  # of all values of a Secret together, by the API server
_ARGUMENT: Final = "INTERLOCK_ARGUMENT_"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A container's image and command, and what its Secret carries.

    `words`: in place of the image's entry point, none for that. `arguments`: in place of the image's own. `variables` and
    `files` are the Secret's; files appear in `FOLDER`. `plain`: variables that stand in the manifest.
    """

    image: str
    pull_policy: str
    words: list[str]
    arguments: list[str]
    variables: dict[str, str]
    files: dict[str, str]
    plain: dict[str, str]


class _Carrier:
    """Takes texts into the Secret, and gives the references that stand for them in a command."""

    def __init__(self) -> None:
        self.carried: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        name = f"{_ARGUMENT}{len(self.carried) + 1}"
        self.carried[name] = text
        return f"$({name})"

    def all(self, texts: Iterable[str]) -> list[str]:
        return [self(text) for text in texts]


def program(
    target: Target,
    settings: KubernetesSettings,
    variables: dict[str, str],
    folder: str,
    mark: str,
    told: Mapping[str, str] = MappingProxyType({}),
) -> Program:
    """Give the program of a target that starts in `folder`, "" for the image's own, with `variables` of the attempt.

    `mark`: what a function's outcome is told after. `told`: texts, by the variable that leads to the file of each. Raises
    Impossible for what Kubernetes cannot be given.
    """
    image, policy = settings.image, settings.image_pull_policy
    carry, arguments = _Carrier(), list[str]()
    plain, files = dict[str, str](), dict[str, str]()
    match target:
        case CommandTarget():
            words = [_literal(target.argv[0]), *carry.all(target.argv[1:])]
        case ShellTarget():
            words = ["/bin/sh", "-c", carry(target.command), "sh", *carry.all(target.arguments)]
        case ScriptTarget():
            interpreter, name, plain = _interpreter(target.language, settings, folder)
            words = [_literal(interpreter), f"{FOLDER}/{name}", *carry.all(target.arguments)]
            files = {name: target.code}
        case ContainerTarget():
            if target.name:
                raise _invalid(
                    f"a pod cannot be called {target.name!r}, since its Job names it; leave out the container's `name`"
                )
            image, policy = target.image, _policy(target) or policy
            first, *rest = _split(target.command) or [""]
            words = [_literal(first), *carry.all(rest)] if first else []
            arguments = carry.all(target.arguments)
        case PythonTarget():
            words = [_literal(settings.python), "-m", "interlock.runner.logged", f"{FOLDER}/{CALL_FILE}"]
            files = {CALL_FILE: json.encode({"target": msgspec.to_builtins(target), "mark": mark}).decode()}
            plain = {"PYTHONUNBUFFERED": "1"}
        case HttpTarget() | OpenApiTarget():
            raise _invalid("an HTTP request is no process; the node performs it itself")
        case WorkflowTarget():
            raise _invalid("a workflow is no process; it becomes a run of its own")
        case _:
            assert_never(target)
    if not image:
        raise _invalid("its pool names no image to run it in; add `image` to the pool's `config`")
    if not isinstance(target, PythonTarget):
        variables = variables | target.environment
        if target.stdin is not None:
            if not words:
                raise _invalid(
                    "input reaches a container by its command only, and Kubernetes does not tell the one of its image; name"
                    " the `command`"
                )
            words = ["/bin/sh", "-c", _OPEN_INPUT, f"{FOLDER}/{_STDIN_FILE}", *words, *arguments]
            files, arguments = files | {_STDIN_FILE: target.stdin}, []
    files |= {file_name(variable): text for variable, text in told.items()}
    variables = variables | {variable: f"{FOLDER}/{file_name(variable)}" for variable in told}
    _check(variables, carry.carried, files)
    return Program(
        image=image,
        pull_policy=policy,
        words=words,
        arguments=arguments,
        variables=variables | carry.carried,
        files=files,
        plain={name: text for name, text in plain.items() if name not in variables},
    )


def _interpreter(language: str, settings: KubernetesSettings, folder: str) -> tuple[str, str, dict[str, str]]:
    """Give the program that runs scripts of a language, the name of their file, and what else it is told."""
    match language:
        case "python":
            plain = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
            return settings.python, "script.py", plain | ({"PYTHONPATH": folder} if folder else {})
        case "js":
            return "node", "script.mjs", {}
        case _:
            raise _invalid(f"scripts in {language!r} cannot be run; use python or js")


def _policy(target: ContainerTarget) -> str:
    try:
        return pull_policy(target.pull_policy)
    except ValueError as error:
        raise _invalid(str(error)) from error


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise _invalid(f"the command {command!r} cannot be split into words: {error}") from error


def _literal(word: str) -> str:
    """Give a word so that the kubelet, which replaces `$(NAME)`, leaves it as it is."""
    return word.replace("$", "$$")


def _check(variables: dict[str, str], carried: dict[str, str], files: dict[str, str]) -> None:
    """Refuse what no process, or no Secret, can be given. Raises Impossible."""
    for name in variables:
        if not _NAME.fullmatch(name):
            raise _invalid(f"Kubernetes gives no variable the name {name!r}; use letters, digits, `_`, `-` and `.`")
        if name.startswith(_ARGUMENT):
            raise _invalid(f"the variable {name} is one that arguments are handed over in; choose another name")
    values = (*variables.values(), *carried.values())
    try:
        size = sum(len(text.encode()) for text in (*values, *files.values()))
    except UnicodeEncodeError as error:
        raise _invalid(f"it holds a text that is no Unicode: {error}") from error
    if any("\0" in text for text in values):
        raise _invalid("a NUL character stands in its command, arguments or variables, which no process can be given")
    if size > _SECRET_BYTES:
        raise _invalid(
            f"its code, input, arguments and variables have {size} bytes, and a Secret of Kubernetes holds {_SECRET_BYTES};"
            f" hand large data over in a file, a volume or an artifact"
        )


def _invalid(detail: str) -> Impossible:
    return Impossible(FailureClass.INVALID, detail)
