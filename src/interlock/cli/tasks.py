"""What can be typed about task graphs and pools. As light as `commands`, of which it is a part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

tasks = typer.Typer(help="Load task graphs, and follow and steer their tasks.", rich_markup_mode=None)
pools = typer.Typer(help="See the pools that tasks run in, and enable or disable them.", rich_markup_mode=None)

FileArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="A task graph in YAML or JSON; - for standard input.")
]
GraphArgument: TypeAlias = Annotated[str, typer.Argument(metavar="GRAPH", help="The graph's name.")]
TaskArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="TASK", help="The task as GRAPH/ID, or its id while only one graph has it.")
]
PoolArgument: TypeAlias = Annotated[str, typer.Argument(metavar="POOL", help="The pool's name.")]


@tasks.command("validate")
def validate(file: FileArgument, as_json: JsonOption = False) -> int:
    """Check a task graph and print every problem with its place."""
    from interlock.cli import graphload  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(graphload.validate(file, as_json=as_json))


@tasks.command("load")
def load(file: FileArgument, as_json: JsonOption = False) -> int:
    """Store a task graph, or what has changed of it; what has begun stays as it is."""
    from interlock.cli import graphload  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(graphload.load(file, as_json=as_json))


@tasks.command("status")
def status(
    graph: Annotated[str | None, typer.Argument(metavar="GRAPH", help="The graph's name; all of them else.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Say how many tasks of a graph, or of every one, are in each state."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.status(graph, as_json=as_json))


@tasks.command("list")
def list_(
    graph: Annotated[str | None, typer.Argument(metavar="GRAPH", help="The graph's name; the graphs else.")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="Only tasks in this state.")] = None,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Only tasks after this number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many at most.")] = 100,
    as_json: JsonOption = False,
) -> int:
    """List the tasks of a graph in its order, or the graphs."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.listed(graph, state=state, after=after, limit=limit, as_json=as_json))


@tasks.command("show")
def show(task: TaskArgument, as_json: JsonOption = False) -> int:
    """Show a task: what it is, how it stands, its attempts."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.show(task, as_json=as_json))


@tasks.command("logs")
def logs(task: TaskArgument, as_json: JsonOption = False) -> int:
    """Print what the attempts of a task wrote."""
    from interlock.cli import taskfiles  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskfiles.logs(task, as_json=as_json))


@tasks.command("artifacts")
def artifacts(
    task: TaskArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Fetch this one, of several the newest; list them else.")
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="Only of this attempt.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where it is written; by default NAME, here. -: print it."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List the files that the attempts of a task kept, or fetch one."""
    from interlock.cli import taskfiles  # noqa: PLC0415 (start-up: help must not wait for the engine)

    if name is None:
        return perform(taskfiles.artifacts(task, attempt, as_json=as_json))
    return perform(taskfiles.fetch(task, name, attempt, out))


@tasks.command("explain")
def explain(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The task as GRAPH/ID, or its id; with STEP the id of a run.")
    ],
    step: Annotated[
        str | None, typer.Argument(metavar="STEP", help="The step of that run: its path, or a name that only one has.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Say why a task, or a step of a workflow, is where it is, and why each other pool could not have it."""
    from interlock.cli import stepbook, taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    if step is not None:
        return perform(stepbook.explain(task, step, as_json=as_json))
    return perform(taskbook.explain(task, as_json=as_json))


@tasks.command("retry")
def retry(task: TaskArgument) -> int:
    """Try a task again that failed, was cancelled or skipped, waits for its retry, or is in quarantine."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.retry(task))


@tasks.command("cancel")
def cancel(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The task as GRAPH/ID; with --graph the name of a graph.")
    ],
    graph: Annotated[bool, typer.Option("--graph", help="Cancel every task of this graph.")] = False,
) -> int:
    """Cancel a task; those that cannot go on without it are skipped."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.cancel(task, whole=graph))


@tasks.command("reprioritise", context_settings={"ignore_unknown_options": True})  # -5 is a priority
def reprioritise(
    task: TaskArgument,
    priority: Annotated[
        int, typer.Argument(metavar="PRIORITY", min=-1_000_000, max=1_000_000, help="The higher the sooner.")
    ],
) -> int:
    """Give a task that is not over another priority."""
    from interlock.cli import taskbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskbook.reprioritise(task, priority))


@tasks.command("watch")
def watch(
    graph: GraphArgument,
    until_done: Annotated[bool, typer.Option("--until-done", help="End when every task is over.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Follow a graph, and execute its tasks here while no node does."""
    from interlock.cli import taskwatch  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(taskwatch.watch(graph, until_done=until_done, as_json=as_json))


@tasks.command("deadlocks")
def deadlocks(as_json: JsonOption = False) -> int:
    """Say which tasks wait for each other, for one that does not exist, or for places that only they could give back; and
    which sessions wait for each other's locks."""
    from interlock.cli import deadlockbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(deadlockbook.listed(as_json=as_json))


@pools.command("list")
def pools_list(as_json: JsonOption = False) -> int:
    """List the pools: what is taken of each, and what is wrong with it."""
    from interlock.cli import poolbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(poolbook.listed(as_json=as_json))


@pools.command("enable")
def pools_enable(pool: PoolArgument) -> int:
    """Let a pool have tasks again."""
    from interlock.cli import poolbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(poolbook.enable(pool))


@pools.command("disable")
def pools_disable(pool: PoolArgument) -> int:
    """Give a pool no new tasks; what runs there goes on."""
    from interlock.cli import poolbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(poolbook.disable(pool))


@pools.command("drain")
def pools_drain(
    pool: PoolArgument,
    wait: Annotated[bool, typer.Option("--wait", help="End when nothing runs there any more.")] = False,
) -> int:
    """Give a pool no new tasks, since it is about to go."""
    from interlock.cli import poolbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(poolbook.drain(pool, wait=wait))


@pools.command("policy")
def pools_policy(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The scheduling policy, or `configured`; which one is in force else."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Order all tasks by another scheduling policy, those that wait already too."""
    from interlock.cli import poolbook  # noqa: PLC0415 (start-up: help must not wait for the engine)

    return perform(poolbook.policy(name, as_json=as_json))
