"""A real API server with its controllers, for all tests of this folder; the tests play the kubelet."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kubernetes.build import found

Object = dict[str, Any]

NAMESPACE = "agents"
PAGE = Path(__file__).parents[2] / "docs/howto/kubernetes.md"
_START_SECONDS = 60


class Control:
    """What an administrator and a kubelet do to the cluster."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, verify=False, timeout=30
        )

    def ask(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        content = None if body is None else json.dumps(body)
        answer = self._client.request(method, path, content=content, headers={"Content-Type": kind})
        answer.raise_for_status()
        return dict(answer.json())

    def is_ready(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def items(self, kind: str) -> list[Object]:
        return list(self.ask("GET", f"{_base(kind)}/{kind}")["items"])

    def patch(self, kind: str, name: str, sub: str, changes: Object) -> None:
        self.ask("PATCH", f"{_base(kind)}/{kind}/{name}{sub}", changes, "application/merge-patch+json")

    def bind(self, pod: str) -> None:
        """Give a pod to the node of this test, as a scheduler does."""
        target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        self.ask("POST", f"{_base('pods')}/pods/{pod}/binding", body)

    def state(self, pod: str, phase: str, state: Object, **status: Any) -> None:
        container = {
            "name": "attempt", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state,
        }  # fmt: skip
        self.patch("pods", pod, "/status", {"status": {"phase": phase, "containerStatuses": [container], **status}})

    def end(self, pod: str) -> None:
        """Remove a pod that was asked to end, as a kubelet does when it has ended. One without a grace is gone already."""
        options = {"gracePeriodSeconds": 0}
        try:
            self.ask("DELETE", f"{_base('pods')}/pods/{pod}", options)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise

    def close(self) -> None:
        self._client.close()


class Logs:
    """The part of a kubelet that the API server reads logs from."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        pod = target.partition("?")[0].split("/")[3]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
        writer.write(self.texts.get(pod, b""))
        await writer.drain()
        writer.close()


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    servers = found()
    if servers is None:
        pytest.fail("kube-apiserver is not here; build it with `python tests/kubernetes/build.py`")
    folder = tmp_path_factory.mktemp("kubernetes")
    store, peer, port = _port(), _port(), _port()
    admin, node = secrets.token_hex(8), secrets.token_hex(8)
    (folder / "tokens").write_text(f"{admin},admin,1,system:masters\n{node},interlock,2\n")
    _certificate(folder)
    control = Control(f"https://127.0.0.1:{port}", admin)
    for name, token in (("admin", admin), ("node", node)):
        (folder / name).write_text(json.dumps(_kubeconfig(control.url, token)))
    commands = [
        [servers["etcd"], f"--data-dir={folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{store}",
         f"--advertise-client-urls=http://127.0.0.1:{store}", f"--listen-peer-urls=http://127.0.0.1:{peer}"],
        [servers["kube-apiserver"], f"--etcd-servers=http://127.0.0.1:{store}", f"--secure-port={port}",
         "--bind-address=127.0.0.1", f"--cert-dir={folder}/certificates", f"--token-auth-file={folder}/tokens",
         "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://test",
         f"--service-account-signing-key-file={folder}/key.pem", f"--service-account-key-file={folder}/key.pem",
         "--service-cluster-ip-range=10.0.0.0/24", "--insecure-port=0"],
        [servers["kube-controller-manager"], f"--kubeconfig={folder}/admin", "--leader-elect=false", "--port=0",
         "--secure-port=0", "--controllers=job,garbagecollector,namespace"],
    ]  # fmt: skip
    processes = []
    try:
        for number, command in enumerate(commands):
            log = (folder / f"log-{number}").open("wb")
            processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder))
            log.close()
            if number == 1:
                _wait(control.is_ready, f"the API server is not ready; see {folder}")
        _prepare(control)
        control.kubeconfig = folder / "node"  # type: ignore[attr-defined]  # what tests give to pools
        yield control
    finally:
        control.close()
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)


@pytest.fixture
async def logs(control: Control, tmp_path: Path) -> AsyncIterator[Logs]:
    """A node whose logs are the test's."""
    logs, context = Logs(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _certificate(tmp_path)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server = await asyncio.start_server(logs.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await asyncio.to_thread(control.patch, "nodes", "node-1", "/status", {"status": status})
    yield logs
    server.close()
    await server.wait_closed()


def _prepare(control: Control) -> None:
    """Make the namespace, the node, and the rights that the documentation names."""
    control.ask(
        "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )
    control.ask("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
    [role] = [
        found for text in PAGE.read_text().split("```yaml\n")[1:]
        if (found := yaml.safe_load(text.partition("```")[0])).get("kind") == "Role"
    ]  # fmt: skip
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    control.ask("POST", f"{rights}/roles", role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "interlock"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "interlock"},
        "subjects": [{"kind": "User", "name": "interlock", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    control.ask("POST", f"{rights}/rolebindings", binding)


def _base(kind: str) -> str:
    if kind == "nodes":
        return "/api/v1"
    return f"/apis/batch/v1/namespaces/{NAMESPACE}" if kind == "jobs" else f"/api/v1/namespaces/{NAMESPACE}"


def _kubeconfig(url: str, token: str) -> Object:
    context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": context}],
        "clusters": [{"name": "c", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }


def _certificate(folder: Path) -> None:
    """Write a key, and a certificate of this machine signed with it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node-1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(address, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))


def _port() -> int:
    with socket.socket() as found_port:
        found_port.bind(("127.0.0.1", 0))
        return int(found_port.getsockname()[1])


def _wait(condition: Any, complaint: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > end:
            pytest.fail(complaint)
        time.sleep(0.2)
