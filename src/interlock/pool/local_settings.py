"""The settings of a pool of local processes: what stands under `config:` of a pool of the type local-process."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock import errors
from interlock.config import readers
from interlock.flow import nearest
from interlock.model.task import Resources

_MEGABYTE: Final = 1024 * 1024
_WARM: Final = 2
_LOWEST_PRIORITY: Final = 19
_HIGHEST: Final = 2**63 - 1  # of a limit; `resource` takes no more


class Rlimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the system for each process of an attempt, not for all of them together; None leaves that of the node.

    `address_space`, `file_size`, `core`: bytes. `cpu_seconds`: of processor time; SIGXCPU, and a second later SIGKILL.
    `processes`: of the user, in all attempts; the system does not hold root to it.
    """

    address_space: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    processes: int | None = None
    file_size: int | None = None
    core: int | None = None


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How attempts run as processes of this machine.

    `python_path`: the interpreter of scripts in Python; None for the node's own, which functions have in any case.
    `working_dir`: where attempts start that name no folder. `environment`: what all attempts see. `nice`: how far they stand
    back for others, 0 to 19. `warm`: supervisors of each kind that are kept waiting.

    `enforce`: "rlimit" holds each process of an attempt to the memory that the attempt asked for, as a limit of its address
    space, and tells a failure for want of it as out_of_memory; programs that reserve much more than they use (Node.js,
    Java, CUDA) fail under it. "none", the default, does not enforce what was asked for. Control groups are not built.
    """

    python_path: str | None = None
    working_dir: str | None = None
    environment: dict[str, str] = {}
    rlimits: Rlimits = Rlimits()
    nice: int = 0
    warm: int = _WARM
    enforce: str = "none"

    def limits(self, resources: Resources) -> dict[str, int]:
        """Give the limits of the processes of an attempt, by the names of `runner.limits`."""
        given = {name: value for name, value in msgspec.structs.asdict(self.rlimits).items() if value is not None}
        if self.enforce == "rlimit" and resources.memory:
            asked = math.ceil(resources.memory * _MEGABYTE)
            given["address_space"] = min(asked, given.get("address_space", asked))
        return given


def read(config: Mapping[str, object]) -> LocalSettings:
    """Read the settings of a pool. Raises InvalidSettings, which names what is unknown, and what was probably meant."""
    found = _read(config, _SETTINGS, "config")
    enforce = found.pop("memory", "none")
    return LocalSettings(**found, enforce=enforce)


def _read(value: object, known: Mapping[str, Callable[[object], Any]], where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise errors.InvalidSettings(f"{where} of a local-process pool is {value!r}; give keys and values")
    found: dict[str, Any] = {}
    for key, given in value.items():
        if key not in known:
            near = nearest.name(str(key), known)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(known)}"
            raise errors.InvalidSettings(f"{where} of a local-process pool has no key {key!r}: {hint}")
        try:
            found[key] = known[key](given)
        except ValueError as error:
            raise errors.InvalidSettings(f"{where}.{key} of a local-process pool is {given!r}; give {error}") from None
    return found


def _program(value: object) -> str:
    path = readers.text(value)
    if not (os.path.isabs(path) and os.access(path, os.X_OK) and Path(path).is_file()):
        raise ValueError("the absolute path of a Python interpreter that is on this machine")
    return path


def _folder(value: object) -> str:
    path = readers.text(value)
    if not os.path.isabs(path):
        raise ValueError("the absolute path of a folder")
    return path


def _variables(value: object) -> dict[str, str]:
    wanted = ValueError("names with texts, numbers or truth values")
    if not isinstance(value, Mapping):
        raise wanted
    variables = {}
    for name, given in value.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise wanted
        match given:
            case bool():
                variables[name] = str(given).lower()
            case str() | int() | float() if "\0" not in str(given):
                variables[name] = str(given)
            case _:
                raise wanted
    return variables


def _between(lowest: int, highest: int, reader: Callable[[object], float], what: str) -> Callable[[object], int]:
    def read_number(value: object) -> int:
        try:
            number = reader(value)
        except ValueError as error:
            raise ValueError(f"{what}, as {error}") from None
        if not lowest <= number <= highest:
            raise ValueError(f"{what}, from {lowest}" + (f" to {highest}" if highest < _HIGHEST else ""))
        return math.ceil(number)

    return read_number


def _rlimits(value: object) -> Rlimits:
    return Rlimits(**_read(value, _RLIMITS, "config.rlimits"))


def _memory(value: object) -> str:
    enforce: str = _read(value, {"enforce": readers.text}, "config.memory").get("enforce", "none")
    if enforce == "cgroup":
        detail = "it is not built; use rlimit, or a pool of containers"
        raise errors.InvalidSettings(f"config.memory.enforce of a local-process pool is 'cgroup': {detail}")
    if enforce not in ("rlimit", "none"):
        raise errors.InvalidSettings(
            f"config.memory.enforce of a local-process pool is {enforce!r}; give rlimit or none"
        )
    return enforce


_RLIMITS: Final[dict[str, Callable[[object], int]]] = {
    "address_space": _between(1, _HIGHEST, readers.size, "a size"),
    "cpu_seconds": _between(1, _HIGHEST, readers.seconds, "a time"),
    "open_files": _between(8, _HIGHEST, readers.count, "a number"),
    "processes": _between(1, _HIGHEST, readers.count, "a number"),
    "file_size": _between(0, _HIGHEST, readers.size, "a size"),
    "core": _between(0, _HIGHEST, readers.size, "a size"),
}
_SETTINGS: Final[dict[str, Callable[[object], object]]] = {
    "python_path": _program,
    "working_dir": _folder,
    "environment": _variables,
    "rlimits": _rlimits,
    "nice": _between(0, _LOWEST_PRIORITY, readers.count, "a number"),
    "warm": _between(0, 64, readers.count, "a number"),
    "memory": _memory,
}
