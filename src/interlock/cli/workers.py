"""What can be typed about workers: list, show, drain, events. As light as `commands`, of which it is a part."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

workers = typer.Typer(help="See the workers of the store, and let them drain.", rich_markup_mode=None)

WorkerArgument: TypeAlias = Annotated[str, typer.Argument(metavar="WORKER", help="The worker's id.")]


@workers.command("list")
def workers_list(
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only these states; may be given repeatedly.")
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Only those that take a task now.")] = False,
    type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only those that take such tasks.")] = None,
    skill: Annotated[
        list[str] | None, typer.Option("--skill", metavar="NAME", help="Only those that have all of these skills.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="Only those of this region.")] = None,
    as_json: JsonOption = False,
) -> int:
    """List workers: how they stand, what they hold, the best of the ranking first."""
    from interlock.cli import fleet  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(fleet.listed(status or [], free=free, type=type, skills=skill or [], region=region, as_json=as_json))


@workers.command("show")
def workers_show(worker: WorkerArgument, as_json: JsonOption = False) -> int:
    """Show a worker: what it can do, how it is, the tasks that it was given."""
    from interlock.cli import fleet  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(fleet.show(worker, as_json=as_json))


@workers.command("drain")
def workers_drain(
    worker: WorkerArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Let it take tasks again.")] = False,
) -> int:
    """Let a worker take no new tasks."""
    from interlock.cli import fleet  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(fleet.drain(worker, undo=undo))


@workers.command("events")
def workers_events(
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many at most.")] = 50,
    as_json: JsonOption = False,
) -> int:
    """List what became of workers, the oldest first."""
    from interlock.cli import fleet  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(fleet.events(after=after, limit=limit, as_json=as_json))
