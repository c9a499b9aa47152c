"""Pools of containers for tests: a pool on a real engine, with all that is left on that."""

from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import engines
import interlock
from interlock.model.task import (
    Failed,
    FailureClass,
    Outcome,
    Target,
)
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch
from required import may_skip

STORE = "store-of-the-tests"
PODMAN = pytest.param("podman", marks=pytest.mark.engines)
GRACE = 60.0


@pytest.fixture(params=["docker", PODMAN])
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
    pool = DockerPool(settings, store=STORE)
    await pool.start()
    yield pool
    await pool.stop()
    await pool.stop()
    assert engine.containers(**{"interlock.store": STORE}) == []


@pytest.fixture
def with_interlock(settings: DockerSettings) -> DockerSettings:
    """Settings that bring Interlock into the image from here."""
    packages = sysconfig.get_paths()["purelib"]
    source = str(Path(interlock.__file__).parents[1])
    return msgspec.structs.replace(
        settings,
        volumes=(f"{packages}:/packages:ro", f"{source}:/source:ro"),
        environment={"PYTHONPATH": "/source:/packages"},
    )


class Home:
    """A pool with settings of a test's own, and what was left on its engine."""

    def __init__(self, engine: engines.Engine, settings: DockerSettings, folder: Path, mark: str) -> None:
        self.engine = engine
        self.settings = settings
        self.folder = folder
        self.mark = mark
        self.heard: list[tuple[str, str]] = []
        self.pool = DockerPool(settings, store=STORE)

    def launch(self, target: Target, **fields: Any) -> Launch:
        name, _, value = self.mark.partition("=")
        environment = {name: value} | fields.pop("environment", {})
        given: dict[str, Any] = {"attempt": "task.1", "folder": str(self.folder), "orphan_grace_seconds": GRACE}
        return Launch(**given | fields, target=target, environment=environment)

    async def run(self, target: Target, **fields: Any) -> tuple[Outcome, dict[str, Any]]:
        """Give the outcome of an attempt and what the engine tells of its container."""
        running = await self.pool.launch(self.launch(target, **fields), self.hear)
        async with asyncio.timeout(60):
            outcome = await running.outcome()
        found = self.containers()
        state = self.engine.inspect(found[0]) if found else {}
        await running.forget()
        assert self.containers() == []
        return outcome, state

    def hear(self, stream: str, text: str) -> None:
        self.heard.append((stream, text))

    def printed(self, stream: str = "stdout") -> str:
        return "".join(text for name, text in self.heard if name == stream)

    def containers(self) -> list[str]:
        return self.engine.containers(**{"interlock.store": STORE})


@pytest.fixture
async def home(
    request: pytest.FixtureRequest, engine: engines.Engine, settings: DockerSettings, tmp_path: Path, mark: str
) -> AsyncIterator[Home]:
    """The pool of a test; the parameters are settings to change."""
    changes = getattr(request, "param", {})
    home = Home(engine, msgspec.structs.replace(settings, **changes), tmp_path, mark)
    await home.pool.start()
    yield home
    await home.pool.stop()
    for container in home.containers():
        engine.call("DELETE", f"/containers/{container}?force=1&v=1")


def failed(outcome: Outcome, failure: FailureClass) -> str:
    """Give what a failure of a class says."""
    assert isinstance(outcome, Failed), outcome
    assert outcome.failure is failure, outcome
    return f"{outcome.fault.title}: {outcome.fault.detail}"
