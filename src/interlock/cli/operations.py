"""What can be typed to operate: nodes, and the care of the store. As light as `commands`, of which it is a part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import perform
from interlock.cli.tasks import pools, tasks
from interlock.cli.workers import workers

nodes = typer.Typer(help="List and drain the nodes of the store.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.command()(up)
    app.command()(node)
    app.command()(worker)
    app.add_typer(nodes, name="nodes")
    app.add_typer(workers, name="workers")
    app.add_typer(tasks, name="tasks")
    app.add_typer(pools, name="pools")
    app.command("check-deploy")(check_deploy)
    app.command()(audit)
    app.command()(prune)
    app.command()(backup)
    app.command()(restore)
    app.command()(reseal)


AppOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--app", metavar="MODULE", help="A module with Python workflows to import; may be given repeatedly."),
]


def up(
    app: AppOption = None,
    roles: Annotated[
        str, typer.Option("--roles", metavar="ROLES", help="What it does besides serving, separated by commas.")
    ] = "engine,dispatcher,server",
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", metavar="HOST:PORT", help="Where it listens, also unix:PATH; 127.0.0.1:7070 if not set."
        ),
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Drain after so long, such as 55m.")
    ] = None,
) -> int:
    """Serve the HTTP API and the dashboard, and execute runs."""
    from interlock.cli import node as nodes_module  # noqa: PLC0415 (start-up: help must not wait for the engine)
    from interlock.cli import up as module  # noqa: PLC0415 (the same)

    return perform(module.up(app or [], roles, listen, nodes_module.seconds(for_)))


def node(
    app: AppOption = None,
    roles: Annotated[
        str, typer.Option("--roles", metavar="ROLES", help="What it does, separated by commas.")
    ] = "engine,dispatcher",
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Drain after so long, such as 55m.")
    ] = None,
) -> int:
    """Execute the runs of this store until told to stop."""
    from interlock.cli import node as module  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(module.node(app or [], roles, module.seconds(for_)))


def worker(
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="The pool whose tasks it takes.")] = "workers",
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its name; host and process if not given.")
    ] = None,
    skills: Annotated[str | None, typer.Option("--skills", metavar="A,B", help="What it can do.")] = None,
    types: Annotated[
        str | None, typer.Option("--types", metavar="A,B", help="The types of tasks that it takes; all if not given.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="Where it is.")] = None,
    slots: Annotated[
        int | None,
        typer.Option("--slots", metavar="N", min=1, max=10_000, help="Tasks at once; the cores if not given."),
    ] = None,
    cores: Annotated[
        float | None, typer.Option("--cores", metavar="N", min=0, help="Cores that tasks may ask for.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", metavar="MB", min=0, help="Megabytes that tasks may ask for.")
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Drain after so long, such as 55m.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=0, max=65_535, help="For /health on loopback; 0 for any.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="For /health, elsewhere than on loopback.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="For tasks whose own folder is not on this machine."),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="NAME", help="How the pool's tasks are shared out.")
    ] = None,
) -> int:
    """Take the tasks of a pool until told to stop."""
    from interlock.cli import worker as module  # noqa: PLC0415 (start-up: help must not wait for the engine)

    given = module.Given(
        pool=pool,
        id=id,
        skills=skills,
        types=types,
        region=region,
        slots=slots,
        cores=cores,
        memory=memory,
        for_=for_,
        port=port,
        listen=listen,
        folder=folder,
        strategy=strategy,
    )
    return perform(module.worker(given))


def check_deploy(
    app: AppOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for findings in the source, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> int:
    """Say which live Python runs this code would break."""
    from interlock.cli import deploy as module  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(module.check(app or [], strict=strict, as_json=as_json))


@nodes.command("list")
def nodes_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> int:
    """List nodes: how they stand and what they own."""
    from interlock.cli import node as module  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(module.list_nodes(as_json=as_json))


@nodes.command("drain")
def nodes_drain(
    node: Annotated[
        str | None, typer.Argument(metavar="NODE", help="The node's id or a beginning of it; none with --all.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every node that executes the runs of others.")] = False,
) -> int:
    """Ask a node to give back what it has and end."""
    from interlock.cli import node as module  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(module.drain(node, all=all))


def audit(
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", min=1, help="Only changes before this number.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> int:
    """List what people and keys have changed, newest first."""
    from interlock.cli import auditing  # noqa: PLC0415 (start-up: help must not wait for the store)

    return perform(auditing.listed(before, limit, as_json=as_json))


def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="DURATION", help="Ended longer ago, such as 30d; else as the settings say."
        ),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="Only runs of this workflow, [NAMESPACE/]NAME.")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only runs of this status; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which would go.")] = False,
) -> int:
    """Remove ended runs with all that belongs to them."""
    from interlock.cli import upkeep  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(upkeep.prune(older_than, workflow, status or [], dry_run=dry_run))


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy is to be; it must not exist.")],
) -> int:
    """Copy the store to a file while it is in use."""
    from interlock.cli import upkeep  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(upkeep.backup(file))


def restore(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A file that `interlock backup` made; none with --raise-fences."),
    ] = None,
    raise_fences: Annotated[
        bool, typer.Option("--raise-fences", help="The database's own tools restored it: only make it safe.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the store that is there; it is kept beside.")] = False,
) -> int:
    """Make the store from a backup."""
    from interlock.cli import upkeep  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(upkeep.restore(file, raise_fences=raise_fences, force=force))


def reseal() -> int:
    """Encrypt what is stored under the newest store key."""
    from interlock.cli import upkeep  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(upkeep.reseal())
