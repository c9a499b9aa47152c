"""Performs the effects that happen in the node itself: HTTP and OpenAPI calls, Python functions, loads of task graphs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.app.graph_loader import GraphLoader
from interlock.app.workflows import Workflows
from interlock.dispatch.logbook import Logbook
from interlock.effects import http
from interlock.effects.openapi import call as openapi
from interlock.effects.openapi.documents import Documents
from interlock.flow import functions
from interlock.flow.graph import Graph, PythonWork
from interlock.flow.python import registry
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import (
    Cancelled,
    EffectRequest,
    Failed,
    FailureClass,
    GraphTarget,
    HttpTarget,
    OpenApiTarget,
    Outcome,
    Place,
    PythonTarget,
    Snoozed,
    Target,
    WorkflowTarget,
)
from interlock.pool.launcher import Launch, Launcher
from interlock.secrets.callback import Callback
from interlock.secrets.keeper import Keeper, no_key, no_secret
from interlock.secrets.revealed import Revealed, Stream

_SNOOZE_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 5.0  # a cancelled function has this long to be stopped before the node goes on without it


class Performer:
    """Gives each effect to what performs it, and always an outcome back."""

    def __init__(
        self,
        client: http.Sends,
        documents: Documents,
        secrets: Keeper,
        in_process: Launcher,
        isolated: Launcher,
        logbook: Logbook,
        *,
        allow: tuple[str, ...] | None,
        functions: Mapping[str, str],
        workflows: Workflows,
        loader: GraphLoader,
    ) -> None:
        """`allow`: prefixes of modules that may be called, None for all. `functions`: the default catalog, by name."""
        self._client = client
        self._documents = documents
        self._secrets = secrets
        self._in_process = in_process
        self._isolated = isolated
        self._logbook = logbook
        self._allow = allow
        self._functions = functions
        self._workflows = workflows
        self._loader = loader
        self._found: set[tuple[str, str]] = set()
        """Functions that were found before, by the folder of the run."""

    async def perform(self, request: EffectRequest, place: Place) -> Outcome:
        """Give the outcome. Secrets become values here, and are hidden in what comes of it."""
        target = request.target
        if isinstance(target, GraphTarget):
            return await self._loader.load(target, place)
        token = "" if isinstance(target, WorkflowTarget) else target.token
        if not request.has_secrets and not token:
            return await self._perform(Revealed(target, {}), request, place, None)
        try:
            revealed = await self._secrets.revealed(place.run, target)
        except errors.InterlockError as error:
            return no_secret(str(error))
        callback = None
        if token:
            try:
                callback = await self._secrets.callback(place.namespace, token)
            except errors.InterlockError as error:
                return no_key(str(error))
            revealed = revealed.hiding(callback.token)
        return revealed.masked(await self._perform(revealed, request, place, callback))

    async def _perform(
        self, revealed: Revealed[Target], request: EffectRequest, place: Place, callback: Callback | None
    ) -> Outcome:
        headers = {} if callback is None else callback.headers
        match revealed.value:
            case HttpTarget() as target:
                return await _unless_short(http.perform(target, request.idempotency_key, self._client, headers))
            case OpenApiTarget() as target:
                called = openapi.perform(target, request.idempotency_key, self._client, self._documents, headers)
                return await _unless_short(called)
            case PythonTarget() as target:
                return await self._call(target, revealed, request, place, callback)
            case target:
                raise AssertionError(f"a {type(target).__name__} goes through the queue")

    async def _call(
        self,
        target: PythonTarget,
        revealed: Revealed[Target],
        request: EffectRequest,
        place: Place,
        callback: Callback | None,
    ) -> Outcome:
        function = self._resolved(target.function)
        if function is None:
            known = ", ".join(sorted(self._functions)) or "none"
            return _invalid(f"the catalog has no function {target.function!r}; those of python.functions are: {known}")
        if not self._allows(function):
            return _invalid(f"python.allow does not name the module of {function!r}")
        launcher = self._isolated if request.isolated else self._in_process
        launch = Launch(
            attempt=f"{place.run}.{request.effect}",
            target=msgspec.structs.replace(target, function=function),
            folder=place.folder,
            environment={
                "INTERLOCK_RUN": place.id,
                "INTERLOCK_STEP": request.path,
                "INTERLOCK_ATTEMPT": str(request.attempt),
                "INTERLOCK_IDEMPOTENCY_KEY": request.idempotency_key,
                **({} if callback is None else callback.environment),
            },
        )

        def write(stream: str, text: str) -> None:
            self._logbook.write(place.run, request.path, request.attempt, stream, text)

        output = revealed.stream(write)
        try:
            return await self._launched(launcher, launch, output)
        finally:
            output.close()

    async def _launched(self, launcher: Launcher, launch: Launch, output: Stream) -> Outcome:
        try:
            running = await launcher.launch(launch, output.write)
        except errors.InterlockError as error:
            return _invalid(str(error))
        try:
            return await running.outcome()
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.wait_for(running.cancel(), _STOP_SECONDS))
            if await running.outcome() == Cancelled(abandoned=True):
                output.write("interlock", "abandoned: the function's thread still runs; its result will be refused\n")
            raise

    async def unfit(self, graph: Graph, place: Place) -> str | None:
        """Say which function of a graph this node cannot call, and why; None when it can call all of them."""
        if graph.program is not None:
            return await self._workflows.unfit(graph, place)
        for node in graph.nodes.values():
            if isinstance(node.work, PythonWork):
                function = self._resolved(node.work.function)
                if function is None:
                    return f"python.functions does not name {node.work.function!r}"
                if not self._allows(function):
                    return f"python.allow does not name the module of {function!r}"
                if node.work.isolated or node.pool or (function, place.folder) in self._found:
                    continue  # it is imported elsewhere
                try:  # in a thread, since importing a module may take seconds
                    await asyncio.to_thread(functions.find, function, place.folder)
                except functions.Unusable as error:
                    return str(error)
                self._found.add((function, place.folder))
        return None

    def _resolved(self, name: str) -> str | None:
        """Give `package.module:function` for a name of the catalog, `name:version@default`, or for itself."""
        if "@" not in name and ":" in name:
            return name
        plain = name.partition("@")[0]
        configured = self._functions.get(plain) or self._functions.get(plain.partition(":")[0])
        if configured is None and (step := registry.named(plain.partition(":")[0])) is not None:
            return step.reference
        return configured

    def _allows(self, function: str) -> bool:
        """Say whether a function may be called: its module is allowed, or the program has it as a step."""
        return registry.step(function) is not None or functions.allows(self._allow, function)


async def _unless_short(call: Awaitable[Outcome]) -> Outcome:
    """Give the outcome of a call; one for which this process lacks something is put off, at no cost to the step."""
    try:
        return await call
    except errors.Exhausted as error:
        telemetry.emit("effect.short", error=error)
        return Snoozed(_SNOOZE_SECONDS)


def _invalid(detail: str) -> Failed:
    return Failed(
        failure=FailureClass.INVALID,
        fault=Fault(type=fault.CONFIGURATION, status=400, title="Function not available", detail=detail),
    )
