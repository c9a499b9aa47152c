"""Outcomes for Temporal: its activity, which waits for a completion from outside, is completed, failed or cancelled.

By the calls RespondActivityTaskCompleted, -Failed and -Canceled and RecordActivityTaskHeartbeat of its WorkflowService, each
with the token that the activity was given. The token is worth nothing any more once the attempt is over: Temporal then
answers `not found`, which is final. A cancellation is reported as one only when Temporal asked for it: else it refuses that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from interlock import errors
from interlock.handshake.outcome import Cancelled, Completed, Failed, Letter
from interlock.handshake.sender import Accepted, Alive, Answer, Postponed, Refused
from interlock.model import json
from interlock.model.callback import TemporalTask
from interlock.model.json import Json
from interlock.net.addresses import AddressPolicy
from interlock.service import Clock

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.service import RPCError

T = TypeVar("T")
Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]

_CALL_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 300.0
"""How long a connection is kept that nobody uses: longer than most heartbeats are apart."""
_MOST_BYTES: Final = 2 * 2**20 - 2**14
"""Temporal takes payloads of up to 2 MiB (its `limit.blobSize.error`); a larger one would be refused for ever."""
_NEVER: Final = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"})


class Temporal:
    """Speaks to Temporal; see Sender. One connection for each (address, namespace, credentials), closed when it is idle.

    `policy` says which addresses may be reached; a name is looked up once per connection, and what was checked is what is
    connected to.
    """

    def __init__(self, policy: AddressPolicy, clock: Clock, resolve: Resolve | None = None) -> None:
        self._policy = policy
        self._clock = clock
        self._resolve = resolve or _lookup
        self._connected: dict[tuple[object, ...], tuple[Client, float]] = {}

    async def send(self, letter: Letter, callback: TemporalTask) -> Answer:
        async def call(client: Client) -> Accepted:
            match letter.outcome:
                case Completed(output=output) if len(json.encode(output)) <= _MOST_BYTES:
                    await _completed(client, callback, output)
                case Completed():
                    text = f"the output of the run {letter.id} is larger than Temporal takes; read it from Interlock"
                    large = Failed(type="payload-too-large", message=text, retryable=False)
                    await _failed(client, callback, large)
                case Cancelled(message=text):
                    if await _beaten(client, callback, {"run": letter.id}):
                        await _cancelled(client, callback, text)
                    else:  # it was cancelled on our side; there is no other way to tell that
                        await _failed(client, callback, Failed(type="cancelled", message=text, retryable=False))
                case Failed() as outcome:
                    await _failed(client, callback, outcome)
            return Accepted(status="OK")

        return await self._called(callback, call)

    async def beat(self, id: str, callback: TemporalTask) -> Alive | Refused | Postponed:
        async def call(client: Client) -> Alive:
            return Alive(cancel=await _beaten(client, callback, {"run": id}))

        return await self._called(callback, call)

    async def close(self) -> None:
        self._connected.clear()

    async def _called(self, callback: TemporalTask, call: Callable[[Client], Awaitable[T]]) -> T | Refused | Postponed:
        """Make a call, and give what went wrong as a value."""
        try:
            from temporalio.service import RPCError  # noqa: PLC0415 (an extra, and slow to import)
        except ImportError:
            text = "the client of Temporal is not installed here; `pip install 'interlock[temporal]'` on the nodes"
            return Postponed(status="not-installed", detail=text)
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                return await call(await self._client(callback))
        except TimeoutError:
            return Postponed(status="DEADLINE_EXCEEDED", detail=f"no answer within {_CALL_SECONDS:g} s")
        except RPCError as error:
            return _problem(error)
        except errors.InterlockError as error:
            return Refused(status="address-refused", detail=str(error))
        except (OSError, RuntimeError, ValueError) as error:  # no name, no connection, no TLS
            self._connected.pop(_key(callback), None)
            return Postponed(status="UNAVAILABLE", detail=f"{type(error).__name__}: {str(error)[:300]}")

    async def _client(self, callback: TemporalTask) -> Client:
        """Give a connection, one that is there if possible; those that nobody uses are let go."""
        now = self._clock.monotonic()
        for key, (_, used) in tuple(self._connected.items()):
            if used < now - _IDLE_SECONDS:
                del self._connected[key]  # the last reference closes it
        key = _key(callback)
        client, _ = self._connected.get(key) or (await self._opened(callback), now)
        self._connected[key] = (client, now)
        return client

    async def _opened(self, callback: TemporalTask) -> Client:
        from temporalio.client import Client  # noqa: PLC0415 (an extra, and slow to import)
        from temporalio.service import TLSConfig  # noqa: PLC0415 (as above)

        host, _, port = callback.address.rpartition(":")
        host = host.strip("[]")
        address = await self._permitted(host)
        tls: bool | TLSConfig = False
        if callback.tls:
            tls = TLSConfig(
                server_root_ca_cert=_pem(callback.ca),
                domain=callback.server_name or host,
                client_cert=_pem(callback.certificate),
                client_private_key=_pem(callback.certificate_key),
            )
        return await Client.connect(
            f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
            namespace=callback.namespace,
            tls=tls,
            api_key=callback.api_key,
            identity="interlock",
            lazy=True,
            connect_timeout=timedelta(seconds=_CALL_SECONDS),
        )

    async def _permitted(self, host: str) -> str:
        """Give an address of a host that may be reached. Raises Invalid, OSError where there is none."""
        refusals = {address: self._policy.refusal(host, address) for address in await self._resolve(host)}
        for address, refusal in refusals.items():
            if refusal is None:
                return address
        shown = ", ".join(f"{address} ({refusal})" for address, refusal in refusals.items())
        raise errors.Invalid(f"{host} leads to {shown}; allow it with the setting http.allow_private")


# -- the calls -------------------------------------------------------------------------------------------------------


async def _completed(client: Client, task: TemporalTask, output: Json) -> None:
    from temporalio.api.workflowservice.v1 import RespondActivityTaskCompletedRequest  # noqa: PLC0415 (an extra)

    request = RespondActivityTaskCompletedRequest(
        task_token=task.task_token, identity="interlock", namespace=task.namespace, result=await _payloads(output)
    )
    await client.workflow_service.respond_activity_task_completed(request, timeout=_timeout())


async def _failed(client: Client, task: TemporalTask, outcome: Failed) -> None:
    from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure  # noqa: PLC0415 (an extra)
    from temporalio.api.workflowservice.v1 import RespondActivityTaskFailedRequest  # noqa: PLC0415 (as above)

    told = ApplicationFailureInfo(
        type=outcome.type,
        non_retryable=not outcome.retryable,
        details=None if outcome.details is None else await _payloads(outcome.details),
    )
    failure = Failure(message=outcome.message, source="Interlock", application_failure_info=told)
    request = RespondActivityTaskFailedRequest(
        task_token=task.task_token, identity="interlock", namespace=task.namespace, failure=failure
    )
    await client.workflow_service.respond_activity_task_failed(request, timeout=_timeout())


async def _cancelled(client: Client, task: TemporalTask, text: str) -> None:
    from temporalio.api.workflowservice.v1 import RespondActivityTaskCanceledRequest  # noqa: PLC0415 (an extra)

    request = RespondActivityTaskCanceledRequest(
        task_token=task.task_token, identity="interlock", namespace=task.namespace, details=await _payloads(text)
    )
    await client.workflow_service.respond_activity_task_canceled(request, timeout=_timeout())


async def _beaten(client: Client, task: TemporalTask, details: Json) -> bool:
    """Give a heartbeat; say whether Temporal asks for the activity to be cancelled."""
    from temporalio.api.workflowservice.v1 import RecordActivityTaskHeartbeatRequest  # noqa: PLC0415 (an extra)

    request = RecordActivityTaskHeartbeatRequest(
        task_token=task.task_token, identity="interlock", namespace=task.namespace, details=await _payloads(details)
    )
    answer = await client.workflow_service.record_activity_task_heartbeat(request, timeout=_timeout())
    return answer.cancel_requested


async def _payloads(value: Json) -> Any:  # `Any`: a message of protobuf, imported only where it is made
    from temporalio.api.common.v1 import Payloads  # noqa: PLC0415 (an extra)
    from temporalio.converter import default  # noqa: PLC0415 (as above)

    return Payloads(payloads=await default().encode([value]))


def _timeout() -> timedelta:
    return timedelta(seconds=_CALL_SECONDS)


def _problem(error: RPCError) -> Refused | Postponed:
    status, detail = error.status.name, str(error)[:300]
    if status == "NOT_FOUND":
        detail = f"Temporal does not know the task any more: it timed out, was completed or was tried again ({detail})"
    return Refused(status=status, detail=detail) if status in _NEVER else Postponed(status=status, detail=detail)


def _key(task: TemporalTask) -> tuple[object, ...]:
    return (
        task.address,
        task.namespace,
        task.tls,
        task.server_name,
        task.ca,
        task.certificate,
        task.certificate_key,
        task.api_key,
    )


def _pem(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


async def _lookup(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
