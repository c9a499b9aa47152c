"""How the function of a Python workflow is driven: begun, fed, put away, and refused what it asks for too late."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from interlock import errors, gather, now, set_progress, set_status, sleep, step, telemetry, workflow
from interlock.engine import unwinding
from interlock.engine.cause import Occurred, Reopen, Resume, Settled, Suspend
from interlock.flow.python import signature
from interlock.flow.python.durable import continue_as_new, patched, run_workflow, token, wait_for_event
from interlock.model import event as events
from interlock.model.fault import RUNTIME, Fault
from interlock.model.task import Done, Failed, FailureClass
from pool.conftest import until
from unit.engine.program_world import ProgramWorld

BROKEN = Failed(FailureClass.APPLICATION, Fault(type=RUNTIME, status=500, title="Broken", detail="it broke"))

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _log() -> None:
    LOG.clear()


@pytest.fixture
def told() -> Any:
    seen: list[dict[str, Any]] = []
    detach = telemetry.attach(lambda name, fields: seen.append(fields) if name == "python.step_in_finally" else None)
    yield seen
    detach()


@step
async def first() -> int:
    raise AssertionError("the world performs it")


@step
async def second() -> int:
    raise AssertionError("the world performs it")


@step
async def third() -> int:
    raise AssertionError("the world performs it")


async def done(world: ProgramWorld, name: str, value: Any = None) -> None:
    await world.settle((world.request(name), Done(value)))


# -- suspended, faulted, retried -------------------------------------------------------------------------------------


@workflow(name="programs-two")
async def two() -> list[int]:
    return list(await gather(first(), second()))


async def test_result_that_comes_while_a_run_is_suspended_is_given_when_it_is_resumed(begin: Any) -> None:
    world = await begin(two)
    await world.apply(Suspend())
    await done(world, "first", 1)
    await world.apply(Resume())
    await done(world, "second", 2)
    assert world.output == [1, 2]
    assert max(world.asked.values()) == 1


@workflow(name="programs-grouped")
async def grouped() -> int:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(first())
    return task.result() + await second()


@workflow(name="programs-wrapped")
async def wrapped() -> int:
    try:
        one = await first()
    except errors.StepFailed as error:
        raise ValueError("no first") from error
    return one + await second()


@pytest.mark.parametrize("function", [grouped, wrapped])
async def test_retry_by_hand_makes_the_failed_call_again_however_its_error_is_wrapped(
    begin: Any, function: Any
) -> None:
    world = await begin(function)
    await world.settle((world.request("first"), BROKEN))
    assert world.ended
    await world.apply(Reopen())
    assert world.names() == ["first"]
    await done(world, "first", 1)
    await done(world, "second", 2)
    assert world.output == 3


# -- what is given is the function's own -------------------------------------------------------------------------------


@workflow(name="programs-changing")
async def changing() -> Any:
    heard = await wait_for_event("paid")
    heard["data"]["seen"] = True
    child = await run_workflow("other/thing", {"list": [1]})
    assert isinstance(child, dict)
    child["seen"] = True
    await first()
    return [heard["data"], child]


async def test_function_that_changes_what_it_was_given_does_not_change_what_is_remembered(begin: Any) -> None:
    world = await begin(changing)
    envelope = {"specversion": "1.0", "id": "1", "type": "paid", "source": "test", "data": {"order": 7}}
    await world.apply(Occurred(envelope))
    await world.settle((next(iter(world.requests)), Done({"x": 1})))
    remembered = [memo.output.value for memo in await world.remembered()]
    assert remembered == [envelope, {"x": 1}]
    assert "seen" not in str(remembered)
    await world.drain()
    await done(world, "first", 1)
    assert world.output == [{"order": 7, "seen": True}, {"x": 1, "seen": True}]


# -- leaving -----------------------------------------------------------------------------------------------------------


@workflow(name="programs-cleaning")
async def cleaning() -> None:
    try:
        await sleep("1d")
    except Exception:
        LOG.append("an Exception")
        raise
    finally:
        LOG.append("finally")
        await third()  # HERE
        LOG.append("performed")


def line_of(mark: str) -> int:
    with open(__file__) as file:
        return next(number for number, text in enumerate(file, 1) if f"# {mark}\n" in text)


async def test_effect_in_finally_is_told_and_not_performed_when_the_run_leaves(begin: Any, told: Any) -> None:
    world = await begin(cleaning)
    program = world.live.program
    program.leave("parked")
    await program.gone()
    assert LOG == ["finally"]
    assert program.take() == []
    assert [(each["workflow"], each["file"], each["line"], each["step"]) for each in told] == [
        ("programs-cleaning", __file__, line_of("HERE"), "third")
    ]
    await world.crash()
    await world.later()
    await done(world, "third", 3)
    assert LOG == ["finally", "finally", "performed"]
    assert world.state.ended
    assert len(told) == 1


@workflow(name="programs-cleaning-sync")
def cleaning_in_a_thread() -> None:
    try:
        sleep("1d").result()
    finally:
        third().result()  # THERE


async def test_effect_in_finally_of_a_sync_workflow_is_told(begin: Any, told: Any) -> None:
    world = await begin(cleaning_in_a_thread)
    program = world.live.program
    threads = [thread for thread in threading.enumerate() if thread.name == "interlock-workflow-id"]
    assert threads
    program.leave("parked")
    await program.gone()
    assert [(each["file"], each["line"]) for each in told] == [(__file__, line_of("THERE"))]
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()


GOES_ON = threading.Event()


@workflow(name="programs-sync-between-calls")
def computes_between_calls() -> None:
    LOG.append("computes")
    GOES_ON.wait(60)
    third().result()


async def test_call_of_a_sync_workflow_that_computed_while_its_run_left_is_not_told_to_be_in_finally(
    begin: Any, told: Any
) -> None:
    """Nobody can interrupt a thread: that call is where it hears of it."""
    GOES_ON.clear()
    world = await begin(computes_between_calls)
    await until(lambda: LOG == ["computes"], "it does not compute")
    program = world.live.program
    program.leave("parked")
    GOES_ON.set()
    await program.gone()
    assert program.has_ended
    assert told == []


@workflow(name="programs-gathering-cleanup")
async def gathering_cleanup() -> None:
    try:
        await sleep("1d")
    finally:
        await gather(first(), second())


async def test_gather_in_finally_records_nothing(begin: Any) -> None:
    world = await begin(gathering_cleanup)
    program = world.live.program
    program.leave("parked")
    await program.gone()
    assert program.has_ended
    assert program.take() == []


@workflow(name="programs-swallowing")
async def swallowing() -> str:
    for _ in range(110):
        try:
            await sleep("1d", key="night")
            return "slept"
        except BaseException:  # noqa: BLE001 (the worst that a workflow can do)
            LOG.append("swallowed")
    return "gave up"


async def test_function_that_swallows_everything_neither_blocks_the_loop_nor_does_anything(
    begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwinding, "_PAUSE_SECONDS", 0.1)  # longer than ten turns of the loop, on any machine
    world = await begin(swallowing)
    program = world.live.program
    program.leave("parked")
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(LOG) == 101, "then the loop has its turn, and nobody waits for this task when it closes"
    assert not any(task.get_name() == "program-run" for task in asyncio.all_tasks())
    await program.gone()
    assert len(LOG) == 110
    assert program.take() == []
    await world.crash()
    await world.later()
    assert world.output == "slept"


@workflow(name="programs-returning")
async def returning() -> str:
    try:
        await sleep("1d")
    except BaseException:  # noqa: BLE001 (see above)
        return "early"
    return "late"


async def test_what_a_function_returns_after_it_has_left_does_not_count(begin: Any) -> None:
    world = await begin(returning)
    program = world.live.program
    program.leave("parked")
    program.leave("twice")
    await program.gone()
    assert program.take() == []
    await world.crash()
    await world.later()
    assert world.output == "late"


@workflow(name="programs-noting-late")
async def noting_late() -> None:
    try:
        await sleep("1d")
    finally:
        for ask in (now, lambda: set_status("leaving"), lambda: set_progress(1.0)):
            try:
                ask()
            except BaseException as error:  # noqa: BLE001 (its kind is what is looked at)
                LOG.append(type(error).__name__)


async def test_what_a_function_notes_or_shows_after_it_has_left_does_not_count(begin: Any) -> None:
    world = await begin(noting_late)
    program = world.live.program
    program.leave("parked")
    await program.gone()
    assert LOG == ["Leaving"] * 3
    assert program.take() == []


@workflow(name="programs-tasks")
async def with_tasks() -> None:
    tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
    await asyncio.wait(tasks)


async def test_tasks_of_a_function_that_leaves_do_not_make_asyncio_complain(begin: Any) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    world = await begin(with_tasks)
    await world.crash()
    await world.stop()
    gc.collect()
    assert complaints == []


@workflow(name="programs-handing")
async def handing() -> None:
    handle = token("report")
    await handle.text()
    await handle.result()


async def test_function_that_leaves_is_no_garbage_in_a_cycle(begin: Any) -> None:
    """A node with 20,000 of them was half again as large, until the collector came to the oldest generation."""
    world = await begin(handing)
    program = world.live.program
    kept = weakref.ref(program)
    gc.collect()
    gc.disable()
    try:
        program.leave("parked")
        await program.gone()
        world.live.program = None
        del program
        for _ in range(5):
            await asyncio.sleep(0)
        assert kept() is None
    finally:
        gc.enable()
        await world.stop()


# -- live, or still at what was ----------------------------------------------------------------------------------------

CODE: list[Any] = []


@workflow(name="programs-evolving")
async def evolving() -> Any:
    return await CODE[0]()


async def test_run_that_has_a_result_of_a_removed_step_shows_itself_again(begin: Any) -> None:
    async def before() -> None:
        await first()
        await second()
        await third()

    async def after() -> bool:
        await second()
        await third()
        set_status("after third")
        return patched("later")

    CODE[:] = [before]
    world = await begin(evolving)
    await done(world, "first", 1)
    await done(world, "second", 2)
    CODE[:] = [after]
    await world.drain()
    await done(world, "third", 3)
    assert world.output is True
    assert world.state.head.shown.status == "after third"


async def test_patched_is_false_where_the_run_was_before_and_stays_so(begin: Any) -> None:
    async def before() -> Any:
        await first()
        await second()

    async def after() -> Any:
        await first()
        way = patched("way")
        await second()
        return [way, patched("way"), patched("another")]

    CODE[:] = [before]
    world = await begin(evolving)
    await done(world, "first", 1)
    CODE[:] = [after]
    await world.drain()
    await world.crash()
    await done(world, "second", 2)
    assert world.output == [False, False, True]


async def test_patched_is_true_for_who_comes_there_first(begin: Any) -> None:
    async def code() -> Any:
        way = patched("way")
        await first()
        return [way, patched("way")]

    CODE[:] = [code]
    world = await begin(evolving)
    await world.drain()
    await done(world, "first", 1)
    assert world.output == [True, True]


# -- rounds, tokens, caches ----------------------------------------------------------------------------------------------


@workflow(name="programs-rounds")
async def rounds(n: int = 0) -> int:
    await first()
    if n < 2:
        continue_as_new(n + 1)
    return n


async def test_round_forgets_what_the_one_before_did(begin: Any) -> None:
    world = await begin(rounds)
    for _ in range(3):
        await world.drain()
        assert await world.remembered() == []
        await done(world, "first", 1)
    assert world.output == 2
    assert {each.idempotency_key for each in world.performed} == {
        "run/first",
        "run/first?round=1",
        "run/first?round=2",
    }


@workflow(name="programs-token")
async def asking() -> Any:
    right = token("approval")
    text = await right.text()
    return [text == await right.text(), await right.result(bool)]


async def test_token_is_the_same_after_a_crash_and_waits_in_peace(begin: Any) -> None:
    world = await begin(asking)
    assert world.live.program.is_quiet
    await world.crash()
    assert not world.requests
    (number,) = world.state.effects
    await world.settle((number, Done(True)))
    assert world.output == [True, True]


@step(cache="1h")
async def priced(n: int) -> int:
    raise AssertionError("the world performs it")


@workflow(name="programs-cached")
async def cached() -> list[int]:
    return [await priced(1), await priced(2)]


async def test_result_out_of_the_cache_is_kept(begin: Any) -> None:
    world = ProgramWorld(cached)
    world.store.journal.cache["priced", signature.digest({"n": 1})] = b'{"value":10}'
    await world.start()
    assert world.names() == ["priced"]
    world.store.journal.cache.clear()
    await world.drain()
    await done(world, "priced", 20)
    assert world.output == [10, 20]
    await world.stop()


async def test_cache_that_is_away_has_nothing(begin: Any) -> None:
    world = ProgramWorld(cached)
    world.store.journal.away = True
    await world.start()
    assert world.names() == ["priced"]
    await world.stop()


# -- ends ----------------------------------------------------------------------------------------------------------------


@workflow(name="programs-cancelling")
async def cancelling() -> None:
    raise asyncio.CancelledError


@workflow(name="programs-exiting")
async def exiting() -> None:
    raise SystemExit(3)


@workflow(name="programs-stopping")
def stopping() -> None:
    raise StopIteration("enough")


@pytest.mark.parametrize(
    ("function", "title"), [(cancelling, "Cancelled"), (exiting, "SystemExit"), (stopping, "RuntimeError")]
)
async def test_function_that_ends_oddly_faults_its_run(begin: Any, function: Any, title: str) -> None:
    world = await begin(function)
    assert world.ended
    assert world.state.fault.title == title


@workflow(name="programs-timed", timeout="1h")
async def timed() -> None:
    await first()


async def test_workflow_that_takes_longer_than_its_timeout_faults(begin: Any) -> None:
    world = await begin(timed)
    await world.later()
    assert world.ended
    assert world.state.fault.title == "Timeout"
    assert not world.requests
    assert [type(event) for event in world.history][-1] is events.Faulted


async def test_late_outcome_is_not_applied(begin: Any) -> None:
    world = await begin(timed)
    effect = world.request("first")
    await world.later()
    history = len(world.history)
    await world.apply(Settled(effect, Done(1)))
    assert len(world.history) == history
