"""Performs the commands about task graphs that look and change; `graphload` reads them, `taskwatch` follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from interlock import errors
from interlock.cli import glyphs, graphbook
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.flow import nearest
from interlock.model import duration, json
from interlock.model.states import TaskState
from interlock.wire import graphs as wire

GLYPHS: Final[Mapping[str, str]] = {
    TaskState.BLOCKED: "◌",
    TaskState.READY: "○",
    TaskState.HELD: "◫",
    TaskState.RUNNING: "●",
    TaskState.DELAYED: "◔",
    TaskState.QUARANTINED: "⚠",
    TaskState.DONE: "✓",
    TaskState.FAILED: "✕",
    TaskState.CANCELLED: "⊘",
    TaskState.SKIPPED: "⊘",
}
_ORDER: Final = tuple(GLYPHS)
_PLACED: Final = frozenset({TaskState.RUNNING, TaskState.DONE, TaskState.FAILED})
_WAITING: Final = frozenset({TaskState.READY, TaskState.BLOCKED, TaskState.DELAYED, TaskState.HELD})


def unserved(graph: str) -> str:
    """Say what helps where no node places tasks."""
    if options.server is not None:
        return "no node places tasks now; `interlock node`, where the server's store is, does"
    return f"no node places tasks now; `interlock tasks watch {graph}` does, and shows them"


async def status(graph: str | None, *, as_json: bool) -> int:
    """Say how many tasks are in each state."""
    async with graphbook.opened() as book:
        found = await book.graphs() if graph is None else [await book.graph(graph)]
    if as_json:
        told = [
            {
                "graph": each.graph,
                "namespace": each.namespace,
                "tasks": each.tasks,
                "states": each.states,
                "run": each.run,
            }
            for each in found
        ]
        answer(json.encode(told if graph is None else told[0]).decode())
        return 0
    for each in found:
        of_run = f", of the run {each.run}" if each.run else ""
        answer(f"{each.graph}  {glyphs.counted(each.tasks, 'task')}: {states(each.states)}{of_run}")
    if not found:
        note("no task graph was loaded; `interlock tasks load FILE` loads one")
    return 0


def states(counts: Mapping[str, int]) -> str:
    """Give counts in words: "3 done, 1 running"."""
    return ", ".join(f"{counts[state]} {state}" for state in reversed(_ORDER) if counts.get(state)) or "none"


async def listed(graph: str | None, *, state: str | None, after: int, limit: int, as_json: bool) -> int:
    """List tasks of a graph, or the graphs."""
    wanted = None if state is None else _state(state)
    if graph is None:
        return await status(None, as_json=as_json)
    async with graphbook.opened() as book:
        found = await book.tasks(graph, wanted, after, limit)
        now = book.now()
    if as_json:
        answer(json.encode(found).decode())
        return 0
    width = max((len(task.id) for task in found), default=0)
    for task in found:
        line = f"{task.number:>5} {glyph(task)} {task.id:<{width}}  {task.state:<11} {_standing(task, now)}"
        answer(line.rstrip())
    if len(found) == limit:
        note(f"further ones: interlock tasks list {graph} --after {found[-1].number}")
    if not found:
        note("no task fits" if state else "no further tasks")
    return 0


def glyph(task: wire.GraphTaskTold) -> str:
    """Give the sign of how a task stands."""
    return GLYPHS.get(task.state, "·")  # a newer server may know more states


def _state(text: str) -> TaskState:
    try:
        return TaskState(text)
    except ValueError:
        near = nearest.name(text, list(TaskState))
        advice = f"did you mean {near}?" if near else f"there are {', '.join(TaskState)}"
        raise errors.Invalid(f"there is no task state {text!r}; {advice}") from None


def _standing(task: wire.GraphTaskTold, now: float) -> str:
    """Say in a few words how a task stands."""
    match task.state:
        case TaskState.RUNNING:
            return f"in {task.pool}, {_attempt(task)}" + (", asked to stop" if task.cancel else "")
        case TaskState.DELAYED:
            left = (task.ready_at or now) - now
            return f"{_attempt(task)} " + (f"in {duration.text(left)}" if left > 0 else "is due")
        case TaskState.HELD:
            return f"until {task.held_by} has room"
        case TaskState.DONE | TaskState.FAILED:
            return f"in {task.pool}, {_attempt(task)}"
        case TaskState.QUARANTINED:
            return "it killed its runners; `interlock tasks retry` lets it try again"
        case TaskState.READY if task.attempt > 1:
            return _attempt(task)
    return ""


def _attempt(task: wire.GraphTaskTold) -> str:
    return f"attempt {task.attempt} of {max(task.attempt, task.attempts)}"


async def show(task: str, *, as_json: bool) -> int:
    """Show one task and its attempts. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        now = book.now()
    if as_json:
        answer(json.encode(found).decode())
        return 0
    answer(f"{glyph(found)} {found.task}  {found.state}  {_standing(found, now)}".rstrip())
    for name, text in _facts(found):
        answer(f"  {name:<12} {text}")
    for each in found.tries:
        for line in _attempted(each, f"  attempt {each.attempt}  ", now):
            answer(line)
    return 0


