"""What can be typed about locks. As light as `commands`, of which it is a part; `holding` performs it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

locks = typer.Typer(help="Hold, list and free locks.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(locks, name="locks")


NameArgument: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The lock, such as deploy/eu.")]


@locks.command("list")
def list_(
    worker: Annotated[str | None, typer.Option("--worker", metavar="ID", help="Only what this worker holds.")] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Also those whose time is over.")] = False,
    as_json: JsonOption = False,
) -> int:
    """List the locks that are held."""
    from interlock.cli import holding  # noqa: PLC0415 (start-up)

    return perform(holding.listed(worker, expired=expired, as_json=as_json))


@locks.command("show")
def show(name: NameArgument, as_json: JsonOption = False) -> int:
    """Say who holds a lock, since when and until when, and who waits for it."""
    from interlock.cli import holding  # noqa: PLC0415 (start-up)

    return perform(holding.shown(name, as_json=as_json))


@locks.command("run")
def run(
    name: NameArgument,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What is done under the lock.")],
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="DURATION", help="How long the lock lasts when this process is gone.")
    ] = "60s",
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="How long to wait for it; for ever without.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Share it with others that share it: a lock for readers.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Let up to N hold it at once; all name the same N."),
    ] = None,
) -> int:
    """Run a command under a lock, and leave with its exit code.

    The command finds the number of the grant in INTERLOCK_LOCK_FENCE. When the lock is lost it is ended.
    """
    from interlock.cli import holding  # noqa: PLC0415 (start-up)

    return perform(holding.run(name, command, ttl=ttl, timeout=timeout, shared=shared, limit=limit))


@locks.command("release")
def release(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The lock.")] = None,
    fence: Annotated[
        int | None,
        typer.Option("--fence", metavar="N", min=1, help="The number of the grant, as `locks show` tells it."),
    ] = None,
    worker: Annotated[str | None, typer.Option("--worker", metavar="ID", help="All locks of this worker.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Free a lock that another process holds, or all of a worker's; the holder is told when it renews it."""
    from interlock.cli import holding  # noqa: PLC0415 (start-up)

    return perform(holding.freed(name, fence, worker, as_json=as_json))


@locks.command("clear")
def clear(as_json: JsonOption = False) -> int:
    """Forget grants whose time is over. They are free already."""
    from interlock.cli import holding  # noqa: PLC0415 (start-up)

    return perform(holding.cleared(as_json=as_json))
