"""Definitions as requests and answers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The text of a workflow, in YAML or JSON."""

    document: Annotated[str, Meta(min_length=1)]


class Published(msgspec.Struct, kw_only=True):
    namespace: str
    name: str
    version: str
    digest: str


class PublishedTold(Published, kw_only=True):
    published_at: float


class Definitions(msgspec.Struct, kw_only=True):
    """By namespace, name and version, each as text. `next`: `after` for the page that follows; null for none."""

    items: list[PublishedTold]
    next: str | None = None


class Definition(Published, kw_only=True):
    """`document`: the text as it was published."""

    document: str


class ProblemFound(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One problem of a document. `line`, `column`: from 1. `path`: a JSON pointer."""

    code: str
    severity: str
    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None


class Verdict(msgspec.Struct, kw_only=True):
    valid: bool
    problems: list[ProblemFound]
