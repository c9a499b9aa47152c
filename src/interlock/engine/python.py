"""Drives the functions of Python workflows: from what a run remembers to what it does next.

    not begun --memos are loaded--> replaying --nothing it remembers is asked for any more--> live --> ended
                                        \\                                                      |
                                         +---------------------- left (parked, stopped) <-------+

A function is called once and then runs beside the engine as a task of its own. Each call that it awaits is answered at once
from the memos, waits for its turn among them, belongs to a scope that is open already, or becomes an `Ask` for the next
decision. Results are given one by one, in the order in which they were had, and the function comes to rest after each: now as
when they were had for the first time, so that whatever depends on who came first comes out the same, also the numbers of
identical calls. Nothing depends on how often, or in which order, other calls were made.

Between two decisions the function goes on until it is *quiet*: every task of it waits. For tasks that our own `gather` made
that is known exactly; a function that makes tasks itself, or awaits things that are no calls, is given a few turns of the
loop, and what it does later wakes the engine again.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, NoReturn, TypeVar

from interlock.engine import calls, unwinding
from interlock.engine.thread import Thread
from interlock.engine.unwinding import Unwinding
from interlock.flow.python import raised
from interlock.flow.python.inside import INSIDE, Leaving
from interlock.flow.python.workflow import CURRENT, Workflow
from interlock.model.call import (
    Action,
    Ask,
    Call,
    Keep,
    Leave,
    Note,
    Raise,
    Renew,
    Return,
    Show,
    StepCall,
)
from interlock.model.fault import RUNTIME, Fault
from interlock.model.json import Json
from interlock.model.memo import Memo
from interlock.model.payload import Payload
from interlock.service import Clock, SystemClock

T = TypeVar("T")

_TURNS: Final = 24  # of a busy loop, that a function with tasks or waits of its own is given: a few for each that ends
_THREAD_SECONDS: Final = 0.05  # that a sync workflow is given to come to its next call
_UNWIND_SECONDS: Final = 1.0  # that a function is given to end when it is left


class Program:
    """The function of one run in this process. It belongs to the loop that it was made on.

    `wake` is called when the function does something while nobody waits for it. `cached` looks results up; `sign` gives the
    text of a token.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        *,
        run: str,
        id: str,
        namespace: str,
        input: Json,
        memos: Iterable[Memo],
        open: Iterable[str],
        wake: Callable[[], None],
        cached: Callable[[str, str], Awaitable[Json | None]] | None = None,
        sign: Callable[[str], Awaitable[str]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.run = run
        self.id = id
        self.namespace = namespace
        self.clock: Clock = clock or SystemClock()
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.error: BaseException | None = None
        """What the function ended with, if that was an error."""
        self._workflow = workflow
        self._input = input
        self._wake = wake
        self._cached = cached
        self._sign = sign
        self._memos = sorted(memos, key=lambda memo: memo.number)
        self._remembered = {memo.call: memo for memo in self._memos}
        self._given: set[int] = set()
        self._next = 0
        """The place in `_memos` of the first that was not given yet."""
        self._is_live = False
        """Whether the function has come to where it waits for what has not happened yet."""
        self._open = set(open)
        """Calls that were open before this process had the run, and were not made again yet."""
        self._held: dict[int, tuple[asyncio.Future[Memo], Memo]] = {}
        """The results that a task of the function waits for and that come next, by their numbers."""
        self._waiting: dict[str, asyncio.Future[Memo]] = {}
        self._callers: dict[asyncio.Future[Memo], asyncio.Task[Any] | None] = {}
        """The tasks that wait for a call."""
        self._counts: dict[str, int] = {}
        self._actions: list[Action] = []
        self._activity = 0
        self._tasks = 1
        """How many tasks the function has: its own, and those that were made for calls alone."""
        self._known: set[asyncio.Task[Any] | None] = set()
        self._has_strangers = False
        """Whether a task makes calls that the function made itself: then nobody can tell how many it has."""
        self._gathering: set[asyncio.Future[Any]] = set()
        """What its tasks wait for that do nothing but wait for others of them."""
        self._attended = True
        self._task: asyncio.Task[None] | None = None
        """The function while it goes on. Its context names this program, so a task that is kept is garbage in a cycle."""
        self._is_over = False
        self._thread: Thread | None = None
        self._busy = asyncio.Event()
        self._unwinding = Unwinding(id, workflow.name, workflow.function.__code__)

    # -- for the engine ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Call the function, as soon as the loop turns."""
        context = contextvars.copy_context()
        context.run(INSIDE.set, self)
        context.run(CURRENT.set, self._workflow)
        self._task = self.loop.create_task(self._main(), context=context, name=f"program-{self.run}")

    def give(self, memos: Iterable[Memo]) -> None:
        """Give the results of calls that have ended, in their order."""
        for memo in memos:
            self._given.add(memo.number)
            future = self._waiting.pop(memo.call, None)
            self._open.discard(memo.call)
            if future is not None:
                self._held[memo.number] = future, memo
                self._is_live = True
            else:  # nobody asked yet: it will be found when somebody does
                self._remembered[memo.call] = memo

    async def advance(self) -> list[Action]:
        """Let the function go on until it is quiet and remembers nothing more; give what it did."""
        self._attended = True
        await self._settle()
        while self._held:
            number = min(self._held)
            self._given.add(number)
            future, memo = self._held.pop(number)
            if not future.done():
                future.set_result(memo)
            await self._settle()
        self._is_live = self._is_live or self.is_quiet
        self._attended = False
        return self.take()

    def take(self) -> list[Action]:
        """Give what the function did since it was last asked."""
        actions, self._actions = self._actions, []
        return _without_what_was_taken_back(actions)

    @property
    def unasked(self) -> set[str]:
        """The open calls that the function, as far as it came, did not make again."""
        return set(self._open)

    @property
    def unused(self) -> list[Memo]:
        """The results that the function, as far as it came, did not ask for."""
        return [memo for memo in self._memos if memo.number not in self._given]

    def leave(self, why: str) -> None:
        """End the function without a trace: what it does from now on does not count."""
        if self.closed:
            return
        self.closed = True
        for future in [*self._waiting.values(), *(future for future, _ in self._held.values())]:
            task = self._callers.get(future)
            if task is not None:
                task.add_done_callback(unwinding.taken_note_of)
            if not future.done():
                future.set_exception(Leaving(why))
        self._waiting.clear()
        self._held.clear()
        task = self._task
        if task is not None and not task.done():
            late = self.loop.call_later(_UNWIND_SECONDS, task.cancel)
            task.add_done_callback(lambda _: late.cancel())  # which would keep all that the function has, until then

    async def gone(self) -> None:
        """Wait until the function has ended, for a while."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2 * _UNWIND_SECONDS)

    async def _settle(self) -> None:
        if not self._workflow.is_async:
            await self._settle_thread()
            return
        ready = getattr(self.loop, "_ready", None)  # what asyncio's loop is about to call: nothing, and everybody waits
        quiet = 0
        while quiet < _TURNS and not self._is_over:
            before = self._activity
            await asyncio.sleep(0)
            quiet = 0 if self._activity != before else quiet + 1
            # A turn later: a task that the function has just made itself makes its first call in that.
            if (quiet or self._gathering) and self.is_quiet:
                return
            if quiet and ready is not None and not ready:
                return

    @property
    def has_ended(self) -> bool:
        """Whether the function has come to its end, or was left."""
        return self._is_over

    @property
    def waits(self) -> bool:
        """Whether a call of the function waits for its result, or for its turn."""
        return bool(self._waiting or self._held)

    @property
    def is_quiet(self) -> bool:
        """Say whether every task of the function is known to wait for a call, or for the tasks that it gathers."""
        blocked = len(self._waiting) + len(self._held)
        if not blocked or self._has_strangers or blocked + len(self._gathering) != self._tasks:
            return False
        return not any(all.done() for all in self._gathering)  # else the one who gathers is about to go on

    async def _settle_thread(self) -> None:
        """Wait until the thread of a sync workflow has come to a call, or to its end; one that computes is not waited for."""
        for _ in range(2):
            await asyncio.sleep(0)
        end = self.loop.time() + _THREAD_SECONDS
        while not self._is_over and not (self._waiting or self._held):
            self._busy.clear()
            left = end - self.loop.time()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._busy.wait()
            except TimeoutError:
                return
        for _ in range(2):
            await asyncio.sleep(0)

    # -- the function --------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        """Call the function and note how it ended."""
        try:
            args, kwargs = self._workflow.signature.call(self._input)
            if self._workflow.is_async:
                given = await self._workflow.function(*args, **kwargs)
            else:
                self._thread = Thread(self.id, lambda: self._workflow.function(*args, **kwargs), self._busy.set)
                given = await self._thread.result
            output = Payload(self._workflow.signature.encode_result(given))
        except Leaving as leaving:
            # Calls in tasks of their own keep it, and its frames keep them: a cycle for every run that is put away.
            leaving.__traceback__ = None
            return
        except asyncio.CancelledError as error:
            if self.closed:
                return
            self.error = error
            self._did(
                Raise(fault=Fault(type=RUNTIME, status=500, title="Cancelled", detail="the workflow cancelled itself"))
            )
        except BaseException as error:  # noqa: BLE001 (however the function ends is the end of its run)
            if self.closed or unwinding.is_left(error):
                return
            self.error = error
            fault, call = raised.fault_of(error), raised.call_of(error)
            if call is not None:
                fault = fault.at(calls.path_of(call))
            self._did(Raise(fault=fault, memo=raised.memo_of(error)))
        else:
            if not self.closed:
                self._did(Return(output=output))
        finally:
            self._is_over, self._task = True, None

    def _did(self, action: Action) -> None:
        self._activity += 1
        self._busy.set()
        self._actions.append(action)
        if not self._attended and not self.closed:
            self._wake()

    # -- Inside: what the function asks for ----------------------------------------------------------------------

    async def ask(self, name: str, key: str, call: Call, arguments: Json) -> Json:
        if self.closed:
            await self._refuse(name)
        identity = self._identity(name, key)
        memo = self._remembered.get(identity)
        if memo is None and identity not in self._open and isinstance(call, StepCall) and call.cache is not None:
            memo = await self._kept(identity, *call.cache[:2])
        if memo is not None:
            return await self._replayed(memo)
        future = self._future()
        self._waiting[identity] = future
        if identity in self._open:
            self._open.discard(identity)
            self._activity += 1
            self._busy.set()
        else:
            self._did(Ask(identity=identity, call=call, arguments=Payload(arguments)))
        try:
            return self._value(await future)
        except asyncio.CancelledError:
            if self._waiting.pop(identity, None) is not None and not self.closed:
                self._did(Leave(identity=identity))
            raise
        finally:
            del self._callers[future]
            del future  # else an error in it holds this frame, and this frame the error: garbage in a cycle

    async def _refuse(self, name: str) -> NoReturn:
        """Refuse a call that is made after the run has left."""
        await self._unwinding.refuse(name, None if self._thread is None else self._thread.ident)

    def _future(self) -> asyncio.Future[Memo]:
        """Give what the present task is to wait for, and take note of the task."""
        task = asyncio.current_task()
        if self._workflow.is_async and task is not self._task and task not in self._known:
            self._has_strangers = True
        future: asyncio.Future[Memo] = self.loop.create_future()
        self._callers[future] = task
        return future

    def _identity(self, name: str, key: str) -> str:
        if self.closed:
            raise Leaving("the run has left")
        base = f"{name}({key})" if key else name
        number = self._counts[base] = self._counts.get(base, 0) + 1
        return base if number == 1 else f"{base}#{number}"

    async def _replayed(self, memo: Memo) -> Json:
        """Give a remembered result when its turn has come."""
        self._activity += 1
        if memo.number in self._given:
            return self._value(memo)
        future = self._future()
        self._held[memo.number] = future, memo
        self._busy.set()
        if not self._attended:  # it waited for something that is no call, and nobody looks at what is held
            self._wake()
        try:
            return self._value(await future)
        finally:
            self._held.pop(memo.number, None)
            del self._callers[future]
            del future  # as above

    def _pass_over(self) -> None:
        while self._next < len(self._memos) and self._memos[self._next].number in self._given:
            self._next += 1

    @property
    def _replays(self) -> bool:
        """Whether the function is still at what it did before: results, or calls that were open, wait to be asked for.

        Those that changed code asks for no more do not count: where it waits for what is new, it is past them.
        """
        if self._is_live:
            return False
        self._pass_over()
        return self._next < len(self._memos) or bool(self._open)

    def _value(self, memo: Memo) -> Json:
        if memo.failed is None:
            return None if memo.output is None else memo.output.value
        failed = memo.failed
        error = raised.rebuilt(failed.fault.raised, failed.fault, step=memo.call, kind=failed.failure)
        raise raised.marked(error, memo)

    async def _kept(self, identity: str, name: str, key: str) -> Memo | None:
        """Look a result up in the cache; one that is found is remembered, so that the run keeps to it."""
        if self._cached is None:
            return None
        found = await self._cached(name, key)
        if self.closed:
            raise Leaving("the run has left")
        if found is None:
            return None
        value = Payload(found["value"])
        self._did(Keep(identity=identity, value=value))
        memo = Memo(number=-len(self._remembered) - 1, call=identity, at=0.0, output=value)
        self._given.add(memo.number)
        return memo

    async def gathered(self, all: asyncio.Future[T]) -> T:
        self._gathering.add(all)
        try:
            return await all
        finally:
            self._gathering.discard(all)

    def alone(self, call: Awaitable[T]) -> asyncio.Task[T]:
        task = self.loop.create_task(call if isinstance(call, Coroutine) else _awaited(call))
        self._tasks += 1
        self._known.add(task)
        task.add_done_callback(self._is_done)
        return task

    def _is_done(self, task: asyncio.Task[Any]) -> None:
        self._known.discard(task)
        self._tasks -= 1
        self._activity += 1

    def note(self, name: str, key: str, make: Callable[[], Json]) -> Json:
        identity = self._identity(f"{name}:", key)
        memo = self._remembered.get(identity)
        if memo is not None:
            self._given.add(memo.number)
            assert memo.output is not None
            return memo.output.value
        value = self.noted(identity, make)
        self._tell(Note(identity=identity, value=Payload(value)))
        return value

    def noted(self, identity: str, make: Callable[[], Json]) -> Json:
        """Give what a run is to remember under an identity; a simulation gives what it can give again."""
        return make()

    def is_patched(self, name: str) -> bool:
        identity = f"patched:({name})"
        known = self._counts.get(identity)
        if known is not None:
            return bool(known - 1)
        memo = self._remembered.get(identity)
        if memo is not None:
            self._given.add(memo.number)
            assert memo.output is not None
            answer = bool(memo.output.value)
        else:
            answer = not self._replays
            self._tell(Note(identity=identity, value=Payload(answer)))
        self._counts[identity] = 1 + answer
        return answer

    def show(self, show: Show) -> None:
        if not self._replays:
            self._tell(show)

    def renew(self, arguments: dict[str, Json]) -> None:
        self._tell(Renew(input=Payload(arguments)))

    def _tell(self, action: Action) -> None:
        """Note what the function did, from whichever thread it runs in."""
        if self.closed:
            raise Leaving("the run has left")
        if self._thread is not None and self._thread.is_current:
            self.loop.call_soon_threadsafe(self._did, action)
        else:
            self._did(action)

    async def token(self, token: str) -> str:
        await asyncio.sleep(0)  # the call that issues it is a task, which begins before this one goes on
        if self._sign is None:
            raise RuntimeError("this process cannot sign tokens")
        return await self._sign(token)


async def _awaited(call: Awaitable[T]) -> T:
    return await call


def _without_what_was_taken_back(actions: list[Action]) -> list[Action]:
    """Leave out calls that were made and left again before anybody heard of them."""
    left = {action.identity for action in actions if isinstance(action, Leave)}
    asked = {action.identity for action in actions if isinstance(action, Ask)}
    void = left & asked
    if not void:
        return actions
    return [action for action in actions if not (isinstance(action, Ask | Leave) and action.identity in void)]
