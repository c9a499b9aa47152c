"""The Python workflows and steps that a node has, and the modules that it may load for those it has not."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock import errors
from interlock.flow import functions
from interlock.flow.graph import Graph, Program
from interlock.flow.python import registry
from interlock.flow.python.workflow import Workflow
from interlock.model.task import Place
from interlock.secrets.keeper import Keeper


class Workflows:
    """Finds the functions of Python workflows. `allow`: prefixes of modules that may be loaded for a run, None for all."""

    def __init__(self, secrets: Keeper, allow: tuple[str, ...] | None) -> None:
        self._secrets = secrets
        self._allow = allow

    async def workflow(self, graph: Graph, place: Place) -> Workflow[Any, Any]:
        """Give the workflow that executes the runs of a definition. Raises CannotExecute when this process has none."""
        assert graph.program is not None
        program = graph.program
        found = registry.workflow(program.namespace, program.name, program.version)
        if found is None and functions.allows(self._allow, program.function):
            await self._load(program, place)
            found = registry.workflow(program.namespace, program.name, program.version)
        if found is None:
            raise errors.CannotExecute(_missing(program))
        return found

    async def unfit(self, graph: Graph, place: Place) -> str | None:
        """Say why this process cannot execute the runs of a definition; None when it can."""
        try:
            await self.workflow(graph, place)
        except errors.CannotExecute as error:
            return str(error)
        return None

    async def _load(self, program: Program, place: Place) -> None:
        try:  # in a thread, since importing a module may take seconds
            await asyncio.to_thread(functions.find, program.function, place.folder)
        except functions.Unusable as error:
            raise errors.CannotExecute(f"the workflow {_name(program)} is not here: {error}") from error

    async def sign(self, namespace: str, token: str) -> str:
        """Give the text that proves the right to report for a token."""
        return await self._secrets.token(namespace, token)


def _name(program: Program) -> str:
    return f"{program.namespace}/{program.name}:{program.version}"


def _missing(program: Program) -> str:
    others = registry.versions_of(program.namespace, program.name)
    module = program.function.partition(":")[0]
    if others:
        return (
            f"the workflow {_name(program)} is not here, only the versions {', '.join(others)}, which have another major "
            f"version; keep a function with version={program.version!r} until its runs have ended"
        )
    return (
        f"the workflow {_name(program)} is not here; start the node with `--app {module}`, or name it in python.allow"
    )
