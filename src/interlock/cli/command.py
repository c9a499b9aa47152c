"""What the commands that can be typed have in common. As light as they are."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, TypeAlias

import typer

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]


def perform(command: Coroutine[Any, Any, int]) -> int:
    """Perform a command and give its exit code."""
    from interlock.cli import context  # noqa: PLC0415 (start-up: help must not wait for the store)

    return context.execute(command)
