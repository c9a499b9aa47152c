"""Documents on their way into the store: checked, with what they need from elsewhere, defined for a run or published."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from interlock import errors
from interlock.app import graphs
from interlock.app.actor import actor
from interlock.app.graphs import Graphs
from interlock.app.resources import Fetcher
from interlock.config import Settings
from interlock.flow import check, resources
from interlock.flow.check import Loaded
from interlock.flow.graph import Graph
from interlock.flow.meaning import executable, limits
from interlock.flow.python.workflow import Workflow
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import Definition, Store

_REMEMBERED: Final = 64  # documents whose check is not repeated when they are started again
_DEFINED_SECONDS: Final = 3600.0  # then it is stored again: retention removes what nobody asked for in a day
_SCHEDULE: Final = "/schedule"


class Definitions:
    """Takes documents into one store."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, graphs: Graphs, fetcher: Fetcher) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._graphs = graphs
        self._fetcher = fetcher
        self._known: OrderedDict[str, tuple[Definition, Graph, bool]] = OrderedDict()
        self._known_since = clock.monotonic()
        self._programs: dict[str, Definition] = {}
        self._programs_since = clock.monotonic()
        self._storing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Held by whoever stores a definition, so that those who ask for it at the same time wait and do not store it too."""

    async def publish(self, text: str, file: str | None) -> Definition:
        """Fix a document's `name:version` to its text. Raises InvalidDefinition, Conflict when another text has it."""
        loaded = self._executable(text, file)
        folder = Path(file).absolute().parent if file else Path.cwd()
        stored = graphs.definition(text, loaded, await self._fetcher.fetch(loaded, folder))
        self._graphs.add(stored, loaded)
        self._check_rights(stored, loaded)
        digest = await self._store.journal.publish(stored, actor(), self._clock.now())
        if digest != stored.digest:
            name = f"{stored.namespace}/{stored.name}:{stored.version}"
            raise errors.Conflict(
                f"{name} was published before with another text (digest {digest[:12]}, this one {stored.digest[:12]}); "
                "raise document.version"
            )
        return stored

    async def text(self, definition: str | Path, namespace: str) -> tuple[str, str | None]:
        """Give the text of a document, and its file: from a path, a text of several lines, or a published name.

        Raises NotFound, Invalid for a file that cannot be read.
        """
        if isinstance(definition, str) and "\n" in definition:
            return definition, None
        if isinstance(definition, Path) or definition.endswith((".yaml", ".yml", ".json")):
            try:
                return await asyncio.to_thread(Path(definition).read_text, "utf-8"), str(definition)
            except (OSError, UnicodeDecodeError) as error:
                raise errors.Invalid(f"cannot read the definition {definition}: {error}") from error
        space, _, rest = definition.rpartition("/")
        name, _, version = rest.partition(":")
        found = await self._store.journal.published(space or namespace, name, version or None)
        if found is None:
            raise errors.NotFound(f"no workflow {definition} is published; `interlock publish FILE` publishes one")
        return found.source, None

    def _check_rights(self, stored: Definition, loaded: Loaded) -> None:
        """Check that every Python function of a document may be run. Raises Invalid."""
        for function in _python_functions(loaded.value):
            module = function.removeprefix("python:").partition(":")[0]
            if not any(f"{module}.".startswith(f"{allowed}.") for allowed in self._settings.python.allow):
                raise errors.Invalid(
                    f"publishing {stored.name} needs the right to run {function!r}; name its module in python.allow"
                )

    def _executable(self, text: str, file: str | None, *, but: str | None = None) -> Loaded:
        """Load a document that this version can execute; `but`: the one place where it may say what is not built."""
        loaded = check.load(text, file, allowed=limits.configured(self._settings.limits))
        loaded.raise_for_problems()
        unbuilt = [problem for problem in loaded.warnings if problem.code == executable.CODE and problem.path != but]
        if unbuilt:
            raise errors.InvalidDefinition("this document uses what this version cannot execute yet", tuple(unbuilt))
        return loaded

    async def defined(self, text: str, file: str | None, folder: Path) -> tuple[Definition, Graph, bool]:
        """Give a document checked, stored and compiled, and whether it has a schedule.

        The last ones are remembered, but for those with resources: these are fetched at each start.
        """
        if self._clock.monotonic() - self._known_since > _DEFINED_SECONDS:
            self._known_since = self._clock.monotonic()
            self._known.clear()
        known = self._known.get(text)
        if known is not None:
            return known
        async with self._storing.setdefault(text, asyncio.Lock()):
            return self._known.get(text) or await self._define(text, file, folder)

    async def _define(self, text: str, file: str | None, folder: Path) -> tuple[Definition, Graph, bool]:
        loaded = self._executable(text, file, but=_SCHEDULE)
        stored = await self._pinned(text, loaded, folder)
        await self._store.journal.define(stored)
        known = stored, self._graphs.add(stored, loaded), loaded.required().schedule is not None
        if stored.resources is None:
            self._known[text] = known
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known

    async def program(self, workflow: Workflow[Any, Any], within: Store | None = None) -> tuple[Definition, Graph]:
        """Give a Python workflow stored, once an hour at most. `within`: the store of a transaction that is to hold it."""
        if self._clock.monotonic() - self._programs_since > _DEFINED_SECONDS:
            self._programs_since = self._clock.monotonic()
            self._programs.clear()
        stored = self._programs.get(workflow.source)
        if stored is None and within is not None:
            stored = self._graphs.program(workflow)
            await within.journal.define(stored)  # not remembered: the transaction may still be rolled back
        if stored is None:
            stored = await self._stored(workflow)
        return stored, await self._graphs.graph(stored.digest)

    async def _stored(self, workflow: Workflow[Any, Any]) -> Definition:
        """Store a Python workflow, once for all who ask for it at the same time."""
        async with self._storing.setdefault(workflow.source, asyncio.Lock()):
            stored = self._programs.get(workflow.source)
            if stored is None:
                stored = self._graphs.program(workflow)
                await self._store.journal.define(stored)
                self._programs[workflow.source] = stored
            return stored

    async def _pinned(self, text: str, loaded: Loaded, folder: Path) -> Definition:
        """Give a document with the resources it needs: those that it was published with, else fetched now."""
        workflow = loaded.required()
        if not resources.wanted(workflow, workflow.use):
            return graphs.definition(text, loaded, {})
        header = workflow.document
        published = await self._store.journal.published(header.namespace, header.name, header.version)
        if published is not None and published.source == text:
            return published
        return graphs.definition(text, loaded, await self._fetcher.fetch(loaded, folder))


def _python_functions(value: Json) -> list[str]:
    """Give every `call: python:...` in a document."""
    if isinstance(value, list):
        return [name for item in value for name in _python_functions(item)]
    if not isinstance(value, dict):
        return []
    called = value.get("call")
    found = [called] if isinstance(called, str) and called.startswith("python:") else []
    return found + [name for item in value.values() for name in _python_functions(item)]
