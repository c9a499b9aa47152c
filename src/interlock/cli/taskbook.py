"""Performs the commands about task graphs that look and change; `taskwatch` follows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.app.tasks import Explanation, TaskGraphs, short
from interlock.cli import context, glyphs
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.decisions.pools import PoolDecision
from interlock.flow import nearest, report
from interlock.flow.taskgraph import reading
from interlock.flow.taskgraph.document import GraphDocument
from interlock.model import duration, json, task_graph
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.store.ports import GraphTaskRow, TryRow

GLYPHS: Final[Mapping[TaskState, str]] = {
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


async def validate(file: str, *, as_json: bool) -> int:
    """Print every problem of a graph. Exit code 2 when it has errors."""
    found = reading.read(context.read_text(file), file)
    if as_json:
        answer(report.json(found.problems).decode())
    elif found.problems:
        answer(report.text(found.problems), end="")
    else:
        tasks = 0 if found.graph is None else len(found.graph.tasks)
        answer(f"{file}: {glyphs.counted(tasks, 'task')}, no problems")
    return 0 if found.graph is not None else errors.Invalid.exit_code


async def load(file: str, *, as_json: bool) -> int:
    """Store a graph. Raises InvalidDefinition with every problem, Conflict while another process loads it."""
    text = context.read_text(file)
    folder = context.folder() if file == "-" else Path(os.path.abspath(file)).parent
    document = reading.read(text, file).required()
    async with context.opened() as app:
        graphs = TaskGraphs(app.store, app.clock)
        document = reading.with_retry(document, await graphs.retry_terms())
        loaded = await graphs.load(document, str(_folder(document, folder)))
        served = await app.has_dispatcher()
    if as_json:
        answer(
            json.encode(
                {"graph": document.name, "namespace": document.namespace, **msgspec.to_builtins(loaded)}
            ).decode()
        )
        return 0
    parts = [f"{len(names)} {word}" for names, word in ((loaded.added, "added"), (loaded.changed, "changed")) if names]
    if loaded.same:
        parts.append(f"{loaded.same} as before")
    answer(f"{document.name}: {', '.join(parts) or 'nothing to do'}")
    if loaded.kept:
        note(f"begun or over, so left as they are: {_some(loaded.kept)}; `interlock tasks retry` tries one again")
    if loaded.absent:
        note(f"no longer in {file}, and still in the store: {_some(loaded.absent)}; `interlock tasks cancel` ends one")
    if not served:
        note(f"no node places tasks now; `interlock tasks watch {document.name}` does, and shows them")
    return 0


def _folder(document: GraphDocument, beside: Path) -> Path:
    """Give where the tasks of a graph start: in its repository, else where its file is."""
    return (beside / document.repository).resolve() if document.repository else beside


def _some(names: object, most: int = 5) -> str:
    listed = list(names)  # type: ignore[call-overload]  # a sequence of texts
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


async def status(graph: str | None, *, as_json: bool) -> int:
    """Say how many tasks are in each state."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        rows = await book.graphs(options.namespace) if graph is None else [await book.graph(graph, options.namespace)]
        counted = [(row, await book.counts(row)) for row in rows]
    if as_json:
        told = [
            {"graph": row.name, "namespace": row.namespace, "tasks": row.tasks, "states": _plain(counts)}
            for row, counts in counted
        ]
        answer(json.encode(told if graph is None else told[0]).decode())
        return 0
    for row, counts in counted:
        answer(f"{row.name}  {glyphs.counted(row.tasks, 'task')}: {states(counts)}")
    if not counted:
        note("no task graph was loaded; `interlock tasks load FILE` loads one")
    return 0


def states(counts: Mapping[TaskState, int]) -> str:
    """Give counts in words: "3 done, 1 running"."""
    return ", ".join(f"{counts[state]} {state}" for state in reversed(_ORDER) if counts.get(state)) or "none"


def _plain(counts: Mapping[TaskState, int]) -> dict[str, Json]:
    return {str(state): count for state, count in counts.items() if count}


async def listed(graph: str | None, *, state: str | None, after: int, limit: int, as_json: bool) -> int:
    """List tasks of a graph, or the graphs."""
    wanted = None if state is None else _state(state)
    if graph is None:
        return await status(None, as_json=as_json)
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        rows = await book.tasks(await book.graph(graph, options.namespace), wanted, after, limit)
        now = app.clock.now()
    if as_json:
        answer(json.encode([described(row) for row in rows]).decode())
        return 0
    width = max((len(row.id) for row in rows), default=0)
    for row in rows:
        answer(f"{row.number:>5} {GLYPHS[row.state]} {row.id:<{width}}  {row.state:<11} {_standing(row, now)}".rstrip())
    if len(rows) == limit:
        note(f"further ones: interlock tasks list {graph} --after {rows[-1].number}")
    if not rows:
        note("no task fits" if state else "no further tasks")
    return 0


