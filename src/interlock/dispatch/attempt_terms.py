"""What the configuration says of every attempt of a task of a graph, wherever it is performed.

The dispatchers declare it with their pools, so that a worker, which reads no such file, goes by the same.
"""

from __future__ import annotations

import msgspec

from interlock.model.task_graph import TaskSpec
from interlock.store.ports import ALL, Store


class AttemptTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`timeout_seconds`: of tasks whose author gives none, None for no bound. `environment`: what theirs is added to."""

    timeout_seconds: float | None = None
    environment: dict[str, str] = {}

    def applied(self, spec: TaskSpec) -> TaskSpec:
        """Give a task with what the configuration says where its author says nothing."""
        if spec.timeout_seconds is not None or self.timeout_seconds is None:
            return spec
        return msgspec.structs.replace(spec, timeout_seconds=self.timeout_seconds)


class _Declared(msgspec.Struct):
    attempts: AttemptTerms = AttemptTerms()


async def declared(store: Store) -> AttemptTerms:
    """Give what the dispatchers have declared last. Raises StoreUnavailable."""
    row = next((row for row in await store.pools.all() if row.pool == ALL), None)
    return AttemptTerms() if row is None else msgspec.json.decode(row.settings, type=_Declared).attempts
