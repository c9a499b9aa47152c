"""What a store at rest is asked, and who is woken by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from interlock.store.open import open_store
from interlock.store.ports import Store
from interlock.store.sql.sqlite_file import OsLock
from store.rows import accepting, batch, new_task, node

_NODE_SECONDS, _ATTEMPT_SECONDS = 10.0, 60.0


async def test_one_look_tells_who_lives_and_that_there_is_nothing_to_recover(store: Store) -> None:
    for name in ("n1", "n2"):
        await store.nodes.join(node(name), _NODE_SECONDS)
    await store.journal.commit(accepting("r1", new={"owner": "n1"}))
    await store.journal.commit(batch("r1", seq=1, tasks=[new_task("t1", "r1")]))
    await store.queue.claim("n1", "local", 4, 4, _ATTEMPT_SECONDS, 100.0, own=False)
    live, must_recover = await store.nodes.look(105.0)
    assert [each.node for each in live] == ["n1", "n2"]
    assert not must_recover


async def test_look_tells_of_a_node_whose_lease_ran_out(store: Store) -> None:
    await store.nodes.join(node("n1"), _NODE_SECONDS)
    live, must_recover = await store.nodes.look(500.0)
    assert (live, must_recover) == ([], True)


async def test_look_tells_of_a_run_and_of_an_attempt_whose_holder_is_gone(store: Store) -> None:
    for name in ("n1", "n2"):
        await store.nodes.join(node(name), _NODE_SECONDS)
    await store.journal.commit(accepting("r1", new={"owner": "n1"}))
    await store.journal.commit(batch("r1", seq=1, tasks=[new_task("t1", "r1")]))
    await store.queue.claim("n1", "local", 4, 4, _ATTEMPT_SECONDS, 100.0, own=False)
    await store.nodes.bury("n1", 101.0)
    live, must_recover = await store.nodes.look(102.0)
    assert ([each.node for each in live], must_recover) == (["n2"], True)


async def test_attempt_in_a_node_dies_with_it_and_frees_its_limit_and_a_process_of_its_own_may_live_on(
    store: Store,
) -> None:
    for name in ("n1", "n2"):
        await store.nodes.join(node(name), _NODE_SECONDS)
    await store.graphs.limit("l", 1)
    await store.journal.commit(accepting("r1", new={"owner": "n1"}))
    pools = {"t1": "in-process", "t2": "in-process", "t3": "local"}
    limits = {"t1": ("l",), "t2": ("l",), "t3": ()}
    tasks = [
        new_task(task, "r1", number, pool=pool, limits=limits[task])
        for number, (task, pool) in enumerate(pools.items(), 1)
    ]
    await store.journal.commit(batch("r1", seq=1, tasks=tasks))
    first = await store.queue.claim("n1", "in-process", 4, 4, _ATTEMPT_SECONDS, 100.0, own=True)
    await store.queue.claim("n1", "local", 4, 4, _ATTEMPT_SECONDS, 100.0, own=True)
    assert len(first) == 1
    await store.nodes.bury("n1", 101.0)
    assert [orphan.task.task for orphan in await store.queue.orphans(9)] == ["t3"]
    await store.nodes.claim_runs("n2", 9)
    then = await store.queue.claim("n2", "in-process", 4, 4, _ATTEMPT_SECONDS, 102.0, own=True)
    assert {task.task for task in (*first, *then)} == {"t1", "t2"}


async def test_look_tells_of_an_attempt_whose_own_lease_ran_out(store: Store) -> None:
    await store.nodes.join(node("n1"), 1_000.0)
    await store.journal.commit(accepting("r1", new={"owner": "n1"}))
    await store.journal.commit(batch("r1", seq=1, tasks=[new_task("t1", "r1")]))
    await store.queue.claim("n1", "local", 4, 4, _ATTEMPT_SECONDS, 100.0, own=False)
    assert not (await store.nodes.look(120.0)).must_recover
    assert (await store.nodes.look(170.0)).must_recover


async def test_renewal_wakes_no_other_process_and_a_commit_does(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        one, other = [await open_store(f"sqlite:///{tmp_path}/s.db") for _ in range(2)]
        await one.nodes.join(node("n1"), _NODE_SECONDS)
        rung = asyncio.Event()
        await asyncio.sleep(0.5)  # until the other one has seen that somebody joined
        other.bell.listen(rung.set)
        pulse = await asyncio.to_thread(one.pulse, "n1")
        assert pulse is not None
        for _ in range(3):
            assert await asyncio.to_thread(pulse.beat, _NODE_SECONDS, _ATTEMPT_SECONDS, 100.0)
            await asyncio.sleep(0.3)  # it looks every quarter of a second at least
        assert not rung.is_set()
        await one.journal.commit(accepting("r1"))
        await rung.wait()
        await asyncio.to_thread(pulse.close)
        await other.close()
        await one.close()


async def test_write_that_fails_wakes_nobody(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    await asyncio.sleep(0.1)  # until the writer has told what it did at the start
    rung = asyncio.Event()
    store.bell.listen(rung.set)

    async def fails(transaction: object) -> None:
        raise ValueError("no")

    results = await asyncio.gather(store.database.write(fails), return_exceptions=True)  # type: ignore[attr-defined]  # of SQL stores
    await asyncio.sleep(0)
    assert isinstance(results[0], ValueError)
    assert not rung.is_set()
    await store.close()


def test_commits_are_counted_in_the_file_of_the_lock(tmp_path: Path) -> None:
    one, other = OsLock(f"{tmp_path}/l"), OsLock(f"{tmp_path}/l")
    assert other.commits == 0
    with one.held():
        one.count_commit()
    assert other.commits == 1
    one.close()
    assert one.commits is None
    other.close()
