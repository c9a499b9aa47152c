"""The container that a step asks for, from its definition with every expression evaluated (OWS 1.0.3, run container)."""

from __future__ import annotations

from typing import Final

import msgspec

from interlock.engine.machine import StepFault
from interlock.model import duration, fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import ContainerTarget

_PORTS: Final = range(1, 65_536)
_NAMES: Final = {"pullPolicy": "pull_policy"}


def fields(given: dict[str, Json]) -> dict[str, Json]:
    """Give the fields of `ContainerTarget` but the command. Raises StepFault."""
    found = {_NAMES.get(key, key): value for key, value in given.items() if key not in ("ports", "lifetime")}
    ports = given.get("ports", {})  # a map: the grammar says so
    found["ports"] = {str(_port(outside)): _port(inside) for outside, inside in ports.items()}
    return found | _cleanup(given.get("lifetime", {}))


def in_shell(target: ContainerTarget) -> ContainerTarget:
    """Have the shell of its image run the command of a container, as the specification's examples of `command` expect.

    The arguments are its $1 and on. Without a command they are for what the image runs by itself, and need no shell.
    """
    if not target.command:
        return target
    return msgspec.structs.replace(target, command="sh", arguments=("-c", target.command, "sh", *target.arguments))


def _port(given: Json) -> int:
    text = str(given) if isinstance(given, int | str) and not isinstance(given, bool) else ""
    if not (text.isascii() and text.isdigit() and int(text) in _PORTS):
        raise _wrong(f"`ports` maps a port of the host to one of the container, 1 to 65535 each; {given!r} is none")
    return int(text)


def _cleanup(lifetime: dict[str, Json]) -> dict[str, Json]:
    """Give when the container is removed: the grammar has seen that `after` stands where it belongs."""
    found: dict[str, Json] = {"cleanup": lifetime["cleanup"]} if lifetime else {}
    if "after" in lifetime:
        try:
            found["cleanup_seconds"] = duration.parse(lifetime["after"])
        except (ValueError, OverflowError) as error:
            raise _wrong(f"`lifetime.after` of the container: {error}") from None
    return found


def _wrong(detail: str) -> StepFault:
    return StepFault(Fault(type=fault.EXPRESSION, status=400, title="Wrong type of value", detail=detail))
