"""Stands in for what a step does, in one Interlock only; everything around it stays as it is."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from interlock import errors
from interlock.flow import functions
from interlock.flow.python import registry, step_context
from interlock.flow.python.inside import INSIDE
from interlock.flow.python.step import Step
from interlock.model.task import Outcome, PythonTarget
from interlock.pool.launcher import Launch

UNSET: Final[Any] = object()


class Stub:
    """What a step does instead. Ends with the test, with its `with` block, or by `undo()`."""

    def __init__(self, of: Step[Any, Any] | Callable[..., Any] | str, returns: Any, side_effect: Any) -> None:
        if (returns is UNSET) == (side_effect is UNSET):
            raise errors.Invalid(f"the stub of {of!r} needs either returns= or side_effect=")
        self.calls: list[dict[str, Any]] = []
        """The arguments of each call, by name, as the step would have got them."""
        self._of = of
        self._returns = returns
        self._side_effect = side_effect
        self._sequence: Iterator[Any] | None = None
        if side_effect is not UNSET and not callable(side_effect) and not isinstance(side_effect, BaseException):
            self._side_effect = list(side_effect)
            self._sequence = iter(self._side_effect)
        self._end: Callable[[], None] = lambda: None

    def begin(self, end: Callable[[], None]) -> Stub:
        """`end` takes the stub out of where it was put."""
        self._end = end
        return self

    def again(self) -> Stub:
        """Give the same, as if it had not been called; its calls are noted in the same list."""
        stub = Stub(self._of, self._returns, self._side_effect)
        stub.calls = self.calls
        return stub

    def undo(self) -> None:
        """Let the step do again what it does."""
        self._end()

    def __enter__(self) -> Stub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def stands_for(self, target: PythonTarget, catalog: Mapping[str, str]) -> bool:
        """Say whether this stands for a call. `catalog`: what `call: NAME` means in definitions, by name."""
        step = registry.step(target.function)
        if target.undoes:
            undo = None if step is None else step.options.compensate
            return undo is not None and self._of in (undo, getattr(undo, "function", undo))
        if isinstance(self._of, Step):
            return target.function == self._of.reference
        if isinstance(self._of, str):
            if ":" in self._of:
                return target.function == self._of
            named = registry.named(self._of)
            return target.function in (catalog.get(self._of), None if named is None else named.reference)
        return step is None and target.function == f"{self._of.__module__}:{self._of.__qualname__}"

    async def perform(self, launch: Launch) -> Outcome:
        """Give the outcome of a call, as if the step had been called."""
        assert isinstance(launch.target, PythonTarget)
        try:
            real = functions.prepared(launch.target, launch.folder)
        except functions.Unusable as error:
            return functions.invalid(str(error))
        self.calls.append(_named(real, launch.target))
        prepared = dataclasses.replace(real, function=self._answer)
        context = contextvars.copy_context()
        context.run(step_context.set, launch.environment)
        context.run(INSIDE.set, None)
        answering = asyncio.create_task(self._answer(*real.args, **real.kwargs), context=context)
        try:
            return prepared.result(await answering)
        except Exception as error:  # noqa: BLE001 (whatever a stub raises is the outcome of its step)
            return prepared.failed(error)

    async def _answer(self, *args: Any, **kwargs: Any) -> Any:
        if self._returns is not UNSET:
            return self._returns
        answer = self._side_effect
        if self._sequence is not None:
            answer = next(self._sequence, UNSET)
            if answer is UNSET:
                raise errors.Invalid(
                    f"the stub of {self._of!r} was called {len(self.calls)} times, and has no more results"
                )
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        if self._sequence is not None:
            return answer
        given = self._side_effect(*args, **kwargs)
        return await given if inspect.isawaitable(given) else given


class Stubs:
    """Those of one Interlock; the latest comes first."""

    def __init__(self, catalog: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._stubs: list[Stub] = []

    def add(self, stub: Stub) -> Stub:
        self._stubs.insert(0, stub)
        return stub.begin(lambda: self._remove(stub))

    def _remove(self, stub: Stub) -> None:
        if stub in self._stubs:
            self._stubs.remove(stub)

    def again(self) -> Stubs:
        """Give the same stubs as if they had not been called, for another Interlock."""
        stubs = Stubs(self._catalog)
        for stub in reversed(self._stubs):
            stubs.add(stub.again())
        return stubs

    def clear(self) -> None:
        self._stubs.clear()

    def of(self, launch: Launch) -> Stub | None:
        if not isinstance(launch.target, PythonTarget):
            return None
        return next((stub for stub in self._stubs if stub.stands_for(launch.target, self._catalog)), None)


def _named(call: functions.Prepared, target: PythonTarget) -> dict[str, Any]:
    if call.step is None:
        return dict(target.arguments)
    if call.undoes:
        return {"result": call.args[0], **call.step.signature.bind(call.args[1:], call.kwargs)}
    return call.step.signature.bind(call.args, call.kwargs)
