"""What the state of a Job and its pod means."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model.task import FailureClass
from interlock.pool.kubernetes import status


def pod(
    phase: str = "Running", *, state: dict[str, Any] | None = None, deleted: bool = False, **fields: Any
) -> dict[str, Any]:
    containers = (
        [] if state is None else [{"name": "beside", "state": {"running": {}}}, {"name": "attempt", "state": state}]
    )
    metadata = {"name": "p"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": containers, **fields}}


def exited(code: int, reason: str = "Error", **fields: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **fields}}


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> list[dict[str, str]]:
    return [{"type": type_, "status": status, "reason": reason, "message": message}]


DISRUPTED = condition("DisruptionTarget", reason="PreemptionByScheduler", message="preempting to accommodate another")


@pytest.mark.parametrize(
    ("found", "is_gone", "failure", "code", "words"),
    [
        (pod(state=exited(0, "Completed")), False, None, 0, ""),
        (pod("Failed", state=exited(3)), False, None, 3, ""),
        (pod("Running", state=exited(3)), False, None, 3, ""),  # a container beside it goes on
        (pod("Succeeded"), False, None, 0, ""),
        (pod("Failed", state=exited(137, "OOMKilled")), False, FailureClass.OUT_OF_MEMORY, 137, "OOMKilled"),
        (pod("Failed", state=exited(143), conditions=DISRUPTED), False, FailureClass.PREEMPTED, 143, "PreemptionByScheduler"),
        (pod("Failed", state=exited(0, "Completed"), conditions=DISRUPTED), False, None, 0, ""),  # it made it in time
        (pod("Failed", reason="Evicted", message="low on memory"), False, FailureClass.PREEMPTED, None, "low on memory"),
        (pod("Failed", reason="Preempting"), False, FailureClass.PREEMPTED, None, "Preempting"),
        (pod("Failed", reason="NodeShutdown"), False, FailureClass.PREEMPTED, None, "NodeShutdown"),
        (pod("Failed", reason="Terminated", state=exited(143)), False, FailureClass.PREEMPTED, 143, "Terminated"),
        (pod("Running", reason="NodeLost", state={"running": {}}), False, FailureClass.PREEMPTED, None, "NodeLost"),
        (pod("Running", conditions=DISRUPTED, deleted=True), True, FailureClass.PREEMPTED, None, "preempting to"),
        (pod("Failed", reason="DeadlineExceeded", message="too long"), False, FailureClass.TIMEOUT, None, "too long"),
        (pod("Failed", reason="DeadlineExceeded", state=exited(0)), False, FailureClass.TIMEOUT, None, "Deadline"),
        (pod("Running", state={"running": {}}, deleted=True), True, FailureClass.LOST, None, "not by Interlock"),
        (pod("Failed", state=exited(143), deleted=True), False, FailureClass.LOST, 143, "not by Interlock"),
        (pod("Pending"), True, FailureClass.LOST, None, "not by Interlock"),
        (pod("Failed", state=exited(137, "ContainerStatusUnknown")), False, FailureClass.LOST, None, "ContainerStatusUnknown"),
        (pod("Failed", state=exited(128, "StartError", message="no such file")), False, FailureClass.LAUNCH, None, "no such file"),
        (pod("Failed", reason="OutOfcpu", message="Node didn't have enough"), False, FailureClass.LAUNCH, None, "OutOfcpu"),
        (pod("Failed", reason="UnexpectedAdmissionError"), False, FailureClass.LAUNCH, None, "Admission"),
        (pod("Failed", state={"waiting": {"reason": "PodInitializing"}}), False, FailureClass.LAUNCH, None, "before its container"),
        (pod("Failed", reason="SomethingNew"), False, FailureClass.LOST, None, "SomethingNew"),
    ],
)  # fmt: skip
def test_state_of_a_pod_has_a_class(
    found: dict[str, Any], is_gone: bool, failure: FailureClass | None, code: int | None, words: str
) -> None:
    """RU-04: how a runner ended is known from its pod, and each way has its own budget of retries."""
    ending = status.ending(None, found, pod_is_gone=is_gone)
    assert ending is not None
    assert (ending.failure, ending.code) == (failure, code)
    assert words in ending.detail


@pytest.mark.parametrize(
    "found",
    [
        pod("Pending"),
        pod("Running", state={"running": {}}),
        pod("Running", state={"running": {}}, deleted=True),
        pod("Running", state={"running": {}}, conditions=DISRUPTED),
        pod("Pending", state={"waiting": {"reason": "ImagePullBackOff"}}),
        pod("Unknown"),
    ],
)
def test_pod_that_may_go_on_has_not_ended(found: dict[str, Any]) -> None:
    assert status.ending(None, found) is None


@pytest.mark.parametrize(
    ("conditions", "failure", "words"),
    [
        (
            condition("Failed", reason="DeadlineExceeded", message="active longer"),
            FailureClass.TIMEOUT,
            "active longer",
        ),
        (condition("Failed", reason="BackoffLimitExceeded"), FailureClass.LOST, "BackoffLimitExceeded"),
        (condition("Complete"), FailureClass.LOST, "removed before its output was read"),
    ],
)
def test_job_tells_what_its_pod_cannot(conditions: list[dict[str, str]], failure: FailureClass, words: str) -> None:
    ending = status.ending({"status": {"conditions": conditions}}, None)
    assert ending is not None
    assert ending.failure is failure
    assert words in ending.detail


@pytest.mark.parametrize("is_gone", [False, True])
def test_pod_that_the_deadline_of_its_job_deleted_is_no_loss(is_gone: bool) -> None:
    job = {"status": {"conditions": condition("Failed", reason="DeadlineExceeded")}}
    ending = status.ending(job, pod("Failed", state=exited(143), deleted=True), pod_is_gone=is_gone)
    assert ending is not None
    assert ending.failure is FailureClass.TIMEOUT


def test_job_that_ended_waits_for_what_its_pod_tells() -> None:
    job = {"status": {"conditions": condition("Failed", reason="BackoffLimitExceeded")}}
    assert status.ending(job, pod("Running", state={"running": {}})) is None
    assert status.ending({"status": {}}, None) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "no pod yet"),
        (pod("Pending", state={"waiting": {"reason": "ErrImagePull", "message": "not found"}}), "ErrImagePull: not found"),
        (
            pod("Pending", conditions=condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available")),
            "Unschedulable: 0/3 nodes are available",
        ),
        (pod("Pending", state={"waiting": {"reason": "ContainerCreating"}}), "its pod is Pending: ContainerCreating"),
    ],
)  # fmt: skip
def test_what_keeps_an_attempt_from_starting_is_told(found: dict[str, Any] | None, words: str) -> None:
    assert words in status.obstacle(found)


def test_only_a_name_that_is_no_image_is_hopeless() -> None:
    assert status.is_hopeless(pod("Pending", state={"waiting": {"reason": "InvalidImageName"}}))
    assert not status.is_hopeless(pod("Pending", state={"waiting": {"reason": "ImagePullBackOff"}}))
    assert not status.is_hopeless(None)


@pytest.mark.parametrize(("code", "name"), [(137, "SIGKILL"), (139, "SIGSEGV"), (3, ""), (128, ""), (255, "")])
def test_exit_codes_above_128_tell_of_signals(code: int, name: str) -> None:
    assert status.signal_name(code) == name
