"""What a cluster does to attempts, and an API server to those who watch it: the test plays the kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from interlock import errors, telemetry
from interlock.model.task import (
    Cancelled,
    ContainerTarget,
    Done,
    Failed,
    FailureClass,
    Outcome,
    PythonTarget,
    ShellTarget,
)
from interlock.pool.kubernetes import attempt as attempts_of_kubernetes
from interlock.pool.kubernetes.pool import KubernetesPool
from interlock.pool.kubernetes.settings import read
from interlock.pool.launcher import Launch, Running
from kubernetes_fake import FakeApi, Object
from pool.conftest import until

TOKEN = "il1_secret-of-the-attempt"


class Cluster:
    """A fake API server, a pool, and what its attempts have printed."""

    def __init__(self, folder: Path) -> None:
        self.api = FakeApi()
        self.folder = folder
        self.printed: dict[str, str] = {}
        self.pools: list[KubernetesPool] = []

    async def pool(self, name: str = "k8s", **config: Any) -> KubernetesPool:
        given = {"kubeconfig": str(self.api.kubeconfig(self.folder)), "image": "runner:1", "grace_seconds": 1}
        pool = KubernetesPool(name, read(name, given | config))
        await pool.start()
        self.pools.append(pool)
        return pool

    def launch(self, name: str = "task.1", **fields: Any) -> Launch:
        given = {"target": ShellTarget(command="work"), "environment": {"INTERLOCK_TOKEN": TOKEN}} | fields
        return Launch(attempt=name, folder=str(self.folder), **given)

    async def start(self, pool: KubernetesPool, name: str = "task.1", **fields: Any) -> Running:
        return await self.go(pool.launch, self.launch(name, **fields))

    async def go(self, begin: Callable[..., Awaitable[Running]], launch: Launch) -> Running:
        def hear(_: str, text: str) -> None:
            self.printed[launch.attempt] = self.printed.get(launch.attempt, "") + text

        return await begin(launch, hear)

    async def has_pod(self) -> Object:
        await until(lambda: self.api.objects["pods"], "there is no pod")
        return self.api.the_pod()

    async def runs(self) -> Object:
        pod = await self.has_pod()
        self.api.state(pod, running={"startedAt": "2026-01-01T00:00:00Z"})
        return pod

    def ends(self, pod: Object, code: int = 0, **terminated: Any) -> None:
        self.api.state(pod, terminated={"exitCode": code, "reason": "Completed" if code == 0 else "Error"} | terminated)

    def asked(self, request: str) -> int:
        return sum(text.startswith(request) for text in self.api.requests)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.api.up()
    yield cluster
    for pool in cluster.pools:
        for running in tuple(pool._attempts):
            running.task.cancel()
        await pool.stop()
    await cluster.api.down()
    with (
        warnings.catch_warnings()
    ):  # kr8s logs in anew by closing a session that others use: their connections are left
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextlib.contextmanager
def heard(name: str) -> Any:
    """Collect what is told by telemetry under a name."""
    told: list[dict[str, Any]] = []
    detach = telemetry.attach(lambda event, fields: told.append(fields) if event == name else None)
    yield told
    detach()


async def ended(running: Running) -> Outcome:
    async with asyncio.timeout(60):
        return await running.outcome()


async def failure(running: Running) -> tuple[FailureClass, str]:
    outcome = await ended(running)
    assert isinstance(outcome, Failed), outcome
    return outcome.failure, str(outcome.fault.detail)


LISTS = "GET /apis/batch/v1/namespaces/agents/jobs"


async def test_job_holds_no_secret_and_its_secret_is_owned_by_it(cluster: Cluster) -> None:
    """RU-02: what an attempt is given reaches it; what may be secret of it stands in the Secret alone."""
    pool = await cluster.pool()
    target = ShellTarget(command="login $1", arguments=("password",), environment={"KEY": "value of a secret"})
    await cluster.start(pool, target=target, labels={"interlock.fence": "3"})
    await cluster.has_pod()
    job = cluster.api.the_job()
    name = job["metadata"]["name"]
    for secret in (TOKEN, "password", "login $1", "value of a secret"):
        assert secret not in str(job)
        assert secret in cluster.api.secret_values(name).values()
    assert job["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "interlock",
        "interlock.pool": "k8s",
        "interlock.attempt": "task.1",
        "interlock.fence": "3",
    }
    await until(lambda: "ownerReferences" in cluster.api.objects["secrets"][name]["metadata"], "the Secret is nobody's")
    [owner] = cluster.api.objects["secrets"][name]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", name, job["metadata"]["uid"])


@pytest.mark.parametrize("kind", ["/secrets", "/jobs"])
@pytest.mark.parametrize("how", ["drop", "lose"])
async def test_create_whose_answer_is_lost_makes_one_job(cluster: Cluster, kind: str, how: str) -> None:
    pool = await cluster.pool()
    cluster.api.plant("POST", kind, how=how)
    running = await cluster.start(pool)
    cluster.ends(await cluster.runs())
    assert isinstance(await ended(running), Done)
    assert len(cluster.api.objects["jobs"]) == len(cluster.api.objects["pods"]) == 1


async def test_function_is_heard_by_the_mark_of_the_secret_that_exists(cluster: Cluster) -> None:
    """A node that does not know that it has launched an attempt launches it again, and finds the Secret of before."""
    target = PythonTarget(function="a:b")
    first = await cluster.start(await cluster.pool(), target=target, orphan_grace_seconds=60)
    pod = await cluster.runs()
    await first.detach()
    running = await cluster.start(await cluster.pool(), target=target)
    mark = cluster.api.secret_values(cluster.api.the_job()["metadata"]["name"])["mark"]
    cluster.api.print(pod, b"before\x1einterlock:" + mark.encode() + b':{"type":"done","value":7}\nafter')
    cluster.ends(pod)
    assert await ended(running) == Done(7)
    assert cluster.printed["task.1"] == "beforeafter"


async def test_name_that_is_no_image_is_not_waited_for(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool(pending_seconds=600))
    cluster.api.state(await cluster.has_pod(), waiting={"reason": "InvalidImageName", "message": "couldn't parse"})
    assert await failure(running) == (FailureClass.LAUNCH, "InvalidImageName: couldn't parse")


@pytest.mark.parametrize(
    ("code", "reason", "message", "expected"),
    [
        (403, "Forbidden", "exceeded quota: pods, requested: 1, used: 5, limited: 5", FailureClass.LAUNCH),
        (403, "Forbidden", 'User "x" cannot create resource "jobs"', FailureClass.LAUNCH),
        (404, "NotFound", 'namespaces "agents" not found', FailureClass.LAUNCH),
        (422, "Invalid", "spec.template.spec.containers[0].image: Required value", FailureClass.INVALID),
        (400, "BadRequest", 'strict decoding error: unknown field "spec.backofLimit"', FailureClass.INVALID),
    ],
)
async def test_refusal_is_told_in_the_words_of_the_server(
    cluster: Cluster, code: int, reason: str, message: str, expected: FailureClass
) -> None:
    pool = await cluster.pool()
    cluster.api.plant("POST", "/jobs", code=code, reason=reason, message=message)
    found, detail = await failure(await cluster.start(pool))
    assert found is expected
    assert message in detail
    assert str(code) in detail
    await until(lambda: not cluster.api.objects["secrets"], "the Secret was left behind")


async def test_refusal_by_a_quota_does_not_break_the_watches(cluster: Cluster) -> None:
    """kr8s answers a 403 by opening a new session, under which every stream of the old one breaks."""
    pool = await cluster.pool()
    first = await cluster.start(pool, "task.1")
    pod = await cluster.runs()
    watches = cluster.asked(LISTS)
    cluster.api.plant("POST", "/jobs", code=403, reason="Forbidden", message="exceeded quota")
    await failure(await cluster.start(pool, "task.2"))
    assert cluster.asked(LISTS) == watches
    cluster.ends(pod)
    assert isinstance(await ended(first), Done)


async def test_template_that_the_server_does_not_know_is_refused(cluster: Cluster) -> None:
    template = {"spec": {"template": {"spec": {"nodeSelectr": {"a": "b"}}}}}
    found, detail = await failure(await cluster.start(await cluster.pool(job_template=template)))
    assert found is FailureClass.INVALID
    assert "nodeSelectr" in detail


async def test_server_that_is_busy_is_asked_again(cluster: Cluster) -> None:
    pool = await cluster.pool()
    cluster.api.plant("POST", "/jobs", code=503, times=2)
    running = await cluster.start(pool)
    cluster.ends(await cluster.runs())
    assert isinstance(await ended(running), Done)


async def test_server_that_stays_away_fails_the_launch(cluster: Cluster) -> None:
    pool = await cluster.pool()
    cluster.api.plant("POST", "/jobs", code=503, message="etcd is away", times=9)
    found, detail = await failure(await cluster.start(pool))
    assert found is FailureClass.LAUNCH
    assert "503" in detail


async def test_nothing_is_launched_that_cannot_be_watched(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_of_kubernetes, "_LISTED_SECONDS", 0.2)
    cluster.api.plant("GET", "/pods", code=403, message='User "x" cannot list resource "pods"', times=99)
    found, detail = await failure(await cluster.start(await cluster.pool()))
    assert found is FailureClass.LAUNCH
    assert "cannot list resource" in detail
    assert not cluster.api.created


async def test_evicted_pod_is_preempted_and_its_job_removed(cluster: Cluster) -> None:
    pool = await cluster.pool()
    running = await cluster.start(pool)
    pod = await cluster.runs()
    cluster.api.set_status(pod, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    found, detail = await failure(running)
    assert (found, detail) == (FailureClass.PREEMPTED, "Evicted: The node was low on resource: memory.")
    await until(lambda: not cluster.api.objects["jobs"], "the Job was left behind")


async def test_pod_on_a_node_that_is_gone_is_preempted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked to end, and nobody is there to end it: such a pod stays for ever."""
    monkeypatch.setattr(attempts_of_kubernetes, "_OVERDUE_SECONDS", -0.5)
    monkeypatch.setattr(attempts_of_kubernetes, "_LOOK_SECONDS", 0.1)
    running = await cluster.start(await cluster.pool())
    pod = await cluster.runs()
    cluster.api.on_pod_deleted = lambda _: None
    cluster.api.delete_pod(pod)
    found, detail = await failure(running)
    assert found is FailureClass.PREEMPTED
    assert "node" in detail


