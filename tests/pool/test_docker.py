"""Pools of containers, on a real Docker and a real Podman: what every launcher must do, and what only containers do."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import site
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import engines
import interlock
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings, Quota
from pool.conformance import (
    Attempts,
    EndingConformance,
    FunctionConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from required import may_skip

__all__ = ["attempts"]

STORE = "store-of-the-tests"


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> engines.Engine:
    """The engine of this test process; started by the main thread, with which it ends."""
    if may_skip(request.param, engines.present(request.param)):
        pytest.skip(f"{request.param} is not installed, or this is not root")
    return engines.shared(request.param)


@pytest.fixture
def settings(engine: engines.Engine) -> DockerSettings:
    return DockerSettings(image=engines.IMAGE, host=engine.host, network="none", stop_seconds=0.5, pull_policy="never")


@pytest.fixture
async def launcher(settings: DockerSettings, engine: engines.Engine) -> AsyncIterator[DockerPool]:
    async with started(settings) as pool:
        yield pool
    assert engine.containers(**{"interlock.store": STORE}) == []


@contextlib.asynccontextmanager
async def started(settings: DockerSettings, **changes: Any) -> AsyncIterator[DockerPool]:
    """Give a pool with some settings changed."""
    pool = DockerPool(msgspec.structs.replace(settings, **changes), store=STORE)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


class TestContainers(ShellConformance, ScriptConformance, EndingConformance):
    """The suite for commands and scripts."""

    inside = "/workspace"
    slack = 4.0

    @pytest.fixture
    def settings(self, engine: engines.Engine) -> DockerSettings:
        """Node.js is that of this machine."""
        return DockerSettings(
            image=engines.IMAGE, host=engine.host, network="none", stop_seconds=0.5, pull_policy="never",
            volumes=("/usr:/usr:ro",) if shutil.which("node") else (),
        )  # fmt: skip


class TestFunctions(FunctionConformance):
    """The suite for functions, in an image that gets Interlock from here."""

    inside = "/workspace"
    slack = 4.0

    @pytest.fixture
    def settings(self, engine: engines.Engine) -> DockerSettings:
        if engine.kind == "podman":
            pytest.skip("what a function does there was seen on Docker")
        packages = sysconfig.get_paths()["purelib"]
        source = str(Path(interlock.__file__).parents[1])
        return DockerSettings(
            image=engines.IMAGE, host=engine.host, network="none", stop_seconds=0.5, pull_policy="never",
            volumes=(f"{packages}:/packages:ro", f"{source}:/source:ro"), environment={"PYTHONPATH": "/source:/packages"},
        )  # fmt: skip
