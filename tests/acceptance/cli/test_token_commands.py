"""Tokens on the command line, between processes, and over kills of every process that has to do with them."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from typing import Any

import pytest

from acceptance.shell import Ended, Shell, until

HEADER = "document: {dsl: 1.0.3, namespace: default, name: approved, version: 1.0.0}\n"
APPROVE = """
do:
  - before: {call: 'python:functions:note', with: {line: before}}
  - approve:
      call: approval:1.0.0@default
      with: {to: ops, question: 'Ship it?', schema: {type: object, required: [ok]}}
  - after: {call: 'python:functions:note', with: {line: after}}
"""
FUNCTIONS = """
def note(line):
    with open("ledger", "a") as ledger:
        ledger.write(f"{line}\\n")
"""
AGENT = """
do:
  - agent:
      run: {shell: {command: 'echo "$INTERLOCK_TOKEN" > text; echo handed >> ledger'}}
      metadata: {interlock: {await: token}}
  - after: {call: 'python:functions:note', with: {line: after}}
"""


@pytest.fixture
def waiting(shell: Shell) -> Shell:
    """A folder with a run `r1` that waits for an approval, and no process that executes it."""
    shell.write("functions.py", FUNCTIONS)
    shell.write("approve.yaml", HEADER + APPROVE)
    with shell.started("run", "approve.yaml", "--id", "r1") as process:
        until(lambda: is_open(shell))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    return shell


def rows(shell: Shell, sql: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{shell.folder}/.interlock/interlock.db?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def is_open(shell: Shell) -> bool:
    if not (shell.folder / ".interlock/interlock.db").exists():
        return False
    try:
        return rows(shell, "SELECT state FROM tokens") == [("open",)]
    except sqlite3.OperationalError:  # it is being made
        return False


def token(shell: Shell, *arguments: str, **more: Any) -> Ended:
    return shell.run("token", *arguments, **more)


def test_operator_completes_a_step_whose_token_nobody_has(waiting: Shell) -> None:
    """TK-19: by run and step, audited, and the run goes on."""
    shown = token(waiting, "show", "--run", "r1")
    assert shown.code == 0
    assert shown.out.startswith("/do/1/approve  waits ")
    assert "to ops, asks Ship it?" in shown.out
    whole = waiting.run("show", "r1")
    assert re.search("for a report by its token, (23 h|24 h|1 d)", whole.out), whole.out
    assert "token of /do/1/approve: waits" in whole.out
    assert waiting.run("show", "r1", "--json").json["tokens"][0]["step"] == "/do/1/approve"
    wrong = token(waiting, "complete", "--run", "r1", "--step", "approve", "--result", '{"no": 1}')
    assert (wrong.code, "nothing was applied" in wrong.err) == (2, True)
    done = token(waiting, "complete", "--run", "r1", "--step", "approve", "--result", "-", stdin='{"ok": true}')
    assert done.code == 0, done.err
    assert "completed: /do/1/approve of the run" in done.err
    assert "`interlock resume r1` goes on with it" in done.err
    audit = rows(waiting, "SELECT actor, action, target, at > 0 FROM audit WHERE action LIKE 'token%'")
    assert [(action, target.partition("/")[2], at) for _, action, target, at in audit] == [
        ("token-completed", "approve", 1)
    ]
    assert audit[0][0].startswith("user:")
    assert waiting.run("resume", "r1").code == 0
    assert waiting.ledger() == ["before", "after"]
    assert token(waiting, "show", "--run", "r1").err == "no step of the run r1 waits for a token\n"


def test_script_uses_the_token_of_its_environment(shell: Shell) -> None:
    shell.write("functions.py", FUNCTIONS)
    shell.write("agent.yaml", HEADER + AGENT)
    with shell.started("run", "agent.yaml", "--id", "r1") as process:
        until(lambda: (shell.folder / "text").exists() and bool((shell.folder / "text").read_text()))
        env = {"INTERLOCK_TOKEN": (shell.folder / "text").read_text().strip()}
        assert token(shell, "progress", "--fraction", "0.4", "-m", "reading", env=env).code == 0
        assert token(shell, "heartbeat", "--details", '{"rows": 3}', env=env).code == 0
        view = token(shell, "show", "--json", env=env).json
        assert (view["progress"], view["detail"]) == ({"fraction": 0.4, "message": "reading"}, {"rows": 3})
        assert "40% reading" in token(shell, "show", env=env).out
        reported = token(shell, "complete", "--result", '{"pr": 812}', "--json", env=env)
        assert (reported.json["state"], reported.json["applied"]) == ("completed", True)
        assert process.wait(60) == 0
    assert token(shell, "complete", "--result", '{"pr": 812}', env=env).code == 0
    refused = token(shell, "complete", "--result", '{"pr": 900}', env=env)
    assert refused.code == 2
    assert "completed before, with another outcome, by user:" in refused.err
    assert env["INTERLOCK_TOKEN"] not in refused.err
    assert rows(shell, "SELECT count(*) FROM audit WHERE action = 'token-completed'") == [(1,)]


def test_failure_is_told_and_ends_the_run(waiting: Shell) -> None:
    """TK-04."""
    waiting.write("why.yaml", "disk: full\n")
    given = ("--type", "NoSpace", "-m", "no space left", "--details", "@why.yaml")
    assert token(waiting, "fail", "--run", "r1", "--step", "/do/1/approve", *given).code == 0
    assert waiting.run("resume", "r1").code == 1
    error = waiting.run("show", "r1", "--json").json["error"]
    assert (error["title"], error["detail"], error["details"]) == ("NoSpace", "no space left", {"disk": "full"})


def test_holder_is_told_to_stop_by_an_exit_code(waiting: Shell) -> None:
    connection = sqlite3.connect(waiting.folder / ".interlock/interlock.db")
    (run,) = connection.execute("SELECT run FROM runs").fetchone()
    cause = json.dumps({"kind": "cancel", "reason": "too late"}).encode()
    connection.execute("INSERT INTO inbox (run, cause_id, cause) VALUES (?, 'cancel:1', ?)", (run, cause))
    connection.commit()
    connection.close()
    beat = token(waiting, "heartbeat", "--run", "r1", "--step", "approve")
    assert (beat.code, beat.err) == (3, "stop: the run is being cancelled (too late)\n")
    assert waiting.run("resume", "r1").code == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["complete"], "which token? Write its text, or set INTERLOCK_TOKEN"),
        (["complete", "abc"], "this is no token of this store and namespace"),
        (["complete", "abc", "--result", "{no"], "--result is not JSON: line 1, column 2"),
        (["complete", "abc", "--result", "@none.json"], "there is no file none.json"),
        (["complete", "abc", "--run", "r1", "--step", "approve"], "not by both"),
        (["show", "abc", "--run", "r1"], "not by both"),
        (["complete", "--run", "r1"], "--run and --step belong together"),
        (["complete", "--run", "r1", "--step", "aprove"], "those that do: /do/1/approve"),
        (["complete", "--run", "none", "--step", "approve"], "there is no run 'none'"),
        (["progress", "abc"], "say how far the work is"),
        (["progress", "abc", "--fraction", "2"], "lies outside of 0 to 1"),
        (["fail", "abc", "--details", "x"], "--details is not JSON"),
    ],
)
def test_wrong_use_gets_help(waiting: Shell, arguments: list[str], complaint: str) -> None:
    refused = token(waiting, *arguments)
    assert (refused.code, complaint in refused.err, refused.out) == (2, True, ""), refused.err


# -- kill -9 -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [f"commit:{number}:{moment}" for number in (2, 3, 4) for moment in ("before", "after")]
)
def test_run_that_is_killed_at_any_commit_asks_once_and_goes_on(shell: Shell, fault: str) -> None:
    """TK-16: kill -9 of the node between every step of the handshake."""
    shell.write("functions.py", FUNCTIONS)
    shell.write("agent.yaml", HEADER + AGENT)
    with shell.started("run", "agent.yaml", "--id", "r1", env={"INTERLOCK_FAULT": fault}) as process:
        until(lambda: process.poll() is not None or _is_handed_over(shell))
        was_killed = process.poll() == -signal.SIGKILL
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    texts = {(shell.folder / "text").read_text()} if (shell.folder / "text").exists() else set()
    with shell.started("resume", "r1") as process:
        until(lambda: _is_handed_over(shell) and bool((shell.folder / "text").read_text()))
        texts.add((shell.folder / "text").read_text())
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert was_killed or fault.startswith("commit:4")
    (text,) = texts  # the same, however often the effect was begun
    assert token(shell, "complete", text.strip(), "--result", "1").code == 0
    assert token(shell, "complete", text.strip(), "--result", "1").code == 0
    assert shell.run("resume", "r1").code == 0
    assert shell.ledger().count("after") == 1


def _is_handed_over(shell: Shell) -> bool:
    if not is_open(shell):
        return False
    return rows(shell, "SELECT count(*) FROM history WHERE CAST(events AS TEXT) LIKE '%handed-over%'") == [(1,)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_reporter_that_is_killed_at_its_commit_reports_again(waiting: Shell, moment: str) -> None:
    """TK-16, TK-07: kill -9 of who reports."""
    given = ("complete", "--run", "r1", "--step", "approve", "--result", '{"ok": 1}')
    killed = token(waiting, *given, env={"INTERLOCK_FAULT": f"commit:1:{moment}"})
    assert killed.code == -signal.SIGKILL
    again = token(waiting, *given)
    assert (again.code, "as was reported before" in again.err) == (0, moment == "after")
    assert waiting.run("resume", "r1").code == 0
    assert waiting.ledger() == ["before", "after"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_node_that_is_killed_while_it_applies_a_report_applies_it_once(waiting: Shell, moment: str) -> None:
    """TK-16: kill -9 between the report and what follows from it."""
    assert token(waiting, "complete", "--run", "r1", "--step", "approve", "--result", '{"ok": 1}').code == 0
    codes: list[int] = []
    while waiting.run("show", "r1", "--json").json["status"] != "completed":
        fault = f"commit:{len(codes) + 1}:{moment}"
        codes.append(waiting.run("resume", "r1", env={"INTERLOCK_FAULT": fault}).code)
    assert -signal.SIGKILL in codes
    done = waiting.ledger()
    assert done[0] == "before"
    assert set(done) == {"before", "after"}
    assert waiting.run("show", "r1", "--json").json["status"] == "completed"
