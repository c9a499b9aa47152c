"""Random async programs, killed at random moments: they end as if nothing had happened, and do nothing twice.

A program is a tree that a workflow function interprets. Every performance of an effect has a result of its own where the
program says so (`Ticket`), so that a run which mixes up two of its calls goes on with the wrong one and is found out.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import interlock
from interlock import errors, gather, run_workflow, sleep, step, workflow
from interlock.model.fault import RUNTIME, Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome
from unit.engine.program_world import ProgramWorld

# -- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A call whose arguments tell it from all others."""

    fails: bool = False


@dataclass(frozen=True)
class Keyed:
    """Calls whose arguments are the same, told apart by their keys."""


@dataclass(frozen=True)
class Ticket:
    """Calls that nothing tells apart; what each gives is different, and is used in a call of its own."""


@dataclass(frozen=True)
class Sleep:
    seconds: int


@dataclass(frozen=True)
class Note:
    kind: str


@dataclass(frozen=True)
class Child:
    pass


@dataclass(frozen=True)
class Repeat:
    """The same call, several times in a row."""

    times: int


@dataclass(frozen=True)
class Turns:
    """A wait that is no call, as for a lock or a queue."""

    count: int


@dataclass(frozen=True)
class Try:
    of: Program


@dataclass(frozen=True)
class Seq:
    of: tuple[Program, ...]


@dataclass(frozen=True)
class Gather:
    of: tuple[Program, ...]


@dataclass(frozen=True)
class Settled:
    """gather(return_exceptions=True)"""

    of: tuple[Program, ...]


@dataclass(frozen=True)
class Group:
    of: tuple[Program, ...]


@dataclass(frozen=True)
class Tasks:
    of: tuple[Program, ...]


@dataclass(frozen=True)
class Race:
    """The first of two that ends; the other is cancelled."""

    of: tuple[Program, Program]


Program = (
    Work | Keyed | Ticket | Sleep | Note | Child | Repeat | Turns | Try | Seq | Gather | Settled | Group | Tasks | Race
)


@step
async def work(place: str, fails: bool) -> str:
    raise AssertionError("the world performs it")


@step
async def keyed(any: int) -> str:
    raise AssertionError("the world performs it")


@step
async def ticket() -> int:
    raise AssertionError("the world performs it")


@step
async def use(ticket: int, place: str) -> str:
    raise AssertionError("the world performs it")


@step
async def same(any: int) -> str:
    raise AssertionError("the world performs it")


class _Broken(Exception):
    """What a failing step raises."""


PROGRAM: list[Program] = []


@workflow(name="property-program")
async def interpreted() -> Any:
    try:
        return await _run(PROGRAM[0], "r")
    except (_Broken, errors.StepFailed, ExceptionGroup):
        return "failed"


async def _run(program: Program, at: str) -> Any:
    match program:
        case Work(fails=fails):
            return await work(at, fails)
        case Keyed():
            return await keyed(1, key=at)
        case Ticket():
            return await use(await ticket(), at)
        case Sleep(seconds=seconds):
            return await sleep(seconds)
        case Note(kind=kind):
            key = at if kind.endswith("!") else ""
            getattr(interlock, kind.rstrip("!"))(key)
            return None
        case Child():
            return await run_workflow("other/thing", {"at": at}, key=at)
        case Repeat(times=times):
            return [await same(1) for _ in range(times)]
        case Turns(count=count):
            for _ in range(count):
                await asyncio.sleep(0)
            return None
        case Try(of=one):
            try:
                return await _run(one, f"{at}t")
            except (_Broken, errors.StepFailed, ExceptionGroup):
                return "caught"
        case Seq(of=some):
            return [await _run(one, f"{at}{i}") for i, one in enumerate(some)]
        case Gather(of=some):
            return list(await gather(*[_run(one, f"{at}{i}") for i, one in enumerate(some)]))
        case Settled(of=some):
            found = await gather(*[_run(one, f"{at}{i}") for i, one in enumerate(some)], return_exceptions=True)
            return ["broken" if isinstance(one, BaseException) else one for one in found]
        case Group(of=some):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_run(one, f"{at}{i}")) for i, one in enumerate(some)]
            return [task.result() for task in tasks]
        case Tasks(of=some):
            tasks = [asyncio.create_task(_run(one, f"{at}{i}")) for i, one in enumerate(some)]
            await asyncio.wait(tasks)
            return [await task for task in tasks]
        case Race(of=some):
            tasks = [asyncio.create_task(_run(one, f"{at}{i}")) for i, one in enumerate(some)]
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)
            return "raced"


# -- what comes of them, without any run ----------------------------------------------------------------------------


