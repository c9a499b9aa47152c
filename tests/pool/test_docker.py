"""Pools of containers on a real Docker: what every launcher must do, and what only containers do.

The same on Podman, and functions in containers, are the marker `engines`: they take their time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import engines
from interlock.coord import vitals
from interlock.model.task import (
    CommandTarget,
    ContainerTarget,
    Done,
    Failed,
    FailureClass,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
    Target,
)
from interlock.pool.docker.engine import Attached, Engine
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings, Quota
from pool.conformance import (
    EndingConformance,
    FunctionConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from pool.conftest import until
from pool.containers import Home, engine, failed, home, launcher, settings, with_interlock

__all__ = ["attempts", "engine", "home", "launcher", "settings", "with_interlock"]


class TestContainers(ShellConformance, ScriptConformance, EndingConformance):
    """The suite for commands and scripts. Node.js is that of this machine."""

    inside = "/workspace"

    @pytest.fixture
    def settings(self, settings: DockerSettings) -> DockerSettings:
        return msgspec.structs.replace(settings, volumes=("/usr:/usr:ro",)) if shutil.which("node") else settings


@pytest.mark.engines
class TestFunctions(FunctionConformance):
    """The suite for functions."""

    inside = "/workspace"

    @pytest.fixture
    def settings(self, with_interlock: DockerSettings) -> DockerSettings:
        return with_interlock


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
    dropped = {name.removeprefix("CAP_") for name in host["CapDrop"]}
    assert dropped == {"ALL"} or "CHOWN" in dropped  # each version of Podman names them its own way
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


async def test_memory_that_ran_out_is_told_though_docker_hears_of_it_later(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container has ended when Docker is asked, and that its memory ran out comes after that."""
    if home.engine.kind == "podman":
        pytest.skip("Podman tells of both at once")
    inspect, late = Engine.inspect, 2

    async def heard_later(engine: Engine, container: str) -> dict[str, Any]:
        nonlocal late
        found = await inspect(engine, container)
        if found["State"]["OOMKilled"] and late:
            late -= 1
            found["State"]["OOMKilled"] = False
        return found

    monkeypatch.setattr(Engine, "inspect", heard_later)
    hungry = ScriptTarget(language="python", code="x = [bytearray(10**6) for _ in range(200)]")
    outcome, _ = await home.run(hungry, resources=Resources(memory=32))
    assert "want of memory" in failed(outcome, FailureClass.OUT_OF_MEMORY)
    assert late == 0


async def test_size_of_the_machine_of_an_engine_is_known_without_a_start(home: Home) -> None:
    """SC-04: an engine takes any limit of memory without a word, so tasks that ask for more than there is are not placed."""
    here = vitals.capabilities()
    for pool in (DockerPool(home.settings, store="none"), home.pool):
        size = await pool.size()
        assert size is not None
        assert size.cpu >= here.cpu_cores
        assert abs(size.memory - here.memory_mb) <= 1


async def test_connection_that_ends_too_early_on_podman_costs_no_output(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman ends it as if all had been said when it gives it up by itself, which happens on a machine without time."""
    if home.engine.kind == "docker":
        pytest.skip("Docker ends it with the container only")
    hear = Attached.heard

    async def given_up(stream: Attached) -> AsyncIterator[tuple[str, bytes]]:
        async for piece in hear(stream):
            yield piece
            return

    monkeypatch.setattr(Attached, "heard", given_up)
    outcome, _ = await home.run(ShellTarget(command="echo first; sleep 3; echo second; echo third >&2; printf end"))
    assert isinstance(outcome, Done), outcome
    assert (outcome.value["stdout"], outcome.value["stderr"]) == ("first\nsecond\nend", "third\n")
    assert (home.printed(), home.printed("stderr")) == ("first\nsecond\nend", "third\n")


async def test_log_that_is_followed_past_the_end_is_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman goes on following where a container ends in the moment in which it begins to."""
    hear, has_followed = Engine.heard, asyncio.Event()

    async def closed(stream: Attached) -> AsyncIterator[tuple[str, bytes]]:
        return
        yield ("", b"")

    async def for_ever(engine: Engine, container: str, *, follow: bool) -> AsyncIterator[tuple[str, bytes]]:
        if follow:
            has_followed.set()
        async for piece in hear(engine, container, follow=follow):
            yield piece
        if follow:
            await asyncio.Event().wait()

    monkeypatch.setattr(Attached, "heard", closed)
    monkeypatch.setattr(Engine, "heard", for_ever)
    outcome, _ = await home.run(ShellTarget(command="echo first; sleep 4; echo second"))
    assert isinstance(outcome, Done), outcome
    assert (outcome.value["stdout"], home.printed()) == ("first\nsecond\n", "first\nsecond\n")
    assert has_followed.is_set()


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
        if home.engine.kind == "docker":  # Podman keeps none in a network that is none
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
        await until(lambda: home.containers() == [], "it stays", 60)


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