@pytest.mark.parametrize("kind", ["jobs", "pods"])
async def test_what_others_delete_is_lost(cluster: Cluster, kind: str) -> None:
    running = await cluster.start(await cluster.pool())
    pod = await cluster.runs()
    name = pod["metadata"]["name"] if kind == "pods" else cluster.api.the_job()["metadata"]["name"]
    cluster.api.remove(kind, name)
    found, detail = await failure(running)
    assert found is FailureClass.LOST
    assert "deleted, and not by Interlock" in detail


async def test_job_that_was_deleted_before_it_had_a_pod_is_lost(cluster: Cluster) -> None:
    cluster.api.makes_pods = False
    running = await cluster.start(await cluster.pool())
    await until(lambda: cluster.api.objects["jobs"], "there is no Job")
    await until(lambda: cluster.asked("PATCH"), "the attempt has not begun")
    cluster.api.remove("jobs", cluster.api.the_job()["metadata"]["name"])
    assert (await failure(running))[0] is FailureClass.LOST


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"reason": "ImagePullBackOff", "message": "Back-off pulling image"},
            "ImagePullBackOff: Back-off pulling image",
        ),
        ({"reason": "CreateContainerConfigError", "message": "no secret"}, "CreateContainerConfigError: no secret"),
    ],
)
async def test_attempt_that_does_not_start_in_time_was_not_launched(
    cluster: Cluster, status: dict[str, str], words: str
) -> None:
    running = await cluster.start(await cluster.pool(pending_seconds=0.3))
    cluster.api.state(await cluster.has_pod(), waiting=status)
    assert await failure(running) == (FailureClass.LAUNCH, words)
    await until(lambda: not any(cluster.api.objects.values()), "something may begin yet")


