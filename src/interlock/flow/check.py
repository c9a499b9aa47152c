"""The one door to a definition: text in, a typed workflow and every problem out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.flow import document, lint, parse, structure, yaml
from interlock.flow.findings import Findings, note_flaws
from interlock.flow.grammar.tasks import TASK
from interlock.flow.meaning import (
    executable,
    expressions,
    interlock,
    limits,
    references,
    reporting,
    resources,
    schemas,
    targets,
    tasks,
)  # fmt: skip
from interlock.flow.problem import Problem, Severity
from interlock.model.json import Json

_DEFAULT_LIMITS: Final = limits.Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was read from one text.

    `workflow` is None when there is an error; warnings leave it. `value` is the plain JSON of the document as written,
    None when the text cannot be read. `problems` holds errors and warnings in the order of their places.
    """

    workflow: document.Workflow | None
    value: Json
    source: yaml.Source
    problems: tuple[Problem, ...]
    file: str | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that forbid the document to be used."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that the document can be used with."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    def required(self) -> document.Workflow:
        """Give the workflow. Raises InvalidDefinition, with all problems, when there is an error."""
        self.raise_for_problems()
        assert self.workflow is not None
        return self.workflow

    def raise_for_problems(self) -> None:
        """Raise InvalidDefinition, with all problems, when there is an error."""
        found = self.errors
        if not found:
            return
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        place = f"{self.file or 'definition'}:{first.line}:{first.column}"
        raise errors.InvalidDefinition(f"{place}: {first.message}{more}", self.problems)


def load(text: str, file: str | None = None, *, allowed: limits.Limits = _DEFAULT_LIMITS) -> Loaded:
    """Read, check and type one workflow document in YAML or JSON. Never raises: see `Loaded.problems`.

    `file` is only for messages. Both stages look at the whole document, so that every problem is told at once.
    """
    source = yaml.read(text)
    findings = Findings(source=source, file=file)
    note_flaws(source, findings)
    if source.is_complete:
        _check(source.value, findings, allowed)
    workflow = None if findings.has_errors() else parse.workflow(source.value)
    problems = sorted(findings.problems, key=lambda problem: (problem.line, problem.column, problem.path))
    return Loaded(workflow=workflow, value=source.value, source=source, problems=tuple(problems), file=file)


def load_function(
    text: str, uri: str, use: Json, *, allowed: limits.Limits = _DEFAULT_LIMITS
) -> tuple[document.Task, Json]:
    """Give the task of a function that was fetched, typed and as plain JSON. `use`: that of the workflow that calls it.

    Raises InvalidDefinition, which names the URI and every problem: the ones of any task, and what cannot be executed yet.
    """
    source = yaml.read(text)
    findings = Findings(source=source, file=uri)
    note_flaws(source, findings)
    if source.is_complete:
        TASK.check(source.value, "", findings)
        _check_meaning(source.value, {"use": use}, findings, allowed)
    found = [
        problem
        for problem in findings.problems
        if problem.severity is Severity.ERROR or problem.code == executable.CODE
    ]
    if found:
        first = found[0]
        raise errors.InvalidDefinition(f"{uri}:{first.line}:{first.column}: {first.message}", tuple(found))
    return parse.task(source.value), source.value


def _check(value: Json, findings: Findings, allowed: limits.Limits) -> None:
    structure.check(value, findings)
    _check_meaning(value, value, findings, allowed)
    lint.check(value, findings)


def _check_meaning(value: Json, root: Json, findings: Findings, allowed: limits.Limits) -> None:
    """Look at what a document, or a function of its own, means. `root`: the workflow that its names belong to."""
    interlock.check(findings, allowed)  # first: the undos are tasks too
    reporting.check(_functions(root), findings)
    tasks.check(root, findings)
    targets.check(findings)
    expressions.check(root, findings)
    references.check(root, findings)  # after the expressions, which say what secrets they read
    limits.check(value, findings, allowed)
    schemas.check(findings)
    resources.check(root, findings)
    executable.check(root, findings)


def _functions(root: Json) -> Collection[str]:
    """Give the names of `use.functions`, whatever is wrong with it."""
    use = root.get("use") if isinstance(root, dict) else None
    functions = use.get("functions") if isinstance(use, dict) else None
    return functions if isinstance(functions, dict) else ()
