"""`interlock locks` in real processes: what it shows, what it frees, and commands that run under a lock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from acceptance.shell import Ended, Shell, alive, until
from interlock.cli import holding
from interlock.coord.coordination import Coordination


def locks(shell: Shell, *arguments: str, namespace: str = "default") -> Ended:
    return shell.run("-n", namespace, "--store", _store(shell), "locks", *arguments)


def _store(shell: Shell) -> str:
    return f"sqlite:///{shell.folder}/interlock.db"


def with_store(shell: Shell, work: Callable[[Coordination], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with Coordination(_store(shell), **options) as coord:
            return await work(coord)

    return asyncio.run(main())


def waiting(shell: Shell) -> int:
    """Give how many wait for any lock."""
    return len({wait.session for wait in with_store(shell, lambda coord: coord.store.locks.waits("default", None))})


@pytest.fixture
def held(shell: Shell) -> Shell:
    """A store in which w1 died with `deploy/eu` and two shares of `index`, and w2 with `deploy/us`; each for 300 s."""

    async def first(coord: Coordination) -> None:
        await coord.locks.acquire("deploy/eu", metadata={"task": "t7"})
        await coord.locks.acquire("index", mode="read")
        await coord.locks.acquire("index", mode="read")
        coord.locks._held.clear()  # it dies with them: closing would release them

    async def second(coord: Coordination) -> None:
        await coord.locks.acquire("deploy/us")
        coord.locks._held.clear()

    with_store(shell, first, worker="w1", metadata={"hostname": "h1"})
    with_store(shell, second, worker="w2")
    return shell


# -- looking ---------------------------------------------------------------------------------------------------------


def test_locks_are_listed_with_their_holders(held: Shell) -> None:
    """LK-11"""
    lines = locks(held, "list").out.splitlines()
    assert [line.split("  ")[:4] for line in lines] == [
        ["deploy/eu", "exclusive", "w1", "number 1"],
        ["deploy/us", "exclusive", "w2", "number 1"],
        ["index", "read", "w1", "number 1"],
        ["index", "read", "w1", "number 2"],
    ]
    assert all(line.endswith(" left") for line in lines)
    assert [line.split("  ")[0] for line in locks(held, "list", "--worker", "w2").out.splitlines()] == ["deploy/us"]
    assert locks(held, "list", "--worker", "w3").err == "the worker w3 holds no locks\n"
    assert locks(held, "list", namespace="other").err == "no locks are held\n"
    told = locks(held, "list", "--worker", "w2", "--json").json
    assert [(each["name"], each["holder"], each["fence"], each["mode"]) for each in told] == [
        ("deploy/us", "w2", 1, "exclusive")
    ]


def test_lock_is_shown_with_who_has_it_and_who_waits(held: Shell) -> None:
    """LK-04"""
    out = locks(held, "show", "deploy/eu").out.splitlines()
    assert out[0] == "deploy/eu  exclusive, held by w1 under the number 1"
    assert out[1].startswith("  since 20")
    assert "until 20" in out[1]
    assert "hostname: h1" in out[2]
    assert "task: t7" in out[2]
    assert locks(held, "show", "free").out == "free is free\n"
    told = locks(held, "show", "deploy/eu", "--json").json
    (holder,) = told["holders"]
    assert holder["expires_at"] - holder["acquired_at"] == pytest.approx(300.0)
    assert (holder["metadata"]["task"], told["waiting"]) == ("t7", [])


def test_who_waits_is_shown_in_turn(held: Shell) -> None:
    command = ("--store", _store(held), "locks", "run", "deploy/eu", "--", "true")
    with held.started(*command) as first:
        until(lambda: waiting(held) == 1)
        with held.started(*command) as second:
            until(lambda: waiting(held) == 2)
            assert len(locks(held, "show", "deploy/eu", "--json").json["waiting"]) == 2
            shown = locks(held, "show", "deploy/eu").out.splitlines()[3:]
            assert [line.split(" in its queue: ")[0] for line in shown] == ["  1.", "  2."]
            assert f"-{first.pid}/" in shown[0]
            assert f"-{second.pid}/" in shown[1]
            assert locks(held, "release", "deploy/eu", "--fence", "1").out == "1 released\n"
            assert (first.wait(60), second.wait(60)) == (0, 0)


# -- freeing ---------------------------------------------------------------------------------------------------------


def test_lock_of_another_process_is_freed_by_its_number(held: Shell) -> None:
    """LK-06"""
    asked = locks(held, "release", "index")
    assert asked.code == 2
    assert "--fence with one of 1 (w1), 2 (w1)" in asked.err
    other = locks(held, "release", "deploy/eu", "--fence", "9")
    assert other.code == 2
    assert "is not held under the number 9, but under 1 (w1)" in other.err
    assert locks(held, "release", "deploy/eu", "--fence", "1", "--json").json == {"released": 1}
    assert locks(held, "show", "deploy/eu").out == "deploy/eu is free\n"
    gone = locks(held, "release", "deploy/eu", "--fence", "1")
    assert gone.code == 2
    assert "nobody holds the lock 'deploy/eu'" in gone.err


def test_all_locks_of_a_worker_are_freed(held: Shell) -> None:
    """LK-12"""
    assert locks(held, "release", "--worker", "w1").out == "3 released\n"
    assert [line.split("  ")[0] for line in locks(held, "list").out.splitlines()] == ["deploy/us"]
    assert locks(held, "release", "--worker", "w1").out == "0 released\n"


def test_what_is_over_is_listed_when_asked_and_cleared(shell: Shell) -> None:
    """LK-10"""

    async def leave(coord: Coordination) -> None:
        await coord.locks.acquire("short", ttl=1)
        await coord.locks.acquire("long")
        coord.locks._held.clear()

    with_store(shell, leave, worker="w1")
    until(lambda: not with_store(shell, lambda coord: coord.locks.is_locked("short")))
    assert [line.split("  ")[0] for line in locks(shell, "list").out.splitlines()] == ["long"]
    expired = locks(shell, "list", "--expired").out.splitlines()
    assert [line.split("  ")[0] for line in expired] == ["long", "short"]
    assert expired[1].endswith("  over")
    assert locks(shell, "clear").out == "1 cleared\n"
    assert locks(shell, "clear", "--json").json == {"cleared": 0}
    assert len(locks(shell, "list", "--expired").out.splitlines()) == 1


# -- running ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"), [(("true",), 0), (("sh", "-c", "exit 7"), 7), (("sh", "-c", "kill -9 $$"), 137)]
)
def test_command_under_a_lock_gives_its_exit_code(shell: Shell, command: tuple[str, ...], code: int) -> None:
    assert locks(shell, "run", "deploy", "--", *command).code == code
    assert locks(shell, "show", "deploy").out == "deploy is free\n"


def test_command_finds_its_number_which_grows(shell: Shell) -> None:
    """LK-09"""
    told = ("--", "sh", "-c", 'echo "$INTERLOCK_LOCK $INTERLOCK_LOCK_FENCE"')
    assert [locks(shell, "run", "deploy", *told).out for _ in range(3)] == ["deploy 1\n", "deploy 2\n", "deploy 3\n"]


def test_commands_under_one_lock_run_one_after_the_other(shell: Shell) -> None:
    script = "echo begin >> ledger; sleep 0.2; echo end >> ledger"
    with (
        shell.started("--store", _store(shell), "locks", "run", "deploy", "--", "sh", "-c", script) as one,
        shell.started("--store", _store(shell), "locks", "run", "deploy", "--", "sh", "-c", script) as other,
    ):
        assert (one.wait(60), other.wait(60)) == (0, 0)
    assert shell.ledger() == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize("option", [("--shared",), ("--limit", "2")])
def test_command_may_share_its_lock(shell: Shell, option: tuple[str, ...]) -> None:
    wait = "echo in >> ledger; until [ -e go ]; do sleep 0.02; done"
    with shell.started("--store", _store(shell), "locks", "run", "index", *option, "--", "sh", "-c", wait) as one:
        until(lambda: shell.ledger() == ["in"])
        assert locks(shell, "run", "index", *option, "--", "true").code == 0
        refused = locks(shell, "run", "index", "--timeout", "100ms", "--", "true")
        assert refused.code == 2
        shell.write("go", "")
        assert one.wait(60) == 0


def test_lock_that_is_not_free_in_time_is_told_with_its_holder(held: Shell) -> None:
    ended = locks(held, "run", "deploy/eu", "--timeout", "50ms", "--", "touch", "done")
    assert (ended.code, ended.out) == (2, "")
    assert "the lock 'deploy/eu' was not free within 50ms: w1 holds it under the number 1" in ended.err
    assert not (held.folder / "done").exists()


def running(shell: Shell, script: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Start a shell script under a lock, and wait until it is at work."""
    return shell.started(
        "--store", _store(shell), "locks", "run", "deploy", "--ttl", "1s", "--", "sh", "-c", f"echo $$ > pid; {script}"
    )


