"""What can be typed about tokens. As light as `commands`, of which it is a part; `reporting` performs it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from interlock.cli.command import JsonOption, perform

token = typer.Typer(help="Report for a step that waits for a token.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(token, name="token")


TokenArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="TOKEN", help="The text of the token; INTERLOCK_TOKEN of the environment without it."),
]
RunOption: TypeAlias = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="For operators without the text: the run that waits.")
]
StepOption: TypeAlias = Annotated[
    str | None, typer.Option("--step", metavar="STEP", help="With --run: the step that waits, by path or name.")
]


@token.command("complete")
def complete(
    token: TokenArgument = None,
    result: Annotated[
        str, typer.Option("--result", metavar="JSON", help="The result: JSON, @FILE with JSON or YAML, - for stdin.")
    ] = "null",
    run: RunOption = None,
    step: StepOption = None,
    as_json: JsonOption = False,
) -> int:
    """Complete a step: its run goes on with the result."""
    from interlock.cli import reporting  # noqa: PLC0415 (start-up)

    return perform(reporting.complete(token, run, step, result, as_json=as_json))


@token.command("fail")
def fail(
    token: TokenArgument = None,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What went wrong.")] = "it failed",
    type: Annotated[str, typer.Option("--type", metavar="NAME", help="The kind of failure.")] = "Failed",
    retryable: Annotated[bool, typer.Option("--retryable", help="The step's retry policy may try it again.")] = False,
    details: Annotated[
        str | None, typer.Option("--details", metavar="JSON", help="More about it: JSON, @FILE, - for stdin.")
    ] = None,
    run: RunOption = None,
    step: StepOption = None,
    as_json: JsonOption = False,
) -> int:
    """Fail a step."""
    from interlock.cli import reporting  # noqa: PLC0415 (start-up)

    failure = reporting.Failure(type=type, message=message, retryable=retryable, details=details)
    return perform(reporting.fail(token, run, step, failure, as_json=as_json))


@token.command("heartbeat")
def heartbeat(
    token: TokenArgument = None,
    details: Annotated[
        str | None, typer.Option("--details", metavar="JSON", help="What people are to see: JSON, @FILE, - for stdin.")
    ] = None,
    run: RunOption = None,
    step: StepOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell that the work goes on; exits 3 where it is to be stopped."""
    from interlock.cli import reporting  # noqa: PLC0415 (start-up)

    return perform(reporting.heartbeat(token, run, step, details, as_json=as_json))


@token.command("progress")
def progress(
    token: TokenArgument = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", metavar="NUMBER", help="How far it is, from 0 to 1.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", metavar="TEXT", help="The same in words.")] = None,
    run: RunOption = None,
    step: StepOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell how far the work is, which is a sign of life too; exits 3 where it is to be stopped."""
    from interlock.cli import reporting  # noqa: PLC0415 (start-up)

    return perform(reporting.progress(token, run, step, fraction, message, as_json=as_json))


@token.command("show")
def show(
    token: TokenArgument = None,
    run: RunOption = None,
    step: StepOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show how a token stands or, with --run alone, all that a run waits for; never the text."""
    from interlock.cli import reporting  # noqa: PLC0415 (start-up)

    return perform(reporting.show(token, run, step, as_json=as_json))
