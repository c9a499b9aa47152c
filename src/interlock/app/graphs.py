"""Definitions by digest: stored once, compiled once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from interlock import errors
from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.check import Loaded
from interlock.flow.graph import Graph
from interlock.flow.meaning import limits
from interlock.store.ports import Definition, Store

_KEPT: Final = 256


def definition(text: str, loaded: Loaded) -> Definition:
    """Give the stored form of a checked document. Its digest is that of the text as written."""
    header = loaded.required().document
    return Definition(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        namespace=header.namespace,
        name=header.name,
        version=header.version,
        source=text,
    )


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
        return self.add(digest, check.load(stored.source, allowed=limits.ACCEPTED))

    def add(self, digest: str, loaded: Loaded) -> Graph:
        """Compile a definition and keep it under its digest. Raises InvalidDefinition."""
        graph = flow_compile.compile(loaded.required(), loaded.value)
        self._graphs[digest] = graph
        while len(self._graphs) > _KEPT:
            self._graphs.popitem(last=False)
        return graph
