"""A node's lease: renewed beside busy code, given up in time, never held by the deaf."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from interlock import errors, telemetry
from interlock.engine import identity, membership
from interlock.engine.membership import Membership
from interlock.service import SystemClock
from interlock.store.ports import Pulse
from interlock.store.sql.store import SqliteStore


class FailingPulse:
    """A connection that is away."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float) -> bool:
        raise errors.StoreUnavailable("away")

    def close(self) -> None:
        self.closed.set()


async def _store(folder: Path) -> SqliteStore:
    store = SqliteStore(f"{folder}/s.db")
    await store.open()
    return store


async def _left(store: SqliteStore) -> float:
    """Give what is left of the only node's lease at the beginning of time: its end."""
    return (await store.nodes.states(0.0))[0].lease_seconds or 0.0


async def test_lease_is_renewed_while_it_lives_and_ended_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BEAT_SECONDS", 0.02)
    store, clock = await _store(tmp_path), SystemClock()
    member = Membership(identity.here(clock, "engine", pinned=True), store, clock, lambda: None)
    await member.start()
    first = await _left(store)
    while await _left(store) <= first:
        await asyncio.sleep(0.01)
    await member.stop()
    await member.stop()
    assert await store.nodes.live(clock.now()) == []
    await store.close()


async def test_lease_that_cannot_be_renewed_is_given_up_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(membership, "NODE_TTL_SECONDS", 2.2)
    store, clock = await _store(tmp_path), SystemClock()
    pulse = FailingPulse()

    def broken(node: str) -> Pulse:
        return pulse

    monkeypatch.setattr(store, "pulse", broken)
    lost = asyncio.Event()
    member = Membership(identity.here(clock, "engine", pinned=True), store, clock, lost.set)
    await member.start()
    await asyncio.wait_for(lost.wait(), 60)
    assert pulse.closed.wait(60)
    assert member.why_lost == ": away"
    await member.stop()
    await store.close()


async def test_node_whose_loop_does_not_turn_stops_renewing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(membership, "_DEAF_SECONDS", -1.0)
    store, clock = await _store(tmp_path), SystemClock()
    deaf = threading.Event()
    detach = telemetry.attach(lambda name, fields: deaf.set() if name == "node.deaf" else None)
    member = Membership(identity.here(clock, "engine", pinned=True), store, clock, lambda: None)
    await member.start()
    until = await _left(store)
    assert await asyncio.to_thread(deaf.wait, 5)
    assert await _left(store) == pytest.approx(until, abs=1e-4)
    await member.stop()
    detach()
    await store.close()