class Fails(Exception):
    pass


def expected(program: Program, at: str = "r") -> Any:
    """Give the value of a program. Raises Fails."""
    match program:
        case Work(fails=fails):
            if fails:
                raise Fails
            return f"worked {at}"
        case Keyed():
            return f"keyed {at}"
        case Ticket():
            return f"used {at}"
        case Sleep() | Note() | Turns():
            return None
        case Child():
            return f"child {at}"
        case Repeat(times=times):
            return ["same"] * times
        case Try(of=one):
            try:
                return expected(one, f"{at}t")
            except Fails:
                return "caught"
        case Settled(of=some):
            return [_or_broken(one, f"{at}{i}") for i, one in enumerate(some)]
        case Race():
            return "raced"
        case Seq(of=some) | Gather(of=some) | Group(of=some) | Tasks(of=some):
            return [expected(one, f"{at}{i}") for i, one in enumerate(some)]


def _or_broken(program: Program, at: str) -> Any:
    try:
        return expected(program, at)
    except Fails:
        return "broken"


def _races(program: Program) -> bool:
    return isinstance(program, Race) or any(_races(one) for one in _parts(program))


def _parts(program: Program) -> tuple[Program, ...]:
    match program:
        case Try(of=one):
            return (one,)
        case Seq(of=some) | Gather(of=some) | Settled(of=some) | Group(of=some) | Tasks(of=some) | Race(of=some):
            return some
        case _:
            return ()


# -- the world that performs them ------------------------------------------------------------------------------------


class World(ProgramWorld):
    """Performs the effects of a program: once for each identity, whoever asks."""

    def __init__(self, workflow: Any) -> None:
        super().__init__(workflow)
        self.arguments: dict[str, Any] = {}
        self.tickets: dict[str, int] = {}
        self.used: set[tuple[int, str]] = set()

    def outcome(self, number: int) -> Outcome:
        request = self.requests[number]
        key = request.idempotency_key
        target = request.target
        if not hasattr(target, "function"):
            return Done(f"child {target.input['at']}")
        arguments = target.arguments
        assert self.arguments.setdefault(key, arguments) == arguments, "one identity, two different calls"
        match target.function.rsplit(":")[-1]:
            case "work" if arguments["fails"]:
                fault = Fault(type=RUNTIME, status=500, title="Broken", detail="it broke")
                return Failed(FailureClass.APPLICATION, fault)
            case "work":
                return Done(f"worked {arguments['place']}")
            case "keyed":
                return Done("keyed " + request.path.rsplit("(")[-1].rstrip(")"))
            case "ticket":
                return Done(self.tickets.setdefault(key, len(self.tickets)))
            case "use":
                self.used.add((arguments["ticket"], arguments["place"]))
                return Done(f"used {arguments['place']}")
            case _:
                return Done("same")


async def lived_through(world: World, chance: random.Random, crashes: int, between: Any = None) -> None:
    """Bring a run to its end: outcomes come in any order and grouping, and processes die."""
    lost = 3  # a call is given up when more processes than that die while they perform it
    await world.start()
    for _ in range(2_000):
        if world.ended:
            return
        if crashes and chance.random() < 0.3:
            crashes -= 1
            if between is not None:
                between()
            if lost and chance.random() < 0.5:
                lost -= 1
                await world.crash()
            else:
                await world.drain()
            continue
        wake_at = world.state.wake_at()
        if not world.requests or (wake_at is not None and chance.random() < 0.3):
            await world.later()
            continue
        numbers = list(world.requests)
        chosen = chance.sample(numbers, chance.randint(1, len(numbers)))
        await world.settle(*[(number, world.outcome(number)) for number in chosen])
    raise AssertionError(f"it does not end: {sorted(world.state.scopes)} wait")


# -- properties ------------------------------------------------------------------------------------------------------

leaves = st.one_of(
    st.builds(Work, fails=st.sampled_from([False, False, False, True])),
    st.just(Keyed()),
    st.just(Ticket()),
    st.builds(Sleep, seconds=st.integers(0, 3)),
    st.builds(Note, kind=st.sampled_from(["now", "random", "uuid", "now!", "uuid!"])),
    st.just(Child()),
    st.builds(Repeat, times=st.integers(1, 3)),
    st.builds(Turns, count=st.integers(1, 2)),
)


