"""No password of a store's URL is ever shown."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.store import address
from interlock.store.open import open_store
from interlock.store.sql import backup
from interlock.store.sql.postgresql.server import Server


@pytest.mark.parametrize(
    ("url", "masked", "place"),
    [
        ("postgresql://u:s3cret@h:5/d?sslmode=require", "postgresql://u:***@h:5/d?sslmode=require", "h:5/d"),
        ("postgresql://h/d?user=u&password=s3cret&x=1", "postgresql://h/d?user=u&password=***&x=1", "h/d"),
        ("postgresql://h/d?SSLPASSWORD=s3cret", "postgresql://h/d?SSLPASSWORD=***", "h/d"),
        ("postgresql://u@h/d?application_name=a@b", "postgresql://u@h/d?application_name=a@b", "h/d"),
        ("postgresql:///d?host=/run", "postgresql:///d?host=/run", "localhost/d"),
        ("postgresql://u:s3cret@[::1]:5,h:6/d", "postgresql://u:***@[::1]:5,h:6/d", "[::1]:5,h:6/d"),
        ("postgresql://u:s3/cret@h/d", "postgresql://***@h/d", "h/d"),
        ("postgresql://u:s3?cret@h/d", "postgresql://***@h/d", "h/d"),
        ("postgresql://u:s3#cret@h/d?password=s3cret", "postgresql://***@h/d", "h/d"),
        ("postgresql://u:s3@cret@h/d", "postgresql://***@h/d", "h/d"),
        ("postgresql://u:s3cret/d", "postgresql://***@***", "***"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db", "b.db"),
        ("store.db", "store.db", "localhost"),
    ],
)
def test_password_is_hidden_wherever_it_stands(url: str, masked: str, place: str) -> None:
    assert address.masked(url) == masked
    assert address.place(url) == place
    assert "cret" not in address.masked(url)


async def test_url_for_the_bell_is_checked_too(postgres_url: str) -> None:
    with pytest.raises(errors.Invalid, match=r"postgresql://\*\*\*@h/d cannot be read"):
        await open_store(postgres_url, listen_url="postgresql://u:s3/cret@h/d")


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3/cret@h/d", "mysql://u:s3cret@h/d", "postgresql://u:s3cret@127.0.0.1:1/d"]
)
async def test_error_about_a_url_does_not_tell_its_password(url: str) -> None:
    with pytest.raises(errors.InterlockError) as raised:
        await open_store(url)
    assert "cret" not in str(raised.value)
    with pytest.raises(errors.Invalid) as refused:
        backup.path_of(url)
    assert "cret" not in str(refused.value)
    assert "cret" not in repr(Server(url, pooled=False, version="18"))
