"""The entry point `interlock`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import interlock
from interlock.cli import context, control, define, inspect, run, tools

app = typer.Typer(
    name="interlock",
    help="Runs work that must not be lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        context.answer(f"interlock {interlock.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    store: Annotated[str | None, typer.Option("--store", help="The store's URL, such as sqlite:///shop.db.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace of runs.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    options = context.options
    options.store, options.debug = store, debug
    options.namespace = namespace


app.command("run")(run.run)
app.command("validate")(define.validate)
app.command("graph")(define.graph)
app.command("publish")(define.publish)
app.command("list")(inspect.list_)
app.command("show")(inspect.show)
app.command("history")(inspect.history)
app.command("logs")(inspect.logs)
app.command("cancel")(control.cancel)
app.command("suspend")(control.suspend)
app.command("resume")(run.resume)
app.command("retry")(run.retry)
app.command("fork")(run.fork)
app.command("eval")(tools.eval_)
app.add_typer(tools.config_commands, name="config")
app.command("doctor")(tools.doctor)
app.command("demo")(tools.demo)


def main() -> None:
    """Run the command line; every way out is an exit code."""
    try:
        app()
    except BrokenPipeError:  # the reader of a pipe went away: nothing is left to say
        sys.stderr.close()
        sys.exit(0)
