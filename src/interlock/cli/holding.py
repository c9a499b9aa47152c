"""Performs the commands about locks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import uuid4

from interlock import errors
from interlock.app.opened import Opened
from interlock.cli import context, far, far_lock, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.coord.lock import Held
from interlock.coord.lock_request import seconds_of
from interlock.coord.locks import LockManager
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.store.ports import LockMode
from interlock.wire import coordination as wire

_DEFAULT_NAMESPACE: Final = "default"
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # as shells leave
_END_SECONDS: Final = 10.0  # that a command is given to end when its lock is lost, before it is killed
_SIGNALLED: Final = 128


async def listed(worker: str | None, *, expired: bool, as_json: bool) -> int:
    """List the locks that are held."""
    held, now = await _held_and_now(worker, expired=expired)
    if as_json:
        answer(json.encode([_told(each) for each in held]).decode())
        return 0
    for each in held:
        left = each.expires_at - now
        time = f"{duration.text(left)} left" if left > 0 else "over"
        answer(f"{each.name}  {each.mode}  {each.holder}  number {each.fence}  {time}")
    if not held:
        note("no locks are held" if worker is None else f"the worker {worker} holds no locks")
    return 0


async def _held_and_now(worker: str | None, *, expired: bool) -> tuple[Sequence[Held], float]:
    """Give the locks that are held at the server or in the store."""
    if options.server is not None:
        async with far.opened() as server:
            query: dict[str, Json] = {"holder": worker, "expired": "true" if expired else None}
            told = await server.ask(wire.Locks, "GET", "/locks", query=query)
            return [shapes.held(each) for each in told.items], server.now()
    async with context.existing(Opened) as app:
        return await _locks(app).list_locks(worker=worker, include_expired=expired), app.clock.now()


async def _standing(name: str) -> tuple[Sequence[Held], Sequence[str]]:
    """Give who holds a lock and who waits for it, in order."""
    if options.server is not None:
        async with far.opened() as server:
            told = await server.ask(wire.LockStanding, "GET", "/locks/standing", query={"name": name})
            return [shapes.held(each) for each in told.holders], told.waiting
    async with context.existing(Opened) as app:
        manager = _locks(app)
        held = await manager.holders(name)
        waits = await app.store.locks.waits(manager.namespace, app.clock.stamp())
    return held, [who for _, who in sorted({(wait.ticket, wait.session) for wait in waits if wait.name == name})]


async def shown(name: str, *, as_json: bool) -> int:
    """Say who holds a lock and who waits for it."""
    held, waiting = await _standing(name)
    if as_json:
        found = {"name": name, "holders": [_told(each) for each in held], "waiting": [*waiting]}
        answer(json.encode(found).decode())
        return 0
    if not held:
        answer(f"{name} is free")
    for each in held:
        answer(f"{name}  {each.mode}, held by {each.holder} under the number {each.fence}")
        answer(f"  since {_moment(each.acquired_at)}, until {_moment(each.expires_at)} unless it is renewed")
        told = "  ".join(f"{key}: {value}" for key, value in each.metadata.items())
        answer(f"  {told}")
    for place, who in enumerate(waiting, 1):
        answer(f"  {place}. in its queue: {who}")
    return 0


async def run(
    name: str, command: Sequence[str], *, ttl: str, timeout: str | None, shared: bool, limit: int | None
) -> int:
    """Run a command under a lock and give its exit code. Raises LeaseLost when the lock was lost meanwhile."""
    if shared and limit is not None:
        raise errors.Invalid("--shared and --limit exclude each other: readers share without a limit")
    mode = LockMode.READ if shared else LockMode.COUNTED if limit is not None else LockMode.EXCLUSIVE
    if options.server is not None:
        return await _run_far(name, command, ttl, timeout, mode, limit)
    async with context.opened(Opened) as app, _started(app) as manager:
        lock = await manager.wait(
            name, timeout=timeout, ttl=ttl, mode=mode, limit=limit or 1, metadata={"command": " ".join(command)}
        )
        if lock is None:
            raise errors.Conflict(await _still_held(manager, name, timeout))
        try:
            return await _under(lock, command)
        finally:
            if lock.is_held:
                with contextlib.suppress(errors.LockError):  # lost in this moment: there is nothing to free
                    await lock.release()


async def _run_far(
    name: str, command: Sequence[str], ttl: str, timeout: str | None, mode: LockMode, limit: int | None
) -> int:
    """Run a command under a lock of the server, which is renewed from here."""
    ask = wire.AcquireLock(
        holder=far_lock.holder(),
        ttl=seconds_of("ttl", ttl, shortest=1.0),
        mode=str(mode),
        limit=limit or 1,
        nonce=uuid4().hex,
        metadata={"command": " ".join(command)},
    )
    async with far_lock.held(name, ask, timeout) as lock:
        return await _under(lock, command)


class _Held(Protocol):
    """A lock that a command runs under."""

    @property
    def name(self) -> str: ...

    @property
    def fence(self) -> int: ...

    def executing(self) -> None: ...

    async def wait_lost(self) -> None: ...


async def _still_held(manager: LockManager, name: str, timeout: str | None) -> str:
    held = await manager.get_lock(name)
    if held is None:
        return f"the lock {name!r} was not free within {timeout}; it is now"
    return f"the lock {name!r} was not free within {timeout}: {held.holder} holds it under the number {held.fence}"


async def _under(lock: _Held, command: Sequence[str]) -> int:
    # A group of its own can be ended with all that the command started; at a terminal it must stay in the group that the
    # terminal listens to.
    own_group = not sys.stdin.isatty()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "INTERLOCK_LOCK": lock.name, "INTERLOCK_LOCK_FENCE": str(lock.fence)},
            process_group=0 if own_group else None,
        )
    except FileNotFoundError:
        note(f"interlock: there is no program {command[0]!r}")
        return _NOT_FOUND
    except OSError as error:
        note(f"interlock: cannot run {command[0]!r}: {error.strerror}")
        return _NOT_EXECUTABLE
    lock.executing()
    ended, lost = asyncio.create_task(process.wait()), asyncio.create_task(lock.wait_lost())
    try:
        with _passed_on(process):
            await asyncio.wait([ended, lost], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await _end(process, ended, own_group=own_group)
                raise errors.LeaseLost(
                    f"the lock {lock.name!r} was lost under the number {lock.fence}; {command[0]} was ended"
                )
    finally:
        lost.cancel()
        if not ended.done():
            await _end(process, ended, own_group=own_group)
    code = ended.result()
    return code if code >= 0 else _SIGNALLED - code


@contextlib.contextmanager
def _passed_on(process: asyncio.subprocess.Process) -> Iterator[None]:
    """Pass SIGTERM on to a command, so that it ends as its caller asks."""

    def terminate() -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int], *, own_group: bool) -> None:
    """End a command, and its group where it has one: asked first, killed after a while."""

    def send(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if own_group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    send(signal.SIGTERM)
    done, _ = await asyncio.wait([ended], timeout=_END_SECONDS)
    if own_group or not done:  # of a group somebody may be left
        send(signal.SIGKILL)
        await asyncio.wait([ended])


async def freed(name: str | None, fence: int | None, worker: str | None, *, as_json: bool) -> int:
    """Free a lock by the number of its grant, or all locks of a worker."""
    if (name is None) == (worker is None):
        raise errors.Invalid("name a lock or --worker, one of them")
    count = await _freed_far(name, fence, worker) if options.server is not None else await _freed(name, fence, worker)
    if as_json:
        answer(json.encode({"released": count}).decode())
    else:
        answer(f"{count} released")
    return 0


async def _freed(name: str | None, fence: int | None, worker: str | None) -> int:
    async with context.existing(Opened) as app:
        manager = _locks(app)
        if name is None:
            assert worker is not None
            return await manager.release_worker_locks(worker)
        found = _chosen(name, fence, await manager.holders(name))
        await app.store.locks.release(manager.namespace, name, found.holder, found.fence, app.clock.stamp())
    return 1


async def _freed_far(name: str | None, fence: int | None, worker: str | None) -> int:
    if name is None:
        async with far.opened() as server:
            path, query = "/locks/release-all", {"holder": worker}
            return (await server.ask(wire.Freed, "POST", path, query=query, safe=True)).count
    found = _chosen(name, fence, (await _standing(name))[0])
    async with far.opened() as server:
        body = wire.GrantNumber(holder=found.holder, fence=found.fence)
        await server.ask(wire.Renewal, "POST", "/locks/release", body=body, query={"name": name})
    return 1


def _chosen(name: str, fence: int | None, held: Sequence[Held]) -> Held:
    """Give the grant of a lock that was meant. Raises NotFound, Invalid, Conflict."""
    if not held:
        raise errors.NotFound(f"nobody holds the lock {name!r}; `interlock locks list` shows what is held")
    numbers = ", ".join(f"{each.fence} ({each.holder})" for each in held)
    if fence is None:
        raise errors.Invalid(f"say which grant of {name!r} is to be freed: --fence with one of {numbers}")
    found = next((each for each in held if each.fence == fence), None)
    if found is None:
        raise errors.Conflict(f"the lock {name!r} is not held under the number {fence}, but under {numbers}")
    return found


async def cleared(*, as_json: bool) -> int:
    """Forget grants whose time is over."""
    if options.server is not None:
        async with far.opened() as server:
            count = (await server.ask(wire.Freed, "POST", "/locks/clear", safe=True)).count
    else:
        async with context.existing(Opened) as app:
            count = await _locks(app).cleanup_stale_locks()
    if as_json:
        answer(json.encode({"cleared": count}).decode())
    else:
        answer(f"{count} cleared")
    return 0


def _locks(app: Opened) -> LockManager:
    """Give the locks of the namespace that was asked for, under a name of this process's own."""
    worker = f"{os.uname().nodename}-{os.getpid()}"
    return LockManager(app.store, app.clock, worker, namespace=options.namespace or _DEFAULT_NAMESPACE)


@contextlib.asynccontextmanager
async def _started(app: Opened) -> AsyncIterator[LockManager]:
    manager = _locks(app)
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()


def _told(held: Held) -> Json:
    return {
        "name": held.name,
        "holder": held.holder,
        "mode": str(held.mode),
        "fence": held.fence,
        "acquired_at": held.acquired_at,
        "expires_at": held.expires_at,
        "metadata": dict(held.metadata),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
