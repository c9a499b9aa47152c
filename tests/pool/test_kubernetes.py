"""The pool of Kubernetes, against an API server of our own whose kubelet runs real processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock.app.pool_care import Probed
from interlock.model.task import (
    Cancelled,
    CommandTarget,
    ContainerTarget,
    Done,
    Failed,
    FailureClass,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
)
from interlock.pool.kubernetes.pool import KubernetesPool
from interlock.pool.kubernetes.settings import KubernetesSettings, read
from kubelet_fake import Kubelet
from kubernetes_fake import FakeApi
from pool.conformance import (
    SURVIVOR,
    Attempts,
    EndingConformance,
    FunctionConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from pool.conftest import marked, until

__all__ = ["attempts"]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.up()
    yield api
    await api.down()


def settings(api: FakeApi, folder: Path, **fields: Any) -> KubernetesSettings:
    workspace = {"claim": "work", "mount_path": str(folder), "root": str(folder)}
    config = {
        "kubeconfig": str(api.kubeconfig(folder)),
        "image": "registry.example/runner:1",
        "python": sys.executable,
        "grace_seconds": 1,
        "workspace": workspace,
    }
    return read("k8s", config | fields)


@pytest.fixture
async def launcher(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPool]:
    kubelet = Kubelet(api, tmp_path / "kubelet")
    pool = KubernetesPool("k8s", settings(api, tmp_path))
    await pool.start()
    yield pool
    await pool.stop()
    await kubelet.stop()


async def test_cluster_that_does_not_answer_is_ill_for_who_looks_after_pools(
    api: FakeApi, launcher: KubernetesPool
) -> None:
    """PO-05: with the time that an answer may take, as the pools of other engines are asked."""
    assert isinstance(launcher, Probed)
    assert await launcher.probe(10.0) is None
    await api.down()
    assert await launcher.probe(10.0) is not None
    await api.up()
    assert "no answer in 0 s" in str(await launcher.probe(0.0))


class TestConformance(ShellConformance, ScriptConformance, EndingConformance, FunctionConformance):
    """What every launcher of commands must do; where the log of a pod, its deadline or its image differ, what it does instead."""

    async def test_result_holds_code_and_both_streams(self, attempts: Attempts) -> None:
        """A pod's log is one stream, so all of it is `stdout`."""
        assert await attempts.shell("echo out; echo err >&2") == {"code": 0, "stdout": "out\nerr\n", "stderr": ""}
        assert attempts.printed() == "out\nerr\n"

    async def test_other_exit_codes_are_failures_with_the_last_words(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="echo working; echo 'disk is gone' >&2; exit 3"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.APPLICATION
        assert (outcome.fault.title, outcome.fault.detail) == ("Exited with 3", "working\ndisk is gone")

    async def test_command_killed_by_a_signal_fails_by_its_name(self, attempts: Attempts) -> None:
        """A container tells of a signal by its exit code, and so may a program: where every exit is a result, it is one."""
        outcome = await attempts.run(ShellTarget(command="kill -SEGV $$"))
        assert isinstance(outcome, Failed)
        assert outcome.fault.title == "Exited with 139 (SIGSEGV)"
        assert (await attempts.shell("kill -SEGV $$", any_exit_code=True))["code"] == 139

    async def test_missing_folder_is_named(self, attempts: Attempts) -> None:
        """A folder that the workspace cannot hold is refused; one that is missing in it, a container runtime makes."""
        outcome = await attempts.run(ShellTarget(command="true"), folder="/elsewhere")
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID
        assert "/elsewhere" in str(outcome.fault.detail)

    async def test_large_output_is_complete(self, attempts: Attempts) -> None:
        result = await attempts.shell("head -c 5000000 /dev/zero | tr '\\0' x")
        assert len(result["stdout"]) == len(attempts.printed()) == 5_000_000

    async def test_missing_interpreter_is_named(self, attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(attempts.folder))
        outcome = await attempts.run(ScriptTarget(language="js", code="1"))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.title) == (FailureClass.LAUNCH, "Not launched")
        assert "StartError" in str(outcome.fault.detail)
        assert '"node"' in str(outcome.fault.detail)

    async def test_timeout_kills_the_whole_tree(self, attempts: Attempts) -> None:
        """Kubernetes counts whole seconds, and the pod has its grace after them."""
        outcome = await attempts.run(ShellTarget(command="echo on; " + SURVIVOR), timeout_seconds=0.3)
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.status) == (FailureClass.TIMEOUT, 408)
        assert outcome.fault.detail == "it ran longer than 0.3 s"
        assert attempts.printed() == "on\n"
        assert marked(attempts.mark) == []

    @pytest.mark.parametrize("name", ["sleep", "sleep_later"])
    async def test_timeout_of_a_function(self, attempts: Attempts, name: str) -> None:
        outcome = await attempts.run(self.call(name, seconds=600), timeout_seconds=0.2)
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.TIMEOUT

    async def test_cancel_kills_the_whole_tree(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
        await attempts.has_printed("on")
        await running.cancel()
        assert await running.outcome() == Cancelled()
        await running.cancel()
        assert marked(attempts.mark) == []

    async def test_isolated_function_prints_into_the_log(self, attempts: Attempts) -> None:
        """What it printed is passed on without the line that tells its outcome."""
        assert await attempts.run(self.call("speak")) == Done(1)
        assert attempts.printed() == "spoken\naside\n"

    async def test_function_process_that_dies_is_a_failure(self, attempts: Attempts) -> None:
        (attempts.folder / "deadly.py").write_text("import os\ndef gone(): print('bye', flush=True); os._exit(4)\n")
        outcome = await attempts.run(PythonTarget(function="deadly:gone"))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.title) == (FailureClass.APPLICATION, "Its process exited with 4")
        assert outcome.fault.detail == "bye"

    async def test_container_runs_its_own_command(self, attempts: Attempts) -> None:
        target = ContainerTarget(
            image="other:2", command="sh -c 'echo \"$1\"; cat' sh", arguments=("$HOME",), stdin="in"
        )
        outcome = await attempts.run(target)
        assert outcome == Done({"code": 0, "stdout": "$HOME\nin", "stderr": ""})

    async def test_argument_list_meets_no_shell(self, attempts: Attempts) -> None:
        outcome = await attempts.run(CommandTarget(argv=("printf", "%s|", "$(HOME)", "$$", "; touch owned")))
        assert outcome == Done({"code": 0, "stdout": "$(HOME)|$$|; touch owned|", "stderr": ""})

    async def test_too_much_output_fails_a_result_that_would_hold_it(
        self, attempts: Attempts, api: FakeApi, tmp_path: Path
    ) -> None:
        pool = KubernetesPool("k8s", settings(api, tmp_path), result_bytes=1000)
        await pool.start()
        attempts.launcher = pool
        for target in (ShellTarget(command="head -c 1001 /dev/zero | tr '\\0' x"), self.call("large", size=2000)):
            outcome = await attempts.run(target)
            assert isinstance(outcome, Failed)
            assert (outcome.failure, outcome.fault.code) == (FailureClass.INVALID, "payload-too-large")
        await pool.stop()

    async def test_more_than_a_secret_holds_is_refused(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="cat", stdin="x" * 1_100_000))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID
        assert "1048576" in str(outcome.fault.detail)

    async def test_nothing_is_left_of_a_forgotten_attempt(self, attempts: Attempts, api: FakeApi) -> None:
        running = await attempts.start(ShellTarget(command="echo done"))
        assert isinstance(await running.outcome(), Done)
        assert len(api.objects["jobs"]) == len(api.objects["secrets"]) == 1
        await running.forget()
        await until(lambda: not any(api.objects.values()), "something is left")
        await running.forget()
