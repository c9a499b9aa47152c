"""JSON pointers (RFC 6901): how a problem, a fault and a position name one value of a document."""

from __future__ import annotations


def child(path: str, key: str | int) -> str:
    """Give the pointer of the item `key` of the value at `path`."""
    if isinstance(key, int) or ("~" not in key and "/" not in key):
        return f"{path}/{key}"
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def parts(path: str) -> list[str]:
    """Give the keys along `path`, unescaped; the whole document has none."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def last(path: str) -> str:
    """Give the last key of `path`, empty for the whole document."""
    return path[path.rfind("/") + 1 :].replace("~1", "/").replace("~0", "~") if path else ""


def parent(path: str) -> str:
    """Give the pointer of the value that holds the one at `path`; the whole document holds itself."""
    return path[: path.rfind("/")] if path else ""
