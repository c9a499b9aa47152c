"""What the rest of Interlock may ask of a store, split by guarantee.

    Journal   serialisable per run: compare-and-append, fenced by the run's epoch
    Queue     at-least-once, leased, fenced
    Tokens    completed once, in the transaction that tells the run
    Deliveries  at-least-once, fenced: who is to be told how a run ended
    Nodes     leases of nodes, and the runs and tasks of the dead
    Locks     leases on names, each grant with a fence
    Cells     shared memory: compare-and-set, and changes that are read without a gap
    Waits     which token of a run stands for which task graph
    Workers   the registry of who takes tasks, and the slots that they hold
    Keys      what programs sign in with; made and revoked with a record of who did it
    Bell      wake-ups only; may be lost or doubled
    Artifacts what files attempts kept; the files themselves are behind Files
    Upkeep    what keeps a store small and safe: removal of what is old, copies, restoring
    Sealed    what is encrypted, and its rotation
    Views     read-only, may be stale

Every call is one transaction. `now` is UTC seconds; where it may be None, None is the present by the store's own clock, so
that leases do not depend on the clocks of different machines. A call whose store is away raises
StoreUnavailable; nothing of it was applied, or (a lost reply) repeating it changes nothing.
"""

from __future__ import annotations

from interlock.store.ports.artifacts import ArtifactRow, Artifacts, Files, KeptArtifact, ReceivedFile
from interlock.store.ports.cells import CellChange, CellRow, Cells, CellWrite, Changes, WriteResult, Written
from interlock.store.ports.deliveries import (
    AddedDelivery,
    ClaimedDelivery,
    Deliveries,
    DeliveryAttempt,
    DeliveryRow,
    DeliveryState,
    Ended,
    NewDelivery,
    Sent,
)
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
    NewCells,
    NewEvent,
    NewMemo,
    NewRun,
    NewSubscription,
    NewTask,
    Post,
    StoredRun,
)
from interlock.store.ports.keys import KeyRow, Keys
from interlock.store.ports.locks import (
    LockMode,
    LockRequest,
    LockRow,
    Locks,
    Released,
    Renewals,
    Renewed,
    Taken,
    Taking,
    Wait,
)
from interlock.store.ports.nodes import Claimed, Looked, NodeRow, Nodes, NodeState, Pulse
from interlock.store.ports.pools import (
    ALL,
    DeclaredPool,
    Ill,
    Placed,
    Placement,
    PoolRow,
    Pools,
    PoolState,
    QueuedStep,
    QueuedTask,
)
from interlock.store.ports.queue import (
    Able,
    AttemptId,
    AttemptRow,
    ClaimedTask,
    LogLine,
    Orphan,
    Queue,
    TaskRow,
    WaitingTask,
)
from interlock.store.ports.sealed import Resealed, Sealed
from interlock.store.ports.store import TRANSACTION_SECONDS, Bell, Joined, Store
from interlock.store.ports.tasks import (
    GraphRow,
    GraphTaskRow,
    LoadedGraph,
    NewGraph,
    NewStamp,
    PlaceWait,
    StampedTask,
    Tasks,
    TryRow,
    WaitRow,
)
from interlock.store.ports.tokens import Beat, Completion, NewToken, RevokedToken, TokenRow, Tokens, TokenState
from interlock.store.ports.upkeep import EndedRun, Upkeep
from interlock.store.ports.views import AuditRow, EventRow, PublishedRow, RunRow, Views
from interlock.store.ports.waits import STOPPED_AT_ONCE, Begun, DueWait, NewWait, TaskEnd, Waits
from interlock.store.ports.workers import (
    Choice,
    Heard,
    Lesson,
    NewWorker,
    Recovered,
    Registered,
    SlotRow,
    Tally,
    WorkerEvent,
    WorkerRow,
    Workers,
    WorkerState,
)

__all__ = [
    "ALL",
    "DUE_AT_ONCE",
    "STOPPED_AT_ONCE",
    "TRANSACTION_SECONDS",
    "Able",
    "AddedDelivery",
    "ArtifactRow",
    "Artifacts",
    "AttemptId",
    "AttemptRow",
    "Attribute",
    "AuditRow",
    "Batch",
    "Beat",
    "Begun",
    "Bell",
    "CellChange",
    "CellRow",
    "CellWrite",
    "Cells",
    "Changes",
    "Choice",
    "Claimed",
    "ClaimedDelivery",
    "ClaimedTask",
    "Committed",
    "Completion",
    "DeclaredPool",
    "Definition",
    "Deliveries",
    "DeliveryAttempt",
    "DeliveryRow",
    "DeliveryState",
    "DueWait",
    "Ended",
    "EndedRun",
    "EventRow",
    "Files",
    "GraphRow",
    "GraphTask",
    "GraphTaskRow",
    "Heard",
    "HistoryRow",
    "Ill",
    "InboxRow",
    "Joined",
    "Journal",
    "KeptArtifact",
    "KeyRow",
    "Keys",
    "Lesson",
    "LimitSet",
    "LoadedGraph",
    "LockMode",
    "LockRequest",
    "LockRow",
    "Locks",
    "LogLine",
    "Looked",
    "MemoRow",
    "NewCached",
    "NewCells",
    "NewDelivery",
    "NewEvent",
    "NewGraph",
    "NewMemo",
    "NewRun",
    "NewStamp",
    "NewSubscription",
    "NewTask",
    "NewToken",
    "NewWait",
    "NewWorker",
    "NodeRow",
    "NodeState",
    "Nodes",
    "Orphan",
    "PlaceWait",
    "Placed",
    "Placement",
    "PoolRow",
    "PoolState",
    "Pools",
    "Post",
    "PublishedRow",
    "Pulse",
    "Queue",
    "QueuedStep",
    "QueuedTask",
    "ReceivedFile",
    "Recovered",
    "Registered",
    "Released",
    "Renewals",
    "Renewed",
    "Resealed",
    "RevokedToken",
    "RunRow",
    "Sealed",
    "Sent",
    "SlotRow",
    "StampedTask",
    "Store",
    "StoredRun",
    "Taken",
    "Taking",
    "Tally",
    "TaskEnd",
    "TaskGraphs",
    "TaskRow",
    "Tasks",
    "TokenRow",
    "TokenState",
    "Tokens",
    "TryRow",
    "Upkeep",
    "Views",
    "Wait",
    "WaitRow",
    "WaitingTask",
    "Waits",
    "WorkerEvent",
    "WorkerRow",
    "WorkerState",
    "Workers",
    "WriteResult",
    "Written",
]
