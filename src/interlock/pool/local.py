"""Local processes: each attempt under a supervisor of its own, which leaves nothing behind.

Some supervisors are started ahead of need, so that an attempt begins in a few milliseconds. Each does one job: what it
tells comes back over a socket, and stands in its spool folder. The folder of an attempt that may outlive its node has a
name that every node of this host and user finds, so that the next one can adopt it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final

import msgspec

from interlock import telemetry
from interlock.model import supervision
from interlock.model.task import Cancelled, FailureClass, Outcome, PythonTarget, Snoozed
from interlock.pool import commands, reports
from interlock.pool.launcher import Launch, OnOutput, Running, file_name
from interlock.pool.local_settings import LocalSettings
from interlock.pool.output import Output
from interlock.pool.supervised import Job, Report, Supervisor, TakenOver, call, report_of
from interlock.service import Service

RESULT_BYTES: Final = 16 * 1024 * 1024  # of one stream, for the result; the log has its own limit
_DEFAULTS: Final = LocalSettings()
_NO_DEVICES: Final = "NoDevFiles"  # names none; unlike an empty text, nobody takes it for a variable that is not set
_CANCEL_SECONDS: Final = 7.0
"""A supervisor that has not ended its job so long after it was asked to is killed. It gives up by itself after 5 s."""
_FORGOTTEN_SECONDS: Final = 86400.0  # by the clock of the files; an orphan is over after less than a minute
_ALONE_SECONDS: Final = 60.0  # by that clock too: who settles an attempt removes its spool in a moment
_SHARED: Final = "interlock-attempt-"
_NAME_FILE: Final = "attempt"
"""In the spool: the name of its attempt, by which who sweeps asks the store."""
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_SNOOZE_SECONDS: Final = 2.0
_STREAMS: Final = {supervision.STDOUT: "stdout", supervision.STDERR: "stderr"}


class LocalPool(Service):
    """Launches shell commands, scripts and isolated Python functions as processes of this machine.

    `slots`: how many attempts run at once, the others wait their turn; None leaves that to the caller. `warm`:
    supervisors of each kind that are kept waiting, from the first launch on; None for what the settings say.
    `result_bytes`: how much of each stream is kept for the result. `spool`: the folder that holds the spool folders of
    attempts; None for temporary ones. `has_gpus`: whether graphics processors are given out here, so that an attempt that
    was given none is to see none. `apart`: whether supervisors are no children of this process.
    """

    def __init__(
        self,
        *,
        slots: int | None = None,
        result_bytes: int = RESULT_BYTES,
        warm: int | None = None,
        spool: Path | None = None,
        settings: LocalSettings = _DEFAULTS,
        has_gpus: bool = False,
        apart: bool = False,
    ) -> None:
        self._slots = contextlib.nullcontext() if slots is None else asyncio.Semaphore(slots)
        self._result_bytes = result_bytes
        self._warm = settings.warm if warm is None else warm
        self._settings = settings
        self._has_gpus = has_gpus
        self._apart = apart
        self._ready: dict[bool, deque[Supervisor]] = {False: deque(), True: deque()}
        self._warming: set[asyncio.Task[None]] = set()
        self._attempts: set[_Attempt] = set()
        # nothing is made before an attempt needs it, so that a killed node leaves nothing either
        prefix = os.path.join(tempfile.gettempdir(), f"interlock-spool-{secrets.token_hex(8)}-")
        self._spool = prefix if spool is None else os.path.join(spool, "")
        self._shared_spool = os.path.join(tempfile.gettempdir(), _SHARED) if spool is None else self._spool
        self._stopping = False

    async def start(self) -> None:
        self._stopping = False
        await asyncio.to_thread(_sweep, Path(tempfile.gettempdir()))

    async def stop(self) -> None:
        """End what runs, and the supervisors that wait."""
        self._stopping = True
        await asyncio.gather(*(attempt.cancel() for attempt in tuple(self._attempts)))
        await asyncio.gather(*self._warming)
        waiting = [supervisor for ready in self._ready.values() for supervisor in ready]
        for ready in self._ready.values():
            ready.clear()
        await asyncio.gather(*(supervisor.leave() for supervisor in waiting))

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Begin an attempt. Whatever stands in its way is its outcome: a missing folder, a missing interpreter."""
        return self._begin(_Attempt(self, launch, on_output))

    def is_left(self, launch: Launch) -> bool:
        spool = self._folder(launch)
        connection = call(spool)
        if connection is None:
            return _report(spool) is not None
        connection.close()
        return True

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        """Go on with an attempt that another node began on this host; one that nothing is left of is lost."""
        return self._begin(_Attempt(self, launch, on_output, adopting=True))

    async def sweep(self, is_over: Callable[[str], Awaitable[bool]]) -> list[str]:
        """Remove the spools of attempts that are over, whose node died before it could, and give the names of these.

        One is left alone that has changed within a minute, or that a supervisor still works for.
        """
        removed = []
        for spool, attempt in await asyncio.to_thread(self._alone):
            if await is_over(attempt):
                await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
                removed.append(attempt)
        return removed

    def _alone(self) -> list[tuple[Path, str]]:
        """Give the spools on this host that nobody seems to be coming for, with the names of their attempts."""
        folder, prefix = os.path.split(self._shared_spool)
        found = []
        for spool in _aged(Path(folder), prefix, _ALONE_SECONDS):
            with contextlib.suppress(OSError):
                spool.rmdir()  # an empty one: its supervisor was ended as it made it
            with contextlib.suppress(
                OSError, UnicodeDecodeError
            ):  # its supervisor is older than this file, or removes it
                attempt = (spool / _NAME_FILE).read_text("utf-8")
                if spool.name != prefix + _digest(attempt):
                    continue
                if (connection := call(spool)) is None:
                    found.append((spool, attempt))
                else:
                    connection.close()
        return found

    def _begin(self, attempt: _Attempt) -> _Attempt:
        self._attempts.add(attempt)
        attempt.task.add_done_callback(lambda _: self._attempts.discard(attempt))
        return attempt

    async def perform(self, attempt: _Attempt) -> Outcome:
        """Run an attempt to its end, when a slot is free."""
        async with self._slots:
            spool = self._folder(attempt.launch)
            try:
                job = msgspec.json.encode(self._job(attempt.launch, spool))
                supervisor = await self._supervisor(isinstance(attempt.launch.target, PythonTarget))
            except commands.Impossible as error:
                return reports.failed(error.failure, "Not launched", str(error))
            except UnicodeEncodeError as error:
                return reports.failed(
                    FailureClass.INVALID, "Not launched", f"it holds a text that is no Unicode: {error}"
                )
            except OSError as error:
                if error.errno in _EXHAUSTED:  # of this node, not of the attempt: it is made again, free of charge
                    telemetry.emit("pool.short", attempt=attempt.launch.attempt, error=error)
                    return Snoozed(_SNOOZE_SECONDS)
                return reports.failed(FailureClass.LAUNCH, "Not launched", f"no supervisor can be started: {error}")
            attempt.supervisor = supervisor
            output = Output(attempt.on_output, self._result_bytes)
            return await self._supervise(attempt, supervisor, supervisor.run(job, _taker(output)), output, spool)

    async def go_on(self, attempt: _Attempt) -> Outcome:
        """See an adopted attempt to its end: by its supervisor, or by what that left behind."""
        spool = self._folder(attempt.launch)  # it is at work already, so it waits for no slot
        output = Output(attempt.on_output, self._result_bytes)
        supervisor = await Supervisor.attach(spool)
        if supervisor is None:
            return await self._outcome(attempt, await asyncio.to_thread(_left, spool, output), output, spool)
        attempt.supervisor = supervisor
        if attempt.is_unwanted:
            supervisor.cancel()
        return await self._supervise(attempt, supervisor, supervisor.listen(_taker(output)), output, spool)

    async def forget(self, launch: Launch) -> None:
        """Remove the spool folder of an attempt."""
        await asyncio.to_thread(shutil.rmtree, self._folder(launch), ignore_errors=True)

    async def _supervise(
        self,
        attempt: _Attempt,
        supervisor: Supervisor,
        hearing: Coroutine[None, None, Report | None],
        output: Output,
        spool: Path,
    ) -> Outcome:
        try:
            report = await hearing
        except BaseException as error:
            if attempt.is_detached or (isinstance(error, TakenOver) and attempt.launch.orphan_grace_seconds):
                supervisor.detach()
            else:
                supervisor.kill()
                await supervisor.leave()
                await self.forget(attempt.launch)
            raise
        if report is None and attempt.is_adopting and (left := await asyncio.to_thread(_report, spool)) is not None:
            report = left  # it ended as we came
            output = output.again()
            await asyncio.to_thread(_left, spool, output)
        if report is None:
            supervisor.kill()
        outcome = await self._outcome(attempt, report, output, spool)
        await supervisor.leave()
        if not attempt.launch.orphan_grace_seconds:
            await self.forget(attempt.launch)
        return outcome

    async def _outcome(self, attempt: _Attempt, report: Report | None, output: Output, spool: Path) -> Outcome:
        if attempt.is_adopting and report is not None and report.ended_by in attempt.not_asked_for:
            report = None  # nobody came in time; or the node before ended it, since it had lost its lease
        outcome = await asyncio.to_thread(
            reports.outcome,
            attempt.launch,
            report,
            output.finish(),
            spool,
            self._result_bytes,
            self._settings.limits(attempt.launch.resources).get("address_space"),
        )
        # Not what it gave: only who settles the attempt knows which secrets and tokens are in that.
        kind = type(outcome).__name__.lower()
        telemetry.emit("pool.ended", attempt=attempt.launch.attempt, outcome=kind)
        return outcome

    def _folder(self, launch: Launch) -> Path:
        """Give the spool folder of an attempt. Its name is a digest: the id may hold anything."""
        prefix = self._shared_spool if launch.orphan_grace_seconds else self._spool
        return Path(prefix + _digest(launch.attempt))

    def _job(self, launch: Launch, spool: Path) -> Job:
        settings = self._settings
        folder = launch.folder or settings.working_dir or os.getcwd()
        told = {variable: os.path.join(spool, file_name(variable)) for variable in launch.files}
        variables = settings.environment | launch.environment | told
        command = commands.command(launch.target, folder, str(spool), variables, settings.python_path or sys.executable)
        files = command.files | {file_name(variable): text for variable, text in launch.files.items()}
        if launch.orphan_grace_seconds:
            files[_NAME_FILE] = launch.attempt.encode("utf-8", "replace").decode()
        return Job(
            argv=command.argv,
            environment=command.environment | self._devices(launch),
            folder=folder,
            spool=str(spool),
            files=files,
            stdin=command.stdin,
            timeout_seconds=launch.timeout_seconds,
            orphan_grace_seconds=launch.orphan_grace_seconds,
            spool_bytes=self._result_bytes + 1,  # so that who reads the spool sees that there was more
            limits=settings.limits(launch.resources),
            nice=settings.nice,
        )

    def _devices(self, launch: Launch) -> dict[str, str]:
        """Give what tells an attempt which graphics processors are its own, whatever its author says."""
        if launch.devices:
            return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, launch.devices))}
        return {"CUDA_VISIBLE_DEVICES": _NO_DEVICES} if self._has_gpus else {}

    async def _supervisor(self, for_functions: bool) -> Supervisor:
        """Give a supervisor that waits for a job, and see to the next one."""
        ready = self._ready[for_functions]
        found: Supervisor | None = None
        while ready and found is None:
            candidate = ready.popleft()
            if candidate.is_alive:
                found = candidate
            else:
                await candidate.leave()
        if not self._stopping:
            task = asyncio.create_task(self._prepare(for_functions), name="warming")
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)
        return found or await self._started(for_functions)

    async def _started(self, for_functions: bool) -> Supervisor:
        return await Supervisor.start(for_functions=for_functions, apart=self._apart)

    async def _prepare(self, for_functions: bool) -> None:
        ready = self._ready[for_functions]
        try:
            while len(ready) < self._warm and not self._stopping:
                ready.append(await self._started(for_functions))
        except OSError as error:  # the launch that needs one will say so
            telemetry.emit("pool.not_warmed", error=error)


