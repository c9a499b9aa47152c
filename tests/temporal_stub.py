"""A stub of Temporal's WorkflowService over grpcio: what was reported, and answers that a test chooses.

It proves the wire format against the real client. The semantics are those that the documentation of Temporal tells: a token is
known while its attempt runs, a completed one is not found any more, a cancellation is accepted only where one was requested.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from temporalio.api.workflowservice.v1 import request_response_pb2 as messages
from temporalio.api.workflowservice.v1.service_pb2_grpc import (
    WorkflowServiceServicer,
    add_WorkflowServiceServicer_to_server,
)
from temporalio.converter import default


@dataclass
class Reported:
    how: str
    token: bytes
    request: Any
    metadata: dict[str, str] = field(default_factory=dict)

    async def values(self) -> list[Any]:
        """Give what was reported with it, decoded."""
        if self.how == "failed":
            return await default().decode(list(self.request.failure.application_failure_info.details.payloads))
        payloads = self.request.result if self.how == "completed" else self.request.details
        return await default().decode(list(payloads.payloads))


class Stub(WorkflowServiceServicer):
    """`tokens`: those that are known. `cancel`: those that are asked to be cancelled. `broken`: the status of every answer."""

    def __init__(self) -> None:
        self.port = 0
        self.tokens: set[bytes] = set()
        self.cancel: set[bytes] = set()
        self.broken: grpc.StatusCode | None = None
        self.reported: list[Reported] = []

    async def GetSystemInfo(self, request: Any, context: Any) -> Any:
        return messages.GetSystemInfoResponse(capabilities=messages.GetSystemInfoResponse.Capabilities())

    async def RespondActivityTaskCompleted(self, request: Any, context: Any) -> Any:
        await self._over("completed", request, context)
        return messages.RespondActivityTaskCompletedResponse()

    async def RespondActivityTaskFailed(self, request: Any, context: Any) -> Any:
        await self._over("failed", request, context)
        return messages.RespondActivityTaskFailedResponse()

    async def RespondActivityTaskCanceled(self, request: Any, context: Any) -> Any:
        if request.task_token not in self.cancel:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no cancellation was requested")
        await self._over("cancelled", request, context)
        return messages.RespondActivityTaskCanceledResponse()

    async def RecordActivityTaskHeartbeat(self, request: Any, context: Any) -> Any:
        await self._heard("beaten", request, context)
        return messages.RecordActivityTaskHeartbeatResponse(cancel_requested=request.task_token in self.cancel)

    async def _over(self, how: str, request: Any, context: Any) -> None:
        await self._heard(how, request, context)
        self.tokens.discard(request.task_token)

    async def _heard(self, how: str, request: Any, context: Any) -> None:
        if self.broken is not None:
            await context.abort(self.broken, "broken on purpose")
        if request.task_token not in self.tokens:
            await context.abort(grpc.StatusCode.NOT_FOUND, "workflow execution already completed")
        metadata = {str(name): str(value) for name, value in context.invocation_metadata()}
        self.reported.append(Reported(how, request.task_token, request, metadata))

    def outcomes(self) -> list[Reported]:
        return [each for each in self.reported if each.how != "beaten"]


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: str


def issued(name: str, by: Identity | None = None) -> Identity:
    """Give a certificate of `name`: an authority of its own, or one that `by` has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing = subject, key
    if by is not None:
        issuer = x509.load_pem_x509_certificate(by.certificate.encode()).subject
        signing = serialization.load_pem_private_key(by.key.encode(), None)  # type: ignore[assignment]  # ours are of EC
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(built.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


@asynccontextmanager
async def serving(
    stub: Stub | None = None, port: int = 0, tls: tuple[Identity, Identity] | None = None
) -> AsyncIterator[Stub]:
    """Serve a stub on loopback; `port`: where it was before. `tls`: its authority and itself; clients need a certificate then."""
    stub = stub or Stub()
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_WorkflowServiceServicer_to_server(stub, server)  # type: ignore[no-untyped-call]  # generated code
    if tls is None:
        stub.port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        authority, itself = tls
        credentials = grpc.ssl_server_credentials(
            [(itself.key.encode(), itself.certificate.encode())], authority.certificate.encode(), True
        )
        stub.port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    try:
        yield stub
    finally:
        await server.stop(0)
