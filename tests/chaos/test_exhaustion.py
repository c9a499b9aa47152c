"""What runs out around a node that is at work: it says so, takes nothing new, keeps what it has, and goes on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

import postgres
import required
from chaos import errands, storm, works
from chaos.cluster import Cluster, Node, until
from chaos.watch import Eyes
from interlock.app.session import Session
from interlock.model.states import RunStatus
from interlock.store.open import open_store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

_MIB = 2**20
_SECONDS = 5.0
_LINES = 20
_CPU_SHARE = 0.3
HELLO = "document: {dsl: 1.0.3, namespace: default, name: hello, version: 1.0.0}\ndo: [{a: {set: {n: 1}}}]\n"


@dataclass
class World:
    """A node at work on a store, and who has something done."""

    cluster: Cluster
    url: str
    disk: Path
    node: Node
    app: Session

    @property
    def folder(self) -> Path:
        return self.cluster.shell.folder

    async def hold(self, id: str) -> None:
        """Start a run whose step is in flight until `let_go`, and wait until it is."""
        await self.start(id)
        await until(lambda: self.status(id, RunStatus.RUNNING), 60)

    async def start(self, id: str) -> None:
        await self.app.start_program(
            errands.holding, {"gate": str(self.folder / "gate")}, id=id, folder=self.folder, detach=True
        )  # fmt: skip

    def let_go(self) -> None:
        (self.folder / "gate").touch()

    async def status(self, id: str, wanted: RunStatus) -> bool:
        return (await self.app.find(works.NAMESPACE, id)).status is wanted

    async def is_owned(self, id: str) -> bool:
        ((rows),) = await Eyes(self.url).ask(f"SELECT owner FROM runs WHERE id = '{id}'")
        return rows[0][0] is not None

    def is_short(self, of: str) -> bool:
        told = [each for each in self.node.log_file.read_text().splitlines() if " node.short what=" in each]
        enough = [each for each in self.node.log_file.read_text().splitlines() if " node.enough what=" in each]
        return sum(f"what={of}" in each for each in told) > sum(f"what={of}" in each for each in enough)

    async def rests(self) -> None:
        """Check that the node neither spins nor floods its log while it lacks something."""
        lines, seconds = len(self.node.log_file.read_text().splitlines()), self._cpu_seconds()
        await asyncio.sleep(_SECONDS)  # how it behaves meanwhile is the question
        assert len(self.node.log_file.read_text().splitlines()) - lines < _LINES
        assert self._cpu_seconds() - seconds < _CPU_SHARE * _SECONDS
        assert self.node.process.poll() is None

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.node.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async def recovers(self, *ids: str) -> None:
        """Check that the node is ready again, and that everything comes to its end."""
        await until(lambda: self.node.is_ready, 60)
        for id in ids:
            await until(lambda id=id: self.status(id, RunStatus.COMPLETED), 60)  # type: ignore[misc]  # awaited here
            assert await works.output(self.app, id) == 4
        assert self.cluster.troubles() == []
        assert self.node.process.poll() is None


@pytest.fixture(params=[storm.SQLITE, storm.POSTGRESQL])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The store is on a small disk of its own."""
    with _small_disk() as disk, contextlib.ExitStack() as stack:
        url = await _store(request.param, disk, stack)
        cluster = storm.fleet(tmp_path, url)
        try:
            node = await cluster.start("--app", "chaos.errands")
            async with Session.open(works.settings(url)) as app:
                yield World(cluster, url, disk, node, app)
        finally:
            await asyncio.to_thread(cluster.end)


