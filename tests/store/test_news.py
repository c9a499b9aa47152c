"""Wake-ups reach those who have to look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlock.model import json
from interlock.model.task import Done
from interlock.store.ports import InboxRow, Post, Store, news
from interlock.store.ports.news import ENDS, INBOX, PROGRESS, RUNS, TASKS
from store.rows import accepting, batch, new_run, new_task
from store.test_tokens import complete, token


@pytest.mark.parametrize(
    ("more", "concerns"),
    [
        ({}, PROGRESS),
        ({"ended": True}, PROGRESS | ENDS),
        ({"release": True}, PROGRESS | RUNS),
        ({"cancelled_tasks": [3]}, PROGRESS | INBOX | TASKS),
        ({"posts": [Post(run="r2", cause_id="c", cause=b"{}")]}, PROGRESS | INBOX),
        ({"children": [new_run(run="c1", id="c1", owner=None)]}, PROGRESS | RUNS),
        ({"children": [new_run(run="c1", id="c1")]}, PROGRESS),
        ({"accept": new_run(owner=None)}, PROGRESS | RUNS),
        ({"accept": new_run()}, PROGRESS),
    ],
)
def test_commit_concerns_those_who_have_to_look(more: dict[str, Any], concerns: int) -> None:
    assert news.of(batch("r1", seq=1, **more)) == concerns


async def test_bell_rings_for_those_who_asked_for_such_news(store: Store) -> None:
    heard: dict[str, asyncio.Event] = {name: asyncio.Event() for name in ("ends", "runs", "all")}
    store.bell.listen(heard["ends"].set, ENDS)
    store.bell.listen(heard["runs"].set, RUNS)
    store.bell.listen(heard["all"].set)
    await store.journal.commit(accepting("r1"))
    async with asyncio.timeout(60):
        await heard["all"].wait()
    assert not heard["ends"].is_set() or heard["runs"].is_set()  # a poll of the net tells everything, to everybody
    heard["ends"].clear()
    await store.journal.commit(batch("r1", seq=1, status="completed", ended=True))
    async with asyncio.timeout(60):
        await heard["ends"].wait()


class _Heard:
    """What a store hands over, and whether it rings for those who look."""

    def __init__(self, store: Store, *, takes: bool) -> None:
        self.rows: list[InboxRow] = []
        self.rung = asyncio.Event()
        self._takes = takes
        store.bell.receive(self._take)
        store.bell.listen(self.rung.set, INBOX)

    def _take(self, row: InboxRow) -> bool:
        self.rows.append(row)
        return self._takes


async def test_report_is_handed_to_who_is_at_work_for_its_run(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2)]))
    heard = _Heard(store, takes=True)
    assert (await complete(store)) is not None
    await _until(lambda: bool(heard.rows))
    assert heard.rows == await store.journal.inbox("n1")
    assert (await complete(store)) is not None
    assert (await complete(store, "nothing")) is None
    assert len(heard.rows) == 1, "the same report once more tells its run nothing"


async def test_outcome_of_an_attempt_is_handed_to_who_is_at_work_for_its_run(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[new_task()]))
    (task,) = await store.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    heard = _Heard(store, takes=True)
    assert await store.queue.settle(task.task, task.fence, Done(1), 101.0)
    await _until(lambda: bool(heard.rows))
    assert heard.rows == await store.journal.inbox("n1")


async def test_bell_rings_when_nobody_takes_what_is_handed_over(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    heard = _Heard(store, takes=False)
    await asyncio.sleep(0)
    heard.rung.clear()
    await complete(store)
    await asyncio.wait_for(heard.rung.wait(), 60)
    assert len(heard.rows) == 1


async def test_what_came_before_is_not_overtaken(store: Store) -> None:
    """Rows of a run keep their order: with another in the inbox nothing is handed over, and who looks finds both."""
    await store.journal.commit(accepting(tokens=[token(), token("k2", 2)], tasks=[new_task(effect=3)]))
    (task,) = await store.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    assert await store.journal.post("r1", "cancel", b'{"kind":"cancel"}', "ann", 120.0)
    heard = _Heard(store, takes=True)
    await complete(store)
    await asyncio.wait_for(heard.rung.wait(), 60)
    heard.rung.clear()
    await store.queue.settle(task.task, task.fence, Done(1), 150.0)
    await asyncio.wait_for(heard.rung.wait(), 60)
    assert heard.rows == []
    kinds = [json.decode(row.cause)["kind"] for row in await store.journal.inbox("n1")]  # type: ignore[call-overload, index]  # JSON
    assert kinds[0] == "cancel"
    assert len(kinds) == 3


async def test_nothing_is_handed_over_before_a_callers_transaction_is_committed(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    heard = _Heard(store, takes=True)
    async with store.transaction() as joined:
        assert (await complete(joined.store)) is not None
        assert heard.rows == []
        heard.rung.clear()
    await asyncio.wait_for(heard.rung.wait(), 60)
    assert heard.rows == []


async def test_who_receives_no_more_is_not_asked(store: Store) -> None:
    await store.journal.commit(accepting(tokens=[token()]))
    taken: list[InboxRow] = []
    end = store.bell.receive(lambda row: taken.append(row) is None)
    end()
    end()
    await complete(store)
    assert taken == []


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.001)
