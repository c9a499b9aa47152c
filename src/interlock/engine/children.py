"""Child runs: what `run: workflow` starts, accepted in the commit of the run that asks for them.

A child is a run like any other. Its parent's step ends with it, through the inbox, in the commit that ends the child; when
nobody waits for that step any more the child is asked to cancel. One that is not awaited goes its own way at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from interlock.engine import exchange
from interlock.engine.handing import Handing
from interlock.engine.live import LiveRun
from interlock.engine.rows import Rows
from interlock.flow.python import registry
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.task import Done, EffectRequest, Failed, FailureClass, Place, WorkflowTarget
from interlock.secrets import revealed as revealing
from interlock.service import Clock
from interlock.store.ports import Definition, NewRun, Post, Store

_LATEST: Final = "latest"


class Children:
    """Turns requests for workflows into runs to accept, and their ends into what their parents are told."""

    def __init__(self, node: str, store: Store, clock: Clock, rows: Rows, handing: Handing) -> None:
        self._node = node
        self._handing = handing
        self._store = store
        self._clock = clock
        self._rows = rows

    async def of(self, place: Place, requests: Sequence[EffectRequest]) -> tuple[list[NewRun], list[Post]]:
        """Give the children that a decision asks for, and the answers that can be given at once.

        Those are: accepted (for a child that is not awaited), that there is no such workflow, and that it may not have a
        secret that is in its input.
        """
        children: list[NewRun] = []
        answers: list[Post] = []
        for request in requests:
            target = request.target
            if not isinstance(target, WorkflowTarget):
                continue
            child = await self._child(place, request, target)
            if isinstance(child, Failed):
                answers.append(exchange.settled(place.run, request.effect, child))
                continue
            children.append(child)
            if not target.awaited:
                answers.append(exchange.settled(place.run, request.effect, Done(None)))
        return children, answers

    async def told(self, live: LiveRun) -> list[Post]:
        """Give what the parent of a run is told when the run has ended."""
        state = live.state
        if live.parent is None or state is None or not state.ended:
            return []
        parent, effect = live.parent
        outcome = exchange.outcome(state)
        if live.graph is not None and live.graph.secrets and revealing.may_hold(outcome):
            taker = await self._store.journal.load(parent)
            if taker is not None:
                outcome = await self._handing.outcome(
                    outcome, giver=live.run, taker=parent, definition=taker.definition, name=f"the run {taker.id}"
                )
        return [exchange.settled(parent, effect, outcome)]

    async def _child(self, place: Place, request: EffectRequest, target: WorkflowTarget) -> NewRun | Failed:
        if target.definition:
            found = await self._defined(target)
        else:
            version = None if target.version == _LATEST else target.version
            found = await self._store.journal.published(target.namespace, target.name, version)
        if found is None:
            return _unknown(target)
        run = self._clock.uuid()
        given = Payload(target.input)
        if request.has_secrets:
            name = f"{found.namespace}/{found.name}:{found.version}"
            taken = await self._handing.value(given, giver=place.run, taker=run, definition=found.digest, name=name)
            if isinstance(taken, Failed):
                return taken
            given = taken
        text, large = self._rows.input(given)
        return NewRun(
            run=run,
            namespace=target.namespace,
            id=run,
            definition=found.digest,
            workflow=found.name,
            version=found.version,
            input=text,
            folder=place.folder,
            owner=self._node,
            parent=place.run,
            parent_effect=request.effect if target.awaited else None,
            large=large,
        )

    async def _defined(self, target: WorkflowTarget) -> Definition | None:
        """Give a definition by its digest; that of a Python workflow is stored when it is first called here."""
        found = await self._store.journal.definition(target.definition)
        workflow = registry.workflow(target.namespace, target.name, target.version) if found is None else None
        if workflow is None or workflow.digest != target.definition:
            return found
        made = Definition(
            digest=workflow.digest,
            namespace=workflow.namespace,
            name=workflow.name,
            version=workflow.version,
            source=workflow.source,
        )
        await self._store.journal.define(made)
        return made


def _unknown(target: WorkflowTarget) -> Failed:
    name = f"{target.namespace}/{target.name}:{target.version}"
    return Failed(
        FailureClass.INVALID,
        Fault(
            type=fault.CONFIGURATION,
            status=404,
            title="No such workflow",
            detail=f"no workflow {name} is published; `interlock publish FILE` publishes one",
        ),
    )
