"""The part of the program that a command line asks for.

Typer makes every command that it is told of before it looks which one is meant, from its signature, which for all of them
takes as long as opening a store. So it is told of the one alone. Where that is not sure (help, completions, words that name
no command) it is told of all, and it decides as ever.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import typer

VALUED: Final = ("--store", "--server", "--namespace", "-n")
FLAGS: Final = ("--debug", "--version")
"""What may stand before the command: with a value, and alone."""


def program(whole: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    """Give a program with what these arguments need of it; it does with them what the whole one does."""
    name = named(arguments)
    commands = [each for each in whole.registered_commands if name == _name_of(each)]
    groups = [each for each in whole.registered_groups if name == each.name]
    if name is None or len(commands) + len(groups) != 1:
        return whole
    part = copy.copy(whole)
    part.registered_commands, part.registered_groups = commands, groups
    return part


def named(arguments: Sequence[str]) -> str | None:
    """Give the word that stands where a command does; None where only the parser can say."""
    words = iter(arguments)
    for word in words:
        if word in VALUED:
            next(words, None)
        elif word.partition("=")[0] not in VALUED and word not in FLAGS:
            return None if word.startswith("-") else word
    return None


def _name_of(command: typer.models.CommandInfo) -> str | None:
    return command.name or (command.callback.__name__ if command.callback is not None else None)
