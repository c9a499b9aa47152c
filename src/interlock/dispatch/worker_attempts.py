"""Attempts that one worker took: each with its context, and in its own folder where the run's is not on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.coord.balancer import lessons
from interlock.decisions.strategies import Strategy
from interlock.dispatch import attempt_terms, briefing, context, results
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.attempts import Attempts
from interlock.dispatch.context import Contexts
from interlock.dispatch.holder import Holder
from interlock.dispatch.notebook import Notebook
from interlock.dispatch.post import Post
from interlock.model.task import Done, Failed, Outcome, Snoozed, Target
from interlock.model.task_graph import TaskSpec
from interlock.pool.launcher import Launch, Launcher
from interlock.store.ports import AttemptId, ClaimedTask

_SNOOZE_SECONDS: Final = 2.0


class WorkerAttempts(Attempts):
    """Those of one worker, which notes how each ended."""

    def __init__(self, holder: Holder, launcher: Launcher, post: Post, notebook: Notebook) -> None:
        super().__init__(holder, lambda task: launcher)
        self._post = post
        self._notebook = notebook
        self._contexts = Contexts(holder.store, holder.clock, post.pool)
        self._terms = AttemptTerms()
        self._briefs: dict[AttemptId, str] = {}
        self._voters: dict[AttemptId, Sequence[Strategy]] = {}

    def chosen(self, task: ClaimedTask, voters: Sequence[Strategy]) -> None:
        """Keep which strategies wanted a task here: what comes of it is told of them."""
        self._voters[task.key] = voters

    async def perform(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        began = self._clock.monotonic()
        before: results.Mark | None = None
        try:
            if task.spec is not None:
                self._terms = await attempt_terms.declared(self._store)
                if adopted is None:
                    before = await asyncio.to_thread(results.mark, task.spec, self._folder(task.folder))
            if adopted is None:
                await self._contexts.prepare(task, self._called(task))
                await self._brief(task)
            outcome = await super().perform(task, adopted)
            if task.spec is not None:
                folder = self._folder(task.folder)
                outcome = await asyncio.to_thread(results.with_result, outcome, task.spec, folder, before)
        except (
            errors.Environment,
            OSError,
        ) as error:  # of this worker, not of the attempt: it is made again, free of charge
            telemetry.emit("worker.no_context", worker=self._post.worker, task=task.task, error=error)
            return Snoozed(_SNOOZE_SECONDS)
        finally:
            if context.path(self._called(task)).exists():
                await asyncio.shield(self._forget_context(task))
            self._briefs.pop(task.key, None)
            voters = self._voters.pop(task.key, ())
        self._note(task, outcome, self._clock.monotonic() - began, voters)
        return outcome

    async def _forget_context(self, task: ClaimedTask) -> None:
        """Remove the file of an attempt, unless somebody adopts that, who still needs it."""
        if not await self.is_left_to_others(task):
            await self._contexts.forget(self._called(task))

    async def _brief(self, task: ClaimedTask) -> None:
        """Write down what a task of a graph is told; one of a run has its own variables."""
        if task.spec is not None:
            spec = self._terms.applied(task.spec)
            self._briefs[task.key] = await briefing.briefing(self._store, task, spec, None)

    def _note(self, task: ClaimedTask, outcome: Outcome, seconds: float, voters: Sequence[Strategy]) -> None:
        if isinstance(outcome, Done | Failed):
            succeeded = isinstance(outcome, Done)
            self._notebook.ended(succeeded=succeeded, seconds=seconds, lessons=lessons(voters, succeeded=succeeded))
        kind = type(outcome).__name__.lower()
        about = {"worker": self._post.worker, "task": task.task, "run": task.run_id, "outcome": kind}
        telemetry.emit("worker.ended", **about, seconds=round(seconds, 3))
        state = {"worker": self._post.worker, "outcome": kind, "attempt": task.attempt, "seconds": round(seconds, 3)}
        self._notebook.stands(task.namespace or context.NAMESPACE, task.task, state)

    def launch_of(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
        launch = super().launch_of(task, target, adopting=adopting)
        more = {"INTERLOCK_WORKER": self._post.worker, "INTERLOCK_POOL": self._post.pool}
        file = context.path(self._called(task))
        if file.exists():
            more[context.VARIABLE] = str(file)
        folder = self._folder(launch.folder)
        launch = msgspec.structs.replace(launch, folder=folder, environment=launch.environment | more)
        return launch if task.spec is None else self._of_graph(launch, task, task.spec)

    def _folder(self, given: str) -> str:
        """Give where an attempt works: as whoever began it says, where that is on this machine."""
        return given if os.path.isdir(given) else self._post.folder

    def _of_graph(self, launch: Launch, task: ClaimedTask, spec: TaskSpec) -> Launch:
        """Add what the configuration and its author say of a task of a graph, as where a dispatcher launches it."""
        spec = self._terms.applied(spec)
        brief = self._briefs.get(task.key)
        return msgspec.structs.replace(
            launch,
            environment=self._terms.environment | launch.environment | briefing.variables(task, spec, None),
            timeout_seconds=spec.timeout_seconds,
            resources=spec.resources,
            labels=briefing.labels(task),
            files={} if brief is None else {briefing.VARIABLE: brief},
        )
