"""`@workflow`: an ordinary function whose progress is stored, call by call."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from interlock import errors
from interlock.flow.graph import Program
from interlock.flow.python import registry, signature
from interlock.flow.python.awaiting import Call
from interlock.flow.python.inside import INSIDE, Inside
from interlock.flow.python.options import Duration, seconds
from interlock.flow.python.signature import Signature
from interlock.flow.python.step import reference
from interlock.model import json, versions
from interlock.model.call import ChildCall

P = ParamSpec("P")
R = TypeVar("R")

_MARK: Final = b'{"python":'

CURRENT: Final[ContextVar[Workflow[Any, Any]]] = ContextVar("interlock_workflow")
"""The workflow whose function runs here."""


class Workflow(Generic[P, R]):
    """A function that `Interlock.start` starts as a run. Called within another workflow, it is a run of its own there,
    a child; called outside of any, it is the plain function."""

    def __init__(
        self, function: Callable[..., Any], *, name: str, namespace: str, version: str, timeout: Duration | None
    ) -> None:
        """Raises Invalid for what cannot be a workflow."""
        if (
            not inspect.isfunction(function)
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise errors.Invalid(f"@workflow is for functions that return; {function!r} is none")
        if not versions.is_version(version):
            raise errors.Invalid(f"the workflow {function.__qualname__} has the version {version!r}; write it as 1.2.0")
        functools.update_wrapper(self, function)
        self.function: Final = function
        self.name: Final = name or function.__name__
        self.namespace: Final = namespace
        self.version: Final = version
        self.reference: Final = reference(function)
        self.signature: Final = Signature(function, f"the workflow `{self.name}`")
        self.is_async: Final = inspect.iscoroutinefunction(function)
        self.timeout_seconds: Final = None if timeout is None else seconds(timeout, "timeout")
        registry.add_workflow(self)

    @property
    def source(self) -> str:
        """The definition as it is stored: what the workflow is called, and where its function is."""
        fields = {
            "python": self.reference,
            "namespace": self.namespace,
            "name": self.name,
            "version": self.version,
            "timeout": self.timeout_seconds,
        }
        return json.encode(fields).decode()

    @property
    def digest(self) -> str:
        """Names the definition: of a Python workflow its name and version, since its text is the program's."""
        return hashlib.sha256(json.encode(["python", self.namespace, self.name, self.version])).hexdigest()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        inside = INSIDE.get()
        if inside is None:
            return Call(self.name, lambda: self._plain(args, kwargs))
        return Call(self.name, lambda: self._child(inside, args, kwargs))

    async def _plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        given = self.function(*args, **kwargs)
        return cast("R", await given if inspect.isawaitable(given) else given)

    async def _child(self, inside: Inside, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        arguments = self.signature.encode(args, kwargs)
        call = ChildCall(namespace=inside.namespace, name=self.name, version=self.version, definition=self.digest)
        key = signature.digest(arguments) if arguments else ""
        return cast("R", self.signature.decode_result(await inside.ask(self.name, key, call, arguments)))

    def __repr__(self) -> str:
        return f"<workflow {self.namespace}/{self.name}:{self.version}>"


def is_program(source: str) -> bool:
    """Say whether a stored definition is that of a Python workflow."""
    return source.encode()[: len(_MARK)] == _MARK


def program(source: str) -> Program:
    """Read the stored definition of a Python workflow."""
    fields = json.decode(source.encode())
    return Program(
        namespace=fields["namespace"],
        name=fields["name"],
        version=fields["version"],
        function=fields["python"],
        timeout_seconds=fields["timeout"],
    )


class Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Workflow[P, R]: ...

    def __call__(self, function: Any, /) -> Any: ...


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...


@overload
def workflow(
    *, name: str = "", namespace: str = "default", version: str = "1.0.0", timeout: Duration | None = None
) -> Decorator: ...


def workflow(
    function: Any = None,
    /,
    *,
    name: str = "",
    namespace: str = "default",
    version: str = "1.0.0",
    timeout: Duration | None = None,
) -> Any:
    """Make a function a workflow.

        @workflow(version="1.2.0")
        async def fulfil(order: Order) -> Receipt: ...

    `name`: what runs call it, the function's name if not given. `namespace`: of its runs, if they are not started in
    another. `version`: a run is executed by the version that it began with, or a newer one of the same major version.
    `timeout`: of a whole run.

    The function is run again over the stored results when its run is resumed, so it leaves effects to steps, and asks
    `interlock.now()`, `random()` and `uuid()` for what would differ.
    """

    def made(function: Any) -> Workflow[Any, Any]:
        return Workflow(function, name=name, namespace=namespace, version=version, timeout=timeout)

    return made if function is None else made(function)


__all__ = ["Workflow", "is_program", "program", "workflow"]
