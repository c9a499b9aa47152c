"""A supervisor for Python functions, with the environment's packages: it forks a process for the call.

Started ahead of need, it has paid for the interpreter and its imports when a job comes. The fork calls the function; what
it prints is its output, and its outcome goes to `result.json` in the spool.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from interlock.flow import functions
from interlock.flow.python import step_context
from interlock.model.json import Json
from interlock.model.supervision import RESULT_FILE
from interlock.model.task import Outcome, PythonTarget
from interlock.runner import supervisor

_DESCRIPTORS: Final = 1024


def prepare(job: supervisor.Job) -> Callable[[], None]:
    """Give what the process of a call does: `argv` of its job is the function and the file that says how it is called."""
    _, call_file = job.argv
    spool = Path(job.spool)

    def call() -> None:
        try:
            _leave_supervisor(job.environment)
            target = msgspec.json.decode((spool / call_file).read_bytes(), type=PythonTarget)
            outcome = perform(target, job.folder)
            keep(spool / RESULT_FILE, outcome)
        except BaseException:  # noqa: BLE001 (the process ends without a word otherwise)
            traceback.print_exc()
            os._exit(1)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)

    return call


def perform(target: PythonTarget, folder: str) -> Outcome:
    """Call a function, sync or async, and give its outcome, whatever it raises."""
    try:
        prepared = functions.prepared(target, folder)
    except functions.Unusable as error:
        return functions.invalid(str(error))
    step_context.set(None)
    try:
        value = prepared.call()
        return prepared.result(asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value)
    except BaseException as error:  # noqa: BLE001 (even sys.exit: this process has nothing else to do)
        return prepared.failed(error)


async def _awaited(value: Json) -> Json:
    return await value


def _leave_supervisor(environment: dict[str, str]) -> None:
    """Become a process of its own: other variables, no pipe to the node, prints that are seen at once."""
    os.closerange(3, _DESCRIPTORS)
    os.environ.clear()
    os.environ.update(environment)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream here


def keep(path: Path, outcome: Outcome) -> None:
    """Write an outcome down, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(outcome))
    partial.rename(path)


if __name__ == "__main__":
    supervisor.main(prepare)
