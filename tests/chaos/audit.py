"""Looks at a store after the trouble: everything is complete, nothing was done again that had been finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance import ledger
from chaos import load
from interlock.engine.rows import Rows
from interlock.model.event import Completed
from interlock.model.states import RunStatus
from interlock.store.open import open_store
from interlock.store.ports import HistoryRow, RunRow, Store

_PAGE = 100_000


@dataclass(frozen=True)
class Trouble:
    """Something that was done to the cluster, and for how long effects may have been begun twice because of it."""

    what: str
    begin: float
    end: float


@dataclass(frozen=True)
class Found:
    runs: int
    commits: int
    steps: int
    repeated: int
    """Steps that were performed more than once, since they were in flight when something broke."""

    def __str__(self) -> str:
        return f"{self.runs} runs, {self.commits} commits, {self.steps} steps performed, {self.repeated} of them twice"


async def check(url: str, folder: Path, seeds: Mapping[str, int], troubles: Sequence[Trouble]) -> Found:
    """Check a store in which every run must have completed; `seeds`: run id to seed."""
    store = await open_store(url)
    try:
        rows = await store.views.runs(load.NAMESPACE, [], None, None, _PAGE)
        unfinished = [f"{row.id} {row.status}" for row in rows if row.status is not RunStatus.COMPLETED]
        assert not unfinished, unfinished
        assert seeds.keys() <= {row.id for row in rows}
        counts = await store.views.counts()
        assert (counts["live runs"], counts["inbox"]) == (0, 0), counts
        commits, finished = await _histories(store, rows)
        await ledger.check_store(store, load.NAMESPACE)
    finally:
        await store.close()
    written = load.lines(folder)
    _everything_was_done(written, seeds)
    repeated = _nothing_finished_was_repeated(written, finished, troubles)
    return Found(len(rows), commits, len({(line.run, line.step) for line in written}), repeated)


async def _histories(store: Store, rows: Sequence[RunRow]) -> tuple[int, dict[tuple[str, str], float]]:
    """Check that no commit of a run was made under an older epoch than the one before, and give when steps were finished."""
    reader = Rows()
    finished: dict[tuple[str, str], float] = {}
    commits = 0
    names = {row.run: row.id for row in rows}
    for row in rows:
        history = await store.journal.history(row.run, 0, _PAGE)
        commits += len(history)
        is_in_order(row, history)
        stored = await store.journal.load(row.run)
        assert stored is not None
        for event in await reader.events(row.run, history, store.journal):
            if isinstance(event, Completed):
                step = event.path.rsplit("/", 1)[-1]
                owner = row.id if stored.parent is None else names[stored.parent]
                assert (owner, step) not in finished, f"{owner}: {step} was completed twice"
                finished[owner, step] = event.at
    return commits, finished


def is_in_order(row: RunRow, history: Sequence[HistoryRow]) -> None:
    # Not every commit tells something: an event that a run listens for by type may be none that it wants.
    seqs = [item.seq for item in history]
    assert seqs == sorted(set(seqs)), f"{row.id}: {seqs}"
    assert seqs[-1] <= row.seq
    epochs = [item.epoch for item in history]
    assert epochs == sorted(epochs), f"{row.id}: a commit of an older epoch was accepted: {epochs}"
    assert epochs[-1] <= row.epoch


def _everything_was_done(written: Sequence[load.Line], seeds: Mapping[str, int]) -> None:
    done: dict[str, set[str]] = {}
    for line in written:
        done.setdefault(line.run, set()).add(line.step)
    wrong = {run: done.get(run) for run, seed in seeds.items() if done.get(run) != load.steps(seed)}
    assert not wrong, wrong


def _nothing_finished_was_repeated(
    written: Sequence[load.Line], finished: Mapping[tuple[str, str], float], troubles: Sequence[Trouble]
) -> int:
    """Check every line of a step that was performed twice; gives how many steps there are of them."""
    late = [line for line in written if line.at > finished[line.run, line.step]]
    assert not late, f"performed again after their end was stored: {late}"
    repeated = [key for key, times in Counter((line.run, line.step) for line in written).items() if times > 1]
    for key in repeated:
        first = min(line.at for line in written if (line.run, line.step) == key)
        in_flight = [each for each in troubles if first <= each.end and each.begin <= finished[key]]
        assert in_flight, f"{key} was performed twice though nothing had happened"
    return len(repeated)
