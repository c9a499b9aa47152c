"""Checksums on spot machines while they have room, on demand when they are full or taken away.

    python examples/pools/fallback/run.py [FOLDER]

Both pools are processes of this machine here; the types `docker`, `kubernetes` and `ray` fall back alike, also when their
engine does not answer.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from desk import Desk, tell  # what starts the node, and brings the texts


def checksums(desk: Desk, graph: str) -> dict[str, dict[str, Any]]:
    """Have the checksum of every text made, a task each, and compare them."""
    names = {f"text{number}": text.name for number, text in enumerate(desk.texts)}
    desk.load(
        graph, [{"id": id, "run": {"shell": f"sha256sum texts/{name} > {graph}-{id}"}} for id, name in names.items()]
    )
    done = desk.done(graph)
    for id, name in names.items():
        found = (desk.folder / f"{graph}-{id}").read_text().split()[0]
        if found != hashlib.sha256((desk.folder / "texts" / name).read_bytes()).hexdigest():
            raise SystemExit(f"the checksum of {name} is wrong")
    where = Counter(task["pool"] for task in done.values())
    tell(f"{graph}: {len(done)} checksums are right; spot made {where['spot']}, on-demand {where['on-demand']}")
    return done


def first_in(done: dict[str, dict[str, Any]], graph: str, pool: str) -> str:
    return next(f"{graph}/{id}" for id, task in done.items() if task["pool"] == pool)


def main() -> int:
    with Desk(Path(__file__).parent) as desk:
        full = checksums(desk, "full")
        tell("  on demand, since spot was full:")
        desk.explain(first_in(full, "full", "on-demand"))
        desk.interlock("pools", "disable", "spot")
        away = checksums(desk, "away")
        tell("  on demand, since spot was taken away:")
        desk.explain(first_in(away, "away", "on-demand"))
    return 0 if all(task["pool"] == "on-demand" for task in away.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
