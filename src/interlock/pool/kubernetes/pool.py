"""The launcher: attempts as Jobs of one namespace of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from interlock import errors, telemetry
from interlock.pool.kubernetes import naming
from interlock.pool.kubernetes.api import JOBS, SECRETS, ApiError, KubernetesApi
from interlock.pool.kubernetes.attempt import Attempt, Surroundings, told
from interlock.pool.kubernetes.settings import KubernetesSettings
from interlock.pool.kubernetes.watching import Watching
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import Service

RESULT_BYTES: Final = 16 * 1024 * 1024  # of the output, for the result
_FOLLOWED: Final = 64  # logs at once: each is a connection, and the client has a hundred
_ASK_SECONDS: Final = 30.0
_PROBE_SECONDS: Final = 10.0


class KubernetesPool(Service):
    """Launches attempts as Jobs. `name`: the pool's, which its Jobs are found by; two installations of Interlock that share
    a namespace need pools of different names. `result_bytes`: how much output is kept for a result.

    `start` needs credentials but no server: while that is away, launches fail and attempts that run go on.
    """

    def __init__(self, name: str, settings: KubernetesSettings, *, result_bytes: int = RESULT_BYTES) -> None:
        api = KubernetesApi(settings.kubeconfig, settings.context, settings.namespace)
        self._around = Surroundings(
            pool=name,
            settings=settings,
            api=api,
            watching=Watching(api, naming.selector(name)),
            following=asyncio.Semaphore(_FOLLOWED),
            result_bytes=result_bytes,
        )
        self._attempts: set[Attempt] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Log in and begin to watch. Raises Environment without kr8s or any credentials."""
        self._loop = asyncio.get_running_loop()
        await self._around.api.open()
        await self._around.watching.start()

    async def stop(self) -> None:
        """End what runs; what was detached is left."""
        await asyncio.gather(*(attempt.cancel() for attempt in tuple(self._attempts)))
        await self._around.watching.stop()
        await self._around.api.close()

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Begin an attempt. Whatever stands in its way is its outcome: a full quota, a missing image, a wrong manifest."""
        return self._begin(Attempt(self._around, launch, on_output, adopting=False))

    def is_left(self, launch: Launch) -> bool:
        """Ask the API server, from a thread of its own, for the Job of an attempt; where it does not answer, assume one.

        On the loop's own thread, which cannot wait, what the watch knows is the answer.
        """
        name = naming.job(self._around.pool, launch.attempt)
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._loop is None or running is self._loop:
            return not self._around.watching.has_listed or self._around.watching.job(name) is not None
        asked = asyncio.run_coroutine_threadsafe(self._around.api.get(JOBS, name), self._loop)
        try:
            return asked.result(_ASK_SECONDS) is not None
        except (ApiError, TimeoutError) as error:
            asked.cancel()
            telemetry.emit("kubernetes.not_told", job=name, error=error)
            return True

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        """Go on with an attempt that another node began; one that nothing is left of is lost."""
        return self._begin(Attempt(self._around, launch, on_output, adopting=True))

    async def sweep(self, is_over: Callable[[str], Awaitable[bool]]) -> list[str]:
        """Remove what dispatchers that died have left, and give the attempts it belonged to.

        `is_over`: asked for each attempt that this pool does not run itself, by its id; one that is not over is left alone.
        Raises Environment when the API server does not answer.
        """
        api, removed = self._around.api, []
        try:
            mine = {attempt.name for attempt in self._attempts}
            for kind in (JOBS, SECRETS):
                for found in (await api.list(kind, naming.selector(self._around.pool)))[0]:
                    attempt, name = told(found), found["metadata"]["name"]
                    if name not in mine and attempt and await is_over(attempt):
                        await api.delete(kind, name)
                        removed.append(attempt)
        except ApiError as error:
            raise errors.Environment(f"pool {self._around.pool!r}: leftovers cannot be removed: {error}") from error
        return sorted(set(removed))

    async def probe(self, seconds: float = _PROBE_SECONDS) -> str | None:
        """Say whether attempts can be launched: None, or what is wrong, such as no answer within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                answer = await self._around.api.ready()
        except TimeoutError:
            return f"the API server of Kubernetes gave no answer in {seconds:g} s"
        except ApiError as error:
            return str(error)
        return answer or self._around.watching.trouble or None

    def _begin(self, attempt: Attempt) -> Attempt:
        self._attempts.add(attempt)
        attempt.task.add_done_callback(lambda _: self._attempts.discard(attempt))
        return attempt
