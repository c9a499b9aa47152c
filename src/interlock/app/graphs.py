"""Definitions by digest: stored once, compiled once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from interlock import errors
from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.check import Loaded
from interlock.flow.graph import Graph
from interlock.flow.meaning import limits
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
        return self.add(stored, check.load(stored.source, allowed=limits.ACCEPTED))

    def add(self, stored: Definition, loaded: Loaded) -> Graph:
        """Compile a definition and keep it under its digest. Raises InvalidDefinition."""
        graph = flow_compile.compile(loaded.required(), loaded.value, resources(stored))
        self._graphs[stored.digest] = graph
        while len(self._graphs) > _KEPT:
            self._graphs.popitem(last=False)
        return graph
