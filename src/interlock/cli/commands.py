"""What can be typed: every command with its arguments, options and help.

Only Typer is imported here. Each command imports the module that performs it when it runs, since the engine behind most
of them takes a quarter of a second to load, and help, mistakes and completions must not wait for it.
"""

from __future__ import annotations

import importlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from interlock import errors
from interlock.cli import artifacts, choice, deliveries, events, keys, locks, memory, operations, token
from interlock.cli.command import JsonOption, perform
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.version import VERSION


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


class GraphFormat(StrEnum):
    MERMAID = "mermaid"
    SVG = "svg"


def _executing(module: str) -> Any:
    """Give what performs a command that executes: this module of the commands or, at a server, `following`."""
    return importlib.import_module(f"interlock.cli.{module if options.server is None else 'following'}")


def _run_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    from interlock.cli import completion

    before = context.find_root().params
    if choice.is_far(before.get("server"), before.get("store")):
        return []  # somebody types: a server may be far away
    return completion.run_ids(incomplete, before.get("store"), before.get("namespace"))


InputOption: TypeAlias = Annotated[
    str | None, typer.Option("--input", "-i", metavar="JSON", help="The input as JSON, or @FILE with JSON or YAML.")
]
IdOption: TypeAlias = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="The run's id; the same id never starts twice.")
]
RunArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="RUN", autocompletion=_run_ids, help="The run's id, or a beginning of it that is unique."),
]
FileArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="A workflow file in YAML or JSON; - for standard input.")
]

