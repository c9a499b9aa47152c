"""Fifty workflows killed at random moments end with the output of the unkilled ones. WF-19"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acceptance import ledger
from acceptance.kitchen import FUNCTIONS, UNDONE
from acceptance.shell import SOURCE
from interlock.engine.rows import Rows
from interlock.model import event as events
from interlock.model.states import RunStatus
from interlock.store.open import open_store

COUNT = 50
KILLS = 8


def _herd(folder: Path) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("herd.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(folder / "herd.db"), "1000", str(COUNT)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    )


async def _outputs(path: Path) -> dict[str, tuple[str, bytes | None]]:
    store = await open_store(f"sqlite:///{path}")
    rows = await store.views.runs(None, [], None, None, 1_000)
    found = {}
    for row in rows:
        if not row.id.startswith("kitchen-"):
            continue  # a child run: what it gave is in its parent's output
        whole = await store.views.run(None, row.id)
        assert whole is not None
        found[row.id] = (whole.status.value, whole.output)
    await store.close()
    return found


async def _rollbacks(path: Path) -> int:
    """Check that every child that failed has undone all it did, each once, in descending order; gives how many failed."""
    store = await open_store(f"sqlite:///{path}")
    rows = Rows()
    failed = await store.views.runs(None, [], "spoiled", None, 1_000)
    for row in failed:
        history = await rows.events(row.run, await store.journal.history(row.run, 0, 1_000), store.journal)
        began = [event.number for event in history if isinstance(event, events.UndoBegan)]
        ended = [event.number for event in history if isinstance(event, events.Undone)]
        assert row.status is RunStatus.FAULTED
        assert began == ended == list(range(UNDONE, 0, -1))
    await store.close()
    return len(failed)


@pytest.mark.slow
def test_killed_workflows_end_as_the_unkilled_ones(tmp_path: Path) -> None:
    """WF-19, WF-11"""
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for folder in (calm, wild):
        folder.mkdir()
        (folder / "kitchen_functions.py").write_text(FUNCTIONS)
    process = _herd(calm)
    out, _ = process.communicate(timeout=100)
    assert out.split() == ["started", "finished"]
    moments = random.Random(7)
    kills = 0
    while kills < KILLS:
        process = _herd(wild)
        time.sleep(moments.uniform(0.3, 1.4))  # the moment of death is the experiment
        if process.poll() is not None:
            process.communicate()
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    process = _herd(wild)
    process.communicate(timeout=100)
    assert kills >= 2
    expected, found = asyncio.run(_outputs(calm / "herd.db")), asyncio.run(_outputs(wild / "herd.db"))
    assert len(expected) == COUNT
    assert {status for status, _ in expected.values()} == {"completed"}
    assert found == expected
    assert asyncio.run(_rollbacks(wild / "herd.db")) >= asyncio.run(_rollbacks(calm / "herd.db")) > 0
    assert asyncio.run(ledger.check_file(wild / "herd.db")) >= COUNT
