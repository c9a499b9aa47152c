"""A process that runs many seeded workflows at once, to be killed at any moment: python herd.py STORE FIRST COUNT."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from acceptance.kitchen import CHILD, MODULE, SPOILED, Kitchen
from interlock import config
from interlock.app.session import Session


async def main(store: str, first: int, count: int) -> None:
    url = store if "://" in store else f"sqlite:///{store}"
    settings = config.Settings(store=config.Store(url=url), python=config.Python(allow=(MODULE,)))
    async with Session.open(settings) as app:
        await app.bring_node()
        await app.publish(CHILD, None)
        await app.publish(SPOILED, None)
        for each in await app.unattended():
            await app.take(each.row)
        runs = []
        for seed in range(first, first + count):
            text = Kitchen(seed).document()
            started = await app.start(text, input={"n": seed}, id=f"kitchen-{seed}", folder=Path.cwd())
            runs.append(started.run)
        print("started", flush=True)
        for run in runs:
            await app.finish(run)
        print("finished", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
