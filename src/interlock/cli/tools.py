"""Commands around the work: eval, config, doctor, demo."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer

import interlock
from interlock import config, errors
from interlock.cli import context
from interlock.cli.context import answer, note
from interlock.cli.run import parse_input
from interlock.expr import evaluation, template
from interlock.expr.evaluators import Evaluators
from interlock.model import json

config_commands = typer.Typer(no_args_is_help=True, help="Show and check the settings.")

_CLOCK_SAMPLE_SECONDS: Final = 0.2


def eval_(
    expression: Annotated[str, typer.Argument(help="A jq expression, with or without ${ }.")],
    input: Annotated[str | None, typer.Option("--input", "-i", help="The data as JSON, or @FILE.")] = None,
    args: Annotated[str | None, typer.Option("--args", help="The arguments ($name) as a JSON object.")] = None,
) -> None:
    """Evaluate an expression as a workflow would."""

    async def command() -> int:
        data = parse_input(input)
        arguments = {} if args is None else json.decode(args)
        compiled = template.expression(expression)
        evaluators = Evaluators()
        await evaluators.start()
        try:
            answers: list[evaluation.Answer] = []
            while True:
                try:
                    answer(context.pretty(evaluation.Evaluation(answers).run(compiled, data, arguments)))
                    return 0
                except evaluation.Pending as pending:
                    answers.append(await evaluators.evaluate(pending.request))
        finally:
            await evaluators.stop()

    context.execute(command)


@config_commands.command("show")
def config_show() -> None:
    """List every setting with its value and where that comes from."""

    async def command() -> int:
        for setting in config.explain(context.flags(), os.environ, Path.cwd(), Path.home()):
            answer(f"{setting.key:<28} {setting.value!s:<36} {setting.origin}")
        return 0

    context.execute(command)


@config_commands.command("check")
def config_check() -> None:
    """Check the settings of every source; say what is wrong."""

    async def command() -> int:
        context.settings()
        found = config.files(os.environ, Path.cwd(), Path.home())
        answer(f"the settings are valid ({', '.join(str(file) for file in found) or 'no file, defaults only'})")
        return 0

    context.execute(command)


def doctor() -> None:
    """Measure what this machine and its store can do, and say what is wrong."""

    async def command() -> int:
        settings = context.settings()
        answer(f"interlock      {interlock.__version__} on Python {platform.python_version()}, {platform.system()}")
        answer(f"settings       {settings.store.url}")
        answer(f"clock          {_clock()}")
        answer(f"node (js)      {shutil.which('node') or 'not found: `run: script` with language js is refused'}")
        async with context.opened() as app:
            figures = await app.store.figures()
            answer(
                f"store          durable commit {figures['commit_p50_ms']:.2f} ms (worst {figures['commit_worst_ms']:.2f}), "
                f"read {figures['read_p50_ms']:.2f} ms, longest wait for the lock {figures['worst_lock_wait_ms']:.1f} ms"
            )
            counts = await app.store.views.counts()
            answer("rows           " + ", ".join(f"{count} {name}" for name, count in counts.items()))
            nodes = await app.store.nodes.live(app.clock.now())
            answer(f"nodes          {len(nodes)} alive")
            stranded = await app.stranded()
            for row in stranded:
                note(
                    f"stranded       {row.id} ({row.status}): no process executes it; `interlock resume {row.id}` does"
                )
        return 0

    context.execute(command)


def _clock() -> str:
    """Compare the wall clock with the monotonic one for a moment: a step shows."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(_CLOCK_SAMPLE_SECONDS)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}, drift {drift * 1000:+.2f} ms in 0.2 s"


def demo(
    repository: Annotated[Path, typer.Argument(help="A git repository to report on.")] = Path("."),
) -> None:
    """Run the shipped workflow `repository-report` on a git repository."""
    workflow = resources.files("interlock.demo") / "repository-report.yaml"
    with resources.as_file(workflow) as path:
        if not repository.is_dir():
            context.complain(errors.Invalid(f"there is no folder {repository}"))
            sys.exit(errors.Invalid.exit_code)
        from interlock.cli.run import run  # noqa: PLC0415 (start-up: the run command brings the whole engine)

        run(str(path), input=json.encode({"repository": str(repository.absolute())}).decode())
