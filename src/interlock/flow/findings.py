"""What one look at a document brings together: its problems, each at its place, and the expressions met on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from interlock.flow import yaml
from interlock.flow.problem import Problem, Severity
from interlock.model.json import Json


@dataclass(slots=True)
class Findings:
    """Collects problems in the order they are met. Without a `source` every problem stands at line 1, column 1.

    `expressions` are texts that are jq by their place in the language (`if`, `when`, `in`); `templates` are values in
    which a text `${ }` at any depth is jq. Both are listed with the JSON pointer of the value.
    """

    source: yaml.Source | None = None
    file: str | None = None
    problems: list[Problem] = field(default_factory=list)
    expressions: list[tuple[str, str]] = field(default_factory=list)
    templates: list[tuple[str, Json]] = field(default_factory=list)

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
