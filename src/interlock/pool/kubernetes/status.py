"""What the state of a Job and its pods means for an attempt. Pure: objects of the API in, words out.

Sources: the API reference of Job, PodStatus and ContainerState; the reasons that kubelet, scheduler and controllers write.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from interlock.model.task import FailureClass
from interlock.pool.kubernetes.manifest import CONTAINER

Object: TypeAlias = Mapping[str, Any]

_TAKEN_AWAY: Final = frozenset(
    {"Evicted", "Preempting", "Shutdown", "NodeShutdown", "Terminated", "NodeLost", "DeletionByTaintManager"}
)
"""Reasons of a pod whose place was taken away: by pressure, by a more urgent pod, with its node."""
_REFUSED: Final = (
    "OutOf",
    "NodeAffinity",
    "NodeName",
    "NodePorts",
    "UnexpectedAdmissionError",
    "AppArmor",
    "SysctlForbidden",
)
"""Beginnings of reasons for which a node did not take a pod that it was given."""
_NOT_STARTED: Final = frozenset(
    {"ContainerCannotRun", "StartError", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}
)
_HOPELESS: Final = frozenset({"InvalidImageName"})
_USUAL: Final = frozenset({"ContainerCreating", "PodInitializing", ""})


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended. `failure`: None when its program ended by itself, with `code`; a `code` beside a failure is that
    of a program that was made to end."""

    failure: FailureClass | None = None
    title: str = ""
    detail: str = ""
    code: int | None = None


def ending(job: Object | None, pod: Object | None, *, pod_is_gone: bool = False) -> Ending | None:
    """Give how an attempt ended; None while it has not. `pod_is_gone`: `pod` is what was last seen of it."""
    found = None if pod is None else _of_pod(pod, is_gone=pod_is_gone)
    condition = None if job is None else _condition(job, "Failed") or _condition(job, "Complete")
    is_late = condition is not None and condition.get("reason") == "DeadlineExceeded"
    if found is not None and not (is_late and found.failure is FailureClass.LOST):  # the deadline deleted the pod
        return found
    if condition is None or (found is None and pod is not None and not pod_is_gone):
        return None  # where a Job has ended its pod has too, and tells more as soon as that is heard
    words = _words(condition)
    if is_late:
        return Ending(failure=FailureClass.TIMEOUT, title="Timeout", detail=words)
    if condition["type"] == "Complete":
        detail = (
            "it succeeded, but its pod was removed before its output was read; let finished pods stay for some minutes"
        )
        return Ending(failure=FailureClass.LOST, title="Lost", detail=detail)
    return Ending(failure=FailureClass.LOST, title="Lost", detail=f"its Job failed and its pod is gone: {words}")


def has_started(pod: Object) -> bool:
    """Say whether the program of an attempt runs or ran, so that there is something to read of it."""
    state = _state(pod)
    return "running" in state or "terminated" in state


def obstacle(pod: Object | None) -> str:
    """Say in Kubernetes' words why an attempt has not started; it may start yet."""
    if pod is None:
        return "its Job has no pod yet"
    waiting = _state(pod).get("waiting", {})
    if waiting.get("reason", "") not in _USUAL:
        return _words(waiting)
    scheduled = _condition(pod, "PodScheduled", "False")
    if scheduled is not None:
        return _words(scheduled)
    phase = pod.get("status", {}).get("phase", "Pending")
    return f"its pod is {phase}{_colon(_words(waiting))}"


def is_hopeless(pod: Object | None) -> bool:
    """Say whether waiting cannot help an attempt that has not started."""
    return pod is not None and _state(pod).get("waiting", {}).get("reason") in _HOPELESS


def signal_name(code: int) -> str:
    """Give the name of the signal that an exit code above 128 usually tells of; "" for others."""
    number = code - 128
    return signal.Signals(number).name if number in set(signal.Signals) else ""


def latest(pods: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Give the newest of the pods of a Job: there is one, unless a cluster made another one for a pod that was deleted."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)


def _of_pod(pod: Object, *, is_gone: bool) -> Ending | None:
    status = pod.get("status", {})
    phase, reason = status.get("phase", ""), status.get("reason", "")
    terminated = _state(pod).get("terminated")
    is_over = is_gone or terminated is not None or phase in ("Succeeded", "Failed") or reason == "NodeLost"
    if not is_over:
        return None
    told = _told(status)
    if reason == "DeadlineExceeded":
        return Ending(failure=FailureClass.TIMEOUT, title="Timeout", detail=told)
    if terminated is not None and terminated.get("reason") == "OOMKilled":
        detail = "Kubernetes killed it for want of memory (OOMKilled): it needs a higher limit"
        return Ending(failure=FailureClass.OUT_OF_MEMORY, title="Out of memory", detail=detail, code=_code(terminated))
    if (terminated is not None and _code(terminated) == 0) or phase == "Succeeded":
        return Ending(code=0)
    disruption = _condition(pod, "DisruptionTarget")
    if disruption is not None or reason in _TAKEN_AWAY:
        detail = _words(disruption) if disruption is not None else told
        return Ending(failure=FailureClass.PREEMPTED, title="Preempted", detail=detail, code=_code(terminated))
    if is_gone or pod["metadata"].get("deletionTimestamp"):
        detail = "its pod was deleted, and not by Interlock"
        return Ending(failure=FailureClass.LOST, title="Lost", detail=detail, code=_code(terminated))
    return _failed(terminated, reason, told)


def _failed(terminated: Object | None, reason: str, told: str) -> Ending:
    """Give how an attempt ended whose pod failed where it was, and without a deadline."""
    if terminated is None:
        was_refused = reason.startswith(_REFUSED)
        failure = FailureClass.LAUNCH if was_refused or not reason else FailureClass.LOST
        title = "Not launched" if failure is FailureClass.LAUNCH else "Lost"
        return Ending(failure=failure, title=title, detail=told or "its pod failed before its container began")
    if terminated.get("reason") in _NOT_STARTED:
        return Ending(failure=FailureClass.LAUNCH, title="Not launched", detail=_words(terminated))
    if terminated.get("reason") == "ContainerStatusUnknown":
        return Ending(failure=FailureClass.LOST, title="Lost", detail=_words(terminated))
    return Ending(code=_code(terminated))


def _state(pod: Object) -> Mapping[str, Any]:
    """Give the state of the attempt's container: waiting, running or terminated."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        if container.get("name") == CONTAINER:
            state: Mapping[str, Any] = container.get("state") or {}
            return state
    return {}


def _condition(found: Object, type_: str, status: str = "True") -> Object | None:
    conditions = found.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item.get("type") == type_ and item.get("status") == status), None)


def _code(terminated: Object | None) -> int | None:
    return None if terminated is None else int(terminated.get("exitCode", 1))


def _told(status: Object) -> str:
    return _words({"reason": status.get("reason", ""), "message": status.get("message", "")})


def _words(told: Object) -> str:
    """Give reason and message as one text."""
    reason, message = str(told.get("reason") or ""), str(told.get("message") or "")
    return f"{reason}{_colon(message)}" if reason else message


def _colon(text: str) -> str:
    return f": {text}" if text else ""
