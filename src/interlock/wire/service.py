"""What a server tells of itself, and its keys."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from interlock.wire.runs import Namespace


class Health(msgspec.Struct, kw_only=True):
    status: str
    version: str
    uptime_seconds: float


class Ready(msgspec.Struct, kw_only=True):
    """`reasons`: against it; none when the server can take work."""

    ready: bool
    reasons: list[str]


class ClusterHealth(msgspec.Struct, kw_only=True):
    """`status`: healthy, degraded (something waits for somebody who is not there) or down (nobody executes runs)."""

    status: Literal["healthy", "degraded", "down"]
    nodes: int
    engines: int
    dispatchers: int
    workers: int
    stranded: int
    oldest_inbox_seconds: float | None


class Who(msgspec.Struct, kw_only=True):
    """Who sends the request. `namespaces`: null for all."""

    name: str
    role: str
    namespaces: list[str] | None


class AuditEntry(msgspec.Struct, kw_only=True):
    """Who changed what, and when."""

    number: int
    at: float
    actor: str
    action: str
    target: str


class AuditPage(msgspec.Struct, kw_only=True):
    """Newest first. `next`: what `before` is for the page after it."""

    items: list[AuditEntry]
    next: int | None = None


class NewKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Literal["viewer", "operator", "worker", "admin"]
    namespaces: list[Namespace] | None = None
    expires: Annotated[float, Meta(ge=60, le=315_360_000, description="Seconds until it is over.")] | None = None


class KeyTold(msgspec.Struct, kw_only=True):
    id: str
    name: str
    role: str
    namespaces: list[str] | None
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None


class CreatedKey(KeyTold, kw_only=True):
    """`key` is told this once."""

    key: str


class KeyList(msgspec.Struct, kw_only=True):
    items: list[KeyTold]
    next: str | None = None
