"""Tokens that nobody has reported on cost nothing but their memory, which T4 of the bench measures."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import SOURCE

ROOT = Path(__file__).parents[2]
_SECONDS = 3.0


async def _rested(url: str, tokens: int) -> dict[str, Any]:
    """Let a node rest with so many pending tokens; give what that cost."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.own.pending", url, str(tokens), str(_SECONDS),
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")}
        | {"PYTHONPATH": str(SOURCE)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(100):
        out, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


@pytest.mark.slow
async def test_pending_tokens_use_no_thread_and_no_polling(tmp_path: Path) -> None:
    """100,000 pending tokens use no thread and no polling; a thread or a look for each of 1,000 would show."""
    few, many = await asyncio.gather(
        _rested(f"sqlite:///{tmp_path}/few.db", 50), _rested(f"sqlite:///{tmp_path}/many.db", 1_000)
    )
    assert many["threads"] <= few["threads"] + 4  # those that read the store are made when they are needed
    assert many["statements"] <= few["statements"] + 20
    print(
        f"\nat rest for {_SECONDS:g} s: {few['statements']} statements with 50 tokens, with 1,000 {many['statements']}"
    )
