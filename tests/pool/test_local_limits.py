"""Limits of local attempts: what real processes see, and what becomes of those that go over."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from interlock.model.task import (
    Done,
    Failed,
    FailureClass,
    Outcome,
    PythonTarget,
    Resources,
    ScriptTarget,
    ShellTarget,
    Target,
)
from interlock.pool import local_settings
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool

ALL_LIMITS = "ulimit -v; ulimit -t; ulimit -n; ulimit -f; ulimit -c; nice"
HUNGRY = "data = bytearray(600 * 2**20); print(len(data))"


async def run(target: Target, config: dict[str, Any], *, has_gpus: bool = False, **fields: Any) -> Outcome:
    pool = LocalPool(settings=local_settings.read(config | {"warm": 0}), has_gpus=has_gpus)
    await pool.start()
    launch = Launch(**{"attempt": "1", "target": target, "folder": "/"} | fields)
    running = await pool.launch(launch, lambda stream, text: None)
    async with asyncio.timeout(60):
        outcome = await running.outcome()
    await pool.stop()
    return outcome


async def printed(target: Target, config: dict[str, Any], **fields: Any) -> str:
    outcome = await run(target, config, **fields)
    assert isinstance(outcome, Done), outcome
    return str(outcome.value["stdout"])


async def test_command_is_held_to_the_limits_of_its_pool() -> None:
    rlimits = {"address_space": "1 GiB", "cpu_seconds": 30, "open_files": 64, "file_size": 512 * 20, "core": 0}
    text = await printed(ShellTarget(command=ALL_LIMITS), {"rlimits": rlimits, "nice": 3})
    assert text.split() == ["1048576", "30", "64", "20", "0", "3"]


async def test_supervisor_is_not_held_to_them() -> None:
    outcome = await run(ShellTarget(command="head -c 3000000 /dev/zero"), {"rlimits": {"file_size": 1000}})
    assert isinstance(outcome, Done)
    assert len(outcome.value["stdout"]) == 3_000_000


async def test_process_that_uses_too_much_processor_time_is_killed() -> None:
    outcome = await run(ShellTarget(command="while :; do :; done"), {"rlimits": {"cpu_seconds": 1}})
    assert isinstance(outcome, Failed)
    assert "SIGXCPU" in str(outcome.fault.title)


@pytest.mark.parametrize(
    "target",
    [
        ScriptTarget(language="python", code=HUNGRY),
        ShellTarget(command=f"{sys.executable} -c '{HUNGRY}'"),
        ShellTarget(command="head -c 600000000 /dev/zero | tail -n 1 >/dev/null; exit $?"),
    ],
    ids=["script", "shell", "coreutils"],
)
async def test_want_of_memory_has_its_class(target: Target) -> None:
    config = {"memory": {"enforce": "rlimit"}}
    outcome = await run(target, config, resources=Resources(memory=300))
    assert isinstance(outcome, Failed), outcome
    assert outcome.failure is FailureClass.OUT_OF_MEMORY
    assert "314572800 bytes" in str(outcome.fault.detail)
    assert isinstance(await run(target, config, resources=Resources(memory=4000)), Done)


async def test_function_that_wants_memory_has_the_class_too(tmp_path: Path) -> None:
    (tmp_path / "hungry_function.py").write_text("def eat(): return len(bytearray(1200 * 2**20))")
    fields: dict[str, Any] = {"folder": str(tmp_path), "resources": Resources(memory=900)}
    outcome = await run(PythonTarget(function="hungry_function:eat"), {"memory": {"enforce": "rlimit"}}, **fields)
    assert isinstance(outcome, Failed), outcome
    assert outcome.failure is FailureClass.OUT_OF_MEMORY


async def test_memory_is_not_limited_unless_told() -> None:
    target = ScriptTarget(language="python", code=HUNGRY)
    assert isinstance(await run(target, {}, resources=Resources(memory=300)), Done)


async def test_words_about_memory_mean_nothing_without_a_limit() -> None:
    outcome = await run(ShellTarget(command="echo MemoryError >&2; exit 1"), {})
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.APPLICATION


@pytest.mark.parametrize(
    ("devices", "has_gpus", "expected"), [((0, 3), True, "0,3"), ((), True, "NoDevFiles"), ((), False, "mine")]
)
async def test_attempt_sees_the_devices_that_it_was_given(
    devices: tuple[int, ...], has_gpus: bool, expected: str
) -> None:
    target = ShellTarget(command='printf "$CUDA_VISIBLE_DEVICES"', environment={"CUDA_VISIBLE_DEVICES": "mine"})
    assert await printed(target, {}, devices=devices, has_gpus=has_gpus) == expected


async def test_environment_folder_and_interpreter_are_those_of_the_pool(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nWRAPPED=1 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    config = {"python_path": str(python), "working_dir": str(tmp_path), "environment": {"A": "pool", "B": "pool"}}
    code = "import os; print(os.environ.get('WRAPPED'), os.environ['A'], os.environ['B'], os.getcwd())"
    text = await printed(ScriptTarget(language="python", code=code), config, folder="", environment={"B": "attempt"})
    assert text == f"1 pool attempt {tmp_path}\n"
    assert (await printed(ShellTarget(command="pwd"), config, folder="/")).strip() == "/"
    outcome = await run(ShellTarget(command="pwd"), {"working_dir": "/nowhere"}, folder="")
    assert isinstance(outcome, Failed)
    assert "/nowhere" in str(outcome.fault.detail)