def _facts(task: wire.GraphTaskWhole) -> Iterator[tuple[str, str]]:
    asked = [f"{task.cpu:g} cores" * bool(task.cpu), f"{task.memory:g} MB" * bool(task.memory)]
    asked.append(glyphs.counted(task.gpus, "graphics processor") * bool(task.gpus))
    facts = {
        "title": task.title,
        "description": " ".join(task.description.split())[:200],
        "waits for": ", ".join(task.dependencies),
        "skills": ", ".join(task.skills),
        "asks for": ", ".join(each for each in asked if each),
        "priority": str(task.priority) if task.priority else "",
        "timeout": "" if task.timeout_seconds is None else duration.text(task.timeout_seconds),
        "retries": ", ".join(f"{count} {name}" for name, count in task.retries.items()),
    }
    yield from ((name, text) for name, text in facts.items() if text)


def _told(each: wire.TryTold, now: float) -> str:
    """Give an attempt in a line."""
    began_at = each.placed_at if each.started_at is None else each.started_at
    began = datetime.fromtimestamp(began_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    took = glyphs.seconds(max(0.0, (each.ended_at or now) - began_at))
    if each.outcome is None and each.started_at is None:
        return f"placed in {each.pool} {began}, not begun after {took}"
    if each.outcome is None:
        return f"in {each.pool} since {began}, {took}"
    return f"{each.outcome} in {each.pool}, {began}, {took}"


def why(each: wire.TryTold) -> list[str]:
    """Give what came of an attempt, in words: all lines of its failure, or its result in one."""
    if each.failure is not None and isinstance(each.detail, dict):
        words = ", ".join(word for word in (each.failure, glyphs.value(each.detail.get("title"))) if word)
        told = glyphs.lines(each.detail.get("detail"))
        return [f"{words}, {told[0]}"] if len(told) == 1 else [words, *told]
    return [glyphs.value(each.detail)] if each.detail is not None else []


def _attempted(each: wire.TryTold, before: str, now: float, after: str = "") -> Iterator[str]:
    """Give the lines that tell an attempt. `after`: what ends the first one."""
    reason = why(each) if each.outcome is not None else []
    first = f": {reason[0]}" if reason and reason[0] else ""
    yield f"{before}{_told(each, now)}{first}{after}"
    yield from (f"    {line}" for line in reason[1:])


async def explain(task: str, *, as_json: bool) -> int:
    """Say why a task is where it is. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.explain(task)
        now = book.now()
    if as_json:
        answer(json.encode(found).decode())
        return 0
    for line in explanation(found, now):
        answer(line)
    return 0


def explanation(task: wire.Explained, now: float) -> Iterator[str]:
    """Give the lines that explain a task."""
    where = f" → {task.pool}" if task.state in _PLACED else ""
    yield f"{task.task}{where}  {task.state} {_standing(task, now)}".rstrip()
    if task.warning:
        yield f"  warning: {task.warning}"
    if task.waits_for:
        yield f"  waits for {', '.join(task.waits_for)}"
    if task.placements and where:
        yield from placement(task.placements[0])
    elif task.state in _WAITING:
        yield f"  {task.asked}" + (f"; ordered by {task.policy}" if task.policy else "")
        for pool, reason in task.now.items():
            yield f"  {pool:<10} {reason or 'has room'}"
    for each in task.tries:
        if each.failure is not None:
            budget = task.budgets[each.failure]
            used = f"{budget.used} of {budget.of} retries for {each.failure} used"
            yield from _attempted(each, f"  attempt {each.attempt} ", now, f"; {used}")


def placement(decision: wire.PlacementTold) -> Iterator[str]:
    """Give the lines that say why an attempt was placed where it was."""
    yield f"  {decision.asked}"
    for each in decision.candidates:
        score = "     " if each.score is None else f"{each.score:.2f} "
        mark = f"  chosen: {decision.reason}" if each.pool == decision.chosen else ""
        yield f"  {each.pool:<10} {score} {each.reason}{mark}"


async def retry(task: str) -> int:
    """Try a task again. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        await book.retry(found)
    note(f"the task {found.task} is tried again")
    return 0


async def cancel(task: str, *, whole: bool) -> int:
    """Cancel a task, or all of a graph. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        if whole:
            count = await book.cancel_all(task)
            note(f"{glyphs.counted(count, 'task')} of {task} cancelled")
            return 0
        found = await book.task(task)
        await book.cancel(found)
    running = found.state == TaskState.RUNNING
    note(f"the task {found.task} {'is asked to stop' if running else 'is cancelled'}")
    return 0


async def reprioritise(task: str, priority: int) -> int:
    """Give a task another priority. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        await book.reprioritise(found, priority)
    note(f"the task {found.task} has the priority {priority} now, {found.priority} before")
    return 0
