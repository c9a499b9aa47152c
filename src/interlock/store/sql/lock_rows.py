"""How locks stand in rows: what names a lock, its shares and its queue, and what a lease of each tells."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from interlock.store.ports import LockMode, LockRequest, LockRow, Renewed
from interlock.store.sql.transaction import Row

_MARK: Final = "\x1f"  # between a lock and what names its shares and its queue; in no name


class Detail(msgspec.Struct, frozen=True):
    """What is written beside a grant, or a place in a queue."""

    session: str
    nonce: str = ""
    limit: int = 1
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


encode = msgspec.json.Encoder().encode
_details = msgspec.json.Decoder(Detail)


class Lease(NamedTuple):
    """A grant of a lock, or (`kind` wait) a place in its queue: its `fence` is the ticket. `place`: its mode."""

    kind: str
    holder: str
    fence: int
    place: str
    expires_at: float
    ttl: float | None
    granted_at: float | None
    detail: bytes | None
    now: float


def detail_of(text: bytes) -> Detail:
    """Read what is written beside a lease."""
    return _details.decode(text)


def key_of(namespace: str, name: str) -> str:
    """Give what a lock's row is named by. Namespaces have no slash, so no two locks share a row."""
    return f"{namespace}/{name}"


def lease_of(row: LockRow) -> Renewed:
    """Give the lease that a grant is, as renewals name it."""
    key = key_of(row.namespace, row.name)
    if row.mode is LockMode.EXCLUSIVE:
        return Renewed(kind="lock", name=key, fence=row.fence)
    return Renewed(kind="share", name=share_of(key, row.fence), fence=row.fence)


def key_for(request: LockRequest) -> str:
    """Give what the row of the lock is named by that is asked for."""
    return key_of(request.namespace, request.name)


def share_of(key: str, fence: int) -> str:
    """Give what a share of a lock is named by."""
    return f"{key}{_MARK}{fence}"


def place_of(request: LockRequest) -> str:
    """Give what the place in the queue is named by of whoever asks."""
    return f"{key_for(request)}{_MARK}{request.session}"


def asked(request: LockRequest, now: float | None) -> dict[str, object]:
    """Give what the statements want to know of a request."""
    detail = Detail(request.session, request.nonce, request.limit, msgspec.Raw(request.metadata))
    return {
        "key": key_for(request), "holder": request.holder, "ttl": request.ttl_seconds, "detail": encode(detail), "now": now,
    }  # fmt: skip


def bounds(namespace: str | None) -> dict[str, Any]:
    """Give the names between which the locks of a namespace are; None: of all."""
    if namespace is None:
        return {"low": "", "high": "\U0010ffff"}
    return {"low": f"{namespace}/", "high": f"{namespace}0"}  # 0 comes after the slash


def lease_from(row: Row) -> Lease:
    """Give what `lock_state` tells of one lease."""
    return Lease(*row)


def is_grant(lease: Lease) -> bool:
    """Say whether a lease is a grant: it is no place in a queue, and was not released."""
    return lease.kind != "wait" and bool(lease.holder)


def told(lease: Lease) -> Detail:
    """Give what is written beside a lease."""
    assert lease.detail is not None
    return detail_of(lease.detail)


def row_of(namespace: str, name: str, lease: Lease) -> LockRow:
    """Give a grant as the port tells it."""
    detail = told(lease)
    assert lease.ttl is not None
    assert lease.granted_at is not None
    return LockRow(
        namespace=namespace,
        name=name,
        holder=lease.holder,
        session=detail.session,
        mode=LockMode(lease.place),
        limit=detail.limit,
        fence=lease.fence,
        granted_at=lease.granted_at,
        expires_at=lease.expires_at,
        ttl_seconds=lease.ttl,
        metadata=bytes(detail.metadata),
    )


def granted(request: LockRequest, row: Row) -> LockRow:
    """Give the grant that a statement has just made for a request."""
    fence, granted_at, expires_at = row
    return LockRow(
        namespace=request.namespace,
        name=request.name,
        holder=request.holder,
        session=request.session,
        mode=request.mode,
        limit=request.limit,
        fence=fence,
        granted_at=granted_at,
        expires_at=expires_at,
        ttl_seconds=request.ttl_seconds,
        metadata=request.metadata,
    )
