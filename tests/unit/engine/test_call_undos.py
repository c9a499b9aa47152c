"""How the calls of a Python workflow are undone: the results of undos, and of the calls that a rollback waits for."""

from __future__ import annotations

from typing import Any

from interlock import Retries, set_attributes, step, workflow
from interlock.engine.cause import Did
from interlock.engine.decide import decide
from interlock.model import event as events
from interlock.model.call import Leave
from interlock.model.fault import RUNTIME, Fault
from interlock.model.states import RunStatus
from interlock.model.task import Done, Failed, FailureClass, PythonTarget
from unit.engine.program_world import ProgramWorld

FAULT = Fault(type=RUNTIME, status=500, title="Broken", detail="it broke")


@step(retries=0)
async def release(result: int) -> None:
    raise AssertionError("the world performs it")


@step(compensate=release, retries=Retries(count=1, delay=5.0, jitter=0.0))
async def reserve() -> int:
    raise AssertionError("the world performs it")


@step
async def ship() -> int:
    raise AssertionError("the world performs it")


@workflow(name="undos-order")
async def order() -> Any:
    reserved = await reserve()
    set_attributes(reserved=reserved)
    return await ship()


def undoing(world: ProgramWorld) -> int:
    """Give the number of the one effect in flight, which undoes a call of `reserve`."""
    ((effect, request),) = world.requests.items()
    assert isinstance(request.target, PythonTarget)
    assert request.target.function == reserve.reference
    assert request.target.undoes
    return effect


async def test_undo_that_ends_well_ends_the_rollback(begin: Any) -> None:
    world = await begin(order)
    await world.settle((world.request("reserve"), Done(3)))
    await world.cancel(rollback=True)
    await world.settle((undoing(world), Done(None)))
    assert world.state.status is RunStatus.CANCELLED
    assert [type(event) for event in world.history[-2:]] == [events.Undone, events.Cancelled]


async def test_undo_that_fails_is_noted_and_the_run_ends(begin: Any) -> None:
    world = await begin(order)
    await world.settle((world.request("reserve"), Done(3)))
    await world.settle((world.request("ship"), Failed(FailureClass.APPLICATION, FAULT)))
    await world.settle((undoing(world), Failed(FailureClass.APPLICATION, FAULT)))
    assert world.state.status is RunStatus.FAULTED
    (failed,) = [event for event in world.history if isinstance(event, events.UndoFailed)]
    assert failed.fault.detail == "it broke"


async def test_call_in_flight_that_ends_well_is_undone(begin: Any) -> None:
    world = await begin(order)
    await world.cancel(rollback=True)
    assert world.names() == ["reserve"]
    await world.settle((world.request("reserve"), Done(3)))
    await world.settle((undoing(world), Done(None)))
    assert world.state.status is RunStatus.CANCELLED


async def test_call_in_flight_that_fails_during_a_rollback_is_neither_made_again_nor_undone(begin: Any) -> None:
    world = await begin(order)
    await world.cancel(rollback=True)
    await world.settle((world.request("reserve"), Failed(FailureClass.APPLICATION, FAULT)))
    assert world.state.status is RunStatus.CANCELLED
    assert not any(isinstance(event, events.AttemptFailed | events.UndoBegan) for event in world.history)


async def test_attempt_that_was_preempted_is_made_again_at_once(begin: Any) -> None:
    world = await begin(order)
    await world.settle((world.request("reserve"), Failed(FailureClass.PREEMPTED, FAULT)))
    assert world.state.wake_at() == world.clock.time


async def test_attributes_alone_do_not_change_how_a_run_shows_itself(begin: Any) -> None:
    world = await begin(order)
    await world.settle((world.request("reserve"), Done(3)))
    (shown,) = [event for event in world.history if isinstance(event, events.Shown)]
    assert shown.shown.attributes == {"reserved": 3}
    assert world.state.head.shown is None


async def test_call_that_has_ended_already_is_left_without_a_trace(begin: Any) -> None:
    world = await begin(order)
    decision = decide(
        world.graph, world.state, Did((Leave(identity="gone"),)), now=world.clock.time, uniform=world.clock.uniform
    )
    assert decision.events == []
