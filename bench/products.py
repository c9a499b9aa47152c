"""What is measured: Interlock and its peers, each on a store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import Final


class Kind(StrEnum):
    """What keeps the work."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    REDIS = "redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    subject: str
    """Its name in the table and on the command line."""
    distribution: str
    """The package on the index, by which its version is told."""
    module: str
    """What has its cases, as `CASES`."""
    kind: Kind
    durability: str
    """What a crash of the machine may take, and what is kept."""
    needs: tuple[str, ...] = ()
    """Packages besides its own."""

    def version(self) -> str | None:
        """Give the installed version, or None when it or what it needs is not installed."""
        try:
            for name in self.needs:
                metadata.version(name)
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


OWN: Final = "interlock"
_FSYNC: Final = "every commit is on the disk; results of steps kept"
_QUEUE: Final = "every commit is on the disk; no results kept"
_REDIS: Final = "Redis with `appendonly yes`, which may lose the last second; results kept, no workflows"

PRODUCTS: Final = {
    product.subject: product
    for product in (
        Product(
            subject="interlock-sqlite", distribution=OWN, module="bench.own.cases", kind=Kind.SQLITE, durability=_FSYNC
        ),
        Product(
            subject="interlock-postgresql", distribution=OWN, module="bench.own.cases", kind=Kind.POSTGRESQL,
            durability=_FSYNC,
        ),
        Product(
            subject="dbos-sqlite", distribution="dbos", module="bench.peers.dbos", kind=Kind.SQLITE, durability=_FSYNC
        ),
        Product(
            subject="dbos-sqlite-wal", distribution="dbos", module="bench.peers.dbos", kind=Kind.SQLITE,
            durability=f"{_FSYNC}; its file was put into WAL mode, which is not its default",
        ),
        Product(
            subject="dbos-postgresql", distribution="dbos", module="bench.peers.dbos", kind=Kind.POSTGRESQL,
            durability=_FSYNC,
        ),
        Product(
            subject="jq", distribution="jq", module="bench.peers.jq", kind=Kind.SQLITE,
            durability="no store: evaluates expressions only (W10)",
        ),
        Product(
            subject="pgqueuer", distribution="pgqueuer", module="bench.peers.pgqueuer", kind=Kind.POSTGRESQL,
            durability=_QUEUE, needs=("asyncpg",),
        ),
        Product(
            subject="taskiq", distribution="taskiq", module="bench.peers.taskiq", kind=Kind.REDIS, durability=_REDIS,
            needs=("taskiq-redis",),
        ),
        Product(
            subject="procrastinate", distribution="procrastinate", module="bench.peers.procrastinate",
            kind=Kind.POSTGRESQL, durability=_QUEUE,
        ),
        Product(
            subject="celery", distribution="celery", module="bench.peers.celery", kind=Kind.REDIS, durability=_REDIS,
            needs=("redis",),
        ),
        Product(
            subject="huey", distribution="huey", module="bench.peers.huey", kind=Kind.SQLITE,
            durability="every commit is on the disk; results kept, no workflows; a task in flight is lost with its process",
        ),
    )
}  # fmt: skip
