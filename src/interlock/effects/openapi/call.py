"""Performs a call: the document, the operation, the request, the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from interlock.effects import http
from interlock.effects.openapi import building, operations
from interlock.effects.openapi.documents import Documents
from interlock.effects.openapi.operations import Mismatch
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Failed, FailureClass, OpenApiTarget, Outcome


async def perform(
    target: OpenApiTarget,
    idempotency_key: str,
    client: http.Sends,
    documents: Documents,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Call the operation, with `more` headers, and give what the step yields, or why it failed.

    A call that the document does not allow is never sent: it fails with the class invalid.
    """
    document = await documents.get(target.document, target.document_credentials, client)
    if isinstance(document, Failed):
        return document
    try:
        operation = operations.find(document, target.operation)
        request = building.build(operation, target)
    except Mismatch as error:
        detail = f"{target.document.partition('?')[0]}: {error}"
        return Failed(
            FailureClass.INVALID, Fault(type=fault.VALIDATION, status=400, title="The call does not fit", detail=detail)
        )
    return await http.perform(request, idempotency_key, client, more)
