"""What can be typed about deliveries. As light as `commands`, of which it is a part; `delivering` performs it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

deliveries = typer.Typer(help="See, and repeat, what callers were told.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(deliveries, name="deliveries")


IdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="DELIVERY", help="The delivery, as `deliveries list` shows it.")
]


@deliveries.command("list")
def list_(
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only those of this run.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="Only those: pending, delivered, expired, failed or superseded."),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="DELIVERY", help="Only those older than this one.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many at most.")] = 100,
    as_json: JsonOption = False,
) -> int:
    """List deliveries, newest first."""
    from interlock.cli import delivering  # noqa: PLC0415 (start-up)

    return perform(delivering.listed(run, state, before, limit, as_json=as_json))


@deliveries.command("show")
def show(delivery: IdArgument, as_json: JsonOption = False) -> int:
    """Say how far a delivery is, and how each sending went."""
    from interlock.cli import delivering  # noqa: PLC0415 (start-up)

    return perform(delivering.shown(delivery, as_json=as_json))


@deliveries.command("retry")
def retry(delivery: IdArgument, as_json: JsonOption = False) -> int:
    """Send once more what failed or expired, and at once what waits for its next try; it is in the audit log."""
    from interlock.cli import delivering  # noqa: PLC0415 (start-up)

    return perform(delivering.retried(delivery, as_json=as_json))
