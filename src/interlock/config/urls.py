"""What people may read of a URL that may hold a password."""

from __future__ import annotations


def shown(url: str) -> str:
    """Give a URL without its user, password and parameters; one of SQLite as it is, since it has none.

    Also for what is no URL but was meant to be one: nothing before the last `@` is shown, wherever it stands.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite":
        return url
    if not separator:
        scheme, rest = "", url
    _, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{'…@' if at else ''}{place.partition('?')[0]}"
