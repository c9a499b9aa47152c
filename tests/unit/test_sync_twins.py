"""Whatever can be awaited in public can be waited for too: `interlock.sync` has every method, with the same parameters."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import errors, sync
from interlock.app.deliveries import Deliveries
from interlock.app.run import Run
from interlock.app.tokens import Tokens
from interlock.client import fleet, graphs, groups, records
from interlock.coord.balancer import LoadBalancer
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.lock import Lock
from interlock.coord.locks import LockManager
from interlock.coord.memory import MemorySyncManager
from interlock.coord.watch import Watch
from interlock.coord.workers import WorkerRegistry
from interlock.sync import graphs as waiting_graphs
from interlock.sync import remote

TWINS: list[tuple[type, type, dict[str, str | None]]] = [
    (interlock.Interlock, sync.Interlock, {"session": None, "open": None}),
    (Run, sync.Run, {}),
    (Tokens, sync.Tokens, {}),
    (Deliveries, sync.Deliveries, {}),
    (interlock.Client, sync.Client, {"url": None, "namespace": None}),
    (groups.RemoteTokens, remote.RemoteTokens, {}),
    (groups.RemoteLocks, remote.RemoteLocks, {}),
    (groups.RemoteMemory, remote.RemoteMemory, {}),
    (records.RemoteArtifacts, remote.RemoteArtifacts, {}),
    (records.RemoteDefinitions, remote.RemoteDefinitions, {}),
    (records.RemoteDeliveries, remote.RemoteDeliveries, {}),
    (records.RemoteKeys, remote.RemoteKeys, {}),
    (fleet.RemoteFleet, remote.RemoteFleet, {}),
    (graphs.RemoteGraphs, waiting_graphs.RemoteGraphs, {}),
    (graphs.RemotePools, waiting_graphs.RemotePools, {}),
    (interlock.Coordination, sync.Coordination, {"store": None}),
    (LockManager, sync.LockManager, {"start": None, "stop": None}),
    (Lock, sync.Lock, {"released": None, "lost": None, "expired": None}),
    (MemorySyncManager, sync.MemorySyncManager, {"start": None, "stop": None}),
    (Watch, sync.Watch, {"aclose": "close"}),
    (WorkerRegistry, sync.WorkerRegistry, {}),
    (LoadBalancer, sync.LoadBalancer, {"stop": None}),
    (HeartbeatMonitor, sync.HeartbeatMonitor, {"look": None}),
]
"""Async class, sync class, and what is called otherwise there, or is (None) for the parts of Interlock only."""


def public(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(kind).items():
        if not name.startswith("_"):
            yield name, member.__func__ if isinstance(member, classmethod | staticmethod) else member


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Give the names of the parameters of a function, how each is given, and their defaults."""
    given = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in given if each.name not in ("self", "cls")]


def takes(function: Any, kind: Any) -> bool:
    """Say whether a function passes on what is given by name, whatever it is."""
    kinds = {each.kind for each in inspect.signature(function).parameters.values()}
    return kind is inspect.Parameter.KEYWORD_ONLY and inspect.Parameter.VAR_KEYWORD in kinds


def missing(asynchronous: type, waiting: type, named: dict[str, str | None]) -> list[str]:
    """Give what the sync class lacks of the async one."""
    found = []
    for name, member in public(asynchronous):
        other = named.get(name, name)
        if other is None:
            continue
        twin = vars(waiting).get(other)
        twin = twin.__func__ if isinstance(twin, classmethod | staticmethod) else twin
        if twin is None:
            found.append(f"{waiting.__name__}.{other}")
        elif isinstance(member, property):
            if not isinstance(twin, property):
                found.append(f"{waiting.__name__}.{other} as a property")
        elif inspect.isfunction(member):
            lacking = [each for each in parameters(member) if each not in parameters(twin) and not takes(twin, each[1])]
            found += [f"{waiting.__name__}.{other}({each[0]}={each[2]})" for each in lacking]
            if inspect.iscoroutinefunction(twin):
                found.append(f"{waiting.__name__}.{other}, which has to be awaited")
    return found


@pytest.mark.parametrize(("asynchronous", "waiting", "named"), TWINS, ids=[each[1].__name__ for each in TWINS])
def test_everything_public_can_be_waited_for(asynchronous: type, waiting: type, named: dict[str, str | None]) -> None:
    assert missing(asynchronous, waiting, named) == []


def test_coordination_is_made_of_the_same() -> None:
    assert parameters(sync.Coordination.__init__) == parameters(interlock.Coordination.__init__)


def test_every_part_of_coordination_has_a_twin() -> None:
    """A part that is added to Coordination has to be added to the list above."""
    parts = {
        inspect.signature(member.fget).return_annotation
        for _, member in public(interlock.Coordination)
        if isinstance(member, property)
    }

    assert parts - {"Store"} <= {each[0].__name__ for each in TWINS}


class _Awaited:
    async def look(self, place: str, times: int = 1) -> None: ...

    async def leave(self) -> None: ...

    @property
    def size(self) -> int:
        return 1


class _Waited:
    def look(self, place: str) -> None: ...

    def size(self) -> int:
        return 1


def test_what_has_no_twin_is_found() -> None:
    assert missing(_Awaited, _Waited, {}) == ["_Waited.look(times=1)", "_Waited.leave", "_Waited.size as a property"]
    assert missing(_Awaited, _Awaited, {})[0] == "_Awaited.look, which has to be awaited"


def test_names_are_exported_and_no_others() -> None:
    assert {getattr(sync, name).__name__ for name in sync.__all__} == set(sync.__all__)
    assert dir(sync) == sorted(sync.__all__)
    with pytest.raises(AttributeError, match=r"module 'interlock\.sync' has no attribute 'Nothing'"):
        _ = sync.Nothing


def test_who_coordinates_only_does_not_load_the_engine() -> None:
    script = "import sys; from interlock.sync import Coordination; print('interlock.engine' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(interlock.__file__).parents[1])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_portal_that_is_closed_says_so() -> None:
    portal = sync.Portal()
    portal.close()
    portal.close()

    async def nothing() -> None: ...

    with pytest.raises(errors.Invalid, match="was closed; open it again"):
        portal.call(nothing())
