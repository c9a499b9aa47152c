"""Passwords in URLs are shown to nobody."""

from __future__ import annotations

import pytest

from interlock import config


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("postgresql://host/database", "postgresql://host/database"),
        ("postgresql://user:secret@host:5432/database", "postgresql://…@host:5432/database"),
        ("postgresql://user:sec@ret@host/database", "postgresql://…@host/database"),
        ("postgresql://user:sec?ret@host/database", "postgresql://…@host/database"),
        ("postgresql://host/database?user=u&password=secret", "postgresql://host/database"),
        ("postgresql:/user:secret@host", "…@host"),
        ("", ""),
    ],
)
def test_user_password_and_parameters_are_left_out(url: str, shown: str) -> None:
    assert config.shown(url) == shown
