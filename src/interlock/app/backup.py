"""Backup and restore of a store, and what makes a restored one safe.

A restored store is older than the world: processes may still hold runs and attempts under numbers that it has not given out
yet. So every epoch and every fence is raised beyond anything that was ever given, all leases end and all runs are free:
no writer from before can write, and the runs go on from the backup.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from interlock import config, errors, telemetry
from interlock.engine import identity
from interlock.service import Clock
from interlock.store.open import is_there, open_store
from interlock.store.ports import Store
from interlock.store.sql import backup as files

_STEP: Final = (1_000_000, 100_000_000)
"""Epochs and fences grow by one per owner or attempt. Chosen anew each time: the same backup may be restored twice."""


async def backup(url: str, file: Path) -> None:
    """Copy a store that may be in use to a file, durable and checked. Raises Invalid, Conflict, StoreCorrupt."""
    await asyncio.to_thread(files.copy, files.path_of(url), file)


async def restore(
    file: Path, url: str, clock: Clock, actor: str, *, force: bool, secrets: config.Secrets | None = None
) -> tuple[int, Path | None]:
    """Make a store from a backup; gives how many runs go on, and where the store that was there is now.

    Raises Conflict when a store is there and not `force`, or when live nodes use it.
    """
    target = files.path_of(url)
    if is_there(url):
        if not force:
            raise errors.Conflict(f"the store {target} is there; --force replaces it and keeps it beside")
        await _refuse_live(url, clock, secrets)
    partial = await asyncio.to_thread(files.prepare, file, target)
    try:
        copied = await open_store(f"sqlite:///{partial}", secrets=_as_it_is(secrets), key_url=url)
        try:
            live = await _raise(copied, clock, actor)
        finally:
            await copied.close()
        kept = target.with_name(f"{target.name}.before-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(clock.now()))}")
        had = target.exists()
        await asyncio.to_thread(files.replace, partial, target, kept)
    finally:
        await asyncio.to_thread(files.discard, partial)
    return live, kept if had else None


async def raise_fences(url: str, clock: Clock, actor: str, *, secrets: config.Secrets | None = None) -> int:
    """Make a store safe that the tools of its database restored; gives how many runs go on. Raises Conflict."""
    await _refuse_live(url, clock, secrets)
    store = await open_store(url, secrets=_as_it_is(secrets))
    try:
        return await _raise(store, clock, actor)
    finally:
        await store.close()


def _as_it_is(secrets: config.Secrets | None) -> config.Secrets:
    """Give where the key is, for a store that is opened to be looked at: it is not to be encrypted by that."""
    return replace(secrets or config.Secrets(), encrypt_payloads=False)


async def _raise(store: Store, clock: Clock, actor: str) -> int:
    step = int(clock.uniform(*_STEP))
    live = await store.upkeep.raise_fences(step, clock.now())
    await store.upkeep.record(actor, "restore", f"fences raised by {step}", clock.now())
    return live


async def _refuse_live(url: str, clock: Clock, secrets: config.Secrets | None) -> None:
    """Raise Conflict while processes use a store; one that cannot be read is used by nobody."""
    try:
        store = await open_store(url, secrets=_as_it_is(secrets))
    except errors.StoreCorrupt as error:
        telemetry.emit("restore.unreadable", error=error)
        return
    try:
        live = [node for node in await store.nodes.live(clock.stamp()) if not identity.is_dead(node)]
    finally:
        await store.close()
    if live:
        shown = ", ".join(f"pid {node.pid} on {node.host}" for node in live)
        raise errors.Conflict(f"the store is in use by {shown}; stop them first (`interlock nodes drain --all`)")
