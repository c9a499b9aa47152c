"""Wake-ups reach those who have to look."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock.store.ports import Post, Store, news
from interlock.store.ports.news import ENDS, INBOX, PROGRESS, RUNS, TASKS
from store.rows import accepting, batch, new_run


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
    async with asyncio.timeout(5):
        await heard["all"].wait()
    assert not heard["ends"].is_set() or heard["runs"].is_set()  # a poll of the net tells everything, to everybody
    heard["ends"].clear()
    await store.journal.commit(batch("r1", seq=1, status="completed", ended=True))
    async with asyncio.timeout(5):
        await heard["ends"].wait()