async def test_attempt_that_started_is_not_ended_for_having_been_late(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool(pending_seconds=0.2))
    pod = await cluster.runs()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4):
            await running.outcome()
    cluster.ends(pod)
    assert isinstance(await ended(running), Done)


async def test_time_in_which_nobody_could_see_it_start_is_not_counted(cluster: Cluster) -> None:
    pool = await cluster.pool(pending_seconds=0.4)
    running = await cluster.start(pool)
    pod = await cluster.has_pod()
    await cluster.api.down()
    await until(lambda: pool._around.watching.trouble, "nobody noticed")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await running.outcome()
    cluster.ends(pod)
    await cluster.api.up()
    assert isinstance(await ended(running), Done)


async def test_trouble_is_over_when_the_watches_are_open_again(cluster: Cluster) -> None:
    pool = await cluster.pool()
    assert await pool._around.watching.is_listed(5)
    await cluster.api.down()
    await until(lambda: pool._around.watching.trouble, "nobody noticed")
    await cluster.api.up()
    await until(lambda: not pool._around.watching.trouble, "it is in trouble still", 60)


async def test_one_watch_of_each_kind_serves_every_attempt(cluster: Cluster) -> None:
    pool = await cluster.pool()
    runs = [await cluster.start(pool, f"task.{number}") for number in range(20)]
    await until(lambda: len(cluster.api.objects["pods"]) == 20, "not all have a pod", 60)
    for pod in list(cluster.api.objects["pods"].values()):
        cluster.api.print(pod, b"x")
        cluster.ends(pod)
    assert [type(await ended(running)) for running in runs] == [Done] * 20
    assert [request for request in cluster.api.requests if request == LISTS] == [LISTS] * 2  # a list and a watch


