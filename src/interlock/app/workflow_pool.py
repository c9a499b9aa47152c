"""The pool `workflows`: an attempt of a task there is a run of a published workflow, which any engine executes.

A run outlives whoever waits for it. So an attempt that lost its node, or was put off, is followed by one that joins the same
run (`joining`), unless its author wants another workflow by now, or the run was cancelled for the task itself. When a task is
over and its run is not (somebody cancelled the task while nobody watched it), the run is asked to cancel: by level, by every
node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from interlock import errors, telemetry
from interlock.app import following, joining, telling
from interlock.dispatch import briefing
from interlock.engine import cause as causes
from interlock.engine.rows import Rows
from interlock.model import event, fault, json
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Snoozed, WorkflowTarget
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.secrets.form import hidden
from interlock.service import RESTING_SECONDS, Clock, Loop
from interlock.store.ports import Definition, NewRun, RunRow, Store, news

_LOOK_SECONDS: Final = 2.0  # the net under the bell
_SPACING_SECONDS: Final = 0.02  # between looks, however often the bell rings
_STRAYED_SECONDS: Final = 60.0  # between looks for runs whose tasks are over
_STOP_SECONDS: Final = 30.0  # for a run that was asked to cancel
_RETRY_SECONDS: Final = 0.5
_AT_ONCE: Final = 500
_MOST_TRIES: Final = 1000

_WAS_CANCELLED: Final = "run-cancelled"

Accept: TypeAlias = Callable[[NewRun, Payload], Awaitable[None]]
"""Accepts a run, for whichever engine can execute it, unless its id is taken."""


class WorkflowPool(Loop):
    """`accept`: how a run comes to an engine. Serves any number of attempts; a thousand of them are one read per look."""

    def __init__(self, store: Store, clock: Clock, rows: Rows, accept: Accept) -> None:
        super().__init__("workflow-pool", _LOOK_SECONDS, RESTING_SECONDS)
        self._store = store
        self._clock = clock
        self._rows = rows
        self._accept = accept
        self._waiting: dict[str, asyncio.Event] = {}
        """By the key of a run, what is set when it has ended; a node that was given up may watch one for two attempts."""
        self._strays_at = clock.monotonic()
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self._rung, news.ENDS)
        await super().start()

    async def stop(self) -> None:
        self._unlisten()
        await super().stop()

    def _rung(self) -> None:
        if self._waiting:
            self.wake()

    async def round(self) -> bool:
        if self._clock.monotonic() >= self._strays_at:
            await self._cancel_strays()
            self._strays_at = self._clock.monotonic() + _STRAYED_SECONDS
        runs = list(self._waiting)
        for first in range(0, len(runs), _AT_ONCE):
            page = runs[first : first + _AT_ONCE]
            known = await self._store.views.statuses(page)
            for run in page:
                if known.get(run) is None or known[run] in ENDED_RUN:
                    self._waiting.pop(run).set()
        await asyncio.sleep(_SPACING_SECONDS)
        return False

    async def _cancel_strays(self) -> None:
        """Have runs cancelled whose tasks are over: those were cancelled, or given up, while nobody watched the run."""
        after = ""
        while strays := await self._store.views.strays(after, _AT_ONCE):
            for run, task in strays:
                if joining.is_left(await self._store.tasks.tries(task, _MOST_TRIES), run):
                    await self._ask_to_cancel(run, task, f"{_reason_of(task)} is over")
            after = strays[-1][0]

    # -- launching -----------------------------------------------------------------------------------------------

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Start a run, or join the one that an earlier attempt started and nobody has seen end.

        A workflow that is not published is an outcome of the class invalid. Raises Environment.
        """
        target = launch.target
        assert isinstance(target, WorkflowTarget)
        task, fence = launch.labels["interlock.task"], int(launch.labels["interlock.fence"])
        run, id, row = await self._joined(task, fence, target)
        if row is None:
            found = await self._published(target)
            if found is None:
                return _Refused(_unknown(target))
            await self._accept(self._new(run, id, task, found, launch.folder), self._input(target, launch))
            row = await self._store.views.run(found.namespace, id)
        if row is None or row.run != run:
            return _Refused(_taken(id))
        on_output("interlock", f"run {row.namespace}/{row.id} of {row.workflow}:{row.version}\n")
        return _RunOfTask(self, row, task, fence, launch.timeout_seconds)

    def is_left(self, launch: Launch) -> bool:
        """Give True: a run is in the store, whoever watched it; one that was never accepted is begun by who adopts it."""
        return True

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        return await self.launch(launch, on_output)

    async def _joined(self, task: str, fence: int, target: WorkflowTarget) -> tuple[str, str, RunRow | None]:
        """Give the key, the id and, where it is in the store, the row of the run that an attempt has.

        Raises LeaseLost: the attempt is not there any more.
        """
        keys = joining.keys(await self._store.tasks.tries(task, _MOST_TRIES), fence)
        if not keys:
            raise errors.LeaseLost(f"the attempt {fence} of the task {task} is not in the store any more")
        for run in keys:
            id = joining.id_of(task, run)
            row = await self._store.views.run(None, id)
            if row is None or row.run != run or run == keys[-1]:
                break
            if not _is_of(row, target):
                await self._ask_to_cancel(run, task, f"{_reason_of(task)} is another workflow now")
            elif row.status is not RunStatus.CANCELLED or not await self._was_cancelled_for(task, row):
                break
        return run, id, row

    async def _published(self, target: WorkflowTarget) -> Definition | None:
        version = None if target.version == "latest" else target.version
        return await self._store.journal.published(target.namespace, target.name, version)

    def _input(self, target: WorkflowTarget, launch: Launch) -> Payload:
        """Give what the author wrote, else what a program in its place would be told: inputs, results, ..."""
        if target.input is not None:
            return Payload(target.input)
        return Payload(json.decode(launch.files[briefing.VARIABLE].encode()))

    def _new(self, run: str, id: str, task: str, found: Definition, folder: str) -> NewRun:
        return NewRun(
            run=run,
            namespace=found.namespace,
            id=id,
            definition=found.digest,
            workflow=found.name,
            version=found.version,
            input=b"",
            folder=folder,
            owner=None,
            parent=task,
        )

    # -- watching ------------------------------------------------------------------------------------------------

    async def ended(self, row: RunRow, task: str) -> Outcome:
        """Wait for the end of a run, and give it as its task is told; Cancelled where the task itself wanted that end."""
        while True:
            waiting = self._waiting.setdefault(row.run, asyncio.Event())
            self.wake()
            await waiting.wait()
            try:
                outcome = await self._outcome(row, task)
            except errors.Environment as error:
                telemetry.emit("loop.failed", loop=self._name, error=error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if outcome is not None:  # else somebody has it tried again, and it goes on
                return outcome

    async def _outcome(self, row: RunRow, task: str) -> Outcome | None:
        """Give how a run has ended, as its task is told; None: it has not."""
        now = await self._store.views.run(row.namespace, row.id)
        if now is None or now.run != row.run:
            return _removed(row.id)
        match now.status:
            case RunStatus.COMPLETED:
                return Done(None if now.output is None else await self._output(now.run, now.output))
            case RunStatus.FAULTED:
                return _faulted(now)
            case RunStatus.CANCELLED:
                return Cancelled() if await self._was_cancelled_for(task, now) else _cancelled(now.id)
        return None

    async def _was_cancelled_for(self, task: str, row: RunRow) -> bool:
        """Say whether a run was cancelled since its task wanted that: False for a person who cancelled the run itself."""
        told = await following.history(self._store, self._rows, row.run, row.seq - 1)
        return any(
            isinstance(each, event.Cancelled) and (each.reason or "").startswith(_reason_of(task)) for each in told
        )

    async def _output(self, run: str, text: bytes) -> json.Json:
        """Give the output of a run; secrets stay behind, since a task has no right to any."""
        found = await self._rows.value(run, text, self._store.journal)
        return json.decode(hidden(found.text.decode()).encode())

    def age_seconds(self, row: RunRow) -> float:
        """Give how long ago a run was accepted."""
        return self._clock.now() - row.created_at

    async def cancel(self, run: str, task: str, fence: int) -> bool:
        """Have the run of this very attempt cancelled if somebody asked for its end, and say whether; durable then.

        False, too, while the store is away: whoever watches the run next asks again, or a look for strays does.
        """
        try:
            row = await self._store.queue.attempt(task, fence)
            if row is None or not row.cancel:
                return False
            await self._ask_to_cancel(run, task, f"{_reason_of(task)} was cancelled")
        except errors.Environment as error:
            telemetry.emit("loop.failed", loop=self._name, error=error)
            return False
        return True

    async def ask_to_cancel(self, run: str, task: str, reason: str) -> None:
        """Have a run cancelled, however long the store is away. Durable when it returns."""
        while True:
            try:
                return await self._ask_to_cancel(run, task, reason)
            except errors.Environment as error:
                telemetry.emit("loop.failed", loop=self._name, error=error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _ask_to_cancel(self, run: str, task: str, reason: str) -> None:
        cause = causes.encode(causes.Cancel(reason))
        await self._store.journal.post(run, "cancel:task", cause, f"task:{task}", self._clock.now())


class _RunOfTask:
    """An attempt: it watches its run."""

    def __init__(self, pool: WorkflowPool, row: RunRow, task: str, fence: int, timeout_seconds: float | None) -> None:
        self._pool = pool
        self._row = row
        self._task = task
        self._fence = fence
        self._timeout_seconds = timeout_seconds
        self._asked = False
        self._watching = asyncio.create_task(self._watch(), name=f"run-of-{task}")
        self._giving_up: asyncio.TimerHandle | None = None

    async def outcome(self) -> Outcome:
        await asyncio.wait([self._watching])
        # One that was let go before it began has no outcome of its own.
        return Cancelled(abandoned=True) if self._watching.cancelled() else self._watching.result()

    async def cancel(self) -> None:
        """Have the run cancelled, if somebody wants that: a lease that was lost is no reason, others watch the run then.

        Comes back at once, since a run may take its time; the outcome is there when the run has ended.
        """
        if self._asked or self._watching.done():
            return
        if not await self._pool.cancel(self._row.run, self._task, self._fence):
            await self.detach()
            return
        self._asked = True
        self._giving_up = asyncio.get_running_loop().call_later(_STOP_SECONDS, self._watching.cancel)

    async def forget(self) -> None:
        return

    async def detach(self) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self) -> Outcome:
        try:
            outcome = await self._within(self._left_seconds())
        except asyncio.CancelledError:
            return Cancelled(abandoned=True)
        finally:
            if self._giving_up is not None:
                self._giving_up.cancel()
        if self._asked and _is_cancelled(outcome):
            return Cancelled()
        # Cancelled for an attempt before this one, which joined too early: another one begins another run.
        return Snoozed(0.0) if isinstance(outcome, Cancelled) else outcome

    async def _within(self, seconds: float | None) -> Outcome:
        try:
            async with asyncio.timeout(seconds):
                return await self._pool.ended(self._row, self._task)
        except TimeoutError:
            reason = f"{_reason_of(self._task)} ran longer than {self._timeout_seconds:g} s"
            await self._pool.ask_to_cancel(self._row.run, self._task, reason)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                outcome = await self._pool.ended(self._row, self._task)
        except TimeoutError:
            state = "is asked to cancel, and will before it does anything else"
        else:
            if not _is_cancelled(outcome):  # it was over before it was asked, such as while nobody watched it
                return outcome
            state = "was cancelled"
        return _timed_out(f"{reason}; its run {self._row.id} {state}")

    def _left_seconds(self) -> float | None:
        """Give how long the run may still take: its time counts, not that of whoever watches it."""
        if self._timeout_seconds is None:
            return None
        return max(0.0, self._timeout_seconds - self._pool.age_seconds(self._row))


class _Refused:
    """An attempt that came to no run."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def outcome(self) -> Outcome:
        return self._outcome

    async def cancel(self) -> None:
        return

    async def forget(self) -> None:
        return

    async def detach(self) -> None:
        return


def _reason_of(task: str) -> str:
    """Give how every reason begins for which a task has its run cancelled."""
    return f"the task {task}"


def _is_of(row: RunRow, target: WorkflowTarget) -> bool:
    """Say whether a run is of the workflow that its task is by now."""
    is_version = target.version in {"latest", row.version}
    return is_version and (row.namespace, row.workflow) == (target.namespace, target.name)


def _is_cancelled(outcome: Outcome) -> bool:
    is_by_person = isinstance(outcome, Failed) and outcome.fault.code == _WAS_CANCELLED
    return is_by_person or isinstance(outcome, Cancelled)


def _faulted(row: RunRow) -> Failed:
    error = telling.fault_of(row)
    assert error is not None
    detail = f"the run {row.id} faulted at {error.instance or '/'}: {error.detail or error.title or error.type}"
    told = Fault(type=error.type, status=error.status, title=error.title, detail=detail, code=error.code)
    return Failed(FailureClass.APPLICATION, told)


def _cancelled(id: str) -> Failed:
    """Give what a task comes to whose run somebody cancelled: to start it again would be against their will."""
    error = Fault(
        type=fault.RUNTIME, status=500, title="Cancelled", detail=f"the run {id} was cancelled", code=_WAS_CANCELLED
    )
    return Failed(FailureClass.APPLICATION, error, final=True)


def _timed_out(detail: str) -> Failed:
    return Failed(FailureClass.TIMEOUT, Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail))


def _removed(id: str) -> Failed:
    detail = f"the run {id} is not in the store any more, so nobody knows how it ended"
    return Failed(
        FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500, title="Removed", detail=detail), final=True
    )


def _unknown(target: WorkflowTarget) -> Failed:
    name = f"{target.namespace}/{target.name}:{target.version}"
    detail = f"no workflow {name} is published; `interlock publish FILE` publishes one, then try the task again"
    return Failed(
        FailureClass.INVALID, Fault(type=fault.CONFIGURATION, status=404, title="No such workflow", detail=detail)
    )


def _taken(id: str) -> Failed:
    detail = f"the run {id} is another one's, and this task's would have the same id"
    return Failed(FailureClass.INVALID, Fault(type=fault.CONFIGURATION, status=409, title="Id taken", detail=detail))
