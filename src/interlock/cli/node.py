"""Commands about nodes: node, nodes list, nodes drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from interlock import errors, telemetry
from interlock.app import loading
from interlock.app.roles import ROLES
from interlock.app.serving import Serving, executing
from interlock.app.standing import standing
from interlock.cli import context, far, glyphs
from interlock.cli.attend import INTERRUPTED
from interlock.cli.options import options
from interlock.cli.output import answer, note, reserved
from interlock.model import duration, json
from interlock.store.ports import NodeState
from interlock.wire import coordination

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TOLD: Final = {
    "node.joined", "node.left", "node.lost", "node.draining", "node.store_away", "node.buried", "node.deaf", "node.heard",
    "node.readiness", "node.short", "node.enough", "run.claimed", "run.found", "run.refused", "run.released",
    "run.dropped", "attempt.adopted", "attempt.lost", "attempt.broken", "retention.pruned", "loop.failed",
    "python.step_in_finally", "worker.registered", "worker.listens", "worker.took", "worker.ended", "worker.drained",
    "worker.deregistered", "worker.recovered", "worker.lost", "worker.unheard", "worker.heartbeat_failed",
    "worker.scan_failed", "worker.scan_works", "worker.no_context", "server.listens", "server.failed",
    "delivery.failed", "delivery.expired", "delivery.superseded", "delivery.reconciled", "task.deadlock",
    "task.deadlock_error", "task.deadlock_over", "task.deadlock_ended", "pool.scaled", "pool.not_scaled", "pool.shrinks",
    "task.placed", "task.completed", "task.failed", "task.tried_again", "task.cancelled", "task.stuck",
    "task.not_prepared", "pool.ill", "pool.well", "pool.not_swept", "pool.quota_reached",
}  # fmt: skip
_ERRORS: Final = {"task.deadlock_error"}
_WRONG: Final = {
    "delivery.failed",
    "delivery.expired",
    "task.deadlock",
    "task.deadlock_ended",
    "task.failed",
    "task.stuck",
    "task.not_prepared",
    "pool.ill",
    "pool.quota_reached",
    "pool.not_swept",
    "pool.not_scaled",
    "server.failed",
    "worker.lost",
    "worker.unheard",
    "worker.heartbeat_failed",
    "worker.scan_failed",
    "worker.no_context",
    "node.lost",
    "node.store_away",
    "node.short",
    "node.deaf",
    "run.refused",
    "run.dropped",
    "attempt.broken",
    "loop.failed",
    "python.step_in_finally",
}
_PREFIX: Final = 4  # characters of a node's id that name it


async def node(modules: list[str], roles: str, seconds: float | None) -> int:
    """Serve until SIGTERM, SIGINT, a drain from elsewhere, or `seconds` have passed.

    `modules`: those whose Python workflows it can execute besides what python.allow names. Raises Invalid.
    """
    chosen = _roles(roles)
    loading.load(modules, context.folder())
    settings = context.settings()
    serving = Serving(settings, executing(chosen))
    detach = telemetry.attach(log)
    try:
        with reserved(), hearing(serving):
            await serving.run(seconds)
    finally:
        detach()
    return 0


def seconds(text: str | None) -> float | None:
    """Give the seconds of `--for`. Raises Invalid."""
    try:
        return None if text is None else duration.parse(text)
    except ValueError as error:
        raise errors.Invalid(f"--for {text!r}: {error}") from None


def _roles(text: str) -> list[str]:
    chosen = [role.strip() for role in text.split(",") if role.strip()]
    for role in chosen:
        if role not in ROLES:
            raise errors.Invalid(f"{role!r} is no role of a node; they are {', '.join(ROLES)}")
    if not chosen:
        raise errors.Invalid(f"a node without a role does nothing; the roles are {', '.join(ROLES)}")
    return chosen


@contextlib.contextmanager
def hearing(serving: Serving) -> Iterator[None]:
    """Drain at the first signal, and end at once at the second; heard even while a step keeps the loop busy."""
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        if heard:
            os._exit(INTERRUPTED)
        heard.append(number)
        loop.call_soon_threadsafe(serving.drain, signal.Signals(number).name)

    before = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log(name: str, fields: Mapping[str, Any]) -> None:
    """Write what operators want to know as one line of key=value. That the store is away is told once, not per loop."""
    if name not in _TOLD or isinstance(fields.get("error"), errors.StoreUnavailable | errors.StoreFull):
        return
    shown = dict(fields)
    if name == "node.readiness":
        reasons: Sequence[str] = shown.pop("reasons")
        shown = {"ready": not reasons} | ({"because": ", ".join(reasons)} if reasons else {})
    at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    level = "error" if name in _ERRORS else "warning" if name in _WRONG else "info"
    note(f"{at} {level} {name}" + "".join(f" {key}={_text(value)}" for key, value in shown.items()))


def _text(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    plain = text and all(character.isalnum() or character in "-_.:/,@" for character in text)
    return text if plain else json.encode(text).decode()


# -- the nodes of a store --------------------------------------------------------------------------------------------


async def list_nodes(*, as_json: bool) -> int:
    """List the nodes of a store, those that left today too."""
    if options.server is not None:
        async with far.opened() as server:
            told = await server.ask(coordination.Nodes, "GET", "/nodes")
        states, now = [_of_server(each) for each in told.items], server.now()
    else:
        async with context.existing() as app:
            await app.sweep()
            states = [_described(state) for state in await app.store.nodes.states(app.clock.stamp())]
            now = app.clock.now()
    if as_json:
        answer(json.encode(states).decode())
    elif states:
        _print(states, now)
    else:
        note("no node has used this store yet; `interlock node` starts one")
    return 0


def _described(state: NodeState) -> dict[str, Any]:
    row = state.node
    return {
        "node": row.node,
        "host": row.host,
        "pid": row.pid,
        "roles": row.roles.split(","),
        "version": row.version,
        "pinned": row.pinned,
        "state": standing(state),
        "unready": list(state.unready),
        "refusals": msgspec.to_builtins(state.refusals),
        "runs": state.runs,
        "attempts": state.attempts,
        "since": row.joined_at,
        "left": state.left_at,
    }


def _of_server(told: coordination.NodeTold) -> dict[str, Any]:
    """Give a node that a server tells of, as `_described`."""
    names = ("node", "host", "pid", "roles", "version", "pinned", "state", "unready", "refusals", "runs", "attempts")
    return {name: getattr(told, name) for name in (*names, "since", "left")}


def _print(states: Sequence[dict[str, Any]], now: float) -> None:
    table = [("node", "host", "pid", "roles", "version", "state", "runs", "attempts", "since")]
    for state in states:
        shown = state["state"]
        if shown == "live" and state["unready"]:
            shown = f"live ({', '.join(state['unready'])})"
        table.append(
            (
                glyphs.short(state["node"]),
                state["host"],
                str(state["pid"]),
                "its own runs" if state["pinned"] else ",".join(state["roles"]),
                state["version"],
                shown,
                str(state["runs"]),
                str(state["attempts"]),
                f"{duration.text(max(0.0, now - (state['since'] or now)))} ago",
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        answer("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


async def drain(node: str | None, *, all: bool) -> int:
    """Ask a node, or all of a store, to drain. Raises NotFound, Conflict."""
    if (node is None) is not all:
        raise errors.Invalid("name one node, or write --all")
    if options.server is not None:
        asked = await _drained_far(node)
    else:
        async with context.existing() as app:
            await app.sweep()
            states = [_described(state) for state in await app.store.nodes.states(app.clock.stamp())]
            named = None if node is None else _named(states, node)
            asked = await app.store.nodes.drain(named, app.clock.now())
            if named is not None and not asked:
                raise errors.Conflict(f"the node {named} drains already")
    note(f"asked {glyphs.counted(asked, 'node')} to drain; `interlock nodes list` shows how it goes")
    return 0


async def _drained_far(node: str | None) -> int:
    """Ask a node, or all, to drain through the server; give how many were asked."""
    async with far.opened() as server:
        states = [_of_server(each) for each in (await server.ask(coordination.Nodes, "GET", "/nodes")).items]
        named = None if node is None else _named(states, node)
        asked = [
            state
            for state in states
            if (state["node"] == named if named is not None else not state["pinned"])
            and state["state"] in ("live", "late")
        ]
        if named is not None and not asked:
            raise errors.Conflict(f"the node {named} drains already")
        for state in asked:
            await server.ask(coordination.Nodes, "POST", f"/nodes/{quote(state['node'], safe='')}/drain")
        return len(asked)


def _named(states: Sequence[dict[str, Any]], id: str) -> str:
    """Give the id of the one live node whose id begins with, or, as listed, is cut to, `id`."""
    found = [
        state
        for state in states
        if len(id) >= _PREFIX
        and (state["node"].startswith(id) or glyphs.short(state["node"]) == id)
        and state["state"] != "left"
    ]
    if not found:
        raise errors.NotFound(f"there is no live node {id!r}; `interlock nodes list` shows those there are")
    if len(found) > 1:
        raise errors.Conflict(f"{id!r} fits several nodes; write more of the id")
    if found[0]["pinned"]:
        raise errors.Conflict(
            f"the node {id!r} serves only the run of a command, and ends with it (pid {found[0]['pid']})"
        )
    return str(found[0]["node"])
