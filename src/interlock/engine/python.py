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
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from interlock.engine import calls, thread, unwinding
from interlock.engine.quietness import Quietness
from interlock.engine.remembered import Remembered, value_of
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
        self._remembered = Remembered(memos, open)
        self._held: dict[int, tuple[asyncio.Future[Memo], Memo]] = {}
        """The results that a task of the function waits for and that come next, by their numbers."""
        self._waiting: dict[str, asyncio.Future[Memo]] = {}
        self._callers: dict[asyncio.Future[Memo], asyncio.Task[Any] | None] = {}
        """The tasks that wait for a call."""
        self._patches: dict[str, bool] = {}
        self._actions: list[Action] = []
        self._activity = 0
        self._quietness = Quietness()
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
            future = self._waiting.pop(memo.call, None)
            self._remembered.end(memo, is_asked=future is not None)
            if future is not None:
                self._held[memo.number] = future, memo

    async def advance(self) -> list[Action]:
        """Let the function go on until it is quiet and remembers nothing more; give what it did."""
        self._attended = True
        await self._settle()
        while self._held:
            number = min(self._held)
            future, memo = self._held.pop(number)
            self._remembered.use(memo)
            if not future.done():
                future.set_result(memo)
            await self._settle()
        if self.is_quiet:
            self._remembered.is_live = True
        self._attended = False
        return self.take()

    def take(self) -> list[Action]:
        """Give what the function did since it was last asked."""
        actions, self._actions = self._actions, []
        return _without_what_was_taken_back(actions)

    @property
    def unasked(self) -> set[str]:
        """The open calls that the function, as far as it came, did not make again."""
        return self._remembered.unasked

    @property
    def unused(self) -> list[Memo]:
        """The results that the function, as far as it came, did not ask for."""
        return self._remembered.unused

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
            await thread.paused(self._busy, lambda: self._is_over or self.waits)
            return
        ready = getattr(self.loop, "_ready", None)  # what asyncio's loop is about to call: nothing, and everybody waits
        quiet = 0
        while quiet < _TURNS and not self._is_over:
            before = self._activity
            await asyncio.sleep(0)
            quiet = 0 if self._activity != before else quiet + 1
            # A turn later: a task that the function has just made itself makes its first call in that.
            if (quiet or self._quietness.gathers) and self.is_quiet:
                return
            if quiet and ready is not None and not ready:
                return

    @property
    def thread(self) -> int | None:
        """The thread of a sync function, None: it has none."""
        return None if self._thread is None else self._thread.ident

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
        return self._quietness.holds(len(self._waiting) + len(self._held))

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
            await self._unwinding.refuse(name, self.thread)
        identity = self._identity(name, key)
        memo = self._remembered.of(identity)
        if isinstance(call, StepCall) and call.cache is not None and self._remembered.is_new(identity):
            memo = await self._kept(identity, *call.cache[:2])
        if memo is not None:
            return await self._replayed(memo)
        future = self._future()
        self._waiting[identity] = future
        if self._remembered.asks_again(identity):
            self._activity += 1
            self._busy.set()
        else:
            self._did(Ask(identity=identity, call=call, arguments=Payload(arguments)))
        try:
            return value_of(await future)
        except asyncio.CancelledError:
            if self._waiting.pop(identity, None) is not None and not self.closed:
                self._did(Leave(identity=identity))
            raise
        finally:
            del self._callers[future]
            del future  # else an error in it holds this frame, and this frame the error: garbage in a cycle

    def _future(self) -> asyncio.Future[Memo]:
        """Give what the present task is to wait for, and take note of the task."""
        task = asyncio.current_task()
        if self._workflow.is_async and task is not self._task:
            self._quietness.note(task)
        future: asyncio.Future[Memo] = self.loop.create_future()
        self._callers[future] = task
        return future

    def _identity(self, name: str, key: str) -> str:
        if self.closed:
            raise Leaving("the run has left")
        return self._remembered.identity(name, key)

    async def _replayed(self, memo: Memo) -> Json:
        """Give a remembered result when its turn has come."""
        self._activity += 1
        if self._remembered.is_used(memo):
            return value_of(memo)
        future = self._future()
        self._held[memo.number] = future, memo
        self._busy.set()
        if not self._attended:  # it waited for something that is no call, and nobody looks at what is held
            self._wake()
        try:
            return value_of(await future)
        finally:
            self._held.pop(memo.number, None)
            del self._callers[future]
            del future  # as above

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
        return self._remembered.kept(identity, value)

    async def gathered(self, all: asyncio.Future[T]) -> T:
        return await self._quietness.gathered(all)

    def alone(self, call: Awaitable[T]) -> asyncio.Task[T]:
        return self._quietness.alone(self.loop, call, self._is_done)

    def _is_done(self) -> None:
        self._activity += 1

    def note(self, name: str, key: str, make: Callable[[], Json]) -> Json:
        identity = self._identity(f"{name}:", key)
        noted = self._remembered.noted(identity)
        if noted is not None:
            return noted.value
        value = self.noted(identity, make)
        self._tell(Note(identity=identity, value=Payload(value)))
        return value

    def noted(self, identity: str, make: Callable[[], Json]) -> Json:
        """Give what a run is to remember under an identity; a simulation gives what it can give again."""
        return make()

    def is_patched(self, name: str) -> bool:
        identity = f"patched:({name})"
        if name in self._patches:
            return self._patches[name]
        noted = self._remembered.noted(identity)
        if noted is not None:
            answer = bool(noted.value)
        else:
            answer = not self._remembered.replays
            self._tell(Note(identity=identity, value=Payload(answer)))
        self._patches[name] = answer
        return answer

    def show(self, show: Show) -> None:
        if not self._remembered.replays:
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


def _without_what_was_taken_back(actions: list[Action]) -> list[Action]:
    """Leave out calls that were made and left again before anybody heard of them."""
    left = {action.identity for action in actions if isinstance(action, Leave)}
    asked = {action.identity for action in actions if isinstance(action, Ask)}
    void = left & asked
    if not void:
        return actions
    return [action for action in actions if not (isinstance(action, Ask | Leave) and action.identity in void)]
