"""What was fetched for a definition, as compiling needs it: functions, schemas, texts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jsonschema_rs

from interlock import errors
from interlock.flow import check, resources
from interlock.flow import document as doc
from interlock.flow.graph import Checker
from interlock.flow.meaning import limits
from interlock.model.json import Json


@dataclass(frozen=True, slots=True)
class Function:
    """The task of a function, typed and as plain JSON."""

    task: doc.Task
    definition: Json


class Fetched:
    """The resources of one definition, and the functions that `use` has. `use_value`: `use` as plain JSON."""

    def __init__(self, use: doc.Use, use_value: Json, texts: Mapping[str, str]) -> None:
        self._use = use
        self._use_value = use_value
        self._texts = texts
        self._open: list[str] = []

    def function(self, name: str) -> Function | None:
        """Give the function that a `call` names; None for a Python function. Raises InvalidDefinition."""
        if name in self._use.functions:
            return Function(self._use.functions[name], self._use_value["functions"][name])
        endpoint = resources.function(name, self._use)
        if endpoint is None:
            return None
        if name in self._open:
            way = " → ".join([*self._open[self._open.index(name) :], name])
            raise errors.InvalidDefinition(f"a function calls itself: {way}")
        return Function(
            *check.load_function(self.text(endpoint), endpoint.uri, self._use_value, allowed=limits.ACCEPTED)
        )

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """While a function is unfolded, whoever calls it calls it in a circle."""
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()

    def checker(self, endpoint: doc.Endpoint) -> Checker:
        """Give what checks values by a schema. Raises InvalidDefinition."""
        try:
            schema = resources.read(self.text(endpoint))
            if not isinstance(schema, dict | bool):
                raise ValueError("a JSON Schema is a map")
            return Checker(schema)
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise errors.InvalidDefinition(f"{endpoint.uri} is no JSON Schema: {reason}") from error

    def text(self, endpoint: doc.Endpoint) -> str:
        """Give the text of a resource. Raises InvalidDefinition when it was not fetched."""
        uri = resources.raw(endpoint.uri)
        if uri not in self._texts:
            raise errors.InvalidDefinition(f"the resource {uri} was not fetched with this definition")
        return self._texts[uri]
