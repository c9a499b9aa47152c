"""Drives runs: load, decide, commit, and only then act.

One `LiveRun` per run that this node owns; its causes wait in a mailbox and are decided one after the other by a driver
task that exists only while there is something to do. A run that waits for long keeps no state in memory.

No effect starts before the commit that asked for it is durable, and nothing acts on a run whose commit was refused: a
refusal means that another node owns it, and the run is dropped at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.engine import cause as causes
from interlock.engine import state as states
from interlock.engine.cause import Cause, Continue, Drain, Recover, Settled, Start, Tick
from interlock.engine.children import Children
from interlock.engine.commits import Commits
from interlock.engine.conclusion import Conclusion, Conclusions
from interlock.engine.deciding import Deciding
from interlock.engine.handing import Handing
from interlock.engine.inbox import Inbox
from interlock.engine.live import Evaluates, Graphs, Keeps, LiveRun, Performs, Refuses, Workflows
from interlock.engine.loading import Loading
from interlock.engine.machine import MAX_PAYLOAD_BYTES, TOKEN_SECONDS, Decision
from interlock.engine.parking import Parking
from interlock.engine.patience import Patience
from interlock.engine.performing import Performing
from interlock.engine.programs import Programs, leave
from interlock.engine.python import Program
from interlock.engine.recollection import Recollection
from interlock.engine.rows import Rows
from interlock.engine.timers import Timers
from interlock.flow.graph import Graph
from interlock.model.payload import Payload
from interlock.model.task import Place
from interlock.service import Clock, Service
from interlock.store.ports import Claimed, Committed, InboxRow, NewRun, Store

_ACCEPTED_AT_ONCE: Final = 500  # runs on their way into the store, a group of commits; more would only wait in memory
_REMEMBERED: Final = 100  # reasons why a run was given up


class Engine(Service):
    """The runs of one node.

    `patient`: wait for a store that is away for as long as it takes; else let the run's waiter see the error. `refuses`:
    what takes back the runs that this node cannot execute; without it they are given up here. `may_act`: whether the
    node's lease is beyond doubt; no effect begins before it is.
    """

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        graphs: Graphs,
        performer: Performs,
        evaluators: Evaluates,
        secrets: Keeps,
        workflows: Workflows,
        *,
        rows: Rows | None = None,
        patient: bool = True,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        refuses: Refuses | None = None,
        may_act: Callable[[], bool] = lambda: True,
        program: type[Program] = Program,
        token_seconds: float = TOKEN_SECONDS,
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self.rows = rows or Rows()
        self._patiently = Patience(node, patient=patient)
        self._given_up: dict[str, BaseException] = {}
        """Why runs were given up that this node cannot execute, which somebody may ask for a moment later."""
        self._inbox = Inbox(node, store, self._receive, self._takes)
        self._loading = Loading(store, graphs, self.rows, self._patiently, refuses, self._inbox)
        recollection = Recollection(store, self.rows, self._patiently)
        self._deciding = Deciding(
            clock, evaluators, secrets, max_payload_bytes, recollection.undos, recollection.heard, token_seconds
        )
        self._programs = Programs(
            store, clock, self.rows, self._deciding, workflows, self._patiently, lambda live: self._wake(live), program
        )
        children = Children(node, store, clock, self.rows, Handing(graphs, secrets))
        self._commits = Commits(store, clock, self.rows, children, self._patiently)
        self._performing = Performing(performer, may_act, self._settled)
        self._runs: dict[str, LiveRun] = {}
        self._accepting = asyncio.Semaphore(_ACCEPTED_AT_ONCE)
        self._conclusions = Conclusions()
        self._timers = Timers(clock, self._due)
        self._parking = Parking(clock, self._runs, self._timers)
        self._stopping = False
        self._draining = False
        self._refuses = refuses

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._inbox.start()
        self._parking.start()

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Begin no effect any more and wait until those in flight have ended, at most so long, or until `hurry`."""
        self._performing.close()
        end = self._clock.monotonic() + seconds
        hurried = asyncio.create_task(hurry.wait())
        try:
            while not hurry.is_set() and (
                effects := [each for live in self._runs.values() for each in live.effects.values()]
            ):
                left = end - self._clock.monotonic()
                if left <= 0:
                    return
                await asyncio.wait([*effects, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()

    async def catch_up(self, seconds: float) -> None:
        """Apply what is in the inbox, as far as that takes no longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._inbox.pull()
                while drivers := [live.driver for live in self._runs.values() if live.driver is not None]:
                    await asyncio.wait(drivers)

    async def drain(self, grace_seconds: float) -> None:
        """Give every run back: its effects in flight are stopped and noted as such, so that the next owner repeats them
        without counting them as lost. What does not end within the grace is left to `stop`."""
        self._draining = True
        self._timers.stop()
        for live in list(self._runs.values()):
            if live.state is not None or live.driver is not None:  # a parked run has nothing in flight
                self._deliver(live, Drain(), 0)
        drivers = [live.driver for live in self._runs.values() if live.driver is not None]
        if drivers:
            await asyncio.wait(drivers, timeout=grace_seconds)

    async def stop(self) -> None:
        """Stop deciding, then stop the effects in flight; the store keeps everything that happened."""
        self._stopping = True
        tasks = self._inbox.stop() + self._loading.stop()
        self._timers.stop()
        self._parking.stop()
        for live in list(self._runs.values()):
            tasks += self._drop(live)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._performing.ending, return_exceptions=True)

    def abandon(self, error: errors.Environment) -> None:
        """Drop every run and stop its effects at once, unrecorded: others own them now. Who waits for one gets `error`."""
        self._stopping = True
        for live in list(self._runs.values()):
            self._give_up(live, error)

    # -- runs in -------------------------------------------------------------------------------------------------

    async def accept(
        self, new: NewRun, graph: Graph, input: Payload, conclusion: Conclusion | None = None
    ) -> Committed:
        """Accept a run and begin it in the same commit. Durable when it returns APPLIED; EXISTS: the id is taken.

        `conclusion` is told how the run ended, or that this node has nothing to do with it any more.

        Raises LeaseLost when this node stops, or is given up for dead, before the commit.
        """
        async with self._accepting:
            return await self._begun(new, graph, input, conclusion)

    async def accept_all(self, given: Sequence[tuple[NewRun, Payload, Conclusion]], graph: Graph) -> list[Committed]:
        """Accept runs of one definition, as `accept` does with each, but without a task for each."""
        found: list[Committed] = []
        for first in range(0, len(given), _ACCEPTED_AT_ONCE):
            part = given[first : first + _ACCEPTED_AT_ONCE]
            accepted = [self._begun(new, graph, input, conclusion) for new, input, conclusion in part]
            await asyncio.wait(accepted)
            found += await asyncio.gather(*accepted)  # it takes note of every error, and raises the first
        return found

    def _begun(
        self, new: NewRun, graph: Graph, input: Payload, conclusion: Conclusion | None
    ) -> asyncio.Future[Committed]:
        """Begin a run that is accepted with its first commit; gives what tells whether it was."""
        if self._stopping or self._draining or self._performing.is_closed:
            raise _stops(new.run)
        text, large = self.rows.input(input)
        accepted: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        live = self._runs[new.run] = LiveRun(
            run=new.run,
            epoch=1,
            state=states.new(new.run, new.namespace, new.id, input),
            graph=graph,
            place=Place(run=new.run, namespace=new.namespace, id=new.id, folder=new.folder),
            accept=msgspec.structs.replace(new, input=text),
            accept_large=large,
            accepted=accepted,
        )
        self._conclusions.expect(new.run, conclusion)
        self._deliver(live, Start(), 0)
        return accepted

    async def adopt(self, claimed: Claimed) -> None:
        """Go on with a run that this node now owns."""
        live = self._anew(claimed.run, claimed.epoch)
        self._deliver(live, Recover() if claimed.was_live else Start(), 0)

    async def adopt_reopened(self, run: str, epoch: int) -> None:
        """Go on with a faulted run that was given to this node; its `reopen` waits in the inbox."""
        self._deliver(self._anew(run, epoch), Continue(), 0)

    def _anew(self, run: str, epoch: int) -> LiveRun:
        """Give a run of the store a place here. This node may have it from before: it was given up for dead, and took the run
        again before it learnt that. What was under way then counts no more."""
        before = self._runs.get(run)
        if before is not None:
            self._give_up(before, errors.StaleEpoch(f"the run {run} was taken from this node, which has it again"))
        live = self._runs[run] = LiveRun(run=run, epoch=epoch)
        return live

    async def wait(self, run: str) -> None:
        """Wait until this node has nothing more to do with a run. Raises what made it give up, if anything did."""
        live = self._runs.get(run)
        if live is None and run in self._given_up:
            raise self._given_up.pop(run)  # before anybody waited
        if live is not None:
            live.gone = live.gone or asyncio.Event()
            await live.gone.wait()
            if live.error is not None:
                self._given_up.pop(run, None)
                raise live.error

    def knows(self, run: str) -> bool:
        """Say whether this node is at work for a run."""
        return run in self._runs

    @property
    def runs(self) -> int:
        """How many runs this node owns."""
        return len(self._runs)

    @property
    def next_moment(self) -> float | None:
        """When, by the clock, the next run goes on that waits for a moment."""
        return self._timers.next

    def look(self) -> None:
        """Go on with the runs whose moment has come: somebody moved the clock."""
        self._timers.look()

    def busy(self) -> list[str]:
        """Give what is under way in this node, such as `run 0197… performs 2 effects`; nothing: all runs wait, or ended."""
        found = ["looks at its inbox"] if self._inbox.is_looking else []
        return found + [what for live in self._runs.values() if (what := live.busy()) is not None]

    @property
    def may_go_on(self) -> bool:
        """Whether the function of a run may do something by itself: it waits for calls, and perhaps for more than that."""
        programs = [live.program for live in self._runs.values() if live.program is not None]
        return any(not program.is_quiet and not program.has_ended for program in programs)

    def _takes(self) -> bool:
        return bool(self._runs) and not self._stopping and not self._draining

    # -- causes --------------------------------------------------------------------------------------------------

    def _receive(self, row: InboxRow) -> bool:
        """Deliver a row of the inbox; one that cannot be read stops its own run only. False: no run here had to be told."""
        live = self._runs.get(row.run)
        if live is None or live.accept is not None or not self._inbox.note(row.run, row.number):
            return False
        try:
            cause = causes.decode(row.cause)
        except msgspec.MsgspecError as error:
            text = f"row {row.number} in the inbox of the run {live.run} cannot be read: {error}"
            self._give_up(live, errors.StoreCorrupt(text))
            return True
        self._deliver(live, cause, row.number)
        return True

    def _deliver(self, live: LiveRun, cause: Cause, number: int) -> None:
        live.mailbox.append((cause, number))
        if live.driver is None and not self._stopping:
            live.driver = asyncio.create_task(self._drive(live), name=f"run-{live.run}")

    def _due(self, run: str) -> None:
        live = self._runs.get(run)
        if live is not None:
            self._deliver(live, Tick(), 0)

    # -- driving -------------------------------------------------------------------------------------------------

    async def _drive(self, live: LiveRun) -> None:
        """Decide and commit until the mailbox is empty."""
        try:
            if live.state is None:
                await self._loading.load(live)
            assert live.graph is not None
            decides = self._deciding if live.graph.program is None else self._programs
            while live.mailbox and live.run in self._runs and not live.drained:
                await self._commit(live, *await decides.next(live))
        except asyncio.CancelledError:
            raise
        except errors.StaleEpoch as error:  # as when a commit is refused: another node has it by now
            self._give_up(live, error)
        except (errors.CannotExecute, errors.Invalid) as error:
            telemetry.emit("run.refused", run=live.run, definition=live.definition, error=error)
            self._give_up(live, error)
            if self._refuses is not None:
                self._refuses.refuse(live.run, live.epoch, live.definition, str(error))
        except Exception as error:  # noqa: BLE001 (whoever waits for the run is told; other runs go on)
            telemetry.emit("run.dropped", run=live.run, error=error)
            self._give_up(live, error)
        finally:
            live.driver = None
        if live.run in self._runs and not self._draining:
            self._parking.rest(live)

    async def _settled(self, live: LiveRun, cause: Settled) -> None:
        """Decide about the end of an effect in its own task, unless somebody decides for its run now."""
        live.mailbox.append((cause, 0))
        if live.driver is None and not self._stopping:
            live.driver = asyncio.current_task()  # it has nothing else to do, and a task of its own would cost a turn
            await self._drive(live)

    # -- committing ----------------------------------------------------------------------------------------------

    async def _commit(self, live: LiveRun, work: Decision, consumed: list[int]) -> None:
        """Make a decision durable, and only then act on it."""
        if not work.events and not consumed and live.accept is None:
            return
        batch = await self._commits.commit(live, work, consumed)
        if batch is None:
            self._give_up(live, errors.StaleEpoch(f"the run {live.run} belongs to another node"))
            return
        self._performing.follow(live, work)
        assert live.state is not None
        if live.state.ended or live.drained:
            self._finish(live)
        for child in batch.children:
            self._begin(child)

    def _begin(self, child: NewRun) -> None:
        """Execute a child run that this commit accepted."""
        if child.owner == self._node and not self._draining:
            live = LiveRun(run=child.run, epoch=1)
            self._runs[child.run] = live
            self._deliver(live, Start(), 0)

    # -- runs out ------------------------------------------------------------------------------------------------

    def _wake(self, live: LiveRun) -> None:
        """The function of a run did something by itself."""
        if self._runs.get(live.run) is live and not self._draining:
            self._deliver(live, Continue(), 0)

    def _finish(self, live: LiveRun) -> None:
        for task in self._drop(live):
            if task is not asyncio.current_task():
                self._performing.end(task)

    def _give_up(self, live: LiveRun, error: BaseException) -> None:
        live.error = error
        if isinstance(error, errors.CannotExecute | errors.Invalid):
            self._given_up[live.run] = error
        while len(self._given_up) > _REMEMBERED:
            del self._given_up[next(iter(self._given_up))]
        if live.accepted is not None and not live.accepted.done():
            live.accepted.set_exception(error)
        self._finish(live)

    def _drop(self, live: LiveRun) -> list[asyncio.Task[None]]:
        """Forget a run and give the tasks that still work for it."""
        if self._runs.get(live.run) is live:
            del self._runs[live.run]
            self._parking.forget(live.run)
            self._inbox.forget(live.run)
            self._conclusions.tell(live.run, live.state if live.error is None else None)
        leave(live, "the run is over here")
        if live.accepted is not None and not live.accepted.done():
            live.accepted.set_exception(_stops(live.run))
        tasks = list(live.effects.values())
        live.effects.clear()
        if live.driver is not None:
            tasks.append(live.driver)
        if live.gone is not None:
            live.gone.set()
        return tasks


def _stops(run: str) -> errors.LeaseLost:
    return errors.LeaseLost(f"this node stops; whether the run {run} was accepted is told by `interlock list`")