def _state(text: str) -> TaskState:
    try:
        return TaskState(text)
    except ValueError:
        near = nearest.name(text, list(TaskState))
        advice = f"did you mean {near}?" if near else f"there are {', '.join(TaskState)}"
        raise errors.Invalid(f"there is no task state {text!r}; {advice}") from None


def _standing(row: GraphTaskRow, now: float) -> str:
    """Say in a few words how a task stands."""
    match row.state:
        case TaskState.RUNNING:
            return f"in {row.pool}, {_attempt(row)}" + (", asked to stop" if row.cancel else "")
        case TaskState.DELAYED:
            return f"{_attempt(row)} in {duration.text(max(0.0, (row.ready_at or now) - now))}"
        case TaskState.HELD:
            return f"until {row.held_by} has room"
        case TaskState.DONE | TaskState.FAILED:
            return f"in {row.pool}, {_attempt(row)}"
        case TaskState.QUARANTINED:
            return "it killed its runners; `interlock tasks retry` lets it try again"
        case TaskState.READY if row.attempt > 1:
            return _attempt(row)
    return ""


def _attempt(row: GraphTaskRow) -> str:
    return f"attempt {row.attempt} of {max(row.attempt, task_graph.executions(row.spec.retry))}"


def described(row: GraphTaskRow) -> dict[str, Json]:
    """Give a task as JSON."""
    return {
        "task": short(row.task),
        "id": row.id,
        "graph": row.graph.partition("/")[2],
        "namespace": row.graph.partition("/")[0],
        "number": row.number,
        "state": str(row.state),
        "pool": row.pool if row.state in (TaskState.RUNNING, TaskState.DONE, TaskState.FAILED) else None,
        "attempt": row.attempt,
        "attempts": task_graph.executions(row.spec.retry),
        "priority": row.spec.priority,
        "retries": dict(row.used),
        "node": row.holder,
        "created_at": row.created_at,
        "ready_at": row.ready_at,
        "ended_at": row.ended_at,
        "held_by": row.held_by,
        "title": row.spec.title,
        "dependencies": list(row.spec.dependencies),
        "skills": list(row.spec.skills),
    }


async def show(task: str, *, as_json: bool) -> int:
    """Show one task and its attempts. Raises NotFound, Conflict."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        row = await book.find(task, options.namespace)
        tries = await book.tries(row.task)
        now = app.clock.now()
    if as_json:
        answer(json.encode(described(row) | {"tries": [_try(each) for each in tries]}).decode())
        return 0
    answer(f"{GLYPHS[row.state]} {short(row.task)}  {row.state}  {_standing(row, now)}".rstrip())
    for name, text in _facts(row):
        answer(f"  {name:<12} {text}")
    for each in tries:
        answer(f"  attempt {each.attempt}  {_told(each, now)}")
    return 0


def _facts(row: GraphTaskRow) -> Iterator[tuple[str, str]]:
    spec = row.spec
    wants = spec.resources
    asked = [f"{wants.cpu:g} cores" * bool(wants.cpu), f"{wants.memory:g} MB" * bool(wants.memory)]
    asked.append(glyphs.counted(wants.gpus, "graphics processor") * bool(wants.gpus))
    facts = {
        "title": spec.title,
        "description": " ".join(spec.description.split())[:200],
        "waits for": ", ".join(spec.dependencies),
        "skills": ", ".join(spec.skills),
        "asks for": ", ".join(each for each in asked if each),
        "priority": str(spec.priority) if spec.priority else "",
        "timeout": "" if spec.timeout_seconds is None else duration.text(spec.timeout_seconds),
        "retries": ", ".join(f"{count} {name}" for name, count in row.used.items()),
    }
    yield from ((name, text) for name, text in facts.items() if text)


def _try(each: TryRow) -> dict[str, Json]:
    detail = None if each.detail is None else json.decode(each.detail)
    return {
        "attempt": each.attempt,
        "fence": each.fence,
        "pool": each.pool,
        "node": each.holder,
        "placed_at": each.placed_at,
        "ended_at": each.ended_at,
        "outcome": each.outcome,
        "failure": each.failure,
        "detail": detail,
    }


def _told(each: TryRow, now: float) -> str:
    """Give an attempt in a line."""
    began = datetime.fromtimestamp(each.placed_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    took = glyphs.seconds(max(0.0, (each.ended_at or now) - each.placed_at))
    if each.outcome is None:
        return f"in {each.pool} since {began}, {took}"
    detail = json.decode(each.detail) if each.detail is not None else None
    why = ""
    if each.failure is not None and isinstance(detail, dict):
        words = [each.failure, str(detail.get("title") or ""), glyphs.value(detail.get("detail"))]
        why = ": " + ", ".join(word for word in words if word)
    elif detail is not None:
        why = f": {glyphs.value(detail)}"
    return f"{each.outcome} in {each.pool}, {began}, {took}{why}"


async def explain(task: str, *, as_json: bool) -> int:
    """Say why a task is where it is. Raises NotFound, Conflict."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        found = await book.explain(await book.find(task, options.namespace))
        now = app.clock.now()
    if as_json:
        answer(json.encode(_explained(found)).decode())
        return 0
    for line in explanation(found, now):
        answer(line)
    return 0


