"""`crash_everywhere`: what is right passes, and each planted mistake is named, with its line."""

from __future__ import annotations

import os
from typing import Any

import pytest

from interlock import errors, sleep, step, token, wait_for_event, workflow
from interlock.testing import Kit
from interlock.testing.findings import Finding, NotCrashSafe
from unit.testing import planted, shop
from unit.testing.shop import Order


async def found(interlock: Kit, function: Any, *args: Any, **more: Any) -> list[Finding]:
    with pytest.raises(NotCrashSafe) as caught:
        await interlock.crash_everywhere(function, *args, **more)
    return list(caught.value.findings)


def places(findings: list[Finding]) -> set[tuple[str, str, str, int]]:
    return {(each.code, each.name, os.path.basename(each.file), each.line) for each in findings}


# -- what is right passes --------------------------------------------------------------------------------------------


@pytest.mark.chaos
async def test_a_workflow_of_ten_steps_with_everything_survives(interlock: Kit) -> None:
    asked: list[str] = []

    def approve() -> bool:
        asked.append("approval")
        return True

    report = await interlock.crash_everywhere(shop.fulfil, Order(1, 5000.0), answers={"approval": approve})
    assert report.attempts == 10
    assert report.commits >= 18
    assert report.repetitions > 2 * report.commits + 2 * report.attempts
    assert report.result["paid"] == "charged 10000"
    assert len(asked) == report.repetitions + 1
    assert shop.SENT == {}, "the world is as it was before"


@pytest.mark.slow
async def test_a_saga_survives_and_its_rollback_is_part_of_it(interlock: Kit) -> None:
    report = await interlock.crash_everywhere(shop.doomed, Order(1))
    assert report.attempts == 7, "four steps and three undos"
    assert report.result == "no courier for 1"


async def test_a_sync_workflow_survives(interlock: Kit) -> None:
    report = await interlock.crash_everywhere(shop.plain, Order(1))
    assert report.result == 20.0


async def test_stubs_count_in_every_repetition(interlock: Kit) -> None:
    interlock.stub(shop.price, side_effect=[1.0, 1.0])
    report = await interlock.crash_everywhere(shop.plain, Order(1))
    assert report.result == 1.0


async def test_events_are_answered(interlock: Kit) -> None:
    report = await interlock.crash_everywhere(shop.listening, answers={"paid": {"order": 7}})
    assert report.result == {"order": 7}


async def test_whoever_waits_may_be_told_by_the_test(interlock: Kit) -> None:
    async def pay(app: Kit) -> None:
        await app.send("paid", {"order": 7})

    report = await interlock.crash_everywhere(shop.listening, on_wait=pay)
    assert report.result == {"order": 7}


async def test_what_nobody_answers_is_told(interlock: Kit) -> None:
    with pytest.raises(errors.Invalid, match=r"kit-asking waits for what nobody answers: `token\(permit"):
        await interlock.crash_everywhere(asking)


@workflow(name="kit-asking")
async def asking() -> bool:
    return await token("permit").result(bool)


@workflow(name="kit-either")
async def either() -> object:
    return (await wait_for_event("never", timeout="1h"))["data"]


async def test_a_timeout_that_comes_is_a_result_like_any_other(interlock: Kit) -> None:
    report = await interlock.crash_everywhere(either)
    assert "took longer than its timeout" in report.result


# -- what is wrong is named ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (planted.appending, "appends"),
        (planted.adding, "adds"),
        (planted.withdrawing, "withdraws"),
    ],
)
async def test_a_step_that_is_not_idempotent_is_named(interlock: Kit, function: Any, name: str) -> None:
    findings = await found(interlock, function)
    assert places(findings) == {("not-idempotent", name, "planted.py", planted.line(name))}
    assert "a crash after step" in findings[0].shown_by
    assert any("instead of" in told for told in findings[0].lines)


