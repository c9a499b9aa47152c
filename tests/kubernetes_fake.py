"""A small API server of Kubernetes on loopback: Jobs, Pods and Secrets of one namespace, with watches, logs and the answers that
the real one gives to what is wrong.

Every manifest is validated with the strict schemas of Kubernetes. Beside the server there are the parts of the controllers that a
Job needs: it gets a pod, ends with it, and takes pod and Secret along when it is deleted. What a pod does is the test's, which sets
its status, or a kubelet's (`tests/kubelet_fake.py`). Faults are planted by `plant`, `down`, `compact` and `cut_watches`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_http
import kubernetes_objects
import kubernetes_schemas
from kubernetes_http import Fault, Refused, Request

Object = dict[str, Any]

NAMESPACE = "agents"
_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)/namespaces/agents/(?P<kind>jobs|pods|secrets)(?:/(?P<name>[^/]+))?(?P<sub>/log|/status)?"
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret"}


@dataclass
class FakeApi:
    """The server. `requests`: all of them, as `METHOD path`. `token`: what callers must present, "" for nothing."""

    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    logs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    created: list[Object] = field(default_factory=list)
    token: str = ""
    is_ready: bool = True
    makes_pods: bool = True
    on_pod: Callable[[Object], None] | None = None
    on_pod_deleted: Callable[[Object], None] | None = None
    port: int = 0

    def __post_init__(self) -> None:
        self._version = 100
        self._compacted = 0
        self._events: list[tuple[int, str, str, Object]] = []
        self._changed = asyncio.Event()
        self._faults: list[Fault] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Break every connection and accept none."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        user = {"token": self.token} if self.token else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": NAMESPACE}}],
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "me", "user": user}],
        }
        path.write_text(json.dumps(config))
        return path

    def plant(self, method: str, part: str, **fields: Any) -> None:
        self._faults.append(Fault(method, part, **fields))

    def compact(self) -> None:
        """Forget all changes so far: who watches from before them gets a 410."""
        self._compacted = self._version
        self._events.clear()

    def cut_watches(self) -> None:
        for task in tuple(self._watches):
            task.cancel()

    # --- what tests and kubelets do

    def pod_of(self, job: str) -> Object | None:
        return next((pod for pod in self.objects["pods"].values() if kubernetes_objects.owner(pod) == job), None)

    def the_job(self) -> Object:
        [job] = self.objects["jobs"].values()
        return job

    def the_pod(self) -> Object:
        [pod] = self.objects["pods"].values()
        return pod

    def secret_values(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(text).decode() for key, text in self.objects["secrets"][name]["data"].items()}

    def set_status(self, pod: Object, **status: Any) -> None:
        """Change the status of a pod, as a kubelet does; its Job ends with it."""
        if pod["metadata"]["name"] not in self.objects["pods"]:
            return
        pod["status"] = {**pod.get("status", {}), **status}
        self._change("MODIFIED", "pods", pod)
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            self._end_job(kubernetes_objects.owner(pod), pod["status"]["phase"] == "Succeeded")

    def state(self, pod: Object, **state: Any) -> None:
        """Change the state of the attempt's container, and the phase that follows from it."""
        phase = "Pending"
        if "running" in state:
            phase = "Running"
        elif "terminated" in state:
            phase = "Succeeded" if state["terminated"]["exitCode"] == 0 else "Failed"
        containers = [{"name": "attempt", "state": state}]
        self.set_status(pod, phase=phase, containerStatuses=containers)

    def print(self, pod: Object, text: bytes) -> None:
        self.logs[pod["metadata"]["name"]] = self.logs.get(pod["metadata"]["name"], b"") + text
        self._notify()

    def fail_job(self, name: str, reason: str, message: str) -> None:
        self._condition(name, "Failed", reason, message)

    def remove(self, kind: str, name: str) -> None:
        """Take an object away at once, whatever depends on it first."""
        found = self.objects[kind].pop(name, None)
        if found is None:
            return
        self._change("DELETED", kind, found, kept=False)
        owner = self.objects["jobs"].get(kubernetes_objects.owner(found)) if kind == "pods" else None
        if kind == "jobs":
            self._delete_dependents(name)
        elif owner is not None and "deletionTimestamp" in owner["metadata"]:
            self.remove("jobs", owner["metadata"]["name"])
        elif owner is not None:
            self._end_job(owner["metadata"]["name"], succeeded=False)

    def delete_pod(self, pod: Object, grace: int | None = None) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        seconds = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        pod["metadata"] |= {"deletionTimestamp": kubernetes_objects.now(), "deletionGracePeriodSeconds": seconds}
        self._change("MODIFIED", "pods", pod)
        if self.on_pod_deleted is not None:
            self.on_pod_deleted(pod)
        else:
            self.remove("pods", pod["metadata"]["name"])

    # --- objects

    def _create(self, kind: str, given: Object, strict: bool) -> Object:
        self.created.append(copy.deepcopy(given))
        name = given.get("metadata", {}).get("name", "")
        if strict and (complaint := kubernetes_schemas.complaint(given)):
            raise Refused(422, "Invalid", f"{_KINDS[kind]} {name!r} is invalid: {complaint}")
        if not _NAME.fullmatch(name):
            raise Refused(422, "Invalid", f"metadata.name: Invalid value: {name!r}")
        for label, text in given["metadata"].get("labels", {}).items():
            if not _LABEL.fullmatch(text):
                raise Refused(422, "Invalid", f"metadata.labels: Invalid value: {label}={text!r}")
        for key in given.get("data", {}):
            if not _KEY.fullmatch(key):
                raise Refused(422, "Invalid", f"data[{key}]: Invalid value: a valid config key must consist of ...")
        if kind == "secrets" and sum(len(base64.b64decode(text)) for text in given["data"].values()) > 1048576:
            raise Refused(422, "Invalid", "data: Too long: may not be more than 1048576 bytes")
        if name in self.objects[kind]:
            raise Refused(409, "AlreadyExists", f"{kind} {name!r} already exists")
        made = copy.deepcopy(given)
        made["metadata"] |= {
            "uid": f"uid-{self._version}",
            "creationTimestamp": kubernetes_objects.now(),
            "namespace": NAMESPACE,
        }
        self.objects[kind][name] = made
        self._change("ADDED", kind, made)
        if kind == "jobs" and self.makes_pods:
            self.make_pod(made)
        return made

    def make_pod(self, job: Object) -> Object:
        template = copy.deepcopy(job["spec"]["template"])
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
        }
        name = f"{job['metadata']['name'][:57]}-{self._version % 100000:05d}"
        labels = {**template["metadata"].get("labels", {}), "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{self._version}",
                "creationTimestamp": kubernetes_objects.now(),
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        self.objects["pods"][name] = pod
        self._change("ADDED", "pods", pod)
        if self.on_pod is not None:
            self.on_pod(pod)
        return pod

    def _delete(self, kind: str, name: str, body: Object) -> Object:
        found = self.objects[kind].get(name)
        if found is None:
            raise Refused(404, "NotFound", f'{kind} "{name}" not found')
        if kind == "pods":
            self.delete_pod(found, body.get("gracePeriodSeconds"))
        elif kind == "jobs" and body.get("propagationPolicy") == "Foreground" and self.pod_of(name) is not None:
            found["metadata"] |= {"deletionTimestamp": kubernetes_objects.now(), "finalizers": ["foregroundDeletion"]}
            self._change("MODIFIED", kind, found)
            self._delete_dependents(name)
        else:
            self.remove(kind, name)
        return found

    def _delete_dependents(self, job: str) -> None:
        for secret in [name for name, item in self.objects["secrets"].items() if kubernetes_objects.owner(item) == job]:
            self.remove("secrets", secret)
        for pod in [pod for pod in self.objects["pods"].values() if kubernetes_objects.owner(pod) == job]:
            self.delete_pod(pod)

    def _end_job(self, name: str, succeeded: bool) -> None:
        type_ = "Complete" if succeeded else "Failed"
        self._condition(name, type_, "" if succeeded else "BackoffLimitExceeded", "Job has reached the backoff limit")

    def _condition(self, name: str, type_: str, reason: str, message: str) -> None:
        job = self.objects["jobs"].get(name)
        if job is not None and not job.get("status", {}).get("conditions"):
            condition = {"type": type_, "status": "True", "reason": reason, "message": message}
            job["status"] = {"conditions": [condition]}
            self._change("MODIFIED", "jobs", job)

    def _change(self, type_: str, kind: str, found: Object, *, kept: bool = True) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, kind, type_, copy.deepcopy(found)))
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # --- HTTP

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._watches.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await kubernetes_http.read(reader)) is not None:
                if not await self._respond(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        self.requests.append(f"{request.method} {request.path}")
        fault = self._fault(request)
        if fault is not None and fault.how == "drop":
            return False
        try:
            if fault is not None and fault.how == "answer":
                raise Refused(fault.code, fault.reason, fault.message)
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            if request.path == "/readyz":
                code, body = (200, b"ok") if self.is_ready else (500, b"[-]etcd failed: reason withheld")
                await kubernetes_http.send(writer, code, body)
                return True
            match = _PATH.fullmatch(request.path)
            if match is None:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            kind, name = match["kind"], match["name"] or ""
            if match["sub"] == "/log":
                await self._log(writer, name, follow=request.query.get("follow") == "true")
                return True
            if request.query.get("watch") == "true":
                await self._watch(writer, kind, request.query)
                return True
            answer = self._perform(request, kind, name)
        except Refused as refusal:
            await kubernetes_http.send(writer, refusal.code, json.dumps(refusal.body).encode())
            return True
        if fault is not None and fault.how == "lose":
            return False
        await kubernetes_http.send(writer, 201 if request.method == "POST" else 200, json.dumps(answer).encode())
        return True

    def _fault(self, request: Request) -> Fault | None:
        for fault in self._faults:
            if fault.method == request.method and fault.part in request.path and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _perform(self, request: Request, kind: str, name: str) -> Object:
        match request.method:
            case "POST":
                return self._create(kind, request.body, request.query.get("fieldValidation") == "Strict")
            case "DELETE":
                return self._delete(kind, name, request.body)
            case "GET" if not name:
                items = [
                    item for item in self.objects[kind].values() if kubernetes_objects.matches(item, request.query)
                ]
                return {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}
        found = self.objects[kind].get(name)
        if found is None:
            raise Refused(404, "NotFound", f'{kind} "{name}" not found')
        if request.method == "PATCH":
            if request.headers.get("content-type") != "application/merge-patch+json":
                raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
            kubernetes_objects.merge(found, request.body)
            self._change("MODIFIED", kind, found)
        return found

    async def _watch(self, writer: asyncio.StreamWriter, kind: str, query: dict[str, str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        await kubernetes_http.begin_stream(writer)
        since = int(query.get("resourceVersion") or self._version)
        end = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds", 60))
        while (left := end - asyncio.get_running_loop().time()) > 0:
            changed = self._changed
            if since < self._compacted:
                gone = {
                    "kind": "Status",
                    "code": 410,
                    "reason": "Expired",
                    "message": f"too old resource version: {since}",
                }
                await kubernetes_http.chunk(writer, json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
                break
            for version, of_kind, type_, found in tuple(self._events):
                if version > since and of_kind == kind and kubernetes_objects.matches(found, query):
                    await kubernetes_http.chunk(writer, json.dumps({"type": type_, "object": found}).encode() + b"\n")
            since = max(since, self._events[-1][0] if self._events else since)
            with contextlib.suppress(TimeoutError):  # not wait_for: in Python 3.11 it loses a cancellation
                async with asyncio.timeout(left):
                    await changed.wait()
        await kubernetes_http.chunk(writer, b"")
        self._watches.discard(task)

    async def _log(self, writer: asyncio.StreamWriter, name: str, *, follow: bool) -> None:
        pod = self.objects["pods"].get(name)
        if pod is None:
            raise Refused(404, "NotFound", f'pods "{name}" not found')
        if not pod["status"].get("containerStatuses") or "waiting" in kubernetes_objects.state(pod):
            message = f'container "attempt" in pod "{name}" is waiting to start: ContainerCreating'
            raise Refused(400, "BadRequest", message)
        await kubernetes_http.begin_stream(writer)
        sent = 0
        while True:
            changed, text = self._changed, self.logs.get(name, b"")
            is_over = not follow or "terminated" in kubernetes_objects.state(pod) or name not in self.objects["pods"]
            if text[sent:]:
                await kubernetes_http.chunk(writer, text[sent:])
                sent = len(text)
            if is_over:
                break
            await changed.wait()
        await kubernetes_http.chunk(writer, b"")
