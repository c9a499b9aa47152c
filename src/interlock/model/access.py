"""Who may do what: roles, the rights that each has, and whoever a key or a session stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    READ = "read"
    """See everything of the namespaces."""
    OPERATE = "operate"
    """Start, cancel, suspend, resume and retry runs, send events, change memory and locks, complete steps in person."""
    WORK = "work"
    """Register a worker, claim tasks, report attempts."""
    PUBLISH = "publish"
    """Publish definitions, which is running code."""
    ADMINISTER = "administer"
    """Make and revoke keys, drain and remove nodes, change settings."""


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    WORKER = "worker"
    ADMIN = "admin"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.OPERATE}),
    Role.WORKER: frozenset({Right.READ, Right.WORK}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever acts. `name`: as the audit log has it; `namespaces`: to which the rights are limited, None for no limit."""

    name: str
    role: Role
    namespaces: tuple[str, ...] | None

    def may(self, right: Right, namespace: str | None) -> bool:
        """Say whether something is allowed in a namespace.

        `namespace` None: it concerns all of them, or none, as nodes and keys do; who is limited to some may not.
        """
        within = self.namespaces is None or (namespace is not None and namespace in self.namespaces)
        return within and right in RIGHTS[self.role]
