"""The JSON Schemas inside of a document: that each is one, before the first payload meets it."""

from __future__ import annotations

from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import kind_of
from interlock.model.json import Json


def check(findings: Findings) -> None:
    """Note inline schemas that are not valid JSON Schema, or that refer to documents elsewhere."""
    for path, schema in findings.places[Role.SCHEMA]:
        if "document" in schema and _is_json(schema.get("format", "json")):
            check_document(f"{path}/document", schema["document"], findings)


def _is_json(format_: Json) -> bool:
    return isinstance(format_, str) and format_.split(":")[0] == "json"


def check_document(path: str, document: Json, findings: Findings) -> None:
    """Note a schema that is not valid JSON Schema, or that refers to documents elsewhere."""
    import jsonschema_rs  # noqa: PLC0415 (50 ms to import; most documents have no schema)

    if not isinstance(document, dict | bool):  # a text would be read as JSON
        findings.add("invalid-schema", f"a JSON Schema is a map, not {kind_of(document)}", path, at_key=True)
        return
    try:
        jsonschema_rs.validator_for(document, retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        place = path
        for key in getattr(error, "instance_path", ()):
            place = pointer.child(place, key)
        reason = getattr(error, "message", None) or str(error)
        findings.add("invalid-schema", f"this is no JSON Schema: {reason}", place, at_key=place == path)


def _refuse(uri: str) -> Json:
    """Fetch nothing: a definition is complete in itself, and reading it must not reach the network."""
    raise ValueError(f"{uri} is not fetched; write the schema here")
