"""One attempt as one container.

    plan --> image --> create --> files --> attach --> start --> heard to its end --> inspect --> outcome
                                  cancel, timeout: its stop signal, grace, SIGKILL

While it runs it keeps one connection, which its output comes by; none of the others lasts. Where that connection ends before
the container does, because the engine was away or the program closed its output, the log of the container is heard from
the beginning, and what was passed on before is not again. On Podman it always is: there a connection may end before all was
said, as if it had been. Every request can be repeated: the name makes a second creation find the first, and starting what
runs does nothing. So a lost answer is asked for again for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from interlock import telemetry
from interlock.model.task import Cancelled, FailureClass, Outcome
from interlock.pool import reports
from interlock.pool.commands import Impossible
from interlock.pool.docker import ending, plan
from interlock.pool.docker.engine import Attached, Engine, EngineError, Unreachable
from interlock.pool.docker.patience import PATIENCE_SECONDS, patiently, unless
from interlock.pool.docker.plan import Plan
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch, OnOutput
from interlock.pool.output import Output

_T = TypeVar("_T")

_LOG_PATIENCE_SECONDS: Final = 150.0  # for all that it has printed, of which a piece may take a minute
_CREATE_PATIENCE_SECONDS: Final = 2.0  # one that is not there at all is for the pool's health check
_LOOK_SECONDS: Final = (1.0, 15.0)  # for a container to end whose output has
_CANCEL_SECONDS: Final = 15.0
"""Past the grace: an engine that does not end a container in so long is not waited for."""
_UNREAD_BYTES: Final = 32 * 1024
"""Of standard input that a pipe may not hold: while a program does not read it, Docker does not tell that it has ended."""
_UNREAD_SECONDS: Final = (0.5, 5.0)  # between looks at such a one, the first and the longest
_LOOKS_FOR_MEMORY: Final = 10  # whether that was what ended a container
_MEMORY_SECONDS: Final = 0.1  # between two of them
_EXIT_KILLED: Final = 137
_TERM: Final = "SIGTERM"
_KILL: Final = "SIGKILL"


class _Stopped(Exception):
    """It was asked to end before it began."""


class Home(Protocol):
    """What an attempt needs of its pool."""

    engine: Engine
    settings: DockerSettings
    result_bytes: int

    async def plan(self, launch: Launch) -> Plan: ...
    async def pulled(self, image: str) -> None: ...
    def is_ours(self, launch: Launch, labels: dict[str, str]) -> bool: ...
    async def remove(self, container: str) -> None: ...
    def remove_later(self, container: str, seconds: float = 0.0) -> None: ...


class Attempt:
    """An attempt in a pool of containers."""

    def __init__(self, home: Home, launch: Launch, on_output: OnOutput, *, adopting: bool = False) -> None:
        self.launch = launch
        self._home = home
        self._engine = home.engine
        self._output = Output(on_output, home.result_bytes)
        self._plan: Plan | None = None
        self._container = ""
        """Its id, once there is one."""
        self._is_started = adopting
        self._hearing: asyncio.Task[bool] | None = None
        self._times_away = 0
        """How often the engine gave no answer since it may have started."""
        self._asked_to = ""
        self._asked = asyncio.Event()
        self._over = asyncio.Event()
        work = self._adopted() if adopting else self._launched()
        self.task = asyncio.create_task(self._to_its_end(work), name=f"attempt {launch.attempt}")

    async def outcome(self) -> Outcome:
        await asyncio.wait([self.task])
        return Cancelled() if self.task.cancelled() else self.task.result()

    async def cancel(self) -> None:
        if self.task.done():
            return
        self._ask("cancel")
        await asyncio.wait([self.task], timeout=self._home.settings.stop_seconds + _CANCEL_SECONDS)
        if not self.task.done():
            telemetry.emit("pool.not_stopped", attempt=self.launch.attempt, container=self._container)
            self.task.cancel()
            await asyncio.wait([self.task])

    async def forget(self) -> None:
        keep = plan.FOR_EVER if self._plan is None or not self._container else self._plan.keep
        if not keep:
            await self._home.remove(self._container)
        elif keep != plan.FOR_EVER:
            self._home.remove_later(self._container, float(keep))

    async def detach(self) -> None:
        if self.launch.orphan_grace_seconds == 0 or not self._is_started:
            await self.cancel()
        elif not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])

    async def _to_its_end(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            outcome = await work
        except Impossible as error:
            outcome = reports.failed(error.failure, "Not launched", str(error))
        except _Stopped:
            outcome = Cancelled()
        kept = self._plan.keep if self._plan else ""
        if self._container and not kept and (isinstance(outcome, Cancelled) or not self.launch.orphan_grace_seconds):
            self._home.remove_later(self._container)
        telemetry.emit("pool.ended", attempt=self.launch.attempt, outcome=type(outcome).__name__.lower())
        return outcome

    async def _launched(self) -> Outcome:
        try:
            made = self._plan = await self._patiently(lambda: self._home.plan(self.launch), _CREATE_PATIENCE_SECONDS)
        except EngineError as error:
            return reports.failed(FailureClass.LAUNCH, "Not launched", str(error))
        folder = self.launch.folder
        if self._home.settings.mount_workspace and self._engine.is_local and not os.path.isdir(folder):
            return ending.no_folder(folder)  # Podman would make it
        try:
            stream = await self._begun(made)
        except Unreachable as error:
            if self._is_started:
                return ending.lost(f"the engine stopped answering while it was to start: {error}")
            return reports.failed(FailureClass.LAUNCH, "Not launched", str(error))
        except EngineError as error:
            await self._removed()
            return ending.not_launched(made, str(error), error.status)
        except _Stopped:
            await self._removed()
            raise
        return await self._seen_through(made, stream)

    async def _adopted(self) -> Outcome:
        """Go on with a container that another node made."""
        try:
            made = self._plan = await self._patiently(lambda: self._home.plan(self.launch))
            found = await self._patiently(lambda: self._engine.inspect(made.name))
        except EngineError as error:
            return ending.lost(f"its container cannot be found: {error}")
        if not self._home.is_ours(self.launch, found["Config"]["Labels"] or {}):
            return ending.lost(f"the container {made.name} is of another attempt")
        self._container = found["Id"]
        if found["State"]["Status"] in ("created", "configured"):  # its node died over it: nothing was done
            await self._removed()
            return ending.lost(f"its container {made.name} was made, and never started")
        return await self._seen_through(made, None, seconds_run=ending.seconds_run(found["State"], time.time()))

    async def _begun(self, made: Plan) -> Attached | None:
        """Make and start the container. Gives the connection to its streams; None when it runs already."""
        if made.pull_policy == "always":
            await self._unless_asked(self._home.pulled(made.image))
        if not await self._made(made):
            return None
        if made.files:
            await self._patiently(lambda: self._engine.put(self._container, plan.FILES, made.files))
        stream = await self._engine.attach(self._container, stdin=made.stdin is not None)
        try:
            if self._asked.is_set():
                raise _Stopped
            self._is_started = True  # or may be, from here on
            await self._patiently(lambda: self._engine.start(self._container))
        except BaseException:
            await stream.close()
            raise
        return stream

    async def _made(self, made: Plan) -> bool:
        """Make the container, or find the one that an answer was lost of; say whether it has yet to start."""
        body = made.body
        if made.appends:
            body = body | {"Cmd": await self._own_command(made, body["Cmd"])}
        try:
            container = await self._patiently(lambda: self._engine.create(made.name, body), _CREATE_PATIENCE_SECONDS)
        except EngineError as error:
            if not error.is_missing or made.pull_policy == "never":
                raise
            await self._unless_asked(self._home.pulled(made.image))
            container = await self._patiently(lambda: self._engine.create(made.name, body), _CREATE_PATIENCE_SECONDS)
        if container is not None:
            self._container = container
            return True
        found = await self._patiently(lambda: self._engine.inspect(made.name))
        if not self._home.is_ours(self.launch, found["Config"]["Labels"] or {}):
            raise EngineError(0, f"the name {made.name} belongs to the container {found['Id'][:12]} of somebody else")
        self._container = found["Id"]
        self._is_started = found["State"]["Status"] not in ("created", "configured")
        return not self._is_started

    async def _own_command(self, made: Plan, arguments: list[str]) -> list[str]:
        """Give what follows the entrypoint of an image: its own command stands before the arguments where it has none."""
        try:
            image = await self._engine.image(made.image)
        except EngineError as error:
            if not error.is_missing or made.pull_policy == "never":
                raise
            await self._unless_asked(self._home.pulled(made.image))
            image = await self._engine.image(made.image)
        own = image.get("Config") or {}
        return arguments if own.get("Entrypoint") else [*(own.get("Cmd") or []), *arguments]

    async def _seen_through(self, made: Plan, stream: Attached | None, seconds_run: float = 0.0) -> Outcome:
        """Hear a container that runs to its end, and end it in time."""
        helpers = [asyncio.create_task(self._ended_in_time(seconds_run), name="in time")]
        if stream is not None and made.stdin is not None:
            helpers.append(asyncio.create_task(stream.feed(made.stdin), name="input"))
            if len(made.stdin) > _UNREAD_BYTES:
                helpers.append(asyncio.create_task(self._cut_off(), name="unread"))
        try:
            state = await self._heard(stream)
            result = None
            if made.has_result and not self._asked_to:
                path = f"{plan.FILES}/{plan.RESULT}"
                result = await self._patiently(lambda: self._engine.get(self._container, path, self._home.result_bytes))
            end = ending.End(
                state=state["State"],
                asked=self._asked_to,
                ran_out=await self._ran_out(state),
                torn=self._times_away > 0,
                result=result,
            )
        except Unreachable as error:
            return ending.lost(f"the engine went away under the container {made.name}: {error}")
        except EngineError as error:
            what = "is gone; somebody removed it" if error.is_missing else "cannot be told of"
            return ending.lost(f"the container {made.name} {what}: {error}")
        finally:
            self._over.set()
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)
            if stream is not None:
                await stream.close()
        return ending.outcome(self.launch, made, end, self._output.finish(), self._home.result_bytes)

    async def _heard(self, stream: Attached | None) -> dict[str, Any]:
        """Pass its output on until it has ended; give what the engine tells of it then."""
        look_seconds, longest = _LOOK_SECONDS
        is_whole = stream is not None and await self._taken(stream) and not await self._engine.is_podman()
        while True:
            times_away = self._times_away
            if not await self._has_ended(look_seconds):
                is_taken, is_whole = await self._followed(), False
                look_seconds = min(look_seconds * 2, longest) if is_taken else look_seconds
            elif is_whole and self._times_away == times_away:
                return await self._at_its_end()
            else:
                await self._patiently(self._read, _LOG_PATIENCE_SECONDS)
                is_whole = True

    async def _read(self) -> None:
        """Pass on the log of a container that has ended, but for what was passed on before."""
        self._output = self._output.again()
        async for name, data in self._engine.heard(self._container, follow=False):
            self._output.take(name, data)

    async def _followed(self) -> bool:
        """Pass on what comes into the log while the container runs; False when the engine went away meanwhile.

        Podman follows the log of a container for ever that ended as it began to. So who follows it has not heard all.
        """
        self._output = self._output.again()
        taking = await unless(self._end(), self._take(self._engine.heard(self._container, follow=True)))
        return taking.cancelled() or taking.result()

    async def _has_ended(self, seconds: float) -> bool:
        return await self._patiently(lambda: self._engine.ended(self._container, seconds))

    async def _end(self) -> None:
        with contextlib.suppress(EngineError):  # who asks next will notice
            while not await self._has_ended(_LOOK_SECONDS[1]):
                continue

    async def _at_its_end(self) -> dict[str, Any]:
        """Give what the engine tells of a container that has ended.

        That its memory ran out Docker hears by another way than that it ended, and maybe a moment later.
        """
        looks = _LOOKS_FOR_MEMORY
        while True:
            found = await self._patiently(lambda: self._engine.inspect(self._container))
            state, is_limited = found["State"], bool((found.get("HostConfig") or {}).get("Memory"))
            may_come = is_limited and state.get("ExitCode") == _EXIT_KILLED and not state.get("OOMKilled")
            if not looks or not may_come or self._asked.is_set() or await self._engine.is_podman():
                return found
            looks -= 1
            await asyncio.sleep(_MEMORY_SECONDS)

    async def _taken(self, stream: Attached) -> bool:
        """Pass on what comes by the connection; False when it was cut off, and may not be all."""
        self._hearing = asyncio.create_task(self._take(stream.heard()), name="hearing")
        try:
            await asyncio.wait([self._hearing])
        finally:
            self._hearing.cancel()
        return not self._hearing.cancelled() and self._hearing.result()

    async def _cut_off(self) -> None:
        """End the connection to a container that has ended without reading its input; the log has what it said."""
        wait_seconds, longest = _UNREAD_SECONDS
        with contextlib.suppress(EngineError):  # who hears it will notice
            while True:
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, longest)
                found = await self._patiently(lambda: self._engine.inspect(self._container))
                if not found["State"]["Running"] and self._hearing is not None:
                    self._hearing.cancel()
                    return

    async def _take(self, pieces: AsyncIterator[tuple[str, bytes]]) -> bool:
        """Pass output on; False when it may not be all of it."""
        try:
            async for name, data in pieces:
                self._output.take(name, data)
        except Unreachable:
            return False
        return True

    async def _ran_out(self, found: dict[str, Any]) -> bool:
        """Say whether its memory did: Docker tells; Podman before 5 does not, and its group is gone with the container."""
        if found["State"].get("OOMKilled"):
            return True
        return bool((found.get("HostConfig") or {}).get("Memory")) and await self._engine.is_podman()

    async def _ended_in_time(self, seconds_run: float) -> None:
        """End the container when its time is over, or when somebody asks for it."""
        left = None if self.launch.timeout_seconds is None else max(0.0, self.launch.timeout_seconds - seconds_run)
        try:
            await asyncio.wait_for(self._asked.wait(), left)
        except TimeoutError:
            self._ask("timeout")
        with contextlib.suppress(EngineError):  # who hears it will notice
            found = await self._patiently(lambda: self._engine.inspect(self._container))
            if found["State"].get("Paused"):
                await self._engine.unpause(self._container)
            signal = found["Config"].get("StopSignal") or _TERM
            await self._patiently(lambda: self._engine.kill(self._container, str(signal)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._home.settings.stop_seconds)
            await self._patiently(lambda: self._engine.kill(self._container, _KILL))

    async def _unless_asked(self, work: Coroutine[Any, Any, None]) -> None:
        """Await something that takes long; raises _Stopped when the attempt is asked to end meanwhile."""
        task = await unless(self._asked.wait(), work)
        if task.cancelled():
            raise _Stopped
        task.result()

    async def _patiently(self, ask: Callable[[], Awaitable[_T]], seconds: float = PATIENCE_SECONDS) -> _T:
        """Ask the engine, again and again while it gives no answer, for so long at most."""
        return await patiently(ask, seconds, self._note_away)

    def _note_away(self, error: Unreachable) -> None:
        if self._is_started:
            if self._times_away == 0:
                telemetry.emit("pool.engine_away", attempt=self.launch.attempt, error=error)
            self._times_away += 1

    async def _removed(self) -> None:
        """Remove what was made and will not run."""
        container, self._container = self._container, ""
        if container:
            await self._home.remove(container)

    def _ask(self, to: str) -> None:
        self._asked_to = self._asked_to or to
        self._asked.set()
