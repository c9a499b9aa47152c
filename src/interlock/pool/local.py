"""Local processes: each attempt under a supervisor of its own, which outlives nobody.

A few supervisors are started ahead of need, so that an attempt begins in a few milliseconds. They read one job and end
with it; what they tell comes back over a pipe, and their outcome also stands in the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import struct
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock import telemetry
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.task import (
    Cancelled,
    Done,
    Failed,
    FailureClass,
    Outcome,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
)
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

RESULT_BYTES: Final = 16 * 1024 * 1024  # of one stream, for the result; the log has its own limit
_WARM: Final = 2
_CANCEL_SECONDS: Final = 5.0
_TAIL_CHARACTERS: Final = 2_000
_SUPERVISOR: Final = Path(__file__).parents[1] / "runner" / "supervisor.py"
_BASE_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV")
_SIGKILL: Final = -9


class LocalPool(Service):
    """Launches shell commands, scripts and isolated Python functions as processes of this machine."""

    def __init__(self, *, result_bytes: int = RESULT_BYTES, warm: int = _WARM) -> None:
        self._result_bytes = result_bytes
        self._warm = warm
        self._spool: Path | None = None
        self._ready: dict[bool, deque[asyncio.subprocess.Process]] = {False: deque(), True: deque()}
        self._running: set[_Attempt] = set()
        self._warming: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        self._spool = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="interlock-spool-"))

    async def stop(self) -> None:
        """End what runs, and the supervisors that wait; remove the spool."""
        self._stopping = True
        await asyncio.gather(*(attempt.cancel() for attempt in list(self._running)), return_exceptions=True)
        for task in self._warming:
            task.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        for waiting in self._ready.values():
            while waiting:
                await _dismiss(waiting.pop())
        if self._spool is not None:
            await asyncio.to_thread(shutil.rmtree, self._spool, ignore_errors=True)

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Begin an attempt. What cannot be launched is an outcome too: a missing folder, a missing interpreter."""
        problem = _obstacle(launch)
        if problem is not None:
            return _Ended(problem)
        isolated = isinstance(launch.target, PythonTarget)
        supervisor = await self._supervisor(isolated)
        assert self._spool is not None
        attempt = _Attempt(launch, supervisor, on_output, self._spool / launch.attempt.replace("/", "_"), self)
        self._running.add(attempt)
        await attempt.begin(_job(launch, attempt.spool, self._result_bytes))
        return attempt

    def ended(self, attempt: _Attempt) -> None:
        self._running.discard(attempt)
        shutil.rmtree(attempt.spool, ignore_errors=True)

    async def _supervisor(self, isolated: bool) -> asyncio.subprocess.Process:
        """Give a supervisor that waits for a job, and see to the next one."""
        waiting = self._ready[isolated]
        found: asyncio.subprocess.Process | None = None
        while waiting and found is None:
            candidate = waiting.popleft()
            found = candidate if candidate.returncode is None else None
        if not self._stopping and self._warm:
            task = asyncio.create_task(self._prepare(isolated))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)
        return found or await _start(isolated)

    async def _prepare(self, isolated: bool) -> None:
        waiting = self._ready[isolated]
        while len(waiting) < self._warm and not self._stopping:
            waiting.append(await _start(isolated))


