"""Small questions about objects of Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


def state(pod: Object) -> Object:
    [container] = pod["status"].get("containerStatuses") or [{"state": {}}]
    return dict(container["state"])


def owner(found: Object) -> str:
    owners = found["metadata"].get("ownerReferences") or [{"name": ""}]
    return str(owners[0]["name"])


def matches(found: Object, query: dict[str, str]) -> bool:
    wanted = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
    return wanted.items() <= found["metadata"].get("labels", {}).items()


def merge(found: Object, changes: Object) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(found.get(name), dict):
            merge(found[name], value)
        else:
            found[name] = value


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
