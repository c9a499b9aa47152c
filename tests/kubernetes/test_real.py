"""The pool of Kubernetes against the real API server and Job controller, with the rights that the documentation names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, ShellTarget
from interlock.pool.kubernetes.pool import KubernetesPool
from interlock.pool.kubernetes.settings import read
from interlock.pool.launcher import Launch, Running
from kubernetes.build import found
from kubernetes.conftest import Control, Logs
from required import may_skip

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(may_skip("kubernetes", found() is not None), reason="kube-apiserver is not built"),
]

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


class World:
    def __init__(self, control: Control, logs: Logs) -> None:
        self.control = control
        self.logs = logs
        self.heard: list[str] = []
        self.pools: list[KubernetesPool] = []

    async def pool(self, **config: Any) -> KubernetesPool:
        given = {"kubeconfig": str(self.control.kubeconfig), "image": "runner:1", "grace_seconds": 1}
        pool = KubernetesPool("real", read("real", given | config))
        await pool.start()
        self.pools.append(pool)
        return pool

    def launch(self, name: str, **fields: Any) -> Launch:
        given = {"target": ShellTarget(command="work"), "environment": {"INTERLOCK_TOKEN": "t"}} | fields
        return Launch(attempt=name, folder="/", **given)

    async def start(self, pool: KubernetesPool, name: str, **fields: Any) -> Running:
        return await pool.launch(self.launch(name, **fields), self.hear)

    def hear(self, _: str, text: str) -> None:
        self.heard.append(text)

    async def pod(self) -> str:
        """Wait for the one pod that is not ending, and give it to a node."""
        async with asyncio.timeout(60):
            while True:
                pods = await self.do(self.control.items, "pods")
                names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
                if names:
                    await self.do(self.control.bind, names[0])
                    return str(names[0])
                await asyncio.sleep(0.05)

    async def runs(self) -> str:
        pod = await self.pod()
        await self.do(self.control.state, pod, "Running", RUNNING)
        return pod

    async def ends(self, pod: str, code: int, phase: str = "", **status: Any) -> None:
        terminated = {"terminated": {"exitCode": code, "reason": status.pop("why", "Error")}}
        found_phase = phase or ("Succeeded" if code == 0 else "Failed")
        await asyncio.to_thread(lambda: self.control.state(pod, found_phase, terminated, **status))

    async def is_empty(self) -> None:
        """Wait until nothing is left, playing the kubelet that ends what was asked to end."""
        async with asyncio.timeout(60):
            while True:
                left = []
                for kind in ("jobs", "pods"):
                    left += [(kind, item) for item in await self.do(self.control.items, kind)]
                left += [("secrets", item) for item in await self.do(self.control.items, "secrets")
                         if item["type"] == "Opaque"]  # fmt: skip
                if not left:
                    return
                for kind, item in left:
                    if kind == "pods" and "deletionTimestamp" in item["metadata"]:
                        await self.do(self.control.end, item["metadata"]["name"])
                await asyncio.sleep(0.1)

    @staticmethod
    async def do(act: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(act, *arguments)


@pytest.fixture
async def world(control: Control, logs: Logs) -> AsyncIterator[World]:
    world = World(control, logs)
    yield world
    emptying = asyncio.create_task(world.is_empty())
    for pool in world.pools:
        await pool.stop()
    await emptying


async def ended(running: Running) -> Outcome:
    async with asyncio.timeout(60):
        return await running.outcome()


async def test_attempt_runs_to_its_end_and_is_forgotten(world: World) -> None:
    pool = await world.pool()
    assert await pool.probe() is None
    running = await world.start(pool, "task.1")
    pod = await world.runs()
    world.logs.texts[pod] = b"hello\n"
    await world.ends(pod, 0, why="Completed")
    assert await ended(running) == Done({"code": 0, "stdout": "hello\n", "stderr": ""})
    assert "".join(world.heard) == "hello\n"
    await running.forget()


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (3, {}, FailureClass.APPLICATION),
        (137, {"why": "OOMKilled"}, FailureClass.OUT_OF_MEMORY),
        (143, {"reason": "Evicted", "message": "low on memory"}, FailureClass.PREEMPTED),
        (143, {"reason": "DeadlineExceeded"}, FailureClass.TIMEOUT),
    ],
)
async def test_class_of_a_failure(world: World, code: int, status: dict[str, str], expected: FailureClass) -> None:
    running = await world.start(await world.pool(), f"task.{code}{status}")
    await world.ends(await world.runs(), code, **status)
    outcome = await ended(running)
    assert isinstance(outcome, Failed)
    assert outcome.failure is expected
    await running.forget()


async def test_deadline_of_the_job_is_kept_by_its_controller(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It deletes the pod before it says why, so which of both is heard first decides between timeout and lost."""
    monkeypatch.setattr("interlock.pool.kubernetes.manifest._MARGIN_SECONDS", 0)
    running = await world.start(await world.pool(pending_seconds=1, grace_seconds=0), "task.1", timeout_seconds=1)
    await world.runs()
    emptying = asyncio.create_task(world.is_empty())
    outcome = await ended(running)
    assert isinstance(outcome, Failed)
    assert outcome.failure in (FailureClass.TIMEOUT, FailureClass.LOST)
    await running.forget()
    await emptying


