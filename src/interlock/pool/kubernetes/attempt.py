"""The life of one attempt: its Secret and its Job are made, watched, read and, when it is asked to end, removed.

The Secret comes first, since its variables are needed when the pod starts, and belongs to the Job as soon as there is one:
what removes the Job removes it too. Both are named after the attempt, so that a request whose answer was lost can be made
again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from interlock import telemetry
from interlock.model.task import Cancelled, ContainerTarget, FailureClass, Outcome, PythonTarget
from interlock.pool import reports
from interlock.pool.commands import Impossible
from interlock.pool.kubernetes import endings, manifest, naming, status
from interlock.pool.kubernetes.api import JOBS, PODS, SECRETS, ApiError, KubernetesApi, Object
from interlock.pool.kubernetes.output import Output
from interlock.pool.kubernetes.settings import KubernetesSettings
from interlock.pool.kubernetes.status import Ending
from interlock.pool.kubernetes.watching import Watching
from interlock.pool.launcher import Launch, OnOutput

_T = TypeVar("_T")

_LISTED_SECONDS: Final = 10.0
_PAUSES_SECONDS: Final = (0.2, 0.5, 1.0)  # between tries of a request that may be answered later
_MARGIN_SECONDS: Final = 10.0  # that what was asked to end may take beyond its grace
_OVERDUE_SECONDS: Final = 30.0  # beyond its grace, after which a pod that is to end was on a node that is gone
_UNSEEN_SECONDS: Final = 5.0  # after which a Job that the watch does not show is asked for
_LOOK_SECONDS: Final = 30.0  # the net under the watch
_FOLLOW_PAUSE_SECONDS: Final = 1.0
_JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""The label that a cluster gives the pods of a Job (Kubernetes 1.27 and newer)."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of a pool share. `following`: how many logs are followed at once; all are read at their end."""

    pool: str
    settings: KubernetesSettings
    api: KubernetesApi
    watching: Watching
    following: asyncio.Semaphore
    result_bytes: int


