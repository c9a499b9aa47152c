"""Coordination for programs without an event loop, on both stores."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import until
from interlock import errors
from interlock.coord.timing import Timing
from interlock.decisions.task import Task
from interlock.model.worker import Capabilities, WorkerStatus
from interlock.sync import Coordination, Lock

QUICK = Timing(beat_seconds=0.5, stale_seconds=1.0, scan_seconds=0.1, retries=0, retry_seconds=0.1)
SECONDS = 60.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/coord.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def coord(url: str) -> Iterator[Coordination]:
    with Coordination(url, worker="w1") as opened:
        yield opened


@pytest.fixture
def other(url: str, coord: Coordination) -> Iterator[Coordination]:
    """Another process's worth of it."""
    with Coordination(url, worker="w2") as opened:
        yield opened


# -- locks -----------------------------------------------------------------------------------------------------------


def test_conflict_is_a_value_and_the_holder_is_told(coord: Coordination, other: Coordination) -> None:
    lock = coord.locks.acquire("deploy", metadata={"task": "t7"})
    assert lock is not None
    assert other.locks.acquire("deploy", strategy="fail_fast") is None
    assert (lock.fence, lock.is_held, lock.is_lost, lock.state.value) == (1, True, False, "acquired")
    assert lock.check()
    assert coord.locks.is_in_force(lock)
    held = other.locks.get_lock("deploy")
    assert held is not None
    assert (held.holder, held.metadata["task"]) == ("w1", "t7")
    assert [each.name for each in other.locks.list_locks(worker="w1")] == ["deploy"]
    assert other.locks.is_locked("deploy")
    with pytest.raises(errors.LockError, match="belongs to 'w1'"):
        other.locks.release("deploy")
    lock.executing()
    assert lock.state.value == "executing"
    lock.release()
    lock.release()
    assert not lock.check()
    assert other.locks.holders("deploy") == []
    assert (coord.locks.metrics.acquisitions, other.locks.metrics.conflicts) == (1, 1)


def test_block_holds_its_lock_and_waits_for_it(coord: Coordination, other: Coordination) -> None:
    order: list[str] = []

    def second() -> None:
        with other.locks.hold("deploy", timeout=SECONDS) as lock:
            order.append(f"second {lock.fence}")

    with ThreadPoolExecutor(1) as threads:
        with coord.locks.hold("deploy", ttl="5m") as lock:
            assert lock.ttl_seconds == 300.0
            waiting = threads.submit(second)
            until(lambda: other.locks.metrics.conflicts == 1)
            order.append(f"first {lock.fence}")
        waiting.result(SECONDS)
    assert order == ["first 1", "second 2"]
    assert not coord.locks.is_locked("deploy")


def test_lock_that_does_not_come_free_is_told_with_its_holder(coord: Coordination, other: Coordination) -> None:
    with coord.locks.hold("deploy"):
        assert other.locks.wait("deploy", timeout=0.05) is None
        with (
            pytest.raises(TimeoutError, match="'w1' holds it under the number 1"),
            other.locks.hold("deploy", timeout=0.05),
        ):
            pass


def test_loss_is_called_back_where_it_may_call_in_turn(coord: Coordination, other: Coordination) -> None:
    """LK-16"""
    told: list[tuple[str, str]] = []
    called = threading.Event()

    def lost(lock: Lock) -> None:
        held = coord.locks.get_lock(lock.name)
        told.append((threading.current_thread().name, "" if held is None else held.holder))
        called.set()

    lock = coord.locks.acquire("deploy", ttl=1, on_lost=lost)
    assert lock is not None
    assert not lock.wait_lost(timeout=0.01)
    assert other.locks.acquire("deploy", strategy="force_acquire") is not None
    assert lock.wait_lost(timeout=SECONDS)
    assert called.wait(SECONDS)
    assert told == [("lost-deploy", "w2")]
    lock.on_lost(lambda _: told.append(("late", "")))
    until(lambda: len(told) == 2)
    with pytest.raises(errors.LockError, match="its time was over, or another one took it"):
        lock.release()


def test_block_that_lost_its_lock_is_told_at_its_end(coord: Coordination, other: Coordination) -> None:
    """LK-16"""
    went_on = False
    with (  # noqa: PT012 (the end of the block is what is tested)
        pytest.raises(errors.LeaseLost, match="was lost under the number 1 while its block was at work"),
        coord.locks.hold("deploy", ttl=1) as lock,
    ):
        other.locks.acquire("deploy", strategy="force_acquire")
        assert lock.wait_lost(SECONDS)
        went_on = True
    assert went_on


def test_error_of_a_block_is_its_own(coord: Coordination) -> None:
    with pytest.raises(ZeroDivisionError), coord.locks.hold("deploy"):
        _ = 1 / 0
    assert not coord.locks.is_locked("deploy")


def test_threads_that_wait_for_each_other_are_told(coord: Coordination) -> None:
    """A thread is one who waits, though each of its calls is a task of the loop."""
    both = threading.Barrier(2)

    def cross(first: str, second: str) -> str:
        with coord.locks.hold(first):
            both.wait(SECONDS)
            try:
                with coord.locks.hold(second, timeout=SECONDS):
                    return "got it"
            except errors.LockError as error:
                return error.code

    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(cross, "a", "b"), threads.submit(cross, "b", "a")]
        assert sorted(each.result(SECONDS) for each in ends) == ["deadlock", "got it"]


