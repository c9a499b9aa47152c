"""What a worker process of Ray does with an attempt. It is sent as bytes and gives pieces back, so that Ray pickles values
only; Ray's own library is not needed here.

A piece is a kind and bytes: `STARTED`, `ALIVE`, the name of a stream with text, last `OUTCOME` with the outcome as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from interlock.model.task import Outcome
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool

STARTED: Final = "started"
ALIVE: Final = "alive"
OUTCOME: Final = "outcome"
_PIECE_SECONDS: Final = 0.25
"""Ray cancels between two pieces: one is given so often even when nothing is said."""
_END_SECONDS: Final = 10.0  # a local pool has ended an attempt after 7
_NODE_SECONDS: Final = 0.5
_WATCHER: Final = "raylet watcher"
_FUNCTIONS: Final = "interlock.runner.call"  # pools know it by name only
_DEVICES: Final = "CUDA_VISIBLE_DEVICES"
_launches: Final[msgspec.json.Decoder[Launch]] = msgspec.json.Decoder(Launch)

Piece = tuple[str, bytes]


def run_command(text: bytes, result_bytes: int) -> Iterator[Piece]:
    """Run a command or script under a supervisor, which ends it when this process dies; cancelling ends it in order.

    Ray kills the children of a worker when that ends with its node, so the supervisor is none.
    """
    _end_with_node()
    launch = _launches.decode(text)
    if _DEVICES in os.environ:  # what Ray has given to this task
        environment = launch.environment | {_DEVICES: os.environ[_DEVICES]}
        launch = msgspec.structs.replace(launch, environment=environment, devices=())
    command = _Command(launch, result_bytes)
    command.start()
    yield STARTED, b""
    try:
        while True:
            try:
                piece = command.pieces.get(timeout=_PIECE_SECONDS)
            except queue.Empty:
                piece = (ALIVE, b"")
            yield piece
            if piece[0] == OUTCOME:
                return
    finally:
        command.end()


def run_function(text: bytes, result_bytes: int) -> Iterator[Piece]:
    """Call a function in this process, where it can use Ray; what it prints comes when it has returned.

    The process must not be used again: variables and imported modules are those of the attempt.
    """
    _end_with_node()
    launch = _launches.decode(text)
    yield STARTED, b""
    os.environ.update(launch.environment)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        for stream, file in ((1, out), (2, err)):
            os.dup2(file.fileno(), stream)
        outcome = importlib.import_module(_FUNCTIONS).perform(launch.target, launch.folder)
        sys.stdout.flush()
        sys.stderr.flush()
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            if printed := file.read(result_bytes):
                yield name, printed
    yield OUTCOME, msgspec.json.encode(outcome)


def _end_with_node() -> None:
    """End this process soon after the raylet that started it: the node is lost then, and its attempts are made again
    elsewhere. Ray itself lets a task that is at work go on. The supervisor of a command ends with this process."""
    raylet = os.getppid()
    if any(thread.name == _WATCHER for thread in threading.enumerate()):
        return

    def watch() -> None:
        while os.getppid() == raylet:
            time.sleep(_NODE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name=_WATCHER, daemon=True).start()


class _Command(threading.Thread):
    """A local pool for one attempt, on a loop of its own."""

    def __init__(self, launch: Launch, result_bytes: int) -> None:
        super().__init__(name="attempt", daemon=True)
        self.pieces: queue.Queue[Piece] = queue.Queue()
        self._launch = launch
        self._result_bytes = result_bytes
        self._loop = asyncio.new_event_loop()
        self._is_wanted = asyncio.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            outcome = self._loop.run_until_complete(self._perform())
            self.pieces.put((OUTCOME, msgspec.json.encode(outcome)))
        finally:
            self._loop.close()

    def end(self) -> None:
        """End the attempt if it has not ended, and wait for that."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._is_wanted.set)
        self.join(_END_SECONDS)

    async def _perform(self) -> Outcome:
        pool = LocalPool(warm=0, result_bytes=self._result_bytes, apart=True)
        running = await pool.launch(
            self._launch, lambda stream, text: self.pieces.put((stream, text.encode("utf-8", "surrogatepass")))
        )
        ending = asyncio.create_task(self._is_wanted.wait())
        outcome = asyncio.create_task(running.outcome())
        await asyncio.wait([ending, outcome], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        await pool.stop()
        return await outcome
