"""The dispatcher's two files: `dispatcher.yaml` (how it schedules) and `agent-pools.yaml` (where it can put what).

    scheduling   what the files mean, as values
    shapes       what may stand in them, and where what does not belongs
    pools        pools of one type: what the launcher of that type says of its `config`
    reading      text in, `Scheduling` out, or every problem at once

Both files are optional: without them there is one pool, `local`, and the policy `priority`. Every key has an effect or is
refused with its place, for a reason, and with what to use instead: requirements 3.4, checklist CF-01. What acts on a value is
not here. Who only needs the values must not load the checks of every type of pool, so `reading` is imported by its own name.
"""

from interlock.dispatch.configuration.scheduling import (
    LOCAL,
    AutoscalingSettings,
    DeadlockAction,
    DeadlockSettings,
    HealthSettings,
    PoolSettings,
    Scheduling,
    WorkspaceSettings,
)

__all__ = [
    "LOCAL", "AutoscalingSettings", "DeadlockAction", "DeadlockSettings", "HealthSettings", "PoolSettings", "Scheduling",
    "WorkspaceSettings",
]  # fmt: skip
