"""An order of tasks that Interlock does not bring."""

from __future__ import annotations

from interlock.dispatch.policies import Arriving, Stamp


class LargestFirst:
    """By priority; among equals the task with the most bytes to do first, so that no long one is left for the end."""

    strategy = None  # how pools are chosen: as the configuration says

    def stamp(self, task: Arriving) -> Stamp:
        """Say where a task stands: the higher `priority` comes first, then the smaller `rank`."""
        inputs = task.spec.inputs if isinstance(task.spec.inputs, dict) else {}
        return Stamp(task.spec.priority, -float(inputs.get("bytes", 0)))
