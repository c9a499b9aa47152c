"""API keys as they are made, checked and revoked."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import errors
from interlock.app import keys as app_keys
from interlock.app.keys import CACHED_SECONDS, Keys
from interlock.model.access import Principal, Role
from interlock.store.open import open_store
from interlock.store.ports import Store
from interlock.testing.clock import VirtualClock

DAY = 86400.0


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite:///:memory:")
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def keys(store: Store, clock: VirtualClock) -> Keys:
    return Keys(store, clock)


async def test_key_stands_for_its_name_role_and_namespaces(keys: Keys) -> None:
    _, text = await keys.create("ci", Role.OPERATOR, namespaces=["shop", "stock", "shop"])
    assert await keys.verify(text) == Principal("ci", Role.OPERATOR, ("shop", "stock"))
    _, text = await keys.create("root", Role.ADMIN)
    assert await keys.verify(text) == Principal("root", Role.ADMIN, None)


async def test_session_of_a_key_lasts_no_longer_than_the_key(keys: Keys, clock: VirtualClock) -> None:
    row, _ = await keys.create("ann", Role.VIEWER, namespaces=["shop"], expires_seconds=DAY)
    assert await keys.holder(row.id) == Principal("ann", Role.VIEWER, ("shop",))
    assert await keys.holder("0" * 32) is None
    await keys.revoke(row.id)
    assert await keys.holder(row.id) is None
    other, _ = await keys.create("bob", Role.VIEWER, expires_seconds=DAY)
    clock.move_to(clock.now() + DAY)
    assert await keys.holder(other.id) is None


async def test_text_is_nowhere_in_the_store(keys: Keys, store: Store) -> None:
    row, text = await keys.create("ci", Role.VIEWER)
    prefix, id, secret = text.split("_", 2)
    assert (prefix, id) == ("ilk", row.id)
    assert len(secret) == 43
    async with store.transaction() as joined:
        stored = [*await joined.rows("SELECT * FROM api_keys"), *await joined.rows("SELECT * FROM audit")]
    assert row.digest in str(stored)
    assert secret not in str(stored)
    assert len({(await keys.create("ci", Role.VIEWER))[1] for _ in range(20)}) == 20


async def test_what_is_no_live_key_stands_for_nobody(keys: Keys, clock: VirtualClock) -> None:
    row, text = await keys.create("ci", Role.ADMIN, expires_seconds=DAY)
    other, theirs = await keys.create("other", Role.ADMIN)
    swapped = f"ilk_{row.id}_{theirs.split('_', 2)[2]}"
    unknown = f"ilk_{'0' * 32}_{text.split('_', 2)[2]}"
    wrong = [
        "",
        "ilk",
        text[:-1],
        text + "A",
        text.upper(),
        f" {text}",
        f"{text}\n",
        swapped,
        unknown,
        "ilk_é_é",
        "x" * 10**6,
    ]
    assert [each for each in wrong if await keys.verify(each) is not None] == []
    assert await keys.verify(text) is not None
    clock.move_to(clock.now() + DAY - 1)
    assert await keys.verify(text) is not None
    clock.move_to(clock.now() + 1)
    assert await keys.verify(text) is None
    assert await keys.any()
    await keys.revoke(other.id)
    assert not await keys.any()


async def test_revocation_counts_here_at_once_and_elsewhere_within_five_seconds(
    keys: Keys, store: Store, clock: VirtualClock
) -> None:
    row, text = await keys.create("ci", Role.ADMIN)
    elsewhere = Keys(store, clock)
    assert await elsewhere.verify(text) is not None
    assert await keys.verify(text) is not None
    await keys.revoke("ci")
    assert await keys.verify(text) is None
    clock.move_to(clock.now() + CACHED_SECONDS - 0.1)
    assert await elsewhere.verify(text) is not None, "or the cache is of no use"
    clock.move_to(clock.now() + 0.1)
    assert await elsewhere.verify(text) is None
    assert (await keys.revoke(row.id)).revoked_at is not None


class _Counting:
    """The port of the keys, counting what is looked up."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.found: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def find(self, id: str) -> Any:
        self.found.append(id)
        return await self._port.find(id)


async def test_keys_are_looked_up_once_in_five_seconds_and_a_flood_of_others_pushes_none_out(
    keys: Keys, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_keys, "_REMEMBERED", 8)
    counting = _Counting(store.keys)
    monkeypatch.setattr(store, "keys", counting)
    row, text = await keys.create("ci", Role.ADMIN)
    assert await keys.verify(text) is not None
    for number in range(50):
        assert await keys.verify(f"ilk_{number:032x}_{'A' * 43}") is None
    assert await keys.verify(f"ilk_{49:032x}_{'B' * 43}") is None
    assert await keys.verify(text) is not None
    assert counting.found.count(row.id) == 1
    assert len(counting.found) == 51
    assert len(keys._missing) == 8
    for _ in range(20):
        assert await keys.verify((await keys.create("more", Role.VIEWER))[1]) is not None
    assert len(keys._found) == 8
    clock.move_to(clock.now() + CACHED_SECONDS)
    assert await keys.verify(text) is not None
    assert counting.found.count(row.id) == 2


async def test_name_that_several_live_keys_have_is_not_enough(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_keys, "_PAGE", 1)
    first, _ = await keys.create("ci", Role.VIEWER)
    second, _ = await keys.create("ci", Role.VIEWER)
    with pytest.raises(errors.Conflict, match=f"2 live keys .*{first.id}, {second.id}"):
        await keys.revoke("ci")
    await keys.revoke(first.id)
    assert (await keys.revoke("ci")).id == second.id
    assert (await keys.revoke("ci")).id == second.id
    with pytest.raises(errors.NotFound, match=r"'cd'.*keys list"):
        await keys.revoke("cd")
    assert [row.id for row in await keys.list()] == [first.id, second.id]
    assert [row.id for row in await keys.list(first.id)] == [second.id]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "1 to 64 characters"),
        ({"name": " ci"}, "1 to 64 characters"),
        ({"name": "c\ni"}, "1 to 64 characters"),
        ({"name": "c\u202ei"}, "1 to 64 characters"),
        ({"name": "x" * 65}, "1 to 64 characters"),
        ({"namespaces": []}, "opens nothing"),
        ({"namespaces": ["shop", "a b"]}, "'a b' is no namespace"),
        ({"expires_seconds": 0.0}, "at most 100 years"),
        ({"expires_seconds": -1.0}, "at most 100 years"),
        ({"expires_seconds": math.inf}, "at most 100 years"),
        ({"expires_seconds": math.nan}, "at most 100 years"),
    ],
)
async def test_key_that_makes_no_sense_is_refused(keys: Keys, given: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.Invalid, match=said):
        await keys.create(**{"name": "ci", "role": Role.VIEWER} | given)
    assert await keys.list() == []