def test_thread_that_waits_for_its_own_lock_is_told(coord: Coordination) -> None:
    with coord.locks.hold("a"), pytest.raises(errors.LockError, match="would never end"):
        coord.locks.wait("a", timeout=SECONDS)


def test_who_is_interrupted_leaves_the_queue(coord: Coordination, other: Coordination) -> None:
    lock = coord.locks.acquire("deploy")
    assert lock is not None
    here = threading.get_ident()
    interrupting = threading.Thread(target=lambda: (_queued(coord), signal.pthread_kill(here, signal.SIGINT)))
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        other.locks.wait("deploy", timeout=SECONDS)
    interrupting.join(SECONDS)
    until(lambda: not _waits(coord))
    lock.release()
    assert coord.locks.acquire("deploy", strategy="fail_fast") is not None


def _waits(coord: Coordination) -> list[Any]:
    store = coord._coordination.store
    assert coord._portal is not None
    return coord._portal.call(store.locks.waits("default", None))


def _queued(coord: Coordination) -> None:
    until(lambda: bool(_waits(coord)))


def test_locks_of_workers_are_freed_and_tidied(coord: Coordination, other: Coordination) -> None:
    for name in ("a", "b"):
        assert coord.locks.acquire(name)
    assert other.locks.recover_stale_locks("w1") == 0
    assert other.locks.release_worker_locks("w1") == 2
    assert other.locks.cleanup_stale_locks() == 0


# -- memory ----------------------------------------------------------------------------------------------------------


def test_values_are_shared(coord: Coordination, other: Coordination) -> None:
    """MS-01"""
    outcome = coord.memory.set("tasks/1/state", {"phase": 1}, "tasks", ttl="5m")
    assert outcome.is_applied
    coord.memory.set("tasks/2/state", "open", "tasks", wait=False)
    coord.memory.flush()
    assert other.memory.get("tasks/1/state", "tasks") == {"phase": 1}
    assert other.memory.get("nothing", default=7) == 7
    assert other.memory.list("tasks/*/state", "tasks") == ["tasks/1/state", "tasks/2/state"]
    assert [cell.value for cell in other.memory.cells("tasks/2", "tasks")] == ["open"]
    cell = other.memory.cell("tasks/1/state", "tasks")
    assert cell is not None
    assert cell.writer == "w1"
    assert not other.memory.set("tasks/1/state", 2, "tasks", base=0).is_applied
    assert other.memory.set("seen", [1], resolver="union").is_applied
    assert coord.memory.delete("seen")
    assert not coord.memory.delete("seen")
    assert coord.memory.sync() == 0
    assert coord.memory.metrics.writes == 3


def test_value_is_written_under_a_lock(coord: Coordination, other: Coordination) -> None:
    """LK-09"""
    lock = coord.locks.acquire("deploy")
    assert lock is not None
    assert coord.memory.set("result", 1, under=lock).is_applied
    other.locks.acquire("deploy", strategy="force_acquire")
    with pytest.raises(errors.LockError, match="nothing was written"):
        coord.memory.set("result", 2, under=lock)


def test_watch_is_followed_by_a_loop_that_another_thread_ends(coord: Coordination, other: Coordination) -> None:
    """MS-07"""
    found: list[tuple[str, Any]] = []
    watch = coord.memory.watch("tasks/**").begin()

    def follow() -> None:
        for change in watch:
            found.append((change.key, change.value))

    thread = threading.Thread(target=follow)
    thread.start()
    other.memory.set("tasks/1/state", "open")
    other.memory.set("elsewhere", 1)
    other.memory.delete("tasks/1/state")
    until(lambda: len(found) == 2)
    watch.close()
    watch.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert found == [("tasks/1/state", "open"), ("tasks/1/state", None)]
    with coord.memory.watch("tasks/**", after="0.0") as again:
        first = again.next(SECONDS)
        assert first is not None
        assert first.value == "open"
        assert again.cursor == first.cursor


def test_next_change_is_waited_for_no_longer_than_told_and_not_lost(coord: Coordination, other: Coordination) -> None:
    """MS-07"""
    with coord.memory.watch("**") as watch:
        assert watch.next(timeout=0.02) is None
        other.memory.set("a", 1)
        change = watch.next(SECONDS)
        assert change is not None
        assert (change.key, change.value) == ("a", 1)
    assert watch.next(SECONDS) is None
    assert list(watch) == []


def test_watch_ends_with_its_coordination(url: str) -> None:
    coord = Coordination.open(url)
    watch = coord.memory.watch("**").begin()
    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.extend(change.key for change in watch))
    thread.start()
    coord.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert ended == []


# -- workers ---------------------------------------------------------------------------------------------------------


