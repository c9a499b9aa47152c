"""What the present function of a workflow makes of a run that began with other code."""

from __future__ import annotations

import asyncio
import time
import uuid as stdlib_uuid
from typing import Any

import pytest

from interlock import errors, gather, now, sleep, step, token, uuid, workflow
from interlock.engine.replaying import Replay, replayed
from interlock.flow.python import signature
from interlock.flow.python.durable import continue_as_new
from interlock.model.call import SleepCall, StepCall
from interlock.model.fault import RUNTIME, Fault
from interlock.model.memo import Memo
from interlock.model.payload import Payload
from interlock.model.task import Failed, FailureClass

MADE: list[str] = []


@step
async def double(n: int) -> int:
    MADE.append(f"double {n}")
    return 2 * n


@step
async def name(n: int) -> str:
    MADE.append(f"name {n}")
    return str(n)


def called(of: str, /, **arguments: Any) -> str:
    return f"{of}({signature.digest(arguments)})"


def memo(number: int, call: str, output: Any = None, failed: Failed | None = None) -> Memo:
    return Memo(number=number, call=call, at=float(number), output=None if failed else Payload(output), failed=failed)


async def over(function: Any, memos: list[Memo], open_calls: tuple[str, ...] = (), **more: Any) -> Replay:
    MADE.clear()
    replay = await replayed(function, more.pop("input", {"n": 3}), memos, open_calls, **more)
    assert MADE == [], "a replay performs nothing"
    return replay


@workflow(name="replaying-chain")
async def chain(n: int) -> str:
    m = await double(n)
    await sleep("1h")
    return await name(m)


CHAIN = [memo(1, called("double", n=3), 6), memo(2, "sleep(3600s)"), memo(3, called("name", n=6), "six")]


async def test_a_finished_run_comes_to_the_same_end() -> None:
    replay = await over(chain, CHAIN)
    assert replay.is_whole
    assert replay.ended
    assert replay.output == Payload("six")
    assert replay.new_calls == ()


async def test_a_run_that_waits_makes_its_open_call_again() -> None:
    replay = await over(chain, CHAIN[:1], ("sleep(3600s)",))
    assert replay.is_whole
    assert not replay.ended
    assert replay.new_calls == ()


async def test_the_next_call_of_a_run_is_new() -> None:
    replay = await over(chain, CHAIN[:1])
    assert [ask.identity for ask in replay.new_calls] == ["sleep(3600s)"]
    assert replay.new_calls[0].call == SleepCall(seconds=3600.0)


async def test_results_that_nobody_asks_for_are_unused() -> None:
    gone = memo(4, called("removed", n=1), 1)
    replay = await over(chain, [*CHAIN, gone])
    assert replay.unused == (gone,)
    assert replay.ended
    assert not replay.is_whole


async def test_a_call_that_is_not_made_again_is_unasked() -> None:
    replay = await over(chain, CHAIN[:1], ("sleep(60s)",))
    assert replay.unasked == ("sleep(60s)",)
    assert [ask.identity for ask in replay.new_calls] == ["sleep(3600s)"]


@workflow(name="replaying-inserted")
async def inserted(n: int) -> str:
    m = await double(n)
    await double(m)
    await sleep("1h")
    return await name(m)


async def test_a_call_that_is_new_in_the_middle_hides_what_is_behind_it() -> None:
    replay = await over(inserted, CHAIN)
    assert [ask.identity for ask in replay.new_calls] == [called("double", n=6)]
    assert isinstance(replay.new_calls[0].call, StepCall)
    assert replay.new_calls[0].arguments == Payload({"n": 6})
    assert [each.number for each in replay.unused] == [2, 3]
    assert not replay.ended


@workflow(name="replaying-gathered")
async def gathered(n: int) -> list[Any]:
    return list(await gather(double(n), name(n), double(n + 1)))


async def test_gathered_calls_take_their_results_in_any_order() -> None:
    memos = [memo(1, called("double", n=4), 8), memo(2, called("name", n=3), "3"), memo(3, called("double", n=3), 6)]
    replay = await over(gathered, memos)
    assert replay.output == Payload([6, "3", 8])


