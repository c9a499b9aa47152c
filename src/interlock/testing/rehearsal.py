"""One run of a workflow from beginning to end, in an Interlock of its own, with a crash at a planned point."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec

from interlock import errors
from interlock.app.run import Run
from interlock.flow.python.workflow import Workflow
from interlock.model import event as events
from interlock.model.call import EventCall, TokenCall
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow
from interlock.testing.attempts import Attempt, Attempts
from interlock.testing.gates import Crash
from interlock.testing.kit import Kit
from interlock.testing.programs import Asked, Watcher
from interlock.testing.stubs import Stubs

T = TypeVar("T")
OnWait = Callable[[Kit], Awaitable[object] | object]

_ID: Final = "rehearsed"
_FINISH_SECONDS: Final = 5.0
_RUNS: Final = 10_000

_fault = msgspec.json.Decoder(Fault)


class Worldly(Protocol):
    """What the steps of a workflow change outside of it."""

    def reset(self) -> None:
        """Put everything back as it was."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Give what is there now, by name."""
        ...


@dataclass(slots=True, kw_only=True)
class Plan:
    """What is rehearsed. `moments`: what `now()` gives, by run and identity, the same in every repetition."""

    workflow: Workflow[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    world: Worldly
    stubs: Stubs
    start: datetime
    seed: int | str
    patience_seconds: float
    answers: Mapping[str, Any] = field(default_factory=dict)
    on_wait: OnWait | None = None
    moments: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Played:
    """How a repetition went. `result`: the run's status with its output or fault. `crash` None: there was none.

    `at`: what was about to happen, or had happened, when it crashed. `left`: the world before and after the functions of the
    workflows were put away.
    """

    crash: Crash | None
    latest_first: bool
    at: str = ""
    result: tuple[Json, ...] = ()
    world: dict[str, Any] = field(default_factory=dict)
    left: tuple[dict[str, Any], dict[str, Any]] | None = None
    commits: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    most_kept: int = 0
    asked: list[Asked] = field(default_factory=list)
    late: list[Asked] = field(default_factory=list)

    def __str__(self) -> str:
        order = "outcomes in reverse order" if self.latest_first else ""
        if self.crash is None:
            return order
        return f"{self.crash}, of {self.at}" + (f", with {order}" if order else "")


async def play(plan: Plan, crash: Crash | None = None, *, latest_first: bool = False) -> Played:
    """Run the workflow once. Raises Invalid when it waits for what nobody answers, TimeoutError when it does not end."""
    played = Played(crash=crash, latest_first=latest_first)
    plan.world.reset()
    attempts = Attempts(plan.stubs.again(), plan.world.snapshot, orders=True)
    kit = Kit(
        namespace=plan.workflow.namespace,
        start=plan.start,
        seed=plan.seed,
        patience=plan.patience_seconds,
        crash=crash,
        attempts=attempts,
    )
    kit.watcher.moments = plan.moments
    async with kit:
        await _Play(plan, played, kit).run()
        played.world = plan.world.snapshot()
        names = _names(await kit.session.store.views.runs(None, (), None, None, _RUNS))
    played.attempts, played.most_kept = attempts.all, attempts.most_kept
    played.asked, played.late = kit.watcher.asked, kit.watcher.late
    for attempt in played.attempts:
        attempt.key = _named(attempt.key, names)
    played.result, played.world = _named(played.result, names), _named(played.world, names)
    return played


class _Play:
    """The test, as it were: it starts the run, answers what it waits for, and lets time pass."""

    def __init__(self, plan: Plan, played: Played, kit: Kit) -> None:
        self._plan = plan
        self._played = played
        self._kit = kit
        self._answered: set[tuple[str, str]] = set()

    async def run(self) -> None:
        plan, kit = self._plan, self._kit
        first = kit.gate
        start: Callable[..., Awaitable[Run[Any]]] = kit.start
        run = await self._alive(lambda: start(plan.workflow, *plan.args, id=_ID, **plan.kwargs))
        while True:
            busy = await self._alive(lambda: kit.settled(latest_first=self._played.latest_first))
            if busy:
                raise TimeoutError(f"{plan.workflow.name} does not come to rest: {'; '.join(busy)}")
            row = await kit.session.find(run.namespace, run.id)
            if row.status in ENDED_RUN:
                break
            if not await self._answer():
                await self._let_time_pass(row)
        self._played.commits = first.counts.get("commit", 0)
        self._played.result = await self._result(run, row)

    async def _alive(self, make: Callable[[], Awaitable[T]]) -> T:
        """Do something, and once more with the next node if the one that was there crashed meanwhile."""
        while True:
            doing = asyncio.ensure_future(make())
            freezing = asyncio.ensure_future(self._kit.gate.frozen.wait())
            try:
                await asyncio.wait({doing, freezing}, return_when=asyncio.FIRST_COMPLETED)
                if not self._kit.gate.frozen.is_set():
                    return doing.result()
            finally:
                for task in (doing, freezing):
                    task.cancel()
                await asyncio.wait({doing, freezing})
            with suppress(asyncio.CancelledError, errors.InterlockError):
                doing.result()  # what came of it is the dead node's affair
            await self._crash()

    async def _crash(self) -> None:
        """Take the dead node away, and see whether that changes the world: nothing but steps should."""
        kit, played, world = self._kit, self._played, self._plan.world
        played.at = kit.gate.what
        await kit.attempts.finished(_FINISH_SECONDS)
        before = world.snapshot()

        def look() -> None:
            played.left = before, world.snapshot()

        kit.between = look
        kit.attempts.is_careful = True
        await kit.crash()

    async def _answer(self) -> bool:
        """Answer what runs wait for; False: there is nothing that could be answered."""
        kit, plan = self._kit, self._plan
        found = False
        for run in await kit.list(status=(RunStatus.WAITING,)):
            for event in await _open_calls(run):
                mark = (run.run, event.scope)
                if mark not in self._answered and await self._answer_one(event):
                    self._answered.add(mark)
                    found = True
        if plan.on_wait is not None:
            given = plan.on_wait(kit)
            if inspect.isawaitable(given):
                await given
            found = found or bool(await kit.session.node.busy() if kit.session.node else [])
        return found

    async def _answer_one(self, event: events.Called) -> bool:
        kit, answers = self._kit, self._plan.answers
        match event.call:
            case TokenCall(token=token, name=name) if name in answers:
                text = await kit.session.secrets.token(kit.namespace, token)
                await kit.tokens.complete(text, _value(answers[name]))
                return True
            case EventCall(kind=kind) if kind in answers:
                await kit.send(kind, _value(answers[kind]))
                return True
            case _:
                return False

    async def _let_time_pass(self, row: RunRow) -> None:
        due = await self._alive(self._kit.next_moment)
        if due is None:
            waits = [f"`{event.scope}`" for run in await self._kit.list() for event in await _open_calls(run)]
            raise errors.Invalid(
                f"{row.workflow} waits for what nobody answers: {', '.join(waits) or 'nothing that is known'}; give "
                f"answers={{name: result}} for tokens and events, or on_wait="
            )
        await self._alive(lambda: self._kit.move_to(max(due, self._kit.clock.now())))

    async def _result(self, run: Run[Any], row: RunRow) -> tuple[Json, ...]:
        """Give the end of the run as data: what it gave, or why it failed."""
        if row.fault is not None:
            fault = _fault.decode(row.fault)
            return str(row.status), fault.title, fault.detail
        if row.output is None:
            return (str(row.status),)
        output = await self._kit.session.rows.value(run.run, row.output, self._kit.session.store.journal)
        return str(row.status), output.value


async def _open_calls(run: Run[Any]) -> list[events.Called]:
    """Give the calls that a run waits for."""
    found: dict[str, events.Called] = {}
    for event in await run.history():
        match event:
            case events.Called():
                found[event.scope] = event
            case events.Returned() | events.Left():
                found.pop(event.scope, None)
            case events.Renewed():
                found.clear()
            case _:
                pass
    return list(found.values())


def _value(answer: Any) -> Any:
    return answer() if callable(answer) else answer


def _names(rows: list[RunRow]) -> dict[str, str]:
    """Give each run a name that is the same in every repetition: its key comes from chance, and so do its steps' keys."""
    ordered = sorted(rows, key=lambda row: (row.workflow, row.input or b"", row.created_at, row.run))
    return {row.run: f"<run {number} of {row.workflow}>" for number, row in enumerate(ordered, 1)}


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """Replace the keys of runs by their names, in whatever holds them."""
    match value:
        case str():
            for run, name in names.items():
                if run in value:
                    value = value.replace(run, name)
            return value
        case dict():
            return {_named(key, names): _named(item, names) for key, item in value.items()}
        case list():
            return [_named(item, names) for item in value]
        case tuple():
            return tuple(_named(item, names) for item in value)
        case set() | frozenset():
            return {_named(item, names) for item in value}
        case _:
            return value


__all__ = ["OnWait", "Plan", "Played", "Watcher", "Worldly", "play"]
