"""Attempts that were placed in the pools of a configuration: of tasks of graphs, each told what it is for, and of steps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.decisions import pools as choosing
from interlock.dispatch import briefing, results
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.attempts import Attempts
from interlock.dispatch.configuration import Scheduling
from interlock.dispatch.holder import Holder
from interlock.dispatch.workspaces import Workspaces, workspace_of
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Failed, FailureClass, Outcome, Snoozed, Target, WorkflowTarget
from interlock.model.task_graph import TaskSpec
from interlock.pool.launcher import Launch, Launcher
from interlock.pool.workspaces import Workspace
from interlock.store.ports import AttemptId, ClaimedTask

_SNOOZE_SECONDS: Final = 2.0


class PlacedAttempts(Attempts):
    """Those of a placer. `launchers`: by pool; one that starts later comes in later."""

    def __init__(
        self,
        holder: Holder,
        launchers: Mapping[str, Launcher],
        scheduling: Scheduling,
        workspaces: Workspaces,
    ) -> None:
        super().__init__(holder, lambda task: launchers[task.pool])
        self._scheduling = scheduling
        self._workspaces = workspaces
        self._pools: dict[AttemptId, str] = {}
        self._leased: dict[AttemptId, Workspace] = {}
        self._briefs: dict[AttemptId, str] = {}

    def in_pool(self, pool: str) -> int:
        """Say how many attempts of this process are in a pool."""
        return sum(each == pool for each in self._pools.values())

    def leave_runs(self) -> None:
        """Let go of the tasks that are workflows: their runs go on, and whoever watches next joins them."""
        for attempt in [attempt for attempt, pool in self._pools.items() if pool == choosing.WORKFLOWS]:
            self.leave(attempt)

    async def perform(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        self._pools[task.key] = task.pool
        try:
            if task.spec is None:
                return await super().perform(task, adopted)  # in the folder of its run, which counts the retries
            return await self._task(task, task.spec, adopted)
        finally:
            self._pools.pop(task.key, None)

    async def _task(self, task: ClaimedTask, spec: TaskSpec, adopted: Mapping[str, int] | None) -> Outcome:
        workspace: Workspace | None = None
        outcome: Outcome = Snoozed(0.0)
        try:
            if spec.workspace is not None:
                workspace = await self._workspaces.have(
                    self._called(task), task.folder, spec.workspace, adopting=adopted is not None
                )
                if workspace is None:  # RU-01: no runner without its place; the task goes back, free of charge
                    return Snoozed(_SNOOZE_SECONDS)
                self._leased[task.key] = workspace
            # The node of an adopted one may have died before it began the run.
            if adopted is None or isinstance(task.target, WorkflowTarget):
                told = None if workspace is None else workspace_of(workspace)
                self._briefs[task.key] = await briefing.briefing(self._store, task, self._terms(spec), told)
            folder = task.folder if workspace is None else str(workspace.path)
            before = await asyncio.to_thread(results.mark, spec, folder) if adopted is None else None
            outcome = await super().perform(task, adopted)
            outcome = await asyncio.to_thread(results.with_result, outcome, spec, folder, before)
        except errors.Invalid as error:  # no such commit, no name for a branch
            outcome = _refused(str(error))
        except (errors.Environment, errors.Conflict, OSError) as error:
            # Of this node: it is made again, free of charge.
            telemetry.emit("task.not_prepared", task=task.task, error=error)
            outcome = Snoozed(_SNOOZE_SECONDS)
        finally:
            self._briefs.pop(task.key, None)
            self._leased.pop(task.key, None)
            if workspace is not None:
                outcome = await asyncio.shield(self._let_go_of(workspace, task, outcome))
        return outcome

    async def _let_go_of(self, workspace: Workspace, task: ClaimedTask, outcome: Outcome) -> Outcome:
        """Return a worktree, or leave it to whoever adopts its attempt; gives the outcome with what is in it."""
        if await self.is_left_to_others(task):
            workspace.leave()
            return outcome
        return await self._workspaces.give_back(workspace, outcome)

    def launch_of(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
        launch = super().launch_of(task, target, adopting=adopting)
        environment = dict(self._scheduling.environment) | launch.environment
        if task.spec is None:
            return msgspec.structs.replace(
                launch,
                environment=environment | briefing.place(task),
                resources=task.resources,
                devices=task.devices,
                labels=briefing.labels(task),
            )
        spec = self._terms(task.spec)
        workspace = self._leased.get(task.key)
        brief = self._briefs.get(task.key)
        return msgspec.structs.replace(
            launch,
            folder=launch.folder if workspace is None else str(workspace.path),
            environment=environment | briefing.variables(task, spec, workspace),
            timeout_seconds=spec.timeout_seconds,
            resources=spec.resources,
            devices=task.devices,
            labels=briefing.labels(task),
            files={} if brief is None else {briefing.VARIABLE: brief},
        )

    def _terms(self, spec: TaskSpec) -> TaskSpec:
        """Give a task with what the configuration says where its author says nothing."""
        return AttemptTerms(timeout_seconds=self._scheduling.timeout_seconds).applied(spec)


def _refused(detail: str) -> Failed:
    error = Fault(type=fault.CONFIGURATION, status=400, title="No workspace", detail=detail)
    return Failed(failure=FailureClass.INVALID, fault=error)
