"""Compiles calls over HTTP: their arguments, and how they authenticate themselves."""

from __future__ import annotations

from typing import assert_never

from msgspec import UnsetType

from interlock.expr import template
from interlock.expr.template import Template
from interlock.flow import document as doc
from interlock.flow.graph import HttpWork, OpenApiWork
from interlock.flow.reading import Reader, braced
from interlock.model import json
from interlock.model.json import Json

Authentication = doc.Authentication | doc.AuthenticationReference | None


def http(task: doc.CallHttp, use: doc.Use, reader: Reader) -> HttpWork:
    """Give the work of `call: http`."""
    return HttpWork(
        method=task.method.upper(),
        uri=uri(task.endpoint.uri),
        headers=reader.template(task.headers or {}),
        query=reader.template(task.query or {}),
        body=None if isinstance(task.body, UnsetType) else reader.template(task.body),
        output_format=task.output_format,
        redirect=task.redirect,
        credentials=credentials(task.endpoint.authentication, use, reader),
    )


def openapi(task: doc.CallOpenApi, use: doc.Use, reader: Reader) -> OpenApiWork:
    """Give the work of `call: openapi`."""
    endpoint = task.document.endpoint
    return OpenApiWork(
        document=uri(endpoint.uri),
        document_credentials=credentials(endpoint.authentication, use, reader),
        operation=reader.template(task.operation_id),
        parameters=reader.template(task.parameters),
        output_format=task.output_format,
        redirect=task.redirect,
        credentials=credentials(task.authentication, use, reader),
    )


def uri(text: str) -> Template | str:
    """Give a URI as the engine evaluates it: an expression as a template, the text of a URI template as it is."""
    return braced(text) if template.is_expression(text) else text


def credentials(authentication: Authentication, use: doc.Use, reader: Reader) -> Template | None:
    """Give what evaluates to the credentials of a request: `scheme` and `properties`, those of a secret included."""
    if isinstance(authentication, doc.AuthenticationReference):
        authentication = use.authentications[authentication.use]
    if authentication is None:
        return None
    return reader.template({"scheme": authentication.scheme, "properties": _properties(authentication)})


def _properties(authentication: doc.Authentication) -> Json:
    match authentication.properties:
        case doc.SecretReference(use=name):
            return f"${{ $secrets[{json.encode(name).decode()}] }}"
        case doc.Bearer(token=token):
            return {"token": token}
        case doc.OAuth2(properties=properties):
            return properties
        case doc.Basic(username=username, password=password) | doc.Digest(username=username, password=password):
            return {"username": username, "password": password}
        case _:
            assert_never(authentication.properties)
