"""The pool of Kubernetes, against an API server of our own whose kubelet runs real processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

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


class TestConformance(ShellConformance, ScriptConformance, EndingConformance, FunctionConformance):
    """What every launcher of commands must do."""
