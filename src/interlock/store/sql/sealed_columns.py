"""Which columns hold what users wrote, and where the statements write and read them: the one place that says so.

To put a new column of this kind into the store: name it here for every statement that writes or reads it. A test asks SQLite
which columns each statement touches, and fails for one that is forgotten.

What is searched, sorted or compared by the database stays as it is: names, ids, keys, search attributes, labels, the texts of
definitions, and digests (docs/howto/encryption.md lists it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_RUN: Final = {name: f"runs.{name}" for name in ("head", "output", "fault", "shown")}
_TOKEN: Final = {
    5: "tokens.outcome",
    12: "tokens.terms",
    15: "tokens.detail",
    16: "tokens.progress",
    17: "tokens.reason",
}
_RUN_ROW: Final = {16: "runs.output", 17: "runs.fault", 18: "runs.input", 20: "runs.shown"}
_STORED_RUN: Final = {8: "runs.input", 9: "runs.head", 10: "runs.output", 11: "runs.fault"}
_CAUSE: Final = {"cause": "inbox.cause"}
_TASK: Final = {5: "tasks.target", 12: "tasks.spec"}
_LEASE: Final = {"detail": "leases.detail"}
_PROBLEM: Final = {"problem": "deliveries.problem"}
_WORKER: Final = {8: "workers.metadata", 20: "leases.detail"}

SEALED: Final[Mapping[str, Mapping[str, str]]] = {
    "attempt_report": {"report": "leases.detail"},
    "cached_put": {"body": "cached.body"},
    "cell_put": {"value": "cells.value"},
    "cell_swap": {"value": "cells.value"},
    "decisions_add": {"body": "decisions.body"},
    "delivery_attempt_end": {"detail": "delivery_attempts.detail"},
    "delivery_beaten": _PROBLEM,
    "delivery_settle": _PROBLEM,
    "delivery_supersede": _PROBLEM,
    "event_add": {"body": "events.body"},
    "attempt_end": {"detail": "attempts.detail"},
    "graph_begin": {"document": "graphs.document"},
    "graph_put": {"document": "graphs.document"},
    "graph_task_add": {"target": "tasks.target", "spec": "tasks.spec"},
    "graph_task_correct": {"target": "tasks.target", "spec": "tasks.spec"},
    "graph_task_update": {"target": "tasks.target", "spec": "tasks.spec"},
    "task_rank": {"spec": "tasks.spec"},
    "history_add": {"events": "history.events"},
    "inbox_add": _CAUSE,
    "inbox_add_listeners": _CAUSE,
    "inbox_post": _CAUSE,
    "large_add": {"body": "large_values.body"},
    "lock_grant": _LEASE,
    "lock_queue": _LEASE,
    "lock_share_add": _LEASE,
    "lock_take": _LEASE,
    "log_add": {"text": "logs.text"},
    "memo_add": {"body": "memos.body"},
    "pool_declare": {"settings": "pools.settings"},
    "pool_settings": {"settings": "pools.settings"},
    "run_accept": {"input": "runs.input", **_RUN},
    "run_advance": _RUN,
    "run_step": _RUN,
    "scope_put": {"body": "scopes.body"},
    "slot_add": _LEASE,
    "task_add": {"target": "tasks.target"},
    "token_add": {"terms": "tokens.terms"},
    "token_ask": {"reason": "tokens.reason"},
    "token_beat": {"detail": "tokens.detail", "progress": "tokens.progress"},
    "token_end": {"outcome": "tokens.outcome", "reason": "tokens.reason"},
    "token_reopen": {"terms": "tokens.terms"},
    "token_revoke": {"reason": "tokens.reason"},
    "tokens_end": {"outcome": "tokens.outcome", **_CAUSE},
    "tokens_close": {"reason": "tokens.reason"},
    "worker_beat": {"metrics": "leases.detail"},
    "worker_begin": {"metrics": "leases.detail"},
    "worker_event_add": {"detail": "worker_events.detail"},
    "worker_put": {"metadata": "workers.metadata"},
}
"""By statement, the parameters that are sealed, each with its column; of an array, every element. `None` and nothing (b"")
stay what they are."""

SEALED_CELLS: Final = "cells_put"
"""The statement whose cells come as one JSON text, in `writes`, each with its value in the third place."""

SEALED_ARRAYS: Final[Mapping[str, str]] = {
    **{f"{part}_{name}": column for part in ("accept", "advance") for name, column in _RUN.items()},
    "accept_input": "runs.input",
    "ask_reason": "tokens.reason",
    "cached_body": "cached.body",
    "child_input": "runs.input",
    "end_reason": "tokens.reason",
    "event_body": "events.body",
    "event_cause": "inbox.cause",
    "history_events": "history.events",
    "memo_body": "memos.body",
    "post_cause": "inbox.cause",
    "renew_body": "memos.body",
    "revoke_reason": "tokens.reason",
    "scope_body": "scopes.body",
    "task_target": "tasks.target",
    "token_terms": "tokens.terms",
}
"""The same for the statement `commit` of PostgreSQL, whose parameters are arrays."""

OPENED: Final[Mapping[str, Mapping[int, str]]] = {
    "attempts_of_task": {10: "attempts.detail"},
    "graph_document": {1: "graphs.document"},
    "graph_ends": {3: "tasks.spec", 5: "attempts.detail"},
    "graph_task_get": {16: "tasks.spec"},
    "graph_tasks_known": {4: "tasks.spec"},
    "graph_tasks_page": {16: "tasks.spec"},
    "graph_tasks_stamped": {5: "tasks.spec"},
    "task_specs": {1: "tasks.spec"},
    "step_heads": {5: "tasks.target"},
    "task_terms": {0: "tasks.spec"},
    "tasks_place": _TASK,
    "attempt_get": {7: "leases.detail"},
    "attempts_orphaned": _TASK,
    "cached_get": {0: "cached.body"},
    "cell_changes_page": {8: "cells.value"},
    "cell_put": {0: "cells.value"},
    "cell_read": {0: "cells.value"},
    "cell_sent": {0: "cells.value"},
    "cell_swap": {0: "cells.value"},
    "cells_page": {1: "cells.value"},
    "cells_put": {2: "cells.value"},
    "decisions_of_kind": {5: "decisions.body"},
    "decisions_of_subject": {5: "decisions.body"},
    "deliveries_of_receiver": {15: "deliveries.problem"},
    "deliveries_of_run": {15: "deliveries.problem"},
    "deliveries_page": {15: "deliveries.problem"},
    "delivery_attempts_page": {5: "delivery_attempts.detail"},
    "delivery_get": {15: "deliveries.problem"},
    "event_list": {3: "events.body"},
    "history_page": {3: "history.events"},
    "inbox_cancel": {0: "inbox.cause"},
    "inbox_of_node": {2: "inbox.cause"},
    "inbox_of_runs": {2: "inbox.cause"},
    "large_parts": {2: "large_values.body"},
    "lock_state": {7: "leases.detail"},
    "locks_page": {7: "leases.detail"},
    "locks_waits": {4: "leases.detail", 7: "leases.detail"},
    "log_page": {5: "logs.text"},
    "memos_page": {2: "memos.body"},
    "pools_all": {7: "pools.settings"},
    "pools_lock": {7: "pools.settings"},
    "run_ending": {6: "runs.output", 7: "runs.fault"},
    "run_find": _RUN_ROW,
    "run_find_prefix": _RUN_ROW,
    "run_list": _RUN_ROW,
    "run_list_of_attribute": _RUN_ROW,
    "run_list_of_attribute_anywhere": _RUN_ROW,
    "run_list_unfinished": _RUN_ROW,
    "run_load": _STORED_RUN,
    "runs_load": _STORED_RUN,
    "runs_unattended": _RUN_ROW,
    "runs_undispatched": _RUN_ROW,
    "scopes_of_runs": {2: "scopes.body"},
    "slots_all": {6: "leases.detail"},
    "slots_of_worker": {6: "leases.detail"},
    "tasks_claim": _TASK,
    "tasks_claim_named": _TASK,
    "tasks_claim_own": _TASK,
    "tasks_held": _TASK,
    "token_beat": _TOKEN,
    "token_end": _TOKEN,
    "token_get": _TOKEN,
    "token_lock": _TOKEN,
    "tokens_lock": _TOKEN,
    "tokens_of_run": _TOKEN,
    "undos_page": {2: "memos.body"},
    "worker_events_page": {4: "worker_events.detail"},
    "worker_get": _WORKER,
    "workers_list": _WORKER,
}
"""By statement, the columns of its rows that may be sealed. The changes of a cell are copied from it by the database, with
the value as it is: so both have one name."""
