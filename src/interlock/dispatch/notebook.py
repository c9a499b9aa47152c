"""What a worker tells besides the outcomes of its tasks: why it took each, and how it stands with them.

Nothing waits for it and nothing depends on it: what a store that is away could not take is dropped after a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Final

from msgspec.structs import replace

from interlock import errors, telemetry
from interlock.model import json
from interlock.model.json import Json
from interlock.service import Clock, Loop
from interlock.store.ports import CellWrite, Lesson, Store, Tally

TASKS: Final = "tasks"
"""The space of shared memory with the states of tasks."""
KEPT_SECONDS: Final = 86_400.0
_FLUSH_SECONDS: Final = 0.5
_MOST: Final = 10_000  # of each kind, while the store is away
_AT_ONCE: Final = 200
_CHOICE: Final = "worker"


class Notebook(Loop):
    """Writes decisions, what its worker has done, and cells of the space `tasks` that end after a day: a little later, and in
    few transactions."""

    def __init__(self, store: Store, clock: Clock, worker: str, session: str) -> None:
        """`worker`: also the writer of the cells. `session`: as which it is registered."""
        super().__init__("notebook", _FLUSH_SECONDS)
        self._store = store
        self._clock = clock
        self._worker = worker
        self._session = session
        self._tally = Tally()
        self._decisions: deque[tuple[str, bytes]] = deque()
        self._states: deque[tuple[str, str, Json]] = deque()

    def chose(self, task: str, decision: bytes) -> None:
        """Note that the worker took a task, and why. `decision`: JSON."""
        self._tally = replace(self._tally, taken=self._tally.taken + 1)
        if len(self._decisions) < _MOST:
            self._decisions.append((task, decision))

    def ended(self, *, succeeded: bool, seconds: float, lessons: Sequence[Lesson] = ()) -> None:
        """Note what became of a task. `lessons`: what those learn that chose the worker for it."""
        before = self._tally
        self._tally = replace(
            before,
            succeeded=before.succeeded + succeeded,
            failed=before.failed + (not succeeded),
            seconds=before.seconds + seconds,
            lessons=[*before.lessons, *lessons][:_MOST],
        )

    def stands(self, namespace: str, task: str, state: Json) -> None:
        """Note how a task stands, under `<task>/state`."""
        if len(self._states) < _MOST:
            self._states.append((namespace, f"{task}/state", state))

    async def round(self) -> bool:
        await self._write_tally()
        await self._write_decisions()
        await self._write_states()
        return False

    async def _write_tally(self) -> None:
        tally, self._tally = self._tally, Tally()
        if tally == Tally():
            return
        try:
            await self._store.workers.tally(self._worker, self._session, tally, self._clock.stamp())
        except errors.Environment:
            self._tally = _sum(tally, self._tally)
            raise

    async def _write_decisions(self) -> None:
        while self._decisions:
            task, decision = self._decisions[0]
            await self._store.workers.note(_CHOICE, task, self._worker, decision, self._clock.stamp())
            self._decisions.popleft()

    async def _write_states(self) -> None:
        while self._states:
            namespace = self._states[0][0]
            known = list(takewhile(lambda each: each[0] == namespace, islice(self._states, _AT_ONCE)))  # noqa: B023 (used at once)
            writes = [
                CellWrite(space=TASKS, key=key, value=json.encode(state), writer=self._worker, ttl_seconds=KEPT_SECONDS)
                for _, key, state in known
            ]
            await self._store.cells.write(namespace, writes, self._clock.stamp())
            for _ in known:
                self._states.popleft()

    async def stop(self) -> None:
        """Write the rest, if the store takes it."""
        await super().stop()
        try:
            await self.round()
        except errors.Environment as error:
            telemetry.emit("notebook.lost", error=error)


def _sum(before: Tally, later: Tally) -> Tally:
    return Tally(
        taken=before.taken + later.taken,
        succeeded=before.succeeded + later.succeeded,
        failed=before.failed + later.failed,
        seconds=before.seconds + later.seconds,
        lessons=[*before.lessons, *later.lessons][:_MOST],
    )
