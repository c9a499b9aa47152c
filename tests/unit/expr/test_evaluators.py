"""Evaluator processes: deadlines, memory, no process left behind."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock.errors import Environment
from interlock.expr import evaluation, evaluator_process
from interlock.expr.evaluation import Failure, Request, Value
from interlock.expr.evaluators import Evaluators
from interlock.model import json

ENDLESS = Request("last(range(1e12))", None, {})
HOSTILE_PATTERN = Request('test("(a+)+$")', "a" * 40 + "b", {})


@pytest.fixture
async def evaluators() -> AsyncIterator[Evaluators]:
    service = Evaluators(deadline_seconds=1.5, memory_bytes=256 * 2**20)
    await service.start()
    yield service
    await service.stop()
    assert _processes(service) == []


async def test_costly_expressions_are_answered(evaluators: Evaluators) -> None:
    assert await evaluators.evaluate(Request("[range(.n)] + [$x]", {"n": 2}, {"x": 2**80})) == Value([0, 1, 2**80])
    assert await evaluators.evaluate(Request("error(.)", "no", {})) == Failure(
        "expression", "no, in the expression `error(.)`"
    )


@pytest.mark.slow
async def test_hung_expressions_end_at_their_deadline_and_delay_nobody() -> None:
    """WF-13: two hung at once, in Python and in C code, while others are answered."""
    evaluators = Evaluators(deadline_seconds=4)
    await asyncio.gather(*(evaluators.evaluate(Request("[range(1)]", None, {})) for _ in range(2)))
    hung = [asyncio.create_task(evaluators.evaluate(request)) for request in (ENDLESS, HOSTILE_PATTERN)]
    assert await evaluators.evaluate(Request("[range(1)]", None, {})) == Value([0])
    assert not any(task.done() for task in hung)
    for answer in await asyncio.gather(*hung):
        assert isinstance(answer, Failure)
        assert answer.code == "expression-deadline"
        assert answer.message.startswith("it ran longer than 4 s, in the expression")
    assert await evaluators.evaluate(Request("[range(2)]", None, {})) == Value([0, 1])
    await evaluators.stop()


@pytest.mark.parametrize("source", ['"a" * 1e9', 'reduce range(60) as $i ("a"; . + .)', "try [range(1e9)] catch 0"])
async def test_hungry_expressions_fail_by_name(evaluators: Evaluators, source: str) -> None:
    answer = await evaluators.evaluate(Request(source, None, {}))
    assert isinstance(answer, Failure)
    assert answer.code in ("expression-deadline", "expression")


async def test_many_requests_wait_their_turn(evaluators: Evaluators) -> None:
    requests = [Request(f"[range({number})] | length", None, {}) for number in range(40)]
    answers = await asyncio.gather(*map(evaluators.evaluate, requests))
    assert answers == [Value(number) for number in range(40)]


async def test_slow_start_is_not_the_expression_s_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The deadline counts from the moment a process is ready: an interpreter that takes longer changes no answer."""
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 1\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(slow))
    evaluators = Evaluators(deadline_seconds=0.9)
    assert await evaluators.evaluate(Request("[range(1)]", None, {})) == Value([0])
    await evaluators.stop()


async def test_process_that_never_gets_ready_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dead = tmp_path / "python"
    dead.write_text("#!/bin/sh\nexec sleep 60\n")
    dead.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(dead))
    monkeypatch.setattr("interlock.expr.evaluators._START_SECONDS", 0.2)
    evaluators = Evaluators()
    with pytest.raises(Environment, match="was not ready after"):
        await evaluators.evaluate(Request("[range(1)]", None, {}))
    assert _processes(evaluators) == []
    await evaluators.stop()


async def test_process_that_dies_is_replaced(evaluators: Evaluators) -> None:
    await evaluators.evaluate(Request("[range(1)]", None, {}))
    task = asyncio.create_task(evaluators.evaluate(ENDLESS))
    os.kill((await _busy_ones(evaluators))[0], signal.SIGKILL)
    answer = await task
    assert isinstance(answer, Failure)
    assert "its process died; it may take 256 MiB of memory" in answer.message
    assert await evaluators.evaluate(Request("[range(1)]", None, {})) == Value([0])


