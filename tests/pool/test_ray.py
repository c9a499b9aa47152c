"""The Ray pool, with a real cluster of this machine: what a launcher of processes must do, and what Ray does to tasks."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import errors
from interlock.model.task import (
    Cancelled,
    Done,
    Failed,
    FailureClass,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
)
from interlock.pool import ray as ray_pool
from interlock.pool.launcher import Launch
from interlock.pool.ray import RayPool, RaySettings
from pool.conformance import SURVIVOR, Attempts, EndingConformance, attempts
from pool.conftest import marked, until
from required import may_skip

__all__ = ["attempts"]

STORE_BYTES = 100_000_000
HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = [
    pytest.mark.engines,
    pytest.mark.skipif(may_skip("ray", HAS_RAY), reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own: files and sockets that it leaves to the collector
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of one node with two cores, and of more while a test has added some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path_factory.mktemp("ray") / "token"))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("PYTHONPATH", str(Path(interlock.__file__).parents[1]))
        from ray.cluster_utils import Cluster

        started = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "include_dashboard": False, "object_store_memory": STORE_BYTES},
        )
        pool = RayPool(RaySettings(address=started.address))
        asyncio.run(_begun(pool))
        yield started
        asyncio.run(pool.stop())
        started.shutdown()


async def _begun(pool: RayPool) -> None:
    """Connect this process, and have a worker that waits: its start is not what the tests measure."""
    await pool.start()
    running = await pool.launch(Launch(attempt="0", target=ShellTarget(command="true"), folder="/"), lambda *_: None)
    assert isinstance(await running.outcome(), Done)


@pytest.fixture
async def launcher(cluster: Any) -> AsyncIterator[RayPool]:
    pool = RayPool(RaySettings(cpu=0.5))
    await pool.start()
    yield pool
    await pool.stop()


@contextlib.asynccontextmanager
async def another(settings: RaySettings) -> AsyncIterator[RayPool]:
    pool = RayPool(settings)
    await pool.start()
    yield pool
    await pool.stop()


def worker_of(attempts: Attempts) -> int:
    """Give the one worker of Ray that is at an attempt of this test, which is its title."""
    title = f"ray::{attempts.folder.name}/"
    (found,) = (int(name) for name in os.listdir("/proc") if name.isdigit() and _title(name).startswith(title))
    return found


def children(parent: int) -> list[int]:
    """Give the processes that one has started itself."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == parent]


def _parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:  # it has ended
        return 0


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return ""