def explanation(found: Explanation, now: float) -> Iterator[str]:
    """Give the lines that explain a task."""
    row = found.task
    where = f" → {row.pool}" if row.state in (TaskState.RUNNING, TaskState.DONE, TaskState.FAILED) else ""
    yield f"{short(row.task)}{where}  {row.state} {_standing(row, now)}".rstrip()
    if found.asked.warning:
        yield f"  warning: {found.asked.warning}"
    if found.waits_for:
        yield f"  waits for {', '.join(found.waits_for)}"
    if found.placements and where:
        yield from _placement(found.placements[0])
    elif row.state in (TaskState.READY, TaskState.BLOCKED, TaskState.DELAYED, TaskState.HELD):
        yield f"  {found.asked.how}"
        for pool, reason in found.now.items():
            yield f"  {pool:<10} {reason or 'has room'}"
    for each in found.tries:
        if each.failure is not None:
            budget = row.spec.retry.budgets.get(each.failure, task_graph.budget(each.failure))
            used = row.used.get(task_graph.counted(each.failure, row.spec.retry), 0)
            yield f"  attempt {each.attempt} {_told(each, now)}; {used} of {budget} retries for {each.failure} used"


def _placement(decision: PoolDecision) -> Iterator[str]:
    yield f"  {decision.asked}"
    for each in decision.candidates:
        score = "     " if each.score is None else f"{each.score:.2f} "
        mark = f"  chosen: {decision.reason}" if each.pool == decision.chosen else ""
        yield f"  {each.pool:<10} {score} {each.reason}{mark}"


def _explained(found: Explanation) -> dict[str, Json]:
    return described(found.task) | {
        "asked": found.asked.how,
        "warning": found.asked.warning,
        "waits_for": list(found.waits_for),
        "now": dict(found.now),
        "placements": [msgspec.to_builtins(each) for each in found.placements],
        "tries": [_try(each) for each in found.tries],
    }


async def retry(task: str) -> int:
    """Try a task again. Raises NotFound, Conflict."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        row = await book.find(task, options.namespace)
        if not await book.retry(row):
            raise errors.Conflict(
                f"the task {short(row.task)} is {row.state}; only one that failed, was cancelled or skipped, waits for its "
                "retry, or is in quarantine can be tried again"
            )
    note(f"the task {short(row.task)} is tried again")
    return 0


async def cancel(task: str, *, whole: bool) -> int:
    """Cancel a task, or all of a graph. Raises NotFound, Conflict."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        if whole:
            count = await book.cancel_all(await book.graph(task, options.namespace))
            note(f"{glyphs.counted(count, 'task')} of {task} cancelled")
            return 0
        row = await book.find(task, options.namespace)
        if not await book.cancel(row):
            raise errors.Conflict(f"the task {short(row.task)} is {row.state} already")
    running = row.state is TaskState.RUNNING
    note(f"the task {short(row.task)} {'is asked to stop' if running else 'is cancelled'}")
    return 0


async def reprioritise(task: str, priority: int) -> int:
    """Give a task another priority. Raises NotFound, Conflict."""
    async with context.existing() as app:
        book = TaskGraphs(app.store, app.clock)
        row = await book.find(task, options.namespace)
        if not await book.reprioritise(row, priority):
            raise errors.Conflict(f"the task {short(row.task)} is {row.state}; its priority changes nothing any more")
    note(f"the task {short(row.task)} has the priority {priority} now, {row.spec.priority} before")
    return 0
