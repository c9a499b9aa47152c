"""The pytest plugin, as pytest runs it: with pytest-asyncio, with anyio, and with neither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FLOW = """
from interlock import now, sleep, step, workflow

@step
async def add(n: int) -> int:
    return n + 1

@workflow
async def flow(n: int) -> str:
    m = await add(n)
    await sleep("30d")
    return f"{m} {now().date()}"
"""


def run(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a process of its own, which has the plugin by name, as if it were not installed, and only the others named."""
    (folder / "flow.py").write_text(FLOW)
    (folder / "test_it.py").write_text("import pytest\nfrom flow import add, flow\n" + tests)
    (folder / "plugged.py").write_text(PLUGGED)
    (folder / "pytest.ini").write_text("[pytest]\n")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PYTEST_"))}
    plugins = {"PYTEST_PLUGINS": "plugged", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options],
        cwd=folder,
        env=inherited | plugins | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


PLUGGED = """
from interlock.testing import plugin

def pytest_addoption(parser, pluginmanager):
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, "interlock")
"""

ASYNC = """
async def test_it(interlock):
    run = await interlock.start(flow, 1)
    await interlock.advance("30d")
    assert await run.result() == "2 2030-01-31"

class TestAll:
    async def test_it(self, interlock):
        assert (await interlock.start(flow, 1)).fresh
"""

MARKED = """
from datetime import UTC, datetime

@pytest.mark.interlock(start=datetime(2001, 1, 1, tzinfo=UTC))
class TestAll:
    def test_it(self, interlock):
        run = interlock.start(flow, 1)
        interlock.advance("30d")
        assert run.result() == "2 2001-01-31"
"""

GOLDEN = """
async def test_it(interlock):
    with interlock.stub(add, returns=RETURNED):
        run = await interlock.start(flow, 1)
        await interlock.drain()
        await interlock.golden(run, "flow.json")
"""


AUTO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
STRICT = (
    "-p",
    "pytest_asyncio.plugin",
    "-o",
    "asyncio_mode=strict",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


def passed(done: subprocess.CompletedProcess[str]) -> bool:
    print(done.stdout, done.stderr)
    return done.returncode == 0


@pytest.mark.slow
def test_it_works_with_pytest_asyncio(tmp_path: Path) -> None:
    assert passed(run(tmp_path, ASYNC, *AUTO))


@pytest.mark.slow
def test_it_works_with_the_strict_mode_of_pytest_asyncio(tmp_path: Path) -> None:
    assert passed(run(tmp_path, "pytestmark = pytest.mark.asyncio\n" + ASYNC, *STRICT))


@pytest.mark.slow
def test_it_works_with_anyio(tmp_path: Path) -> None:
    fixture = "pytestmark = pytest.mark.anyio\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    assert passed(run(tmp_path, fixture + ASYNC, "-p", "anyio.pytest_plugin"))


@pytest.mark.slow
def test_it_works_without_a_plugin_for_async_tests_and_in_classes(tmp_path: Path) -> None:
    assert passed(run(tmp_path, MARKED, "--strict-markers"))


@pytest.mark.slow
def test_golden_histories_are_written_anew_when_pytest_is_asked_to(tmp_path: Path) -> None:
    one, two = GOLDEN.replace("RETURNED", "1"), GOLDEN.replace("RETURNED", "2")
    assert passed(run(tmp_path, one, *AUTO))
    assert not passed(run(tmp_path, two, *AUTO))
    assert passed(run(tmp_path, two, *AUTO, "--interlock-update-golden"))
    assert passed(run(tmp_path, two, *AUTO))


def test_pytest_starts_quickly_where_nobody_uses_the_plugin() -> None:
    code = "import interlock.testing.plugin, sys; print([n for n in sys.modules if n.startswith('interlock.') and n != 'interlock.version'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['interlock.testing', 'interlock.testing.plugin']", done.stderr
