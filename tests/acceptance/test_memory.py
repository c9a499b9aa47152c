"""A thousand runs that wait at once on one node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.shell import SOURCE

SCRIPT = """
import asyncio, sys
from interlock import config
from interlock.app.session import Session

TEXT = '''document: {dsl: 1.0.3, namespace: default, name: waiting, version: 1.0.0}
do:
  - before: {set: {n: "${ .n }", text: "${ .text }"}}
  - sleep: {wait: PT60S}
  - after: {set: {n: 1}}
'''

def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024

async def main():
    async with Session.open(config.Settings(store=config.Store(url=f"sqlite:///{sys.argv[1]}"))) as app:
        await app.bring_node()
        for n in range(1000):
            await app.start(TEXT, input={"n": n, "text": "x" * 1000}, id=f"r{n}")
        rows = await app.store.views.runs(None, ["waiting"], None, None, 2000)
        print(len(rows), resident())

asyncio.run(main())
"""


@pytest.mark.slow
def test_thousand_waiting_runs_fit_in_150_megabytes(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "s.db")],
        env=environment | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    waiting, megabytes = ended.stdout.split()
    print(f"1,000 waiting runs: {megabytes} MB resident")
    assert int(waiting) == 1000
    assert float(megabytes) < 150