async def _store(kind: str, disk: Path, stack: contextlib.ExitStack) -> str:
    if kind == storm.SQLITE:
        return f"sqlite:///{disk}/runs.db"
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    server = stack.enter_context(postgres.running(postgres.NEWEST, settings=("max_connections=40",)))
    postgres.give(disk)
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await connection.execute("CREATE DATABASE small TABLESPACE small")
    await connection.close()
    store = await open_store(server.url("small"))
    await store.close()
    return server.url("small")


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="interlock-disk-", dir="/tmp"))  # where a server, which is nobody, may go
    place.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=False)
    if required.may_skip("mount", mounted.returncode == 0):
        pytest.skip("a file system can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


async def test_node_that_may_open_no_descriptor_goes_on_with_what_it_has(world: World) -> None:
    await world.hold("held")
    before = resource.prlimit(world.node.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.node.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    await until(lambda: world.is_short("descriptors"), 60)
    assert not world.node.is_ready
    await world.start("new")
    await world.rests()
    assert not await world.is_owned("new")
    world.let_go()
    await asyncio.sleep(1)
    assert not await world.status("held", RunStatus.FAULTED)
    resource.prlimit(world.node.process.pid, resource.RLIMIT_NOFILE, before)
    await world.recovers("held", "new")
    assert len(world.node.told("node.joined")) == 1


async def test_node_without_memory_to_spare_goes_on_with_what_it_has(world: World) -> None:
    await world.hold("held")
    size = int(Path(f"/proc/{world.node.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    resource.prlimit(world.node.process.pid, resource.RLIMIT_AS, (size + 8 * _MIB, resource.RLIM_INFINITY))
    await until(lambda: world.is_short("memory"), 60)
    assert not world.node.is_ready
    await world.start("new")
    await world.rests()
    assert not await world.is_owned("new")
    world.let_go()
    await asyncio.sleep(1)
    assert not await world.status("held", RunStatus.FAULTED)
    resource.prlimit(world.node.process.pid, resource.RLIMIT_AS, unlimited)
    await world.recovers("held", "new")
    assert len(world.node.told("node.joined")) == 1


async def test_full_disk_refuses_what_is_new_and_loses_nothing(world: World) -> None:
    await world.hold("held")
    (world.folder / "hello.yaml").write_text(HELLO)
    ballast = _fill(world.disk)
    refused = await asyncio.to_thread(_until_refused, world)
    await until(lambda: world.is_short("disk"), 60)
    assert not world.node.is_ready
    await world.rests()
    world.let_go()
    await asyncio.sleep(2)  # it ends while nothing can be stored
    ballast.unlink()
    await world.recovers("held")
    show = ("--store", world.url, "show", refused)
    there = await asyncio.to_thread(world.cluster.shell.run, *show, env={"INTERLOCK_KEY": storm.KEY})
    assert there.code == 2, there.out  # nothing of it is half there
    await world.start("new")
    await world.recovers("new")


def _fill(disk: Path) -> Path:
    """Leave nothing of a file system."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for block in (_MIB, 4096, 512):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(block))
    return ballast


def _until_refused(world: World) -> str:
    """Start runs by the command line until one is refused for want of room, and give its id: what is there takes a few more."""
    for number in range(60):
        id = f"more-{number}"
        done = world.cluster.shell.run(
            "--store", world.url, "run", "hello.yaml", "--detach", "--id", id, env={"INTERLOCK_KEY": storm.KEY}
        )
        if done.code:
            assert done.code == 4, done.err
            assert "no space" in done.err
            return id
    raise AssertionError("60 runs found room on a full disk")


@pytest.mark.parametrize("world", [storm.POSTGRESQL], indirect=True)
async def test_server_that_takes_no_more_connections_slows_work_and_loses_none(world: World) -> None:
    await world.hold("held")
    ids = [f"held-{number}" for number in range(30)]
    async with _all_connections(world.url):
        for id in ids:
            await world.start(id)
        (world.folder / "hello.yaml").write_text(HELLO)
        run = ("--store", world.url, "run", "hello.yaml", "--detach")
        refused = await asyncio.to_thread(world.cluster.shell.run, *run, env={"INTERLOCK_KEY": storm.KEY})
        assert refused.code == 4
        assert "no more connections" in refused.err
        world.let_go()
        await until(lambda: world.is_short("connections"), 60)
        assert not world.node.is_ready
        await world.rests()
    await world.recovers("held", *ids)


@contextlib.asynccontextmanager
async def _all_connections(url: str) -> AsyncIterator[None]:
    """Take every connection that a server has left."""
    async with contextlib.AsyncExitStack() as stack:
        while True:
            try:
                connection = await asyncpg.connect(url)
            except asyncpg.TooManyConnectionsError:
                break
            stack.push_async_callback(connection.close)
        yield
