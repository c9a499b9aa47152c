"""Commands about definitions: validate, graph, publish."""

from __future__ import annotations

from pathlib import Path

from interlock import errors
from interlock.app import loading
from interlock.app.session import Session
from interlock.cli import context, following
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.flow import check, diagram, report
from interlock.flow.meaning import limits
from interlock.flow.problem import Problem, Severity
from interlock.store.ports import Definition


async def validate(files: list[str], *, as_json: bool) -> int:
    """List every problem of the files; exit code 2 when one of them is an error."""
    allowed = limits.configured(context.settings().limits)
    problems: list[Problem] = []
    for file in files:
        problems += check.load(context.read_text(file), file, allowed=allowed).problems
    if as_json:
        answer(report.json(problems).decode())
    elif problems:
        answer(report.text(problems).rstrip())
    else:
        answer(f"{len(files)} {'file' if len(files) == 1 else 'files'} valid")
    failed = any(problem.severity is Severity.ERROR for problem in problems)
    return errors.Invalid.exit_code if failed else 0


async def graph(file: str, *, svg: bool, out: Path | None) -> int:
    """Draw a workflow. Raises InvalidDefinition."""
    workflow = check.load(
        context.read_text(file), file, allowed=limits.configured(context.settings().limits)
    ).required()
    text = diagram.svg(workflow) if svg else diagram.mermaid(workflow)
    if out is None:
        answer(text.rstrip("\n"))
    else:
        context.write_text(out, text)
        note(f"wrote {out}")
    return 0


async def publish(file: str) -> int:
    """Fix a workflow's name and version to a text, or make a Python workflow known by them.

    Raises InvalidDefinition, Conflict when another text has them.
    """
    published = await following.publish(file) if options.server is not None else await _published(file)
    name = f"{published.namespace}/{published.name}:{published.version}"
    answer(name)
    note(f"published, digest {published.digest[:12]}; `interlock run {name}` runs it")
    return 0


async def _published(file: str) -> Definition:
    async with context.opened(Session) as app:
        if loading.is_reference(file):
            return await app.publish_program(loading.workflow(file, context.folder()))
        return await app.publish(context.read_text(file), file)
