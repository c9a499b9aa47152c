"""Puts coordination under processes that fight, die, stop and are cut off, and keeps what came of it for the page.

    PYTHONPATH=src:tests python -m chaos.coordination            prints
    PYTHONPATH=src:tests python -m chaos.coordination --record   also writes docs/explanation/reliability.json

It takes about ten minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import histories
import postgres
from acceptance.test_histories import TTL_SECONDS, Fleet, Place, placed
from acceptance.test_locks import fight
from chaos import results
from interlock.coord.coordination import Coordination

CELL_SECONDS, LOCK_SECONDS = 60.0, 90.0
STORES = ("sqlite", "postgresql")


async def fought(place: Place, folder: Path) -> dict[str, Any]:
    async with Coordination(place.url):
        pass  # the schema is there
    return await asyncio.to_thread(fight, place.url, folder, 50, 1_000)


async def judged(place: Place, folder: Path, what: str, seconds: float) -> dict[str, Any]:
    fleet = Fleet(place, folder, what, seconds, seed=3)
    await fleet.rage()
    found = histories.read(folder)
    wrong = histories.wrong_cells(found) if what == "cells" else histories.wrong_locks(found, TTL_SECONDS)
    return {
        "histories": len(found),
        "calls": sum(map(len, found.values())),
        "unanswered": sum(call.answer is None for calls in found.values() for call in calls),
        "troubles": fleet.troubles,
        "wrong": len(wrong),
    }


async def run(kind: str, folder: Path) -> dict[str, Any]:
    """Give what became of a store of a kind."""
    figures: dict[str, Any] = {}
    for name in ("fight", "cells", "locks"):
        part = folder / name
        part.mkdir()
        async with placed(kind, part) as place:
            if name == "fight":
                figures[name] = await fought(place, part)
            else:
                figures[name] = await judged(place, part, name, CELL_SECONDS if name == "cells" else LOCK_SECONDS)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--store", choices=STORES, action="append", help="which; all when not given")
    given = parser.parse_args()
    wrong = 0
    try:
        for kind in given.store or STORES:
            with tempfile.TemporaryDirectory() as folder:
                figures = asyncio.run(run(kind, Path(folder)))
            sys.stdout.write(f"{kind}: {json.dumps(figures, indent=2)}\n")
            wrong += figures["cells"]["wrong"] + figures["locks"]["wrong"]
            if given.record:
                results.record("coordination", kind, figures)
    finally:
        postgres.close()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
