"""What an attempt is called outside of its store, where others have attempts too: in folders, engines and clusters."""

from __future__ import annotations

from interlock.store.ports import ClaimedTask


def name(store: str, task: ClaimedTask) -> str:
    """Give the name of an attempt, TASK.FENCE@STORE. `store`: its `identity`."""
    return f"{task.task}.{task.fence}@{store}"


def of_store(store: str, name: str) -> tuple[str, int] | None:
    """Give the task and the fence of an attempt of this store; None for a name that is another one's, or no such name."""
    attempt, _, of = name.rpartition("@")
    task, _, fence = attempt.rpartition(".")
    return (task, int(fence)) if of == store and task and fence.isascii() and fence.isdecimal() else None
