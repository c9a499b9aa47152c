"""`@step`: a function whose calls a workflow makes once, and remembers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import msgspec

from interlock import errors
from interlock.flow.python import raised, registry, signature
from interlock.flow.python.awaiting import Call
from interlock.flow.python.inside import INSIDE, Inside
from interlock.flow.python.options import Duration, Limit, Options, Rate, Retries
from interlock.flow.python.signature import Signature
from interlock.model.call import StepCall
from interlock.model.json import Json

P = ParamSpec("P")
R = TypeVar("R")

_KEY: Final = "key"
_UNDOING: Final = Options.of(retries=Retries(count=5))


def reference(function: Callable[..., object]) -> str:
    """Give the name under which other processes find a function: `module:qualname`.

    A script that is run as `__main__` is the module of its file's name, so that `python shop.py` and `--app shop` mean
    the same functions.
    """
    return f"{raised.module_name(function.__module__)}:{function.__qualname__}"


class Step(Generic[P, R]):
    """A function with what its calls need: call it in a workflow and await the result.

    Outside of a workflow, also within another step, a call is a plain call of the function. `name` is its identity in the
    runs that call it: it may be renamed or moved as long as its `name` stays.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        """Raises Invalid for what cannot be a step."""
        if not inspect.isfunction(function):
            raise errors.Invalid(f"@step is for functions; {function!r} is {type(function).__name__}")
        functools.update_wrapper(self, function)
        self.function: Final = function
        self.options: Final = options
        self.name: Final = options.name or function.__name__
        self.reference: Final = reference(function)
        self.signature: Final = Signature(function, f"the step `{self.name}`")
        self._has_key = _KEY in inspect.signature(function).parameters
        self._undo: Final = self._undoing()
        self._call: Final = self._always()
        registry.add_step(self)

    def _undoing(self) -> StepCall | None:
        """Give the call that undoes one of this step: retried well, since nobody else will clean up."""
        undo = self.options.compensate
        if undo is None:
            return None
        options = undo.options if isinstance(undo, Step) else _UNDOING
        call = options.call(self.reference, None, self.name, {}, "")
        return msgspec.structs.replace(call, undoes=True)

    def _always(self) -> StepCall | None:
        """Give what every call of this step asks for, where its arguments do not matter."""
        if self.options.depends_on_arguments:
            return None
        return self.options.call(self.reference, self._undo, self.name, {}, "")

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...

    @overload
    def __call__(self, *args: Any, key: str, **kwargs: Any) -> Call[R]: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Call[R]:
        """Make a call. `key`: its identity among the calls of this step, instead of its arguments."""
        key = "" if self._has_key else kwargs.pop(_KEY, "")
        inside = INSIDE.get()
        if inside is None:
            return Call(self.name, lambda: self._plain(args, kwargs))
        return Call(self.name, lambda: self._asked(inside, args, kwargs, key))

    def using(
        self,
        *,
        name: str | None = None,
        retries: int | Retries | None = None,
        timeout: Duration | None = None,
        pool: str | None = None,
        isolated: bool | None = None,
        requires: Mapping[str, Json] | None = None,
    ) -> Step[P, R]:
        """Give the same step with other options, for one place that needs them."""
        given = {
            "name": name,
            "retries": retries,
            "timeout": timeout,
            "pool": pool,
            "isolated": isolated,
            "requires": requires,
        }
        changed = {option: value for option, value in given.items() if value is not None}
        return cast("Step[P, R]", Variant(self, self.options.changed(self.name, changed)))

    async def _plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        given = self.function(*args, **kwargs)
        return cast("R", await given if inspect.isawaitable(given) else given)

    async def _asked(self, inside: Inside, args: tuple[Any, ...], kwargs: dict[str, Any], key: str) -> R:
        arguments = self.signature.encode(args, kwargs)
        digest = key or (signature.digest(arguments) if arguments else "")
        call = self._call or self.options.call(self.reference, self._undo, self.name, arguments, digest)
        return cast("R", self.signature.decode_result(await inside.ask(self.name, digest, call, arguments)))

    def __repr__(self) -> str:
        return f"<step {self.reference}>"


class Variant(Step[P, R]):
    """A step with other options than those of its decorator; its function and its name are the same."""

    def __init__(self, step: Step[P, R], options: Options) -> None:
        functools.update_wrapper(self, step.function)
        self.__dict__.update(step.__dict__ | {"options": options, "name": options.name or step.name})
        self.__dict__["_call"] = self._always()


class Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...

    def __call__(self, function: Any, /) -> Any: ...


@overload
def step(function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    name: str = "",
    retries: int | Retries = 0,
    retry_on: type[Exception] | tuple[type[Exception], ...] | None = None,
    timeout: Duration | None = None,
    compensate: Callable[..., object] | None = None,
    pool: str = "",
    isolated: bool = False,
    priority: int = 0,
    concurrency: int | Limit | None = None,
    rate: str | Rate | None = None,
    cache: Duration | None = None,
    requires: Mapping[str, Json] | None = None,
) -> Decorator: ...


def step(function: Any = None, /, **options: Any) -> Any:
    """Make a function a step of workflows.

        @step(retries=3, timeout="30s", compensate=release)
        async def reserve(order: Order) -> Reservation: ...

    `name`: its identity in runs, the function's name if not given. `retries`: how often a failed attempt is made again,
    or `Retries(...)` with budgets and back-off. `retry_on`: the errors that it is made again for; None: all of them.
    `timeout`: of one attempt. `compensate`: what undoes it, a function or a step, called as `undo(result, *args,
    **kwargs)`. `pool`: where it runs, the node itself if not given. `requires`: what the worker of that pool must
    have, such as `{"skills": ["cuda"], "region": "eu", "type": "training", "cpu": 4, "memory": 8192}`. `isolated`: in a
    process of its own on the node's machine, which can be killed. `priority`: of those that wait for a pool the highest
    is first. `concurrency`: how many attempts may run at once, over all nodes. `rate`: how often one may start, such as
    "10/s". `cache`: how long a result may be used again for the same arguments, by any run of the namespace.

    A function may be async or not; in the node itself the others run in threads. Arguments and results are stored, so
    they have to be JSON, dataclasses, pydantic models, msgspec structs, or other types that
    `docs/reference/python-values.md` lists.
    """
    made = Options.of(**options)
    if function is not None:
        return Step(function, made)
    return lambda function: Step(function, made)


__all__ = ["Decorator", "Step", "Variant", "reference", "step"]