async def test_the_message_has_all_that_is_needed(interlock: Kit) -> None:
    with pytest.raises(AssertionError) as caught:
        await interlock.crash_everywhere(planted.adding)
    text = str(caught.value)
    assert "planted-adds is not crash-safe" in text
    assert f"planted.py:{planted.line('adds')}  not-idempotent  `adds` is not idempotent" in text
    assert "(shown by a crash after step 2, of adds)" in text
    assert "unit.testing.planted.TOTAL: 6 instead of 3" in text


@pytest.mark.slow
async def test_an_undo_that_is_not_idempotent_is_named(interlock: Kit) -> None:
    assert places(await found(interlock, planted.booking)) == {
        ("not-idempotent", "the undo of books", "planted.py", planted.line("unbooks"))
    }


async def test_a_step_that_gives_another_result_for_the_same_key_is_named(interlock: Kit) -> None:
    findings = await found(interlock, planted.differing)
    assert places(findings) == {("result-differs", "different", "planted.py", planted.line("different"))}


@pytest.mark.slow
async def test_calls_that_depend_on_who_comes_first_are_named(interlock: Kit) -> None:
    findings = await found(interlock, planted.branching)
    assert ("ambiguous-calls", "tick", "planted.py", planted.line("tick")) in places(findings)


@pytest.mark.slow
async def test_calls_in_the_order_of_a_set_are_named(interlock: Kit) -> None:
    assert ("unordered-gather", "unordered", "planted.py", planted.line("unordered")) in places(
        await found(interlock, planted.unordered)
    )


@pytest.mark.slow
async def test_a_result_that_depends_on_who_comes_first_is_told(interlock: Kit) -> None:
    findings = await found(interlock, planted.racing)
    assert {"unordered-gather", "result-differs"} == {each.code for each in findings}


@pytest.mark.slow
async def test_an_effect_in_finally_is_named(interlock: Kit) -> None:
    findings = await found(interlock, planted.cleaning)
    assert places(findings) == {("effect-in-finally", "cleaning", "planted.py", planted.line("finally"))}


async def test_an_effect_in_finally_that_the_source_hides_is_named(interlock: Kit) -> None:
    findings = await found(interlock, planted.cleaning_unseen)
    assert ("effect-in-finally", "cleaning_unseen", "planted.py", planted.line("hidden")) in places(findings)
    assert "calls `fine` while it is put away" in str(findings)


@pytest.mark.slow
async def test_effects_that_are_gathered_in_finally_are_named(interlock: Kit) -> None:
    findings = await found(interlock, planted.cleaning_many)
    assert ("effect-in-finally", "cleaning_many", "planted.py", planted.line("gathered")) in places(findings)


async def test_an_effect_of_the_workflow_itself_is_told(interlock: Kit) -> None:
    findings = await found(interlock, planted.acting)
    assert places(findings) == {("effect-in-workflow", "planted-plain", "planted.py", planted.line("acting"))}


async def test_an_effect_of_the_workflow_when_it_is_put_away_is_told(interlock: Kit) -> None:
    findings = await found(interlock, planted.leaving)
    assert places(findings) == {("effect-in-workflow", "planted-leaving", "planted.py", planted.line("leaving"))}


# -- the world -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_world_may_be_the_tests_own(interlock: Kit) -> None:
    books: dict[str, list[str]] = {"ledger": []}

    def look() -> list[str]:
        return list(planted.LEDGER)

    findings = await found(interlock, planted.appending, world=look, reset=planted.LEDGER.clear)
    assert [each.name for each in findings] == ["appends"]
    assert findings[0].lines[0].startswith("the world: ['a', 'a'] instead of ['a']")
    await interlock.crash_everywhere(planted.appending, world=lambda: books)
    planted.LEDGER.clear()


async def test_what_a_closure_holds_is_part_of_the_world(interlock: Kit) -> None:
    seen: set[str] = set()
    count = 0

    @step
    async def counts(n: int) -> None:
        nonlocal count
        count += n
        seen.add("counted")

    @workflow(name="kit-closure")
    async def counting() -> None:
        await sleep("1h")
        await counts(2)

    findings = await found(interlock, counting)
    assert [each.name for each in findings] == ["counts"]
    assert "count: 4 instead of 2" in findings[0].lines[0]
    assert (count, seen) == (0, set())