class _Attempt:
    """An attempt in this pool. `supervisor`: None while it waits for a slot."""

    def __init__(self, pool: LocalPool, launch: Launch, on_output: OnOutput, *, adopting: bool = False) -> None:
        self.launch = launch
        self.is_adopting = adopting
        self.is_detached = False
        self.is_unwanted = False
        """It was to be ended before its supervisor was reached."""
        self.not_asked_for = {"orphan", "cancel"}
        self._pool = pool
        self.on_output = on_output
        self.supervisor: Supervisor | None = None
        self.task = asyncio.create_task(
            pool.go_on(self) if adopting else pool.perform(self), name=f"attempt {launch.attempt}"
        )

    async def outcome(self) -> Outcome:
        await asyncio.wait([self.task])
        return Cancelled() if self.task.cancelled() else self.task.result()

    async def cancel(self) -> None:
        if self.task.done():
            return
        self.not_asked_for.discard("cancel")
        if self.supervisor is not None:
            self.supervisor.cancel()
        elif self.is_adopting:
            self.is_unwanted = True
        else:
            self.task.cancel()
        await asyncio.wait([self.task], timeout=_CANCEL_SECONDS)
        if not self.task.done() and self.supervisor is not None:
            self.supervisor.kill()
            await asyncio.wait([self.task])

    async def forget(self) -> None:
        await self._pool.forget(self.launch)

    async def detach(self) -> None:
        if self.launch.orphan_grace_seconds == 0 or self.supervisor is None:
            await self.cancel()
        elif not self.task.done():
            self.is_detached = True
            self.task.cancel()
            await asyncio.wait([self.task])


