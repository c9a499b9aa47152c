"""A process that evaluates one expression after the other: `python -m interlock.expr.evaluator_process`.

It says that it is ready, reads requests from standard input and writes answers to standard output, each a JSON text
behind its length in four bytes, big-endian. Arguments: the memory it may take (bytes of address space), and how long one
evaluation may last (seconds) before the kernel ends the process. The node ends it sooner; it ends itself when its input
does, and at that time at the latest, so it does not outlive a node that was killed.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from typing import BinaryIO, Final

import msgspec

from interlock.errors import ExpressionDeadline
from interlock.expr import evaluation
from interlock.model import json

LENGTH_BYTES: Final = 4
READY: Final = b"\n"
"""What it writes before all answers, once it can take a request."""

_requests: Final = msgspec.json.Decoder(evaluation.Request)
_OUT_OF_MEMORY: Final = evaluation.Failure(ExpressionDeadline.code, "it took more memory than an expression may take")


def main(memory_bytes: int, evaluation_seconds: float) -> None:
    with contextlib.suppress(ValueError, OSError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    serve(sys.stdin.buffer, sys.stdout.buffer, evaluation_seconds)


def serve(requests: BinaryIO, answers: BinaryIO, evaluation_seconds: float) -> None:
    """Say that requests may come, and answer them until there are no more."""
    answers.write(READY)
    answers.flush()
    while len(header := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        request = requests.read(int.from_bytes(header, "big"))
        signal.setitimer(signal.ITIMER_REAL, evaluation_seconds)  # its default action needs no cooperation from Python
        answer = _answer(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(len(answer).to_bytes(LENGTH_BYTES, "big"))
        answers.write(answer)
        answers.flush()


def _answer(request: bytes) -> bytes:
    try:
        return json.encode(evaluation.answer(_requests.decode(request)))
    except MemoryError:
        return json.encode(_OUT_OF_MEMORY)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