async def test_watch_that_breaks_goes_on_where_it_was(cluster: Cluster) -> None:
    with heard("kubernetes.relist") as relisted:
        pool = await cluster.pool()
        running = await cluster.start(pool)
        pod = await cluster.runs()
        await until(lambda: cluster.asked("GET") >= 5, "the log is not followed")
        before = cluster.asked(LISTS)
        cluster.api.cut_watches()
        cluster.ends(pod)
        assert isinstance(await ended(running), Done)
    assert relisted == []
    await until(lambda: cluster.asked(LISTS) >= before + 1, "it was not watched again")


async def test_what_a_watch_missed_is_found_by_a_list(cluster: Cluster) -> None:
    """410 Gone: the changes since the last one seen are forgotten, a deletion among them."""
    pool = await cluster.pool()
    first, second = [await cluster.start(pool, name) for name in ("task.1", "task.2")]
    await until(lambda: len(cluster.api.objects["pods"]) == 2, "not all have a pod")
    pods = list(cluster.api.objects["pods"].values())
    for pod in pods:
        cluster.api.state(pod, running={})
    await until(lambda: sum("/log" in text for text in cluster.api.requests) == 2, "the logs are not followed")
    with heard("kubernetes.relist") as relisted:
        cluster.api.cut_watches()
        cluster.ends(pods[0])
        cluster.api.remove("jobs", pods[1]["metadata"]["ownerReferences"][0]["name"])
        cluster.api.compact()
        assert isinstance(await ended(first), Done)
        assert (await failure(second))[0] is FailureClass.LOST
    assert relisted


async def test_attempt_outlives_a_server_that_is_away(cluster: Cluster) -> None:
    """Its output is heard once, although its log is read again from the beginning."""
    pool = await cluster.pool()
    running = await cluster.start(pool)
    pod = await cluster.runs()
    cluster.api.print(pod, b"first\n")
    await until(lambda: cluster.printed.get("task.1") == "first\n", "the log is not followed")
    await cluster.api.down()
    assert "cannot be reached" in str(await pool.probe())
    cluster.api.print(pod, b"second\n")
    cluster.ends(pod)
    await cluster.api.up()
    assert await ended(running) == Done({"code": 0, "stdout": "first\nsecond\n", "stderr": ""})
    assert cluster.printed["task.1"] == "first\nsecond\n"
    await until(lambda: not pool._around.watching.trouble, "the trouble is over")
    assert await pool.probe() is None


async def test_result_whose_output_cannot_be_read_is_lost(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool())
    pod = await cluster.has_pod()
    cluster.api.plant("GET", "/log", code=500, message="the node does not answer", times=99)
    cluster.ends(pod)
    found, detail = await failure(running)
    assert found is FailureClass.LOST
    assert "could not be read" in detail


async def test_cancel_waits_until_the_pods_are_gone(cluster: Cluster) -> None:
    """RU-07: what is cancelled is stopped before its cancellation is told."""
    running = await cluster.start(await cluster.pool())
    pod = await cluster.runs()
    cluster.api.on_pod_deleted = lambda _: None
    cancelling = asyncio.create_task(running.cancel())
    await until(lambda: "deletionTimestamp" in pod["metadata"], "the pod is not asked to end")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await asyncio.shield(cancelling)
    cluster.api.remove("pods", pod["metadata"]["name"])
    await asyncio.wait_for(cancelling, 60)
    assert await running.outcome() == Cancelled()
    assert not any(cluster.api.objects.values())