class TestRayPool(EndingConformance):
    """Endings as every pool of processes must have them; commands, scripts and functions as far as Ray has a part in it."""

    pytestmark = needs_ray

    async def test_command_streams_its_output_and_gives_its_result(self, attempts: Attempts) -> None:
        fifo = attempts.folder / "go"
        os.mkfifo(fifo)
        command = 'echo "first $A"; read line <go; echo $line; echo err >&2; pwd; cat'
        running = await attempts.start(ShellTarget(command=command, environment={"A": "é"}, stdin="in"))
        await until(lambda: "first é\n" in attempts.printed(), "it was not printed", seconds=60)
        await asyncio.to_thread(fifo.write_text, "second\n")
        expected = f"first é\nsecond\n{attempts.folder}\nin"
        assert await running.outcome() == Done({"code": 0, "stdout": expected, "stderr": "err\n"})
        assert (attempts.printed(), attempts.printed("stderr")) == (expected, "err\n")

    async def test_failures_keep_their_classes(self, attempts: Attempts) -> None:
        for target, failure in (
            (ShellTarget(command="echo gone >&2; exit 3"), FailureClass.APPLICATION),
            (ShellTarget(command="a\0b"), FailureClass.INVALID),
            (ScriptTarget(language="ruby", code=""), FailureClass.INVALID),
        ):
            outcome = await attempts.run(target)
            assert isinstance(outcome, Failed)
            assert outcome.failure is failure

    async def test_large_output_is_complete(self, attempts: Attempts) -> None:
        result = await attempts.shell("head -c 5000000 /dev/zero | tr '\\0' x")
        assert len(result["stdout"]) == len(attempts.printed()) == 5_000_000

    async def test_function_is_called_in_the_worker_where_it_can_use_ray(self, attempts: Attempts) -> None:
        (attempts.folder / "inside.py").write_text(
            "import os, ray\n"
            "def where(x):\n"
            "    print('spoken')\n"
            "    return [ray.get(ray.put(x)), os.environ['A'], os.getpid()]\n"
            "def fail(): raise KeyError('nothing there')\n"
            "def leave(): raise SystemExit(4)\n"
            "def exhaust(): raise MemoryError\n"
            "def die(): os.kill(os.getpid(), 9)\n"
            "def sleep():\n"
            "    import time; time.sleep(600)\n"
        )
        first = await attempts.run(PythonTarget(function="inside:where", arguments={"x": 7}), environment={"A": "1"})
        assert isinstance(first, Done), first
        assert first.value[:2] == [7, "1"]
        assert attempts.printed() == "spoken\n"
        second = await attempts.run(PythonTarget(function="inside:where", arguments={"x": 8}), environment={"A": "2"})
        assert isinstance(second, Done), second
        assert second.value[2] != first.value[2]  # no attempt sees modules or variables of another one
        for name, failure in (
            ("fail", FailureClass.APPLICATION),
            ("leave", FailureClass.APPLICATION),
            ("exhaust", FailureClass.OUT_OF_MEMORY),
            ("missing", FailureClass.INVALID),
            ("die", FailureClass.LOST),
        ):
            outcome = await attempts.run(PythonTarget(function=f"inside:{name}"))
            assert isinstance(outcome, Failed), outcome
            assert outcome.failure is failure, name
        outcome = await attempts.run(PythonTarget(function="inside:sleep"), timeout_seconds=0.5)
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.TIMEOUT

    async def test_cancelled_function_ends(self, attempts: Attempts) -> None:
        file = attempts.folder / "pid"
        (attempts.folder / "sleeper.py").write_text(
            f"import os, time\ndef sleep():\n    open({str(file)!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
        )
        running = await attempts.start(PythonTarget(function="sleeper:sleep"))
        await until(lambda: file.exists() and file.read_text(), "it did not begin", seconds=60)
        started = time.monotonic()
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert time.monotonic() - started < 50
        await until(lambda: not Path(f"/proc/{file.read_text()}").exists(), "it goes on", seconds=60)

    async def test_attempt_that_no_node_has_room_for_is_not_launched(self, attempts: Attempts, cluster: Any) -> None:
        async with another(RaySettings(max_placing_seconds=1)) as attempts.launcher:
            outcome = await attempts.run(ShellTarget(command="true"), resources=Resources(cpu=64))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.title) == (FailureClass.LAUNCH, "Not placed")
        assert '"cpu":64' in str(outcome.fault.detail)

    async def test_attempt_that_waits_can_be_cancelled(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="true"), resources=Resources(cpu=64))
        await running.cancel()
        assert await running.outcome() == Cancelled()

    async def test_resources_are_taken_of_the_cluster(self, attempts: Attempts) -> None:
        import ray

        running = await attempts.start(
            ShellTarget(command="echo on; sleep 600"), resources=Resources(cpu=1.5, memory=64)
        )
        await attempts.has_printed("on")
        await until(lambda: ray.available_resources().get("CPU") == 0.5, "no cores are taken", seconds=60)
        await running.cancel()

    async def test_worker_that_is_killed_loses_the_attempt_and_leaves_nothing(
        self, attempts: Attempts, mark: str
    ) -> None:
        running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
        await attempts.has_printed("on")
        os.kill(worker_of(attempts), 9)
        outcome = await running.outcome()
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.code) == (FailureClass.LOST, "lost")
        await until(lambda: not marked(mark), "the command goes on")

    async def test_command_ends_though_ray_kills_the_children_of_its_worker(
        self, attempts: Attempts, mark: str
    ) -> None:
        """As Ray does when a worker ends before the watcher of its node sees to that: with SIGKILL, and those alone."""
        running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
        await attempts.has_printed("on")
        worker = worker_of(attempts)
        for child in children(worker):
            os.kill(child, 9)
        os.kill(worker, 9)
        outcome = await running.outcome()
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.code) == (FailureClass.LOST, "lost")
        await until(lambda: not marked(mark), "the command goes on")

    async def test_node_that_is_lost_loses_the_attempt(self, attempts: Attempts, cluster: Any, mark: str) -> None:
        node = cluster.add_node(num_cpus=1, resources={"other": 1}, object_store_memory=STORE_BYTES)
        async with another(RaySettings(resources={"other": 1})) as attempts.launcher:
            running = await attempts.start(ShellTarget(command="echo on; sleep 600"))
            await until(lambda: "on" in attempts.printed(), "it did not begin", seconds=60)
            cluster.remove_node(node, allow_graceful=False)
            async with asyncio.timeout(60):
                outcome = await running.outcome()
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.code) == (FailureClass.LOST, "lost")
        assert "node" in str(outcome.fault.detail)
        await until(lambda: not marked(mark), "the command goes on without its node", seconds=150)

    async def test_pool_that_is_connected_is_well(self, launcher: RayPool) -> None:
        assert await launcher.probe() is None

    async def test_process_knows_one_cluster(self, launcher: RayPool) -> None:
        with pytest.raises(errors.InvalidSettings, match="connected to the Ray cluster"):
            await RayPool(RaySettings(address="127.0.0.1:1")).start()

    async def test_pool_that_stops_leaves_the_others_connected(self, launcher: RayPool) -> None:
        other = RayPool(RaySettings())
        await other.start()
        await other.stop()
        assert await launcher.probe() is None
        assert "not connected" in str(await other.probe())

    async def test_task_that_ray_kills_for_want_of_memory_has_the_class(self, tmp_path: Path) -> None:
        """A cluster of its own, whose nodes count as full at once."""
        script = (
            "import asyncio\n"
            "import ray\n"
            "from interlock.model.task import ShellTarget\n"
            "from interlock.pool.launcher import Launch\n"
            "from interlock.pool.ray import RayPool, RaySettings\n"
            "ray.init(address='local', num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000,\n"
            "    _system_config={'memory_usage_threshold': 0.01, 'memory_monitor_refresh_ms': 100})\n"
            "async def main():\n"
            "    pool = RayPool(RaySettings())\n"
            "    await pool.start()\n"
            "    launch = Launch(attempt='1', target=ShellTarget(command='sleep 30'), folder='/')\n"
            "    running = await pool.launch(launch, lambda stream, text: None)\n"
            "    print((await running.outcome()).failure)\n"
            "    await pool.stop()\n"
            "asyncio.run(main())\n"
        )
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.stdout == "out_of_memory\n", done.stderr[-2000:]

    async def test_nothing_is_left_to_adopt(self, launcher: RayPool) -> None:
        launch = Launch(attempt="1", target=ShellTarget(command="true"), folder="/")
        assert not launcher.is_left(launch)
        with pytest.raises(errors.LeaseLost, match="ended with its node"):
            await launcher.adopt(launch, lambda stream, text: None)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"adress": "auto"}, "no key 'adress': did you mean 'address'?"),
        ({"address": "ray://head:10001"}, "is not built"),
        ({"cpu": 0}, "numbers above 0"),
        ({"resources": {"a": "much"}}, "not usable"),
        ({"max_placing_seconds": "soon"}, "a duration such as"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidSettings, match=complaint):
        ray_pool.read(config)


def test_settings_are_read() -> None:
    settings = ray_pool.read({"address": "head:6379", "max_placing_seconds": "5m", "resources": {"a": 1}})
    assert settings == RaySettings(address="head:6379", max_placing_seconds=300.0, resources={"a": 1.0})


@pytest.mark.skipif(may_skip("ray", HAS_RAY), reason="Ray is not installed")
def test_cluster_that_is_not_there_is_told_at_once() -> None:
    script = (
        "import asyncio\n"
        "from interlock.pool.ray import RayPool, RaySettings\n"
        "asyncio.run(RayPool(RaySettings(address='127.0.0.1:1')).start())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(interlock.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Environment: the Ray cluster 127.0.0.1:1 cannot be reached" in done.stderr


async def test_pool_without_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    pool = RayPool(RaySettings())
    with pytest.raises(errors.Environment, match=r"pip install 'interlock\[ray\]'"):
        await pool.start()
    assert "not connected" in str(await pool.probe())
