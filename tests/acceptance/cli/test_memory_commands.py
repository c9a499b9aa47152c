"""Shared memory on the command line, between processes."""

from __future__ import annotations

import json
import signal

import pytest

from acceptance.shell import Shell


def test_a_value_is_set_read_listed_and_deleted(shell: Shell) -> None:
    """MS-01, MS-06, MS-09"""
    assert shell.run("memory", "set", "tasks/1/state", '{"phase": 1}', "--space", "tasks").code == 0
    shell.run("memory", "set", "tasks/2/state", '"open"', "--space", "tasks")
    assert shell.run("memory", "get", "tasks/1/state", "--space", "tasks").out == '{"phase":1}\n'
    assert shell.run("memory", "list", "tasks/*/state", "--space", "tasks").out == "tasks/1/state\ntasks/2/state\n"
    cells = shell.run("memory", "list", "tasks/2", "--space", "tasks", "--json").json
    assert [(each["key"], each["value"]) for each in cells] == [("tasks/2/state", "open")]
    elsewhere = shell.run("memory", "get", "tasks/1/state")
    assert (elsewhere.code, elsewhere.out) == (2, "")
    assert "there is no value 'tasks/1/state' in the space global" in elsewhere.err
    assert shell.run("-n", "other", "memory", "get", "tasks/1/state", "--space", "tasks").code == 2
    assert shell.run("memory", "delete", "tasks/1/state", "--space", "tasks").err == "deleted\n"
    again = shell.run("memory", "delete", "tasks/1/state", "--space", "tasks", "--json")
    assert (again.code, again.json["deleted"]) == (0, False)
    assert (
        shell.run("memory", "list", "tasks/1", "--space", "tasks").err == "no values in the space tasks for 'tasks/1'\n"
    )


def test_a_version_that_is_not_there_any_more_is_refused_or_resolved(shell: Shell) -> None:
    """MS-12"""
    first = shell.run("memory", "set", "seen", "[1]", "--base", "0", "--json").json
    assert shell.run("memory", "set", "seen", "[1, 2]", "--base", str(first["version"])).code == 0
    refused = shell.run("memory", "set", "seen", "[3]", "--base", str(first["version"]))
    assert (refused.code, refused.out) == (2, "")
    assert f"not {first['version']}: user:" in refused.err
    assert shell.run("memory", "set", "seen", "[3]", "--base", str(first["version"]), "--resolver", "union").code == 0
    assert shell.run("memory", "get", "seen", "--json").json["value"] == [1, 2, 3]
    kept = shell.run("memory", "delete", "seen", "--base", str(first["version"]))
    assert (kept.code, "nothing was deleted" in kept.err) == (2, True)
    missing = shell.run("memory", "set", "other", "1", "--base", "7")
    assert (missing.code, "has the version 0, not 7: there is no value" in missing.err) == (2, True)


def test_a_value_ends_with_its_time(shell: Shell) -> None:
    """MS-11"""
    assert shell.run("memory", "set", "short", "1", "--ttl", "1ms").code == 0
    assert shell.run("memory", "get", "short").code == 2


def test_a_watch_hears_other_processes_and_goes_on_from_its_cursor(shell: Shell) -> None:
    """MS-07, MS-08"""
    shell.run("memory", "set", "tasks/0/state", '"before"')
    with shell.started("memory", "watch", "tasks/**", "--after", "0.0", "--count", "3", "--json") as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["value"] == "before"
        shell.run("memory", "set", "other", "1")
        shell.run("memory", "set", "tasks/1/state", '"open"')
        change = json.loads(watching.stdout.readline())
        assert (change["key"], change["value"], change["is_deleted"]) == ("tasks/1/state", "open", False)
        shell.run("memory", "delete", "tasks/1/state")
        assert json.loads(watching.stdout.readline())["is_deleted"] is True
        assert watching.wait(60) == 0
    rest = shell.run("memory", "watch", "tasks/*/state", "--after", change["cursor"], "--count", "1")
    assert rest.code == 0
    assert "  tasks/1/state  deleted  user:" in rest.out
    assert rest.err.startswith("to go on from here: --after ")
    assert shell.run("memory", "watch", "**", "--for", "10ms").out == ""


def test_a_watch_is_ended_by_a_signal(shell: Shell) -> None:
    """MS-07"""
    shell.run("memory", "set", "a", "1")
    with shell.started("memory", "watch", "**", "--after", "0.0") as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("memory", "missing command; see `interlock memory --help`"),
        ("memory get", "missing argument 'KEY'"),
        ("memory get a//b", "it has an empty segment"),
        ("memory get a --space a/b", "cannot be a space of shared memory"),
        ("memory set a", "missing argument 'VALUE'"),
        ("memory set a {", "VALUE is not JSON: it ends too early; to read a file, write VALUE @FILE"),
        ("memory set a 1 --base x", "invalid value for '--base'"),
        ("memory set a 1 --ttl soon", "ttl: 'soon' is not a duration; write"),
        ("memory set a 1 --resolver no", "there is no resolver 'no'; there are last_write_wins, union, merge, max"),
        ("memory set a 1 --resolver union", "the resolver union needs two lists"),
        ("memory list task-*", "`*` stands for a whole segment"),
        ("memory watch **/a", "cannot be a pattern of keys"),
        ("memory watch a --after x", "'x' is no cursor of changes"),
        ("memory watch a --for soon", "--for: 'soon' is not a duration"),
    ],
)
def test_wrong_input_exits_2_and_says_what_to_do(shell: Shell, line: str, said: str) -> None:
    if "union" in line:
        shell.run("memory", "set", "a", "1")
    elif "watch" in line or "get" in line or "list" in line:
        shell.run("memory", "set", "b", "1")
    ended = shell.run(*line.split(" "))
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1), ended.err
    assert said in ended.err


def test_reading_makes_no_store(shell: Shell) -> None:
    ended = shell.run("memory", "get", "a")
    assert (ended.code, ended.err) == (
        2,
        "interlock: there is no store sqlite:///.interlock/interlock.db here; `interlock run FILE` makes it\n",
    )
    assert not (shell.folder / ".interlock").exists()