class _Attempt:
    """An attempt under its supervisor."""

    def __init__(
        self,
        launch: Launch,
        supervisor: asyncio.subprocess.Process,
        on_output: OnOutput,
        spool: Path,
        pool: LocalPool,
    ) -> None:
        self.spool = spool
        self._launch = launch
        self._supervisor = supervisor
        self._on_output = on_output
        self._pool = pool
        self._listening: asyncio.Task[Outcome] | None = None

    async def begin(self, job: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):  # a dead supervisor shows when we listen
            await _send(self._supervisor, job)
        self._listening = asyncio.create_task(self._listen(), name=f"runner-{self._launch.attempt}")

    async def outcome(self) -> Outcome:
        assert self._listening is not None
        return await asyncio.shield(self._listening)

    async def cancel(self) -> None:
        assert self._listening is not None
        if self._listening.done():
            return
        with contextlib.suppress(ConnectionError):
            await _send(self._supervisor, {"kind": "cancel"})
        await asyncio.wait([self._listening], timeout=_CANCEL_SECONDS)
        if not self._listening.done():  # a supervisor that does not answer takes its work with it (PDEATHSIG)
            self._supervisor.kill()
            await asyncio.wait([self._listening])

    async def _listen(self) -> Outcome:
        """Pass on what the supervisor tells, until the outcome."""
        try:
            while True:
                frame = await _receive(self._supervisor)
                if frame["kind"] == "output":
                    self._on_output(frame["stream"], frame["text"])
                elif frame["kind"] == "end":
                    return _outcome(self._launch, frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            return _failed(FailureClass.LOST, "Lost", "the runner died before it told how the work ended", code="lost")
        finally:
            await _dismiss(self._supervisor)
            self._pool.ended(self)


class _Ended:
    """An attempt that never began."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def outcome(self) -> Outcome:
        return self._outcome

    async def cancel(self) -> None:
        return


# -- supervisors -----------------------------------------------------------------------------------------------------


async def _start(isolated: bool) -> asyncio.subprocess.Process:
    command = ["-m", "interlock.runner.call"] if isolated else ["-I", "-S", str(_SUPERVISOR)]
    environment = dict(os.environ)
    if isolated:
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


async def _dismiss(supervisor: asyncio.subprocess.Process) -> None:
    """Let a supervisor end: it does when its input closes."""
    if supervisor.stdin is not None:
        supervisor.stdin.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(supervisor.wait(), _CANCEL_SECONDS)
        return
    with contextlib.suppress(ProcessLookupError):
        supervisor.kill()
    await supervisor.wait()


async def _send(supervisor: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
    assert supervisor.stdin is not None
    body = json.encode(message)
    supervisor.stdin.write(struct.pack(">I", len(body)) + body)
    await supervisor.stdin.drain()


async def _receive(supervisor: asyncio.subprocess.Process) -> dict[str, Any]:
    assert supervisor.stdout is not None
    (length,) = struct.unpack(">I", await supervisor.stdout.readexactly(4))
    frame: dict[str, Any] = json.decode(await supervisor.stdout.readexactly(length))
    return frame


# -- jobs in, outcomes out -------------------------------------------------------------------------------------------


def _obstacle(launch: Launch) -> Outcome | None:
    if not Path(launch.folder).is_dir():
        detail = f"the folder {launch.folder} that the run was started in is not on this machine"
        return _failed(FailureClass.INVALID, "No such folder", detail, code="no-such-folder")
    if isinstance(launch.target, ScriptTarget) and launch.target.language == "js" and shutil.which("node") is None:
        return _failed(FailureClass.LAUNCH, "No interpreter", "`node` is not on the PATH; scripts in js need Node.js")
    return None


def _job(launch: Launch, spool: Path, result_bytes: int) -> dict[str, Any]:
    job: dict[str, Any] = {
        "argv": [],
        "call": None,
        "files": {},
        "stdin": None,
        "folder": launch.folder,
        "spool": str(spool),
        "timeout": launch.timeout_seconds,
        "grace": launch.orphan_grace_seconds,
        "max_bytes": result_bytes,
    }
    environment = {name: os.environ[name] for name in _BASE_ENVIRONMENT if name in os.environ} | launch.environment
    match launch.target:
        case ShellTarget() as target:
            job["argv"] = ["/bin/sh", "-c", target.command, "sh", *target.arguments]
            job["stdin"] = target.stdin
            environment |= target.environment
        case ScriptTarget() as target:
            name = "script.mjs" if target.language == "js" else "script.py"
            interpreter = "node" if target.language == "js" else sys.executable
            job["files"] = {name: target.code}
            job["argv"] = [interpreter, "{spool}/" + name, *target.arguments]
            job["stdin"] = target.stdin
            environment |= target.environment
        case PythonTarget() as target:
            job["call"] = msgspec.to_builtins(target)
        case target:
            raise AssertionError(f"a local process cannot run a {type(target).__name__}")
    return job | {"environment": environment}


def _outcome(launch: Launch, end: dict[str, Any]) -> Outcome:
    """Give the outcome that a supervisor's last words mean."""
    match end["reason"]:
        case "cancelled" | "orphaned":
            return Cancelled()
        case "launch":
            return _failed(FailureClass.LAUNCH, "Not launched", end["detail"])
        case "timeout":
            detail = f"it ran longer than {launch.timeout_seconds} s"
            error = Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail)
            return Failed(FailureClass.TIMEOUT, error)
    if end["over"]:
        detail = f"its {' and '.join(end['over'])} exceeded the limit for a result"
        return _failed(FailureClass.INVALID, "Output too large", detail, code="payload-too-large")
    if isinstance(launch.target, PythonTarget):
        return _returned(end)
    code = end["code"]
    if code == 0 or (launch.any_exit_code and code > 0):
        return Done({"code": code, "stdout": end["stdout"], "stderr": end["stderr"]})
    tail = end["stderr"].strip()[-_TAIL_CHARACTERS:] or end["stdout"].strip()[-_TAIL_CHARACTERS:] or None
    if code < 0:
        return _failed(FailureClass.APPLICATION, f"Killed by signal {-code}", tail)
    return _failed(FailureClass.APPLICATION, f"Exited with {code}", tail)


def _returned(end: dict[str, Any]) -> Outcome:
    if end["result"] is None:
        how = f"ended with {end['code']}" if end["code"] >= 0 else f"was killed by signal {-end['code']}"
        return _failed(FailureClass.APPLICATION, "No result", f"the process of the function {how}")
    outcome: Outcome = msgspec.convert(end["result"], Outcome)
    return outcome


def _failed(failure: FailureClass, title: str, detail: str | None, code: str | None = None) -> Failed:
    telemetry.emit("pool.failed", failure=failure, title=title)
    return Failed(failure, Fault(type=fault.RUNTIME, status=500, title=title, detail=detail, code=code))
