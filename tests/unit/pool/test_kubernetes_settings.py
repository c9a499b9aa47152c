"""What the config of a pool of Kubernetes may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.errors import InvalidSettings
from interlock.pool.kubernetes.settings import Toleration, read


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"node_selectr": {}}, "node_selectr: unknown key; did you mean 'node_selector'?"),
        ({"nodeSelector": {}}, "nodeSelector: unknown key; did you mean 'node_selector'?"),
        ({"env": {}}, "env: unknown key; did you mean 'environment'?"),
        ({"zzz": 1}, "zzz: unknown key; valid are annotations, backoff_limit,"),
        ({"resources": {"limit": {}}}, "resources.limit: unknown key; did you mean 'limits'?"),
        ({"resources": {"limits": {"cpus": 1}}}, "resources.limits.cpus: unknown key; did you mean 'cpu'?"),
        ({"tolerations": [{"keys": "a"}]}, "tolerations.keys: unknown key; did you mean 'key'?"),
        (
            {"workspace": {"claim": "c", "mountpath": "/w"}},
            "workspace.mountpath: unknown key; did you mean 'mount_path'?",
        ),
        ({"workspace": {"mount_path": "/w"}}, "claim"),
        ({"volumes": [{"mount_path": "/d"}]}, "volumes[0] (/d) needs exactly one of claim,"),
        ({"volumes": [{"mount_path": "/d", "claim": "c", "secret": "s"}]}, "exactly one of"),
        ({"ttl_seconds": -1}, "ttl_seconds is -1; it must be 0 or more"),
        ({"ttl_seconds": "soon"}, "`ttl_seconds`"),
        ({"image_pull_policy": "sometimes"}, "use always, if-not-present or never"),
        ({"job_template": {"kind": "Pod"}}, "a Job of batch/v1 is needed"),
        ({"job_template": {"spec": {"completions": 3}}}, "completions is 3, but a Job is one attempt"),
        ({"job_template": "/no/such/file.yaml"}, "/no/such/file.yaml cannot be read"),
        ({"job_template": ["a"]}, "a Job is a mapping; list was found"),
    ],
)
def test_wrong_config_is_refused_by_name(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read("k8s-spot", config)
    assert "pool 'k8s-spot': config" in str(refusal.value)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    "config",
    [
        {"restart_policy": "OnFailure"},
        {"backoff_limit": 3},
        {"restart_policy": "OnFailure", "backoff_limit": 3},
        {"job_template": {"spec": {"backoffLimit": 3}}},
        {"job_template": {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}},
    ],
)
def test_retries_of_kubernetes_are_refused_with_the_budget_to_use(config: dict[str, Any]) -> None:
    """3.6: attempts that Kubernetes makes by itself are counted by nobody, and fenced by nothing."""
    with pytest.raises(InvalidSettings, match=r"retry: \{preempted: 10, lost: 3, application: 2\}"):
        read("k8s-spot", config)


def test_defaults_of_the_original_may_be_written_down() -> None:
    assert read("k8s", {"restart_policy": "Never", "backoff_limit": 0}) == read("k8s", {})
    assert read("k8s", {}).ttl_seconds == 3600


@pytest.mark.parametrize("text", ["if-not-present", "IfNotPresent", "ifNotPresent", "IF_NOT_PRESENT"])
def test_pull_policy_is_read_in_every_spelling(text: str) -> None:
    assert read("k8s", {"image_pull_policy": text}).image_pull_policy == "IfNotPresent"


def test_template_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("spec: {template: {spec: {priorityClassName: low}}}")
    template = read("k8s", {"job_template": str(path)}).job_template
    assert template == {"spec": {"template": {"spec": {"priorityClassName": "low"}}}}


def test_tolerations_are_in_the_words_of_kubernetes() -> None:
    settings = read("k8s", {"tolerations": [{"key": "spot", "operator": "Exists", "tolerationSeconds": 5}]})
    assert settings.tolerations == (Toleration(key="spot", operator="Exists", tolerationSeconds=5),)