def _digest(attempt: str) -> str:
    return hashlib.sha256(attempt.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _sweep(folder: Path) -> None:
    """Remove the spools of attempts that nobody came for in a day."""
    for spool in _aged(folder, _SHARED, _FORGOTTEN_SECONDS):
        shutil.rmtree(spool, ignore_errors=True)


def _aged(folder: Path, prefix: str, seconds: float) -> list[Path]:
    """Give the spools of this user that have not changed for so long."""
    found = []
    for spool in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            state = spool.lstat()
            if state.st_uid == os.geteuid() and time.time() - state.st_mtime > seconds:
                found.append(spool)
    return found


def _report(spool: Path) -> Report | None:
    """Give the report in a spool folder that is ours; None when there is none."""
    try:
        if spool.lstat().st_uid != os.geteuid():
            return None
        return report_of((spool / supervision.OUTCOME_FILE).read_bytes())
    except OSError:
        return None


def _left(spool: Path, output: Output) -> Report | None:
    """Give the report in a spool folder, and its output to `output`."""
    report = _report(spool)
    if report is not None:
        for stream in _STREAMS.values():
            with contextlib.suppress(FileNotFoundError):
                output.take(stream, (spool / stream).read_bytes())
    return report


def _taker(output: Output) -> Callable[[bytes, bytes], None]:
    """Give what hears the frames of a supervisor."""
    return lambda kind, data: output.take(_STREAMS[kind], data)
