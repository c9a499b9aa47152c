"""A launch as the request for its container. Pure: what the engine is asked for follows from settings and launch alone.

No string meets a shell here but `ShellTarget.command`. Source text and the arguments of functions are files, in a volume of
the container's own at /interlock, so that a root that cannot be written does not matter.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping
from typing import Any, Final, assert_never

import msgspec

from interlock.model import json
from interlock.model.task import (
    CommandTarget,
    ContainerTarget,
    FailureClass,
    HttpTarget,
    OpenApiTarget,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
    WorkflowTarget,
)
from interlock.pool.commands import Impossible
from interlock.pool.docker.settings import DockerSettings, PullPolicy
from interlock.pool.launcher import Launch, file_name

WORKSPACE: Final = "/workspace"
FILES: Final = "/interlock"
RESULT: Final = "out/result.json"
"""Under FILES: where a function's process writes its outcome."""

ATTEMPT_LABEL: Final = "interlock.attempt"
STORE_LABEL: Final = "interlock.store"
KEEP_LABEL: Final = "interlock.keep"
"""How long a container stays after the store knows its outcome: seconds, or `for-ever`; it has none when it goes at once."""
FOR_EVER: Final = "for-ever"

_SOCKET: Final = "INTERLOCK_SOCKET"
_CALL_FILE: Final = "call.json"
_CALL_MODULE: Final = "interlock.runner.contained"
_MEGABYTE: Final = 1024**2
_ARGUMENT_BYTES: Final = 128 * 1024 - 1
"""What Linux gives a program as one argument or variable (MAX_ARG_STRLEN, with the NUL at its end)."""
_LOG: Final = {"Type": "local", "Config": {"max-size": "64m", "max-file": "2", "compress": "false"}}
"""Docker's own default writes bytes that are no UTF-8 as U+FFFD, and characters that it cut too; and it has no limit."""
_PODMAN_LOG: Final = {"Type": "k8s-file"}
"""Whatever is configured: what was printed is read from it, and not all of its others can be read, or are whole."""
_POLICIES: Final[dict[str, PullPolicy]] = {"always": "always", "ifNotPresent": "if-not-present", "never": "never"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A container to make. `body`: of the request. `files`: to stand in FILES before it starts.

    `appends`: its arguments follow the command of the image, which only the engine knows, where that has no entrypoint.
    `program`: what it executes, for messages. `has_result`: it writes its outcome down. `keep`: the value of KEEP_LABEL.
    """

    name: str
    image: str
    pull_policy: PullPolicy
    body: dict[str, Any]
    files: dict[str, str] = {}
    stdin: str | None = None
    appends: bool = False
    program: str = ""
    has_result: bool = False
    keep: str = ""


class _Work(msgspec.Struct, kw_only=True):
    """What a target is in a container. `argv`: the whole command; None for the image's own entrypoint."""

    argv: list[str] | None
    command: list[str] = []
    environment: dict[str, str]
    stdin: str | None = None
    files: dict[str, str] = {}
    appends: bool = False


def name(launch: Launch, store: str) -> str:
    """Give the name of the container of an attempt: it follows from the attempt, so that there is never a second one."""
    if isinstance(launch.target, ContainerTarget) and launch.target.name:
        return launch.target.name
    text = f"{store}\0{launch.attempt}".encode("utf-8", "surrogatepass")
    return f"interlock-{hashlib.sha256(text).hexdigest()[:32]}"


def plan(settings: DockerSettings, launch: Launch, store: str, *, is_podman: bool = False) -> Plan:
    """Give the container of an attempt. Raises Impossible when there can be none."""
    work = _work(settings, launch)
    own = launch.target if isinstance(launch.target, ContainerTarget) else None
    environment = {key: str(value) for key, value in settings.environment.items()} | launch.environment
    environment |= {variable: f"{FILES}/{file_name(variable)}" for variable in launch.files} | work.environment
    files = work.files | {file_name(variable): text for variable, text in launch.files.items()}
    _check([*(work.argv or []), *work.command], environment)
    host = _host_config(settings, launch, is_podman=is_podman)
    keep = _keep(own)
    body: dict[str, Any] = {
        "Image": own.image if own else settings.image,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": settings.labels | launch.labels | _labels(launch, store, keep),
        "HostConfig": host,
    }
    if work.argv is not None:
        body["Entrypoint"] = work.argv
    if work.command or work.argv is not None:
        body["Cmd"] = work.command
    if settings.mount_workspace and own is None:
        body["WorkingDir"] = WORKSPACE
    if settings.user:
        body["User"] = settings.user
    if work.stdin is not None:
        body |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    if files:
        body["Volumes"] = {FILES: {}}
    if own is not None and own.ports:
        body["ExposedPorts"] = {f"{port}/tcp": {} for port in own.ports.values()}
        host["PortBindings"] = _ports(own.ports)
    return Plan(
        name=name(launch, store),
        image=body["Image"],
        pull_policy=_policy(own, settings),
        body=body,
        files=files,
        stdin=work.stdin,
        appends=work.appends,
        program=next(iter([*(work.argv or []), *work.command]), ""),
        has_result=isinstance(launch.target, PythonTarget),
        keep=keep,
    )


def _work(settings: DockerSettings, launch: Launch) -> _Work:
    match launch.target:
        case CommandTarget() as target:
            return _Work(argv=list(target.argv), environment=target.environment, stdin=target.stdin)
        case ShellTarget() as target:
            argv = ["/bin/sh", "-c", target.command, "sh", *target.arguments]
            return _Work(argv=argv, environment=target.environment, stdin=target.stdin)
        case ScriptTarget() as target:
            return _script(target, settings)
        case ContainerTarget() as target:
            return _container(target)
        case PythonTarget() as target:
            folder = WORKSPACE if settings.mount_workspace else ""
            return _Work(
                argv=[
                    "python3",
                    "-X",
                    "utf8",
                    "-m",
                    _CALL_MODULE,
                    f"{FILES}/{_CALL_FILE}",
                    f"{FILES}/{RESULT}",
                    folder,
                ],
                environment={"PYTHONUNBUFFERED": "1"},
                files={_CALL_FILE: json.encode(target).decode()},
            )
        case HttpTarget() | OpenApiTarget():
            raise Impossible(FailureClass.INVALID, "an HTTP request is no container; the node performs it itself")
        case WorkflowTarget():
            raise Impossible(FailureClass.INVALID, "a workflow is no container; it becomes a run of its own")
        case _:
            assert_never(launch.target)


def _script(target: ScriptTarget, settings: DockerSettings) -> _Work:
    environment: dict[str, str] = {}
    match target.language:
        case "python":
            program, file = "python3", "script.py"
            environment = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
            if settings.mount_workspace:
                environment["PYTHONPATH"] = WORKSPACE
        case "js":
            program, file = "node", "script.mjs"
        case language:
            raise Impossible(FailureClass.INVALID, f"scripts in {language!r} cannot be run; use python or js")
    return _Work(
        argv=[program, f"{FILES}/{file}", *target.arguments],
        environment=environment | target.environment,
        stdin=target.stdin,
        files={file: target.code},
    )


def _container(target: ContainerTarget) -> _Work:
    try:
        words = shlex.split(target.command)
    except ValueError as error:
        detail = f"the command {target.command!r} of the container cannot be split into words: {error}"
        raise Impossible(FailureClass.INVALID, detail) from None
    return _Work(
        argv=None,
        command=[*words, *target.arguments],
        environment=target.environment,
        stdin=target.stdin,
        appends=bool(target.arguments) and not words,
    )


def _host_config(settings: DockerSettings, launch: Launch, *, is_podman: bool) -> dict[str, Any]:
    cpu = launch.resources.cpu or settings.resources.cpu_limit
    memory = launch.resources.memory or settings.resources.memory_limit
    config: dict[str, Any] = {
        "Init": settings.init,
        "Binds": list(settings.volumes),
        "Mounts": _mounts(settings, launch),
        "SecurityOpt": ["no-new-privileges"] if settings.no_new_privileges else [],
        "ReadonlyRootfs": settings.read_only,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    config["LogConfig"] = _PODMAN_LOG if is_podman else _LOG
    if cpu:
        config["NanoCpus"] = round(cpu * 1_000_000_000)
    if memory:
        config["Memory"] = config["MemorySwap"] = round(memory * _MEGABYTE)  # memory and swap together: no swap
    if settings.network:
        config["NetworkMode"] = settings.network
    if settings.runtime:
        config["Runtime"] = settings.runtime
    if settings.pids_limit:
        config["PidsLimit"] = settings.pids_limit
    if settings.drop_capabilities:
        config["CapDrop"] = list(settings.drop_capabilities)
    if settings.read_only:
        config["Tmpfs"] = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}  # noqa: S108 (of the container)
    if devices := _devices(settings, launch):
        if is_podman:
            raise Impossible(
                FailureClass.INVALID, "graphics processors through Podman are not built; use a Docker engine"
            )
        config["DeviceRequests"] = [devices]
    return config


def _mounts(settings: DockerSettings, launch: Launch) -> list[dict[str, Any]]:
    mounts = []
    if settings.mount_workspace:
        mounts.append({"Type": "bind", "Source": launch.folder, "Target": WORKSPACE})
    if socket := launch.environment.get(_SOCKET):  # by which a program without a network reports
        mounts.append({"Type": "bind", "Source": socket, "Target": socket})
    if isinstance(launch.target, ContainerTarget):
        for source, target in launch.target.volumes.items():
            path = os.path.normpath(os.path.join(launch.folder, source))
            mounts.append({"Type": "bind", "Source": path, "Target": target})
    return mounts


def _devices(settings: DockerSettings, launch: Launch) -> dict[str, Any] | None:
    """Give the request for graphics processors; those that were assigned count first."""
    request: dict[str, Any] = {"Capabilities": [["gpu"]]}
    if launch.devices:
        return request | {"DeviceIDs": [str(index) for index in launch.devices]}
    match settings.gpus:
        case None:
            return request | {"Count": launch.resources.gpus} if launch.resources.gpus else None
        case "all":
            return request | {"Count": -1}
        case int() as count:
            return request | {"Count": count}
        case which:
            return request | {"DeviceIDs": [str(each) for each in which]}


def _ports(ports: Mapping[str, int]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for outside, inside in ports.items():
        bindings.setdefault(f"{inside}/tcp", []).append({"HostPort": outside})
    return bindings


def _policy(own: ContainerTarget | None, settings: DockerSettings) -> PullPolicy:
    if own is None or not own.pull_policy:
        return settings.pull_policy
    if own.pull_policy not in _POLICIES:
        raise Impossible(
            FailureClass.INVALID, f"there is no pull policy {own.pull_policy!r}; use always, ifNotPresent or never"
        )
    return _POLICIES[own.pull_policy]


def _keep(own: ContainerTarget | None) -> str:
    match own.cleanup if own else "always":
        case "always":
            return ""
        case "never":
            return FOR_EVER
        case "eventually":
            return f"{own.cleanup_seconds:g}" if own else ""
        case cleanup:
            detail = f"there is no cleanup {cleanup!r} of a container; use always, never or eventually"
            raise Impossible(FailureClass.INVALID, detail)


def _labels(launch: Launch, store: str, keep: str) -> dict[str, str]:
    own = {ATTEMPT_LABEL: launch.attempt, STORE_LABEL: store}
    return own | {KEEP_LABEL: keep} if keep else own


def _check(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Refuse what no process can be given."""
    for key in environment:
        if not key or "=" in key:
            raise Impossible(FailureClass.INVALID, f"{key!r} is no name of a variable")
    for text in (*arguments, *(f"{key}={value}" for key, value in environment.items())):
        if "\0" in text:
            raise Impossible(FailureClass.INVALID, f"a NUL cannot be given to a process, and {text[:80]!r} holds one")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise Impossible(FailureClass.INVALID, f"it holds a text that is no Unicode: {error}") from None
        if size > _ARGUMENT_BYTES:
            detail = (
                f"an argument or variable has {size} bytes, a process gets {_ARGUMENT_BYTES} at most: {text[:80]!r}"
            )
            raise Impossible(FailureClass.INVALID, detail)
