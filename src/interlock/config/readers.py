"""Readers of settings: a value as written in a file, the environment or a flag, to its typed form.

A ValueError of theirs says what is wanted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from interlock.model import duration

_SIZE: Final = re.compile(r"(\d+)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_SIZE_BYTES: Final = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})")
_HIGHEST_PORT: Final = 65_535
_URL: Final = re.compile(
    r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?"
)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")  # what a `call` can name: neither a path nor a version
_WORKFLOW: Final = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9-]+")
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text that is not empty")
    return value


def text_or_none(value: object) -> str | None:
    return None if value is None or value == "none" else text(value)


def count(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a whole number")


def seconds(value: object) -> float:
    try:
        return duration.parse(value)
    except ValueError:
        raise ValueError("a duration such as 500ms, 30s, 5m, 2h or a number of seconds") from None


def size(value: object) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(match.group(1)) * _SIZE_BYTES[match.group(2) or "B"]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a size such as 64 KiB, 10 MB or a number of bytes")


def names(value: object) -> tuple[str, ...]:
    items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError("a list of texts (in the environment and in flags: separated by commas)")
    return tuple(items)


def allowed_addresses(value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return truth(value)
    try:
        allowed = names(value)
    except ValueError:
        raise ValueError("true, false or a list of host names, addresses and networks") from None
    for name in allowed:
        if "/" in name:
            try:
                ipaddress.ip_network(name)
            except ValueError as error:
                raise ValueError(f"host names, addresses and networks ({error})") from None
    return allowed


def _pairs(value: object) -> object:
    """Give the map of `name=value,name=value`; anything else, and a text with a part that is no pair, as it is."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): item.strip() for name, _, item in parts} if all(sign for _, sign, _ in parts) else value


def _is_address(text: str) -> bool:
    """Say whether a text is a host with a port."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and int(match.group(2)) <= _HIGHEST_PORT


def destinations(value: object) -> Mapping[str, str]:
    pairs = _pairs(value)
    if not isinstance(pairs, Mapping) or not all(
        isinstance(place, str) and _is_address(place) for place in pairs.values()
    ):
        raise ValueError('a map of host to address and port, such as {"api.example" = "127.0.0.1:8080"}')
    return {host.lower(): place for host, place in pairs.items()}


def listen(value: object) -> str:
    address = text(value)
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    if not _is_address(address):
        raise ValueError("HOST:PORT, such as 127.0.0.1:7070, or unix:PATH")
    return address


def place(value: object) -> str:
    return "" if value is None or value == "" else text(value)


def url_or_none(value: object) -> str:
    if value in ("", None, "none"):
        return ""
    url = text(value).rstrip("/")
    if not _URL.fullmatch(url):
        raise ValueError("a URL such as https://interlock.example, without a query")
    return url


def truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("true or false")


def event_loop(value: object) -> str:
    name = text(value)
    if name not in ("asyncio", "uvloop"):
        raise ValueError("asyncio or uvloop")
    return name


def functions(value: object) -> Mapping[str, str]:
    pairs = _pairs(value)
    if not isinstance(pairs, Mapping) or not all(
        _NAME.fullmatch(name) and isinstance(function, str) and _FUNCTION.fullmatch(function)
        for name, function in pairs.items()
    ):
        raise ValueError('a map of name to module:function, such as {price = "shop.prices:total"}')
    return dict(pairs)


def keeping(value: object) -> str:
    if value != "forever":
        try:
            duration.parse(value)
        except ValueError:
            raise ValueError("forever, or a duration such as 12h, 30d or a number of seconds") from None
    return str(value)


def keepings(value: object) -> Mapping[str, str]:
    wanted = 'a map of NAMESPACE/NAME to a duration or forever, such as {"shop/order" = "7d"}'
    pairs = _pairs(value)
    if not isinstance(pairs, Mapping) or not all(_WORKFLOW.fullmatch(name) for name in pairs):
        raise ValueError(wanted)
    try:
        return {name: keeping(keep) for name, keep in pairs.items()}
    except ValueError:
        raise ValueError(wanted) from None
