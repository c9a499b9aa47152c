"""What the rest of Interlock may ask of a store, split by guarantee.

    Journal   serialisable per run: compare-and-append, fenced by the run's epoch
    Queue     at-least-once, leased, fenced
    Tokens    completed once, in the transaction that tells the run
    Nodes     leases of nodes, and the runs and tasks of the dead
    Bell      wake-ups only; may be lost or doubled
    Upkeep    what keeps a store small and safe: removal of what is old, copies, restoring
    Views     read-only, may be stale

Every call is one transaction. `now` is UTC seconds; where it may be None, None is the present by the store's own clock, so
that leases do not depend on the clocks of different machines. A call whose store is away raises
StoreUnavailable; nothing of it was applied, or (a lost reply) repeating it changes nothing.
"""

from __future__ import annotations

from interlock.store.ports.graphs import DUE_AT_ONCE, GraphTask, TaskGraphs
from interlock.store.ports.journal import (
    Attribute,
    Batch,
    Committed,
    Definition,
    HistoryRow,
    InboxRow,
    Journal,
    LimitSet,
    MemoRow,
    NewCached,
    NewEvent,
    NewMemo,
    NewRun,
    NewSubscription,
    NewTask,
    Post,
    StoredRun,
)
from interlock.store.ports.nodes import Claimed, Looked, NodeRow, Nodes, NodeState, Pulse
from interlock.store.ports.queue import ClaimedTask, LogLine, Orphan, Queue, TaskRow
from interlock.store.ports.store import TRANSACTION_SECONDS, Bell, Joined, Store
from interlock.store.ports.tokens import Completion, NewToken, TokenRow, Tokens, TokenState
from interlock.store.ports.upkeep import EndedRun, Upkeep
from interlock.store.ports.views import EventRow, RunRow, Views

__all__ = [
    "DUE_AT_ONCE",
    "TRANSACTION_SECONDS",
    "Attribute",
    "Batch",
    "Bell",
    "Claimed",
    "ClaimedTask",
    "Committed",
    "Completion",
    "Definition",
    "EndedRun",
    "EventRow",
    "GraphTask",
    "HistoryRow",
    "InboxRow",
    "Joined",
    "Journal",
    "LimitSet",
    "LogLine",
    "Looked",
    "MemoRow",
    "NewCached",
    "NewEvent",
    "NewMemo",
    "NewRun",
    "NewSubscription",
    "NewTask",
    "NewToken",
    "NodeRow",
    "NodeState",
    "Nodes",
    "Orphan",
    "Post",
    "Pulse",
    "Queue",
    "RunRow",
    "Store",
    "StoredRun",
    "TaskGraphs",
    "TaskRow",
    "TokenRow",
    "TokenState",
    "Tokens",
    "Upkeep",
    "Views",
]
