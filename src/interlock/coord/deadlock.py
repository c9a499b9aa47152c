"""Finds rings of those who wait for each other."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.store.ports import Wait


def cycle_of(waits: Iterable[Wait], session: str) -> list[Wait]:
    """Give the waits that lead from a session back to itself, in their order; nothing when it is in no ring."""
    edges: dict[str, list[Wait]] = {}
    for wait in waits:
        edges.setdefault(wait.session, []).append(wait)
    came: dict[str, Wait] = {}
    open_ = [session]
    while open_:
        at = open_.pop()
        for wait in edges.get(at, ()):
            if wait.other == session:
                return _path(came, wait, session)
            if wait.other not in came:
                came[wait.other] = wait
                open_.append(wait.other)
    return []


def _path(came: dict[str, Wait], last: Wait, session: str) -> list[Wait]:
    path = [last]
    while path[-1].session != session:
        path.append(came[path[-1].session])
    return path[::-1]
