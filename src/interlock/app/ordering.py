"""The order of tasks of graphs: the policy in force, and the stamps that it gives, which people may have renewed at run time.

A stamp is stored with its task, so another policy counts for what waits already only after it was stamped anew. The choice is
stored first: who stamps by the old one meanwhile finds out afterwards, and stamps once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from interlock import errors
from interlock.app.declared import Declared
from interlock.dispatch import policies
from interlock.dispatch.policies import Arriving, FairShare, Policy, Stamp
from interlock.model.task_graph import TaskSpec
from interlock.service import Clock
from interlock.store.ports import ALL, NewStamp, PoolRow, Store

if TYPE_CHECKING:
    from interlock.flow.taskgraph.document import TaskDefinition

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What nodes declared, with the policy by which tasks are ordered. `name`: its; `chosen`: by people, at run time."""

    declared: Declared
    chosen: str | None

    @property
    def name(self) -> str:
        return self.chosen or self.declared.policy

    def terms(self) -> tuple[str, float | None, dict[str, float]]:
        """Give all that stamps follow from."""
        return self.name, self.declared.ageing_seconds, self.declared.weights

    def policy(self) -> Policy:
        """Give the policy. Raises Invalid where it is not installed."""
        return policies.policy(self.name, ageing_seconds=self.declared.ageing_seconds, weights=self.declared.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What became of a choice. `changed`: another policy was in force before; `stamped`: tasks that were given
    a place anew."""

    order: InForce
    changed: bool
    stamped: int


class Ordering:
    """The order of the tasks in one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def in_force(self) -> InForce:
        """Give the policy in force; the default before a node has declared any."""
        rows = await self._store.pools.all()
        return in_force(next((row for row in rows if row.pool == ALL), None))

    async def choose(self, name: str | None) -> Chosen:
        """Order all tasks by a policy, those that wait already too; None: by the configured one.

        A choice that was broken off is made good by the next, of the same policy too. Raises Invalid for one that is not
        known here, and Conflict before a node has declared its pools.
        """
        if name is not None:
            policies.named(name)
        rows = {row.pool: row for row in await self._store.pools.all()}
        if ALL not in rows:
            raise errors.Conflict("no node has declared its pools yet, so there is no order to change; start one first")
        before = in_force(rows[ALL])
        InForce(declared=before.declared, chosen=name).policy()  # raises, before anything is changed
        await self._store.pools.choose(name)
        stamped = await self.renew()
        order = await self.in_force()
        return Chosen(order=order, changed=order.name != before.name, stamped=stamped)

    async def renew(self) -> int:
        """Stamp what is not done in every graph as the policy in force has it; gives how many tasks moved."""
        stamping = await self._stamping(await self.in_force())
        moved, after = 0, ("", "")
        while page := await self._store.tasks.graphs(None, after, _PAGE):
            for graph in page:
                moved += await self._renew(graph.graph, stamping)
            after = (page[-1].namespace, page[-1].name)
        await self._store.pools.reach(stamping.reached)
        return moved

    async def renew_configured(self, before: InForce) -> int:
        """Stamp all anew where a node has declared another order than was declared `before`; gives how many tasks moved.

        Graphs are often loaded before the first node starts, and a configuration changes while nodes are away.
        """
        order = await self.in_force()
        return await self.renew() if order.terms() != before.terms() else 0

    async def renew_since(self, before: InForce, graph: str) -> None:
        """Stamp a graph once more whose tasks were stamped by a policy that is not in force any more."""
        order = await self.in_force()
        if order.name != before.name:
            keys = {task.spec.key for task in await self._store.tasks.stamped(graph)}
            stamping = await self._stamping(order, keys)
            await self._renew(graph, stamping)
            await self._store.pools.reach(stamping.reached)

    async def stamps(
        self, order: InForce, tasks: Sequence[TaskDefinition], now: float, remembered: Mapping[str, float]
    ) -> dict[str, Stamp]:
        """Give the stamps of tasks that are about to be stored, by id. `remembered`: how long each took before, by id."""
        stamping = await self._stamping(order, {each.spec.key for each in tasks})
        found = {}
        for place, each in enumerate(tasks):
            spec = each.spec
            if each.deadline_seconds is not None:
                spec = msgspec.structs.replace(spec, deadline=now + each.deadline_seconds)
            found[spec.id] = stamping.stamp(spec, now, place, remembered)
        await self._store.pools.reach(stamping.reached)
        return found

    async def _stamping(self, order: InForce, keys: Set[str] = frozenset()) -> _Stamping:
        """`keys`: those that stand behind what they have stored; the others begin where all are."""
        policy = order.policy()
        shares = {} if not isinstance(policy, FairShare) else await self._store.pools.shares(["", *sorted(keys)])
        return _Stamping(policy, order.name, shares)

    async def _renew(self, graph: str, stamping: _Stamping) -> int:
        remembered = await self._store.tasks.durations(graph)
        stamps = []
        for task in await self._store.tasks.stamped(graph):
            after = stamping.stamp(task.spec, task.created_at, task.number - 1, remembered)
            if (task.priority, task.rank) != after:
                stamps.append(NewStamp(task=task.task, before=(task.priority, task.rank), after=after))
        await self._store.tasks.stamp(stamps)
        return len(stamps)


def in_force(together: PoolRow | None) -> InForce:
    """Give the policy in force as the row of all pools together says; the default before there is one."""
    if together is None:
        return InForce(declared=Declared(), chosen=None)
    return InForce(declared=msgspec.json.decode(together.settings, type=Declared), chosen=together.policy)


class _Stamping:
    """Stamps tasks one after another. `reached`: by key, how far each has come in its share; empty but for fair shares."""

    def __init__(self, policy: Policy, name: str, shares: Mapping[str, float]) -> None:
        self._policy = policy
        self._name = name
        self._everybody = shares.get("", 0.0)
        self._known = shares
        self.reached: dict[str, float] = {}

    def stamp(self, spec: TaskSpec, at: float, place: int, remembered: Mapping[str, float]) -> Stamp:
        """Give the stamp of a task that came at a moment, UTC seconds."""
        if spec.expected_seconds is None and spec.id in remembered:
            spec = msgspec.structs.replace(spec, expected_seconds=remembered[spec.id])
        if not isinstance(self._policy, FairShare):
            return policies.stamped(self._policy, self._name, Arriving(spec, at, place))
        began = self.reached.get(spec.key, max(self._everybody, self._known.get(spec.key, 0.0)))
        self.reached[spec.key] = began + self._policy.length(spec.key)
        return policies.stamped(self._policy, self._name, Arriving(spec, at, place, began))
