"""The story of a run whose workflow is a Python function, and of steps that people never wrote."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock import gather, set_progress, set_status, sleep, step, workflow
from interlock.engine.cause import Cancel
from interlock.flow.python.durable import continue_as_new, now, run_workflow
from interlock.model.event import EXTENDED
from interlock.model.fault import RUNTIME, Fault
from interlock.model.lifecycle import lifecycle
from interlock.model.states import RunStatus, StepStatus
from interlock.model.story import Story
from interlock.model.task import Done, Failed, FailureClass
from unit.engine.program_world import ProgramWorld
from unit.engine.world import World

BROKEN = Failed(FailureClass.APPLICATION, Fault(type=RUNTIME, status=500, title="Broken"), final=True)


def told(world: ProgramWorld | World) -> Story:
    story = Story()
    for event in world.history:
        story.tell([event])
    return story


def statuses(story: Story) -> dict[str, str]:
    return {step.name.partition("(")[0]: str(step.status) for step in story.steps.values()}


def give_back(output: int) -> None: ...


@step(name="story-book", compensate=give_back)
async def book() -> int:
    raise AssertionError("the world performs it")


@step(name="story-pay")
async def pay() -> int:
    raise AssertionError("the world performs it")


@workflow(name="story-trip")
async def trip() -> int:
    now()
    return await book() + await pay()


async def test_calls_of_a_function_are_its_steps(begin: Any) -> None:
    world = await begin(trip)
    assert statuses(told(world)) == {"story-book": "running"}
    await world.settle((world.request("book"), Done(1)))
    story = told(world)
    assert statuses(story) == {"story-book": "completed", "story-pay": "running"}
    assert [story.steps[path].has_undo for path in story.steps] == [True, False]
    assert story.to_undo == 1
    await world.settle((world.request("pay"), Done(2)))
    story = told(world)
    assert (story.status, story.output and story.output.value) == (RunStatus.COMPLETED, 3)
    assert [one.output.value for one in story.ordered() if one.output is not None] == [1, 2]


async def test_error_of_a_call_is_undone_from_the_last_step_back(begin: Any) -> None:
    world = await begin(trip)
    await world.settle((world.request("book"), Done(1)))
    await world.settle((world.request("pay"), BROKEN))
    story = told(world)
    assert story.is_compensating
    assert story.to_undo == 0
    assert statuses(story) == {"story-book": "completed", "story-pay": "faulted", "undo story-book": "running"}
    await world.settle((next(iter(world.requests)), Done(None)))
    story = told(world)
    assert statuses(story) == {"story-book": "compensated", "story-pay": "faulted", "undo story-book": "completed"}
    assert story.status is RunStatus.FAULTED


async def test_call_that_failed_is_told_as_a_fault_and_never_as_completed(begin: Any) -> None:
    world = await begin(trip)
    await world.settle((world.request("book"), BROKEN))
    story = told(world)
    assert story.to_undo == 0
    [one] = story.steps.values()
    assert (one.status, one.fault) == (StepStatus.FAULTED, story.fault)
    names = [name for name, _ in lifecycle(world.history)]
    assert "step.faulted" in names
    assert "step.completed" not in names


@workflow(name="story-hurried")
async def hurried() -> None:
    await gather(book(), pay())


async def test_call_that_is_left_is_told_as_cancelled(begin: Any) -> None:
    world = await begin(hurried)
    await world.apply(Cancel("enough"))
    assert statuses(told(world)) == {"story-book": "cancelled", "story-pay": "cancelled"}


@workflow(name="story-race")
async def race() -> None:
    slow = asyncio.create_task(pay())
    await book()
    slow.cancel()
    await sleep("1h")


async def test_call_that_the_function_waits_for_no_more_is_told_as_cancelled(begin: Any) -> None:
    world = await begin(race)
    await world.settle((world.request("book"), Done(1)))
    story = told(world)
    assert statuses(story) == {"story-book": "completed", "story-pay": "cancelled", "sleep": "waiting"}
    assert world.left


@workflow(name="story-parent")
async def parent() -> None:
    await run_workflow("story-child", 1)


async def test_call_of_another_workflow_is_told_as_waiting(begin: Any) -> None:
    world = await begin(parent)
    [child] = told(world).steps.values()
    assert (child.status, child.attempts, child.has_undo) == (StepStatus.WAITING, 1, False)


@workflow(name="story-shown")
async def shown() -> None:
    set_progress(0.25, "packing")
    await book()
    set_status("under way")


async def test_what_a_run_shows_of_itself_adds_up(begin: Any) -> None:
    world = await begin(shown)
    show = told(world).shown
    assert show is not None
    assert (show.progress, show.message, show.status) == (0.25, "packing", None)
    await world.settle((world.request("book"), Done(1)))
    show = told(world).shown
    assert show is not None
    assert (show.progress, show.message, show.status) == (0.25, "packing", "under way")


@workflow(name="story-forever")
async def forever(round: int) -> None:
    await book()
    continue_as_new(round + 1)


async def test_run_that_began_anew_has_the_steps_since_then(begin: Any) -> None:
    world = await begin(forever, round=1)
    await world.settle((world.request("book"), Done(1)))
    story = told(world)
    assert (story.rounds, statuses(story)) == (1, {"story-book": "running"})
    assert [one.visits for one in story.steps.values()] == [1]


# -- what is not told ------------------------------------------------------------------------------------------------


def test_machinery_around_an_extended_step_is_not_told() -> None:
    extension = "{e: {extend: all, before: [{first: {set: {x: 1}}}], after: [{last: {set: {x: 1}}}]}}"
    world = World(f"use: {{extensions: [{extension}]}}\ndo: [{{a: {{set: {{x: 1}}}}}}]")
    world.start()
    assert statuses(told(world)) == {"first": "completed", "a": "completed", "last": "completed"}
    assert any(getattr(event, "path", "").endswith(EXTENDED) for event in world.history)
    assert len([name for name, _ in lifecycle(world.history) if name == "step.completed"]) == 3
