"""`interlock keys`: the key alone on standard output, the words on standard error, and what is refused."""

from __future__ import annotations

import re

import pytest

from .conftest import Typed

KEY = re.compile(r"ilk_[0-9a-f]{32}_[A-Za-z0-9_-]{43}\n")


def test_key_is_made_listed_and_revoked(typed: Typed) -> None:
    made = typed("keys", "create", "ci", "--role", "operator", "--namespace", "shop", "--expires", "90d")
    assert made.code == 0
    assert KEY.fullmatch(made.out)
    secret = made.out.strip().split("_", 2)[2]
    assert secret not in made.err
    assert re.search(r"of ci: operator of shop, expires 20\d\d-.*; it is shown this once", made.line)
    listed = typed("keys", "list")
    assert listed.code == 0
    assert re.match(r"[0-9a-f]{32}  ci  operator of shop  live until 20\d\d-.*  made 20\d\d-.* by user:", listed.out)
    (row,) = typed("keys", "list", "--json").json
    assert (row["name"], row["role"], row["namespaces"], row["live"]) == ("ci", "operator", ["shop"], True)
    assert row["expires_at"] - row["created_at"] == 90 * 86400
    ended = typed("keys", "revoke", "ci")
    assert (ended.code, ended.out) == (0, row["id"] + "\n")
    assert "is revoked since" in ended.line
    assert "  revoked 20" in typed("keys", "list").out
    assert not typed("keys", "list", "--json").json[0]["live"]
    assert secret not in typed("keys", "list", "--json").out


def test_key_without_limits_never_expires_and_opens_all_namespaces(typed: Typed) -> None:
    assert "admin of all namespaces, never expires" in typed("keys", "create", "root", "--role", "admin").line
    assert "  admin of all namespaces  live  made" in typed("keys", "list").out


def test_namespace_before_the_command_limits_the_key_too(typed: Typed) -> None:
    assert "viewer of shop," in typed("-n", "shop", "keys", "create", "ann", "--role", "viewer").line
    assert (
        "viewer of bank,"
        in typed("-n", "shop", "keys", "create", "ann", "--role", "viewer", "--namespace", "bank").line
    )


def test_store_without_keys_says_how_one_is_made(typed: Typed) -> None:
    made = typed("keys", "create", "ci", "--role", "viewer").out
    assert made
    typed("--store", "sqlite:///other.db", "run", "missing.yaml")
    assert "there is no store" in typed("--store", "sqlite:///none.db", "keys", "list").line


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("create", "interlock: missing argument 'NAME'; see `interlock keys create --help`"),
        ("create ci", "interlock: missing option '--role'"),
        ("create ci --role boss", "interlock: invalid value for '--role': 'boss' is not one of 'viewer', 'operator'"),
        ("create ci --role viewer --expires soon", "interlock: --expires: 'soon' is not a duration"),
        ("create ci --role viewer --expires 0", "interlock: a key expires after more than nothing"),
        ("create ci --role viewer --namespace a/b", "interlock: 'a/b' is no namespace"),
        ("revoke nobody", "interlock: there is no key 'nobody'; `interlock keys list` shows those there are"),
        ("revoke", "interlock: missing argument 'ID'"),
    ],
)
def test_wrong_input_is_told_in_a_line(typed: Typed, line: str, said: str) -> None:
    assert typed("keys", "create", "there", "--role", "viewer").code == 0
    ended = typed("keys", *line.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.line.startswith(said)
    assert len(typed("keys", "list", "--json").json) == 1
