"""Where effects happen: inside a node, which takes them with it, or in processes beside it, which may outlive it for a while.

Both note for the ledger what an effect was launched with, and have it checked that its cause was durable by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock import errors
from interlock.flow import functions
from interlock.flow.python import step_context
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, PythonTarget, ShellTarget
from interlock.pool.launcher import Launch, Launcher, OnOutput, Running
from simulation import programs
from simulation.ledger import LAUNCH
from simulation.loop import ACTOR, Actor, SimulatedLoop

_START_SECONDS: Final = 0.02

Check = Callable[[Launch], None]


class Inside:
    """The pool of one node's own functions, watched."""

    def __init__(self, launcher: Launcher, check: Check) -> None:
        self._launcher = launcher
        self._check = check

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        self._check(launch)
        LAUNCH.set(launch)
        return await self._launcher.launch(launch, on_output)

    def is_left(self, launch: Launch) -> bool:
        return self._launcher.is_left(launch)

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        return await self._launcher.adopt(launch, on_output)


class Host:
    """A machine: the processes that nodes started on it, by attempt."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        self.loop: Final = loop
        self.name: Final = name
        self.actor: Final = Actor(name)
        self.runners: Final[dict[str, Runner]] = {}
        loop.add(self.actor)

    def left(self, node: Actor) -> None:
        """A node's process has ended, so its runners are on their own."""
        for runner in list(self.runners.values()):
            if runner.node is node:
                runner.orphaned()


class Runner:
    """A process that executes one attempt; it is its own supervisor."""

    def __init__(self, host: Host, node: Actor, launch: Launch) -> None:
        self.host: Final = host
        self.node = node
        self.launch: Final = launch
        self.result: Outcome | None = None
        self.attendant: Attended | None = None
        self.orphan_grace_seconds = launch.orphan_grace_seconds
        host.runners[launch.attempt] = self
        context = host.actor.context.copy()
        context.run(LAUNCH.set, launch)
        context.run(step_context.set, launch.environment)
        self._task = host.loop.create_task(self._run(), context=context)

    async def _run(self) -> None:
        try:
            await asyncio.sleep(_START_SECONDS)
            self.result = await _performed(self.launch)
        except asyncio.CancelledError:
            self.result = Cancelled()
        finally:
            if self.attendant is not None:
                self.attendant.news.set()

    def kill(self) -> None:
        self.host.loop.call_soon(self._task.cancel, context=self.host.actor.context.copy())

    def attended(self, node: Actor, orphan_grace_seconds: float) -> Attended:
        """Belong to a node from now on. The one before, if it still lives, is told."""
        before, self.attendant = self.attendant, Attended(self)
        if before is not None:
            before.news.set()
        if self.result is not None:
            self.attendant.news.set()
        self.node = node
        self.orphan_grace_seconds = orphan_grace_seconds
        return self.attendant

    def orphaned(self) -> None:
        """Wait for a while to be adopted, then end."""
        node = self.node

        def give_up() -> None:
            if self.node is node:
                self.forget()
                self.kill()

        self.host.loop.call_later(self.orphan_grace_seconds, give_up, context=self.host.actor.context.copy())

    def forget(self) -> None:
        self.host.runners.pop(self.launch.attempt, None)


async def _performed(launch: Launch) -> Outcome:
    match launch.target:
        case PythonTarget() as target:
            prepared = functions.prepared(target, launch.folder)
            try:
                return prepared.result(await prepared.call())
            except Exception as error:  # noqa: BLE001 (whatever a function raises is its outcome)
                return prepared.failed(error)
        case ShellTarget(arguments=(at, n, k, seconds)):
            value = await programs.performed(at, int(n), int(k), float(seconds))
            return Done({"code": 0, "stdout": str(value), "stderr": ""})
        case ShellTarget(arguments=(at, n, k, seconds, fails)):
            try:
                await programs.performed(at, int(n), int(k), float(seconds), int(fails))
            except programs.Burnt as error:
                burnt = Fault(type=fault.RUNTIME, status=500, title="Burnt", detail=str(error))
                return Failed(FailureClass.APPLICATION, burnt)
            return Done({"code": 0, "stdout": "", "stderr": ""})
        case target:
            raise AssertionError(f"no tree asks for {target}")


class Beside:
    """The pool `local` of one node: processes on its host."""

    def __init__(self, host: Host, check: Check) -> None:
        self._host = host
        self._check = check

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        self._check(launch)
        node = ACTOR.get()
        assert node is not None
        return Runner(self._host, node, launch).attended(node, launch.orphan_grace_seconds)

    def is_left(self, launch: Launch) -> bool:
        runner = self._host.runners.get(launch.attempt)
        return runner is not None and runner.orphan_grace_seconds > 0  # else nobody finds its spool

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Running:
        runner = self._host.runners.get(launch.attempt)
        if runner is None:
            raise errors.LeaseLost(f"nothing is left of the attempt {launch.attempt}")
        node = ACTOR.get()
        assert node is not None
        return runner.attended(node, launch.orphan_grace_seconds)


class Attended:
    """A runner in the hands of a node."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.news = asyncio.Event()
        """The runner has ended, or another node has it."""

    async def outcome(self) -> Outcome:
        while self._runner.result is None:
            await self.news.wait()
            self._check_ours()
        return self._runner.result

    def _check_ours(self) -> None:
        if self._runner.attendant is not self:
            raise errors.LeaseLost(f"another node has the attempt {self._runner.launch.attempt}")

    async def cancel(self) -> None:
        if self._runner.attendant is self:
            self._runner.kill()
            await self.news.wait()
            self._runner.forget()

    async def forget(self) -> None:
        if self._runner.attendant is self:
            self._runner.forget()

    async def detach(self) -> None:
        if self._runner.orphan_grace_seconds == 0:
            await self.cancel()
        elif self._runner.attendant is self:
            self._runner.orphaned()
