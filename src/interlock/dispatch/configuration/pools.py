"""What the launcher of a type says of the `config` of its pools, told before a node starts, and all of it at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from interlock import errors
from interlock.flow import pointer
from interlock.flow.findings import Findings
from interlock.model.json import Json
from interlock.pool import local_settings, ray
from interlock.pool.docker import settings as docker_settings
from interlock.pool.kubernetes import settings as kubernetes_settings

_NO_CONFIG: Final = {
    "in-process": "its functions run in the node itself",
    "worker": "what its attempts get is said where `interlock worker` starts",
}
_RETRIES: Final = ("restart_policy", "backoff_limit")
"""What only Kubernetes could be told, and what it may be told only not to do."""
_BUDGET: Final = (
    "the dispatcher alone tries attempts again, and counts why: give the task a budget instead, such as"
    " `retry: {preempted: 10, lost: 3, application: 2}`"
)


def check(name: str, type: str, config: Mapping[str, Json], path: str, findings: Findings) -> None:
    """Note what is wrong with the `config` of a pool, which stands at `path`."""
    if type in _NO_CONFIG:
        for key in config:
            message = f"a pool of the type {type} has no `{key}`: {_NO_CONFIG[type]}"
            findings.add("unknown-property", message, pointer.child(path, key), at_key=True, found=key)
        return
    if type != "kubernetes":
        for key in (each for each in _RETRIES if each in config):
            message = f"a pool of the type {type} has no `{key}`: {_BUDGET}"
            findings.add("unknown-property", message, pointer.child(path, key), at_key=True, found=key)
        config = {key: value for key, value in config.items() if key not in _RETRIES}
    _ask(_reader(name, type), config, path, findings)


def _reader(name: str, type: str) -> Callable[[Mapping[str, Json]], object]:
    match type:
        case "local-process":
            return local_settings.read
        case "docker":
            return lambda config: docker_settings.read(config, name)
        case "kubernetes":
            return lambda config: kubernetes_settings.read(name, config)
        case "ray":
            return ray.read
    raise AssertionError(type)  # the grammar knows no other


def _ask(
    read: Callable[[Mapping[str, Json]], object], config: Mapping[str, Json], path: str, findings: Findings
) -> None:
    """Have a launcher read its settings, without each key that it refused again, until it is content.

    A reader raises at the first thing that is wrong; to tell all of them, the key at fault is found in its message.
    """
    left = dict(config)
    while True:
        try:
            read(left)
        except errors.Invalid as error:
            message = str(error)
        else:
            return
        key = _at_fault(message, left)
        if key is None:
            if len(left) == len(config) or not any(_names(message, gone) for gone in config if gone not in left):
                findings.add("invalid-value", message, path, at_key=True)
            return  # else it misses what was taken away
        findings.add("invalid-value", message, pointer.child(path, key), at_key=True, found=key)
        del left[key]


def _at_fault(message: str, config: Mapping[str, Json]) -> str | None:
    """Give the key that a message is about: the first one that it names."""
    places = {key: place for key in config if (place := _names(message, key))}
    return min(places, key=lambda key: (places[key], -len(key)), default=None)


def _names(message: str, key: str) -> int:
    """Say where a message names a key, from 1; 0: nowhere."""
    found = re.search(rf"(?<![\w-]){re.escape(str(key))}(?![\w-])", message)
    return 0 if found is None else found.start() + 1
