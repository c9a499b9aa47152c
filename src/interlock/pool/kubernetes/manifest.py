"""A Launch as a Job and the Secret that carries what may be secret of it."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from interlock.model.task import ContainerTarget, FailureClass, Resources
from interlock.pool.commands import Impossible
from interlock.pool.kubernetes import naming
from interlock.pool.kubernetes.program import FOLDER, Program, program
from interlock.pool.kubernetes.settings import Amounts, KubernetesSettings, Volume
from interlock.pool.launcher import Launch

Manifest: TypeAlias = dict[str, Any]

CONTAINER: Final = "attempt"
"""What the container of the attempt is called, beside those of a template."""
MARK_KEY: Final = "mark"
"""In the Secret: what a function's outcome is told after, for whoever adopts the attempt."""
TOLD: Final = "interlock.attempt-id"
"""An annotation: the attempt by its full name, which a label may be too short for."""
NAMED: Final = "interlock.container-name"
"""An annotation: the name that the author gave a container. Names of pods are the cluster's, and two attempts may overlap."""
_OWN: Final = "interlock-attempt"
_WORKSPACE: Final = "interlock-workspace"
_MARGIN_SECONDS: Final = 60  # the Job's own deadline is the net under that of its pod, for when nobody looks after it
_GPU: Final = "nvidia.com/gpu"
_NAMED: Final = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
"""Lists of a manifest whose items are one item when they have the same name."""
_QUANTITY: Final = re.compile(r"([0-9.]+(?:[eE][-+]?[0-9]+)?)([a-zA-Z]*)")


class Manifests(msgspec.Struct, frozen=True, kw_only=True):
    job: Manifest
    secret: Manifest


def manifests(launch: Launch, settings: KubernetesSettings, pool: str, mark: str) -> Manifests:
    """Give the Job and the Secret of an attempt. Raises Impossible for what Kubernetes cannot be given."""
    folder, mounts, volumes = _mounted(launch, settings)
    told = program(launch.target, settings, launch.environment, folder, mark, launch.files)
    name = naming.job(pool, launch.attempt)
    labels = {**settings.labels, **naming.labels(pool, launch.attempt, launch.labels)}
    metadata = {"name": name, "labels": labels, "annotations": {TOLD: launch.attempt}}
    if told.files:
        items = [{"key": _file_key(file), "path": file} for file in told.files]
        volumes.append({"name": _OWN, "secret": {"secretName": name, "items": items, "defaultMode": 0o444}})
        mounts.append(_mount(_OWN, FOLDER, "", read_only=True))
    container = _drop_empty(
        {
            "name": CONTAINER,
            "image": told.image,
            "imagePullPolicy": told.pull_policy,
            "command": told.words,
            "args": told.arguments,
            "workingDir": folder,
            "env": _variables(name, told, settings),
            "resources": resources(launch.resources, settings),
            "ports": _ports(launch),
            "volumeMounts": mounts,
        }
    )
    pod = _drop_empty(
        {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": settings.grace_seconds,
            "activeDeadlineSeconds": _deadline(launch),
            "enableServiceLinks": False,  # the variables of an attempt are those that it was given
            "serviceAccountName": settings.service_account,
            "imagePullSecrets": [{"name": secret} for secret in settings.image_pull_secrets],
            "nodeSelector": settings.node_selector,
            "tolerations": [msgspec.to_builtins(item) for item in settings.tolerations],
            "volumes": volumes,
            "containers": [container],
        }
    )
    annotations = {**settings.annotations, TOLD: launch.attempt}
    if isinstance(launch.target, ContainerTarget) and launch.target.name:
        annotations[NAMED] = launch.target.name
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            **_ends(launch, settings),
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }
    return Manifests(job=merged(settings.job_template, job), secret=_secret(metadata, told, mark))


