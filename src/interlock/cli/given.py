"""Reads what was given on the command line: inputs, arguments, workflows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from interlock import errors
from interlock.cli import context
from interlock.cli.options import options
from interlock.model import json
from interlock.model.json import Json

if TYPE_CHECKING:
    from interlock.app.session import Session

_BYTE: Final = re.compile(r"\s*\(byte (\d+)\)$")
_FILE_ENDS: Final = (".yaml", ".yml", ".json")
_DEFAULT_NAMESPACE: Final = "default"
_EXCERPT: Final = 24


def input(text: str | None) -> Json:
    """Give the input of a run: JSON, or the JSON or YAML of `@FILE`; an empty object for None.

    Raises Invalid that says where the text is wrong.
    """
    return {} if text is None else value(text, "--input")


def value(text: str, option: str) -> Json:
    """Give the value of an option: JSON, or the JSON or YAML of `@FILE`. Raises Invalid that says where it is wrong."""
    if text.startswith("@"):
        return _of_file(text[1:])
    return _decoded(text, option, f"; to read a file, write {option} @FILE")


def callback(path: str | None) -> Json:
    """Give what a file says about whom to tell how a run ends, None for nobody. Raises Invalid; no message quotes it."""
    return None if path is None else _of_file(path)


def arguments(text: str | None) -> dict[str, Json]:
    """Give the arguments of an expression, by name without `$`. Raises Invalid for what is no JSON object."""
    if text is None:
        return {}
    value = _decoded(text, "--args", "")
    if not isinstance(value, dict):
        raise errors.Invalid(f"--args is {json.encode(value).decode()}; it must be a JSON object of names and values")
    return value


def attributes(texts: list[str]) -> dict[str, str | float | bool]:
    """Give the attributes of `NAME=VALUE`: a value that reads as a number, true or false is one. Raises Invalid."""
    found: dict[str, str | float | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise errors.Invalid(f"--where {text!r} is not NAME=VALUE")
        try:
            read = json.decode(value)
        except msgspec.DecodeError:
            read = value
        found[name] = read if isinstance(read, str | int | float | bool) else value
    return found


def _decoded(text: str, option: str, hint: str) -> Json:
    try:
        return json.decode(text)
    except msgspec.DecodeError as error:
        raise errors.Invalid(f"{option} is not JSON: {_located(text, str(error))}{hint}") from None
    except RecursionError:
        raise errors.Invalid(f"{option} is nested too deeply") from None


def _located(text: str, message: str) -> str:
    """Give a decoder's message with the place in the text that it means, which it tells as a byte."""
    found = _BYTE.search(message)
    if found is None:
        return "it ends too early" if "truncated" in message else message
    before = text.encode()[: int(found.group(1))].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    rest = text[len(before) :].split("\n")[0][:_EXCERPT]
    return f"line {line}, column {column}, at {rest!r}: {_BYTE.sub('', message)}"


def _of_file(path: str) -> Json:
    from interlock.flow import yaml  # noqa: PLC0415 (start-up: only to read a file)

    source = yaml.read(context.read_text(path))
    if source.flaws:
        flaw = source.flaws[0]
        raise errors.Invalid(f"{path}:{flaw.line}:{flaw.column}: {flaw.message}")
    return source.value


def is_file(name: str) -> bool:
    """Say whether a workflow is named by a file, or standard input, and not by what it was published as."""
    return name == "-" or name.endswith(_FILE_ENDS) or Path(name).is_file()


async def workflow(app: Session, name: str) -> tuple[str, str | None]:
    """Give the text of a workflow and the file it is from: a file when there is one, else the published workflow.

    Raises Invalid for a file that cannot be read, NotFound for a name that was never published.
    """
    if is_file(name):
        return context.read_text(name), name
    scope, _, rest = name.rpartition("/")
    short, _, version = rest.partition(":")
    namespace = scope or options.namespace or _DEFAULT_NAMESPACE
    found = await app.store.journal.published(namespace, short, version or None)
    if found is None:
        raise errors.NotFound(
            f"there is no file {name!r} and no published workflow {namespace}/{rest}; `interlock publish FILE` publishes"
        )
    return found.source, None
