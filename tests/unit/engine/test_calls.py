"""How the calls of a Python workflow end: with a result, with an error, later, again, or not at all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from interlock import Retries, errors, gather, sleep, step, workflow
from interlock.engine import fold
from interlock.engine import state as states
from interlock.engine.cause import Occurred
from interlock.flow.python.durable import run_workflow, sleep_until, token, wait_for_event
from interlock.model import event as events
from interlock.model.call import TokenCall
from interlock.model.fault import RUNTIME, Fault
from interlock.model.payload import NULL
from interlock.model.states import RunStatus
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Snoozed
from unit.engine.program_world import ProgramWorld

FAULT = Fault(type=RUNTIME, status=500, title="Broken", detail="it broke")


def failed(kind: FailureClass = FailureClass.APPLICATION, *, final: bool = False) -> Failed:
    return Failed(kind, FAULT, final=final)


@step(retries=Retries(count=2, backoff="fixed", delay=5.0, jitter=0.0), timeout="1m")
async def patient() -> int:
    raise AssertionError("the world performs it")


@step
async def plain() -> int:
    raise AssertionError("the world performs it")


@step(retries=Retries(count=1, jitter=0.0))
async def simple() -> int:
    raise AssertionError("the world performs it")


@workflow(name="calls-patient")
async def patiently() -> Any:
    return await patient()


@workflow(name="calls-plain")
async def plainly() -> Any:
    try:
        return await plain()
    except errors.StepFailed as error:
        return f"{type(error).__name__}: {error}"


@workflow(name="calls-simple")
async def simply() -> Any:
    return await simple()


def only(world: ProgramWorld) -> int:
    (effect,) = world.requests
    return effect


async def test_failed_attempt_is_made_again_after_its_back_off(begin: Any) -> None:
    world = await begin(patiently)
    for attempt in (1, 2):
        assert world.requests[only(world)].attempt == attempt
        await world.settle((only(world), failed()))
        assert not world.requests
        assert world.state.wake_at() == world.clock.time + 5.0
        await world.later()
    await world.settle((only(world), Done(3)))
    assert world.output == 3


async def test_failure_beyond_the_budget_is_raised(begin: Any) -> None:
    world = await begin(simply)
    await world.settle((only(world), failed()))
    assert world.state.wake_at() == world.clock.time + 1.0
    await world.later()
    await world.settle((only(world), failed()))
    assert world.ended
    assert world.state.fault.instance == "/simple"


async def test_final_failure_is_not_tried_again(begin: Any) -> None:
    world = await begin(patiently)
    await world.settle((only(world), failed(final=True)))
    assert world.ended


async def test_attempt_that_takes_too_long_is_made_again_and_then_raised(begin: Any) -> None:
    world = await begin(patiently)
    for _ in range(3):
        first = only(world)
        await world.later()
        if not world.ended and not world.requests:
            await world.later()
        assert first not in world.requests
    assert world.ended
    assert world.state.fault.title == "Timeout"


async def test_snoozed_attempt_is_made_later(begin: Any) -> None:
    world = await begin(plainly)
    await world.settle((only(world), Snoozed(30.0)))
    assert world.state.wake_at() == world.clock.time + 30.0
    await world.later()
    await world.settle((only(world), Done(3)))
    assert world.output == 3


async def test_attempt_that_was_cancelled_by_itself_has_failed(begin: Any) -> None:
    world = await begin(plainly)
    await world.settle((only(world), Cancelled()))
    assert "cancelled by itself" in world.output


async def test_step_whose_process_dies_again_and_again_is_given_up(begin: Any) -> None:
    world = await begin(plainly)
    for _ in range(4):
        await world.crash()
    assert world.output.startswith("StepLost")


async def test_result_that_is_too_large_fails_its_call(begin: Any) -> None:
    world = await begin(plainly)
    world.programs._deciding._max_payload_bytes = 100
    await world.settle((only(world), Done("x" * 200)))
    assert "StepFailed" in world.output


# -- waits ---------------------------------------------------------------------------------------------------------------


def envelope(**more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "type": "paid", "source": "shop", "data": {"order": 7}} | more


@workflow(name="calls-listening")
async def listening() -> Any:
    try:
        return await wait_for_event("paid", source="shop", data={"order": 7}, timeout="1h")
    except TimeoutError:
        return "too late"
    except errors.StepFailed:
        return "failed"


@pytest.mark.parametrize(
    "other", [{"type": "sent"}, {"source": "bank"}, {"data": {"order": 8}}, {"data": {}}, {"data": "text"}]
)
async def test_event_that_does_not_fit_is_not_heard(begin: Any, other: dict[str, Any]) -> None:
    world = await begin(listening)
    await world.apply(Occurred(envelope(**other)))
    assert not world.ended
    await world.apply(Occurred(envelope()))
    assert world.output == envelope()


async def test_event_that_never_comes_is_a_timeout(begin: Any) -> None:
    world = await begin(listening)
    await world.later()
    assert world.output == "too late"


async def test_event_that_is_too_large_fails_the_call_that_waits_for_it(begin: Any) -> None:
    world = await begin(listening)
    world.programs._deciding._max_payload_bytes = 100
    await world.apply(Occurred(envelope(data={"order": 7, "text": "x" * 200})))
    assert world.output == "failed"


@workflow(name="calls-anything")
async def anything() -> Any:
    return (await gather(wait_for_event(), plain()))[0]


async def test_event_of_any_kind_is_heard_where_none_is_named(begin: Any) -> None:
    world = await begin(anything)
    await world.apply(Occurred(envelope()))
    await world.settle((only(world), Done(1)))
    assert world.output == envelope()


@workflow(name="calls-until")
async def until_a_moment() -> str:
    await sleep_until(datetime.fromtimestamp(2000, UTC))
    await sleep_until(datetime.fromtimestamp(1, UTC))
    return "there"


async def test_moment_that_has_passed_is_over_at_once(begin: Any) -> None:
    world = await begin(until_a_moment)
    await world.later()
    assert world.clock.time == 2000
    await world.later()
    assert world.clock.time == 2000
    assert world.output == "there"


@workflow(name="calls-waits")
async def waits() -> Any:
    try:
        child = await run_workflow("thing:2.0.0", 1)
    except errors.StepFailed:
        child = "failed"
    try:
        return [child, await token("right", expires="1h").result()]
    except TimeoutError:
        return [child, "expired"]


async def test_child_that_fails_and_token_that_expires_are_errors_and_not_retried(begin: Any) -> None:
    world = await begin(waits)
    (target,) = [request.target for request in world.requests.values()]
    assert (target.namespace, target.name, target.version) == ("default", "thing", "2.0.0")
    await world.settle((only(world), failed()))
    await world.later()
    assert [event.expires - event.at for event in world.history if isinstance(event, events.Expiring)] == [720.0]
    await world.later()
    assert world.output == ["failed", "expired"]


@workflow(name="calls-leaving")
async def leaving() -> int:
    task = asyncio.create_task(plain())
    await sleep("1s")
    task.cancel()
    await asyncio.wait([task])
    await sleep("2s")
    return 1


class Looked(dict[int, str]):
    """Counts how often all of it is gone through."""

    looks = 0

    def items(self) -> Any:
        self.looks += 1
        return super().items()


@workflow(name="calls-wide")
async def wide() -> int:
    return sum(await gather(*[plain() for _ in range(20)]))


async def test_return_of_one_call_does_not_go_through_all_others(begin: Any) -> None:
    world = await begin(wide)
    world.state.effects = effects = Looked(world.state.effects)
    for effect in list(world.requests):
        await world.settle((effect, Done(1)))
    assert world.output == 20
    assert world.interrupts == []
    assert effects.looks <= 1, "once, when the run ends: a fan-out of 100,000 would take hours otherwise"


async def test_call_that_is_left_is_interrupted_and_its_outcome_refused(begin: Any) -> None:
    world = await begin(leaving)
    effect = only(world)
    await world.later()
    await world.apply()
    assert world.interrupts == [effect]
    assert sum(isinstance(event, events.Left) for event in world.history) == 1
    await world.settle((effect, Done(1)))
    await world.later()
    assert world.output == 1


# -- tokens --------------------------------------------------------------------------------------------------------------


@workflow(name="calls-beating")
async def beating() -> Any:
    try:
        return await token("right", heartbeat="30s", operations=["complete"]).result()
    except errors.StepLost as error:
        return error.fault.detail


async def test_holder_that_is_silent_loses_its_step(begin: Any) -> None:
    world = await begin(beating)
    (issued,) = [event for event in world.history if isinstance(event, events.Issued)]
    assert (issued.heartbeat, issued.expires, issued.terms) == (30.0, None, {"operations": ["complete"]})
    world.heard = {issued.effect: world.clock.now() + 20}
    await world.later()
    assert world.state.wake_at() == issued.at + 50
    await world.later()
    assert "has given no sign of life for 30 s" in world.output


def test_run_that_asked_for_a_token_before_tickets_goes_on_and_gives_it_up() -> None:
    state = states.new("run", "default", "id", NULL)
    call = TokenCall(token="t1", name="right")
    before = [
        events.Started(at=1.0, value=NULL, first=None),
        events.Called(at=1.0, scope="token(right)", path="/token(right)", call=call, arguments=NULL),
        events.Requested(at=1.0, scope="token(right)", path="/token(right)", effect=1, queued=True, waits=True),
    ]
    fold.fold(state, before)
    assert state.live_status() is RunStatus.WAITING
    assert state.waiting_frame(1) is not None
    fold.apply(state, events.Left(at=2.0, scope="token(right)", path="/token(right)"))
    assert [gone.token for gone in state.tokens] == ["t1"]
