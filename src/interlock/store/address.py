"""What people may read of a store's URL: never its password, whether it stands before the host or among the options.

    postgresql://shop:s3cret@db.internal:5432/shop?sslmode=require
    masked      postgresql://shop:***@db.internal:5432/shop?sslmode=require
    place       db.internal:5432/shop

A password with `/`, `?`, `#` or `@` as they are makes a URL that nobody reads alike; then all up to the last `@` is hidden.
"""

from __future__ import annotations

import re
from typing import Final

_HOST: Final = r"(?:\[[^\]]*\]|[^@:/?#,\[\]]*)(?::\d*)?"
_READABLE: Final = re.compile(
    rf"(?:(?P<user>[^:/?#@]*)(?::(?P<password>[^/?#@]*))?@)?(?P<place>{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?)(?P<options>\?[^#]*)?"
)
_SECRET_OPTION: Final = re.compile(r"(?<=[?&])((?:ssl)?password)=[^&]*", re.IGNORECASE)
_HIDDEN: Final = "***"


def is_readable(url: str) -> bool:
    """Say whether the parts of a URL can be told apart."""
    return _READABLE.fullmatch(url.partition("://")[2]) is not None


def masked(url: str) -> str:
    """Give a URL without its password."""
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite":
        return url
    if not separator:  # meant to be one
        return f"{_HIDDEN}@{_shown(url)}" if "@" in url else url
    found = _READABLE.fullmatch(rest)
    if found is None:
        return f"{scheme}://{_HIDDEN}@{_shown(rest)}"
    user = "" if found["user"] is None else found["user"] + ("@" if found["password"] is None else f":{_HIDDEN}@")
    options = _SECRET_OPTION.sub(rf"\1={_HIDDEN}", found["options"] or "")
    return f"{scheme}://{user}{found['place']}{options}"


def place(url: str) -> str:
    """Give host, port and database: no user, no password, no options."""
    rest = url.partition("://")[2]
    found = _READABLE.fullmatch(rest)
    if found is None:
        return _shown(rest)
    host: str = found["place"]
    return f"localhost{host}" if host.startswith("/") or not host else host


def _shown(rest: str) -> str:
    """Give what surely belongs to no password, of a URL whose parts cannot be told apart."""
    return re.split(r"[?#]", rest.rpartition("@")[2])[0] if "@" in rest else _HIDDEN