def resources(asked: Resources, settings: KubernetesSettings) -> Manifest:
    """Give requests and limits: what the attempt asks for is its limit, and counts before what the pool says.

    Where only a limit is known, half of it is requested, so that a cluster may be filled with attempts that wait.
    """
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    given = settings.resources
    for name, own, write in (("cpu", asked.cpu, _cores), ("memory", asked.memory, _megabytes)):
        limit = own or _of(given.limits, name)
        request = None if own else _of(given.requests, name)
        if limit:
            limits[name] = write(limit)
        if request or limit:
            requests[name] = write(request) if request else _half(limits[name])
    if gpus := asked.gpus or settings.gpus:
        limits[_GPU] = str(gpus)
    return _drop_empty({"requests": requests, "limits": limits})


def merged(template: Mapping[str, Any], ours: Mapping[str, Any]) -> Manifest:
    """Give `template` with `ours` merged in: maps key by key, lists of named items by name, other lists one after another."""
    result = dict(template)
    for name, value in ours.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[name] = merged(before, value)
        elif name in _NAMED and isinstance(before, list) and isinstance(value, list):
            result[name] = _merged_by(_NAMED[name], before, value)
        elif isinstance(before, list) and name in ("tolerations", "imagePullSecrets"):
            result[name] = before + [item for item in value if item not in before]
        else:
            result[name] = value
    return result


def _merged_by(key: str, template: list[Any], ours: list[Any]) -> list[Any]:
    before = {item.get(key): item for item in template}
    own = {item[key]: merged(before.get(item[key], {}), item) for item in ours}
    return [own.pop(name, item) for name, item in before.items()] + list(own.values())


def _ends(launch: Launch, settings: KubernetesSettings) -> Manifest:
    """Give when a Job is ended, and when it is removed by the cluster, if nobody else did."""
    ends: Manifest = {}
    if (deadline := _deadline(launch)) is not None:
        ends["activeDeadlineSeconds"] = (
            deadline + math.ceil(settings.pending_seconds) + settings.grace_seconds + _MARGIN_SECONDS
        )
    if isinstance(launch.target, ContainerTarget) and launch.target.cleanup == "eventually":
        ends["ttlSecondsAfterFinished"] = math.ceil(launch.target.cleanup_seconds)
    elif not isinstance(launch.target, ContainerTarget) or launch.target.cleanup != "never":
        ends["ttlSecondsAfterFinished"] = settings.ttl_seconds
    return ends


def _deadline(launch: Launch) -> int | None:
    """Give how long its pod may run, from when a node took it: whole seconds are all that Kubernetes knows."""
    return None if launch.timeout_seconds is None else max(1, math.ceil(launch.timeout_seconds))


def _mounted(launch: Launch, settings: KubernetesSettings) -> tuple[str, list[Manifest], list[Manifest]]:
    """Give where the attempt starts, what is mounted where, and the volumes."""
    mounts, volumes = [], []
    for number, volume in enumerate(settings.volumes):
        name = f"interlock-{number}"
        volumes.append({"name": name, **_source(volume)})
        mounts.append(_mount(name, volume.mount_path, volume.sub_path, read_only=volume.read_only))
    folder, workspace = "", settings.workspace
    if workspace is not None:
        volumes.append({"name": _WORKSPACE, "persistentVolumeClaim": {"claimName": workspace.claim}})
        mounts.append(_mount(_WORKSPACE, workspace.mount_path, workspace.sub_path, read_only=False))
        below = _below(launch.folder, workspace.root) if workspace.root else "."
        if below is None:
            raise Impossible(
                FailureClass.INVALID,
                f"the folder {launch.folder} that the run was started in is not in {workspace.root}, where the nodes of this"
                f" pool see the workspace {workspace.claim}; start the run there",
            )
        folder = os.path.normpath(os.path.join(workspace.mount_path, below))
    if isinstance(launch.target, ContainerTarget):
        for host, inside in launch.target.volumes.items():
            mounts.append(_of_workspace(host, inside, launch, settings))
        folder = ""  # an image of its own starts where it says
    return folder, mounts, volumes


