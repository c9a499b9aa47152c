"""The entry point `interlock`: every way out is an exit code and, when something is wrong, one clear line."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Final

import typer

from interlock import errors
from interlock.cli import commands
from interlock.cli.options import options
from interlock.cli.output import complain, discard, note
from interlock.cli.program import FLAGS, VALUED, program

INTERRUPTED: Final = 130

_UsageError: Final[type[Any]] = typer.BadParameter.__bases__[0]  # Typer has no public name for it
_OF_THE_PARSER: Final = "Value error, "  # which Typer writes before what is wrong with a choice


def main() -> None:
    """Perform the command line that this process was started with."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for as long as we live)
    raise SystemExit(outcome(sys.argv[1:]))


def outcome(arguments: list[str]) -> int:
    """Perform a command line and give its exit code; what was wrong has been said."""
    try:
        code = program(commands.app, arguments)(args=arguments, prog_name="interlock", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the outermost frame: no traceback reaches a person unasked)
        return _explained(error)
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> int:
    """Say what was wrong, with --debug where as well; give the exit code."""
    if options.debug:
        traceback.print_exception(error)
    if isinstance(error, errors.InvalidDefinition) and error.problems:
        return _explained_definition(error)
    if isinstance(error, errors.InterlockError):
        complain(str(error))
        return error.exit_code
    if isinstance(error, _UsageError):
        complain(_usage(error))
        return errors.Invalid.exit_code
    if isinstance(error, OSError) and error.filename is None:  # files are translated where they are opened
        discard(sys.stdout)
        complain(f"cannot write the result: {error.strerror}")
        return errors.Environment.exit_code
    hint = "" if options.debug else " with what `interlock --debug` and the same command print"
    complain(f"unexpected {type(error).__name__}: {error}: a mistake in Interlock, please report it{hint}")
    return errors.Environment.exit_code


def _explained_definition(error: errors.InvalidDefinition) -> int:
    from interlock.flow import report  # noqa: PLC0415 (start-up: only with a definition at hand, which loaded it)
    from interlock.flow.problem import Problem, Severity  # noqa: PLC0415 (the same)

    problems = [problem for problem in error.problems if isinstance(problem, Problem)]
    note(report.text(problems).rstrip())
    if all(problem.severity is Severity.WARNING for problem in problems):
        complain(str(error))
    return error.exit_code


def _usage(error: Any) -> str:
    """Say in one line what is wrong with a command line, and what shows how it goes."""
    message = " ".join(error.format_message().split()).rstrip(".").replace(_OF_THE_PARSER, "")
    command = error.ctx.command_path if error.ctx is not None else "interlock"
    option = getattr(error, "option_name", None)
    if option in VALUED + FLAGS and command != "interlock":
        return f"{option} stands before the command: interlock {option} ... {command.removeprefix('interlock ')}"
    shown = f"{message[:1].lower()}{message[1:]}"
    return f"{shown} See `{command} --help`" if shown.endswith("?") else f"{shown}; see `{command} --help`"
