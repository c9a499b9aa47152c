"""What would not survive a restart is found in the source of a workflow, with its name and its line."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.errors import NotFound
from interlock.flow.python import lint
from interlock.flow.python.lint import Finding

_PREAMBLE = """
import asyncio, contextlib, datetime, datetime as dt, glob, os, pathlib, random, secrets, subprocess, time, uuid
from contextlib import asynccontextmanager, suppress
from datetime import datetime as DateTime
from os import urandom
from random import choice
from time import time as clock, sleep as block

class Step:
    def __init__(self, function): self.function = function
    def __call__(self, *args, key=None): ...
    def options(self, **options): return self

def inside(function):
    function.inside = True
    return function

@Step
async def ship(order=None): time.sleep(1)
@Step
async def price(order=None): return random.random()
@inside
async def sleep(seconds): ...
@inside
async def gather(*calls): ...
class Names:
    @staticmethod
    def undo(): ...
    step = ship
"""


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[Callable[[str], list[Finding]]]:
    """Checks the function `flow` of a module with the text; the lines count from the first one of the text."""
    names: list[str] = []

    def check(text: str) -> list[Finding]:
        name = f"linted_{len(names)}"
        path = tmp_path / f"{name}.py"
        text = textwrap.dedent(text).strip("\n")
        path.write_text(f"{_PREAMBLE}\n{text}")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        found = lint.check(
            module.flow, lambda value: isinstance(value, module.Step), lambda value: hasattr(value, "inside")
        )
        before = _PREAMBLE.count("\n") + 1
        return [msgspec.structs.replace(finding, line=finding.line - before) for finding in found]

    yield check
    for name in names:
        del sys.modules[name]


_PLANTED: list[tuple[str, list[tuple[str, int, str]]]] = [
    # effect-in-finally
    (
        """
        async def flow(order):
            try:
                await price(order)
            finally:
                print("done")
                await ship(order)
        """,
        [("effect-in-finally", 6, "flow")],
    ),
    (
        """
        async def flow(order):
            try:
                await price(order)
            except BaseException:
                await sleep(1)
                raise
            except (ValueError, asyncio.CancelledError):
                await gather(ship.options(retries=3)(order), Names.step())
                raise
        """,
        [
            ("effect-in-finally", 5, "flow"),
            ("effect-in-finally", 8, "flow"),
            ("effect-in-finally", 8, "flow"),
            ("effect-in-finally", 8, "flow"),
        ],
    ),
    (
        """
        async def flow(order):
            async def branch():
                try:
                    await price(order)
                finally:
                    await tidy()
            async with held():
                await branch()

        async def tidy():
            await tidy() or await ship()

        @asynccontextmanager
        async def held():
            try:
                yield
            finally:
                await sleep(1)
        """,
        [("effect-in-finally", 6, "branch"), ("effect-in-finally", 18, "held")],
    ),
    (
        """
        async def flow():
            async def undo():
                await ship()
            try:
                await price()
            finally:
                await undo()
        """,
        [("effect-in-finally", 7, "flow")],
    ),
    # unordered-gather
    (
        """
        async def flow(ids: set[str]):
            await gather(*(ship(i) for i in ids))
            await asyncio.gather(*{ship(1), ship(2)})
            names = {1, 2}
            await gather(*[ship(i) for i in list(names)], *[price(i) for i in set(names)])
            await gather(*[ship(i) for i in os.listdir(".")])
            tasks = [ship(p) for p in pathlib.Path(".").iterdir()]
            await gather(*tasks)
        """,
        [
            ("unordered-gather", 2, "flow"),
            ("unordered-gather", 3, "flow"),
            ("unordered-gather", 5, "flow"),
            ("unordered-gather", 5, "flow"),
            ("unordered-gather", 6, "flow"),
            ("unordered-gather", 8, "flow"),
        ],
    ),
    (
        """
        async def flow(a, b, ids: frozenset):
            for x in [0, *{1, 2}]:
                await ship(x)
            for x in a.keys() & b.keys():
                asyncio.create_task(branch(x))
            for x in ids.union(b):
                await ship(x)
            async for x in glob.glob("*"):
                await branch(x)

        async def branch(x):
            await ship(x)
        """,
        [("unordered-gather", line, "flow") for line in (2, 4, 6, 8)],
    ),
    (
        """
        async def flow(calls):
            for call in asyncio.as_completed(calls):
                await call
            done, rest = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        """,
        [("unordered-gather", 2, "flow"), ("unordered-gather", 4, "flow")],
    ),
    # ambiguous-calls
    (
        """
        async def flow():
            async def left():
                await price()
            await gather(left(), right())

        async def right():
            await price()
        """,
        [("ambiguous-calls", 7, "right")],
    ),
    (
        """
        async def flow(xs):
            await gather(*[branch(x) for x in xs])

        async def branch(x):
            await ship(x)
            await price("fixed")
        """,
        [("ambiguous-calls", 6, "branch")],
    ),
    (
        """
        async def flow():
            asyncio.create_task(branch())
            asyncio.create_task(price(1))

        async def branch():
            await price(1)
        """,
        [("ambiguous-calls", 6, "branch")],
    ),
    # nondeterministic
    (
        """
        async def flow():
            time.time(); clock(); time.monotonic_ns()
            datetime.datetime.now(); dt.date.today(); DateTime.utcnow()
            random.random(); choice([1]); random.Random()
            uuid.uuid4(); secrets.token_hex()
            urandom(1); os.urandom(1)
            import random as luck
            from time import perf_counter
            luck.shuffle([]); perf_counter()
            helper()

        def helper():
            return uuid.uuid1()
        """,
        [
            *[("nondeterministic", 2, "flow")] * 3,
            *[("nondeterministic", 3, "flow")] * 3,
            *[("nondeterministic", 4, "flow")] * 3,
            *[("nondeterministic", 5, "flow")] * 2,
            *[("nondeterministic", 6, "flow")] * 2,
            *[("nondeterministic", 9, "flow")] * 2,
            ("nondeterministic", 13, "helper"),
        ],
    ),
    # blocking
    (
        """
        async def flow():
            time.sleep(1)
            block(1)
            subprocess.run(["ls"])
            os.system("ls")
            import requests
            requests.get("http://localhost")
            import os.path
            import json.decoder as decoder
            decoder.scan()
            from . import nothing
        """,
        [("blocking", line, "flow") for line in (2, 3, 4, 5, 7)],
    ),
    # swallowed-cancel
    (
        """
        async def flow():
            try:
                await price()
            except:
                pass
            try:
                await price()
            except BaseException as error:
                print(error)
            with suppress(KeyError, BaseException):
                await price()
            with contextlib.suppress(asyncio.CancelledError):
                async for x in price():
                    pass
        """,
        [("swallowed-cancel", line, "flow") for line in (4, 8, 10, 12)],
    ),
    # the class of a decorated workflow is unwrapped by its owner: only the function counts
    (
        """
        def wrap(function): return function

        @wrap
        @wrap
        async def flow():
            time.time()
        """,
        [("nondeterministic", 6, "flow")],
    ),
]


@pytest.mark.parametrize(("text", "expected"), _PLANTED, ids=[f"{n}-{e[0][0]}" for n, (_, e) in enumerate(_PLANTED)])
def test_planted_mistake_is_found(checked: Any, text: str, expected: list[tuple[str, int, str]]) -> None:
    findings = checked(text)
    assert [(finding.code, finding.line, finding.function) for finding in findings] == expected
    assert all(finding.file.endswith(".py") and finding.message and finding.suggestion for finding in findings)


_CLEAN = [
    """
    async def flow(order, items: list[int], shops: dict[str, int]):
        reservation, quote = await gather(ship(order), price(order))
        await gather(*[ship(i) for i in items], *(price(s) for s in sorted(set(shops))))
        for name in shops:
            await ship(name)
        for name in {1, 2}:
            print(name)
        for item in [1, 2]:
            await ship(item)
        total = sum(set(items))
        both = items | shops
        for item in both:
            await ship(item)
        try:
            await ship(order)
        except (ValueError, KeyError) as error:
            await price(str(error))
        except Exception:
            await ship(order)
        finally:
            print("done")
            items.clear()
        with suppress(ValueError), open("x"), contextlib.suppress(BaseException):
            total += 1
        with contextlib.suppress(ValueError):
            await ship(1)
        try:
            await ship(order)
        except BaseException as error:
            print(error)
            raise
        try:
            total += 1
        except:
            pass
        await sleep(3600)
        generator = random.Random(7)
        generator.random()
        today = DateTime(2026, 1, 1)
        return await ship(order, key="k")
    """,
    """
    async def flow(a, b):
        async def branch(x):
            await price(x)
            await ship("fixed", key=x)
        await gather(branch(a), branch(b), price(1), price(1), price(2), other())
        items = items = [x for x in a]
        for item in a.lines:
            await ship(item)
        await gather(*items, *a.union(b), a.b.c(), (lambda: 1)())
        (await asyncio.wait([a], return_when=asyncio.ALL_COMPLETED))
        await asyncio.wait([a])
        x = x
        await gather(*x)
        unknown.thing()
        Names.undo()
        Names.missing()
        a[0]()
        [time for time in a][0]
        x: int
        y: int = 1

    async def other():
        await price(3)
    """,
    """
    async def flow():
        at = time.time()  # interlock: ignore[nondeterministic] only printed
        block(1)  # interlock: ignore[nondeterministic, blocking]  it is short
    """,
    """
    def flow():
        time.sleep(1)
    """,
    """
    async def flow():
        try:
            await ship()
        finally:
            close(3)

    def close(depth):
        print(depth) if depth == 0 else close(depth - 1)
    """,
]


@pytest.mark.parametrize("text", _CLEAN, ids=range(len(_CLEAN)))
def test_clean_workflow_has_no_findings(checked: Any, text: str) -> None:
    assert checked(text) == []


def test_comment_silences_only_what_it_names(checked: Any) -> None:
    findings = checked("async def flow():\n    time.time()  # interlock: ignore[blocking] wrong name")
    assert [finding.code for finding in findings] == ["nondeterministic"]


def test_finding_says_where_and_what_to_do(checked: Any) -> None:
    [finding] = checked("async def flow():\n    at = time.time()")
    assert (finding.line, finding.column) == (2, 10)
    assert finding.message == "`time.time` gives another value when the workflow is resumed"
    assert finding.suggestion == "use interlock.now(), or call it in a step"


def test_local_workflow_knows_the_names_around_it() -> None:
    import random as luck

    async def flow() -> float:
        later()
        return luck.random()

    findings = lint.check(flow, lambda _: False, lambda _: False)  # type: ignore[arg-type]  # a function
    assert [(finding.code, finding.function) for finding in findings] == [("nondeterministic", "flow")]

    def later() -> None: ...


def test_workflow_without_a_source_is_named() -> None:
    names: dict[str, Any] = {}
    # not `<string>`: newer Pythons keep the source of `python -c`, as which tests are run in parallel, under that name
    exec(compile("async def flow(): ...", "<nowhere>", "exec"), names)
    with pytest.raises(NotFound, match="the source of `flow` cannot be found"):
        lint.check(names["flow"], lambda _: False, lambda _: False)


def test_file_that_changed_since_it_was_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "changing.py"
    path.write_text("\n\nasync def flow(): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("changing")
    path.write_text("async def flow(): ...\n\n\nasync def other(): ...\n")
    with pytest.raises(NotFound, match="is not what it was made from"):
        lint.check(module.flow, lambda _: False, lambda _: False)


def test_function_in_a_file_that_holds_more_than_python_is_named(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("A page about workflows.\n\nasync def flow(): ...\n")
    names: dict[str, Any] = {}
    exec(compile("\n\nasync def flow(): ...\n", str(path), "exec"), names)
    with pytest.raises(NotFound, match="the source of `flow` cannot be read: invalid syntax"):
        lint.check(names["flow"], lambda _: False, lambda _: False)
