"""Conformance of API keys: made and revoked with a record of who did it, paged by key."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock.model.access import Role
from interlock.store.ports import KeyRow, Store

T = 1_900_000_000.0


def key(id: str = "k1", **more: Any) -> KeyRow:
    fields: dict[str, Any] = {"name": "ci", "digest": "d" * 64, "role": Role.OPERATOR, "namespaces": ("shop", "stock")}
    return KeyRow(id=id, created_at=T, created_by="user:ann", **fields | more)


async def audit(store: Store) -> list[tuple[Any, ...]]:
    async with store.transaction() as joined:
        return [tuple(row) for row in await joined.rows("SELECT at, actor, action, target FROM audit ORDER BY number")]


@pytest.mark.parametrize("row", [key(), key(namespaces=None, expires_at=T + 5, role=Role.ADMIN), key(namespaces=())])
async def test_key_is_found_as_it_was_made_and_its_making_is_on_record(store: Store, row: KeyRow) -> None:
    await store.keys.create(row, "user:ann", T)
    assert await store.keys.find("k1") == row
    assert await store.keys.find("k2") is None
    assert await audit(store) == [(T, "user:ann", "create-key", "k1/ci")]


async def test_key_whose_id_is_taken_is_refused_and_leaves_no_record(store: Store) -> None:
    await store.keys.create(key(), "user:ann", T)
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        await store.keys.create(key(name="other"), "user:bob", T)
    assert await store.keys.find("k1") == key()
    assert len(await audit(store)) == 1


async def test_keys_are_listed_in_pages_without_a_gap(store: Store) -> None:
    for id in ("k3", "k1", "k2"):
        await store.keys.create(key(id), "user:ann", T)
    first = await store.keys.list(None, 2)
    assert [row.id for row in first] == ["k1", "k2"]
    assert [row.id for row in await store.keys.list("k2", 2)] == ["k3"]
    assert await store.keys.list("k3", 2) == []


async def test_key_is_revoked_once_and_for_good(store: Store) -> None:
    await store.keys.create(key(), "user:ann", T)
    ended = msgspec.structs.replace(key(), revoked_at=T + 1)
    assert await store.keys.revoke("k1", "user:bob", T + 1) == ended
    assert await store.keys.revoke("k1", "user:eve", T + 2) == ended
    assert await store.keys.find("k1") == ended
    assert await store.keys.revoke("k2", "user:bob", T + 1) is None
    assert await audit(store) == [
        (T, "user:ann", "create-key", "k1/ci"),
        (T + 1, "user:bob", "revoke-key", "k1/ci"),
    ]


async def test_of_many_who_revoke_a_key_at_once_one_is_on_record(store: Store) -> None:
    await store.keys.create(key(), "user:ann", T)
    done = await asyncio.gather(*(store.keys.revoke("k1", f"user:{n}", T + n) for n in range(1, 11)))
    assert len({row and row.revoked_at for row in done}) == 1
    assert len(await audit(store)) == 2


async def test_key_counts_as_live_until_it_is_revoked_or_its_time_is_over(store: Store) -> None:
    assert not await store.keys.any_live(T)
    await store.keys.create(key(expires_at=T + 5), "user:ann", T)
    assert await store.keys.any_live(T + 4.9)
    assert not await store.keys.any_live(T + 5)
    await store.keys.create(key("k2"), "user:ann", T)
    assert await store.keys.any_live(T + 5)
    await store.keys.revoke("k2", "user:ann", T + 6)
    assert not await store.keys.any_live(T + 5)
    assert [row.is_live(T + 4) for row in await store.keys.list(None, 9)] == [True, False]
