"""A launch as the request for its container, and what its end means."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model.task import (
    Cancelled,
    CommandTarget,
    ContainerTarget,
    Done,
    Failed,
    FailureClass,
    HttpTarget,
    Outcome,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
    Target,
    WorkflowTarget,
)
from interlock.pool.commands import Impossible
from interlock.pool.docker import ending, plan
from interlock.pool.docker.settings import DockerSettings, Quota
from interlock.pool.launcher import Launch
from interlock.pool.reports import Streams

SETTINGS = DockerSettings(image="pool:1")
TINI = "[FATAL tini (7)] exec nope failed: No such file or directory\n"


def launch(target: Target, **fields: Any) -> Launch:
    return Launch(attempt="task.1", target=target, folder="/runs/a", **fields)


def body(target: Target, settings: DockerSettings = SETTINGS, **fields: Any) -> dict[str, Any]:
    return plan.plan(settings, launch(target, **fields), "store").body


@pytest.mark.parametrize(
    ("target", "entrypoint", "command"),
    [
        (CommandTarget(argv=("a", "$b")), ["a", "$b"], []),
        (ShellTarget(command="x $1", arguments=("y",)), ["/bin/sh", "-c", "x $1", "sh", "y"], []),
        (ScriptTarget(language="python", code="1", arguments=("-c",)), ["python3", "/interlock/script.py", "-c"], []),
        (ScriptTarget(language="js", code="1"), ["node", "/interlock/script.mjs"], []),
        (ContainerTarget(image="own:1", command="a 'b c' $d", arguments=("e f",)), None, ["a", "b c", "$d", "e f"]),
        (ContainerTarget(image="own:1"), None, None),
    ],
)
def test_command_of_a_target(target: Target, entrypoint: list[str] | None, command: list[str] | None) -> None:
    made = body(target)
    assert (made.get("Entrypoint"), made.get("Cmd")) == (entrypoint, command)
    assert made["Image"] == ("own:1" if isinstance(target, ContainerTarget) else "pool:1")


@pytest.mark.parametrize(
    ("quota", "asked", "cores", "memory"),
    [
        (Quota(), Resources(), None, None),
        (Quota(cpu_limit=2, memory_limit=4096), Resources(), 2_000_000_000, 4096 * 1024**2),
        (Quota(cpu_limit=2, memory_limit=4096), Resources(cpu=0.5), 500_000_000, 4096 * 1024**2),
        (Quota(), Resources(cpu=1, memory=10), 1_000_000_000, 10 * 1024**2),
    ],
)
def test_what_an_attempt_asks_for_counts_first(
    quota: Quota, asked: Resources, cores: int | None, memory: int | None
) -> None:
    host = body(ShellTarget(command="x"), DockerSettings(image="a", resources=quota), resources=asked)["HostConfig"]
    assert (host.get("NanoCpus"), host.get("Memory"), host.get("MemorySwap")) == (cores, memory, memory)


@pytest.mark.parametrize(
    ("gpus", "devices", "asked", "expected"),
    [
        (None, (), 0, None),
        ("all", (), 0, {"Count": -1}),
        (2, (), 0, {"Count": 2}),
        ((0, "GPU-1"), (), 0, {"DeviceIDs": ["0", "GPU-1"]}),
        ("all", (3, 1), 2, {"DeviceIDs": ["3", "1"]}),
        (None, (), 2, {"Count": 2}),
    ],
)
def test_graphics_processors_that_were_assigned_count_first(gpus: Any, devices: Any, asked: int, expected: Any) -> None:
    settings = DockerSettings(image="a", gpus=gpus)
    host = body(ShellTarget(command="x"), settings, devices=devices, resources=Resources(gpus=asked))["HostConfig"]
    wanted = None if expected is None else [{"Capabilities": [["gpu"]], **expected}]
    assert host.get("DeviceRequests") == wanted


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (HttpTarget(method="GET", uri="http://a"), "HTTP"),
        (WorkflowTarget(namespace="a", name="b", version="1"), "workflow"),
        (ScriptTarget(language="cobol", code=""), "cobol"),
        (ContainerTarget(image="a", command="it's"), "cannot be split"),
        (ContainerTarget(image="a", pull_policy="Always"), "pull policy 'Always'"),
        (ContainerTarget(image="a", cleanup="later"), "cleanup 'later'"),
        (CommandTarget(argv=("a\0",)), "NUL"),
        (CommandTarget(argv=("a" * 131_072,)), "131072 bytes"),
        (CommandTarget(argv=("\ud800",)), "no Unicode"),
        (CommandTarget(argv=("a",), environment={"": "x"}), "no name"),
    ],
)
def test_what_no_container_can_be_is_refused(target: Target, complaint: str) -> None:
    with pytest.raises(Impossible) as raised:
        body(target)
    assert complaint in str(raised.value)
    assert raised.value.failure is FailureClass.INVALID


def test_name_follows_from_attempt_and_store() -> None:
    one = launch(ShellTarget(command="x"))
    assert plan.name(one, "a") == plan.name(one, "a") != plan.name(one, "b")
    assert plan.name(launch(ContainerTarget(image="a", name="mine")), "a") == "mine"


def test_own_labels_cannot_be_overwritten() -> None:
    made = body(ShellTarget(command="x"), labels={"interlock.attempt": "other", "interlock.fence": "3"})
    assert made["Labels"] == {"interlock.attempt": "task.1", "interlock.fence": "3", "interlock.store": "store"}


STARTED = {"StartedAt": "2026-01-01T00:00:00.5Z", "FinishedAt": "2026-01-01T00:00:10.123456789Z"}


@pytest.mark.parametrize(
    ("code", "fields", "failure", "told"),
    [
        (3, {}, FailureClass.APPLICATION, "Exited with 3"),
        (139, {}, FailureClass.APPLICATION, "Killed by SIGSEGV"),
        (137, {"ran_out": True}, FailureClass.OUT_OF_MEMORY, "memory"),
        (1, {"ran_out": True}, FailureClass.APPLICATION, "Exited with 1"),
        (137, {}, FailureClass.APPLICATION, "SIGKILL"),
        (137, {"asked": "timeout"}, FailureClass.TIMEOUT, "longer than 5 s"),
        (143, {"state": STARTED}, FailureClass.TIMEOUT, "longer than 5 s"),
        (255, {"torn": True}, FailureClass.LOST, "away"),
        (2, {"torn": True}, FailureClass.APPLICATION, "Exited with 2"),
        (127, {"stderr": TINI}, FailureClass.LAUNCH, "`nope`"),
        (127, {"stderr": "sh: nope: not found"}, FailureClass.APPLICATION, "Exited with 127"),
    ],
)
def test_end_of_a_container_has_its_class(code: int, fields: dict[str, Any], failure: FailureClass, told: str) -> None:
    outcome = ended(ShellTarget(command="x"), code, **fields)
    assert isinstance(outcome, Failed)
    assert outcome.failure is failure
    assert told in f"{outcome.fault.title} {outcome.fault.detail}"


def test_container_that_was_cancelled_is_cancelled_however_it_ended() -> None:
    assert ended(ShellTarget(command="x"), 0, asked="cancel") == Cancelled()
    assert ended(ShellTarget(command="x"), 0) == Done({"code": 0, "stdout": "", "stderr": ""})


@pytest.mark.parametrize(
    ("words", "status", "failure"),
    [
        ("bind source path does not exist: /gone", 400, FailureClass.INVALID),
        ('exec: "python3": executable file not found in $PATH: unknown', 400, FailureClass.LAUNCH),
        ("exec /usr/bin/env: argument list too long", 400, FailureClass.INVALID),
        ("invalid reference format", 400, FailureClass.INVALID),
        ("No such image: a:1", 404, FailureClass.LAUNCH),
        ("device or resource busy", 500, FailureClass.LAUNCH),
    ],
)
def test_what_the_engine_refuses_has_its_class(words: str, status: int, failure: FailureClass) -> None:
    made = plan.plan(SETTINGS, launch(PythonTarget(function="a:b")), "store")
    assert ending.not_launched(made, words, status).failure is failure


def ended(target: Target, code: int, **fields: Any) -> Outcome:
    given = launch(target, timeout_seconds=5)
    streams = Streams("", fields.pop("stderr", ""))
    state = {"ExitCode": code} | fields.pop("state", {})
    end = ending.End(state=state, **fields)
    return ending.outcome(given, plan.plan(SETTINGS, given, "store"), end, streams, 1000)


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (STARTED, 9.623456),
        ({"StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}, 0.0),
        ({"StartedAt": "2026-01-01T01:00:00+01:00", "FinishedAt": "2026-01-01T00:00:02Z"}, 2.0),
        ({"StartedAt": "1970-01-01T00:00:01Z", "Running": True}, 99.0),
    ],
)
def test_time_that_a_container_ran(state: dict[str, Any], seconds: float) -> None:
    assert ending.seconds_run(state, 100.0) == pytest.approx(seconds)
