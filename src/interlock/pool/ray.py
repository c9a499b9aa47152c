"""Attempts as tasks of a Ray cluster: one task each, placed by Ray, told piece by piece.

    submitted --(Ray places it)--> started --(pieces)--> outcome
        \\--(not placed in time)--> launch          \\--(its worker or node dies)--> lost

A task is the better fit than an actor: Ray places it by what it asks for, kills it for want of memory under a name of its
own, and ends it with the node that submitted it. That is also why nothing can be adopted: what a task gives belongs to the
process that submitted it. A detached actor per attempt would outlive that, but also hold its resources for good once
nobody comes for it; so an attempt whose node dies ends with it, and is lost.

Ray never tries a task again here: whether to is the dispatcher's decision. The cluster's workers need `interlock`, of the
same version, in their environment or by `runtime_env`, and the folder of the attempt. The memory that an attempt asks for
decides where it is placed; Ray does not hold it to that. Graphics processors are chosen by Ray.

This is the only module that imports Ray, and not before a pool starts. Ray knows one connection per process: all pools of
a node must name one cluster.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import importlib
import inspect
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from interlock import errors, telemetry
from interlock.config import readers
from interlock.flow import nearest
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Cancelled, Failed, FailureClass, Outcome, PythonTarget
from interlock.pool import ray_worker, reports
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.pool.local import RESULT_BYTES
from interlock.service import Service

_MEGABYTE: Final = 1024 * 1024
_PLACED_SECONDS: Final = 600.0
_CONNECT_SECONDS: Final = 60.0
_CANCEL_SECONDS: Final = 12.0
"""A task that has not ended so long after it was cancelled is killed with its worker. A command is given 7 s."""
_KILL_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 5.0
_outcomes: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)
_pools: Final[set[RayPool]] = set()
_joined: Final[list[bool]] = []
"""The pools of this process, and whether one of them joined the cluster: the last one to stop leaves it."""


class RaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster, and what its tasks get.

    `address`: `host:port` of its head, "auto" for the one that this machine belongs to, "local" to start one for as long as
    this process lives. `namespace`: of Ray. `cpu`: cores of an attempt that asks for none. `resources`: Ray's own, by name,
    that each attempt takes. `runtime_env`: what Ray prepares for the workers. `max_placing_seconds`: how long an attempt
    may wait to be placed; then it is a failure of the class launch.
    """

    address: str = "auto"
    namespace: str = "interlock"
    cpu: float = 1.0
    resources: dict[str, float] = {}
    runtime_env: dict[str, Any] = {}
    max_placing_seconds: float = _PLACED_SECONDS

    def __post_init__(self) -> None:
        if self.address.startswith("ray://"):
            detail = "Ray's client cannot stream; let the node's machine join the cluster (ray start --address=...)"
            raise errors.InvalidSettings(f"the address {self.address!r} of a ray pool is not built: {detail}")


def read(config: Mapping[str, object]) -> RaySettings:
    """Read the settings of a pool. Raises InvalidSettings, which names what is unknown, and what was probably meant."""
    known = {field.name: field.type for field in msgspec.structs.fields(RaySettings)}
    found = dict(config)
    for key in found:
        if key not in known:
            near = nearest.name(str(key), known)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(known)}"
            raise errors.InvalidSettings(f"config of a ray pool has no key {key!r}: {hint}")
    try:
        if "max_placing_seconds" in found:
            found["max_placing_seconds"] = readers.seconds(found["max_placing_seconds"])
        settings = msgspec.convert(found, RaySettings)
        if settings.cpu <= 0 or settings.max_placing_seconds <= 0 or any(n <= 0 for n in settings.resources.values()):
            raise ValueError("numbers above 0")
    except (ValueError, msgspec.ValidationError) as error:
        raise errors.InvalidSettings(f"config of a ray pool is not usable: {error}") from None
    return settings


