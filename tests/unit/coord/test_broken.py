"""Coordination, broken on purpose: each rule that is left out is found by the world that lives by it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from coordinating import simulated
from interlock.store.sql import statements
from interlock.store.sql import workers as sql_workers
from unit.coord import worlds

Mutation = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def _left_out(*rules: tuple[str, str, str]) -> Iterator[None]:
    """Change statements: the name of each, what stands in it, and what then does."""
    changed = {}
    for name, found, instead in rules:
        before = changed.get(name) or statements.load("sqlite")[name]
        changed[name] = re.sub(found, instead, before, count=1)
        assert changed[name] != before, f"{name} has no {found!r}"
    with mock.patch.dict(statements.load("sqlite"), changed):
        yield


def lock_granted_while_it_is_held() -> contextlib.AbstractContextManager[object]:
    """Without a look at who holds it, and until when."""
    return _left_out(("lock_take", r"WHERE leases.holder = ''", "WHERE leases.holder IS NOT NULL"))


def fence_used_again() -> contextlib.AbstractContextManager[object]:
    return _left_out(
        ("lock_take", r"fence = leases\.fence \+ 1", "fence = leases.fence"),
        ("lock_grant", r"fence = fence \+ 1", "fence = fence"),
    )


def release_without_its_fence() -> contextlib.AbstractContextManager[object]:
    return _left_out(("lock_release", "AND fence = :fence", "AND :fence = :fence"))


def write_without_its_fence() -> contextlib.AbstractContextManager[object]:
    return _left_out(("lock_check", "AND fence = :fence", "AND :fence = :fence"))


def lock_that_is_not_renewed() -> contextlib.AbstractContextManager[object]:
    return _left_out(("locks_renew", r"SET expires_at = .*", "SET expires_at = expires_at"))


def slot_without_its_count() -> contextlib.AbstractContextManager[object]:
    return _left_out(
        ("worker_room", r"SELECT count\(\*\) FROM leases WHERE holder", "SELECT 0 * count(*) FROM leases WHERE holder")
    )


def task_with_two_holders() -> contextlib.AbstractContextManager[object]:
    again = "DO UPDATE SET holder = excluded.holder, fence = excluded.fence, target = excluded.target"
    return _left_out(("slot_add", "DO NOTHING", again))


def recovery_without_another_look() -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(sql_workers._Life, "is_stale", True)


def cell_written_without_its_version() -> contextlib.AbstractContextManager[object]:
    return _left_out(("cell_swap", r":base IS NULL OR", "1 OR"))


def cell_set_where_none_may_be() -> contextlib.AbstractContextManager[object]:
    return _left_out(("cell_put", r":base IS NULL OR", "1 OR"))


def change_that_a_watch_loses() -> contextlib.AbstractContextManager[object]:
    return _left_out(("cell_changes_page", r"number > :number", "number > :number + 1"))


DEFECTS: list[tuple[Mutation, worlds.World]] = [
    (lock_granted_while_it_is_held, worlds.locks),
    (fence_used_again, worlds.locks),
    (release_without_its_fence, worlds.locks),
    (write_without_its_fence, worlds.locks),
    (lock_that_is_not_renewed, worlds.kept),
    (slot_without_its_count, worlds.slots),
    (task_with_two_holders, worlds.slots),
    (recovery_without_another_look, worlds.recoveries),
    (cell_written_without_its_version, worlds.cells),
    (cell_set_where_none_may_be, worlds.cells),
    (change_that_a_watch_loses, worlds.changes),
]


@pytest.mark.parametrize("world", sorted({world for _, world in DEFECTS}, key=str), ids=lambda world: world.__name__)
def test_world_finds_nothing_wrong_when_nothing_is(world: worlds.World) -> None:
    """LK-02, LK-06, LK-08, LK-09, HB-09, MS-07, MS-12, LB-08: as the store answers, not as the code means to."""
    assert simulated(world) == []  # type: ignore[arg-type]  # a world is a coroutine function


@pytest.mark.parametrize(("defect", "world"), DEFECTS, ids=lambda each: each.__name__)
def test_defect_is_found(defect: Mutation, world: worlds.World) -> None:
    with defect():
        assert simulated(world) != []  # type: ignore[arg-type]  # as above
