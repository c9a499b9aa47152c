"""What can be typed about shared memory. As light as `commands`, of which it is a part; `cells` performs it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

memory = typer.Typer(help="Read, write and watch shared memory.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(memory, name="memory")


KeyArgument: TypeAlias = Annotated[str, typer.Argument(metavar="KEY", help="The key, such as tasks/7/state.")]
SpaceOption: TypeAlias = Annotated[
    str, typer.Option("--space", metavar="SPACE", help="swarm, tasks, workers, global, or any other name.")
]
BaseOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--base", metavar="VERSION", min=0, help="Only if this version is there; 0: only if no value is."),
]


@memory.command("get")
def get(key: KeyArgument, space: SpaceOption = "global", as_json: JsonOption = False) -> int:
    """Print a value as JSON; with --json the whole cell."""
    from interlock.cli import cells  # noqa: PLC0415 (start-up)

    return perform(cells.get(key, space, as_json=as_json))


@memory.command("set")
def set_(
    key: KeyArgument,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value as JSON, or @FILE with JSON or YAML.")],
    space: SpaceOption = "global",
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="DURATION", help="How long it lasts, such as 30s; for ever without.")
    ] = None,
    base: BaseOption = None,
    resolver: Annotated[
        str | None,
        typer.Option(
            "--resolver", metavar="NAME", help="Resolve with what is there: last_write_wins, union, merge or max."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Set a value."""
    from interlock.cli import cells  # noqa: PLC0415 (start-up)

    return perform(cells.put(key, value, space, ttl=ttl, base=base, resolver=resolver, as_json=as_json))


@memory.command("delete")
def delete(
    key: KeyArgument, space: SpaceOption = "global", base: BaseOption = None, as_json: JsonOption = False
) -> int:
    """Delete a value; say whether there was one."""
    from interlock.cli import cells  # noqa: PLC0415 (start-up)

    return perform(cells.delete(key, space, base=base, as_json=as_json))


@memory.command("list")
def list_(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="What the keys begin with, or a pattern: tasks/*/state, tasks/**.")
    ] = "",
    space: SpaceOption = "global",
    as_json: JsonOption = False,
) -> int:
    """List the keys that have a value; with --json their cells."""
    from interlock.cli import cells  # noqa: PLC0415 (start-up)

    return perform(cells.listed(prefix, space, as_json=as_json))


@memory.command("watch")
def watch(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="A key, or a pattern: tasks/*/state, tasks/**.")],
    space: SpaceOption = "global",
    after: Annotated[
        str | None, typer.Option("--after", metavar="CURSOR", help="Go on after this cursor of a change.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="End after so many changes.")] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End after this time; never without.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Print changes as they come, whoever makes them; with --json one object per line."""
    from interlock.cli import cells  # noqa: PLC0415 (start-up)

    return perform(cells.watch(pattern, space, after=after, count=count, lasting=lasting, as_json=as_json))