class RayPool(Service):
    """Launches commands, scripts and Python functions as tasks of a Ray cluster."""

    def __init__(self, settings: RaySettings, *, result_bytes: int = RESULT_BYTES) -> None:
        self.settings = settings
        self.result_bytes = result_bytes
        self._attempts: set[_Attempt] = set()
        self.ray: Any = None
        self._tasks: dict[bool, Any] = {}

    async def start(self) -> None:
        """Connect. Raises Environment when Ray is not installed, or the cluster is not to be reached."""
        try:
            self.ray = await asyncio.to_thread(importlib.import_module, "ray")
        except ImportError as error:
            raise errors.Environment("a ray pool needs Ray: pip install 'interlock[ray]'") from error
        if not self.ray.is_initialized():
            await self._connect()
            _joined.append(True)
        elif ":" in self.settings.address and self.settings.address != (other := self._address()):
            detail = "a process knows one; give the pools of this node one address"
            raise errors.InvalidSettings(
                f"the pool is to use {self.settings.address}, but this process is connected to the Ray cluster "
                f"{other}: {detail}"
            )
        _pools.add(self)
        for is_function, work in ((False, ray_worker.run_command), (True, ray_worker.run_function)):
            # a worker that has called a function is used up: it has the attempt's variables and modules
            options = {"max_calls": 1} if is_function else {}
            self._tasks[is_function] = self.ray.remote(num_returns="streaming", max_retries=0, **options)(work)

    async def stop(self) -> None:
        """End what runs, and leave the cluster with the last pool, if a pool joined it."""
        await asyncio.gather(*(attempt.cancel() for attempt in tuple(self._attempts)))
        _pools.discard(self)
        if _joined and not _pools:
            _joined.clear()
            await asyncio.to_thread(self.ray.shutdown)

    async def probe(self, seconds: float = _PROBE_SECONDS) -> str | None:
        """Say whether attempts can be launched: None, or what is wrong, such as no answer within `seconds`."""
        if self not in _pools or not self.ray.is_initialized():
            return f"the pool is not connected to the Ray cluster {self.settings.address}"
        try:
            async with asyncio.timeout(seconds):
                nodes = await asyncio.to_thread(self.ray.nodes)
        except TimeoutError:
            return f"the Ray cluster {self.settings.address} did not answer within {seconds:g} s"
        except Exception as error:  # noqa: BLE001 (whatever Ray raises is the answer)
            return f"the Ray cluster {self.settings.address} is not well: {error}"
        return None if any(node["Alive"] for node in nodes) else f"no node of {self.settings.address} is alive"

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        """Submit an attempt. Whatever stands in its way is its outcome."""
        attempt = _Attempt(self, launch, on_output)
        self._attempts.add(attempt)
        attempt.task.add_done_callback(lambda _: self._attempts.discard(attempt))
        return attempt

    def is_left(self, launch: Launch) -> bool:
        """A task ends with the process that submitted it."""
        return False

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        raise errors.LeaseLost(f"the Ray task {launch.attempt} ended with its node; nothing is left to adopt")

    def submitted(self, launch: Launch) -> Any:
        """Submit a task and give its generator of pieces."""
        asked = launch.resources
        placed: dict[str, Any] = {"num_cpus": asked.cpu or self.settings.cpu, "num_gpus": asked.gpus}
        if asked.memory:
            placed["memory"] = math.ceil(asked.memory * _MEGABYTE)
        if self.settings.resources:
            placed["resources"] = self.settings.resources
        sent = msgspec.structs.replace(launch, orphan_grace_seconds=0.0)
        task = self._tasks[isinstance(launch.target, PythonTarget)].options(name=launch.attempt, **placed)
        return task.remote(msgspec.json.encode(sent), self.result_bytes)

    def _address(self) -> str:
        return str(self.ray.get_runtime_context().gcs_address)

    async def _connect(self) -> None:
        settings = self.settings
        if ":" in settings.address:
            await self._reach(settings.address)
        connecting = asyncio.to_thread(
            self.ray.init,
            address=settings.address,
            namespace=settings.namespace,
            runtime_env=settings.runtime_env or None,
            log_to_driver=False,
            include_dashboard=False if settings.address == "local" else None,
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connecting
        except TimeoutError:
            detail = f"did not answer within {_CONNECT_SECONDS:g} s"
            raise errors.Environment(f"the Ray cluster {settings.address} {detail}") from None
        except Exception as error:
            raise errors.Environment(f"the Ray cluster {settings.address} cannot be joined: {error}") from error

    async def _reach(self, address: str) -> None:
        """See that somebody listens: Ray itself tries for minutes, and cannot be stopped meanwhile."""
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError, TimeoutError) as error:
            raise errors.Environment(f"the Ray cluster {address} cannot be reached: {error!r}; is it up?") from error
        writer.close()


