"""Which processes may share a store while it is upgraded.

A migration that an older process can live with (a new table, a column with a default) is just applied. One that it cannot
begins with the line `-- incompatible`; the newest such migration is recorded in `meta` as `needs`, and a process that does
not know it refuses the store. So old and new processes can be mixed during a rolling upgrade as long as nothing
incompatible was applied.
"""

from __future__ import annotations

from collections.abc import Set

from interlock import errors
from interlock.store.sql import statements

_MARK = "-- incompatible"


def is_incompatible(up: str) -> bool:
    """Say whether a migration is one that older processes cannot live with."""
    return up.startswith(_MARK)


def pending(dialect: str, applied: Set[str], needs: str | None) -> list[str]:
    """Give the migrations that a store lacks, in order. Raises StoreCorrupt when it needs one that is unknown here."""
    known = statements.migrations(dialect)
    if needs is not None and needs not in known:
        raise errors.StoreCorrupt(
            f"the store was written by a newer Interlock (migration {needs}); install that version or a later one"
        )
    return [name for name in known if name not in applied]
