"""Seals everything that a store holds under its newest key, and says which keys nobody needs any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from interlock import errors
from interlock.secrets.key import KeyRing
from interlock.service import Clock
from interlock.store.ports import Store

_ROUNDS: Final = 10  # each finds only what others wrote during the one before, under an older key


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `sealed`: rows; `retired`: ids of keys under which nothing is sealed any more; `live_runs`: how many
    runs have not ended, whose tokens and markers of secrets may be signed under one of them; `is_scrubbed`: whether nothing
    is left in the store's file of what was there before."""

    sealed: int
    is_encrypted: bool
    key: str
    retired: tuple[str, ...]
    live_runs: int
    is_scrubbed: bool


async def reseal(
    store: Store, ring: KeyRing, clock: Clock, actor: str, told: Callable[[str, int, int], None]
) -> Outcome:
    """Seal page by page; `told` hears of each: table, rows seen, rows sealed. It may be ended at any time, and begun again.

    Raises Environment for a value whose key is not in the ring, Conflict when others go on writing under an older key.
    """
    sealed = 0
    for _ in range(_ROUNDS):
        found, missed = await _round(store, ring, told)
        sealed += found
        if not found and not missed:
            break
    else:
        raise errors.Conflict(
            f"after {_ROUNDS} rounds processes still write under an older key than {ring.current}; give every process the new"
            " key in front, start them again, and repeat this command"
        )
    await store.sealed.finish()
    live = await store.nodes.live(clock.stamp())
    is_scrubbed = await store.sealed.scrub(alone=not live)
    if sealed:
        await store.upkeep.record(actor, "reseal", f"{sealed} rows under {ring.current}", clock.now())
    return Outcome(
        sealed=sealed,
        is_encrypted=store.sealed.is_on,
        key=ring.current,
        retired=ring.ids[1:],
        live_runs=(await store.views.counts())["live runs"],
        is_scrubbed=is_scrubbed,
    )


async def _round(store: Store, ring: KeyRing, told: Callable[[str, int, int], None]) -> tuple[int, int]:
    """Go over every table once; gives the rows that were sealed, and those that somebody else wrote meanwhile."""
    sealed = missed = 0
    for table in store.sealed.tables:
        seen = of_table = 0
        after: tuple[object, ...] | None = None
        while True:
            page = await store.sealed.reseal(table, after, ring)
            seen, of_table, missed = seen + page.seen, of_table + page.sealed, missed + page.missed
            told(table, seen, of_table)
            after = page.after
            if after is None:
                break
        sealed += of_table
    return sealed, missed
