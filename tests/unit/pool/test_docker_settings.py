"""What a pool of containers may be told, and what is said to what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import errors
from interlock.pool.docker import settings
from interlock.pool.docker.settings import Quota


def test_configuration_of_the_older_system_is_read() -> None:
    """RU-02, 3.4: what stands in its agent-pools.yaml."""
    found = settings.read(
        {
            "image": "necrocode/runner:gpu",
            "pull_policy": "if-not-present",
            "mount_repo_pool": False,
            "network": "necrocode-network",
            "volumes": ["/var/cache:/cache:ro", "named:/data"],
            "runtime": "nvidia",
            "gpus": "all",
            "resources": {"cpu_limit": 8, "memory_limit": 16384},
            "environment": {"CUDA_VISIBLE_DEVICES": 0},
            "labels": {"app": "necrocode"},
        },
        "docker-gpu",
    )
    assert found.mount_workspace is False
    assert (found.resources, found.gpus, found.runtime) == (Quota(cpu_limit=8, memory_limit=16384), "all", "nvidia")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "image"),
        ({"image": ""}, "image is empty"),
        ({"image": "a", "imagee": "b"}, "no setting 'imagee'; did you mean 'image'?"),
        ({"image": "a", "pullPolicy": "always"}, "did you mean 'pull_policy'?"),
        ({"image": "a", "xyzzy": 1}, "known are"),
        ({"image": "a", "resources": {"cpu": 1}}, "config.resources: there is no setting 'cpu'"),
        ({"image": "a", "resources": {"memory_limits": 1}}, "did you mean 'memory_limit'?"),
        ({"image": "a", "resources": {"cpu_limit": 0}}, "resources.cpu_limit is 0"),
        ({"image": "a", "pull_policy": "sometimes"}, "pull_policy"),
        ({"image": "a", "mount_repo_pool": True, "mount_workspace": True}, "older name"),
        ({"image": "a", "volumes": ["/a"]}, "the volume '/a' is not HOST:CONTAINER"),
        ({"image": "a", "volumes": ["/a:b"]}, "absolute path in the container"),
        ({"image": "a", "volumes": ["/a:/b:x"]}, "HOST:CONTAINER:ro"),
        ({"image": "a", "volumes": ["./a:/b"]}, "absolute path of the host"),
        ({"image": "a", "gpus": 0}, "gpus is 0"),
        ({"image": "a", "gpus": "some"}, "gpus"),
        ({"image": "a", "stop_seconds": 0}, "stop_seconds"),
        ({"image": "a", "pids_limit": -1}, "pids_limit is -1"),
        ({"image": "a", "environment": {"A=B": "c"}}, "'A=B'"),
        ({"image": "a", "labels": {"interlock.store": "x"}}, "Interlock's own"),
        ({"image": "a", "host": "ssh://elsewhere"}, "begins with unix://"),
    ],
)
def test_wrong_setting_is_named_with_its_pool(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidSettings) as raised:
        settings.read(config, "gpu")
    assert complaint in str(raised.value)
    assert str(raised.value).startswith("pool 'gpu': config")


def test_engine_is_that_of_the_setting_then_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert settings.read({"image": "a"}, "p").address == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert settings.read({"image": "a"}, "p").address == "tcp://127.0.0.1:2375"
    assert settings.read({"image": "a", "host": "unix:///x"}, "p").address == "unix:///x"
