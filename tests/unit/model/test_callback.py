"""Callbacks are read strictly, and show no secret."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from interlock import errors
from interlock.model import callback
from interlock.model.callback import TemporalTask, Webhook

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
TOKEN = base64.b64encode(b"\0token\xff").decode()
URL = "https://caller.example/done?team=a"


def temporal(**more: Any) -> dict[str, Any]:
    return {"temporal": {"address": "temporal:7233", "task_token": TOKEN} | more}


@pytest.mark.parametrize("nothing", [None, {}, "", temporal(task_token=""), temporal(task_token=None)])
def test_nothing_is_fire_and_forget(nothing: Any) -> None:
    """TK-02."""
    assert callback.parse(nothing) is None


def test_webhook_is_read_whole() -> None:
    found = callback.parse({"url": URL, "secret": SECRET, "headers": {"X-Team": "a b"}, "deadline": "2h"})
    assert isinstance(found, Webhook)
    assert (found.url, found.secret_bytes, found.headers, found.deadline_seconds) == (
        URL, b"s" * 24, {"X-Team": "a b"}, 7200.0,
    )  # fmt: skip
    assert (found.target, found.receiver) == ("https://caller.example", [URL])
    assert callback.decode(callback.encode(found)) == found
    assert callback.parse(found) is found
    plain = callback.parse({"url": "http://caller.example:8080/"})
    assert isinstance(plain, Webhook)
    assert (plain.secret_bytes, plain.headers, plain.target) == (None, {}, "http://caller.example:8080")


def test_secret_may_stand_without_its_beginning() -> None:
    found = callback.parse({"url": URL, "secret": SECRET.removeprefix("whsec_")})
    assert isinstance(found, Webhook)
    assert found.secret_bytes == b"s" * 24


def test_task_of_temporal_is_read_whole() -> None:
    """TK-02: the token is bytes, and nothing is known of what they mean."""
    found = callback.parse(
        temporal(
            namespace="shop", workflow="w1", activity="a1", heartbeat="30s", tls=True, server_name="t", ca="pem",
            certificate="c", certificate_key="k", api_key="key",
        )
        | {"deadline": 60}
    )  # fmt: skip
    assert isinstance(found, TemporalTask)
    assert (found.address, found.namespace, found.task_token) == ("temporal:7233", "shop", b"\0token\xff")
    assert (found.heartbeat_seconds, found.deadline_seconds, found.tls) == (30.0, 60.0, True)
    assert found.receiver == ["temporal:7233", "shop", "activity", "w1", "a1"]
    assert found.target == "temporal://temporal:7233/shop"
    assert callback.decode(callback.encode(found)) == found


def test_task_without_ids_is_its_own_receiver() -> None:
    found = callback.parse(temporal())
    assert isinstance(found, TemporalTask)
    assert (found.namespace, found.tls, found.heartbeat_seconds) == ("default", False, None)
    assert found.receiver == ["temporal:7233", "default", "token", TOKEN]


@pytest.mark.parametrize("given", [{"api_key": "k"}, {"ca": "pem"}, {"server_name": "t"}])
def test_credentials_go_over_tls_unless_told_otherwise(given: dict[str, str]) -> None:
    found = callback.parse(temporal(**given))
    assert isinstance(found, TemporalTask)
    assert found.tls
    plain = callback.parse(temporal(**given, tls=False))
    assert isinstance(plain, TemporalTask)
    assert not plain.tls


def test_nothing_shows_a_secret() -> None:
    """TK-13, TK-14."""
    webhook = callback.parse({"url": URL, "secret": SECRET, "headers": {"Authorization": "Bearer hush"}})
    task = callback.parse(temporal(api_key="hush"))
    shown = f"{webhook!r} {webhook} {task!r} {task} {[webhook, task]}"
    for secret in (SECRET, "hush", TOKEN, "done", "team"):
        assert secret not in shown
    assert "<Webhook https://caller.example>" in shown


LONG = {"url": URL, "headers": {"X": "y" * 70_000}}
WRONG: list[tuple[Any, str]] = [
    (7, "is a int"),
    ([1], "is a list"),
    (LONG, "larger than 64 KiB"),
    ({"url": URL, "secrets": "x"}, "has secrets, which is unknown"),
    ({"secret": SECRET}, "has no `url`"),
    ({"url": 7}, "has no `url`"),
    ({"url": "ftp://caller.example/"}, "has no `url`"),
    ({"url": "file:///etc/passwd"}, "has no `url`"),
    ({"url": "//caller.example"}, "has no `url`"),
    ({"url": "https:///path"}, "has no `url`"),
    ({"url": "https://caller.example:99999/"}, "has no `url`"),
    ({"url": "https://[::1/"}, "has no `url`"),
    ({"url": "https://caller.example:0/"}, "has no `url`"),
    ({"url": "https://caller.example/a b"}, "has no `url`"),
    ({"url": "https://caller.example/\r\nX: y"}, "has no `url`"),
    ({"url": "https://cäller.example/"}, "has no `url`"),
    ({"url": "https://user:pass@caller.example/"}, "a user, a password or a fragment"),
    ({"url": "https://caller.example/#x"}, "a user, a password or a fragment"),
    ({"url": URL, "secret": 7}, "a `secret` that is no text"),
    ({"url": URL, "secret": "whsec_short"}, "a `secret` of another form"),
    ({"url": URL, "secret": "whsec_" + base64.b64encode(b"s" * 65).decode()}, "a `secret` of another form"),
    ({"url": URL, "headers": ["X"]}, "`headers` that are no map"),
    ({"url": URL, "headers": {"X Y": "z"}}, "the header 'X Y'"),
    ({"url": URL, "headers": {"X:": "z"}}, "the header 'X:'"),
    ({"url": URL, "headers": {"Webhook-Id": "z"}}, "the header 'Webhook-Id'"),
    ({"url": URL, "headers": {"HOST": "z"}}, "the header 'HOST'"),
    ({"url": URL, "headers": {"X": 7}}, "a header X that HTTP does not allow"),
    ({"url": URL, "headers": {"X": "a\r\nY: b"}}, "a header X that HTTP does not allow"),
    ({"url": URL, "headers": {"X": " a"}}, "a header X that HTTP does not allow"),
    ({"url": URL, "headers": {"X": "a\n"}}, "a header X that HTTP does not allow"),
    ({"url": URL, "deadline": "soon"}, "a `deadline` of another form"),
    ({"url": URL, "deadline": 0}, "a `deadline` of another form"),
    ({"url": URL, "deadline": "400d"}, "at most 365 days"),
    ({"temporal": "x"}, "a `temporal` that is no map"),
    ({"temporal": {}, "url": URL}, "has url, which is unknown"),
    (temporal(token="x"), r"has temporal\.token, which is unknown"),
    (temporal(address="nowhere"), "no `temporal.address`"),
    (temporal(address="host:99999"), "no `temporal.address`"),
    (temporal(address=None), "no `temporal.address`"),
    (temporal(address="a/b:1"), "no `temporal.address`"),
    (temporal(task_token="not base64!"), "a `temporal.task_token` of another form"),
    (temporal(task_token=7), "a `temporal.task_token` of another form"),
    (temporal(tls="yes"), "a `temporal.tls` of another form"),
    (temporal(certificate="c"), "one of `temporal.certificate` and"),
    (temporal(heartbeat="0.5s"), r"a `temporal\.heartbeat` of another form"),
    (temporal(api_key=""), "a `temporal.api_key` of another form"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG, ids=[f"{number} {each[1]}" for number, each in enumerate(WRONG)])
def test_what_cannot_be_a_callback_is_refused_with_what_is_wanted(given: Any, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message) as caught:
        callback.parse(given)
    assert "wanted: " in str(caught.value)
    for secret in (SECRET, "user:pass", "a\r\nY"):
        assert secret not in str(caught.value)


def test_callback_of_no_kind_has_no_place() -> None:
    with pytest.raises(NotImplementedError):
        _ = callback._Callback().target
    with pytest.raises(NotImplementedError):
        _ = callback._Callback().receiver
