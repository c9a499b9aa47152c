"""A call is a coroutine that is made when it is awaited."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from interlock import errors
from interlock.flow.python.awaiting import Call
from interlock.flow.python.inside import INSIDE, here


class Made:
    """What a call makes; it notes what happens to it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def coroutine(self) -> int:
        self.seen.append("begun")
        try:
            await Turn()
        except (KeyError, GeneratorExit) as error:
            self.seen.append((type(error), error.args, error.__traceback__))
            raise
        return 7


class Turn:
    """Lets the loop take one turn."""

    def __await__(self) -> Any:
        yield


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def call(made: Made) -> Call[int]:
    return Call("charge", made.coroutine)


async def test_call_is_made_when_it_is_awaited(call: Call[int], made: Made) -> None:
    assert made.seen == []
    assert await call == 7
    assert made.seen == ["begun"]


async def test_call_can_be_made_in_a_task(call: Call[int]) -> None:
    assert await asyncio.create_task(call) == 7


@pytest.mark.parametrize("given", [(KeyError("no"),), (KeyError, KeyError("no")), (KeyError,)])
def test_error_is_thrown_into_what_was_made(call: Call[int], made: Made, given: tuple[Any, ...]) -> None:
    call.send(None)
    with pytest.raises(KeyError):
        call.throw(*given)
    assert made.seen[1][:2] == (KeyError, () if given == (KeyError,) else ("no",))


def test_error_is_thrown_with_its_trace(call: Call[int], made: Made) -> None:
    try:
        raise KeyError("no")
    except KeyError as raised:
        error, trace = raised, raised.__traceback__
    call.send(None)
    with pytest.raises(KeyError):
        call.throw(KeyError, error.with_traceback(None), trace)
    links = [made.seen[1][2]]
    while links[-1].tb_next is not None:
        links.append(links[-1].tb_next)
    assert trace in links


def test_closing_closes_what_was_made(call: Call[int], made: Made) -> None:
    call.send(None)
    call.close()
    assert made.seen[1][0] is GeneratorExit


def test_call_that_was_closed_cannot_be_made(call: Call[int], made: Made) -> None:
    call.close()
    with pytest.raises(RuntimeError, match="cannot reuse the call of `charge`, which was closed"):
        call.send(None)
    assert made.seen == []


@pytest.mark.parametrize("closed", [False, True])
def test_only_a_call_that_was_dropped_warns(closed: bool) -> None:
    call: Call[int] = Call("charge", Made().coroutine)
    if closed:
        call.close()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del call
        gc.collect()
    assert [str(one.message) for one in told] == ([] if closed else ["the call of `charge` was never awaited"])


# -- result() --------------------------------------------------------------------------------------------------------


def test_result_outside_of_a_workflow_is_that_of_a_plain_call(call: Call[int]) -> None:
    assert call.result() == 7


@pytest.fixture
async def inside() -> Any:
    """A workflow that runs on this loop, of which only the loop is asked for."""
    return SimpleNamespace(loop=asyncio.get_running_loop())


@contextmanager
def running(inside: Any) -> Iterator[None]:
    token = INSIDE.set(inside)
    try:
        yield
    finally:
        INSIDE.reset(token)


async def test_result_in_the_thread_of_a_sync_workflow_is_made_on_its_loop(inside: Any) -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with running(inside):
        assert await asyncio.to_thread(Call("loop", loop).result) is inside.loop


async def test_result_on_the_loop_of_an_async_workflow_is_refused(call: Call[int], made: Made, inside: Any) -> None:
    with running(inside), pytest.raises(RuntimeError, match="await `charge` here"):
        call.result()
    assert made.seen == []


# -- the workflow around a call --------------------------------------------------------------------------------------


async def test_workflow_that_runs_is_found_by_what_it_calls(inside: Any) -> None:
    with running(inside):
        assert here("now") is inside


def test_what_is_for_workflows_is_refused_elsewhere() -> None:
    with pytest.raises(errors.Invalid, match="`now` is for workflow functions"):
        here("now")
