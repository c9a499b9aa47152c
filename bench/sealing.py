"""What encryption at rest costs: a commit and a read of a run, with and without (`python -m bench.sealing [URL]`).

The same batches in turn on two stores, so that what else the machine does meets both: 2,000 commits of a run one after the
other, each with a kilobyte of history, of state and of output, and a read of each. `off` is a store without encryption.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable

from interlock import config
from interlock.model.states import RunStatus
from interlock.store.open import open_store
from interlock.store.ports import Batch, NewRun, Store

_COMMITS = 2_000
_TEXT = b'{"text":"%s"}' % (b"x" * 1_000)


def _batch(run: str, seq: int) -> Batch:
    new = NewRun(
        run=run,
        namespace="default",
        id=run,
        definition="d",
        workflow="w",
        version="1.0.0",
        input=_TEXT,
        folder="/",
        owner="n",
    )
    return Batch(
        run=run,
        epoch=1,
        seq=seq,
        at=1.0 + seq,
        history=_TEXT,
        status=RunStatus.RUNNING,
        wake_at=None,
        head=_TEXT,
        output=_TEXT,
        started_at=1.0,
        accept=new if seq == 0 else None,
    )


async def _timed(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1e6


async def measure(stores: dict[str, Store]) -> None:
    run = f"bench-{time.time_ns()}"
    commits: dict[str, list[float]] = {name: [] for name in stores}
    reads: dict[str, list[float]] = {name: [] for name in stores}
    for seq in range(_COMMITS):
        for name, store in stores.items():
            commits[name].append(await _timed(store.journal.commit(_batch(run, seq))))
            reads[name].append(await _timed(store.journal.load(run)))
    for what, figures in (("commit", commits), ("read", reads)):
        for name, each in figures.items():
            ordered = sorted(each)
            p50, p99 = statistics.median(each), ordered[len(ordered) * 99 // 100]
            sys.stdout.write(f"{what:7} {name:4} p50 {p50:7.0f} us  p99 {p99:7.0f} us\n")


async def main(urls: dict[str, str]) -> None:
    stores = {
        name: await open_store(url, secrets=config.Secrets(encrypt_payloads=name == "on")) for name, url in urls.items()
    }
    try:
        await measure(stores)
    finally:
        for store in stores.values():
            await store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        given = dict(zip(("off", "on"), sys.argv[1:], strict=False))
        asyncio.run(main(given or {name: f"sqlite:///{folder}/{name}.db" for name in ("off", "on")}))