async def test_cancel_gives_up_when_the_grace_is_over(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_of_kubernetes, "_MARGIN_SECONDS", 0.2)
    running = await cluster.start(await cluster.pool(grace_seconds=0))
    await cluster.runs()
    cluster.api.on_pod_deleted = lambda _: None
    with heard("kubernetes.not_gone") as told:
        await asyncio.wait_for(running.cancel(), 60)
    assert await running.outcome() == Cancelled()
    assert len(told) == 1


async def test_cancel_is_made_again_when_the_server_was_away(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool())
    await cluster.runs()
    cluster.api.plant("DELETE", "/jobs", code=503)
    await running.cancel()
    assert await running.outcome() == Cancelled()
    assert not any(cluster.api.objects.values())


async def test_cancelled_before_it_has_a_pod_leaves_nothing(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool())
    await running.cancel()
    assert await running.outcome() == Cancelled()
    assert not any(cluster.api.objects.values())


async def test_detached_attempt_is_adopted_with_all_of_its_output(cluster: Cluster) -> None:
    """SH-02: a dispatcher that comes after finds the Job by its name, and hears it from the beginning."""
    first = await cluster.pool()
    launch = cluster.launch(orphan_grace_seconds=60)
    running = await cluster.go(first.launch, launch)
    pod = await cluster.runs()
    cluster.api.print(pod, b"one ")
    await until(lambda: cluster.printed.get("task.1") == "one ", "the log is not followed")
    await running.detach()
    assert await running.outcome() == Cancelled()
    await first.stop()
    cluster.printed.clear()
    second = await cluster.pool()
    assert await asyncio.to_thread(second.is_left, launch)
    assert not await asyncio.to_thread(second.is_left, cluster.launch("task.2"))
    adopted = await cluster.go(second.adopt, launch)
    cluster.api.print(pod, b"two")
    cluster.ends(pod)
    assert await ended(adopted) == Done({"code": 0, "stdout": "one two", "stderr": ""})
    assert cluster.printed["task.1"] == "one two"


async def test_ended_attempt_is_adopted_with_its_outcome(cluster: Cluster) -> None:
    launch = cluster.launch(orphan_grace_seconds=60)
    running = await cluster.go((await cluster.pool()).launch, launch)
    pod = await cluster.runs()
    await running.detach()
    cluster.api.print(pod, b"all")
    cluster.ends(pod, 4)
    adopted = await cluster.go((await cluster.pool()).adopt, launch)
    outcome = await ended(adopted)
    assert isinstance(outcome, Failed)
    assert outcome.fault.title == "Exited with 4"
    await adopted.forget()
    assert not any(cluster.api.objects.values())


async def test_attempt_that_nothing_is_left_of_is_lost(cluster: Cluster) -> None:
    pool = await cluster.pool()
    assert (await failure(await cluster.go(pool.adopt, cluster.launch())))[0] is FailureClass.LOST


async def test_something_may_be_left_while_nobody_answers(cluster: Cluster) -> None:
    pool = await cluster.pool()
    await cluster.api.down()
    assert await asyncio.to_thread(pool.is_left, cluster.launch())


async def test_detached_attempt_that_may_not_outlive_its_node_is_ended(cluster: Cluster) -> None:
    running = await cluster.start(await cluster.pool())
    await cluster.runs()
    await running.detach()
    assert not any(cluster.api.objects.values())


async def test_stop_ends_what_runs(cluster: Cluster) -> None:
    pool = await cluster.pool()
    running = await cluster.start(pool, orphan_grace_seconds=60)
    await cluster.runs()
    await pool.stop()
    assert await running.outcome() == Cancelled()
    assert not any(cluster.api.objects.values())
    await pool.stop()


