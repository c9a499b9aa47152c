"""`interlock deliveries` and `run --callback`: what is listed, shown, sent again and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Typed

DOCUMENT = "document: {dsl: 1.0.3, namespace: shop, name: fast, version: 1.0.0}\ndo: [{a: {set: {x: 1}}}]\n"
CALLBACK = "url: http://127.0.0.1:9/hush-path\nsecret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n"


@pytest.fixture
def told(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """A store with three runs that nobody executes, each with a caller."""
    monkeypatch.chdir(tmp_path)
    Path("fast.yaml").write_text(DOCUMENT)
    Path("callback.yaml").write_text(CALLBACK)
    for number in range(3):
        assert typed("run", "fast.yaml", "--id", f"run-{number}", "--detach", "--callback", "callback.yaml").code == 0
    return typed


def test_deliveries_are_listed_in_pages(told: Typed) -> None:
    lines = told("deliveries", "list").out.splitlines()
    assert len(lines) == 3
    assert all("pending (the run lives)  0×  http://127.0.0.1:9  run " in line for line in lines)
    page = told("deliveries", "list", "--limit", "2")
    assert page.out.splitlines() == lines[:2]
    before = lines[1].split()[0]
    assert f"older ones: interlock deliveries list --before {before}" in page.line
    assert told("deliveries", "list", "--before", before).out.splitlines() == lines[2:]


def test_deliveries_of_a_run_a_state_and_a_namespace_are_found(told: Typed) -> None:
    (row,) = told("deliveries", "list", "--run", "run-1", "--json").json
    assert (row["namespace"], row["kind"], row["state"], row["waiting"]) == ("shop", "webhook", "pending", True)
    assert told("deliveries", "list", "--run", "run-1", "--state", "failed", "--json").json == []
    assert told("deliveries", "list", "--run", "run-1", "--before", row["id"], "--json").json == []
    assert len(told("-n", "shop", "deliveries", "list", "--state", "pending", "--json").json) == 3
    other = told("-n", "bank", "deliveries", "list")
    assert (other.out, "a run has one when it is started with a callback" in other.line) == ("", True)
    assert told("-n", "bank", "deliveries", "show", row["id"]).code == 2
    assert "there is no run 'nothing'" in told("deliveries", "list", "--run", "nothing").line


def test_delivery_is_shown_without_what_is_secret(told: Typed) -> None:
    (row,) = told("deliveries", "list", "--run", "run-1", "--json").json
    shown = told("deliveries", "show", row["id"])
    assert shown.out.splitlines()[:4] == [
        f"delivery   {row['id']}", f"run        {row['run']}", "to         http://127.0.0.1:9 (webhook)",
        "state      pending (the run lives)",
    ]  # fmt: skip
    assert "deadline   20" in shown.out
    whole = told("deliveries", "show", row["id"], "--json")
    assert whole.json["attempts_made"] == []
    for secret in ("hush-path", "whsec_", "MDEyMzQ1"):
        assert secret not in shown.out + whole.out


def test_delivery_that_is_refused_is_shown_and_sent_again(told: Typed) -> None:
    assert told("run", "fast.yaml", "--id", "run-9", "--callback", "callback.yaml").code == 0
    (row,) = told("deliveries", "list", "--run", "run-9", "--json").json
    assert row["state"] == "failed"
    shown = told("deliveries", "show", row["id"]).out
    assert "problem    127.0.0.1 leads to 127.0.0.1 (a loopback address)" in shown
    assert "address-refused: " in shown
    again = told("deliveries", "retry", row["id"])
    assert again.out == f"{row['id']}  pending\n"
    assert "`interlock node` sends it" in again.line
    assert "next try   20" in told("deliveries", "show", row["id"]).out
    assert told("deliveries", "retry", row["id"], "--json").json["state"] == "pending"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("show nothing", "there is no delivery 'nothing'; `interlock deliveries list` shows those there are"),
        ("retry nothing", "there is no delivery 'nothing'"),
        ("list --state lost", "'lost' is no state of a delivery; they are pending, delivered, expired, failed, superseded"),
        ("show", "missing argument 'DELIVERY'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_line(told: Typed, line: str, said: str) -> None:
    refused = told("deliveries", *line.split())
    assert refused.code == 2
    assert said in refused.line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url: nowhere", "the callback has no `url` that can be called"),
        ("- a list", "the callback is a list"),
        ("url: http://x/\nsecret: whsec_hush", "the callback has a `secret` of another form"),
        ("url: [", "callback.yaml:"),
    ],
)
def test_callback_that_is_none_is_refused_before_the_run(told: Typed, text: str, said: str) -> None:
    Path("callback.yaml").write_text(text)
    refused = told("run", "fast.yaml", "--id", "run-8", "--callback", "callback.yaml")
    assert refused.code == 2
    assert said in refused.line
    assert "hush" not in refused.line
    assert "there is no run 'run-8'" in told("show", "run-8").line
    assert "there is no file none.yaml" in told("run", "fast.yaml", "--callback", "none.yaml").line
