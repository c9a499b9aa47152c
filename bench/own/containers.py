"""P3: what the Docker pool costs over a plain `docker run` of the same image.

The engine is one that the tests start for themselves, beside any other, with an image made here; so it needs root, dockerd
and a static busybox, as `tests/engines.py` does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import uuid
from pathlib import Path
from typing import Final

from bench.case import Figures, Given, stopwatch
from interlock.model.task import CommandTarget, Done
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch

_TESTS: Final = Path(__file__).resolve().parents[2] / "tests"
_WAIT_SECONDS: Final = 60.0
_COMMAND: Final = ("true",)


async def containers(given: Given) -> Figures:
    """P3: a container that does nothing, from its launch until its outcome is known and it is gone, and by `docker run`."""
    if given.url.startswith("postgresql"):
        raise NotImplementedError("the pool has nothing to do with the store: measured once, beside SQLite")
    if str(_TESTS) not in sys.path:
        sys.path.append(str(_TESTS))
    import engines  # noqa: PLC0415 (of the tests, which are no package)

    client = shutil.which("docker")
    if client is None or not engines.present("docker"):
        raise NotImplementedError(
            "no Docker engine can be started: it takes root, dockerd, runc, docker and busybox-static"
        )
    ours, plain = [], []
    try:
        engine = await asyncio.to_thread(engines.shared, "docker")
        settings = DockerSettings(image=engines.IMAGE, host=engine.host, network="none", pull_policy="never")
        pool = DockerPool(settings, store="bench")
        await pool.start()
        try:
            for _ in range(given.sizes.containers + 1):  # in turn: what slows the engine for a while slows both
                ours.append(await _by_pool(pool, str(given.folder)))
                plain.append(await _by_command(client, engine.host, engines.IMAGE, given.folder))
        finally:
            await pool.stop()
    finally:
        await asyncio.to_thread(engines.close)
    pool_ms, plain_ms = statistics.median(ours[1:]) * 1000, statistics.median(plain[1:]) * 1000
    return {"pool_ms": pool_ms, "plain_ms": plain_ms, "overhead_ms": pool_ms - plain_ms}


async def _by_pool(pool: DockerPool, folder: str) -> float:
    launch = Launch(attempt=uuid.uuid4().hex, target=CommandTarget(argv=_COMMAND), folder=folder)
    with stopwatch() as watch:
        running = await pool.launch(launch, lambda *_: None)
        outcome = await asyncio.wait_for(running.outcome(), _WAIT_SECONDS)
        await running.forget()
    if not isinstance(outcome, Done):
        raise RuntimeError(f"the container of the pool did not run: {outcome}")
    return watch.seconds


async def _by_command(client: str, host: str, image: str, folder: Path) -> float:
    """Let the command line do as much: the folder mounted, an init process, no network, removed at its end."""
    options = ("--rm", "--init", "--network", "none", "--volume", f"{folder}:/workspace", "--workdir", "/workspace")
    with stopwatch() as watch:
        process = await asyncio.create_subprocess_exec(
            client, "--host", host, "run", *options, image, *_COMMAND, stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        code = await asyncio.wait_for(process.wait(), _WAIT_SECONDS)
    if code:
        raise RuntimeError(f"`docker run` ended with {code}")
    return watch.seconds
