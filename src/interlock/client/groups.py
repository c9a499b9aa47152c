"""Tokens, locks and shared memory of a server."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar
from urllib.parse import quote

from interlock.client import stream
from interlock.client.connection import Connection
from interlock.model.json import Json
from interlock.wire import coordination as wire
from interlock.wire import tokens

T = TypeVar("T")


class RemoteTokens:
    """Reports the outcomes of work that was done elsewhere. All of it may be sent again after a lost answer."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def complete(self, token: str, result: Json = None) -> tokens.Reported:
        """Report a result. Raises NotFound for what is no token, Conflict when another outcome was first or it is over."""
        body = tokens.Complete(result=result)
        return await self._connection.ask(tokens.Reported, "POST", _token(token, "complete"), body=body, safe=True)

    async def fail(
        self, token: str, message: str, *, type: str = "Failed", retryable: bool = False, details: Json = None
    ) -> tokens.Reported:
        """Report a failure; `retryable`: the step may be tried again, if its author allows it."""
        body = tokens.Fail(message=message, type=type, retryable=retryable, details=details)
        return await self._connection.ask(tokens.Reported, "POST", _token(token, "fail"), body=body, safe=True)

    async def heartbeat(self, token: str, details: Json = None) -> tokens.Heard:
        """Say that the work goes on; the answer says whether anybody still wants it."""
        body = tokens.Heartbeat(details=details)
        return await self._connection.ask(tokens.Heard, "POST", _token(token, "heartbeat"), body=body, safe=True)

    async def progress(self, token: str, fraction: float | None = None, message: str | None = None) -> tokens.Heard:
        """Say how far the work is; a heartbeat, too."""
        body = tokens.Progress(fraction=fraction, message=message)
        return await self._connection.ask(tokens.Heard, "POST", _token(token, "progress"), body=body, safe=True)

    async def log(self, token: str, text: str) -> tokens.Logged:
        """Add to the log of an attempt, up to 65,536 characters at once. A lost answer may mean that it is there."""
        return await self._connection.ask(tokens.Logged, "POST", _token(token, "log"), body=tokens.Log(text=text))

    async def show(self, token: str) -> tokens.TokenTold:
        """Say how a token stands, and what is asked of its holder."""
        return await self._connection.ask(tokens.TokenTold, "GET", _token(token, "").rstrip("/"))

    # -- for operators, who name run and step --------------------------------------------------------------------

    async def of_run(self, run: str) -> builtins.list[tokens.TokenTold]:
        """Give what a run waits for by token. Raises NotFound."""
        return (await self._connection.ask(tokens.TokenList, "GET", _of_run(run), query=self._where)).items

    async def of_step(self, run: str, step: str) -> tokens.TokenTold:
        """Say how the token stands that a step waits for, or last waited for; `step`: its path or its name."""
        return await self._connection.ask(
            tokens.TokenTold, "GET", f"{_of_run(run)}/standing", query={"step": step, **self._where}
        )

    async def complete_step(self, run: str, step: str, result: Json = None) -> tokens.Reported:
        """Report the result of a step in place of who holds its token; it is in the audit log."""
        return await self._step(tokens.Reported, run, step, "complete", tokens.Complete(result=result))

    async def fail_step(
        self,
        run: str,
        step: str,
        message: str,
        *,
        type: str = "Failed",
        retryable: bool = False,
        details: Json = None,
    ) -> tokens.Reported:
        """Report that a step failed in place of who holds its token."""
        body = tokens.Fail(message=message, type=type, retryable=retryable, details=details)
        return await self._step(tokens.Reported, run, step, "fail", body)

    async def heartbeat_step(self, run: str, step: str, details: Json = None) -> tokens.Heard:
        """Say that the work for a step goes on, in place of who holds its token."""
        return await self._step(tokens.Heard, run, step, "heartbeat", tokens.Heartbeat(details=details))

    async def progress_step(
        self, run: str, step: str, fraction: float | None = None, message: str | None = None
    ) -> tokens.Heard:
        """Say how far the work for a step is, in place of who holds its token."""
        return await self._step(
            tokens.Heard, run, step, "progress", tokens.Progress(fraction=fraction, message=message)
        )

    async def _step(self, shape: type[T], run: str, step: str, action: str, body: object) -> T:
        query = {"step": step, **self._where}
        return await self._connection.ask(shape, "POST", f"{_of_run(run)}/{action}", body=body, query=query, safe=True)


def _of_run(run: str) -> str:
    return f"/api/v1/runs/{quote(run, safe='')}/tokens"


