"""How a node stands with the others: hears that it is to drain, and writes down what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from interlock import errors, telemetry
from interlock.app.readiness import STORE_AWAY, Readiness
from interlock.engine import identity
from interlock.service import Loop
from interlock.store.ports import NodeState, Store

_ROUND_SECONDS: Final = 5.0  # between looks: nobody is in such a hurry, and every one costs a read


class Standing(Loop):
    """Looks every 5 s; `asked` is called when somebody asked this node to drain."""

    def __init__(
        self, node: str, store: Store, readiness: Readiness, refusals: Mapping[str, str], asked: Callable[[], None]
    ) -> None:
        super().__init__("standing", _ROUND_SECONDS)
        self._node = node
        self._store = store
        self._readiness = readiness
        self._refusals = refusals
        self._asked = asked
        self._noted: tuple[dict[str, str], tuple[str, ...]] = ({}, ())

    async def round(self) -> bool:
        try:
            if await self._store.nodes.is_asked_to_drain(self._node):
                self._asked()
            known = dict(self._refusals), tuple(reason for reason in self._readiness.reasons if reason != STORE_AWAY)
            if known != self._noted:
                await self._store.nodes.note(self._node, *known)
                self._noted = known
        except (errors.StoreUnavailable, errors.StoreFull) as error:
            telemetry.emit("store.away", node=self._node, error=error)
            self._readiness.add(STORE_AWAY)
            return False
        self._readiness.remove(STORE_AWAY)
        return False


def standing(state: NodeState) -> str:
    """Say how a node stands: live, draining, late (its lease ran out, nobody buried it yet) or left."""
    if state.left_at is not None or state.lease_seconds is None:
        return "left"
    if state.lease_seconds <= 0 or identity.is_dead(state.node):
        return "late"
    return "live" if state.drain_at is None else "draining"
