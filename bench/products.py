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
    )
}  # fmt: skip