@workflow(name="replaying-wrong")
async def wrong(n: int) -> int:
    await double(n)
    raise LookupError(n)


async def test_what_the_function_raises_is_told() -> None:
    replay = await over(wrong, CHAIN[:1])
    assert isinstance(replay.error, LookupError)
    assert replay.error_memo is None
    assert replay.ended
    assert not replay.is_whole


async def test_what_a_remembered_step_raised_is_no_fault_of_the_code() -> None:
    fault = Fault(type=RUNTIME, status=500, title="ValueError", detail="no")
    replay = await over(chain, [memo(7, called("double", n=3), failed=Failed(FailureClass.APPLICATION, fault))])
    assert replay.error_memo == 7
    assert replay.is_whole


@step
async def counted(n: int) -> dict[str, int]:
    return {"n": n}


@workflow(name="replaying-typed")
async def typed(n: int) -> int:
    return (await counted(n))["n"]


async def test_a_result_of_another_type_is_an_error() -> None:
    replay = await over(typed, [memo(1, called("counted", n=3), "text")])
    assert isinstance(replay.error, errors.Misfit)


async def test_arguments_that_do_not_fit_are_an_error() -> None:
    replay = await over(chain, [], input={"m": 3})
    assert isinstance(replay.error, errors.Misfit)


@workflow(name="replaying-noting")
async def noting(n: int) -> list[str]:
    right = token("approval")
    return [now().isoformat(), str(uuid()), await right.text()]


async def test_what_was_noted_stays_and_what_was_not_is_made_up() -> None:
    memos = [memo(1, "token:(approval)", "ab" * 16), memo(2, "now:", 0.0)]
    replay = await over(noting, memos)
    assert replay.output is not None
    moment, _, text = replay.output.value
    assert moment == "1970-01-01T00:00:00+00:00"
    assert text == f"{stdlib_uuid.uuid5(stdlib_uuid.UUID('ab' * 16), 'replay').hex}.unsigned"


@workflow(name="replaying-rounds")
async def rounds(n: int) -> int:
    await double(n)
    continue_as_new(n + 1)


async def test_a_round_that_ends_is_told_with_its_next_input() -> None:
    replay = await over(rounds, CHAIN[:1])
    assert replay.ended
    assert replay.renewed == Payload({"n": 4})


@workflow(name="replaying-sync")
def synchronous(n: int) -> str:
    time.sleep(0.06)  # longer than the engine waits for a thread
    return name(double(n).result()).result()


async def test_a_sync_workflow_is_followed_in_its_thread() -> None:
    replay = await over(synchronous, [CHAIN[0], memo(2, called("name", n=6), "six")])
    assert replay.output == Payload("six")


@workflow(name="replaying-foreign")
async def foreign(n: int) -> str:
    for _ in range(3):
        await asyncio.sleep(0.03)  # what is no call, and takes longer than the patience altogether
        await double(n)
    first = asyncio.create_task(name(n))
    await asyncio.sleep(0.01)
    m = await double(1)
    return await first + str(m)


@pytest.mark.parametrize("patience_seconds", [0.08, 60.0])  # shorter than all of it takes; much longer
async def test_a_function_that_waits_for_what_is_no_call_is_given_time(patience_seconds: float) -> None:
    call = called("double", n=3)
    memos = [memo(1, call, 6), memo(2, f"{call}#2", 6), memo(3, f"{call}#3", 6)]
    memos += [memo(4, called("double", n=1), 2), memo(5, called("name", n=3), "three")]
    replay = await over(foreign, memos, patience_seconds=patience_seconds, longest_seconds=5.0)
    assert replay.output == Payload("three2")


@workflow(name="replaying-endless")
def endless(n: int) -> None:
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        uuid()


async def test_a_function_that_computes_for_ever_is_an_error_that_says_so() -> None:
    with pytest.raises(errors.Environment, match=r"replaying-endless came to no call within 0\.1 s"):
        await over(endless, [], longest_seconds=0.1)
