"""What a change may concern, so that a wake-up reaches only those who have to look.

A mask of bits, as plain numbers: it is made for every commit. A change that says nothing concerns everybody; one that says
too little costs latency and never work, since whoever listens also looks every now and then.
"""

from __future__ import annotations

from typing import Final

from interlock.store.ports.journal import Batch

PROGRESS: Final = 1
"""A run went on; only who watches it wants to know."""
INBOX: Final = 2
"""Something came for a run from outside."""
TASKS: Final = 4
"""A task is there, may go, or is to be stopped, with the graph that nobody waits for any more."""
RUNS: Final = 8
"""A run has no owner."""
ENDS: Final = 16
"""A run has ended."""
LOCKS: Final = 32
"""A lock is free, or was taken away."""
CELLS: Final = 64
"""A cell of shared memory has changed."""
WORKERS: Final = 128
"""A worker came, went or has room."""
DELIVERIES: Final = 256
"""Somebody is to be told how a run ends."""
ANYTHING: Final = 511


def of(batch: Batch) -> int:
    """Give what a commit concerns."""
    news = PROGRESS
    if batch.posts or batch.emitted or batch.cancelled_tasks:
        news |= INBOX
    if batch.tasks or batch.cancelled_tasks or batch.limits or batch.revoked_tokens or batch.asked_tokens:
        news |= TASKS
    if batch.release or (batch.accept is not None and batch.accept.owner is None):
        news |= RUNS
    if any(child.owner is None for child in batch.children):
        news |= RUNS
    if batch.ended:
        news |= ENDS
    if batch.accept is not None and batch.accept.callback is not None:
        news |= DELIVERIES
    if batch.cells is not None:
        news |= CELLS
    return news
