"""Pools of containers on a real Docker: what every launcher must do, and what only containers do.

The same on Podman, and functions in containers, are the marker `engines`: they take their time.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import engines
import interlock
from interlock import errors
from interlock.model.task import (
    Cancelled,
    CommandTarget,
    ContainerTarget,
    Done,
    Failed,
    FailureClass,
    Outcome,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
    Target,
)
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings, Quota
from interlock.pool.launcher import Launch
from pool.conformance import (
    EndingConformance,
    FunctionConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from pool.conftest import marked, until
from required import may_skip

__all__ = ["attempts"]

STORE = "store-of-the-tests"
PODMAN = pytest.param("podman", marks=pytest.mark.engines)
GRACE = 60.0

NODE = """
import asyncio, sys
import msgspec
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch

async def main():
    pool = DockerPool(msgspec.json.decode(sys.argv[1], type=DockerSettings), store=sys.argv[2])
    await pool.start()
    running = await pool.launch(msgspec.json.decode(sys.argv[3], type=Launch), lambda stream, text: print(text, end="", flush=True))
    await running.outcome()

asyncio.run(main())
"""
"""A node that runs one attempt, to be killed."""


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


class TestContainers(ShellConformance, ScriptConformance, EndingConformance):
    """The suite for commands and scripts. Node.js is that of this machine."""

    inside = "/workspace"
    slack = 5.0

    @pytest.fixture
    def settings(self, settings: DockerSettings) -> DockerSettings:
        return msgspec.structs.replace(settings, volumes=("/usr:/usr:ro",)) if shutil.which("node") else settings


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


@pytest.mark.engines
class TestFunctions(FunctionConformance):
    """The suite for functions."""

    inside = "/workspace"
    slack = 5.0

    @pytest.fixture
    def settings(self, with_interlock: DockerSettings) -> DockerSettings:
        return with_interlock


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


ALL = {
    "volumes": ("/usr/share:/given:ro",), "resources": Quota(cpu_limit=0.5, memory_limit=64), "environment": {"N": 1},
    "labels": {"team": "a"}, "user": "65534:65534", "read_only": True, "pids_limit": 77, "drop_capabilities": ("ALL",),
}  # fmt: skip


@pytest.mark.parametrize("home", [ALL], indirect=True)
async def test_each_setting_has_its_effect(home: Home) -> None:
    """RU-02: what the pool is told, its container has."""
    home.folder.chmod(0o777)
    outcome, found = await home.run(
        ShellTarget(
            command="id -u; touch mine; touch /tmp/x && touch /x; cat /proc/self/status | grep -i nonewpriv; echo $N"
        ),
        labels={"interlock.task": "t", "interlock.fence": "7"},
        any_exit_code=True,
    )
    assert isinstance(outcome, Done)
    assert outcome.value["stdout"].split() == ["65534", "NoNewPrivs:", "1", "1"]
    assert "Read-only file system" in outcome.value["stderr"]
    assert (home.folder / "mine").stat().st_uid == 65534
    host, config = found["HostConfig"], found["Config"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 64 * 1024**2, 64 * 1024**2)
    assert (host["PidsLimit"], host["ReadonlyRootfs"], host["NetworkMode"]) == (77, True, "none")
    assert host["Init"] is True
    assert host["CapDrop"] == ["ALL"] or "CAP_CHOWN" in host["CapDrop"]
    mounted = {mount["Destination"]: mount["RW"] for mount in found["Mounts"]}
    assert mounted["/workspace"] is True
    assert mounted["/given"] is False
    wanted = {"team": "a", "interlock.task": "t", "interlock.fence": "7", "interlock.attempt": "task.1"}
    assert wanted.items() <= config["Labels"].items()


@pytest.mark.parametrize(
    "home", [{"mount_workspace": False, "network": "host", "runtime": "other", "init": False}], indirect=True
)
async def test_what_is_switched_off_is_off(home: Home) -> None:
    if home.engine.kind == "podman":
        pytest.skip("it has no other runtime here")
    outcome, found = await home.run(ShellTarget(command="pwd; echo $$"))
    assert isinstance(outcome, Done)
    assert outcome.value["stdout"] == "/\n1\n"
    host = found["HostConfig"]
    assert (host["NetworkMode"], host["Runtime"], host["Init"], found["Mounts"]) == ("host", "other", False, [])


@pytest.mark.parametrize("home", [{"resources": Quota(cpu_limit=8, memory_limit=16384)}], indirect=True)
async def test_what_an_attempt_asks_for_counts_before_the_quota_of_the_pool(home: Home) -> None:
    """3.6 item 9: a container never gets all that its pool has because it asked for less."""
    _, found = await home.run(ShellTarget(command="true"), resources=Resources(cpu=0.25, memory=32))
    assert (found["HostConfig"]["NanoCpus"], found["HostConfig"]["Memory"]) == (250_000_000, 32 * 1024**2)


async def test_graphics_processors_that_were_assigned_are_asked_for(home: Home) -> None:
    if home.engine.kind == "podman":
        outcome, _ = await home.run(ShellTarget(command="true"), devices=(1,))
        assert "Podman" in failed(outcome, FailureClass.INVALID)
        return
    launch = home.launch(ShellTarget(command="true"), devices=(1, 3))
    made = await home.pool.plan(launch)
    container = await home.pool.engine.create(made.name, made.body)
    assert container is not None
    requests: Any = home.engine.inspect(container)["HostConfig"]
    assert requests["DeviceRequests"][0]["DeviceIDs"] == ["1", "3"]
    await home.pool.engine.remove(container)
    outcome, _ = await home.run(ShellTarget(command="true"), devices=(1, 3))
    assert "capabilities: [[gpu]]" in failed(
        outcome, FailureClass.LAUNCH
    )  # this machine has none, and the engine says so


async def test_memory_that_ran_out_has_its_class(home: Home) -> None:
    hungry = ScriptTarget(language="python", code="x = [bytearray(10**6) for _ in range(200)]")
    outcome, _ = await home.run(hungry, resources=Resources(memory=32))
    assert "want of memory" in failed(outcome, FailureClass.OUT_OF_MEMORY)


async def test_script_that_is_longer_than_an_argument_runs(home: Home) -> None:
    code = f"# {'x' * 300_000}\nprint('ran')"
    outcome, _ = await home.run(ScriptTarget(language="python", code=code))
    assert isinstance(outcome, Done), outcome
    assert outcome.value["stdout"] == "ran\n"


@pytest.mark.parametrize("home", [{"init": True}, {"init": False}], indirect=True, ids=["init", "bare"])
@pytest.mark.parametrize(
    "target",
    [CommandTarget(argv=("no-such-program", "x")), ScriptTarget(language="js", code="1")],
    ids=["program", "node"],
)
async def test_program_that_the_image_lacks_is_named(home: Home, target: Target) -> None:
    outcome, _ = await home.run(target)
    told = failed(outcome, FailureClass.LAUNCH)
    assert ("no-such-program" if isinstance(target, CommandTarget) else "Node.js") in told
    assert engines.IMAGE in told


async def test_command_is_a_list_that_no_shell_reads(home: Home) -> None:
    outcome, _ = await home.run(CommandTarget(argv=("echo", "$HOME", "a  b", ";", "*")))
    assert outcome == Done({"code": 0, "stdout": "$HOME a  b ; *\n", "stderr": ""})


class TestContainerTarget:
    """OWS 1.0.3, run container."""

    async def test_command_is_split_into_words_and_meets_no_shell(self, home: Home) -> None:
        target = ContainerTarget(
            image=engines.IMAGE, command="echo 'a  b' $HOME", arguments=("; c",), environment={"A": "1"}, stdin="in"
        )
        outcome, _ = await home.run(target)
        assert outcome == Done({"code": 0, "stdout": "a  b $HOME ; c\n", "stderr": ""})

    async def test_arguments_follow_the_own_command_of_the_image(self, home: Home) -> None:
        outcome, _ = await home.run(ContainerTarget(image=engines.IMAGE, arguments=("-c", "echo $0 $1", "x", "y")))
        assert outcome == Done({"code": 0, "stdout": "x y\n", "stderr": ""})

    async def test_volumes_ports_and_name_are_those_of_the_target(self, home: Home) -> None:
        (home.folder / "shared").mkdir()
        target = ContainerTarget(
            image=engines.IMAGE,
            command="touch /data/made",
            volumes={"shared": "/data"},
            ports={"18080": 80},
            name="of-its-own",
        )
        outcome, found = await home.run(target)
        assert isinstance(outcome, Done), outcome
        assert (home.folder / "shared/made").exists()
        assert found["Name"].strip("/") == "of-its-own"
        assert found["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"] == "18080"

    async def test_name_of_somebody_else_is_refused(self, home: Home) -> None:
        first = await home.pool.launch(
            home.launch(ContainerTarget(image=engines.IMAGE, command="true", name="taken")), home.hear
        )
        assert isinstance(await first.outcome(), Done)
        other = home.launch(ContainerTarget(image=engines.IMAGE, command="true", name="taken"), attempt="task.2")
        second = await home.pool.launch(other, home.hear)
        assert "taken" in failed(await second.outcome(), FailureClass.LAUNCH)
        await second.forget()
        assert len(home.containers()) == 1

    async def test_container_stays_as_long_as_its_author_wants(self, home: Home) -> None:
        kept = {"never": 1, "always": 0}
        for cleanup, count in kept.items():
            target = ContainerTarget(image=engines.IMAGE, command="true", cleanup=cleanup)
            running = await home.pool.launch(home.launch(target, attempt=cleanup), home.hear)
            await running.outcome()
            await running.forget()
            assert len(home.containers()) == count
            assert await home.pool.sweep(lambda labels: True) == 0
            for container in home.containers():
                await home.pool.engine.remove(container)

    async def test_container_that_stays_for_a_while_goes_then(self, home: Home) -> None:
        target = ContainerTarget(image=engines.IMAGE, command="true", cleanup="eventually", cleanup_seconds=1.0)
        running = await home.pool.launch(home.launch(target), home.hear)
        await running.outcome()
        await running.forget()
        assert len(home.containers()) == 1
        await until(lambda: home.containers() == [], "it stays", 10)


class TestImages:
    """Where an image comes from, and what is said when it does not."""

    @pytest.mark.parametrize("home", [{"image": "127.0.0.1:1/no/such:1"}], indirect=True)
    async def test_image_that_is_missing_is_not_fetched_against_the_policy(self, home: Home) -> None:
        outcome, _ = await home.run(ShellTarget(command="true"))
        assert "127.0.0.1:1/no/such:1" in failed(outcome, FailureClass.LAUNCH)

    @pytest.mark.parametrize(
        "home",
        [{"image": "127.0.0.1:1/no/such:1", "pull_policy": policy} for policy in ("always", "if-not-present")],
        indirect=True,
    )
    async def test_fetching_that_fails_tells_the_words_of_the_engine(self, home: Home) -> None:
        outcome, _ = await home.run(ShellTarget(command="true"))
        assert "refused" in failed(outcome, FailureClass.LAUNCH)

    @pytest.mark.parametrize("home", [{"pull_policy": "if-not-present"}], indirect=True)
    async def test_image_that_is_there_is_not_fetched(self, home: Home) -> None:
        outcome, _ = await home.run(ShellTarget(command="true"))
        assert isinstance(outcome, Done)

    async def test_policy_of_a_target_counts_before_that_of_the_pool(self, home: Home) -> None:
        target = ContainerTarget(image="127.0.0.1:1/no/such:1", pull_policy="ifNotPresent")
        outcome, _ = await home.run(target)
        assert "refused" in failed(outcome, FailureClass.LAUNCH)

    async def test_function_in_an_image_without_interlock_says_so(self, home: Home) -> None:
        outcome, _ = await home.run(PythonTarget(function="json:dumps"))
        assert "pip install interlock" in failed(outcome, FailureClass.INVALID)


class TestFunctionsInShort:
    """The whole suite for functions is under the marker `engines`."""

    @pytest.fixture
    def settings(self, with_interlock: DockerSettings) -> DockerSettings:
        return msgspec.structs.replace(with_interlock, read_only=True, user="65534")

    async def test_function_gives_its_value_and_prints(self, home: Home) -> None:
        (home.folder / "mine.py").write_text("def double(of):\n    print('working')\n    return {'twice': of * 2}")
        home.folder.chmod(0o755)
        outcome, _ = await home.run(PythonTarget(function="mine:double", arguments={"of": 4}))
        assert outcome == Done({"twice": 8})
        assert home.printed() == "working\n"

    async def test_result_is_read_up_to_its_limit(self, home: Home) -> None:
        home.pool.result_bytes = 10_000
        home.folder.chmod(0o755)
        (home.folder / "mine.py").write_text("def large(size): return 'x' * size")
        outcome, _ = await home.run(PythonTarget(function="mine:large", arguments={"size": 5_000_000}))
        assert isinstance(outcome, Failed)
        assert outcome.fault.code == "payload-too-large"


class TestLeftBehind:
    """SH-02: a node that is gone leaves containers, and the next one finds each of them."""

    def killed(self, home: Home, target: Target, **fields: Any) -> Launch:
        """Begin an attempt in a node of its own, and kill that as soon as the work has printed `on`."""
        launch = home.launch(target, **fields)
        texts = [msgspec.json.encode(each).decode() for each in (home.settings, launch)]
        with subprocess.Popen(
            [sys.executable, "-c", NODE, texts[0], STORE, texts[1]], stdout=subprocess.PIPE, text=True
        ) as node:
            assert node.stdout is not None
            assert node.stdout.readline() == "on\n"
            node.kill()
        return launch

    async def test_running_container_is_adopted_with_all_of_its_output(self, home: Home) -> None:
        command = "echo on; while ! test -e go; do sleep 0.05; done; printf 'o\\303\\251ff'; echo err >&2; exit 3"
        launch = self.killed(home, ShellTarget(command=command))
        assert await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.adopt(launch, home.hear)
        await until(lambda: home.heard == [("stdout", "on\n")], "the beginning was not heard")
        (home.folder / "go").touch()
        outcome = await running.outcome()
        assert "Exited with 3" in failed(outcome, FailureClass.APPLICATION)
        assert (home.printed(), home.printed("stderr")) == ("on\noéff", "err\n")
        await running.forget()
        assert home.containers() == []
        assert not await asyncio.to_thread(home.pool.is_left, launch)

    async def test_container_that_ended_meanwhile_gives_its_outcome(self, home: Home) -> None:
        launch = self.killed(home, ShellTarget(command="echo on; sleep 0.3; echo off"))
        await until(lambda: not marked(home.mark), "it runs still", 10)
        running = await home.pool.adopt(launch, home.hear)
        assert await running.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        await running.forget()

    async def test_adopted_container_has_the_time_that_is_left(self, home: Home) -> None:
        """RU-07: its time does not begin anew."""
        launch = self.killed(home, ShellTarget(command="echo on; sleep 60"), timeout_seconds=0.5)
        before = time.monotonic()
        running = await home.pool.adopt(launch, home.hear)
        failed(await running.outcome(), FailureClass.TIMEOUT)
        assert time.monotonic() - before < 10
        await running.forget()

    async def test_adopted_container_is_cancelled(self, home: Home) -> None:
        running = await home.pool.adopt(self.killed(home, ShellTarget(command="echo on; sleep 60")), home.hear)
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert marked(home.mark) == []

    async def test_second_launch_of_an_attempt_finds_the_first(self, home: Home) -> None:
        """A claim whose answer was lost is launched again: it must not run twice."""
        launch = self.killed(home, ShellTarget(command="echo on; echo x >> count; sleep 1; echo off"))
        running = await home.pool.launch(launch, home.hear)
        assert await running.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        assert (home.folder / "count").read_text() == "x\n"
        await running.forget()

    async def test_detached_container_goes_on(self, home: Home) -> None:
        launch = home.launch(ShellTarget(command="echo on; while ! test -e go; do sleep 0.05; done; echo off"))
        first = await home.pool.launch(launch, home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 20)
        await first.detach()
        assert await first.outcome() == Cancelled()
        second = await home.pool.adopt(launch, lambda stream, text: None)
        (home.folder / "go").touch()
        assert await second.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        await second.forget()

    async def test_nothing_is_left_of_what_never_began(self, home: Home) -> None:
        launch = home.launch(ShellTarget(command="touch ran"))
        assert not await asyncio.to_thread(home.pool.is_left, launch)
        made = await home.pool.plan(launch)
        await home.pool.engine.create(made.name, made.body)
        assert not await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.adopt(launch, home.hear)
        assert "never started" in failed(await running.outcome(), FailureClass.LOST)
        assert home.containers() == []
        assert not (home.folder / "ran").exists()

    async def test_sweep_removes_what_is_over_and_nothing_else(self, home: Home) -> None:
        """SH-02: after kill -9 of a dispatcher no container of an attempt that was given up goes on."""
        stale = self.killed(home, ShellTarget(command="echo on; sleep 60"), labels={"interlock.fence": "1"})
        current = home.launch(
            ShellTarget(command="echo on; sleep 60"), attempt="task.2", labels={"interlock.fence": "2"}
        )
        running = await home.pool.launch(current, home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 20)
        other = DockerPool(home.settings, store="another store")
        assert await other.sweep(lambda labels: True) == 0
        await other.stop()
        assert {labels["interlock.fence"] for labels in await home.pool.left()} == {"1", "2"}
        assert await home.pool.sweep(lambda labels: labels["interlock.fence"] == "1") == 1
        assert not await asyncio.to_thread(home.pool.is_left, stale)
        assert await home.pool.sweep(lambda labels: True) == 0  # its own are not swept
        await running.cancel()

    async def test_container_that_somebody_removes_is_lost(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="echo on; sleep 60")), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 20)
        home.engine.call("DELETE", f"/containers/{home.containers()[0]}?force=1")
        failed(await running.outcome(), FailureClass.LOST)


class TestWhileItRuns:
    """What an attempt costs, and how it is ended."""

    async def test_attempt_costs_one_connection_and_no_thread(self, home: Home) -> None:
        before = set(threads())
        target = ShellTarget(command="echo on; while ! test -e go; do sleep 0.05; done")
        running = [await home.pool.launch(home.launch(target, attempt=f"t.{n}"), home.hear) for n in range(4)]
        await until(lambda: home.printed() == "on\n" * 4, "they do not run", 30)
        connector = home.pool.engine._opened().connector
        assert len(connector._acquired) == 4
        assert set(threads()) <= before
        (home.folder / "go").touch()
        for each in running:
            assert isinstance(await each.outcome(), Done)
            await each.forget()

    async def test_output_closed_before_the_end_is_no_end(self, home: Home) -> None:
        target = ShellTarget(command="echo on; exec >&- 2>&-; sleep 2; touch late")
        outcome, _ = await home.run(target)
        assert outcome == Done({"code": 0, "stdout": "on\n", "stderr": ""})
        assert (home.folder / "late").exists()
        assert home.printed() == "on\n"

    async def test_output_beyond_the_limit_of_a_result_is_passed_on_and_not_kept(self, home: Home) -> None:
        home.pool.result_bytes = 1000
        outcome, _ = await home.run(ShellTarget(command="head -c 3000000 /dev/zero | tr '\\0' x"))
        assert isinstance(outcome, Failed)
        assert outcome.fault.code == "payload-too-large"
        assert len(home.printed()) == 3_000_000

    async def test_paused_container_is_ended_too(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="echo on; sleep 60")), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 20)
        home.engine.call("POST", f"/containers/{home.containers()[0]}/pause")
        await running.cancel()
        assert await running.outcome() == Cancelled()

    async def test_cancel_before_it_began_leaves_nothing(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="touch ran; sleep 60")), home.hear)
        await running.cancel()
        assert await running.outcome() == Cancelled()
        await running.forget()
        assert home.containers() == []
        assert not (home.folder / "ran").exists()


class TestEngineAway:
    """An engine of the test's own, which is stopped, restarted and paused."""

    @pytest.fixture
    def engine(self) -> Any:
        if may_skip("docker", engines.present("docker")):
            pytest.skip("docker is not installed, or this is not root")
        with engines.running("docker") as engine:
            yield engine

    async def test_probe_tells_what_is_wrong(self, home: Home) -> None:
        assert await home.pool.probe() is None
        home.engine.pause()
        try:
            assert "no answer in 0.3 s" in str(await home.pool.probe(0.3))
        finally:
            home.engine.resume()
        assert await home.pool.probe() is None
        home.engine.stop()
        assert home.engine.host in str(await home.pool.probe())
        launch = home.launch(ShellTarget(command="true"))
        with pytest.raises(errors.Environment):  # nobody knows: that is no reason to give the attempt up
            await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.launch(launch, home.hear)
        assert home.engine.host in failed(await running.outcome(), FailureClass.LAUNCH)
        home.engine.start()
        assert await home.pool.probe() is None

    async def test_work_that_its_engine_ended_is_lost(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="echo on; sleep 60")), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 20)
        home.engine.stop(signal.SIGKILL)
        home.engine.start()
        async with asyncio.timeout(60):
            failed(await running.outcome(), FailureClass.LOST)
        assert home.printed() == "on\n"
        await running.forget()


def threads() -> list[str]:
    return [path.name for path in Path("/proc/self/task").iterdir()]
