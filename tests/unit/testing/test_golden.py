"""Golden histories: written once, compared afterwards, and replayed with code that changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interlock import errors, sleep, step, token, workflow
from interlock.flow.python.durable import continue_as_new
from interlock.testing import Kit
from interlock.testing.golden import DoesNotFit, GoldenDiffers
from unit.testing import shop
from unit.testing.shop import Order


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    shop.SENT.clear()
    shop.RESERVED.clear()


async def fulfilled(interlock: Kit, path: Path, order: Order, **more: Any) -> None:
    run = await interlock.start(shop.fulfil, order, **more)
    await interlock.advance("5d")
    await interlock.golden(run, path)


async def test_the_first_time_the_history_is_written(interlock: Kit, tmp_path: Path) -> None:
    path = tmp_path / "goldens" / "fulfil.json"
    await fulfilled(interlock, path, Order(1))
    written = json.loads(path.read_text())
    assert written["workflow"] == "default/kit-fulfil:1.0.0"
    assert written["ended"]["output"]["paid"] == "charged 20"
    assert written["history"][-1]["type"] == "ended"
    assert "2030" not in path.read_text(), "times are left out"


async def test_the_same_run_has_the_same_history_under_any_id(tmp_path: Path) -> None:
    path = tmp_path / "fulfil.json"
    for seed, id in enumerate(["one", "another"]):
        shop.SENT.clear()
        async with Kit(seed=seed) as interlock:
            await fulfilled(interlock, path, Order(1), id=id)


async def test_a_run_that_does_something_else_differs_with_a_diff(interlock: Kit, tmp_path: Path) -> None:
    path = tmp_path / "fulfil.json"
    await fulfilled(interlock, path, Order(1))
    interlock.stub(shop.price, returns=7.0)
    with pytest.raises(GoldenDiffers) as caught:
        await fulfilled(interlock, path, Order(1))
    assert isinstance(caught.value, AssertionError)
    assert "--interlock-update-golden" in str(caught.value)
    assert "\n-" in str(caught.value)
    assert '"charged 7"' in str(caught.value)


async def test_it_is_written_anew_when_asked_for(interlock: Kit, tmp_path: Path) -> None:
    path = tmp_path / "fulfil.json"
    path.write_text("old")
    with pytest.raises(errors.Invalid, match="remove it to have it written anew"):
        await fulfilled(interlock, path, Order(1))
    shop.SENT.clear()
    interlock.updates_golden = True
    await fulfilled(interlock, path, Order(1))
    interlock.updates_golden = False
    shop.SENT.clear()
    await fulfilled(interlock, path, Order(1))


# -- replaying -------------------------------------------------------------------------------------------------------


@step
async def first(n: int) -> int:
    return n + 1


@step
async def second(n: int) -> int:
    return n * 2


@step
async def refused(n: int) -> None:
    raise LookupError(f"no {n}")


@step
async def hand_out(text: str) -> None:
    assert text.count(".") == 2


@workflow(name="golden-then")
async def then(n: int) -> int:
    m = await first(n)
    await sleep("1h")
    return await second(m)


@workflow(name="golden-added")
async def added(n: int) -> int:
    m = await first(n)
    await second(100)
    await sleep("1h")
    return await second(m)


@workflow(name="golden-removed")
async def removed(n: int) -> int:
    m = await first(n)
    return await second(m)


@workflow(name="golden-renamed")
async def renamed(n: int) -> int:
    m = await first(n)
    await sleep("2h")
    return await second(m)


@workflow(name="golden-ends")
async def ends(n: int) -> int:
    m = await first(n)
    await sleep("1h")
    return await second(m) + 1


@workflow(name="golden-raises")
async def raises(n: int) -> int:
    await first(n)
    raise RuntimeError("oops")


@workflow(name="golden-refused")
async def refusing(n: int) -> None:
    right = token("permit", expires="1h")
    await hand_out(await right.text())
    await first(n)
    await refused(n)


@workflow(name="golden-rounds")
async def rounds(n: int) -> int:
    await first(n)
    if n < 3:
        continue_as_new(n + 1)
    return n


async def written(interlock: Kit, function: Any, path: Path, duration: str = "1h") -> None:
    run = await interlock.start(function, 1)
    await interlock.advance(duration)
    await interlock.golden(run, path)


@pytest.mark.parametrize("function", [then, refusing, rounds])
async def test_the_code_that_wrote_it_fits(interlock: Kit, tmp_path: Path, function: Any) -> None:
    path = tmp_path / "then.json"
    await written(interlock, function, path)
    assert (await interlock.replay(function, path)).ended


@pytest.mark.parametrize("duration", ["0s", "1m"])
async def test_a_run_that_waits_fits_too(interlock: Kit, tmp_path: Path, duration: str) -> None:
    path = tmp_path / "then.json"
    await written(interlock, then, path, duration)
    assert not (await interlock.replay(then, path)).ended


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (added, r"`second\(\w+\)` is new, and would be performed"),
        (removed, r"the result of `sleep\(3600s\)` is not asked for any more"),
        (renamed, r"`sleep\(7200s\)` is new"),
        (ends, r"it ends with \{'output': 5\} instead of \{'output': 4\}"),
        (raises, r"it raises RuntimeError: oops"),
    ],
)
async def test_code_that_changed_is_told_where_it_parts(
    interlock: Kit, tmp_path: Path, function: Any, told: str
) -> None:
    path = tmp_path / "then.json"
    await written(interlock, then, path)
    with pytest.raises(DoesNotFit, match=told):
        await interlock.replay(function, path)


async def test_a_run_that_would_end_where_it_waited_does_not_fit(interlock: Kit, tmp_path: Path) -> None:
    path = tmp_path / "then.json"
    await written(interlock, then, path, "1m")
    with pytest.raises(DoesNotFit, match=r"`second\(\w+\)` is new"):
        await interlock.replay(removed, path)


async def test_what_is_no_golden_history_is_told(interlock: Kit, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="there is no golden history"):
        await interlock.replay(then, tmp_path / "none.json")
    wrong = tmp_path / "wrong.json"
    for text in ("{", "{}", '{"golden": 1, "memos": [{"number": "x"}]}'):
        wrong.write_text(text)
        with pytest.raises(errors.Invalid, match="is no golden history"):
            await interlock.replay(then, wrong)
    wrong.write_text('{"golden": 2}')
    with pytest.raises(errors.Invalid, match="of version 2"):
        await interlock.replay(then, wrong)
