"""A world of one Python workflow for tests of the engine's half that drives functions: no store, no clock but its own.

What is real: the decisions, the driver of the function, and the rows through which a run passes from one process to the next.
A crash throws away everything but the rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from interlock import errors
from interlock.app import graphs
from interlock.engine import state as states
from interlock.engine.cause import Cancel, Cause, Continue, Drain, Recover, Settled, Start, Tick
from interlock.engine.deciding import Deciding
from interlock.engine.live import LiveRun
from interlock.engine.patience import Patience
from interlock.engine.programs import Programs, leave
from interlock.engine.rows import Rows
from interlock.flow.python.workflow import Workflow
from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.memo import Memo
from interlock.model.payload import Payload
from interlock.model.task import Outcome, Place, PythonTarget
from interlock.store.ports import MemoRow, StoredRun

LOOKS = 400
"""Turns of the loop that a function which awaits what is no call is given to go on by itself."""


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def stamp(self) -> float | None:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def uuid(self) -> str:
        return "0"

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class Journal:
    """The part of a store that a function is begun from."""

    def __init__(self) -> None:
        self.rows: dict[int, MemoRow] = {}
        self.cache: dict[tuple[str, str], bytes] = {}
        self.large: dict[str, bytes] = {}
        self.away = False

    async def memos(self, run: str, after: int, limit: int) -> Sequence[MemoRow]:
        return [self.rows[number] for number in sorted(self.rows) if number > after][:limit]

    async def texts(self, run: str, digests: Sequence[str]) -> Mapping[str, bytes]:
        return {digest: self.large[digest] for digest in digests}

    async def cached(self, namespace: str, name: str, key: str, now: float) -> bytes | None:
        if self.away:
            raise errors.StoreUnavailable("away")
        return self.cache.get((name, key))


class Store:
    def __init__(self) -> None:
        self.journal = Journal()


class ProgramWorld:
    """One run; `workflow` may be replaced between two processes. `asked` counts how often each call was made."""

    def __init__(self, workflow: Workflow[Any, Any], input: dict[str, Any] | None = None) -> None:
        self.workflow_ = workflow
        self.graph = graphs._of_program(workflow.source)
        self.clock = Clock()
        self.store = Store()
        self.rows = Rows()
        self.input = Payload(input or {})
        self.history: list[Event] = []
        self.commits = 0
        self.asked: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.requests: dict[int, Any] = {}
        self.interrupts: list[int] = []
        self.performed: list[Any] = []
        self._scopes: dict[str, bytes] = {}
        self._head = b""
        self._end: tuple[Any, Any] = (None, None)
        self.heard: dict[int, float] = {}
        deciding = Deciding(
            self.clock,
            None,  # type: ignore[arg-type]  # programs evaluate nothing
            None,  # type: ignore[arg-type]  # nor have they secrets
            64 * 1024 * 1024,
            self._undos,
            self._heard,
            86_400.0,
        )
        self.programs = Programs(
            self.store,  # type: ignore[arg-type]
            self.clock,
            self.rows,
            deciding,
            self,
            Patience("node", patient=False),
            self._wake,
        )
        self.live = LiveRun(run="run", epoch=1, state=states.new("run", "default", "id", self.input))
        self.live.graph = self.graph
        self.live.place = Place(run="run", namespace="default", id="id", folder="/")
        self.woken = False

    # -- what the engine asks for ----------------------------------------------------------------------------------

    async def workflow(self, graph: Any, place: Place) -> Workflow[Any, Any]:
        return self.workflow_

    async def sign(self, namespace: str, token: str) -> str:
        return f"{token}.mac"

    async def _undos(self, run: str, before: int | None) -> list[Any]:
        rows = [row for row in self.store.journal.rows.values() if row.undo and (before is None or row.number < before)]
        rows.sort(key=lambda row: -row.number)
        return await self.rows.memos("run", rows[:2], self.store.journal)  # type: ignore[arg-type]

    async def _heard(self, run: str) -> dict[int, float]:
        """Give when the holders of tokens gave their last sign of life, as a test says it."""
        return self.heard

    def _wake(self, live: LiveRun) -> None:
        if live is self.live:
            self.woken = True

    # -- what tests do ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self.apply(Start())

    async def apply(self, *causes: Cause) -> None:
        """Apply causes together, as one turn of the run's driver does, and commit what follows."""
        self.woken = False
        self.live.mailbox += [(cause, 0) for cause in causes]
        while self.live.mailbox:
            work, _ = await self.programs.next(self.live)
            self._commit(work)
        await self._follow()

    async def _follow(self) -> None:
        """Let a function that awaits what is no call go on by itself, until it has ended or nothing happens any more."""
        for _ in range(LOOKS):
            if self.woken:
                self.woken = False
                work, _ = await self.programs.next(self._with(Continue()))
                self._commit(work)
            program = self.live.program
            if self.ended or program is None or program.is_quiet:
                return
            await asyncio.sleep(0)

    def _with(self, cause: Cause) -> LiveRun:
        self.live.mailbox.append((cause, 0))
        return self.live

    async def settle(self, *outcomes: tuple[int, Outcome]) -> None:
        """Deliver outcomes of effects, in this order, in one commit."""
        for effect, _ in outcomes:
            self.requests.pop(effect, None)
        await self.apply(*[Settled(effect, outcome) for effect, outcome in outcomes])

    async def later(self) -> None:
        """Let time pass until something is due."""
        assert self.live.state is not None
        wake_at = self.live.state.wake_at()
        assert wake_at is not None, "nothing will ever happen in this run again"
        self.clock.time = max(self.clock.time, wake_at)
        await self.apply(Tick())

    async def cancel(self, *, rollback: bool = False) -> None:
        await self.apply(Cancel(rollback=rollback))

    async def drain(self) -> None:
        """Leave the run as a node that stops does, and take it up again elsewhere."""
        await self.apply(Drain())
        await self.crash()

    async def crash(self) -> None:
        """Throw away all that is in memory, and take the run up again from its rows."""
        program = self.live.program
        leave(self.live, "crash")
        if program is not None:
            await program.gone()
        self.requests = {number: each for number, each in self.requests.items() if each.queued}  # others perform those
        stored = StoredRun(
            run="run",
            namespace="default",
            id="id",
            definition="",
            folder="/",
            epoch=1,
            seq=self.commits,
            status=self.live.state.status,  # type: ignore[union-attr]
            input=self.rows.input(self.input)[0],
            head=self._head,
            scopes=self._scopes,
            output=None,
            fault=None,
            inbox=[],
        )
        live = LiveRun(run="run", epoch=1, seq=self.commits, graph=self.graph, place=self.live.place)
        live.state = await self.rows.load(stored, self.store.journal)  # type: ignore[arg-type]
        self.live = live
        self.check()
        await self.apply(Recover())
        wake_at = live.state.wake_at()
        if wake_at is not None and wake_at <= self.clock.time and not self.ended:
            await self.apply(Tick())

    def check(self) -> None:
        """The history, folded, gives the rows."""
        fresh = states.new("run", "default", "id", self.input)
        assert self.rows.folded(fresh, self.history) == self.rows.apart(self._head, self._scopes)

    def _commit(self, work: Any) -> None:
        state = self.live.state
        assert state is not None
        if not work.events:
            return
        for event in work.events:
            match event:
                case events.Called(scope=scope):
                    self.asked[scope] += 1
                case events.Left(scope=scope):
                    self.left[scope] += 1
                case _:
                    pass
        self.history += work.events
        batch = self.rows.batch(state, work.events, epoch=1, seq=self.commits, at=self.clock.now())
        if batch.forget_memos:
            self.store.journal.rows.clear()
        for memo in batch.memos:
            assert memo.number not in self.store.journal.rows
            self.store.journal.rows[memo.number] = MemoRow(
                number=memo.number, call=memo.call, body=memo.body, undo=memo.undo
            )
        self.store.journal.large.update(batch.large)
        for scope, body in batch.scopes.items():
            if body is None:
                self._scopes.pop(scope, None)
            else:
                self._scopes[scope] = body
        self._head = batch.head
        self.commits += 1
        self.live.seq = self.commits
        for effect in work.interrupts:
            self.requests.pop(effect, None)
            self.interrupts.append(effect)
        for request in work.requests:
            self.requests[request.effect] = request
            self.performed.append(request)
        self._drop_unawaited()
        self.check()
        if state.ended:
            leave(self.live, "the run is over here")

    def _drop_unawaited(self) -> None:
        assert self.live.state is not None
        known = set(self.live.state.effects)
        self.requests = {effect: request for effect, request in self.requests.items() if effect in known}

    # -- what came of it -------------------------------------------------------------------------------------------

    @property
    def state(self) -> states.RunState:
        assert self.live.state is not None
        return self.live.state

    @property
    def ended(self) -> bool:
        return self.state.ended

    @property
    def output(self) -> Any:
        assert self.state.fault is None, self.state.fault
        assert self.state.output is not None, f"{self.state.live_status()}: {sorted(self.state.scopes)}"
        return self.state.output.value

    def request(self, function: str) -> int:
        """Give the number of the one effect that calls a function."""
        found = [number for number, request in self.requests.items() if _name(request) == function]
        assert len(found) == 1, f"{function}: {[_name(request) for request in self.requests.values()]}"
        return found[0]

    def names(self) -> list[str]:
        """Give what waits for an outcome, by name, in the order in which it was asked for."""
        return [_name(request) for request in self.requests.values()]

    async def remembered(self) -> list[Memo]:
        """Give what the rows say that the run remembers."""
        rows = self.store.journal.rows
        return await self.rows.memos("run", [rows[number] for number in sorted(rows)], self.store.journal)  # type: ignore[arg-type]

    async def stop(self) -> None:
        program = self.live.program
        leave(self.live, "the test is over")
        if program is not None:
            await program.gone()


def _name(request: Any) -> str:
    target = request.target
    return target.function.rsplit(":", 1)[-1].rsplit(".", 1)[-1] if isinstance(target, PythonTarget) else request.path
