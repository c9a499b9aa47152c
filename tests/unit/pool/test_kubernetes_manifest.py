"""A Launch as a Job and its Secret; every manifest is checked with the strict schemas of all versions."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest

import kubernetes_schemas
from interlock.model.task import (
    CommandTarget,
    ContainerTarget,
    FailureClass,
    HttpTarget,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
    Target,
    WorkflowTarget,
)
from interlock.pool.commands import Impossible
from interlock.pool.kubernetes import manifest, naming
from interlock.pool.kubernetes.manifest import Manifests
from interlock.pool.kubernetes.settings import read
from interlock.pool.launcher import Launch


def made(
    target: Target | None = None, config: dict[str, Any] | None = None, *, folder: str = "/srv/work/a/b", **fields: Any
) -> Manifests:
    launch = Launch(attempt="task.1", target=target or ShellTarget(command="x"), folder=folder, **fields)
    result = manifest.manifests(launch, read("k8s", {"image": "runner:1"} | (config or {})), "k8s", "mark")
    for version in kubernetes_schemas.VERSIONS:
        assert kubernetes_schemas.complaint(result.job, version) == kubernetes_schemas.complaint(result.secret) == ""
    return result


def pod(**config: Any) -> dict[str, Any]:
    found: dict[str, Any] = made(config=config).job["spec"]["template"]["spec"]
    return found


def container(result: Manifests) -> dict[str, Any]:
    found: dict[str, Any] = next(
        item for item in result.job["spec"]["template"]["spec"]["containers"] if item["name"] == "attempt"
    )
    return found


def values(result: Manifests) -> dict[str, str]:
    return {name: base64.b64decode(text).decode() for name, text in result.secret["data"].items()}


def command(result: Manifests) -> list[str]:
    """Give the command of a manifest with its references replaced, as a kubelet does."""
    texts = {f"$({name.removeprefix('variable.')})": text for name, text in values(result).items()}
    found = container(result)
    return [texts.get(word, word.replace("$$", "$")) for word in found.get("command", []) + found.get("args", [])]


WORKSPACE = {"claim": "work", "mount_path": "/workspace", "root": "/srv/work"}


@pytest.mark.parametrize(
    ("config", "look", "expected"),
    [
        ({"image_pull_policy": "always"}, lambda p: p["containers"][0]["imagePullPolicy"], "Always"),
        ({"image_pull_secrets": ["reg"]}, lambda p: p["imagePullSecrets"], [{"name": "reg"}]),
        ({"service_account": "agents"}, lambda p: p["serviceAccountName"], "agents"),
        ({"node_selector": {"spot": "true"}}, lambda p: p["nodeSelector"], {"spot": "true"}),
        (
            {"tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]},
            lambda p: p["tolerations"],
            [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        ),
        (
            {"resources": {"requests": {"cpu": 1, "memory": 2048}, "limits": {"cpu": "2", "memory": "4Gi"}}},
            lambda p: p["containers"][0]["resources"],
            {"requests": {"cpu": "1000m", "memory": "2048Mi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        ),
        ({"gpus": 2}, lambda p: p["containers"][0]["resources"], {"limits": {"nvidia.com/gpu": "2"}}),
        ({"environment": {"A": "$(B)"}}, lambda p: p["containers"][0]["env"][0], {"name": "A", "value": "$$(B)"}),
        ({"grace_seconds": 7}, lambda p: p["terminationGracePeriodSeconds"], 7),
        (
            {"volumes": [{"mount_path": "/d", "claim": "c", "sub_path": "s", "read_only": True}]},
            lambda p: (p["volumes"][0], p["containers"][0]["volumeMounts"][0]),
            (
                {"name": "interlock-0", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "interlock-0", "mountPath": "/d", "subPath": "s", "readOnly": True},
            ),
        ),
        (
            {"volumes": [{"mount_path": "/d", "config_map": "m"}, {"mount_path": "/e", "secret": "s"}]},
            lambda p: [{name: part for name, part in item.items() if name != "name"} for item in p["volumes"]],
            [{"configMap": {"name": "m"}}, {"secret": {"secretName": "s"}}],
        ),
        (
            {"volumes": [{"mount_path": "/d", "empty_dir": True}, {"mount_path": "/e", "host_path": "/h"}]},
            lambda p: [{name: part for name, part in item.items() if name != "name"} for item in p["volumes"]],
            [{"emptyDir": {}}, {"hostPath": {"path": "/h"}}],
        ),
        (
            {"workspace": WORKSPACE},
            lambda p: (p["volumes"][0]["persistentVolumeClaim"], p["containers"][0]["volumeMounts"][0]["mountPath"]),
            ({"claimName": "work"}, "/workspace"),
        ),
        ({"workspace": WORKSPACE}, lambda p: p["containers"][0]["workingDir"], "/workspace/a/b"),
        ({"workspace": {"claim": "work"}}, lambda p: p["containers"][0]["workingDir"], "/workspace"),
        ({}, lambda p: "workingDir" in p["containers"][0], False),
        ({}, lambda p: p["restartPolicy"], "Never"),
        ({}, lambda p: p["enableServiceLinks"], False),
    ],
)
def test_every_key_has_its_effect_on_the_pod(
    config: dict[str, Any], look: Callable[[dict[str, Any]], Any], expected: object
) -> None:
    """RU-02: what a pool is configured to be reaches the pod; 3.6 item 9: the workspace is mounted."""
    assert look(pod(**config)) == expected


def test_every_key_has_its_effect_on_the_job() -> None:
    job = made(config={"labels": {"team": "a"}, "annotations": {"prometheus.io/scrape": "true"}, "ttl_seconds": 60}).job
    assert job["metadata"]["labels"]["team"] == job["spec"]["template"]["metadata"]["labels"]["team"] == "a"
    assert job["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    assert job["spec"]["template"]["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert (job["spec"]["backoffLimit"], job["spec"]["completions"], job["spec"]["parallelism"]) == (0, 1, 1)
    assert "activeDeadlineSeconds" not in job["spec"]
    assert container(made(ScriptTarget(language="python", code="1"), {"python": "/opt/py"}))["command"][0] == "/opt/py"


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, 1), (90.5, 91)])
def test_deadline_is_the_pods_and_the_job_has_one_behind_it(seconds: float, expected: int) -> None:
    """The pod's counts from its start and leaves its log; the Job's ends what nobody looks after."""
    spec = made(config={"pending_seconds": 100, "grace_seconds": 5}, timeout_seconds=seconds).job["spec"]
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == expected
    assert spec["activeDeadlineSeconds"] == expected + 100 + 5 + 60


@pytest.mark.parametrize(
    ("asked", "config", "expected"),
    [
        (Resources(), {}, {}),
        (Resources(cpu=1), {}, {"limits": {"cpu": "1000m"}, "requests": {"cpu": "500m"}}),
        (Resources(memory=512.5), {}, {"limits": {"memory": "513Mi"}, "requests": {"memory": "256.5Mi"}}),
        (Resources(), {"limits": {"cpu": "1"}}, {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}),
        (Resources(), {"limits": {"memory": "3Gi"}}, {"limits": {"memory": "3Gi"}, "requests": {"memory": "1.5Gi"}}),
        (Resources(), {"requests": {"cpu": 2}}, {"requests": {"cpu": "2000m"}}),
        (
            Resources(cpu=4, gpus=1),
            {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 1}},
            {
                "limits": {"cpu": "4000m", "memory": "1Gi", "nvidia.com/gpu": "1"},
                "requests": {"cpu": "2000m", "memory": "0.5Gi"},
            },
        ),
    ],
)
def test_attempt_gets_what_it_asks_for_and_else_what_the_pool_says(
    asked: Resources, config: dict[str, Any], expected: dict[str, Any]
) -> None:
    """3.6 item 9: an attempt does not get the whole pool; requirement 3.2: a request is half the limit."""
    assert container(made(config={"resources": config}, resources=asked)).get("resources", {}) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (CommandTarget(argv=("a$(X)", "$(Y)", "b c")), ["a$(X)", "$(Y)", "b c"]),
        (ShellTarget(command="echo $1", arguments=("$HOME",)), ["/bin/sh", "-c", "echo $1", "sh", "$HOME"]),
        (ScriptTarget(language="python", code="1", arguments=("a",)), ["python3", "/var/run/interlock/script.py", "a"]),
        (ScriptTarget(language="js", code="1"), ["node", "/var/run/interlock/script.mjs"]),
        (ContainerTarget(image="i", command="run 'a b'", arguments=("c",)), ["run", "a b", "c"]),
        (ContainerTarget(image="i", arguments=("c",)), ["c"]),
        (PythonTarget(function="a:b"), ["python3", "-m", "interlock.runner.logged", "/var/run/interlock/call.json"]),
        (
            CommandTarget(argv=("cat", "-"), stdin="in"),
            ["/bin/sh", "-c", 'exec "$@" <"$0"', "/var/run/interlock/stdin", "cat", "-"],
        ),
    ],
)
def test_target_is_a_command_that_no_shell_reads(target: Target, expected: list[str]) -> None:
    assert command(made(target)) == expected


def test_what_stands_in_the_manifest_itself_is_kept_from_the_kubelet() -> None:
    """It replaces `$(NAME)` in commands, and `$$` by `$`."""
    assert container(made(CommandTarget(argv=("a$(X)$$",))))["command"] == ["a$$(X)$$$$"]


def test_arguments_of_a_container_leave_the_entry_point_of_its_image() -> None:
    found = container(
        made(ContainerTarget(image="i", arguments=("c",), pull_policy="never"), {"image_pull_policy": "always"})
    )
    assert "command" not in found
    assert (found["image"], found["imagePullPolicy"], len(found["args"])) == ("i", "Never", 1)


def test_files_of_an_attempt_stand_in_its_secret() -> None:
    result = made(ScriptTarget(language="python", code="print(1)", stdin="in"))
    assert values(result)["file.script.py"] == "print(1)"
    assert values(result)["file.stdin"] == "in"
    [volume] = result.job["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["items"] == [
        {"key": "file.script.py", "path": "script.py"},
        {"key": "file.stdin", "path": "stdin"},
    ]
    assert "print(1)" not in str(result.job)


def test_variables_of_the_attempt_count_more_than_those_of_the_pool() -> None:
    target = ShellTarget(command="x", environment={"B": "target", "C": "target"})
    result = made(target, {"environment": {"A": "pool", "B": "pool"}}, environment={"C": "launch", "D": "launch"})
    plain = {item["name"]: item["value"] for item in container(result)["env"] if "value" in item}
    told = {name.removeprefix("variable."): text for name, text in values(result).items()}
    assert plain == {"A": "pool"}
    assert (told["B"], told["C"], told["D"]) == ("target", "target", "launch")
    assert len({item["name"] for item in container(result)["env"]}) == len(container(result)["env"])


@pytest.mark.parametrize(("cleanup", "expected"), [("always", 3600), ("never", None), ("eventually", 12)])
def test_cleanup_of_a_container_is_the_clusters(cleanup: str, expected: int | None) -> None:
    result = made(ContainerTarget(image="i", cleanup=cleanup, cleanup_seconds=11.5))
    assert result.job["spec"].get("ttlSecondsAfterFinished") == expected


def test_ports_and_folders_of_a_container() -> None:
    target = ContainerTarget(image="i", ports={"8080": 80}, volumes={"data": "/data", "/srv/work/x": "/x"})
    found = container(made(target, {"workspace": WORKSPACE}))
    assert found["ports"] == [{"containerPort": 80, "hostPort": 8080}]
    assert {"name": "interlock-workspace", "mountPath": "/data", "subPath": "a/b/data"} in found["volumeMounts"]
    assert {"name": "interlock-workspace", "mountPath": "/x", "subPath": "x"} in found["volumeMounts"]


@pytest.mark.parametrize(
    ("target", "config", "complaint"),
    [
        (HttpTarget(method="GET", uri="http://a"), {}, "an HTTP request is no process"),
        (WorkflowTarget(namespace="a", name="b", version="1"), {}, "a workflow is no process"),
        (ShellTarget(command="x"), {"image": ""}, "names no image"),
        (ContainerTarget(image="i", name="mine"), {}, "leave out the container's `name`"),
        (ContainerTarget(image="i", stdin="in"), {}, "name the `command`"),
        (ContainerTarget(image="i", command="a 'b"), {}, "cannot be split"),
        (ContainerTarget(image="i", pull_policy="perhaps"), {}, "use always"),
        (ContainerTarget(image="i", volumes={"/etc": "/e"}), {}, "/etc of the host"),
        (ContainerTarget(image="i", volumes={"/etc": "/e"}), {"workspace": WORKSPACE}, "/etc of the host"),
        (ShellTarget(command="x"), {"workspace": {"claim": "c", "root": "/srv/wor"}}, "is not in /srv/wor"),
        (ShellTarget(command="x", environment={"1A": "b"}), {}, "no variable the name '1A'"),
        (ShellTarget(command="x", environment={"INTERLOCK_ARGUMENT_1": "b"}), {}, "choose another name"),
        (ShellTarget(command="a\0b"), {}, "NUL"),
        (ShellTarget(command="x", arguments=("\ud800",)), {}, "no Unicode"),
        (ShellTarget(command="x", stdin="é" * 600_000), {}, "1200001 bytes"),
        (ScriptTarget(language="cobol", code=""), {}, "'cobol' cannot be run"),
    ],
)
def test_what_kubernetes_cannot_be_given_is_refused_by_name(
    target: Target, config: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Impossible, match=complaint.replace("(", r"\(")) as refusal:
        made(target, config)
    assert refusal.value.failure is FailureClass.INVALID


def test_ours_is_merged_into_the_template() -> None:
    template = {
        "metadata": {"labels": {"team": "a", "interlock.pool": "forged"}},
        "spec": {
            "template": {
                "spec": {
                    "priorityClassName": "low",
                    "tolerations": [{"key": "t", "operator": "Exists"}],
                    "containers": [
                        {"name": "attempt", "env": [{"name": "A", "value": "1"}], "securityContext": {"runAsUser": 5}},
                        {"name": "beside", "image": "b"},
                    ],
                }
            }
        },
    }
    job = made(config={"job_template": template, "tolerations": [{"key": "u"}], "environment": {"B": "2"}}).job
    found = job["spec"]["template"]["spec"]
    assert (job["metadata"]["labels"]["team"], job["metadata"]["labels"]["interlock.pool"]) == ("a", "k8s")
    assert (found["priorityClassName"], found["tolerations"]) == (
        "low",
        [{"key": "t", "operator": "Exists"}, {"key": "u"}],
    )
    attempt, beside = found["containers"]
    assert (attempt["name"], attempt["image"], attempt["securityContext"]) == ("attempt", "runner:1", {"runAsUser": 5})
    assert [item["name"] for item in attempt["env"]][:2] == ["A", "B"]
    assert beside == {"name": "beside", "image": "b"}


@pytest.mark.parametrize("pool", ["k8s", "K8s Spot_" * 20, "", "ünïcode", "-"])
@pytest.mark.parametrize("attempt", ["task.1", "../" * 100, "\ud800", ""])
def test_name_is_valid_for_whatever_an_attempt_is_called(pool: str, attempt: str) -> None:
    name = naming.job(pool, attempt)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name)
    assert name == naming.job(pool, attempt) != naming.job(pool, attempt + "0")
    for value in naming.labels(pool, attempt, {"interlock.task": "é" * 99, "no key!": "x"}).values():
        assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value)
    assert "no key!" not in naming.labels(pool, attempt, {"no key!": "x"})
