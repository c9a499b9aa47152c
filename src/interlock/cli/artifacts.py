"""What can be typed about artifacts. As light as `commands`, of which it is a part; `keeping` performs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

artifacts = typer.Typer(help="See, and fetch, the files that steps kept.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(artifacts, name="artifacts")


RunArgument: TypeAlias = Annotated[str, typer.Argument(metavar="RUN", help="The run.")]


@artifacts.command("list")
def list_(
    run: RunArgument,
    as_json: JsonOption = False,
) -> int:
    """List the files that the steps of a run kept."""
    from interlock.cli import keeping  # noqa: PLC0415 (start-up)

    return perform(keeping.listed(run, as_json=as_json))


@artifacts.command("get")
def get(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The file, as `artifacts list` shows it.")],
    step: Annotated[
        str | None, typer.Option("--step", metavar="STEP", help="Only of this step: its path or name.")
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="Only of this attempt.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where it is written; by default NAME, here. -: print it."),
    ] = None,
) -> int:
    """Fetch a file that a step kept; of several with the name the newest one."""
    from interlock.cli import keeping  # noqa: PLC0415 (start-up)

    return perform(keeping.fetched(run, name, step, attempt, out))
