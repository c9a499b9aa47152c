"""The state of all Jobs and pods of a pool, kept by one watch of each, however many attempts there are.

    list --> watch from the list's version --(it ends, the connection breaks)--> watch from the last version seen
      ^                                                                              |
      +----------------------- the server has forgotten that version (410) ----------+

What a watch has missed the next list shows: an object that is not in it any more was deleted meanwhile. A dead connection is
noticed within the silence that the API module allows a watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from interlock import telemetry
from interlock.pool.kubernetes import status
from interlock.pool.kubernetes.api import JOBS, OPENED, PODS, ApiError, KubernetesApi, Object
from interlock.service import Service

_PAUSE_SECONDS: Final = (0.1, 10.0)  # between tries while the server is away, the first and the longest
_QUICK_SECONDS: Final = 1.0  # a watch that ends sooner is a server in trouble: it is not asked again at once


class Watching(Service):
    """What is known of the Jobs and pods of a pool."""

    def __init__(self, api: KubernetesApi, selector: str) -> None:
        self._api = api
        self._selector = selector
        self._found: dict[str, dict[str, Object]] = {JOBS: {}, PODS: {}}
        self._gone: dict[str, Object] = {}
        self._wakes: dict[str, Callable[[], None]] = {}
        self._listed = {JOBS: asyncio.Event(), PODS: asyncio.Event()}
        self._tasks: list[asyncio.Task[None]] = []
        self._troubles = {JOBS: "", PODS: ""}

    async def start(self) -> None:
        """Begin; it does not wait for the server, which may be away."""
        self._tasks = [asyncio.create_task(self._keep(kind), name=f"watch-{kind}") for kind in (JOBS, PODS)]

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def is_listed(self, seconds: float) -> bool:
        """Wait until everything was seen once, at most so long; say whether it was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for event in self._listed.values():
                    await event.wait()
        return self.has_listed

    @property
    def trouble(self) -> str:
        """Why what is known may be old; "" while it is not."""
        return next(filter(None, self._troubles.values()), "")

    @property
    def has_listed(self) -> bool:
        return all(event.is_set() for event in self._listed.values())

    def listen(self, name: str, wake: Callable[[], None]) -> None:
        """Call `wake` whenever something of the Job of this name changes."""
        self._wakes[name] = wake

    def unlisten(self, name: str) -> None:
        self._wakes.pop(name, None)
        self._gone.pop(name, None)

    def job(self, name: str) -> Object | None:
        return self._found[JOBS].get(name)

    def pod(self, name: str) -> tuple[Object | None, bool]:
        """Give the newest pod of a Job, and whether it is gone: then it is what was last seen of it."""
        pods = [pod for pod in self._found[PODS].values() if _job_of(pod) == name]
        gone = self._gone.get(name)
        if gone is not None:  # one that came after it is none of ours: an attempt is one pod
            return gone, True
        return status.latest(pods), False

    def has_pods(self, name: str) -> bool:
        return any(_job_of(pod) == name for pod in self._found[PODS].values())

    async def _keep(self, kind: str) -> None:
        version, pause = "", _PAUSE_SECONDS[0]
        while True:
            started = time.monotonic()
            try:
                if not version:
                    found, version = await self._api.list(kind, self._selector)
                    self._replace(kind, found)
                async with contextlib.aclosing(self._api.watch(kind, self._selector, version)) as events:
                    async for change, found_object in events:
                        if change == OPENED:
                            self._troubles[kind], pause = "", _PAUSE_SECONDS[0]
                            continue
                        version = found_object["metadata"]["resourceVersion"]
                        self._apply(kind, change, found_object)
            except ApiError as error:
                if error.is_gone:
                    telemetry.emit("kubernetes.relist", kind=kind)
                    version = ""
                else:
                    self._troubles[kind] = f"{kind} cannot be watched: {error}"
                    telemetry.emit("kubernetes.watch_failed", kind=kind, error=error)
            except Exception as error:  # noqa: BLE001 (an answer of no sense; everything is looked at again)
                self._troubles[kind], version = f"{kind} cannot be watched: {error!r}", ""
                telemetry.emit("kubernetes.watch_failed", kind=kind, error=error)
            if time.monotonic() - started < _QUICK_SECONDS:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSE_SECONDS[1])

    def _replace(self, kind: str, found: list[Object]) -> None:
        before, self._found[kind] = self._found[kind], {item["metadata"]["name"]: item for item in found}
        self._listed[kind].set()
        for name, item in before.items():
            if name not in self._found[kind]:
                self._removed(kind, item)
        for item in found:
            self._tell(kind, item)

    def _apply(self, kind: str, change: str, item: Object) -> None:
        if change == "BOOKMARK":
            return
        if change == "DELETED":
            self._found[kind].pop(item["metadata"]["name"], None)
            self._removed(kind, item)
        else:
            self._found[kind][item["metadata"]["name"]] = item
            self._tell(kind, item)

    def _removed(self, kind: str, item: Object) -> None:
        if kind == PODS and (job := _job_of(item)) in self._wakes:
            self._gone.setdefault(job, item)
        self._tell(kind, item)

    def _tell(self, kind: str, item: Object) -> None:
        name = item["metadata"]["name"] if kind == JOBS else _job_of(item)
        if (wake := self._wakes.get(name)) is not None:
            wake()


def _job_of(pod: Object) -> str:
    """Give the name of the Job that a pod belongs to; "" for a pod of nobody."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["name"]) for owner in owners if owner.get("kind") == "Job"), "")