app = typer.Typer(
    name="interlock",
    rich_markup_mode=None,  # plain help: it is there at once, and can be searched and piped
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = typer.Typer(help="Show and check the settings.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def interlock(
    context: typer.Context,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="The store, such as sqlite:///shop.db.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="A server, such as http://127.0.0.1:7070, instead of a store."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="The namespace of runs and workflows.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from, and what goes on.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Run work that must not be lost."""
    options.store, options.namespace, options.debug = store, namespace, debug
    options.server = choice.server(server, store, context.invoked_subcommand)
    if version:
        answer(f"interlock {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        note(context.get_help())
        raise typer.Exit(errors.Invalid.exit_code)


# -- executing -------------------------------------------------------------------------------------------------------


@app.command()
def run(
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW",
            help="A workflow file, - for standard input, MODULE:FUNCTION for a Python workflow, or a published "
            "[NAMESPACE/]NAME[:VERSION].",
        ),
    ],
    input: InputOption = None,
    id: IdOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Store the run and return.")] = False,
    callback: Annotated[
        str | None,
        typer.Option(
            "--callback", metavar="FILE", help="Whom to tell how it ends: a file in JSON or YAML; - for standard input."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Run a workflow and show it while it happens."""
    return perform(
        _executing("run").run(workflow, input=input, id=id, detach=detach, callback=callback, as_json=as_json)
    )


@app.command()
def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", autocompletion=_run_ids, help="The run's id or a beginning of it; none with --all."
        ),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Go on with every run that no living process executes.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Go on with runs whose process died, and with suspended ones."""
    return perform(_executing("run").resume(run, all=all, as_json=as_json))


@app.command()
def retry(run: RunArgument, as_json: JsonOption = False) -> int:
    """Go on with a faulted run from the step that failed."""
    return perform(_executing("run").retry(run, as_json=as_json))


@app.command()
def fork(
    run: RunArgument,
    step: Annotated[str, typer.Option("--from", metavar="STEP", help="The step to begin from: its name or its path.")],
    id: IdOption = None,
    as_json: JsonOption = False,
) -> int:
    """Start a run that shares another one's history up to a step."""
    return perform(_executing("run").fork(run, step, id=id, as_json=as_json))


@app.command()
def cancel(
    run: RunArgument,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo first what it finished.")] = False,
) -> int:
    """Cancel a run: what is in flight is stopped."""
    return perform(_executing("control").cancel(run, reason, rollback=rollback))


@app.command()
def suspend(run: RunArgument) -> int:
    """Suspend a run: nothing new starts until it is resumed."""
    return perform(_executing("control").suspend(run))


# -- looking ---------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only runs of this status; repeatable.")
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="Only runs of this workflow.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="NAME=VALUE", help="Only runs with this attribute; repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many at most.")] = 50,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="RUN", autocompletion=_run_ids, help="Only runs older than this one."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List runs, the newest first."""
    from interlock.cli import inspect

    return perform(inspect.list_(status or [], workflow, where or [], limit=limit, before=before, as_json=as_json))


@app.command()
def show(
    run: RunArgument,
    output: Annotated[bool, typer.Option("--output", help="Print the output and nothing else.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show a run: its steps, its output or error."""
    from interlock.cli import inspect

    return perform(inspect.show(run, output=output, as_json=as_json))


@app.command()
def history(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event and line.")] = False,
) -> int:
    """Print every event of a run, in causal order."""
    from interlock.cli import inspect

    return perform(inspect.history(run, as_json=as_json))


@app.command()
def logs(
    run: RunArgument,
    step: Annotated[
        str | None, typer.Argument(metavar="STEP", help="Only the output of this step: its path or its name.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per piece of output and line.")
    ] = False,
) -> int:
    """Print what the processes of a run wrote."""
    from interlock.cli import inspect

    return perform(inspect.logs(run, step, follow=follow, as_json=as_json))


# -- definitions -----------------------------------------------------------------------------------------------------


@app.command()
def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Workflow files in YAML or JSON; - for standard input.")
    ],
    format: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.TEXT,
) -> int:
    """Check workflow files: every problem and its place."""
    from interlock.cli import define

    return perform(define.validate(files, as_json=format is Format.JSON))


@app.command()
def graph(
    file: FileArgument,
    format: Annotated[GraphFormat, typer.Option("--format", help="The language of the drawing.")] = GraphFormat.MERMAID,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write to this file.")] = None,
) -> int:
    """Draw a workflow."""
    from interlock.cli import define

    return perform(define.graph(file, svg=format is GraphFormat.SVG, out=out))


@app.command()
def publish(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A workflow file in YAML or JSON, - for standard input, or MODULE:FUNCTION for a Python workflow.",
        ),
    ],
) -> int:
    """Give a workflow a name and version for good."""
    from interlock.cli import define

    return perform(define.publish(file))


@app.command("eval")
def eval_(
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="A jq expression, with or without ${ }.")],
    input: Annotated[
        str | None, typer.Option("--input", "-i", metavar="JSON", help="The data as JSON, or @FILE with JSON or YAML.")
    ] = None,
    args: Annotated[
        str | None, typer.Option("--args", metavar="JSON", help='The arguments, such as {"name": 1} for $name.')
    ] = None,
) -> int:
    """Evaluate an expression as a workflow would."""
    from interlock.cli import tools

    return perform(tools.eval_(expression, input, args))


# -- the place -------------------------------------------------------------------------------------------------------


@config.command("show")
def config_show(as_json: JsonOption = False) -> int:
    """List every setting with its value and where that comes from."""
    from interlock.cli import tools

    return perform(tools.config_show(as_json=as_json))


@config.command("check")
def config_check() -> int:
    """Check the settings of every source; say what is wrong."""
    from interlock.cli import tools

    return perform(tools.config_check())


app.add_typer(config, name="config")
events.register(app)


@app.command()
def doctor() -> int:
    """Measure this machine and its store; say what is wrong."""
    from interlock.cli import tools

    return perform(tools.doctor())


@app.command()
def demo(
    repository: Annotated[Path, typer.Argument(metavar="FOLDER", help="A git repository to report on.")] = Path("."),
) -> int:
    """Write a report about a git repository: the sample workflow."""
    from interlock.cli import tools

    return perform(tools.demo(repository))


operations.register(app)
memory.register(app)
locks.register(app)
keys.register(app)
deliveries.register(app)
artifacts.register(app)
token.register(app)
