"""The launcher of containers: what runs, what was left behind, and whether the engine is well."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from interlock import errors, telemetry
from interlock.model.task import Resources
from interlock.pool.docker import ending, plan
from interlock.pool.docker.attempt import Attempt
from interlock.pool.docker.engine import Engine, EngineError
from interlock.pool.docker.plan import Plan
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

RESULT_BYTES: Final = 16 * 1024 * 1024  # of one stream, for the result; the log has its own limit
_PROBE_SECONDS: Final = 10.0
_SIZE_SECONDS: Final = 3.0  # a node that starts waits for it
_MEGABYTE: Final = 1024**2
_LOOK_SECONDS: Final = 30.0  # for what is asked from another thread


class DockerPool(Service):
    """Launches attempts as containers of one engine.

    `store`: what tells the containers of this store from those of others on the same engine. `result_bytes`: how much of
    each stream is kept for the result. An attempt with an `orphan_grace_seconds` above 0 leaves its container to whoever
    adopts it, for as long as it takes, and until `forget`; that of another is removed at its end.
    """

    def __init__(self, settings: DockerSettings, *, store: str, result_bytes: int = RESULT_BYTES) -> None:
        self.settings = settings
        self.store = store
        self.result_bytes = result_bytes
        self.engine = Engine(settings.address)
        self._attempts: set[Attempt] = set()
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._delayed: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Take note of the loop. An engine that is away is no reason not to start: `probe` tells of it."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """End what runs, remove what is over, and close every connection. What is kept for a while is left to `sweep`."""
        await asyncio.gather(*(attempt.cancel() for attempt in tuple(self._attempts)))
        given_up = [*self._pulls.values(), *self._delayed]
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, *self._removals.values(), return_exceptions=True)
        await self.engine.close()

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Begin an attempt. Whatever stands in its way is its outcome: no engine, no image, no folder."""
        return self._begin(Attempt(self, launch, on_output))

    def is_left(self, launch: Launch) -> bool:
        """Say whether there is a container of the attempt that has begun. To be called from another thread than the loop's.

        Raises Environment when the engine does not answer: then nobody knows.
        """
        loop = self._loop
        if loop is None:
            raise errors.Environment("the pool has not started")
        try:
            return asyncio.run_coroutine_threadsafe(self._is_left(launch), loop).result(_LOOK_SECONDS * 2)
        except concurrent.futures.TimeoutError:
            raise errors.Environment("the loop of this pool does not turn") from None

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        """Go on with an attempt that another node began on this engine; one that nothing is left of is lost."""
        return self._begin(Attempt(self, launch, on_output, adopting=True))

    async def probe(self, seconds: float = _PROBE_SECONDS) -> str | None:
        """Give what is wrong with the engine, for a health check; None when it answers within `seconds`."""
        try:
            await self.engine.ping(seconds)
        except EngineError as error:
            return f"the engine at {self.settings.address} is not well: {error}"
        return None

    async def size(self) -> Resources | None:
        """Give the cores and the megabytes of the engine's machine; None when it does not tell soon. Needs no start."""
        try:
            found = await self.engine.info(_SIZE_SECONDS)
            cores, memory = float(found["NCPU"]), float(int(found["MemTotal"]) // _MEGABYTE)
        except (EngineError, LookupError, TypeError, ValueError):  # the latter of what answers and is no engine
            return None
        finally:
            if self._loop is None:  # nobody would close what this opened, if the pool never started
                await self.engine.close()
        return Resources(cpu=cores, memory=memory) if cores and memory else None

    async def left(self) -> list[Mapping[str, str]]:
        """Give the labels of every container of this store on the engine, running or ended.

        Raises Environment when the engine does not answer.
        """
        return [found["Labels"] or {} for found in await self._labelled()]

    async def sweep(self, is_over: Callable[[Mapping[str, str]], bool]) -> int:
        """Remove the containers of this store whose attempt is over, running or not, and give how many.

        `is_over` is asked with the labels of a container. Those of attempts that this pool runs are left alone, and those
        that their author wants kept, for as long as that. Raises Environment when the engine does not answer.
        """
        removed = 0
        running = {attempt.launch.attempt for attempt in self._attempts}
        for found in await self._labelled():
            labels = found["Labels"] or {}
            if labels.get(plan.ATTEMPT_LABEL) in running or not is_over(labels):
                continue
            try:
                if not await self._is_kept(found["Id"], labels):
                    await self.engine.remove(found["Id"])
                    removed += 1
            except EngineError as error:  # the others are looked at all the same, and this one next time
                telemetry.emit("pool.not_removed", container=found["Id"], error=error)
        return removed

    async def plan(self, launch: Launch) -> Plan:
        """Give the container of an attempt."""
        return plan.plan(self.settings, launch, self.store, is_podman=await self.engine.is_podman())

    def is_ours(self, launch: Launch, labels: Mapping[str, str]) -> bool:
        """Say whether a container with such labels is that of an attempt."""
        return (labels.get(plan.ATTEMPT_LABEL), labels.get(plan.STORE_LABEL)) == (launch.attempt, self.store)

    async def pulled(self, image: str) -> None:
        """Fetch an image; attempts that need the same one wait for one fetching."""
        task = self._pulls.get(image)
        if task is None:
            task = self._pulls[image] = asyncio.create_task(
                self.engine.pull(image, self.settings.pull_seconds), name=f"pull {image}"
            )
            task.add_done_callback(lambda _: self._pulls.pop(image, None))
        await asyncio.shield(task)

    async def remove(self, container: str) -> None:
        """Remove a container; one that cannot be is left to `sweep`."""
        await asyncio.wait([self._removal(container)])

    def remove_later(self, container: str, seconds: float = 0.0) -> None:
        """Remove a container in the background, `seconds` from now; a pool that stops before leaves it to `sweep`."""
        if seconds == 0.0:
            self._removal(container)
        else:
            task = asyncio.create_task(self._remove_after(container, seconds), name=f"keep {container}")
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)

    def _removal(self, container: str) -> asyncio.Task[None]:
        task = self._removals.get(container)
        if task is None:
            task = self._removals[container] = asyncio.create_task(self._remove(container), name=f"remove {container}")
            task.add_done_callback(lambda _: self._removals.pop(container, None))
        return task

    async def _remove_after(self, container: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._remove(container)

    async def _remove(self, container: str) -> None:
        try:
            await self.engine.remove(container)
        except EngineError as error:
            telemetry.emit("pool.not_removed", container=container, error=error)

    async def _is_left(self, launch: Launch) -> bool:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                found = await self.engine.inspect(plan.name(launch, self.store))
        except TimeoutError:
            raise errors.Environment(f"the engine at {self.settings.address} does not answer") from None
        except EngineError as error:
            if error.is_missing:
                return False
            raise errors.Environment(f"the engine at {self.settings.address}: {error}") from error
        is_begun = found["State"]["Status"] not in ("created", "configured")
        return is_begun and self.is_ours(launch, found["Config"]["Labels"] or {})

    async def _is_kept(self, container: str, labels: Mapping[str, str]) -> bool:
        """Say whether the author of a container wants it kept still."""
        match labels.get(plan.KEEP_LABEL, ""):
            case "":
                return False
            case plan.FOR_EVER:
                return True
            case seconds:
                over = ending.seconds_over((await self.engine.inspect(container))["State"], time.time())
                return over is not None and over < float(seconds)

    async def _labelled(self) -> list[dict[str, Any]]:
        try:
            return await self.engine.labelled(f"{plan.STORE_LABEL}={self.store}")
        except EngineError as error:
            raise errors.Environment(f"the engine at {self.settings.address}: {error}") from error

    def _begin(self, attempt: Attempt) -> Attempt:
        self._attempts.add(attempt)
        attempt.task.add_done_callback(lambda _: self._attempts.discard(attempt))
        return attempt
