"""What a pool of the type `docker` may be told: the `config` of the pool in agent-pools.yaml."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from interlock import errors
from interlock.flow import nearest
from interlock.model.json import Json

PullPolicy: TypeAlias = Literal["always", "if-not-present", "never"]

_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_SCHEMES: Final = ("unix://", "tcp://", "http://", "https://")
_OLD_NAMES: Final = {"mount_repo_pool": "mount_workspace"}
_RESERVED: Final = "interlock."
_VARIABLE: Final = re.compile(r"[^=\0]+")


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an attempt gets that asks for nothing itself: cores, and megabytes (2**20 bytes); None leaves it unlimited."""

    cpu_limit: float | None = None
    memory_limit: float | None = None


class DockerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a pool of containers.

    `image`: of attempts that name none. `pull_policy`: when it is fetched; `pull_seconds`: how long that may take.
    `mount_workspace` (`mount_repo_pool` in older files): the folder of the attempt is /workspace in the container, to read
    and write, and where it starts. `network`: its name, `none` or `host`; "" for the engine's own default. `volumes`:
    HOST:CONTAINER or HOST:CONTAINER:ro. `gpus`: what an attempt sees that was assigned no graphics processors: `all`, how
    many, or which; None for none. `runtime`: of the engine, such as `nvidia`; "" for its default. `user`: name or
    uid[:gid]; "" for the image's. `read_only`: the root cannot be written, only /tmp (in memory) and what is mounted.
    `init`: a first process that reaps zombies and passes signals on. `pids_limit`: processes and threads, 0 for no limit.
    `drop_capabilities`: such as ALL. `stop_seconds`: between asking a container to end and killing it. `host`: the engine's
    address; "" for DOCKER_HOST, else unix:///var/run/docker.sock.
    """

    image: str
    pull_policy: PullPolicy = "if-not-present"
    pull_seconds: float = 600.0
    mount_workspace: bool = True
    network: str = ""
    volumes: tuple[str, ...] = ()
    resources: Quota = Quota()
    gpus: Literal["all"] | int | tuple[int | str, ...] | None = None
    runtime: str = ""
    environment: dict[str, str | int | float] = {}
    labels: dict[str, str] = {}
    user: str = ""
    read_only: bool = False
    init: bool = True
    no_new_privileges: bool = True
    pids_limit: int = 1024
    drop_capabilities: tuple[str, ...] = ()
    stop_seconds: float = 10.0
    host: str = ""

    @property
    def address(self) -> str:
        """Where the engine listens."""
        return self.host or os.environ.get("DOCKER_HOST") or _DEFAULT_HOST


def read(config: Mapping[str, Json], pool: str) -> DockerSettings:
    """Give the settings that `config` of a pool holds. Raises InvalidSettings: the message names the pool and the key."""
    where = f"pool {pool!r}: config"
    given = dict(config)
    for old, new in _OLD_NAMES.items():
        if old in given:
            if new in given:
                raise errors.InvalidSettings(f"{where}: {old} is the older name of {new}; give one of them")
            given[new] = given.pop(old)
    _check_names(given, DockerSettings, where)
    if isinstance(resources := given.get("resources"), dict):
        _check_names(resources, Quota, f"{where}.resources")
    try:
        settings = msgspec.convert(given, DockerSettings)
    except msgspec.ValidationError as error:
        raise errors.InvalidSettings(f"{where}: {error}") from error
    for problem in _problems(settings):
        raise errors.InvalidSettings(f"{where}: {problem}")
    return settings


def _check_names(given: Mapping[str, Json], kind: type[msgspec.Struct], where: str) -> None:
    valid = kind.__struct_fields__
    for name in given:
        if name not in valid:
            near = nearest.name(str(name), valid)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(valid))}"
            raise errors.InvalidSettings(f"{where}: there is no setting {name!r}; {hint}")


def _problems(settings: DockerSettings) -> list[str]:
    found = []
    if not settings.image:
        found.append("image is empty; name the image that attempts run in")
    for name, value in (("pull_seconds", settings.pull_seconds), ("stop_seconds", settings.stop_seconds)):
        if not 0 < value < math.inf:
            found.append(f"{name} is {value:g}; give seconds above 0")
    for name, limit in (("cpu_limit", settings.resources.cpu_limit), ("memory_limit", settings.resources.memory_limit)):
        if limit is not None and not 0 < limit < math.inf:
            found.append(f"resources.{name} is {limit:g}; give a number above 0, or leave it out for no limit")
    if settings.pids_limit < 0:
        found.append(f"pids_limit is {settings.pids_limit}; give a number, 0 for no limit")
    if isinstance(settings.gpus, int) and settings.gpus < 1:
        found.append(f"gpus is {settings.gpus}; give `all`, how many or which, or leave it out")
    found += [problem for volume in settings.volumes if (problem := _wrong_volume(volume))]
    found += [
        f"environment has no valid name {name!r}" for name in settings.environment if not _VARIABLE.fullmatch(name)
    ]
    found += [f"the label {name!r} is Interlock's own" for name in settings.labels if name.startswith(_RESERVED)]
    if not settings.address.startswith(_SCHEMES):
        found.append(f"the engine's address is {settings.address!r}; it begins with {', '.join(_SCHEMES)}")
    return found


def _wrong_volume(volume: str) -> str | None:
    host, _, rest = volume.partition(":")
    container, _, mode = rest.partition(":")
    if not host or not container.startswith("/") or mode not in ("", "ro", "rw"):
        return (
            f"the volume {volume!r} is not HOST:CONTAINER or HOST:CONTAINER:ro, with an absolute path in the container"
        )
    if host.startswith((".", "~")):
        return f"the volume {volume!r} needs an absolute path of the host, or the name of a volume"
    return None
