"""What must hold of every world when it has come to rest, from the store and from the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from interlock.engine import state as states
from interlock.engine.rows import Rows
from interlock.model.event import Awaited, Completed, Event, Renewed, Reopened, Requested, Returned, RollbackBegan
from interlock.model.states import RunStatus
from interlock.store.ports import RunRow
from interlock.store.sql.sqlite_file import drive
from simulation import graphs, placed
from simulation.client import Client
from simulation.faults import Kind
from simulation.ledger import Entry
from simulation.plan import Act, Plan, Work
from simulation.programs import LIMIT
from simulation.tree import Expected, expected
from simulation.world import World

_ZOMBIES: Final = (Kind.PAUSE, Kind.STALL)
"""What lets a node go on with effects that are not its own any more: it was stopped, and does not know yet."""


def violations(world: World, client: Client) -> Iterator[str]:
    yield from world.ledger.problems
    yield from world.watch.all()
    yield from world.loop.broken
    runs = _runs(world)
    yield from _starts(client, runs)
    yield from _left(world)
    histories = {row.run: _history(world, row) for row in runs}
    for row in runs:
        yield from _order(world, row)
        yield from _once(row, histories[row.run])
    for row in runs:
        yield from _folds(world, row, histories[row.run])
    of = {row.id: row for row in runs}
    for work in world.plan.work:
        row = of.get(work.id)
        if row is not None:
            yield from _end(world, row, work, client.expected[work.id])
            yield from _effects(world, row, work, client.expected[work.id])
    yield from _undos(world, client, runs, histories)
    yield from _remembered(world, runs, histories)
    yield from _apart(world)
    yield from _crowded(world)
    states = dict(world.rows("SELECT task, state FROM tasks"))
    for graph in world.plan.graphs:
        yield from graphs.violations(graph, states, world.ledger)
    decided = Counter(task for (task,) in world.rows("SELECT subject FROM decisions WHERE kind = 'placement'"))
    of_tasks: dict[str, Counter[str]] = defaultdict(Counter)
    for task, status in world.rows(
        "SELECT parent, status FROM runs WHERE parent IS NOT NULL AND parent_effect IS NULL"
    ):
        of_tasks[task][status] += 1
    for each in world.plan.placed:
        again, zombies = _repetitions(world), _has_zombies(world.plan)
        yield from placed.violations(each, states, decided, world.ledger, again, zombies, of_tasks)


def _runs(world: World) -> list[RunRow]:
    """Give every run, with its output."""
    views = world.store.views
    listed: list[RunRow] = drive(views.runs(None, [], None, None, 100_000))
    found = [drive(views.run(row.namespace, row.id)) for row in listed]
    return [row for row in found if row is not None]


def _starts(client: Client, runs: list[RunRow]) -> Iterator[str]:
    """No acknowledged start is lost."""
    there = {row.run: row.id for row in runs}
    for id, run in client.acknowledged.items():
        if there.get(run) != id:
            yield f"the start of {id} was acknowledged, and its run {run} is not in the store"


def _left(world: World) -> Iterator[str]:
    """Nothing is left of what has ended."""
    for table, condition in (
        ("runs", "ended_at IS NULL"),
        ("tasks", "state NOT IN ('done', 'failed', 'cancelled', 'skipped')"),
        ("inbox", "run IN (SELECT run FROM runs WHERE ended_at IS NOT NULL)"),
        ("subscriptions", "1"),
        ("leases", "kind NOT IN ('pool', 'node')"),  # that of a node runs out by itself
        ("lease_limits", "1"),
        ("tokens", "state = 'open'"),
        ("waits", "ended_at IS NULL"),
    ):
        found = world.rows(f"SELECT * FROM {table} WHERE {condition}")
        if found:
            yield f"{len(found)} rows are left in {table}, such as {found[0]}"


def _order(world: World, row: RunRow) -> Iterator[str]:
    """Each commit has its number, and no epoch writes after a later one."""
    rows = world.rows("SELECT seq, epoch FROM history WHERE run = ? ORDER BY seq", row.run)
    epochs = [epoch for _, epoch in rows]
    if epochs != sorted(epochs):
        yield f"the epochs of {row.id} are {epochs}: an owner wrote after the next one had begun"


def _history(world: World, row: RunRow) -> list[Event]:
    rows = Rows()

    async def read() -> list[Event]:
        history = await world.store.journal.history(row.run, 0, 1_000_000)
        return await rows.events(row.run, history, world.store.journal)

    return drive(read())


def _folds(world: World, row: RunRow, history: list[Event]) -> Iterator[str]:
    """The history of a run, folded, gives its state."""
    rows, journal = Rows(world.plan.inline_bytes), world.store.journal
    stored = drive(journal.load(row.run))
    if stored is None or not stored.head:
        yield f"{row.id} ended, and has no state"
        return
    fresh = states.new(row.run, row.namespace, row.id, drive(rows.value(row.run, stored.input, journal)))
    if rows.folded(fresh, history) != (stored.head, dict(stored.scopes)):
        yield f"the history of {row.id}, folded, does not give its state"


def _once(row: RunRow, history: list[Event]) -> Iterator[str]:
    """No result of a call is recorded twice in a round of its run, or between two retries by hand."""
    returned: Counter[str] = Counter()
    for event in history:
        if isinstance(event, Renewed | Reopened):
            returned.clear()
        elif isinstance(event, Returned):
            returned[event.scope] += 1
            if returned[event.scope] > 1:
                yield f"the call {event.scope} of {row.id} returned {returned[event.scope]} times"


def _end(world: World, row: RunRow, work: Work, wanted: Expected) -> Iterator[str]:
    """The run ends as the tree says, unless somebody cancelled it."""
    is_cancelled = any(deed.act in (Act.CANCEL, Act.ROLLBACK) for deed in work.deeds)
    if row.status is RunStatus.CANCELLED and is_cancelled:
        return
    if wanted.value is None:
        if row.status is not RunStatus.FAULTED:
            yield f"{row.id} is {row.status}; it should have failed"
        return
    if row.status is not RunStatus.COMPLETED:
        yield f"{row.id} is {row.status}, {row.fault!r}; it should have given {wanted.value}"
        return
    output: Any = drive(Rows().value(row.run, row.output or b"", world.store.journal)).value
    given = output["n"] if isinstance(output, dict) else output
    if given != wanted.value:
        yield f"{row.id} gave {given}; it should have given {wanted.value}"


def _effects(world: World, row: RunRow, work: Work, wanted: Expected) -> Iterator[str]:
    """Every effect was performed; and again only as often as something struck that may have killed it."""
    for label, tree in wanted.effects.items():
        entries = world.ledger.of(label)
        done = sum(entry.outcome == "done" for entry in entries)
        if row.status is RunStatus.COMPLETED and not done and tree["do"] != "late":
            yield f"{row.id} completed without its effect {label}"
        allowed = 1 + tree.get("fails", 0) + _repetitions(world)
        if len(entries) > allowed:
            yield f"the effect {label} was performed {len(entries)} times; at most {allowed} are explained by faults"


def _repetitions(world: World) -> int:
    """How often something struck that a repetition may come of."""
    harmless = {Kind.DEAF, Kind.ECHO}
    return sum(fault.kind not in harmless for slot in world.slots for fault in slot.line.struck) + sum(
        deed.act is Act.SUSPEND for work in world.plan.work for deed in work.deeds
    )


def _undos(world: World, client: Client, runs: list[RunRow], histories: dict[str, list[Event]]) -> Iterator[str]:
    """What a rollback undoes is what was completed, one after the other, the last first."""
    undone = {entry.at for entry in world.ledger.entries if entry.undoes and entry.outcome == "done"}
    for work in world.plan.work:
        if any(deed.act in (Act.CANCEL, Act.ROLLBACK) for deed in work.deeds):
            continue
        for run, labels in client.expected[work.id].undone.items():
            if labels - undone:
                yield f"{sorted(labels - undone)} of {run} were not undone"
    for row in runs:
        completed = _completed(world, row, histories[row.run])
        begun = _consecutive(entry.at for entry in world.ledger.entries if entry.undoes and entry.run == row.id)
        if not any(isinstance(event, RollbackBegan) for event in histories[row.run]):
            if begun:
                yield f"{begun} of {row.id} were undone, and no rollback began"
        elif begun != completed[::-1] and not _has_zombies(world.plan):
            yield f"{row.id} completed {completed}, and undid {begun}"


def _remembered(world: World, runs: list[RunRow], histories: dict[str, list[Event]]) -> Iterator[str]:
    """What an effect writes to shared memory was written as often as its result was recorded."""
    changes = dict(world.rows("SELECT key, count(*) FROM cell_changes WHERE space = 'tasks' GROUP BY key"))
    places = {entry.at: (entry.run, entry.path) for entry in world.ledger.entries if not entry.undoes}
    written: Counter[tuple[str, str]] = Counter()
    for label in world.ledger.remembered:
        written[places[label]] += changes.get(label, 0)
    recorded = Counter((row.id, path) for row in runs for path in _results(histories[row.run]))
    for place, times in sorted(written.items()):
        if times != recorded[place]:
            yield f"{place} was recorded {recorded[place]} times, and written to shared memory {times} times"


def _results(history: list[Event]) -> Iterator[str]:
    """Give the paths of effects that gave a result, as often as they did."""
    asked: set[tuple[str, str]] = set()
    for event in history:
        match event:
            case Requested():
                asked.add((event.scope, event.path))
            case Returned(failed=None) | Awaited(fault=None) | Completed():
                if (event.scope, event.path) in asked:
                    asked.discard((event.scope, event.path))
                    yield event.path


def _completed(world: World, row: RunRow, history: list[Event]) -> list[str]:
    """Give the labels of the effects that have an undo, in the order in which the run took note of their ends."""
    labels = {entry.launch: entry.at for entry in world.ledger.entries if not entry.undoes}
    effects: dict[tuple[str, str], int] = {}
    found: list[int] = []
    for event in history:
        match event:
            case Requested():
                effects[event.scope, event.path] = event.effect
            case Returned(failed=None) | Awaited(fault=None) | Completed():
                found += [effects.pop((event.scope, event.path))] if (event.scope, event.path) in effects else []
    named = [labels.get(f"{row.run}.{effect}") for effect in found]
    return [label for label in named if label is not None]


def _consecutive(labels: Iterable[str]) -> list[str]:
    """Leave out what is repeated at once: it was made again, since its end was lost."""
    return [label for label, _ in groupby(labels)]


def _apart(world: World) -> Iterator[str]:
    """Two executions of one effect never overlap, unless a node was stopped and went on with what others had by then."""
    if _has_zombies(world.plan):
        return
    last: dict[tuple[str, bool], Any] = {}
    for entry in world.ledger.entries:
        key = (entry.at, entry.undoes)
        before = last.get(key)
        if before is not None and (before.ended is None or before.ended > entry.started):
            yield f"the effect {entry.at} began again on {entry.actor} while it went on on {before.actor}"
        last[key] = entry


def _crowded(world: World) -> Iterator[str]:
    """No more effects than a limit allows are at work at once, but for those of nodes that were stopped."""
    if _has_zombies(world.plan):
        return
    limited = {
        label
        for each in world.plan.work
        for label, tree in expected(each.tree, each.input).effects.items()
        if tree["do"] == "limited"
    }
    working: list[Entry] = []
    for entry in world.ledger.entries:
        if entry.at in limited:
            working = [other for other in working if other.ended is None or other.ended > entry.started] + [entry]
            if len(working) > LIMIT:
                yield f"{[other.at for other in working]} were at work at once; {LIMIT} may be"


def _has_zombies(plan: Plan) -> bool:
    return any(fault.kind in _ZOMBIES for fault in plan.faults)
