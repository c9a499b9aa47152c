"""What the commands share: errors in the background, streams, and what needs no store."""

from __future__ import annotations

import asyncio
import threading

import pytest

from interlock import telemetry
from interlock.cli import attend, completion, context, live
from interlock.cli import main as entry
from interlock.cli.options import options
from interlock.errors import StoreFull
from unit.cli.conftest import Typed
from unit.engine.world import World


@pytest.mark.parametrize("debug", [False, True])
def test_error_in_the_background_is_one_line_unless_debugged(
    debug: bool, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def command() -> int:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        thread = threading.Thread(target=lambda: [].pop())
        thread.start()
        await asyncio.to_thread(thread.join)
        return 7

    monkeypatch.setattr(options, "debug", debug)
    assert context.execute(command()) == 7
    said = capsys.readouterr().err
    assert ("Traceback" in said and "ZeroDivisionError" in caplog.text) is debug
    if not debug:
        assert sorted(said.splitlines()) == [
            "interlock: unexpected in a thread: pop from empty list; --debug shows where",
            "interlock: unexpected in the background: division by zero; --debug shows where",
        ]


def test_interruption_before_a_command_listens_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "program", lambda *_: interrupted)
    assert entry.outcome([]) == 130


async def test_trouble_of_a_loop_is_heard_from_its_thread() -> None:
    with attend.Attention().paid() as attention:
        await asyncio.to_thread(telemetry.emit, "node.beat_failed", error=StoreFull("no space"))
        await asyncio.to_thread(telemetry.emit, "loop.failed", error=ValueError("another kind"))
        await asyncio.wait_for(attention.heard.wait(), 60)
        assert isinstance(attention.trouble, StoreFull)
        assert not attention.interrupted


async def test_terminal_gets_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    shown = live.display("tested", World("do: [{a: {set: {x: 1}}}]").graph, lambda: 0.0, quiet=False)
    assert isinstance(shown, live.Tree)


# -- completion ------------------------------------------------------------------------------------------------------


def test_completion_gives_the_ids_of_runs(typed: Typed) -> None:
    document = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\ndo: [{a: {set: {x: 1}}}]\n"
    for id_ in ("order-1", "order-2", "other"):
        typed("run", "-", "--id", id_, stdin=document)
    assert completion.run_ids("or", None, None) == [("order-2", "tested, completed"), ("order-1", "tested, completed")]
    assert completion.run_ids("or", None, "elsewhere") == []


def test_completion_never_fails_and_makes_no_store(typed: Typed) -> None:
    typed.write("bad.db", "no store" * 1000)
    assert completion.run_ids("x", None, None) == []
    assert completion.run_ids("x", "sqlite:///bad.db", None) == []
    assert completion.run_ids("x", "foo", None) == []
    assert not (typed.folder / ".interlock").exists()


def test_completion_knows_the_options_before_the_command(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(completion, "run_ids", lambda *given: asked.append(given) or [])
    monkeypatch.setenv("_INTERLOCK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "interlock --store sqlite:///x.db -n shop show or")
    monkeypatch.setenv("COMP_CWORD", "6")
    with pytest.raises(SystemExit):
        entry.outcome([])
    assert asked == [("or", "sqlite:///x.db", "shop")]
