"""Performs `tasks explain RUN STEP`."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.app import steps_explained, tasks_told
from interlock.app.records import Records
from interlock.cli import context, far
from interlock.cli.options import options
from interlock.cli.output import answer
from interlock.cli.taskbook import placement
from interlock.model import json
from interlock.model.json import Json
from interlock.wire import graphs as wire


async def explain(run: str, step: str, *, as_json: bool) -> int:
    """Say why a step of a run is where it is. Raises NotFound, Conflict, Invalid."""
    found = await _step(run, step)
    if as_json:
        answer(json.encode(found).decode())
        return 0
    for line in explanation(found):
        answer(line)
    return 0


async def _step(run: str, step: str) -> wire.StepExplained:
    if options.server is not None:
        async with far.opened() as server:
            row = await server.find(options.namespace, run)
            query: dict[str, Json] = {"step": step, "namespace": row.namespace}
            return await server.ask(wire.StepExplained, "GET", f"{far.of_run(row.id)}/explanation", query=query)
    async with context.existing(Records) as app:
        row = await app.find(options.namespace, run)
        path = (await app.graphs.graph(row.definition)).named(step)
        return tasks_told.step_explained(await steps_explained.explain(app.store, app.clock, row, path))


def explanation(step: wire.StepExplained) -> Iterator[str]:
    """Give the lines that explain a step."""
    where = f" → {step.pool}" if step.pool is not None else ""
    yield f"{step.run}{step.path}{where}  {step.state}, attempt {step.attempt}"
    if step.warning:
        yield f"  warning: {step.warning}"
    if step.asked:
        yield f"  {step.asked}"
        for name, reason in step.now.items():
            yield f"  {name:<10} {reason or 'has room'}"
    elif step.placements:
        yield from placement(step.placements[0])
    elif step.node is not None:
        yield f"  {step.node} has it"