async def test_cancelled_request_gives_no_answer_to_the_next(evaluators: Evaluators) -> None:
    task = asyncio.create_task(evaluators.evaluate(ENDLESS))
    await _busy_ones(evaluators)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await evaluators.evaluate(Request("[range(1)]", None, {})) == Value([0])


@pytest.mark.slow
async def test_all_places_taken_makes_requests_wait() -> None:
    evaluators = Evaluators(deadline_seconds=1.5)
    hung = [asyncio.create_task(evaluators.evaluate(ENDLESS)) for _ in range(8)]
    async with asyncio.timeout(60):
        while len(evaluators._all) < 8:
            await asyncio.sleep(0.01)
    assert await evaluators.evaluate(Request("[range(1)]", None, {})) == Value([0])
    await asyncio.gather(*hung)
    assert len(_processes(evaluators)) <= 2
    await evaluators.stop()


async def test_stop_ends_what_is_in_flight_without_a_verdict() -> None:
    evaluators = Evaluators()
    await evaluators.start()
    task = asyncio.create_task(evaluators.evaluate(ENDLESS))
    busy = await _busy_ones(evaluators)
    await evaluators.stop()
    await evaluators.stop()
    with pytest.raises(Environment, match="stopped"):
        await task
    with pytest.raises(Environment, match="stopped"):
        await evaluators.evaluate(ENDLESS)
    assert not any(_is_alive(pid) for pid in busy)


def test_no_process_outlives_a_killed_node() -> None:
    """Idle ones end with their pipe, busy ones by the alarm they set themselves."""
    program = (
        "import asyncio\n"
        "from interlock.expr.evaluators import Evaluators\n"
        "from interlock.expr.evaluation import Request\n"
        "async def main():\n"
        "    evaluators = Evaluators(deadline_seconds=3)\n"
        "    await asyncio.gather(*(evaluators.evaluate(Request('[range(1)]', None, {})) for _ in range(2)))\n"
        "    print(*(e._process.pid for e in evaluators._all if e._process), flush=True)\n"
        "    await evaluators.evaluate(Request('last(range(1e12))', None, {}))\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        pids = [int(pid) for pid in node.stdout.readline().split()]
        node.kill()
    assert pids
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_process_answers_until_its_input_ends() -> None:
    assert _served("[range(.)]", "error")[0] == {"type": "value", "value": [0]}


def test_process_that_runs_out_of_memory_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is reached while Python allocates; where it is reached is not for a test to say."""
    evaluate = evaluation.answer

    def answer(request: Request) -> evaluation.Answer:
        if request.source == "too much":
            raise MemoryError
        return evaluate(request)

    monkeypatch.setattr(evaluation, "answer", answer)
    failure, value = _served("too much", "[range(.)]")
    assert failure["message"] == "it took more memory than an expression may take"
    assert value == {"type": "value", "value": [0]}


def _served(*sources: str) -> list[dict[str, Any]]:
    """Give what a process answers to requests about the value 1."""
    requests = [json.encode(Request(source, 1, {})) for source in sources]
    source = io.BytesIO(b"".join(len(request).to_bytes(4, "big") + request for request in requests))
    answers = io.BytesIO()
    evaluator_process.serve(source, answers, 5.0)
    answers.seek(0)
    assert answers.read(1) == evaluator_process.READY
    found: list[dict[str, Any]] = []
    while header := answers.read(4):
        found.append(json.decode(answers.read(int.from_bytes(header, "big"))))  # type: ignore[arg-type]  # objects, all of them
    return found


def _processes(evaluators: Evaluators) -> list[int]:
    return [evaluator._process.pid for evaluator in evaluators._all if evaluator._process is not None]


async def _busy_ones(evaluators: Evaluators) -> list[int]:
    """Give the processes that work on a request, as soon as there are some."""
    async with asyncio.timeout(60):
        while True:
            pids = [e._process.pid for e in evaluators._all if e._process is not None and not e.is_idle]
            if pids:
                return pids
            await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as status:  # a zombie whose new parent has not reaped it yet is dead
        return status.read().rsplit(") ", 1)[1][0] != "Z"
