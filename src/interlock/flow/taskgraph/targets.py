"""The texts that say what a task executes: functions, workflows, images, and what a process can be given at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from interlock.flow.findings import Findings
from interlock.flow.grammar.patterns import about_name, about_version, is_name, is_version
from interlock.flow.grammar.shapes import MapOf, Text
from interlock.model.json import Json

LATEST: Final = "latest"
MERGE: Final = "<<"
MERGED: Final = (
    "since YAML 1.2 has no merge keys; write what tasks have in common once, under `defaults` beside `tasks`"
)
_LONGEST_IMAGE: Final = 600  # a name of 255, a tag of 128 and a digest of SHA-512, with room; keeps the pattern quick
_LONGEST_REPOSITORY: Final = 255
_PART: Final = r"[^\s:./\\\x00]+"
_FUNCTION: Final = re.compile(rf"{_PART}(?:\.{_PART})*:{_PART}(?:\.{_PART})*\Z")
"""Wider than what Python calls identifiers: `my-script:step` is a module that was run as a script."""
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"((?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?\Z"
)
"""Source: the grammar of references in the distribution project, github.com/distribution/reference."""


def is_function(text: str) -> bool:
    """Say whether the text has the form `package.module:function`."""
    return _FUNCTION.match(text) is not None


def is_image(text: str) -> bool:
    """Say whether the text is the name of a container image: host, path, tag and digest, of which only the path must be."""
    found = _IMAGE.match(text) if len(text) <= _LONGEST_IMAGE else None
    return found is not None and len(found[1]) <= _LONGEST_REPOSITORY


def is_workflow_version(text: str) -> bool:
    """Say whether a task may name this version of a workflow."""
    return text == LATEST or is_version(text)


def is_workflow(text: str) -> bool:
    """Say whether the text is the name of a workflow, or NAME:VERSION."""
    name, colon, version = text.partition(":")
    return is_name(name) and (not colon or is_workflow_version(version))


def is_plain(text: str) -> bool:
    """Say whether a process can be given the text."""
    return "\0" not in text


def _advised(advice: str) -> Callable[[str], tuple[str, str | None]]:
    return lambda text: (advice, None)


def _about_workflow(text: str) -> tuple[str, str | None]:
    name, _, version = text.partition(":")
    advice = "; write NAME, or NAME:VERSION with a version such as 1.2.0 or `latest`"
    if not is_name(name):
        return advice + about_name(name)[0], None
    near = about_version(version)[1]
    return (f"{advice}; did you mean `{name}:{near}`?", f"{name}:{near}") if near else (advice, None)


class Environment:
    """Variables for a process: names that it can be given, to texts that it can be given."""

    expected = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if isinstance(value, dict) and isinstance(value.get(MERGE), dict):
            message = f"`{MERGE}` merges nothing, {MERGED}"
            findings.add("unknown-property", message, f"{path}/{MERGE}", at_key=True, found=MERGE)
            value = {name: item for name, item in value.items() if name != MERGE}
        MapOf(PLAIN).check(value, path, findings)
        for name in value if isinstance(value, dict) else ():
            if not name or "=" in name or "\0" in name:
                shown = name.replace("\0", "\\0")
                message = (
                    f"`{shown}` cannot name a variable of a process; such a name is not empty and has no `=` and no NUL"
                )
                findings.add("invalid-name", message, path, at_key=True, found=name)


class CommandLine:
    """What a shell reads, with something in it."""

    expected = "a command line"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        (PLAIN if isinstance(value, str) and value.strip() else _FILLED).check(value, path, findings)


PLAIN: Final = Text(
    "text without NUL characters",
    is_plain,
    advice=_advised(
        "; an argument or a variable of a process cannot hold one, so leave it out or hand it over in `stdin`"
    ),
)
_FILLED: Final = Text("text that is not empty", lambda text: bool(text.strip()), "empty")
COMMAND_LINE: Final = CommandLine()
FUNCTION: Final = Text(
    "the name of a function", is_function, advice=_advised("; write package.module:function, such as shop.prices:total")
)
IMAGE: Final = Text(
    "the name of a container image",
    is_image,
    "invalid-name",
    _advised(
        "; write it as registry.example/team/name:tag or name@sha256:..., the path in small letters, without blanks"
    ),
)
WORKFLOW: Final = Text("the name of a workflow", is_workflow, "invalid-name", _about_workflow)
WORKFLOW_VERSION: Final = Text(
    "a version such as 1.2.0, or `latest`", is_workflow_version, "invalid-version", about_version
)
