"""Child runs: what `run: workflow` starts, accepted in the commit of the run that asks for them.

A child is a run like any other. Its parent's step ends with it, through the inbox, in the commit that ends the child; when
nobody waits for that step any more the child is asked to cancel. One that is not awaited goes its own way at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from interlock.engine import exchange
from interlock.engine.rows import Rows
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.task import Done, EffectRequest, Failed, FailureClass, Place, WorkflowTarget
from interlock.service import Clock
from interlock.store.ports import NewRun, Post, Store

_LATEST: Final = "latest"


class Children:
    """Turns requests for workflows into runs to accept."""

    def __init__(self, node: str, store: Store, clock: Clock, rows: Rows) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._rows = rows

    async def of(self, place: Place, requests: Sequence[EffectRequest]) -> tuple[list[NewRun], list[Post]]:
        """Give the children that a decision asks for, and the answers that can be given at once.

        Those are: accepted (for a child that is not awaited), and that there is no such workflow.
        """
        children: list[NewRun] = []
        answers: list[Post] = []
        for request in requests:
            target = request.target
            if not isinstance(target, WorkflowTarget):
                continue
            child = await self._child(place, request.effect, target)
            if child is None:
                answers.append(exchange.settled(place.run, request.effect, _unknown(target)))
                continue
            children.append(child)
            if not target.awaited:
                answers.append(exchange.settled(place.run, request.effect, Done(None)))
        return children, answers

    async def _child(self, place: Place, effect: int, target: WorkflowTarget) -> NewRun | None:
        version = None if target.version == _LATEST else target.version
        found = await self._store.journal.published(target.namespace, target.name, version)
        if found is None:
            return None
        run = self._clock.uuid()
        text, large = self._rows.input(Payload(target.input))
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
            parent_effect=effect if target.awaited else None,
            large=large,
        )


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