def test_task_is_given_done_and_counted(coord: Coordination, other: Coordination) -> None:
    """WR-01, LB-01"""
    able = Capabilities(task_types={"build"}, skills={"rust"}, region="eu")
    worker = coord.workers.register("builder", capacity=2, capabilities=able, metadata={"role": "spare"})
    assert worker.status is WorkerStatus.ACTIVE
    coord.heartbeats.start(worker)
    assert coord.heartbeats.send_heartbeat(worker)
    assert coord.heartbeats.failures == 0
    assert coord.heartbeats.timing.detection == (120.0, 150.0)
    task = Task(id="t1", type="build", skills=frozenset({"rust"}))
    assert other.balancer.explain(task).chosen == "builder"
    given = other.balancer.select_worker(task)
    assert given is not None
    assert coord.balancer.started(given.slot)
    assert other.balancer.get_load_distribution().utilisation_percent == 50.0
    assert other.balancer.rebalance().tasks_moved == 0
    pulled = coord.balancer.get_next_task("builder", [task, Task(id="t2", type="build")])
    assert pulled is not None
    assert pulled.task.id == "t2"
    assert [each.id for each in other.workers.list_workers({WorkerStatus.BUSY}, region="eu")] == ["builder"]
    assert coord.balancer.finish(given.slot, succeeded=True, seconds=1.5)
    assert coord.balancer.finish(pulled.slot, succeeded=None)
    assert [each.chosen for each in other.balancer.decisions()] == ["builder", "builder"]
    assert len(other.balancer.decisions("t2")) == 1
    assert sum(other.balancer.weights().values()) == pytest.approx(1.0)
    coord.balancer.set_strategy("round_robin")
    assert coord.balancer.strategy.value == "round_robin"
    assert [each.id for each in coord.balancer.in_order([Task(id="b"), Task(id="a", priority=1)], 0.0)] == ["a", "b"]
    assert other.workers.update_status("builder", WorkerStatus.DRAINING).status is WorkerStatus.DRAINING
    found = other.workers.get_worker("builder")
    assert found is not None
    assert (found.succeeded, found.metadata) == (1, {"role": "spare"})
    coord.heartbeats.stop()
    assert not coord.workers.deregister("builder")
    assert [event.kind for event in other.workers.events()][-1] == "removed"


def test_worker_that_died_is_recovered_and_its_finder_called(url: str, coord: Coordination) -> None:
    """HB-05"""
    found: list[Any] = []
    called = threading.Event()

    def recovered(each: Any) -> None:
        found.append((each.worker, list(each.tasks), finder.workers.get_worker(each.worker)))
        called.set()

    worker = coord.workers.register("w1", silent_seconds=QUICK.stale_seconds)
    assert coord.locks.acquire("deploy")
    given = coord.balancer.select_worker(Task(id="t1"))
    assert given is not None
    with Coordination(url, worker="finder", timing=QUICK, recovered=recovered) as finder:
        assert finder.heartbeats.recover_stale_locks("w1") == 0
        assert finder.heartbeats.check_stale_workers() == []
        finder.heartbeats.start()
        assert called.wait(SECONDS)
        assert [(name, tasks, seen.status) for name, tasks, seen in found] == [("w1", ["t1"], WorkerStatus.OFFLINE)]
        assert not finder.locks.is_locked("deploy")
        assert not coord.heartbeats.send_heartbeat(worker)
        assert finder.heartbeats.scan() == []
        assert finder.heartbeats.recover("w1") is None
        assert finder.workers.recover("w1") is None
        assert finder.workers.mark_stale() == []
        assert finder.workers.cleanup_stale_workers() == 0


def test_worker_that_lost_its_place_is_called(url: str) -> None:
    lost: list[str] = []
    with Coordination(url, timing=QUICK, lost=lost.append) as first:
        first.heartbeats.start(first.workers.register("w1", silent_seconds=QUICK.stale_seconds))
        first.workers.deregister("w1")
        until(lambda: lost == ["w1"])


# -- life ------------------------------------------------------------------------------------------------------------


def test_closing_releases_what_is_held(url: str, tmp_path: Path) -> None:
    with Coordination(url, worker="w1") as first:
        assert first.locks.acquire("deploy")
        locks = first.locks
    with Coordination(url, worker="w2") as second:
        assert second.locks.acquire("deploy", strategy="fail_fast") is not None
    with pytest.raises(errors.Invalid, match="was closed; open it again"):
        locks.is_locked("deploy")
    with pytest.raises(errors.Invalid, match="is not open; use `with Coordination"):
        _ = first.locks
    first.close()


def test_it_is_opened_once_and_may_be_opened_again(coord: Coordination) -> None:
    with pytest.raises(errors.Invalid, match="is open already"):
        coord.__enter__()
    assert not coord.locks.is_locked("deploy")


def test_store_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.InterlockError), Coordination(f"sqlite:///{tmp_path}/file/x.db"):
        pass
    assert not [each for each in threading.enumerate() if each.name == "interlock-loop"]


def test_call_from_the_loop_itself_is_refused_instead_of_hanging(coord: Coordination) -> None:
    coord.memory.set("a", 1)
    with pytest.raises(errors.Invalid, match="would wait for the loop that it runs on"):
        coord.memory.set("a", 2, resolver=lambda present, more: coord.memory.get("b"))
