"""What one look at a document brings together: its problems, each at its place, and the places that mean something."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto

from interlock.flow import yaml
from interlock.flow.codes import CODES
from interlock.flow.problem import Problem, Severity
from interlock.model.json import Json


class Role(Enum):
    """What a value is, beyond its shape: what the second stage of validation looks at."""

    EXPRESSION = auto()  # a text that is jq by its place: `if`, `when`, `in`
    TEMPLATE = auto()  # a value in which texts `${ }`, at any depth, are jq
    COMMAND = auto()  # a command line for a shell
    VARIABLE = auto()  # the name that a loop or a catch gives to a value
    DIRECTIVE = auto()  # where the flow goes on: continue, exit, end or a task of the same list
    TASK = auto()
    TASK_LIST = auto()
    DURATION = auto()
    TIMEOUT = auto()
    RETRY = auto()
    SCHEMA = auto()
    SCHEME = auto()  # the properties of an authentication scheme
    AUTHENTICATION_NAME = auto()
    ERROR_NAME = auto()
    RETRY_NAME = auto()
    SECRET_NAME = auto()
    TIMEOUT_NAME = auto()


@dataclass(slots=True)
class Findings:
    """Collects problems and places in the order they are met. Without a `source` problems stand at line 1, column 1.

    A place is a JSON pointer with the value there. Places are noted whether or not what they hold is valid.
    """

    source: yaml.Source | None = None
    file: str | None = None
    problems: list[Problem] = field(default_factory=list)
    places: dict[Role, list[tuple[str, Json]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, role: Role | None, path: str, value: Json) -> None:
        """Remember a place for the second stage; None has no second stage."""
        if role is not None:
            self.places[role].append((path, value))

    def add(
        self,
        code: str,
        message: str,
        path: str,
        *,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
        found: str | None = None,
        expected: str | None = None,
        nearest: str | None = None,
        excerpt: str | None = None,
    ) -> None:
        """Note a problem of the value at `path`; `at_key` points to the key that names it instead."""
        assert code in CODES, code
        line, column = self._position(path, at_key=at_key)
        self.problems.append(
            Problem(
                code=code,
                message=message,
                path=path,
                line=line,
                column=column,
                severity=severity,
                file=self.file,
                found=found,
                expected=expected,
                nearest=nearest,
                excerpt=excerpt,
            )
        )

    def warn(self, code: str, message: str, path: str, *, at_key: bool = False, nearest: str | None = None) -> None:
        """Note what does not make the document wrong."""
        self.add(code, message, path, at_key=at_key, severity=Severity.WARNING, nearest=nearest)

    def has_errors(self) -> bool:
        """Say whether anything that was found makes the document wrong."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def written(self, path: str) -> str:
        """Give the word that stands in the text at `path`, empty when there is no text."""
        return self.source.written(path) if self.source is not None else ""

    def _position(self, path: str, *, at_key: bool) -> tuple[int, int]:
        if self.source is None:
            return 1, 1
        return self.source.key_position(path) if at_key else self.source.position(path)


def note_flaws(source: yaml.Source, findings: Findings) -> None:
    """Note what is wrong with a text itself."""
    for flaw in source.flaws:
        findings.problems.append(
            Problem(
                code=flaw.code,
                message=flaw.message,
                path=flaw.path,
                line=flaw.line,
                column=flaw.column,
                file=findings.file,
            )
        )
