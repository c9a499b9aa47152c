"""Errors of workflows, as values: RFC 7807 problems with the standard types of the Open Workflow Specification.

Source: OWS 1.0.3, "Error" and "Standard Error Types". Two hosts and two path styles are in the wild for the standard
types; `same_type` treats them as one (the conformance kit itself uses the older path).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from interlock.model.json import Json
from interlock.model.raised import Raised

_BASE: Final = "https://open-workflow-specification.org/spec/1.0.0/errors/"
_STANDARD: Final = re.compile(
    r"^https?://(?:www\.)?(?:open-workflow-specification\.org|serverlessworkflow\.io)"
    r"/(?:spec/[^/]+/errors|dsl/errors/types)/([a-z-]+)$"
)

CONFIGURATION: Final = _BASE + "configuration"
VALIDATION: Final = _BASE + "validation"
EXPRESSION: Final = _BASE + "expression"
AUTHENTICATION: Final = _BASE + "authentication"
AUTHORIZATION: Final = _BASE + "authorization"
TIMEOUT: Final = _BASE + "timeout"
COMMUNICATION: Final = _BASE + "communication"
RUNTIME: Final = _BASE + "runtime"

TASKS_FAILED: Final = "urn:interlock:errors/tasks-failed"
"""Ours: a task graph that a step loaded has ended, and some of its tasks did not succeed."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error of a step or a run.

    `instance` is the JSON pointer of the step that raised it, such as `/do/0/tryGetPet/try/0/getPet`.
    `code` is our own short name of the cause (`payload-too-large`, `expression-deadline`), None otherwise.
    `raised`: the Python exception that it was. `details`: what whoever reported it added, any JSON.
    """

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    code: str | None = None
    raised: Raised | None = None
    details: Json = None

    def at(self, instance: str) -> Fault:
        """Give the same error with its instance set, unless it has one."""
        return self if self.instance is not None else msgspec.structs.replace(self, instance=instance)

    def described(self) -> dict[str, object]:
        """Give the error as the object that expressions see as `$error`; absent fields are left out."""
        fields = {name: getattr(self, name) for name in ("type", "status", "title", "detail", "instance", "details")}
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        text = self.title or self.type.rsplit("/", 1)[-1]
        return f"{text}: {self.detail}" if self.detail else text


def same_type(left: str, right: str) -> bool:
    """Say whether two error types mean the same, whichever host and path style they are written with."""
    return left == right or _canonical(left) == _canonical(right)


def _canonical(type_: str) -> str:
    match = _STANDARD.match(type_)
    return _BASE + match.group(1) if match else type_
