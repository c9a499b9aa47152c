"""Warm processes that evaluate the expressions that must not run on the node's loop.

Each process takes one request at a time, in the order of asking. When all are busy for long, spare ones take what
waits, so that a hung expression delays nobody. A process that exceeds the deadline is killed; the next request starts
another.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from interlock import telemetry
from interlock.errors import Environment, ExpressionDeadline
from interlock.expr import evaluation, evaluator_process
from interlock.expr.evaluator_process import LENGTH_BYTES, READY
from interlock.model import json
from interlock.service import Service

DEADLINE_SECONDS: Final = 2.0
MEMORY_BYTES: Final = 512 * 1024 * 1024
_GRACE_SECONDS: Final = 1.0
"""How much longer than the deadline a process lets itself live, in case its node is not there to kill it."""

_answers: Final[msgspec.json.Decoder[evaluation.Answer]] = msgspec.json.Decoder(evaluation.Answer)


_START_SECONDS: Final = 30.0
"""A process that is not ready by then never will be: on a busy machine the interpreter takes seconds to begin."""
_LEAVE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.1
"""A request that finds every process busy for so long gets a spare one: the busy ones are probably hung."""
_SPARE_PROCESSES: Final = 6


class Evaluators(Service):
    """At least two evaluator processes of a node, started when first needed.

    `deadline_seconds` counts from the moment a process that is ready takes the request: how long a machine takes to
    start one says nothing about the expression. `memory_bytes` limits the address space of each process.
    """

    def __init__(
        self, processes: int = 2, deadline_seconds: float = DEADLINE_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._memory_bytes = memory_bytes
        self._warm = max(2, processes)
        self._all: list[_Evaluator] = []
        self._idle: asyncio.Queue[_Evaluator] = asyncio.LifoQueue()  # the one used last is the warmest
        for _ in range(self._warm):
            self._idle.put_nowait(self._another())
        self._stopped = False

    async def start(self) -> None:
        self._stopped = False

    async def stop(self) -> None:
        """End every process; requests in flight raise Environment."""
        self._stopped = True
        await asyncio.gather(*(evaluator.stop() for evaluator in self._all))

    async def evaluate(self, request: evaluation.Request) -> evaluation.Answer:
        """Give the answer to a request: what it evaluates to, or why it does not.

        Raises Environment when the evaluators are stopped meanwhile, or when a process does not start, which says
        nothing about the expression.
        """
        message = json.encode(request)
        async with self._turn() as evaluator:
            try:
                await evaluator.start()
                async with asyncio.timeout(self._deadline_seconds):
                    return _answers.decode(await evaluator.ask(message))
            except TimeoutError:
                reason = f"it ran longer than {self._deadline_seconds:g} s"
            except (asyncio.IncompleteReadError, ConnectionError):
                reason = f"its process died; it may take {self._memory_bytes // 2**20} MiB of memory"
        self._check_running()
        telemetry.emit("expression.killed", source=request.source, reason=reason)
        return evaluation.Failure(ExpressionDeadline.code, f"{reason}, in the expression `{request.source}`")

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[_Evaluator]:
        """Lend a process. One that did not answer, for whatever reason, is ended: it would answer late."""
        evaluator = await self._claimed()
        try:
            self._check_running()
            yield evaluator
        finally:
            await asyncio.shield(self._give_back(evaluator))

    async def _give_back(self, evaluator: _Evaluator) -> None:
        is_spare = len(self._all) > self._warm
        if is_spare:
            self._all.remove(evaluator)
        if is_spare or not evaluator.is_idle:
            await evaluator.stop()
        if not is_spare:
            self._idle.put_nowait(evaluator)

    async def _claimed(self) -> _Evaluator:
        """Give an idle process, or a spare one when all have been busy for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._idle.get()
        if len(self._all) < self._warm + _SPARE_PROCESSES:
            return self._another()
        return await self._idle.get()

    def _another(self) -> _Evaluator:
        evaluator = _Evaluator(self._deadline_seconds, self._memory_bytes)
        self._all.append(evaluator)
        return evaluator

    def _check_running(self) -> None:
        if self._stopped:
            raise Environment("the evaluators of this node are stopped")


class _Evaluator:
    """One process, started anew after each end."""

    def __init__(self, deadline_seconds: float, memory_bytes: int) -> None:
        self._arguments = (str(memory_bytes), str(deadline_seconds + _GRACE_SECONDS))
        self._process: asyncio.subprocess.Process | None = None
        self.is_idle = True
        """No question is open."""

    async def start(self) -> None:
        """Have a process that is ready.

        Raises IncompleteReadError when it dies before it is, Environment when it takes longer than anything explains.
        """
        if self._process is not None:
            return
        self.is_idle = False  # until it says that it is ready, only force ends it
        process = self._process = await self._started()
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                await process.stdout.readexactly(len(READY))
        except TimeoutError:
            raise Environment(
                f"the process {process.pid}, which evaluates expressions, was not ready after {_START_SECONDS:g} s;"
                " is the machine overloaded?"
            ) from None

    async def ask(self, message: bytes) -> bytes:
        """Give the answer of a started process. Raises IncompleteReadError or ConnectionError when the process dies."""
        self.is_idle = False
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big"))
        process.stdin.write(message)
        await process.stdin.drain()
        length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
        answer = await process.stdout.readexactly(length)
        self.is_idle = True
        return answer

    async def stop(self) -> None:
        """End the process, if there is one: an idle one by closing its input, one at work by force."""
        process, self._process = self._process, None
        was_idle, self.is_idle = self.is_idle, True
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS if was_idle else 0):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            evaluator_process.__name__,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal is the node's to handle
        )
