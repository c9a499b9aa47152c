"""What the commands share: the settings in force, the open store, the loop they run on, reading files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from interlock import config, errors, telemetry
from interlock.app.opened import Opened
from interlock.cli import choice
from interlock.cli.options import options
from interlock.cli.output import complain, discard, note
from interlock.model.json import Json
from interlock.store.open import is_there

Kind = TypeVar("Kind", bound=Opened)


def settings(more: Mapping[str, object] | None = None) -> config.Settings:
    """Give the settings in force for this command; `more`: those that its own options set. Raises InvalidSettings."""
    return config.load({**flags(), **(more or {})}, os.environ, folder(), Path.home())


def flags() -> dict[str, object]:
    """Give the settings that options set, by key."""
    return {"store.url": options.store}


def folder() -> Path:
    """Give the working folder. Raises Environment when it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise errors.Environment("the working folder does not exist any more; change to another one") from None


@contextlib.asynccontextmanager
async def opened(kind: type[Kind]) -> AsyncIterator[Kind]:
    """Open the store for one command, and make it where there is none; `kind`: as what, see `app.opened`.

    Raises Invalid with --server.
    """
    choice.refuse_server()
    async with kind.open(settings()) as app:
        yield app


@contextlib.asynccontextmanager
async def existing(kind: type[Kind], *, made_by: str = "interlock run FILE") -> AsyncIterator[Kind]:
    """Open the store for a command about what is in it. Raises NotFound where there is none, and makes none; `made_by`: what
    would."""
    choice.refuse_server()
    url = settings().store.url
    if not is_there(url):
        raise errors.NotFound(f"there is no store {url} here; `{made_by}` makes it")
    async with opened(kind) as app:
        yield app


def execute(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and give its exit code. With --debug, what goes on is told as it happens."""
    try:
        loop_factory = _loop_factory()
    except BaseException:
        command.close()
        raise
    end = telemetry.attach(_tell) if options.debug else None
    before, threading.excepthook = threading.excepthook, _complain_of_thread
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(_complain_of_task)
            return runner.run(command)
    except BrokenPipeError:  # the reader of the pipe has what it wanted
        discard(sys.stdout)
        return 0
    finally:
        threading.excepthook = before
        if end is not None:
            end()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes the loop, None for asyncio's own. Raises InvalidSettings where that is not installed."""
    if settings().node.event_loop == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 (an optional dependency)
    except ImportError:
        raise errors.InvalidSettings(
            "node.event_loop is uvloop, which is not installed; `pip install 'interlock[uvloop]'`, or leave it at asyncio"
        ) from None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _tell(name: str, fields: dict[str, Any]) -> None:
    note(f"debug: {name} " + " ".join(f"{key}={value!r}" for key, value in fields.items()))


def _complain_of_task(loop: asyncio.AbstractEventLoop, found: dict[str, Any]) -> None:
    """Say in a line what went wrong in the background, where nobody waits for the error."""
    if options.debug:
        loop.default_exception_handler(found)
    elif not isinstance(found.get("exception"), errors.Environment | ConnectionError):
        # A store that is away is told once, by the command; a connection that was lost, by whoever needs it.
        complain(f"unexpected in the background: {found.get('exception') or found['message']}; --debug shows where")


def _complain_of_thread(found: threading.ExceptHookArgs) -> None:
    if options.debug:
        threading.__excepthook__(found)
    else:
        complain(f"unexpected in a thread: {found.exc_value}; --debug shows where")


def read_text(path: str) -> str:
    """Give the text of a file, `-` for standard input. Raises Invalid with the reason."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise errors.Invalid(f"there is no file {path}") from None
    except IsADirectoryError:
        raise errors.Invalid(f"{path} is a folder; name a file") from None
    except UnicodeDecodeError as error:
        raise errors.Invalid(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise errors.Invalid(f"cannot read {path}: {error.strerror}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises Invalid when it cannot be there, Environment when there is no room for it."""
    try:
        path.write_text(text, "utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise errors.Invalid(f"cannot write {path}: {error.strerror}") from None
    except OSError as error:
        raise errors.Environment(f"cannot write {path}: {error.strerror}") from None


def pretty(value: Json) -> str:
    """Give JSON for a person: indented, in the order it was written."""
    return json.dumps(value, indent=2, ensure_ascii=False)