async def test_sweep_removes_what_is_over_and_nobody_runs(cluster: Cluster) -> None:
    """SH-02: leftovers of a dispatcher that died, a Secret without a Job among them."""
    dead = await cluster.pool()
    for name in ("over/1.7", "goes-on.1", "secret-only.1"):
        detached = await cluster.start(dead, name, orphan_grace_seconds=60)
        await until(lambda name=name: cluster.asked("PATCH") and name in str(cluster.api.objects["jobs"]), "no Job")
        await detached.detach()
    jobs = {job["metadata"]["annotations"]["interlock.attempt-id"]: job for job in cluster.api.objects["jobs"].values()}
    orphan = cluster.api.objects["secrets"][jobs["secret-only.1"]["metadata"]["name"]]
    orphan["metadata"].pop("ownerReferences", None)
    cluster.api.remove("jobs", jobs["secret-only.1"]["metadata"]["name"])
    pool = await cluster.pool()
    other = await cluster.pool("other")
    await cluster.start(pool, "mine.1")
    await cluster.start(other, "theirs.1")
    await until(lambda: len(cluster.api.objects["jobs"]) == 4, "not all have a Job")
    asked: list[str] = []

    async def is_over(attempt: str) -> bool:
        asked.append(attempt)
        return attempt != "goes-on.1"

    assert await pool.sweep(is_over) == ["over/1.7", "secret-only.1"]
    assert set(asked) == {"over/1.7", "goes-on.1", "secret-only.1"}
    left = {job["metadata"]["annotations"]["interlock.attempt-id"] for job in cluster.api.objects["jobs"].values()}
    assert left == {"goes-on.1", "mine.1", "theirs.1"}
    assert len(cluster.api.objects["secrets"]) == 3


async def test_sweep_says_when_the_server_is_away(cluster: Cluster) -> None:
    pool = await cluster.pool()
    await cluster.api.down()
    with pytest.raises(errors.Environment, match="leftovers cannot be removed"):
        await pool.sweep(lambda _: asyncio.sleep(0, True))


async def test_probe_tells_why_nothing_can_be_launched(cluster: Cluster) -> None:
    pool = await cluster.pool()
    assert await pool.probe() is None
    cluster.api.is_ready = False
    assert "etcd failed" in str(await pool.probe())


async def test_end_of_a_job_that_is_heard_before_its_pod_is_no_loss(cluster: Cluster) -> None:
    """Jobs and pods are watched apart: here the watch of the pods is away for a while."""
    pool = await cluster.pool()
    await until(lambda: pool._around.watching.has_listed, "nothing was listed")
    cluster.api.plant("GET", "/pods", code=503, times=5)
    cluster.api.cut_watches()
    running = await cluster.start(pool)
    cluster.ends(await cluster.runs())
    assert isinstance(await ended(running), Done)


# As in `cluster`: kr8s leaves connections when it logs in anew, and they may be collected before the test is over.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_new_credentials_are_read_when_the_old_are_refused(cluster: Cluster) -> None:
    cluster.api.token = "old"
    pool = await cluster.pool()
    running = await cluster.start(pool)
    await cluster.runs()
    cluster.api.token = "new"
    cluster.api.kubeconfig(cluster.folder)
    cluster.api.cut_watches()
    second = await cluster.start(pool, "task.2")
    await until(lambda: len(cluster.api.objects["pods"]) == 2, "nothing was launched")
    for pod in list(cluster.api.objects["pods"].values()):
        cluster.ends(pod)
    assert isinstance(await ended(running), Done)
    assert isinstance(await ended(second), Done)


async def test_pool_without_credentials_does_not_start(tmp_path: Path) -> None:
    pool = KubernetesPool("k8s", read("k8s", {"kubeconfig": str(tmp_path / "none"), "image": "i"}))
    with pytest.raises(errors.Environment, match="none"):
        await pool.start()
    await pool.stop()


async def test_container_that_wants_to_be_kept_is_not_forgotten(cluster: Cluster) -> None:
    pool = await cluster.pool()
    target = ContainerTarget(image="i", cleanup="eventually", cleanup_seconds=5)
    running = await cluster.start(pool, target=target)
    cluster.ends(await cluster.runs())
    assert isinstance(await ended(running), Done)
    await running.forget()
    assert cluster.api.the_job()["spec"]["ttlSecondsAfterFinished"] == 5


async def test_without_the_extra_the_pool_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kr8s.asyncio", None)
    pool = KubernetesPool("k8s", read("k8s", {"image": "i"}))
    with pytest.raises(errors.Environment, match=r"pip install 'interlock\[kubernetes\]'"):
        await pool.start()
    await pool.stop()


def test_the_client_is_imported_by_a_pool_that_starts_only() -> None:
    code = "import sys, interlock.pool.kubernetes.pool; sys.exit('kr8s' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
