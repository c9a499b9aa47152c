"""A supervisor for Python functions: warm, with the environment's packages, forking a process for each call.

Started ahead of need as `python -m interlock.runner.call`, it has paid for the interpreter and its imports when a job comes.
The fork runs the function; its prints go to the log, its result to `result.json` in the spool.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from typing import Any

import msgspec

from interlock.flow import functions
from interlock.model.json import Json
from interlock.model.task import Outcome, PythonTarget
from interlock.runner import supervisor


class Forked:
    """A process of ours that runs a function; the part of subprocess.Popen that the supervisor uses."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdin: Any = None
        self.stdout = os.fdopen(stdout, "rb", 0)
        self.stderr = os.fdopen(stderr, "rb", 0)
        self.returncode: int | Any = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        code: int | None = self.returncode
        return code


def spawn_call(job: supervisor.Job) -> Forked:
    """Fork a process that calls the function of a job."""
    out, err = os.pipe(), os.pipe()
    pid = os.fork()
    if pid:
        os.close(out[1])
        os.close(err[1])
        return Forked(pid, out[0], err[0])
    code = 1
    try:
        _become_child(job, out[1], err[1])
        outcome = _call(msgspec.convert(job["call"], PythonTarget), job["folder"])
        _keep(os.path.join(job["spool"], "result.json"), outcome)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become_child(job: supervisor.Job, out: int, err: int) -> None:
    os.setpgid(0, 0)
    supervisor.die_with_parent()
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])


def _call(target: PythonTarget, folder: str) -> Outcome:
    try:
        function = functions.find(target.function, folder)
        functions.check_call(function, target)
    except functions.Unusable as error:
        return functions.invalid(str(error))
    try:
        value: Json = function(**target.arguments)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        return functions.result(value)
    except Exception as error:  # noqa: BLE001 (whatever the function raises is its outcome)
        return functions.failed(error)


def _keep(path: str, outcome: Outcome) -> None:
    with open(path + ".new", "w") as file:
        json.dump(msgspec.to_builtins(outcome), file)
    os.rename(path + ".new", path)


if __name__ == "__main__":
    supervisor.main(spawn_call)
