"""What `config:` of a pool of the type kubernetes may say.

Every key is explained at its field. Nothing is taken silently: an unknown key is refused with the valid name nearest to it,
and what would let Kubernetes try an attempt again by itself is refused with the budget that does it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from interlock import errors
from interlock.flow import nearest

_RETRY: Final = (
    "Interlock itself decides what is tried again, and counts why: leave `restart_policy` at Never and `backoff_limit` at 0,"
    " and give the task a budget instead, such as `retry: {preempted: 10, lost: 3, application: 2}`"
)
_POLICIES: Final = {"always": "Always", "ifnotpresent": "IfNotPresent", "never": "Never"}


class Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount of each resource: cores and megabytes (MiB) as numbers, or quantities as Kubernetes writes them
    (`500m`, `2Gi`); None for none."""

    cpu: float | str | None = None
    memory: float | str | None = None


class PodResources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an attempt gets that asks for nothing itself; where only a limit is known, half of it is requested."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()


class Toleration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A toleration, in the words of Kubernetes."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None


class Volume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something mounted at `mount_path`: a claim, a ConfigMap, a Secret, a folder of the pod's own or one of its host."""

    mount_path: str
    claim: str = ""
    config_map: str = ""
    secret: str = ""
    empty_dir: bool = False
    host_path: str = ""
    sub_path: str = ""
    read_only: bool = False


class Workspace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The volume that runs keep their folders in, so that an attempt starts in the folder of its run.

    `claim`: the PersistentVolumeClaim; `mount_path`: where attempts see it. `root`: where the nodes see it: an attempt starts
    in the same folder below `mount_path` as its run's below `root`. "" starts every attempt in `mount_path`.
    """

    claim: str
    mount_path: str = "/workspace"
    root: str = ""
    sub_path: str = ""


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pool of Jobs.

    `namespace`: "" for that of the context, or of the service account that the node runs under.
    `image`: what commands, scripts and functions run in; a function needs Interlock in it, a script its interpreter.
    `job_template`: a Job, or the path of a YAML file with one, that ours is merged into: what is said here counts more. The
    container of the attempt is called `attempt`; others beside it end with it.
    `ttl_seconds`: after which Kubernetes removes a Job that has ended and that nobody removed.
    `pending_seconds`: how long an attempt may wait for a node or its image before its launch has failed.
    `grace_seconds`: between the request to end and the kill.
    `workspace`: None mounts no folder of the run: an attempt starts in the working folder of its image.
    `python`: the interpreter in `image` that runs scripts and functions.
    `kubeconfig`, `context`: "" for KUBECONFIG, ~/.kube/config or the service account of the node, and their current context.
    """

    namespace: str = ""
    image: str = ""
    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    job_template: dict[str, Any] = {}
    service_account: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    resources: PodResources = PodResources()
    gpus: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    environment: dict[str, str] = {}
    volumes: tuple[Volume, ...] = ()
    workspace: Workspace | None = None
    ttl_seconds: int = 3600
    pending_seconds: float = 600.0
    grace_seconds: int = 30
    python: str = "python3"
    kubeconfig: str = ""
    context: str = ""
    restart_policy: str = "Never"
    backoff_limit: int = 0


def read(pool: str, config: Mapping[str, Any]) -> KubernetesSettings:
    """Give the settings of the pool called `pool`. Raises InvalidSettings, which names the pool and the key."""
    values = dict(config)
    where = f"pool {pool!r}: config"
    try:
        _check_names("", values, KubernetesSettings)
        values["job_template"] = _template(values.get("job_template"))
        values["image_pull_policy"] = pull_policy(str(values.get("image_pull_policy") or ""))
        settings = msgspec.convert(values, KubernetesSettings)
    except (msgspec.ValidationError, ValueError) as error:
        raise errors.InvalidSettings(f"{where}: {str(error).replace('`$.', '`')}") from error
    _check(where, settings)
    return settings


def pull_policy(text: str) -> str:
    """Give a pull policy as Kubernetes writes it, from `if-not-present`, `ifNotPresent` and the like. Raises ValueError."""
    if not text:
        return ""
    found = _POLICIES.get(text.lower().replace("-", "").replace("_", ""))
    if found is None:
        raise ValueError(f"the pull policy {text!r} is unknown; use always, if-not-present or never")
    return found


def _check_names(path: str, value: object, kind: Any) -> None:
    """Refuse keys that no field has, in whatever depth below `path`: msgspec alone would name them without a suggestion."""
    if not isinstance(value, Mapping):
        return  # of the wrong type, which the conversion tells
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, part in value.items():
        if name not in fields:
            meant = nearest.name(str(name), fields)
            hint = f"did you mean {meant!r}?" if meant else f"valid are {', '.join(sorted(fields))}"
            raise ValueError(f"{path}{name}: unknown key; {hint}")
        inner = _struct_of(fields[name])
        for item in part if isinstance(part, list | tuple) else (part,):
            if inner is not None:
                _check_names(f"{path}{name}.", item, inner)


def _struct_of(annotation: object) -> Any:
    """Give the Struct that a field holds, alone, in a tuple or beside None; None when it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    inner = (_struct_of(part) for part in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)


def _template(given: object) -> dict[str, Any]:
    """Give the Job that ours is merged into, from a mapping or a file. Raises ValueError."""
    if given is None:
        return {}
    if isinstance(given, str):
        try:
            found = yaml.safe_load(Path(given).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(f"job_template: {given} cannot be read: {error}") from error
    else:
        found = given
    if not isinstance(found, Mapping):
        raise ValueError(f"job_template: a Job is a mapping; {type(found).__name__} was found")
    if found.get("kind", "Job") != "Job" or found.get("apiVersion", "batch/v1") != "batch/v1":
        raise ValueError(
            f"job_template: it is {found.get('apiVersion')} {found.get('kind')}; a Job of batch/v1 is needed"
        )
    spec = _mapping(found.get("spec"))
    pod = _mapping(_mapping(spec.get("template")).get("spec"))
    if spec.get("backoffLimit", 0) != 0 or pod.get("restartPolicy", "Never") != "Never":
        raise ValueError(f"job_template: it lets Kubernetes try attempts again; {_RETRY}")
    for name in ("completions", "parallelism"):
        if spec.get(name, 1) != 1:
            raise ValueError(f"job_template: {name} is {spec[name]}, but a Job is one attempt here; remove it")
    return dict(found)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check(where: str, settings: KubernetesSettings) -> None:
    if settings.restart_policy != "Never" or settings.backoff_limit != 0:
        found = f"restart_policy {settings.restart_policy}, backoff_limit {settings.backoff_limit}"
        raise errors.InvalidSettings(f"{where}: {found} would let Kubernetes try attempts again. {_RETRY}")
    for name in ("ttl_seconds", "gpus", "grace_seconds", "pending_seconds"):
        if getattr(settings, name) < 0:
            raise errors.InvalidSettings(f"{where}.{name} is {getattr(settings, name)}; it must be 0 or more")
    for number, volume in enumerate(settings.volumes):
        sources = [volume.claim, volume.config_map, volume.secret, volume.empty_dir, volume.host_path]
        if sum(map(bool, sources)) != 1:
            raise errors.InvalidSettings(
                f"{where}.volumes[{number}] ({volume.mount_path}) needs exactly one of claim, config_map, secret,"
                f" empty_dir and host_path"
            )