class _Attempt:
    """An attempt as a task of Ray."""

    def __init__(self, pool: RayPool, launch: Launch, on_output: OnOutput) -> None:
        self._pool = pool
        self._launch = launch
        self._on_output = on_output
        self._pieces: Any = None
        self._is_cancelled = False
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self.task = asyncio.create_task(self._perform(), name=f"attempt {launch.attempt}")

    async def outcome(self) -> Outcome:
        await asyncio.wait([self.task])
        return Cancelled() if self.task.cancelled() else self.task.result()

    async def cancel(self) -> None:
        """Cancel the task: a command is asked to end, and killed when it does not; its worker as well in the end."""
        if self.task.done():
            return
        self._is_cancelled = True
        self._end(
            force=isinstance(self._launch.target, PythonTarget)
        )  # nothing stops a function but the end of its worker
        await asyncio.wait([self.task], timeout=_CANCEL_SECONDS)
        if not self.task.done():
            self._end(force=True)
            await asyncio.wait([self.task], timeout=_KILL_SECONDS)
        if not self.task.done():
            self.task.cancel()  # the cluster does not answer
            await asyncio.wait([self.task])

    async def forget(self) -> None:
        return

    async def detach(self) -> None:
        await self.cancel()

    def _end(self, *, force: bool) -> None:
        if self._pieces is None:
            self.task.cancel()
        else:
            with contextlib.suppress(ValueError):  # it has ended
                self._pool.ray.cancel(self._pieces, force=force)

    async def _perform(self) -> Outcome:
        exceptions = self._pool.ray.exceptions
        try:
            self._pieces = await asyncio.to_thread(self._pool.submitted, self._launch)
            if self._is_cancelled:
                self._end(force=False)
            outcome = await self._heard()
        except exceptions.RayError as error:
            outcome = self._ended_by(error, exceptions)
        except Exception as error:  # noqa: BLE001 (Ray refuses what it cannot submit in many ways)
            outcome = reports.failed(FailureClass.LAUNCH, "Not launched", f"Ray did not take the task: {error}")
        if self._is_cancelled and not isinstance(outcome, Cancelled):
            outcome = Cancelled()
        kind = type(outcome).__name__.lower()
        telemetry.emit("pool.ended", attempt=self._launch.attempt, outcome=kind)
        return outcome

    async def _heard(self) -> Outcome:
        """Hear the pieces of a task to its end."""
        seconds = self._pool.settings.max_placing_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._next()
        except TimeoutError:
            self._end(force=True)
            asked = msgspec.json.encode(self._launch.resources).decode()
            detail = f"no node of the cluster had room for it within {seconds:g} s; it asks for {asked}"
            return reports.failed(FailureClass.LAUNCH, "Not placed", detail)
        if not isinstance(self._launch.target, PythonTarget):
            return await self._told()  # the supervisor in the worker sees to the timeout
        try:
            async with asyncio.timeout(self._launch.timeout_seconds):
                return await self._told()
        except TimeoutError:
            self._end(force=True)
            detail = f"it ran longer than {self._launch.timeout_seconds:g} s"
            error = Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail)
            return Failed(FailureClass.TIMEOUT, error)

    async def _told(self) -> Outcome:
        while True:
            kind, told = await self._next()
            if kind == ray_worker.OUTCOME:
                for name, decoder in self._decoders.items():
                    self._say(name, decoder.decode(b"", final=True))
                return self._checked(told)
            if kind in self._decoders:
                self._say(kind, self._decoders[kind].decode(told))

    async def _next(self) -> ray_worker.Piece:
        try:
            reference = await self._pieces.__anext__()
        except StopAsyncIteration:
            raise self._pool.ray.exceptions.WorkerCrashedError from None
        piece: ray_worker.Piece = await reference
        return piece

    def _checked(self, told: bytes) -> Outcome:
        if len(told) > self._pool.result_bytes and isinstance(self._launch.target, PythonTarget):
            detail = f"its result has {len(told)} bytes; at most {self._pool.result_bytes} are kept"
            return reports.failed(FailureClass.INVALID, "Result too large", detail, code="payload-too-large")
        return _outcomes.decode(told)

    def _say(self, stream: str, text: str) -> None:
        if text:
            self._on_output(stream, text)

    def _ended_by(self, error: Exception, exceptions: Any) -> Outcome:
        """Give the outcome of a task that Ray ended."""
        said = str(error)
        if isinstance(error, exceptions.TaskCancelledError):
            return Cancelled()
        if isinstance(error, exceptions.OutOfMemoryError):
            return reports.failed(FailureClass.OUT_OF_MEMORY, "Out of memory", said)
        if isinstance(error, (exceptions.TaskUnschedulableError, exceptions.RuntimeEnvSetupError)):
            return reports.failed(FailureClass.LAUNCH, "Not launched", said)
        if isinstance(
            error, exceptions.RayTaskError
        ):  # the worker could not even begin: no interlock there, most likely
            detail = f"its worker failed; has it `interlock` of this version? {said}"
            return reports.failed(FailureClass.LAUNCH, "Not launched", detail)
        how = inspect.cleandoc(type(error).__doc__ or "").partition("\n")[0]
        return reports.failed(FailureClass.LOST, "Lost", f"{how} {said}".strip(), code="lost")
