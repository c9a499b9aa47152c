"""Who waits for a place of a key that is taken by those who wait for them: a task whose run loaded the graph of the first."""

from __future__ import annotations

from interlock.store.ports import PlaceWait
from interlock.store.sql.transaction import Transaction


async def found(transaction: Transaction) -> list[PlaceWait]:
    """Give the tasks that no place is left for, of graphs that runs wait for; one for each graph and limit."""
    waits: list[PlaceWait] = []
    for graph, run, limit, task in await transaction.rows("places_waited_for", {}):
        places = await transaction.rows("limit_holders", {"name": limit})
        if places and len(places) >= places[0][0]:
            holders = [holder for _, holder in places]
            above = await _above(transaction, run)
            waits.append(PlaceWait(task=task, graph=graph, limit=limit, holders=holders, awaited_by=above))
    return waits


async def _above(transaction: Transaction, run: str | None) -> list[str]:
    """Give the tasks of graphs that cannot end before a run does."""
    tasks: list[str] = []
    seen: set[str] = set()
    while run is not None and run not in seen:
        seen.add(run)
        rows = await transaction.rows("run_above", {"run": run})
        parent, task, waiting = rows[0] if rows else (None, None, None)
        if task is not None:
            tasks.append(task)
        run = parent if task is None else waiting
    return tasks