def _token(token: str, action: str) -> str:
    return f"/api/v1/tokens/{quote(token, safe='')}/{action}"


class RemoteLocks:
    """Locks of a namespace. Whoever holds one renews it in good time, and carries its fence with what it does."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def acquire(
        self,
        name: str,
        holder: str,
        *,
        ttl: float = 300.0,
        mode: str = "exclusive",
        limit: int = 1,
        nonce: str | None = None,
    ) -> wire.HeldLock:
        """Acquire a lock that is free. Raises LockError "lock-held". With a `nonce` a lost answer is asked for again."""
        body = wire.AcquireLock(holder=holder, ttl=ttl, mode=mode, limit=limit, nonce=nonce)
        return await self._post(wire.HeldLock, name, "acquire", body, safe=nonce is not None)

    async def renew(self, name: str, holder: str, fence: int) -> bool:
        """Keep a lock for its time from now on. False: it is lost; stop at once."""
        answer = await self._post(wire.Renewal, name, "renew", wire.GrantNumber(holder=holder, fence=fence), safe=True)
        return answer.held

    async def release(self, name: str, holder: str, fence: int) -> None:
        """Free a lock. Raises NotFound, LockError."""
        await self._post(wire.Renewal, name, "release", wire.GrantNumber(holder=holder, fence=fence), safe=False)

    async def list(self, holder: str | None = None) -> builtins.list[wire.HeldLock]:
        """Give the locks that are held."""
        query = {"holder": holder, **self._where}
        return (await self._connection.ask(wire.Locks, "GET", "/api/v1/locks", query=query)).items

    async def standing(self, name: str) -> wire.LockStanding:
        """Say who holds a lock, and who waits for it."""
        query = {"name": name, **self._where}
        return await self._connection.ask(wire.LockStanding, "GET", "/api/v1/locks/standing", query=query)

    async def release_all(self, holder: str) -> int:
        """Free every lock of a holder, who learns it at the next renewal; gives how many."""
        query = {"holder": holder, **self._where}
        path = "/api/v1/locks/release-all"
        return (await self._connection.ask(wire.Freed, "POST", path, query=query, safe=True)).count

    async def clear(self) -> int:
        """Forget the grants whose time is over; gives how many. They are free already."""
        path = "/api/v1/locks/clear"
        return (await self._connection.ask(wire.Freed, "POST", path, query=self._where, safe=True)).count

    async def _post(self, shape: type[T], name: str, action: str, body: object, *, safe: bool) -> T:
        query = {"name": name, **self._where}
        return await self._connection.ask(shape, "POST", f"/api/v1/locks/{action}", body=body, query=query, safe=safe)


class RemoteMemory:
    """Shared memory of a namespace."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def get(self, key: str, space: str = "global") -> wire.CellTold:
        """Give a value with its version. Raises NotFound."""
        query = {"key": key, **self._where}
        return await self._connection.ask(wire.CellTold, "GET", f"{_space(space)}/value", query=query)

    async def set(
        self,
        key: str,
        value: Json,
        space: str = "global",
        *,
        ttl: float | None = None,
        base: int | None = None,
        resolver: str | None = None,
    ) -> wire.CellTold:
        """Set a value; `base`: only if this version is there (0: none). Raises Conflict."""
        body = wire.SetCell(value=value, ttl=ttl, base=base, resolver=resolver)
        query = {"key": key, **self._where}
        return await self._connection.ask(wire.CellTold, "PUT", f"{_space(space)}/value", body=body, query=query)

    async def delete(self, key: str, space: str = "global", *, base: int | None = None) -> bool:
        """Delete a value; say whether there was one. Raises Conflict."""
        query = {"key": key, "base": base, **self._where}
        answer = await self._connection.ask(wire.DeletedCell, "DELETE", f"{_space(space)}/value", query=query)
        return answer.deleted

    async def list(self, pattern: str = "", space: str = "global") -> builtins.list[wire.CellTold]:
        """Give the values whose keys begin with something, or fit a pattern such as tasks/*/state."""
        query = {"pattern": pattern, **self._where}
        return (await self._connection.ask(wire.Cells, "GET", _space(space), query=query)).items

    async def watch(
        self, pattern: str, space: str = "global", *, after: str | None = None
    ) -> AsyncIterator[stream.Told]:
        """Give the changes of the keys that fit, as they come; `id` of each is the cursor after it."""
        query = {"pattern": pattern, "after": after, **self._where}
        async for told in stream.read(self._connection, f"{_space(space)}/watch", query):
            if told.name == "change":
                yield told


def _space(space: str) -> str:
    return f"/api/v1/memory/{quote(space, safe='')}"
