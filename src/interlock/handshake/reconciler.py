"""The net under the deliveries: finds what is due and was forgotten, whatever happened.

The commit that ends a run makes its deliveries due, and who claims one settles it. What may still be lost: a claim whose
node died, and the end of a run by a hand in the database or in a restored copy. Looked for every ten seconds, by level and
not by event.
"""

from __future__ import annotations

from typing import Final

from interlock import telemetry
from interlock.service import Clock, Loop
from interlock.store.ports import Store

RECONCILE_SECONDS: Final = 10.0
_PAGE: Final = 500


class Reconciler(Loop):
    """Looks in pages, each a short read; every node does, and twice does no harm."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__("reconciler", RECONCILE_SECONDS)
        self._store = store
        self._clock = clock

    async def round(self) -> bool:
        await reconcile(self._store, self._clock.now())
        return False


async def reconcile(store: Store, now: float) -> int:
    """Make due what is not on its way and should be; gives how many deliveries."""
    if await store.deliveries.next_due() is None:  # a read: where nobody waits, nothing is written
        return 0
    found = await store.deliveries.free(now)
    after = ""
    while page := await store.deliveries.unfinished(after, _PAGE):
        found += await store.deliveries.tell(page, now)
        after = page[-1][0]
    if found:
        telemetry.emit("delivery.reconciled", deliveries=found)
    return found
