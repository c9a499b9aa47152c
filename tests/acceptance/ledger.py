"""The check that every run of the suite goes through: folding its history gives what is stored."""

from __future__ import annotations

from pathlib import Path

from interlock.engine import state as states
from interlock.engine.rows import Rows
from interlock.store.open import open_store
from interlock.store.ports import Store


async def check_file(path: Path) -> int:
    """Check every run of a store file; gives how many there were."""
    store = await open_store(f"sqlite:///{path}")
    try:
        return await check_store(store)
    finally:
        await store.close()


async def check_store(store: Store, namespace: str | None = None) -> int:
    """Check every run of an open store, or of one namespace of it; gives how many there were."""
    rows = Rows()
    listed = await store.views.runs(namespace, [], None, None, 100_000)
    for row in listed:
        stored = await store.journal.load(row.run)
        assert stored is not None
        if not stored.head:
            continue  # accepted, not begun
        history = await store.journal.history(row.run, 0, 1_000_000)
        events = await rows.events(row.run, history, store.journal)
        input_ = await rows.value(row.run, stored.input, store.journal)
        fresh = states.new(row.run, row.namespace, row.id, input_)
        head, scopes = rows.folded(fresh, events)
        stored_head, stored_scopes = rows.apart(stored.head, stored.scopes)
        assert head == stored_head, f"{row.id}: the folded head differs from the stored one"
        assert scopes == stored_scopes, f"{row.id}: the folded scopes differ from the stored ones"
    return len(listed)
