"""The store key: where it comes from, what it proves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from interlock import config, errors
from interlock.secrets import key
from interlock.secrets.key import KeyRing

ONE, TWO = "one-key-of-the-store", "another-key-of-the-store"


def test_proof_holds_for_its_parts_only() -> None:
    ring = KeyRing([ONE])
    proof = ring.sign("a", "bc")
    assert ring.proves(proof, "a", "bc")
    assert not ring.proves(proof, "ab", "c")
    assert not ring.proves(proof[:-1] + ("0" if proof[-1] != "0" else "1"), "a", "bc")
    assert not KeyRing([TWO]).proves(proof, "a", "bc")
    assert not ring.proves("", "a", "bc")


def test_key_that_was_replaced_still_proves_but_signs_no_more() -> None:
    old = KeyRing([ONE]).sign("a")
    ring = KeyRing([TWO, ONE])
    assert ring.proves(old, "a")
    assert ring.sign("a") == KeyRing([TWO]).sign("a") != old


@pytest.mark.parametrize(
    ("keys", "message"), [([], "no store key"), ([ONE, "short"], "store key 2 is shorter than 16")]
)
def test_unusable_keys_are_refused(keys: list[str], message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        KeyRing(keys)


def test_sources_of_the_key_are_asked_in_order(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{TWO}\n{ONE}\n")
    program = (sys.executable, "-c", f"print({TWO!r})")
    settings = config.Secrets(key_file=str(file), key_command=program)
    found = [
        key.ring("postgresql://x/y", settings, {"INTERLOCK_KEY": ONE}),
        key.ring("postgresql://x/y", settings, {}),
        key.ring("postgresql://x/y", config.Secrets(key_command=program), {}),
    ]
    assert [ring.current for ring in found] == [KeyRing([each]).current for each in (ONE, TWO, TWO)]
    assert found[1].proves(KeyRing([ONE]).sign("a"), "a")


def test_sqlite_store_makes_its_own_key_once_for_its_owner_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    made = key.ring(url, config.Secrets(), {})
    file = tmp_path / "runs.db.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.ring(url, config.Secrets(), {}).current == made.current
    assert os.listdir(tmp_path) == ["runs.db.key"]


def test_another_process_that_makes_the_key_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "runs.db.key"
    link = os.link

    def late(draft: str, place: Path) -> None:
        file.write_text(ONE)
        file.chmod(0o600)
        link(draft, place)

    monkeypatch.setattr(os, "link", late)
    assert key.ring(f"sqlite:///{tmp_path}/runs.db", config.Secrets(), {}).current == KeyRing([ONE]).current
    assert os.listdir(tmp_path) == ["runs.db.key"]


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.db.key"
    file.write_text(ONE)
    file.chmod(0o644)
    with pytest.raises(errors.Environment, match="chmod 600"):
        key.ring(f"sqlite:///{tmp_path}/runs.db", config.Secrets(), {})


def test_store_in_memory_has_a_key_of_its_own() -> None:
    url = "sqlite:///:memory:"
    assert key.ring(url, config.Secrets(), {}).current != key.ring(url, config.Secrets(), {}).current


def test_other_stores_refuse_to_work_without_a_key() -> None:
    with pytest.raises(errors.Invalid, match=r"set INTERLOCK_KEY, secrets\.key_file or secrets\.key_command"):
        key.ring("postgresql://x/y", config.Secrets(), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (config.Secrets(key_file="/no/such/file"), "cannot be read from /no/such/file"),
        (config.Secrets(key_command=("/no/such/program",)), "secrets.key_command /no/such/program failed"),
        (config.Secrets(key_command=("false",)), "secrets.key_command false failed"),
    ],
)
def test_key_that_cannot_be_read_says_why(settings: config.Secrets, message: str) -> None:
    with pytest.raises(errors.Environment, match=message):
        key.ring("postgresql://x/y", settings, {})


def test_key_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(errors.Environment, match=r"nowhere/runs\.db\.key cannot be made"):
        key.ring(f"sqlite:///{tmp_path}/nowhere/runs.db", config.Secrets(), {})