async def test_cancel_takes_job_pod_and_secret_along(world: World) -> None:
    running = await world.start(await world.pool(), "task.1")
    await world.runs()
    emptying = asyncio.create_task(world.is_empty())
    await running.cancel()
    assert await running.outcome() == Cancelled()
    await emptying


async def test_job_that_others_delete_is_lost_and_its_secret_goes_with_it(world: World) -> None:
    running = await world.start(await world.pool(), "task.1")
    await world.runs()
    [job] = await world.do(world.control.items, "jobs")
    path = f"/apis/batch/v1/namespaces/agents/jobs/{job['metadata']['name']}"
    await world.do(world.control.ask, "DELETE", path, {"propagationPolicy": "Background"})
    emptying = asyncio.create_task(world.is_empty())
    outcome = await ended(running)
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LOST
    await emptying


async def test_adopted_attempt_goes_on(world: World) -> None:
    launch = world.launch("task.1", orphan_grace_seconds=60)
    running = await (await world.pool()).launch(launch, world.hear)
    pod = await world.runs()
    await running.detach()
    second = await world.pool()
    assert await world.do(second.is_left, launch)
    adopted = await second.adopt(launch, world.hear)
    world.logs.texts[pod] = b"all"
    await world.ends(pod, 0, why="Completed")
    assert await ended(adopted) == Done({"code": 0, "stdout": "all", "stderr": ""})
    await adopted.forget()


async def test_second_create_finds_the_first(world: World) -> None:
    first = await world.start(await world.pool(), "task.1", orphan_grace_seconds=60)
    await world.runs()
    await first.detach()
    again = await world.start(await world.pool(), "task.1")
    [pod] = await world.do(world.control.items, "pods")
    await world.ends(pod["metadata"]["name"], 3)
    outcome = await ended(again)
    assert isinstance(outcome, Failed)
    assert outcome.fault.title == "Exited with 3"
    await again.forget()


async def test_words_of_the_server_are_told(world: World) -> None:
    template = {"spec": {"template": {"spec": {"priorityClassName": "no such class"}}}}
    running = await world.start(await world.pool(job_template=template), "task.1")
    outcome = await ended(running)
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.INVALID
    assert "priorityClassName" in str(outcome.fault.detail)


async def test_namespace_without_rights_cannot_be_watched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.pool.kubernetes.attempt._LISTED_SECONDS", 1.0)
    outcome = await ended(await world.start(await world.pool(namespace="default"), "task.1"))
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LAUNCH
    assert "cannot list resource" in str(outcome.fault.detail)


async def test_sweep_removes_what_a_dead_dispatcher_left(world: World) -> None:
    running = await world.start(await world.pool(), "task/1.7", orphan_grace_seconds=60)
    await world.pod()
    await running.detach()
    emptying = asyncio.create_task(world.is_empty())
    assert await (await world.pool()).sweep(lambda attempt: asyncio.sleep(0, attempt == "task/1.7")) == ["task/1.7"]
    await emptying
