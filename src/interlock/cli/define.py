"""Commands about definitions: validate, graph, publish."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interlock import errors
from interlock.cli import context
from interlock.cli.context import answer, note
from interlock.flow import check, diagram, report
from interlock.flow.meaning import limits
from interlock.flow.problem import Problem


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


class GraphFormat(StrEnum):
    MERMAID = "mermaid"
    SVG = "svg"


FileArgument = Annotated[str, typer.Argument(help="A workflow file in YAML or JSON; - for standard input.")]


def validate(
    files: Annotated[list[str], typer.Argument(help="Workflow files in YAML or JSON; - for standard input.")],
    format: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
) -> None:
    """Check workflow files and list every problem with its place and what to do."""

    async def command() -> int:
        allowed = limits.configured(context.settings().limits)
        problems: list[Problem] = []
        for file in files:
            loaded = check.load(context.read_text(file), file, allowed=allowed)
            problems += loaded.problems
        failed = any(problem.severity == "error" for problem in problems)
        if format is Format.JSON:
            answer(report.json(problems).decode())
        elif problems:
            answer(report.text(problems).rstrip())
        else:
            answer(f"{len(files)} file{'s' if len(files) != 1 else ''} valid")
        return errors.Invalid.exit_code if failed else 0

    context.execute(command)


def graph(
    file: FileArgument,
    format: Annotated[GraphFormat, typer.Option("--format", help="mermaid or svg.")] = GraphFormat.MERMAID,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")] = None,
) -> None:
    """Draw a workflow."""

    async def command() -> int:
        allowed = limits.configured(context.settings().limits)
        workflow = check.load(context.read_text(file), file, allowed=allowed).required()
        text = diagram.mermaid(workflow) if format is GraphFormat.MERMAID else diagram.svg(workflow)
        if out is None:
            answer(text)
        else:
            try:
                out.write_text(text, "utf-8")
            except OSError as error:
                raise errors.Invalid(f"cannot write {out}: {error.strerror}") from None
            note(f"wrote {out}")
        return 0

    context.execute(command)


def publish(file: FileArgument) -> None:
    """Fix a workflow's name and version to this text, so that it can be run by name."""

    async def command() -> int:
        text = context.read_text(file)
        async with context.opened() as app:
            published = await app.publish(text, file)
            answer(f"{published.namespace}/{published.name}:{published.version}")
            note(f"published, digest {published.digest[:12]}; `interlock run {published.name}` runs it")
        return 0

    context.execute(command)
