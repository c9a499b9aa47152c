"""Who a node is, and whether another one on this host is still there.

A process is named by host, boot and start time besides its pid, so that a pid that was given to another process since, or
a host that was restarted, is never mistaken for life. Containers may share all of these and see none of each other's
processes, so a process is looked for only from within its own namespace of pids.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from interlock import errors
from interlock.service import Clock
from interlock.store.ports import NodeRow
from interlock.version import VERSION

_MACHINE_PIDS = "pid:[4026531836]"  # the namespace outside of containers has this number on every Linux
_STARTED_FIELD = 21  # of /proc/<pid>/stat, counted from 0, after the command's closing parenthesis minus two


def here(clock: Clock, roles: str, *, pinned: bool) -> NodeRow:
    """Describe this process as a node. `pinned`: it serves only the run that it was started for."""
    pid = os.getpid()
    try:
        began = started(pid)
    except OSError as error:
        text = f"this process cannot look at itself ({error}), so that others could not tell whether it is alive"
        raise errors.StoreUnavailable(text, short_of=errors.short_of(error)) from error
    return NodeRow(
        node=clock.uuid(),
        host=socket.gethostname(),
        boot=_boot(),
        pid=pid,
        started=began or 0.0,
        roles=roles,
        version=VERSION,
        joined_at=clock.stamp(),
        pinned=pinned,
    )


def host() -> str:
    """Give the name of this machine as nodes have it."""
    return socket.gethostname()


def is_dead(node: NodeRow) -> bool:
    """Say whether a node of this host is certainly gone. False when it lives, or cannot be seen from here."""
    if node.host != socket.gethostname():
        return False
    boot = _boot()
    if not boot or not node.boot:
        return False
    if node.boot.partition("/")[0] != boot.partition("/")[0]:
        return True
    try:
        return node.boot == boot and started(node.pid) != node.started
    except OSError:  # whoever cannot see it must not take it for dead
        return False


def started(pid: int) -> float | None:
    """Give when a process started, in ticks since boot; None when there is none, or only its corpse.

    Raises OSError when that cannot be seen now, as by a process that may open no file.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else float(fields[_STARTED_FIELD - 2])


def _boot() -> str:
    """Give the id of this start of the machine and, in a container, `/` and its namespace of pids; empty for unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return boot if pids == _MACHINE_PIDS else f"{boot}/{pids}"
