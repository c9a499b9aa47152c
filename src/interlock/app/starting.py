"""Starts runs: by whichever node will, or by the node of this process at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock import errors
from interlock.app.acceptance import acceptance
from interlock.app.callers import Callers
from interlock.app.definitions import Definitions
from interlock.app.node import Node
from interlock.engine.conclusion import Conclusion
from interlock.engine.rows import Rows
from interlock.flow.graph import Graph
from interlock.flow.python import registry
from interlock.flow.python.workflow import Workflow
from interlock.model.callback import Callback
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.service import Clock
from interlock.store.ports import Committed, Definition, NewRun, Store

_LONGEST_ID: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was accepted.

    `fresh` False: a run with this id, definition and input was there before. `has_schedule`: the document has one, which
    a run started by hand does not follow; it runs once, now.
    """

    run: str
    namespace: str
    id: str
    fresh: bool
    has_schedule: bool = False
    conclusion: Conclusion | None = None
    """Told how it ended, where a node of this process executes it."""


class Starter:
    """Accepts runs of documents."""

    def __init__(self, store: Store, clock: Clock, rows: Rows, definitions: Definitions, callers: Callers) -> None:
        self._store = store
        self._clock = clock
        self._rows = rows
        self._definitions = definitions
        self._callers = callers

    async def start(
        self,
        node: Node | None,
        text: str,
        *,
        file: str | None = None,
        input: Json = None,
        id: str | None = None,
        namespace: str | None = None,
        folder: Path | None = None,
        callback: Callback | None = None,
    ) -> Started:
        """Accept a run of a document. It begins in `node`; None: it waits for whichever node will.

        The same id, definition and input give the run that is there. `callback`: whom to tell how it ends, stored with it.
        Raises InvalidDefinition, Conflict, and Invalid for a callback without a store key to seal it.
        """
        folder = (folder or Path.cwd()).absolute()
        stored, graph, has_schedule = await self._definitions.defined(text, file, folder)
        new = self._new(stored, id, namespace, folder)
        return await self._started(node, new, graph, Payload(input), callback, has_schedule=has_schedule)

    async def start_program(
        self,
        node: Node | None,
        workflow: Workflow[Any, Any],
        arguments: Json,
        *,
        id: str | None = None,
        namespace: str | None = None,
        folder: Path | None = None,
        within: Store | None = None,
        callback: Callback | None = None,
    ) -> Started:
        """Accept a run of a Python workflow; the rest as for `start`.

        `within`: the store of a transaction, which the run is accepted in; it begins after that is committed. Raises Invalid
        for arguments that do not fit.
        """
        _check_known(workflow)
        _check_arguments(workflow, arguments)
        stored, graph = await self._definitions.program(workflow, within)
        new = self._new(stored, id, namespace, folder.absolute() if folder else os.getcwd())
        return await self._started(node, new, graph, Payload(arguments), callback, within=within)

    async def start_programs(
        self,
        node: Node | None,
        workflow: Workflow[Any, Any],
        arguments: Sequence[Json],
        ids: Sequence[str | None],
        *,
        namespace: str | None = None,
        folder: Path | None = None,
    ) -> list[Started]:
        """Accept many runs of a Python workflow; each as `start_program` does."""
        _check_known(workflow)
        for each in arguments:
            _check_arguments(workflow, each)
        stored, graph = await self._definitions.program(workflow)
        place = folder.absolute() if folder else os.getcwd()
        new = [self._new(stored, id, namespace, place) for id in ids]
        values = [Payload(each) for each in arguments]
        conclusions: list[Conclusion | None] = [None] * len(new)
        if node is None:
            there = await self._store.journal.accept(
                [acceptance(each, value, self._rows, self._clock) for each, value in zip(new, values, strict=True)]
            )
        else:
            node.refuse_if_short()
            given = [
                (msgspec.structs.replace(each, owner=node.row.node), value, Conclusion())
                for each, value in zip(new, values, strict=True)
            ]
            committed = await node.engine.accept_all(given, graph)
            conclusions = [conclusion for _, _, conclusion in given]
            there = {each.run for each, what in zip(new, committed, strict=True) if what is not Committed.EXISTS}
        return [
            Started(run=each.run, namespace=each.namespace, id=each.id, fresh=True, conclusion=conclusion)
            if each.run in there
            else await self._existing(self._store, each, value)
            for each, value, conclusion in zip(new, values, conclusions, strict=True)
        ]

    def _new(self, stored: Definition, id: str | None, namespace: str | None, folder: Path | str) -> NewRun:
        run = self._clock.uuid()
        return NewRun(
            run=run,
            namespace=namespace or stored.namespace,
            id=checked_id(id) or run,
            definition=stored.digest,
            workflow=stored.name,
            version=stored.version,
            input=b"",
            folder=str(folder),
            owner=None,
        )

    async def _started(
        self,
        node: Node | None,
        new: NewRun,
        graph: Graph,
        value: Payload,
        callback: Callback | None,
        *,
        has_schedule: bool = False,
        within: Store | None = None,
    ) -> Started:
        if node is not None:
            node.refuse_if_short()
        new = await self._callers.with_callback(new, callback)
        if node is not None and within is None:
            owned = msgspec.structs.replace(new, owner=node.row.node)
            conclusion = Conclusion()
            committed = await node.engine.accept(owned, graph, value, conclusion)
        else:
            conclusion = None
            committed = await self._accept_only(within or self._store, new, value)
        if committed is Committed.EXISTS:
            started = await self._existing(within or self._store, new, value)
            await self._callers.join(within or self._store, started.run, started.namespace, callback)
            return started
        return Started(
            run=new.run,
            namespace=new.namespace,
            id=new.id,
            fresh=True,
            has_schedule=has_schedule,
            conclusion=conclusion,
        )

    async def _accept_only(self, store: Store, new: NewRun, value: Payload) -> Committed:
        """Store a run that whichever node can will begin."""
        return await store.journal.commit(acceptance(new, value, self._rows, self._clock))

    async def _existing(self, store: Store, new: NewRun, value: Payload) -> Started:
        row = await store.views.run(new.namespace, new.id)
        assert row is not None
        assert row.input is not None
        there = await self._rows.value(row.run, row.input, store.journal)
        if row.definition != new.definition or there != value:
            raise errors.Conflict(
                f"the run {new.id!r} exists with definition {row.definition[:12]} and input {there.digest[:12]}; "
                f"asked for were definition {new.definition[:12]} and input {value.digest[:12]}; choose another id"
            )
        return Started(run=row.run, namespace=row.namespace, id=row.id, fresh=False)


def checked_id(id: str | None) -> str | None:
    """Give a run id that somebody chose, if it can be one. Raises Invalid."""
    if id is not None and not (0 < len(id) <= _LONGEST_ID and id.isprintable()):
        raise errors.Invalid(f"the run id {id[:40]!r} is not 1 to {_LONGEST_ID} printable characters")
    return id


def _check_known(workflow: Workflow[Any, Any]) -> None:
    known = registry.workflow(workflow.namespace, workflow.name, workflow.version)
    if known is not None and known.reference != workflow.reference and known.version == workflow.version:
        raise errors.Conflict(
            f"{known.reference} and {workflow.reference} are both the workflow {workflow.namespace}/{workflow.name}:"
            f"{workflow.version}, so that nobody knows which of them executes its runs; give one another name or version"
        )


def _check_arguments(workflow: Workflow[Any, Any], arguments: Json) -> None:
    if not isinstance(arguments, dict):
        raise errors.Invalid(f"the input of {workflow.name} is the map of its arguments; it was given {arguments!r}")
    try:
        workflow.signature.call(arguments)
    except TypeError as error:
        raise errors.Invalid(str(error)) from error
