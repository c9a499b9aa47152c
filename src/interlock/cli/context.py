"""What every command shares: the global options, the settings, the printing of errors, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock import config, errors
from interlock.app.interlock import Interlock
from interlock.flow import report
from interlock.flow.problem import Problem
from interlock.model.json import Json

INTERRUPTED: Final = 130


@dataclass(slots=True)
class Options:
    """The options that stand before the command."""

    store: str | None = None
    namespace: str | None = None
    debug: bool = False


options = Options()


def settings() -> config.Settings:
    """Give the settings in force for this command. Raises InvalidSettings."""
    return config.load(flags(), os.environ, Path.cwd(), Path.home())


def flags() -> dict[str, object]:
    return {"store.url": options.store}


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Interlock]:
    """Open the store for one command."""
    async with Interlock.open(settings()) as app:
        yield app


def execute(command: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run a command to its end and leave the process with its exit code; errors become one clear message."""
    try:
        code = asyncio.run(command())
    except KeyboardInterrupt:
        code = INTERRUPTED
    except errors.InterlockError as error:
        complain(error)
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def complain(error: errors.InterlockError) -> None:
    """Print an error for a person; with --debug, where it came from too."""
    if options.debug:
        traceback.print_exception(error)
    if isinstance(error, errors.InvalidDefinition) and error.problems:
        problems = [problem for problem in error.problems if isinstance(problem, Problem)]
        note(report.text(problems))
    note(f"interlock: {error}")


def note(text: str) -> None:
    """Print a line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def answer(text: str) -> None:
    """Print a result."""
    print(text, flush=True)  # noqa: T201


def read_text(path: str) -> str:
    """Give the text of a file, `-` for standard input. Raises Invalid with the reason."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise errors.Invalid(f"there is no file {path}") from None
    except IsADirectoryError:
        raise errors.Invalid(f"{path} is a folder; name a workflow file") from None
    except UnicodeDecodeError as error:
        raise errors.Invalid(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise errors.Invalid(f"cannot read {path}: {error.strerror}") from None


def pretty(value: Json) -> str:
    """Give JSON for a person: indented, in the order it was written."""
    import json  # noqa: PLC0415 (start-up: only commands that print values need it)

    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
