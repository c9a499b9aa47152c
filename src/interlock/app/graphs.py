"""Definitions by digest: stored once, compiled once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from interlock import errors
from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.check import Loaded
from interlock.flow.graph import Graph
from interlock.flow.meaning import limits
from interlock.flow.python import workflow as programs
from interlock.flow.python.workflow import Workflow
from interlock.model import json
from interlock.model.event import LIST_END
from interlock.store.ports import Definition, Store

_KEPT: Final = 256


def definition(text: str, loaded: Loaded, fetched: Mapping[str, str]) -> Definition:
    """Give the stored form of a checked document. Its digest is that of the text as written, and of what was fetched."""
    header = loaded.required().document
    resources = msgspec.json.encode(fetched, order="sorted") if fetched else None
    digest = hashlib.sha256(text.encode())
    if resources is not None:
        digest.update(b"\0" + resources)
    return Definition(
        digest=digest.hexdigest(),
        namespace=header.namespace,
        name=header.name,
        version=header.version,
        source=text,
        resources=resources,
    )


def resources(stored: Definition) -> dict[str, str]:
    """Give what was fetched for a definition, by URI."""
    return {} if stored.resources is None else msgspec.json.decode(stored.resources, type=dict[str, str])


class Graphs:
    """Compiled definitions of one store, the most recently used ones kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._graphs: OrderedDict[str, Graph] = OrderedDict()

    async def graph(self, digest: str) -> Graph:
        """Give the graph of a stored definition. Raises NotFound, InvalidDefinition."""
        if digest in self._graphs:
            self._graphs.move_to_end(digest)
            return self._graphs[digest]
        stored = await self._store.journal.definition(digest)
        if stored is None:
            raise errors.NotFound(f"the definition {digest} is not in the store")
        return self._keep(stored.digest, compiled(stored))

    def program(self, workflow: Workflow[Any, Any]) -> Definition:
        """Give the stored form of a Python workflow, and keep its graph."""
        self._keep(workflow.digest, _of_program(workflow.source))
        return Definition(
            digest=workflow.digest,
            namespace=workflow.namespace,
            name=workflow.name,
            version=workflow.version,
            source=workflow.source,
        )

    def add(self, stored: Definition, loaded: Loaded) -> Graph:
        """Compile a definition and keep it under its digest. Raises InvalidDefinition."""
        return self._keep(stored.digest, _compiled(stored, loaded))

    def _keep(self, digest: str, graph: Graph) -> Graph:
        self._graphs[digest] = graph
        while len(self._graphs) > _KEPT:
            self._graphs.popitem(last=False)
        return graph


def compiled(stored: Definition) -> Graph:
    """Give the graph of a definition that was accepted before. Raises InvalidDefinition."""
    if programs.is_program(stored.source):
        return _of_program(stored.source)
    return _compiled(stored, check.load(stored.source, allowed=limits.ACCEPTED))


def _compiled(stored: Definition, loaded: Loaded) -> Graph:
    return flow_compile.compile(loaded.required(), loaded.value, resources(stored))


def _of_program(source: str) -> Graph:
    """Give the graph of a Python workflow: there is none, but for what the definition says."""
    return Graph(
        nodes={},
        first=LIST_END,
        definition=json.decode(source.encode()),
        input_schema=None,
        input_from=None,
        output_as=None,
        output_schema=None,
        timeout=None,
        program=programs.program(source),
    )