def _of_workspace(host: str, inside: str, launch: Launch, settings: KubernetesSettings) -> Manifest:
    """Give the mount of a folder that a container asks for. Raises Impossible when it is not in the workspace.

    A path of the host means nothing on the nodes of a cluster, unless it is a path of what they share.
    """
    workspace = settings.workspace
    path = os.path.normpath(os.path.join(launch.folder, host))
    below = _below(path, workspace.root) if workspace is not None and workspace.root else None
    if workspace is None or below is None:
        raise Impossible(
            FailureClass.INVALID,
            f"the container asks for the folder {host} of the host, which is in no workspace that the cluster shares; mount"
            f" it by `workspace` or `volumes` of the pool's `config`",
        )
    return _mount(_WORKSPACE, inside, os.path.normpath(os.path.join(workspace.sub_path, below)), read_only=False)


def _below(path: str, root: str) -> str | None:
    """Give the path from `root` to `path`; None when it leads out of it."""
    below = os.path.relpath(os.path.normpath(path), os.path.normpath(root))
    return None if below == ".." or below.startswith("../") else below


def _mount(name: str, path: str, sub_path: str, *, read_only: bool) -> Manifest:
    mount: Manifest = {"name": name, "mountPath": path}
    if sub_path and sub_path != ".":
        mount["subPath"] = sub_path
    if read_only:
        mount["readOnly"] = True
    return mount


def _source(volume: Volume) -> Manifest:
    if volume.claim:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    if volume.config_map:
        return {"configMap": {"name": volume.config_map}}
    if volume.secret:
        return {"secret": {"secretName": volume.secret}}
    return {"hostPath": {"path": volume.host_path}} if volume.host_path else {"emptyDir": {}}


def _variables(secret: str, told: Program, settings: KubernetesSettings) -> list[Manifest]:
    """Give the variables: those of the pool and of the kind of target in the open, those of the attempt from its Secret."""
    plain = {name: text for name, text in {**settings.environment, **told.plain}.items() if name not in told.variables}
    open_ones: list[Manifest] = [{"name": name, "value": text.replace("$", "$$")} for name, text in plain.items()]
    return open_ones + [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": _variable_key(name)}}}
        for name in told.variables
    ]


def _secret(metadata: Manifest, told: Program, mark: str) -> Manifest:
    texts = {_variable_key(name): text for name, text in told.variables.items()}
    texts |= {_file_key(name): text for name, text in told.files.items()} | {MARK_KEY: mark}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()},
    }


def _variable_key(name: str) -> str:
    return f"variable.{name}"


def _file_key(name: str) -> str:
    return f"file.{name}"


def _ports(launch: Launch) -> list[Manifest]:
    if not isinstance(launch.target, ContainerTarget):
        return []
    return [{"containerPort": inside, "hostPort": int(host)} for host, inside in launch.target.ports.items()]


def _of(amounts: Amounts, name: str) -> float | str | None:
    found: float | str | None = getattr(amounts, name)
    return found


def _cores(amount: float | str) -> str:
    return amount if isinstance(amount, str) else f"{math.ceil(amount * 1000)}m"


def _megabytes(amount: float | str) -> str:
    return amount if isinstance(amount, str) else f"{math.ceil(amount)}Mi"


def _half(quantity: str) -> str:
    """Give half of a quantity; of one that is not understood all of it, which the API server judges."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        return quantity
    number, unit = float(match[1]) / 2, match[2]
    if number.is_integer():
        return f"{number:.0f}{unit}"
    return f"{number * 1000:.0f}m" if not unit else f"{number:g}{unit}"


def _drop_empty(mapping: Manifest) -> Manifest:
    return {name: value for name, value in mapping.items() if value not in ("", None, [], {}, ())}
