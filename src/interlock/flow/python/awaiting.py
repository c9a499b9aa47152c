"""A call that was written down and is made when it is awaited."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from interlock.flow.python.inside import INSIDE

R_co = TypeVar("R_co", covariant=True)


class Call(Coroutine[Any, Any, R_co], Generic[R_co]):
    """What calling a step gives: a coroutine, to be awaited once. In a sync workflow, `result()` waits for it.

    Like any coroutine it can be made a task of, by `asyncio.create_task` or a `TaskGroup`; it warns when it is dropped
    without having been awaited.
    """

    __slots__ = ("__name__", "__qualname__", "__weakref__", "_inner", "_make")

    def __init__(self, name: str, make: Callable[[], Coroutine[Any, Any, R_co]]) -> None:
        self.__name__ = self.__qualname__ = name
        self._make: Callable[[], Coroutine[Any, Any, R_co]] | None = make
        self._inner: Coroutine[Any, Any, R_co] | None = None

    def _begun(self) -> Coroutine[Any, Any, R_co]:
        if self._inner is None:
            make, self._make = self._make, None
            if make is None:
                raise RuntimeError(f"cannot reuse the call of `{self.__name__}`, which was closed")
            self._inner = make()
        return self._inner

    def send(self, value: Any, /) -> Any:
        return self._begun().send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> Any:
        error = kind if isinstance(kind, BaseException) else value if isinstance(value, BaseException) else kind()
        return self._begun().throw(error if trace is None else error.with_traceback(trace))

    def close(self) -> None:
        self._make = None
        if self._inner is not None:
            self._inner.close()

    def __await__(self) -> Generator[Any, Any, R_co]:
        return self._begun().__await__()

    def result(self) -> R_co:
        """Wait for the call in this thread: in a sync workflow, or (a plain function call) outside of any.

        Raises RuntimeError on the loop of an async workflow, which has to await it.
        """
        inside = INSIDE.get()
        if inside is None:
            return asyncio.run(self._begun())
        if asyncio._get_running_loop() is not None:
            self.close()
            raise RuntimeError(f"await `{self.__name__}` here: `.result()` would block the loop that makes the call")
        return asyncio.run_coroutine_threadsafe(self._begun(), inside.loop).result()

    def __del__(self) -> None:
        if self._make is not None:
            warnings.warn(f"the call of `{self.__name__}` was never awaited", RuntimeWarning, stacklevel=2)