class Attempt:
    """An attempt as a Job."""

    def __init__(self, around: Surroundings, launch: Launch, on_output: OnOutput, *, adopting: bool) -> None:
        self.name = naming.job(around.pool, launch.attempt)
        self._around = around
        self._launch = launch
        self._on_output = on_output
        self._adopting = adopting
        self._woken = asyncio.Event()
        self._is_cancelled = False
        self._following: asyncio.Task[None] | None = None
        self._ending_since: float | None = None
        self.task = asyncio.create_task(self._perform(), name=f"attempt {launch.attempt}")

    async def outcome(self) -> Outcome:
        await asyncio.wait([self.task])
        return Cancelled() if self.task.cancelled() else self.task.result()

    async def cancel(self) -> None:
        if self.task.done():
            return
        self._is_cancelled = True
        self._woken.set()
        await asyncio.wait([self.task], timeout=self._patience_seconds + 2 * _MARGIN_SECONDS)
        await self._leave()

    async def forget(self) -> None:
        """Remove the Job and its Secret; if that fails, the cluster does it later. A container may ask to be kept."""
        target = self._launch.target
        if not isinstance(target, ContainerTarget) or target.cleanup == "always":
            await self.remove()

    async def detach(self) -> None:
        if self._launch.orphan_grace_seconds == 0:
            await self.cancel()
        else:
            await self._leave()

    async def _leave(self) -> None:
        """Look after it no more."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _perform(self) -> Outcome:
        watching = self._around.watching
        watching.listen(self.name, self._woken.set)
        try:
            made = await (self._found() if self._adopting else self._made())
            if not isinstance(made, str):
                return made
            output = Output(self._on_output, self._around.result_bytes, made)
            ending = await self._ended(output)
            if ending is None:
                await self._end()
                output.finish()
                return Cancelled()
            is_complete = await self._read_rest(output)
            if ending.failure in (FailureClass.LAUNCH, FailureClass.LOST, FailureClass.PREEMPTED):
                await self.remove()  # or it may begin yet, or once more
            outcome = endings.outcome(self._launch, ending, output, self._around.result_bytes, is_complete=is_complete)
            telemetry.emit("pool.ended", attempt=self._launch.attempt, outcome=type(outcome).__name__.lower())
            return outcome
        finally:
            watching.unlisten(self.name)
            if self._following is not None:
                self._following.cancel()
                await asyncio.wait([self._following])

    async def _made(self) -> Outcome | str:
        """Make Secret and Job, and give the mark of the outcome; or the outcome of an attempt that was not launched."""
        around = self._around
        if not await around.watching.is_listed(_LISTED_SECONDS):
            detail = around.watching.trouble or "the API server does not answer"
            return reports.failed(FailureClass.LAUNCH, "Not launched", f"pool {around.pool!r}: {detail}")
        mark = secrets.token_hex(16)
        try:
            made = manifest.manifests(self._launch, around.settings, around.pool, mark)
        except Impossible as error:
            return reports.failed(error.failure, "Not launched", str(error))
        try:
            if await self._create(SECRETS, made.secret) is None:
                mark = await self._mark()
            job = await self._create(JOBS, made.job)
            await self._hand_over(job)
        except ApiError as error:
            await self.remove()
            return endings.refused(around.pool, self.name, error)
        return mark if isinstance(self._launch.target, PythonTarget) else ""

    async def _found(self) -> Outcome | str:
        """Find what another node began; what is not there any more is lost."""
        try:
            await self._around.watching.is_listed(_LISTED_SECONDS)
            if await self._insist(lambda: self._around.api.get(JOBS, self.name)) is None:
                return endings.lost(f"nothing is left of its Job {self.name}")
            if not isinstance(self._launch.target, PythonTarget):
                return ""
            return await self._mark() or endings.lost(f"the Secret {self.name} is gone, by which its outcome is known")
        except ApiError as error:
            return endings.lost(f"the API server does not tell what is left of its Job {self.name}: {error}")

    async def _create(self, kind: str, wanted: Object) -> Object | None:
        """Make an object; None when an earlier request, whose answer was lost, made it."""
        try:
            return await self._insist(lambda: self._around.api.create(kind, wanted))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return None

    async def _hand_over(self, made: Object | None) -> None:
        """Let the Secret belong to the Job that was made, now or by an earlier request."""
        job = made or await self._insist(lambda: self._around.api.get(JOBS, self.name))
        if job is None:  # somebody was quick to delete it, which the watch tells
            return
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": job["metadata"]["uid"]}
        changes = {"metadata": {"ownerReferences": [owner]}}
        try:
            await self._insist(lambda: self._around.api.patch(SECRETS, self.name, changes))
        except ApiError as error:  # whoever forgets the attempt removes it by its name
            telemetry.emit("kubernetes.secret_not_owned", job=self.name, error=error)

    async def _mark(self) -> str:
        found = await self._insist(lambda: self._around.api.get(SECRETS, self.name))
        return "" if found is None else base64.b64decode(found["data"][manifest.MARK_KEY]).decode()

    async def _ended(self, output: Output) -> Ending | None:
        """Wait until it has ended; None when it is to be ended."""
        watching, began = self._around.watching, time.monotonic()  # or since when it was seen to wait
        has_started, was_seen = False, self._adopting
        while not self._is_cancelled:
            self._woken.clear()
            job = watching.job(self.name)
            pod, is_gone = watching.pod(self.name)
            was_seen = was_seen or job is not None
            if (found := status.ending(job, pod, pod_is_gone=is_gone)) is not None:
                if pod is not None or not await self._has_pod():
                    return found
                await self._next(has_started, 0.0)
                continue
            if watching.trouble:  # it may have started long ago
                began = time.monotonic()
            waited = time.monotonic() - began
            if pod is not None and status.has_started(pod):
                has_started = True
                self._follow(pod, output)
            elif not has_started and (waited > self._around.settings.pending_seconds or status.is_hopeless(pod)):
                return Ending(failure=FailureClass.LAUNCH, title="Not launched", detail=status.obstacle(pod))
            if job is None and pod is None and (was_seen or waited > _UNSEEN_SECONDS) and await self._is_missing():
                return endings.deleted(self.name)
            if pod is not None and self._is_overdue(pod):
                return endings.overdue(pod)
            await self._next(has_started, waited)
        return None

    async def _next(self, has_started: bool, waited: float) -> None:
        """Wait for a change, or until something is to be looked at without one."""
        seconds = _LOOK_SECONDS
        if not has_started:
            left = self._around.settings.pending_seconds - waited
            seconds = min(seconds, max(left, 0.0) + 0.01, _UNSEEN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _has_pod(self) -> bool:
        """Ask whether a pod is left: Jobs and pods are watched apart, so the end of a Job may be heard before its pod is."""
        try:
            return bool((await self._around.api.list(PODS, f"{_JOB_NAME}={self.name}"))[0])
        except ApiError:  # the next look asks again
            return True

    async def _is_missing(self) -> bool:
        """Ask whether the Job is gone: what is not in the watch may be on its way."""
        try:
            return await self._around.api.get(JOBS, self.name) is None
        except ApiError:  # the next look asks again
            return False

    def _is_overdue(self, pod: Object) -> bool:
        """Say whether a pod that is to end did not in its time: its node is gone, and nobody can tell of it."""
        if not pod["metadata"].get("deletionTimestamp"):
            return False
        self._ending_since = self._ending_since or time.monotonic()
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        return time.monotonic() - self._ending_since > grace + _OVERDUE_SECONDS

    def _follow(self, pod: Object, output: Output) -> None:
        if self._following is None:
            self._following = asyncio.create_task(self._read_on(pod, output), name=f"log {self.name}")

    async def _read_on(self, pod: Object, output: Output) -> None:
        """Pass the log on while it is written, as well as that goes: what is missed is read at the end."""
        async with self._around.following:
            while True:
                with contextlib.suppress(ApiError):
                    await self._read(pod, output, follow=True)
                await asyncio.sleep(_FOLLOW_PAUSE_SECONDS)  # of a pod that ended it is cancelled here

    async def _read_rest(self, output: Output) -> bool:
        """Read the log in full; say whether that was possible."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        pod, _ = self._around.watching.pod(self.name)
        if pod is None or not status.has_started(pod):
            return False
        try:
            await self._insist(lambda: self._read(pod, output, follow=False))
        except ApiError as error:
            telemetry.emit("kubernetes.log_not_read", job=self.name, error=error)
            return False
        return True

    async def _read(self, pod: Object, output: Output, *, follow: bool) -> None:
        pieces = self._around.api.log(pod["metadata"]["name"], manifest.CONTAINER, follow=follow)
        output.begin()
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                output.take(piece)

    @property
    def _patience_seconds(self) -> float:
        return self._around.settings.grace_seconds + _MARGIN_SECONDS

    async def _end(self) -> None:
        """Delete the Job and wait until its pods are gone, for as long as their grace and a little more."""
        watching = self._around.watching
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await self._delete_job()
                while watching.job(self.name) is not None or watching.has_pods(self.name):
                    self._woken.clear()
                    await self._woken.wait()
                await self.remove()
                return
        telemetry.emit("kubernetes.not_gone", job=self.name)

    async def _delete_job(self) -> None:
        while True:
            try:
                await self._around.api.delete(JOBS, self.name, propagation="Foreground")
                return
            except ApiError as error:
                telemetry.emit("kubernetes.not_deleted", job=self.name, error=error)
                await asyncio.sleep(_PAUSES_SECONDS[-1])

    async def remove(self) -> None:
        """Remove Job and Secret, if that can be done now."""
        try:
            await self._insist(lambda: self._around.api.delete(JOBS, self.name))
            await self._insist(lambda: self._around.api.delete(SECRETS, self.name))
        except ApiError as error:
            telemetry.emit("kubernetes.not_deleted", job=self.name, error=error)

    async def _insist(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Make a request again that may be answered later."""
        for pause in _PAUSES_SECONDS:
            try:
                return await request()
            except ApiError as error:
                if not error.may_pass:
                    raise
            await asyncio.sleep(pause)
        return await request()


def told(found: dict[str, Any]) -> str:
    """Give the attempt that an object belongs to, by its full name; "" when it does not say."""
    return str((found["metadata"].get("annotations") or {}).get(manifest.TOLD, ""))
