"""What must hold when the storm is over, from the store and from the ledger that the effects kept, which knows no store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from acceptance import ledger
from chaos import errands, marks, works
from chaos.audit import is_in_order
from chaos.marks import Mark
from chaos.watch import Eyes
from chaos.works import Work, Works
from interlock import config
from interlock.app.session import Session
from interlock.engine.rows import Rows
from interlock.model.event import UNDO, Completed, Event, Returned, Undone
from interlock.store.ports import RunRow

_PAGE = 1_000_000
_WAKING_SECONDS = 3.0  # until a node that was stopped knows that its lease is lost

_LEFT = {
    "leases": "SELECT kind, name, holder FROM leases",
    "leases that name a limit": "SELECT name, task FROM lease_limits",
    "rows in inboxes": "SELECT run, cause_id FROM inbox",
    "tasks that have not ended": "SELECT run, path, state FROM tasks WHERE ended_at IS NULL",
    "edges between tasks": "SELECT predecessor, task FROM task_edges",
    "open tokens": "SELECT run, name FROM tokens WHERE state = 'open'",
    "subscriptions": "SELECT run, type FROM subscriptions",
    "scopes of ended runs": "SELECT run, scope FROM scopes",
    "live runs": "SELECT id, status FROM runs WHERE ended_at IS NULL",
}
"""What there is none of when every run has ended and every node has left."""


@dataclass(frozen=True)
class Stopped:
    """A process that was stopped and went on, and when."""

    pid: int
    begin: float
    end: float


@dataclass(frozen=True)
class Finished:
    """A step of which the history says that it ended well."""

    path: str
    at: float


@dataclass
class Found:
    runs: int = 0
    commits: int = 0
    steps: int = 0
    repeated: int = 0
    """Steps that were performed more than once, since they were in flight when something broke."""
    excused: int = 0
    """Of them, those begun by a node in the seconds after it was stopped for longer than its lease."""
    wrong: list[str] = field(default_factory=list)


async def check(
    url: str,
    accepted: Mapping[str, Work],
    of: Works,
    answers: Mapping[str, int],
    written: Sequence[Mark],
    stops: Sequence[Stopped],
    *,
    has_one_clock: bool = True,
) -> Found:
    """Check a store in which every run must have ended. `accepted`: what clients were told is stored, by run id.

    `has_one_clock`: the times that effects and nodes wrote down can be compared.
    """
    found = Found()
    for what, query in _LEFT.items():
        ((rows),) = await Eyes(url).ask(query)
        if rows:
            found.wrong.append(f"{len(rows)} {what}, such as {list(rows[0])}")
    async with Session.open(config.Settings(store=config.Store(url=url))) as app:
        rows_ = await app.store.views.runs(works.NAMESPACE, [], None, None, _PAGE)
        found.runs = len(rows_)
        by_id = {row.id: row for row in rows_}
        found.wrong += [f"{id} was accepted and is not there" for id in accepted.keys() - by_id.keys()]
        for id in accepted.keys() & by_id.keys():
            await _ended_as_it_must(app, by_id[id], accepted[id], of, answers, found)
        completed = await _histories(app, rows_, found)
        await ledger.check_store(app.store, works.NAMESPACE)
    _done_as_recorded(written, completed, found)
    if has_one_clock:
        _nothing_again(written, completed, stops, found)
    begun = [mark for mark in written if mark.what == marks.BEGIN]
    for id, work in accepted.items():
        if work.kind == works.UNDONE and id in completed:
            _undone_in_reverse(id, completed[id], [mark for mark in begun if mark.run == id], found)
    if has_one_clock:
        _within_limits(written, stops, found)
    return found


async def _ended_as_it_must(
    app: Session, row: RunRow, work: Work, of: Works, answers: Mapping[str, int], found: Found
) -> None:
    if row.status is not work.status:
        found.wrong.append(f"{row.id} is {row.status} instead of {work.status}: {(row.fault or b'').decode()[:300]}")
        return
    given, wanted = await works.output(app, row.id), of.wanted(work, answers)
    if given != wanted:
        found.wrong.append(f"{row.id} gave {given!r} instead of {wanted!r}")


async def _histories(app: Session, rows: Sequence[RunRow], found: Found) -> dict[str, list[Finished]]:
    """Check the order of every history; gives which steps of each run were finished, in that order."""
    reader = Rows()
    finished: dict[str, list[Finished]] = {}
    for row in rows:
        history = await app.store.journal.history(row.run, 0, _PAGE)
        found.commits += len(history)
        try:
            is_in_order(row, history)
        except AssertionError as error:
            found.wrong.append(str(error))
        events = await reader.events(row.run, history, app.store.journal)
        finished[row.id] = [each for each in map(_finished, events) if each is not None]
    return finished


def _finished(event: Event) -> Finished | None:
    match event:
        case Completed() if not event.path.endswith(UNDO):  # of an undo it is `Undone` that counts
            return Finished(event.path, event.at)
        case Returned() if event.failed is None:
            return Finished(event.path, event.at)
        case Undone():
            return Finished(event.path + UNDO, event.at)
        case _:
            return None


def _done_as_recorded(written: Sequence[Mark], finished: Mapping[str, Sequence[Finished]], found: Found) -> None:
    """Check that each step that effects tell of was finished once per visit."""
    visits: dict[tuple[str, str], set[str]] = defaultdict(set)
    ended = {mark.key for mark in written if mark.what == marks.END}
    begun = [mark for mark in written if mark.what == marks.BEGIN]
    for mark in begun:
        visits[mark.run, mark.step].add(mark.key)
    recorded = {run: Counter(each.path for each in steps) for run, steps in finished.items()}
    for (run, step), keys in visits.items():
        times = recorded.get(run, {}).get(step, 0)
        if times != len(keys):
            found.wrong.append(f"{run}: {step} was visited {len(keys)} times and finished {times} times")
            continue
        found.wrong += [f"{run}: {key} was finished though no effect of it ended" for key in keys - ended]
    found.steps = len({mark.key for mark in begun})
    found.repeated = sum(times > 1 for times in Counter(mark.key for mark in begun).values())


def _nothing_again(
    written: Sequence[Mark], finished: Mapping[str, Sequence[Finished]], stops: Sequence[Stopped], found: Found
) -> None:
    """Check that no step was begun after it was finished, of those that a run comes by once."""
    begun = [mark for mark in written if mark.what == marks.BEGIN]
    recorded = {run: Counter(each.path for each in steps) for run, steps in finished.items()}
    at = {
        (run, each.path): each.at for run, steps in finished.items() for each in steps if recorded[run][each.path] == 1
    }
    late = [mark for mark in begun if mark.at > at.get((mark.run, mark.step), mark.at)]
    for mark in late:
        if _is_just_awake(mark, stops):
            found.excused += 1
        else:
            later = mark.at - at[mark.run, mark.step]
            found.wrong.append(
                f"{mark.run}: {mark.step} was begun again {later:.3f} s after it was finished, as attempt {mark.attempt}"
                f" in process {mark.pid}: {_told_of(mark, written)}"
            )


def _undone_in_reverse(id: str, steps: Sequence[Finished], begun: Sequence[Mark], found: Found) -> None:
    """Check that what a run undid is what it did, the last first, by the order in which the effects began."""
    done = [each.path for each in steps if not each.path.endswith(UNDO)]
    undone = list(dict.fromkeys(mark.step.removesuffix(UNDO) for mark in begun if mark.step.endswith(UNDO)))
    if undone != done[::-1]:
        found.wrong.append(f"{id}: did {done} and undid {undone}")


def _within_limits(written: Sequence[Mark], stops: Sequence[Stopped], found: Found) -> None:
    """Check that no more attempts were at work on one shelf than may be, by what they say themselves.

    One whose process died says no end, and one whose process was stopped for longer than its lease did not know better.
    """
    ends = {(mark.key, mark.attempt, mark.pid): mark.at for mark in written if mark.what == marks.END}
    moments: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for mark in written:
        end = ends.get((mark.key, mark.attempt, mark.pid))
        if mark.what == marks.BEGIN and mark.said.startswith("shelf") and end is not None:
            stopped = (stop for stop in stops if stop.pid == mark.pid)
            if not any(mark.at <= stop.end and stop.begin <= end for stop in stopped):
                moments[mark.said] += [(mark.at, 1), (end, -1)]
    for shelf, changes in moments.items():
        most = at_work = 0
        for _, change in sorted(changes):
            at_work += change
            most = max(most, at_work)
        if most > errands.PER_SHELF:
            found.wrong.append(f"{most} at once at the {shelf}, where {errands.PER_SHELF} may be")


def _told_of(mark: Mark, written: Sequence[Mark]) -> str:
    """Give all that the ledger has of a visit of a step, with seconds from the mark in question."""
    return ", ".join(
        f"{each.what} {each.attempt} of {each.pid} at {each.at - mark.at:+.3f} s"
        for each in written
        if each.key == mark.key
    )


def _is_just_awake(mark: Mark, stops: Sequence[Stopped]) -> bool:
    return any(mark.pid == stop.pid and stop.begin <= mark.at <= stop.end + _WAKING_SECONDS for stop in stops)