def _pid(shell: Shell) -> int:
    until(lambda: bool(shell.ledger("pid")))
    return int(shell.ledger("pid")[0])


def test_lost_lock_ends_the_command_with_all_that_it_started(shell: Shell) -> None:
    """LK-16"""
    with running(shell, "sleep 100 & echo $! > child; wait") as process:
        pid = _pid(shell)
        until(lambda: bool(shell.ledger("child")))
        assert locks(shell, "release", "deploy", "--fence", "1").code == 0
        assert process.wait(60) == 4
        assert process.stderr is not None
        assert "the lock 'deploy' was lost under the number 1; sh was ended" in process.stderr.read()
    until(lambda: not alive(pid) and not alive(int(shell.ledger("child")[0])))


@pytest.mark.parametrize("own_group", [True, False])
async def test_command_that_does_not_end_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch, own_group: bool) -> None:
    """LK-16"""
    monkeypatch.setattr(holding, "_END_SECONDS", 0.05)
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done", stdout=-1, process_group=0 if own_group else None
    )
    assert process.stdout is not None
    await process.stdout.readline()
    ended = asyncio.create_task(process.wait())
    await holding._end(process, ended, own_group=own_group)
    assert await ended == -signal.SIGKILL


def test_sigterm_is_passed_on_and_the_lock_released(shell: Shell) -> None:
    with running(shell, "trap 'echo told > told; exit 3' TERM; while :; do sleep 0.05; done") as process:
        _pid(shell)
        until(lambda: with_store(shell, lambda coord: coord.locks.is_locked("deploy")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 3
    assert shell.ledger("told") == ["told"]
    assert locks(shell, "show", "deploy").out == "deploy is free\n"


def test_killed_process_leaves_its_lock_to_end_by_itself(shell: Shell) -> None:
    """LK-07"""
    with running(shell, "exec sleep 100") as process:
        pid = _pid(shell)
        process.kill()
        process.wait(60)
        assert locks(shell, "run", "deploy", "--timeout", "20s", "--", "true").code == 0
        assert alive(pid)  # nobody is left to end it: what it writes is refused by its number
        os.kill(pid, signal.SIGKILL)


# -- wrong input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "missing command; see `interlock locks --help`"),
        (("lists",), "Did you mean 'list'? See `interlock locks --help`"),
        (("show",), "missing argument 'NAME'"),
        (("run", "deploy"), "missing argument 'COMMAND"),
        (("run", "", "--", "true"), "'' is no name of a lock: 1 to 200 printable characters"),
        (("run", "deploy", "--ttl", "10ms", "--", "true"), "ttl='10ms': at least 1 s"),
        (("run", "deploy", "--ttl", "soon", "--", "true"), "ttl='soon'"),
        (("run", "deploy", "--timeout", "soon", "--", "true"), "timeout='soon'"),
        (("run", "deploy", "--limit", "0", "--", "true"), "invalid value for '--limit'"),
        (("run", "deploy", "--shared", "--limit", "2", "--", "true"), "--shared and --limit exclude each other"),
        (("release",), "name a lock or --worker, one of them"),
        (("release", "deploy", "--worker", "w1"), "name a lock or --worker, one of them"),
        (("release", "deploy/eu", "--fence", "0"), "invalid value for '--fence'"),
        (
            ("release", "nothing", "--fence", "1"),
            "nobody holds the lock 'nothing'; `interlock locks list` shows what is",
        ),
        (("show", "a\nb"), "is no name of a lock"),
    ],
)
def test_wrong_input_exits_2_and_says_what_to_do(held: Shell, arguments: tuple[str, ...], said: str) -> None:
    ended = locks(held, *arguments)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-program", 127, "there is no program 'no-such-program'"),
        ("/etc/hostname", 126, "cannot run '/etc/hostname'"),
    ],
)
def test_command_that_cannot_be_run_is_told_as_shells_do(shell: Shell, command: str, code: int, said: str) -> None:
    ended = locks(shell, "run", "deploy", "--", command)
    assert ended.code == code
    assert said in ended.err
    assert locks(shell, "show", "deploy").out == "deploy is free\n"


def test_looking_makes_no_store(shell: Shell) -> None:
    for command in (("list",), ("show", "a"), ("release", "a", "--fence", "1"), ("clear",)):
        ended = locks(shell, *command)
        assert ended.code == 2
        assert "there is no store" in ended.err
    assert not (shell.folder / "interlock.db").exists()