def _several(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[tuple[Program, ...]]:
    return st.lists(inner, min_size=1, max_size=4).map(tuple)


programs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Try, of=inner),
        st.builds(Seq, of=_several(inner)),
        st.builds(Gather, of=_several(inner)),
        st.builds(Settled, of=_several(inner)),
        st.builds(Group, of=_several(inner)),
        st.builds(Tasks, of=_several(inner)),
        st.builds(Race, of=st.tuples(inner, inner)),
    ),
    max_leaves=14,
)
seeds = st.integers(0, 2**32)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _live(program: Program, seed: int, crashes: int) -> World:
    PROGRAM[:] = [program]

    async def lived() -> World:
        world = World(interpreted)
        try:
            await lived_through(world, random.Random(seed), crashes)
        finally:
            await world.stop()
        return world

    return asyncio.run(lived())


@few
@given(programs, seeds, st.integers(0, 6))
def test_any_program_survives_any_crash(program: Program, seed: int, crashes: int) -> None:
    _check(program, seed, crashes)


@pytest.mark.chaos
@many
@given(programs, seeds, st.integers(0, 6))
def test_any_of_many_programs_survives_any_crash(program: Program, seed: int, crashes: int) -> None:
    _check(program, seed, crashes)


def _check(program: Program, seed: int, crashes: int) -> None:
    world = _live(program, seed, crashes)
    try:
        wanted = expected(program)
    except Fails:
        wanted = "failed"
    assert world.output == wanted
    for identity, count in world.asked.items():
        assert count <= 1 + world.left[identity], f"{identity} was asked for {count} times"
    used = [number for number, _ in world.used]
    assert len(used) == len(set(used)), f"two places have the same ticket: {sorted(world.used)}"
    places = [place for _, place in world.used]
    assert _races(program) or len(places) == len(set(places)), f"a place has two tickets: {sorted(world.used)}"


SENSITIVE = {
    "one before": Gather((Seq((Work(), Ticket())), Ticket())),
    "both after work": Gather((Seq((Work(), Ticket())), Seq((Work(), Ticket())))),
    "one after turns": Gather((Seq((Work(), Turns(2), Ticket())), Seq((Work(), Ticket())))),
    "in tasks": Tasks((Seq((Work(), Turns(2), Ticket())), Seq((Work(), Ticket())), Ticket())),
    "in a group": Group((Seq((Sleep(1), Ticket())), Seq((Work(), Ticket())), Seq((Work(), Ticket())))),
    "in deep groups": Tasks((Seq((Group((Group((Group((Group((Work(),)),)),)),)), Ticket())), Seq((Work(), Ticket())))),
    "in gathers": Gather((Gather((Work(), Seq((Work(), Ticket())))), Seq((Gather((Work(), Work())), Ticket())))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SENSITIVE)
@pytest.mark.parametrize("orders", [20, pytest.param(80, marks=pytest.mark.chaos)])
def test_identical_calls_of_several_tasks_are_never_mixed_up(name: str, orders: int) -> None:
    """Programs whose identical calls are numbered by who comes first, in many orders of what happens."""
    for seed in range(orders):
        _check(SENSITIVE[name], seed, 6)


ITEMS: list[tuple[str, list[int]]] = []


@workflow(name="property-edited")
async def edited() -> list[str]:
    """Independent steps, in an order and a shape that the next process may have otherwise."""
    shape, numbers = ITEMS[0]
    interlock.set_status(f"{shape} {numbers}")
    if shape == "seq":
        return sorted([await work(str(number), False) for number in numbers])
    calls = [work(str(number), False) for number in numbers]
    if shape == "gather":
        return sorted(await gather(*calls))
    tasks = [asyncio.create_task(call) for call in calls]
    return sorted([await task for task in tasks])


@pytest.mark.slow
@many
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True),
    st.lists(st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 20)), max_size=4),
    st.lists(st.sampled_from(["seq", "gather", "tasks"]), min_size=2, max_size=2),
    seeds,
)
def test_run_survives_edits_of_independent_steps(
    numbers: list[int], edits: list[tuple[str, int]], shapes: list[str], seed: int
) -> None:
    later = list(numbers)
    for kind, which in edits:
        if kind == "add":
            later.insert(which % (len(later) + 1), 100 + which) if 100 + which not in later else None
        elif kind == "remove" and later:
            later.pop(which % len(later))
        elif later:
            later.append(later.pop(which % len(later)))
    ITEMS[:] = [(shapes[0], numbers)]

    async def lived() -> World:
        world = World(edited)
        try:
            await lived_through(world, random.Random(seed), 2, between=lambda: ITEMS.__setitem__(0, (shapes[1], later)))
        finally:
            await world.stop()
        return world

    world = asyncio.run(lived())
    assert world.output == sorted(f"worked {number}" for number in ITEMS[0][1])
    assert max(world.asked.values(), default=0) <= 1, "a step was asked for twice"
