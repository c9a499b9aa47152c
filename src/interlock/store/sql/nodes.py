"""Nodes on SQL: their leases, and what becomes of the runs and tasks of the dead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock.flow.python.options import IN_PROCESS
from interlock.store.ports import Claimed, Looked, NodeRow, NodeState
from interlock.store.sql import ends, queue, sealing
from interlock.store.sql.transaction import Database, Row, Transaction

NODE: Final = "node"

_encode = msgspec.json.Encoder().encode
_refusals = msgspec.json.Decoder(dict[str, str])
_texts = msgspec.json.Decoder(list[str])


class SqlNodes:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, node: NodeRow, ttl_seconds: float) -> None:
        async def work(transaction: Transaction) -> None:
            await sealing.refuse_late(transaction)
            await transaction.run(
                "node_join",
                {
                    "node": node.node,
                    "host": node.host,
                    "boot": node.boot,
                    "pid": node.pid,
                    "started": node.started,
                    "roles": node.roles,
                    "version": node.version,
                    "pinned": int(node.pinned),
                    "now": node.joined_at,
                },
            )
            await transaction.run(
                "lease_put",
                {
                    "kind": NODE,
                    "name": node.node,
                    "holder": node.node,
                    "fence": 1,
                    "place": "",
                    "ttl": ttl_seconds,
                    "now": node.joined_at,
                },
            )

        await self._database.write(work, counted=False)

    async def leave(self, node: str, now: float | None) -> None:
        async def work(transaction: Transaction) -> None:
            await _end(transaction, node, now, losing=True)

        await self._database.write(work, counted=False)

    async def bury(self, node: str, now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            pinned = await transaction.rows("node_is_pinned", {"node": node})
            return await _end(transaction, node, now, losing=not pinned or bool(pinned[0][0]))

        return await self._database.write(work, counted=False)

    async def live(self, now: float | None) -> list[NodeRow]:
        return await self._by_lease(now, alive=True)

    async def expired(self, now: float | None) -> list[NodeRow]:
        return await self._by_lease(now, alive=False)

    async def look(self, now: float | None) -> Looked:
        async def work(transaction: Transaction) -> Looked:
            rows = await transaction.rows("nodes_look", {"now": now})
            live = [_node(row[:9]) for row in rows if row[9]]
            return Looked(live, len(live) < len(rows) or not rows or bool(rows[0][10]))

        return await self._database.read(work, once=True)

    async def ghosts(self) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("owners_without_lease", {})]

        return await self._database.read(work, once=True)

    async def _by_lease(self, now: float | None, *, alive: bool) -> list[NodeRow]:
        async def work(transaction: Transaction) -> list[NodeRow]:
            rows = await transaction.rows("nodes_by_lease", {"now": now, "alive": int(alive)})
            return [_node(row) for row in rows]

        return await self._database.read(work, once=True)

    async def claim_runs(
        self, node: str, limit: int, *, only: str | None = None, refused: Sequence[str] = ()
    ) -> list[Claimed]:
        async def work(transaction: Transaction) -> list[Claimed]:
            if only is not None:
                rows = await transaction.rows("run_claim", {"node": node, "run": only})
            else:
                rows = await transaction.rows("runs_claim", {"node": node, "limit": limit, "refused": _json(refused)})
            return [_claimed(row) for row in rows]

        return await self._database.write(work, counted=False)

    async def owned(self, node: str) -> list[Claimed]:
        async def work(transaction: Transaction) -> list[Claimed]:
            return [_claimed(row) for row in await transaction.rows("runs_owned", {"node": node})]

        return await self._database.read(work, once=True)

    async def unowned(self, refused: Sequence[str]) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.rows("run_unowned", {"refused": _json(refused)}))

        return await self._database.read(work)

    async def release(self, node: str, run: str, epoch: int, now: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            row = {"node": node, "run": run, "epoch": epoch, "at": now}
            return bool(await transaction.run("run_release", row))

        return await self._database.write(work, counted=False)

    async def states(self, now: float | None) -> list[NodeState]:
        async def work(transaction: Transaction) -> list[NodeState]:
            return [_state(row) for row in await transaction.rows("nodes_all", {"now": now})]

        return await self._database.read(work)

    async def drain(self, node: str | None, now: float) -> int:
        async def work(transaction: Transaction) -> int:
            return await transaction.run("node_drain", {"node": node, "at": now})

        return await self._database.write(work, counted=False)

    async def is_asked_to_drain(self, node: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            rows = await transaction.rows("node_asked", {"node": node})
            return bool(rows) and rows[0][0] is not None

        return await self._database.read(work, once=True)

    async def note(self, node: str, refusals: Mapping[str, str], unready: Sequence[str]) -> None:
        row = {"node": node, "refusals": _json(refusals), "unready": _json(unready)}

        async def work(transaction: Transaction) -> None:
            await transaction.run("node_note", row)

        await self._database.write(work, counted=False)

    async def forget(self, before: float) -> int:
        async def work(transaction: Transaction) -> int:
            return await transaction.run("nodes_forget", {"before": before})

        return await self._database.write(work, counted=False)


async def renew(transaction: Transaction, node: str, node_ttl: float, attempt_ttl: float, now: float | None) -> bool:
    """Prolong a node's lease and those of its attempts; False when the node was given up for dead."""
    ttls = {"node": node, "node_ttl": node_ttl, "attempt_ttl": attempt_ttl, "now": now}
    return bool(await transaction.rows("node_renew", ttls))


async def _end(transaction: Transaction, node: str, now: float | None, *, losing: bool) -> int:
    """End a node's lease: its runs are free and, `losing`, its attempts lost, all in one transaction.

    Those that ran in the node itself are lost with it whatever it was: nobody can adopt them, and until their own lease ran
    out they would keep the places of their limits from others.

    Runs before attempts, as in a commit, so that the two wait for each other in one order.
    """
    await transaction.run("lease_end", {"kind": NODE, "name": node})
    await transaction.run("node_leave", {"node": node, "now": now})
    freed = await transaction.run("runs_free_of", {"node": node, "now": now})
    held = {"holder": node, "kind": queue.ATTEMPT, "place": None if losing else IN_PROCESS}
    await ends.lost(transaction, await transaction.rows("leases_end_of_holder", held), now)
    return freed


def _node(row: Row) -> NodeRow:
    node, host, boot, pid, started, roles, version, joined_at, pinned = row
    return NodeRow(
        node=node,
        host=host,
        boot=boot,
        pid=pid,
        started=started,
        roles=roles,
        version=version,
        joined_at=joined_at,
        pinned=bool(pinned),
    )


def _state(row: Row) -> NodeState:
    lease_seconds, left_at, drain_at, refusals, unready, runs, attempts = row[9:]
    return NodeState(
        node=_node(row[:9]),
        lease_seconds=lease_seconds,
        left_at=left_at,
        drain_at=drain_at,
        refusals=_refusals.decode(refusals),
        unready=_texts.decode(unready),
        runs=runs,
        attempts=attempts,
    )


def _json(value: Mapping[str, str] | Sequence[str]) -> str:
    return _encode(value).decode()


def _claimed(row: Row) -> Claimed:
    run, epoch, wake_at, was_live = row
    return Claimed(run=run, epoch=epoch, wake_at=wake_at, was_live=bool(was_live))
