"""By which policy a node places: the one that people chose at run time, else the one that its configuration names."""

from __future__ import annotations

from interlock import errors, telemetry
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch import policies
from interlock.dispatch.configuration import Scheduling
from interlock.dispatch.policies import Policy
from interlock.store.ports import PoolRow


class PolicyInForce:
    """Follows what the row of all pools together says. Stamps are not its affair: whoever chooses a policy renews them."""

    def __init__(self, node: str, scheduling: Scheduling, configured: Policy) -> None:
        self._node = node
        self._scheduling = scheduling
        self._configured = configured
        self._wanted = scheduling.policy
        self.name = scheduling.policy
        self.policy = configured

    @property
    def strategy(self) -> PoolStrategy:
        """How pools are chosen."""
        return self.policy.strategy or self._scheduling.strategy

    def look(self, together: PoolRow | None) -> None:
        """Go by what was chosen. One that cannot be loaded here is told, and the configured one stays.

        `together`: the row of all pools, None before there is one.
        """
        chosen = None if together is None else together.policy
        wanted = chosen or self._scheduling.policy
        if wanted == self._wanted:
            return
        self._wanted, self.name, self.policy = wanted, self._scheduling.policy, self._configured
        if wanted != self._scheduling.policy:
            try:
                self.policy = policies.policy(
                    wanted,
                    ageing_seconds=self._scheduling.ageing_seconds,
                    weights=dict(self._scheduling.weights),
                )
            except errors.Invalid as error:
                telemetry.emit("policy.not_loaded", node=self._node, policy=wanted, stays=self.name, error=error)
                return
            self.name = wanted
        telemetry.emit("policy.changed", node=self._node, policy=self.name)
