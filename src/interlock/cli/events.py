"""What can be typed about events. As light as `commands`, of which it is a part; `sending` performs it."""

from __future__ import annotations

from typing import Annotated

import typer

from interlock.cli.command import JsonOption, perform

events = typer.Typer(help="Send events, and see those that were sent.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(events, name="events")


@events.command("send")
def send(
    type: Annotated[str | None, typer.Argument(metavar="TYPE", help="The type, such as order.paid.")] = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="JSON", help="A whole CloudEvent as JSON, or @FILE.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="JSON", help="Its data as JSON, or @FILE.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="URI", help="Where it comes from.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="TEXT", help="What it is about.")] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; the same source and id is sent only once.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="NAME=VALUE", help="One more attribute; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Send an event to every run that listens for it now."""
    from interlock.cli import sending  # noqa: PLC0415 (start-up)

    return perform(
        sending.send(
            type,
            event=event,
            data=data,
            source=source,
            subject=subject,
            id=id,
            attributes=attribute or [],
            as_json=as_json,
        )
    )


@events.command("list")
def list_(
    type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only events of this type.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many at most.")] = 50,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", help="Only events before this number: the next page.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List the events of the last day, newest first."""
    from interlock.cli import sending  # noqa: PLC0415 (start-up)

    return perform(sending.listed(type, before=before, limit=limit, as_json=as_json))
