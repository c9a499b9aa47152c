"""`interlock check-deploy` on edits of a live workflow: each verdict is compared with what really becomes of the run."""

from __future__ import annotations

import asyncio
import collections
import json
import shutil
from pathlib import Path

import pytest

from acceptance.shell import Shell, until
from interlock import config
from interlock.app import events
from interlock.app.session import Session
from interlock.model.states import ENDED_RUN, RunStatus

BEFORE = """
import asyncio
from pathlib import Path
from interlock import gather, patched, sleep, step, wait_for_event, workflow

LEDGER = Path(__file__).with_name("ledger")


def effect(name: str) -> None:
    with LEDGER.open("a") as file:
        file.write(name + "\\n")


@step
async def reserve(order: int) -> str:
    effect("reserve")
    return f"r{order}"


@step
async def charge(order: int, amount: float) -> str:
    effect("charge")
    return f"c{order}"


@step
async def pack(order: int) -> str:
    effect("pack")
    return f"p{order}"


@step
async def audit(order: int) -> str:
    effect("audit")
    return "audited"


@step
async def ship(order: int, ref: str) -> str:
    effect("ship")
    return f"shipped {ref}"


@step
async def notify(order: int) -> None:
    effect("notify")


@workflow(version="1.0.0")
async def fulfil(order: int) -> str:
    ref = await reserve(order)
    paid, packed = await gather(charge(order, 9.5), pack(order))
    await wait_for_event("go")
    result = await ship(order, ref)
    await notify(order)
    return result
"""

FITS, CHANGES, BREAKS = "fits", "changes", "breaks"
RESERVE = "    ref = await reserve(order)\n"
BOTH = "    paid, packed = await gather(charge(order, 9.5), pack(order))\n"
WAIT = '    await wait_for_event("go")\n'

EDITS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nothing": (FITS, []),
    "a comment and a docstring": (FITS, [(RESERVE, '    """Fulfil."""  # as ever\n' + RESERVE)]),
    "another variable": (FITS, [("    ref = await", "    reference = await"), ("ship(order, ref)", "ship(order, reference)")]),
    "a step added first": (CHANGES, [(RESERVE, "    await audit(order)\n" + RESERVE)]),
    "a step added between finished ones": (CHANGES, [(BOTH, "    await audit(order)\n" + BOTH)]),
    "a step added before the wait": (CHANGES, [(WAIT, "    await audit(order)\n" + WAIT)]),
    "a step added after the wait": (FITS, [(WAIT, WAIT + "    await audit(order)\n")]),
    "a step added at the end": (FITS, [("    return result", "    await audit(order)\n    return result")]),
    "a step added to the gather": (
        CHANGES,
        [("paid, packed =", "paid, packed, _ ="), ("pack(order))\n", "pack(order), audit(order))\n")],
    ),
    "a finished step removed from the gather": (
        CHANGES,
        [(BOTH, "    paid = await charge(order, 9.5)\n")],
    ),
    "a finished step removed": (CHANGES, [(RESERVE, '    ref = "none"\n')]),
    "a later step removed": (FITS, [("    await notify(order)\n", "")]),
    "the gather reordered": (
        FITS,
        [(BOTH, "    packed, paid = await gather(pack(order), charge(order, 9.5))\n")],
    ),
    "the gather made a sequence": (
        FITS,
        [(BOTH, "    paid = await charge(order, 9.5)\n    packed = await pack(order)\n")],
    ),
    "the sequence made a gather": (
        FITS,
        [(RESERVE + BOTH, "    ref, paid, packed = await gather(reserve(order), charge(order, 9.5), pack(order))\n")],
    ),
    "finished steps reordered": (FITS, [(RESERVE + BOTH, BOTH + RESERVE)]),
    "later steps reordered": (
        FITS,
        [("    result = await ship(order, ref)\n    await notify(order)\n", "    await notify(order)\n    result = await ship(order, ref)\n")],
    ),
    "asyncio.gather instead of gather": (FITS, [("await gather(", "await asyncio.gather(")]),
    "a task group": (
        FITS,
        [(BOTH, "    async with asyncio.TaskGroup() as group:\n        group.create_task(charge(order, 9.5))\n        group.create_task(pack(order))\n")],
    ),
    "calls moved into a helper": (
        FITS,
        [
            ("@workflow(", "async def prepare(order: int) -> str:\n" + RESERVE + BOTH + "    return ref\n\n\n@workflow("),
            ("-> str:\n" + RESERVE + BOTH + WAIT, "-> str:\n    ref = await prepare(order)\n" + WAIT),
        ],
    ),
    "a finished step's code": (FITS, [('return f"r{order}"', 'return f"other{order}"')]),
    "a finished step made sync": (FITS, [("async def pack", "def pack")]),
    "a finished step's options": (FITS, [("@step\nasync def pack", '@step(retries=5, timeout="3s")\nasync def pack')]),
    "a finished step renamed": (
        BREAKS,
        [("async def reserve", "async def reserve_stock"), ("await reserve(", "await reserve_stock(")],
    ),
    "a finished step renamed with its name kept": (
        FITS,
        [("@step\nasync def reserve", '@step(name="reserve")\nasync def reserve_stock'), ("await reserve(", "await reserve_stock(")],
    ),
    "a later step renamed": (FITS, [("async def ship", "async def send"), ("await ship(", "await send(")]),
    "another argument of a finished step": (BREAKS, [("9.5", "10.5")]),
    "another argument for new runs only": (
        FITS,
        [("charge(order, 9.5)", 'charge(order, 10.5 if patched("price") else 9.5)')],
    ),
    "another argument of a later step": (FITS, [("ship(order, ref)", 'ship(order, ref + "!")')]),
    "a key for a finished call": (BREAKS, [("pack(order))", 'pack(order, key="box"))')]),
    "a parameter with a default": (FITS, [("amount: float)", 'amount: float, currency: str = "EUR")')]),
    "a parameter that is given": (
        BREAKS,
        [("amount: float)", "amount: float, currency: str)"), ("charge(order, 9.5)", 'charge(order, 9.5, "EUR")')],
    ),
    "an argument spelt by name": (FITS, [("charge(order, 9.5)", "charge(order=order, amount=9.5)")]),
    "another type of a finished result": (BREAKS, [("async def reserve(order: int) -> str", "async def reserve(order: int) -> int")]),
    "a wider type of a finished result": (
        FITS,
        [("async def reserve(order: int) -> str", "async def reserve(order: int) -> str | None")],
    ),
    "the workflow's parameter renamed": (
        BREAKS,
        [("async def fulfil(order: int)", "async def fulfil(number: int)"), (RESERVE, "    order = number\n" + RESERVE)],
    ),
    "a parameter of the workflow with a default": (FITS, [("async def fulfil(order: int)", "async def fulfil(order: int, fast: bool = False)")]),
    "the next minor version": (FITS, [("1.0.0", "1.1.0")]),
    "the next major version": (BREAKS, [("1.0.0", "2.0.0")]),
    "the workflow renamed": (BREAKS, [("async def fulfil", "async def deliver")]),
    "an error before the wait": (BREAKS, [(WAIT, '    raise RuntimeError("closed")\n')]),
    "a mistake in the new code": (BREAKS, [(WAIT, "    paid.upper(1)\n" + WAIT)]),
    "an error handled": (
        FITS,
        [(RESERVE, "    try:\n        ref = await reserve(order)\n    except ValueError:\n        raise\n")],
    ),
    "the wait removed": (CHANGES, [(WAIT, "")]),
    "another wait": (CHANGES, [('wait_for_event("go")', 'wait_for_event("go", source="urn:test")')]),
    "a sleep before the wait": (CHANGES, [(WAIT, "    await sleep(0.01)\n" + WAIT)]),
    "a loop over finished steps": (
        FITS,
        [(RESERVE, "    for number in (order,):\n        ref = await reserve(number)\n")],
    ),
    "the loop goes on": (
        CHANGES,
        [(RESERVE, "    await reserve(0)\n" + RESERVE)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has reserved, charged and packed, and waits for an event."""
    folder = tmp_path_factory.mktemp("deploy")
    shell = Shell(folder)
    shell.write("shop.py", BEFORE)
    with shell.started("node", "--app", "shop"):
        assert shell.run("run", "shop:fulfil", "--input", '{"order": 7}', "--id", "live", "--detach").code == 0
        until(lambda: any(run["status"] == "waiting" for run in shell.runs()))
    assert (folder / "ledger").read_text().split() == ["reserve", "charge", "pack"]
    return folder


FEW = {
    "nothing", "a step added between finished ones", "a finished step removed from the gather", "finished steps reordered",
    "a finished step's code", "a finished step renamed", "another argument of a finished step",
    "another argument for new runs only", "another type of a finished result", "the next major version",
    "a mistake in the new code", "the wait removed",
}  # fmt: skip
"""For every run of the tests; `make test-long` takes them all."""


@pytest.mark.parametrize(
    "edit", [edit if edit in FEW else pytest.param(edit, marks=pytest.mark.chaos) for edit in EDITS]
)
async def test_verdict_on_an_edit_is_what_becomes_of_the_run(waiting: Path, tmp_path: Path, edit: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(waiting, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shell = Shell(folder)
    expected, replacements = EDITS[edit]
    text = BEFORE
    for old, new in replacements:
        assert old in text, f"the edit {edit!r} does not fit the text"
        text = text.replace(old, new, 1)
    shell.write("shop.py", text)

    checked = await asyncio.to_thread(shell.run, "check-deploy", "--app", "shop", "--json")
    (run,) = json.loads(checked.out)["runs"]
    assert run["verdict"] == expected, run["reasons"]
    assert checked.code == (1 if expected == BREAKS else 0)

    assert (expected == BREAKS) == (not await _completes(shell) or _repeats(folder))


async def _completes(shell: Shell) -> bool:
    """Execute the run with the code that is there, and say whether it completes."""
    settings = config.Settings(store=config.Store(url=f"sqlite:///{shell.folder / '.interlock/interlock.db'}"))
    with shell.started("node", "--app", "shop"):
        async with Session.open(settings) as session, asyncio.timeout(60):
            while True:
                row = await session.find(None, "live")
                refused = any(node.refusals for node in await session.store.nodes.states(None))
                if row.status in ENDED_RUN or refused:
                    return row.status is RunStatus.COMPLETED
                await events.send(session, "default", {"type": "go", "source": "urn:test"})
                await asyncio.sleep(0.1)


def _repeats(folder: Path) -> bool:
    """Whether an effect of the steps that had finished happened again, but for one that the edit asks for twice."""
    counts = collections.Counter((folder / "ledger").read_text().split())
    asked = collections.Counter({"reserve": (folder / "shop.py").read_text().count("await reserve(0)")})
    return any(counts[name] > 1 + asked[name] for name in ("reserve", "charge", "pack"))
