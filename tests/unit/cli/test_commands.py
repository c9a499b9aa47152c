"""Every command, with right and wrong input, in this process."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from interlock.cli import attend, context
from interlock.cli import run as run_module
from unit.cli.conftest import Typed

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"
HELLO = HEADER + "do:\n  - greet: {set: {greeting: '${ \"Hello, \\(.name)\" }'}}\n"
RAISING = "{raise: {error: {type: 'https://example.com/no', status: 500, title: No}}}"
FAULTED = HEADER + f"do:\n  - a: {{set: {{x: 1}}}}\n  - b: {RAISING}\n"
CALLING = HEADER + "do:\n  - a: {set: {x: 1}}\n  - work: {call: 'python:mending:work'}\n  - c: {set: {y: 2}}\n"
TOLERANT = HEADER + f"do:\n  - b: {RAISING.replace('}}}', '}}, metadata: {interlock: {on_error: continue}}}')}\n"
SPEAKING = (
    HEADER + "do:\n  - one: {run: {shell: {command: echo 1; printf 2}}}\n  - two: {run: {shell: {command: echo two}}}\n"
)
SAGA = (
    HEADER
    + """do:
  - kept: {set: {kept: true}, metadata: {interlock: {compensate: {set: {kept: false}}}}}
  - stuck:
      set: {stuck: true}
      metadata:
        interlock:
          compensate: {raise: {error: {type: 'https://x.example/stuck', status: 500, title: Stuck, detail: it is stuck}}}
  - last: {raise: {error: {type: 'https://x.example/no', status: 500, title: 'No'}}}
"""
)
ENDLESS = HEADER + "do:\n  - pause: {wait: {hours: 1}}\n"


@pytest.fixture
def hello(typed: Typed) -> Typed:
    """A folder with a workflow and one run of it, `first`."""
    typed.write("hello.yaml", HELLO)
    assert typed("run", "hello.yaml", "--id", "first", "--input", '{"name": "Ada"}').code == 0
    return typed


# -- what is typed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run", "interlock: missing argument 'WORKFLOW'; see `interlock run --help`"),
        ("valdate", "interlock: no such command 'valdate'. Did you mean 'validate'? See `interlock --help`"),
        ("list --limit x", "interlock: invalid value for '--limit': "),
        ("list --limit 0", "interlock: invalid value for '--limit': "),
        ("list --limmit 3", "interlock: no such option: --limmit"),
        ("config", "interlock: missing command; see `interlock config --help`"),
        ("validate a.yaml --format xml", "interlock: invalid value for '--format': "),
        ("run a.yaml --debug", "interlock: --debug stands before the command: interlock --debug ... run"),
        ("resume", "interlock: name one run, or write --all"),
        ("resume a --all", "interlock: name one run, or write --all"),
        (
            "show first",
            "interlock: there is no store sqlite:///.interlock/interlock.db here; `interlock run FILE` makes it",
        ),
        ("run nothing.yaml", "interlock: there is no file nothing.yaml"),
        ("run .", "interlock: there is no file '.' and no published workflow default/.; "),
        ("validate .", "interlock: . is a folder; name a file"),
        ("demo nowhere", "interlock: there is no folder nowhere"),
    ],
)
def test_wrong_command_line_ends_in_one_line_and_exit_code_2(typed: Typed, line: str, said: str) -> None:
    ended = typed(*line.split())
    assert ended.code == 2
    assert ended.line.startswith(said)
    assert ended.out == ""


def test_no_command_shows_the_help_and_fails(typed: Typed) -> None:
    ended = typed()
    assert ended.code == 2
    assert "Commands:" in ended.err


def test_version_and_help_are_results(typed: Typed) -> None:
    assert typed("--version").out.startswith("interlock ")
    assert "Run a workflow and show it" in typed("run", "-h").out


def test_unexpected_error_asks_for_a_report_without_a_traceback(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(context, "settings", broken)
    ended = typed("list")
    assert (ended.code, ended.line) == (
        4,
        "interlock: unexpected ZeroDivisionError: by zero: a mistake in Interlock, please report it"
        " with what `interlock --debug` and the same command print",
    )
    debugged = typed("--debug", "list")
    assert debugged.code == 4
    assert "Traceback" in debugged.err
    assert "in broken" in debugged.err


def test_result_that_cannot_be_written_is_an_error_of_the_environment(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(text: str, end: str = "\n") -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interlock.cli.tools.answer", full)
    monkeypatch.setattr("interlock.cli.main.discard", lambda stream: None)
    ended = typed("config", "check")
    assert (ended.code, ended.line) == (4, "interlock: cannot write the result: No space left on device")


def test_error_of_the_store_shows_where_with_debug_only(typed: Typed) -> None:
    typed.write("random.db", "no database, but long enough to have a header of one" * 100)
    plain = typed("--store", "sqlite:///random.db", "list")
    assert plain.code == 4
    assert plain.line.startswith("interlock: the store random.db is not a readable SQLite file")
    assert "Traceback" in typed("--debug", "--store", "sqlite:///random.db", "list").err


def test_what_goes_on_is_told_with_debug(hello: Typed) -> None:
    hello.write("speaking.yaml", SPEAKING)
    assert "debug: attempt.settled task=" in hello("--debug", "run", "speaking.yaml").err


# -- run -------------------------------------------------------------------------------------------------------------


def test_run_prints_its_output_alone_and_the_story_beside_it(typed: Typed) -> None:
    typed.write("hello.yaml", HELLO)
    ended = typed("run", "hello.yaml", "--id", "first", "--input", '{"name": "Ada"}')
    assert json.loads(ended.out) == {"greeting": "Hello, Ada"}
    assert ended.err.splitlines()[:2] == [
        "tested · first · sqlite:///.interlock/interlock.db",
        " ✓ greet               greeting Hello, Ada",
    ]
    assert ended.err.splitlines()[2].startswith("✓ completed in 0.0")


def test_run_prints_json_and_nothing_else(typed: Typed) -> None:
    typed.write("hello.yaml", HELLO)
    ended = typed("run", "hello.yaml", "--json", "--input", "@input.yaml")
    assert (ended.code, ended.line) == (2, "interlock: there is no file input.yaml")
    typed.write("input.yaml", "name: Ada\n")
    ended = typed("run", "hello.yaml", "--json", "--input", "@input.yaml")
    assert ended.err == ""
    assert ended.json["output"] == {"greeting": "Hello, Ada"}
    assert ended.json["status"] == "completed"


def test_workflow_can_come_from_standard_input(typed: Typed) -> None:
    assert typed("run", "-", "--input", '{"name": "Ada"}', stdin=HELLO).json == {"greeting": "Hello, Ada"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": }', "--input is not JSON: line 1, column 7, at '}': JSON is malformed: invalid character"),
        ('{"a": 1,\n "ä": x}', "--input is not JSON: line 2, column 7, at 'x}': JSON is malformed: invalid character"),
        ('{"a": 1', "--input is not JSON: it ends too early"),
        (
            '{} {"b": 1}',
            "--input is not JSON: line 1, column 5, at '\"b\": 1}': JSON is malformed: trailing characters",
        ),
        ("[" * 100_000, "--input is nested too deeply"),
        ("@bad.yaml", "bad.yaml:2:2: "),
        ("@latin.yaml", "latin.yaml is not UTF-8 text (byte 3)"),
        ("@hello.yaml/x", "cannot read hello.yaml/x: Not a directory"),
    ],
)
def test_wrong_input_is_refused_with_its_place_before_anything_runs(hello: Typed, text: str, said: str) -> None:
    hello.write("bad.yaml", "a: [1, 2\nb: }\n")
    (hello.folder / "latin.yaml").write_bytes(b"a: \xe4")
    ended = hello("run", "hello.yaml", "--input", text)
    assert ended.code == 2
    assert ended.line.startswith(f"interlock: {said}")
    assert len(hello("list", "--json").json) == 1


def test_invalid_workflow_is_refused_with_every_problem(typed: Typed) -> None:
    typed.write("bad.yaml", HEADER + "do:\n  - a: {sett: {x: 1}}\n  - b: {set: {x: '${ .a >> 1 }'}}\n")
    ended = typed("run", "bad.yaml")
    assert ended.code == 2
    assert "bad.yaml:3:" in ended.err
    assert "bad.yaml:4:" in ended.err
    assert ended.err.endswith("errors\n")


def test_workflow_that_cannot_be_executed_yet_is_refused_by_name(typed: Typed) -> None:
    typed.write("later.yaml", HEADER + "do: [{a: {run: {shell: {command: x}, await: false}}}]\n")
    ended = typed("run", "later.yaml")
    assert ended.code == 2
    assert "`await: false` is valid, but this version cannot execute it yet" in ended.err
    assert ended.err.endswith("interlock: this document uses what this version cannot execute yet\n")


def test_same_id_is_the_same_run(hello: Typed) -> None:
    again = hello("run", "hello.yaml", "--id", "first", "--input", '{"name": "Ada"}')
    assert again.code == 0
    assert again.json == {"greeting": "Hello, Ada"}
    assert "the run first is there already" in again.err
    other = hello("run", "hello.yaml", "--id", "first", "--input", '{"name": "Bob"}')
    assert other.code == 2
    assert "the run 'first' exists with definition" in other.line
    assert hello("run", "hello.yaml", "--id", "x" * 129).code == 2


def test_document_with_a_schedule_runs_once_and_says_so(typed: Typed) -> None:
    typed.write("nightly.yaml", HEADER + "schedule: {every: {hours: 1}}\ndo: [{a: {set: {x: 1}}}]\n")
    ended = typed("run", "nightly.yaml")
    assert ended.code == 0
    assert "the document has a schedule; `run` runs it once, now" in ended.err


def test_faulted_run_exits_1_and_names_the_step_and_the_way_on(typed: Typed) -> None:
    typed.write("faulted.yaml", FAULTED)
    ended = typed("run", "faulted.yaml", "--id", "bad")
    assert ended.code == 1
    assert " ✕ b                   No" in ended.err
    assert ended.err.splitlines()[-2:] == ["/do/1/b: No", "`interlock retry bad` goes on from there"]
    as_json = typed("run", "faulted.yaml", "--json")
    assert as_json.code == 1
    assert as_json.json["error"]["title"] == "No"


def test_partial_run_exits_0_with_a_warning(typed: Typed) -> None:
    typed.write("tolerant.yaml", TOLERANT)
    ended = typed("run", "tolerant.yaml")
    assert ended.code == 0
    assert "warning: partial" in ended.err
    assert "completed (partial)" in typed("list").out


def test_detached_run_waits_for_somebody_to_execute_it(typed: Typed) -> None:
    typed.write("hello.yaml", HELLO)
    ended = typed("run", "hello.yaml", "--id", "later", "--detach", "--input", '{"name": "Ada"}')
    assert (ended.code, ended.out) == (0, "later\n")
    assert "`interlock resume later` executes this one" in ended.err
    assert typed("run", "hello.yaml", "--id", "json", "--detach", "--json").json["fresh"] is True
    assert (
        "no process executes it (no live node has the role engine); `interlock resume later` goes on"
        in typed("show", "later").out
    )
    assert "not started, in " in typed("show", "later").out
    assert (
        "later (tested, pending): no live node has the role engine; `interlock resume later` goes on with it"
        in typed("doctor").err
    )
    resumed = typed("resume", "--all", "--json")
    assert resumed.code == 0
    assert len(resumed.out.splitlines()) == 2
    assert "no run waits to be resumed" in typed("resume", "--all").err


def test_long_output_is_not_poured_into_a_terminal(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.write("long.yaml", HEADER + "do: [{a: {set: {x: '${ \"x\" * 5000 }'}}}]\n")
    assert len(typed("run", "long.yaml", "--id", "piped").out) > 5000
    monkeypatch.setattr("interlock.cli.result.results", lambda: SimpleNamespace(isatty=lambda: True))
    shown = typed("run", "long.yaml", "--id", "seen")
    assert shown.out == ""
    assert "characters; `interlock show seen --output` prints it" in shown.err


def test_end_of_a_run_that_nobody_reads_keeps_its_exit_code(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(text: str, end: str = "\n") -> None:
        raise BrokenPipeError

    typed.write("faulted.yaml", FAULTED)
    monkeypatch.setattr("interlock.cli.result.answer", gone)
    monkeypatch.setattr("interlock.cli.result.discard", lambda stream: None)
    assert typed("run", "faulted.yaml", "--json").code == 1


def test_reader_that_went_away_is_no_error(hello: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(text: str, end: str = "\n") -> None:
        raise BrokenPipeError

    monkeypatch.setattr("interlock.cli.inspect.answer", gone)
    monkeypatch.setattr("interlock.cli.context.discard", lambda stream: None)
    ended = hello("list", "--json")
    assert (ended.code, ended.err) == (0, "")


# -- published workflows ---------------------------------------------------------------------------------------------


def test_published_workflow_runs_by_name(typed: Typed) -> None:
    typed.write("hello.yaml", HELLO.replace("namespace: default", "namespace: shop"))
    published = typed("publish", "hello.yaml")
    assert (published.code, published.out) == (0, "shop/tested:1.0.0\n")
    assert "`interlock run shop/tested:1.0.0` runs it" in published.err
    assert typed("publish", "hello.yaml").code == 0
    given = ("--input", '{"name": "Ada"}')
    assert typed("run", "shop/tested:1.0.0", *given).code == 0
    assert typed("run", "shop/tested", *given).code == 0
    assert typed("-n", "shop", "run", "tested", *given).code == 0
    assert typed("run", "shop/tested:2.0.0").line.startswith("interlock: there is no file 'shop/tested:2.0.0' and no")
    assert typed("run", "tested").code == 2
    typed.write("hello.yaml", HELLO.replace("namespace: default", "namespace: shop").replace("Hello", "Hi"))
    assert "published before with another text" in typed("publish", "hello.yaml").line


def test_publishing_needs_the_right_to_run_python(typed: Typed) -> None:
    typed.write("calling.yaml", CALLING)
    refused = typed("publish", "calling.yaml")
    assert (refused.code, "name its module in python.allow" in refused.line) == (2, True)
    typed.write("interlock.toml", '[python]\nallow = ["mending"]\n')
    assert typed("publish", "calling.yaml").code == 0


def test_catalog_of_the_settings_gives_functions_names(typed: Typed) -> None:
    typed.write("doubling.py", "def double(*, n):\n    return {'n': n * 2}\n")
    typed.write("interlock.toml", '[python]\nfunctions = {double = "doubling:double"}\n')
    typed.write("named.yaml", HEADER + "do: [{a: {call: 'double:1.0.0@default', with: {n: 21}}}]\n")
    assert typed("run", "named.yaml").json == {"n": 42}


# -- looking ---------------------------------------------------------------------------------------------------------


def test_list_filters_and_pages(hello: Typed) -> None:
    hello.write("faulted.yaml", FAULTED.replace("name: tested", "name: faulted"))
    hello("run", "faulted.yaml", "--id", "second")
    hello("-n", "other", "run", "hello.yaml", "--id", "third")
    assert [run["id"] for run in hello("list", "--json").json] == ["third", "second", "first"]
    assert [run["id"] for run in hello("list", "--json", "--status", "faulted", "--status", "waiting").json] == [
        "second"
    ]
    assert [run["id"] for run in hello("list", "--json", "--workflow", "faulted").json] == ["second"]
    assert [run["id"] for run in hello("-n", "other", "list", "--json").json] == ["third"]
    page = hello("list", "--limit", "2")
    assert "older ones: add --before second" in page.err
    assert [run["id"] for run in hello("list", "--json", "--before", "second").json] == ["first"]
    shown = hello("list").out.splitlines()
    assert shown[0].split() == ["run", "workflow", "status", "started", "took"]
    assert shown[2].startswith("✕  second  default/faulted:1.0.0  faulted")
    assert shown[2].endswith("/do/1/b: No")
    assert hello("list", "--workflow", "nope").err == "no run fits\n"
    assert hello("list", "--status", "done").line.startswith(
        "interlock: 'done' is no status of a run; they are pending"
    )


def test_looking_makes_no_store(typed: Typed) -> None:
    assert typed("list").err == "no runs here yet; `interlock run FILE` starts one\n"
    assert typed("list", "--json").json == []
    assert typed("show", "x").code == 2
    assert not (typed.folder / ".interlock").exists()
    typed("run", "-", "--detach", stdin=HELLO.replace("greet", "a b"))
    assert typed("--store", "sqlite:///:memory:", "list").err == "no runs here yet; `interlock run FILE` starts one\n"


def test_show_tells_a_run_its_steps_and_its_output(hello: Typed) -> None:
    lines = hello("show", "first").out.splitlines()
    assert lines[0] == "✓ completed  default/tested:1.0.0  first"
    assert lines[1].startswith("started 20")
    assert lines[2:] == [
        " ✓ greet              greeting Hello, Ada",
        "output: greeting Hello, Ada",
        "`interlock show first --output` prints the whole output",
    ]
    assert hello("show", "firs").code == 0
    assert hello("show", "first", "--output").json == {"greeting": "Hello, Ada"}
    assert hello("show", "first", "--output", "--json").out == '{"greeting":"Hello, Ada"}\n'
    shown = hello("show", "first", "--json").json
    assert [(step["name"], step["status"]) for step in shown["steps"]] == [("greet", "completed")]


def test_show_of_a_faulted_run_names_the_error_and_the_way_on(typed: Typed) -> None:
    typed.write("faulted.yaml", FAULTED)
    typed("run", "faulted.yaml", "--id", "bad")
    assert typed("show", "bad").out.splitlines()[-2:] == [
        "/do/1/b: No",
        "`interlock retry bad` goes on from the step that failed",
    ]
    assert typed("show", "bad", "--output").line == "interlock: the run bad is faulted and has no output"
    assert typed("show", "bad", "--json").json["error"]["status"] == 500


def test_unknown_and_ambiguous_runs_are_refused(hello: Typed) -> None:
    hello("run", "hello.yaml", "--id", "firstly")
    assert "there is no run 'nope'" in hello("show", "nope").line
    assert "fits several runs" in hello("show", "firs").line
    assert "there is no run 'first' in the namespace 'other'" in hello("-n", "other", "show", "first").line


def test_history_has_every_event_in_causal_order(typed: Typed) -> None:
    """WF-27"""
    typed.write(
        "all.yaml",
        HEADER + "do:\n  - a: {set: {x: 1}}\n  - pause: {wait: {milliseconds: 1}}\n"
        "  - loop: {for: {in: '${ [1] }'}, do: [{i: {set: {x: 1}}}]}\n"
        f"  - guarded: {{try: [{{b: {RAISING}}}], catch: {{do: [{{c: {{set: {{x: 1}}}}}}]}}}}\n",
    )
    typed("run", "all.yaml", "--id", "told")
    events = [json.loads(line) for line in typed("history", "told", "--json").out.splitlines()]
    told = [(event["type"], (event.get("path") or "").rsplit("/", 1)[-1]) for event in events]
    assert told[0] == ("workflow.started", "")
    assert told[-1] == ("workflow.completed", "")
    assert told[1:5] == [
        ("step.started", "a"),
        ("step.completed", "a"),
        ("step.started", "pause"),
        ("step.waiting", "pause"),
    ]
    assert told[told.index(("step.faulted", "b")) + 1] == ("step.caught", "guarded")
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert len({event["id"] for event in events}) == len(events)
    plain = typed("history", "told").out.splitlines()
    assert len(plain) == len(events)
    assert any("step.faulted" in line and line.endswith("No") for line in plain)


def test_history_of_a_fork_begins_with_that_of_its_origin(hello: Typed) -> None:
    forked = hello("fork", "first", "--from", "greet", "--id", "second")
    assert forked.code == 0
    assert forked.json == {"greeting": "Hello, Ada"}
    assert "workflow.forked" in hello("history", "second").out
    assert "forked from first" in hello("show", "second").out
    assert "the run 'second' exists" in hello("fork", "first", "--from", "greet", "--id", "second").line
    assert "has no step 'nope'; its steps are /do/0/greet" in hello("fork", "first", "--from", "nope").line


def test_logs_give_what_processes_wrote(typed: Typed) -> None:
    typed.write("speaking.yaml", SPEAKING)
    typed("run", "speaking.yaml", "--id", "said")
    assert typed("logs", "said").out == "1\n2two\n"
    assert typed("logs", "said", "two").out == "two\n"
    assert typed("logs", "said", "/do/1/two", "--follow").out == "two\n"
    piece = json.loads(typed("logs", "said", "two", "--json").out)
    assert (piece["text"], piece["stream"], piece["path"]) == ("two\n", "stdout", "/do/1/two")
    assert "has no step 'three'" in typed("logs", "said", "three").line


# -- changing --------------------------------------------------------------------------------------------------------


def test_retry_goes_on_from_the_step_whose_cause_was_mended(typed: Typed) -> None:
    typed.write(
        "mending.py",
        "import os\ndef work():\n    os.mkdir(f'call{len(os.listdir())}')\n    return os.stat('there').st_size\n",
    )
    typed.write("calling.yaml", CALLING)
    assert typed("run", "calling.yaml", "--id", "mended").code == 1
    typed.write("there", "")
    retried = typed("retry", "mended")
    assert (retried.code, retried.json) == (0, {"y": 2})
    assert len(list(typed.folder.glob("call[0-9]*"))) == 2
    assert typed("retry", "mended").line == "interlock: the run mended is completed; only a faulted run can be retried"
    assert typed("resume", "mended").line == "interlock: the run mended has ended (completed)"


def test_resume_of_a_faulted_run_names_retry(typed: Typed) -> None:
    typed.write("faulted.yaml", FAULTED)
    typed("run", "faulted.yaml", "--id", "bad")
    assert typed("resume", "bad").line.endswith("; `interlock retry bad` goes on from the failed step")


def test_run_that_nobody_executes_is_cancelled_here(typed: Typed) -> None:
    typed.write("endless.yaml", ENDLESS)
    typed("run", "endless.yaml", "--id", "waits", "--detach")
    assert typed("suspend", "waits").line == "suspended waits; `interlock resume waits` goes on"
    assert typed("show", "waits").out.splitlines()[-1] == "`interlock resume waits` goes on"
    assert typed("run", "endless.yaml", "--id", "waits").code == 5
    assert typed("cancel", "waits", "--reason", "no need").line == "cancelled waits"
    assert typed("cancel", "waits").line == "cancelled waits"
    assert "no need" in typed("history", "waits").out
    assert typed("suspend", "waits").line == "interlock: the run waits has ended already (cancelled)"
    assert typed("run", "endless.yaml", "--id", "waits").code == 3
    assert "⊘ cancelled" in typed("show", "waits").out


def test_run_that_was_rolled_back_says_so_and_cannot_be_retried(typed: Typed) -> None:
    """WF-11: failures reported"""
    typed.write("saga.yaml", SAGA)
    ended = typed("run", "saga.yaml", "--id", "back")
    assert ended.code == 1
    assert ended.err.splitlines()[-3:] == [
        "/do/2/last: No",
        "rollback: 1 undone, 1 failed",
        "warning: /do/1/stuck was not undone: Stuck: it is stuck",
    ]
    shown = typed("show", "back").out.splitlines()
    assert shown[2:] == [
        " ↶ kept               undone",
        "   ✓ undo kept        kept no",
        " ✓ stuck              its undo failed: Stuck: it is stuck",
        "   ✕ undo stuck       Stuck: it is stuck",
        " ✕ last               No",
        "/do/2/last: No",
        "rollback: 1 undone, 1 failed",
        "warning: /do/1/stuck was not undone: Stuck: it is stuck",
        "what its steps did was undone, so that it cannot be retried; start it again",
    ]
    told = typed("run", "saga.yaml", "--id", "back", "--json").json["rollback"]
    assert (told["undone"], [failed["path"] for failed in told["failed"]]) == (1, ["/do/1/stuck"])
    described = typed("show", "back", "--json").json
    assert described["rollback"] == told
    assert described["steps"][2]["undo_error"]["title"] == "Stuck"
    assert typed("retry", "back").line == (
        "interlock: the run back was rolled back: what its steps did was undone, so it cannot go on; start it again"
    )
    assert typed("resume", "back").line == "interlock: the run back has ended (faulted)"
    history = typed("history", "back").out
    assert "workflow.compensating" in history
    assert "step.compensation-failed" in history


def test_cancel_can_roll_back_what_was_finished(typed: Typed) -> None:
    typed.write(
        "waits.yaml",
        SAGA.replace("raise: {error: {type: 'https://x.example/no', status: 500, title: 'No'}}", "wait: PT1H"),
    )
    typed("run", "waits.yaml", "--id", "waits", "--detach")
    assert typed("suspend", "waits").code == 0
    ended = typed("cancel", "waits", "--rollback", "--reason", "no need")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "rollback: 1 undone, 1 failed",
        "warning: /do/1/stuck was not undone: Stuck: it is stuck",
        "cancelled waits",
    ]
    assert typed("show", "waits", "--json").json["rollback"]["undone"] == 1
    assert "no need" in typed("history", "waits").out


def test_cancel_says_that_a_rollback_goes_on(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.write(
        "slow.yaml",
        SAGA.replace(
            "raise: {error: {type: 'https://x.example/stuck', status: 500, title: Stuck, detail: it is stuck}}",
            "wait: PT1H",
        ),
    )
    typed("run", "slow.yaml", "--id", "slow", "--detach")
    monkeypatch.setattr("interlock.cli.control._PATIENCE_SECONDS", 0.5)
    ended = typed("cancel", "slow")
    assert ended.err.splitlines() == [
        "rollback: 0 undone",
        "the run slow undoes what it finished, and then ends; `interlock resume slow` stays with it",
    ]
    assert "(compensating)" in typed("show", "slow").out
    assert typed("suspend", "slow").code == 0
    assert typed("show", "slow").out.splitlines()[-1] == "`interlock resume slow` goes on"


def test_run_that_does_not_answer_keeps_the_request(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.cli.control._PATIENCE_SECONDS", -1.0)
    typed.write("endless.yaml", ENDLESS)
    typed("run", "endless.yaml", "--id", "waits", "--detach")
    ended = typed("cancel", "waits")
    assert (ended.code, "the request stays in the store" in ended.line) == (0, True)
    assert typed("resume", "--all").code == 3


def test_interrupted_resume_says_how_to_go_on(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(app: object, row: object, attention: attend.Attention, **more: object) -> int:
        attention.interrupted = True
        return attend.INTERRUPTED

    typed.write("endless.yaml", ENDLESS)
    for id_ in ("a", "b"):
        typed("run", "endless.yaml", "--id", id_, "--detach")
    monkeypatch.setattr(run_module, "attend", interrupted)
    ended = typed("resume", "--all")
    assert ended.code == 130
    assert "so do 1 more; `interlock resume --all` goes on with all of them" in ended.err


# -- definitions -----------------------------------------------------------------------------------------------------


def test_validate_tells_every_problem_of_every_file(typed: Typed) -> None:
    typed.write("good.yaml", HELLO)
    typed.write("bad.yaml", HEADER + "do:\n  - a: {sett: {x: 1}}\n")
    assert typed("validate", "good.yaml").out == "1 file valid\n"
    assert typed("validate", "good.yaml", "-", stdin=HELLO).out == "2 files valid\n"
    ended = typed("validate", "good.yaml", "bad.yaml")
    assert ended.code == 2
    assert ended.out.splitlines()[-1] == "1 error"
    as_json = typed("validate", "bad.yaml", "--format", "json")
    assert as_json.code == 2
    assert [(problem["file"], problem["line"]) for problem in as_json.json] == [("bad.yaml", 3)]
    typed.write("later.yaml", HEADER + "do: [{a: {listen: {to: {any: []}}}}]\n")
    assert typed("validate", "later.yaml").code == 0


def test_limits_of_the_settings_hold_for_validate_and_run(typed: Typed) -> None:
    typed.write("interlock.toml", "[limits]\nmax_steps = 1\n")
    typed.write("two.yaml", HEADER + "do: [{a: {set: {x: 1}}}, {b: {set: {x: 1}}}]\n")
    assert typed("validate", "two.yaml").code == 2
    assert typed("run", "two.yaml").code == 2


def test_graph_draws_to_the_terminal_or_into_a_file(typed: Typed) -> None:
    typed.write("hello.yaml", HELLO)
    assert typed("graph", "hello.yaml").out.startswith("flowchart ")
    assert typed("graph", "hello.yaml", "--format", "svg", "--out", "hello.svg").err == "wrote hello.svg\n"
    assert (typed.folder / "hello.svg").read_text().startswith("<svg")
    assert typed("graph", "hello.yaml", "--out", "no/where.svg").line == (
        "interlock: cannot write no/where.svg: No such file or directory"
    )
    full = typed("graph", "hello.yaml", "--out", "/dev/full")
    assert (full.code, full.line) == (4, "interlock: cannot write /dev/full: No space left on device")
    typed.write("bad.yaml", HEADER + "do: []\n")
    assert typed("graph", "bad.yaml").code == 2


def test_eval_evaluates_as_a_workflow_would(typed: Typed) -> None:
    assert typed("eval", ".a + 1", "--input", '{"a": 1}').out == "2\n"
    assert typed("eval", "${ .a + $b }", "--input", '{"a": 1}', "--args", '{"b": 2}').out == "3\n"
    typed.write("interlock.toml", '[expressions]\ndeadline = "60s"\n')  # a busy machine is no endless expression
    slow = typed("eval", "[range(200000)] | add", "--input", "{}")
    assert (slow.code, slow.out, slow.err) == (0, "19999900000\n", "")


def test_wrong_expression_is_shown_with_its_place(typed: Typed) -> None:
    ended = typed("eval", ".a >> 1")
    assert ended.code == 2
    assert ended.err.splitlines()[:2] == [".a >> 1", "    ^"]
    assert typed("eval", "$ENV").code == 2
    assert typed("eval", ".a.b", "--input", '{"a": 1}').code == 1
    assert typed("eval", ".", "--args", "[1]").line.startswith("interlock: --args is [1]; it must be a JSON object")
    assert typed("eval", ".", "--args", "{").line == "interlock: --args is not JSON: it ends too early"


def test_expression_that_never_ends_is_stopped(typed: Typed) -> None:
    typed.write("interlock.toml", '[expressions]\ndeadline = "100ms"\n')
    ended = typed("eval", "last(range(1000000000))")
    assert ended.code == 1
    assert ended.line.startswith("interlock: ")


# -- the place -------------------------------------------------------------------------------------------------------


def test_config_shows_values_as_they_can_be_written_and_where_they_come_from(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed.write("interlock.toml", '[logs]\nmax = "1500 B"\n')
    monkeypatch.setenv("INTERLOCK_LIMITS_MAX_STEPS", "7")
    shown = {line.split()[0]: line for line in typed("--store", "sqlite:///x.db", "config", "show").out.splitlines()}
    assert shown["expressions.deadline"].split()[1:] == ["2s", "default"]
    assert shown["expressions.memory"].split()[1:] == ["512", "MiB", "default"]
    assert shown["logs.max"].endswith(f"1500 B                {typed.folder}/interlock.toml".split()[-1])
    assert "1500 B" in shown["logs.max"]
    assert shown["limits.max_steps"].split()[1:] == ["7", "INTERLOCK_LIMITS_MAX_STEPS"]
    assert shown["store.url"].split()[1:] == ["sqlite:///x.db", "flag"]
    as_json = typed("config", "show", "--json").json
    assert {"key": "limits.max_steps", "value": 7, "origin": "INTERLOCK_LIMITS_MAX_STEPS"} in as_json


def test_config_shows_no_password(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_STORE_LISTEN_URL", "postgresql://u:s3cret@direct/d")
    for more in ((), ("--json",)):
        shown = typed("--store", "postgresql://u@h/d?password=s3cret", "config", "show", *more).out
        assert "s3cret" not in shown
        assert "postgresql://u:***@direct/d" in shown


def test_config_check_tells_all_that_is_wrong(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed("config", "check").out == "the settings are valid (there is no file, the defaults hold)\n"
    typed.write("interlock.toml", "[limits]\nmax_steps = 7\n")
    assert typed("config", "check").out == f"the settings are valid ({typed.folder}/interlock.toml)\n"
    typed.write("interlock.toml", "[limits]\nmax_step = 7\n")
    monkeypatch.setenv("INTERLOCK_HTTP_TIMEOUT", "soon")
    ended = typed("config", "check")
    assert ended.code == 2
    assert "2 settings are wrong" in ended.err
    assert "did you mean limits.max_steps?" in ended.err
    assert typed("list").code == 2


def test_config_check_reads_the_files_of_the_dispatcher_too(typed: Typed) -> None:
    typed.write("agent-pools.yaml", "agent_pools:\n  laptop: {type: local-process, max_concurrency: 2}\n")
    assert typed("config", "check").out == f"the settings are valid ({typed.folder}/agent-pools.yaml)\n"
    typed.write("dispatcher.yaml", "dispatcher: {scheduling_policy: prioritty}\n")
    ended = typed("config", "check")
    assert ended.code == 2
    assert "dispatcher.yaml" in ended.err
    assert "prioritty" in ended.err
    up = typed("up", "--listen", "127.0.0.1:0")
    assert up.code == 2
    assert "prioritty" in up.err
    assert "sign-in" not in up.err, "nobody is greeted by a server that does not begin"


def test_doctor_measures_and_says_what_to_do(hello: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = hello("doctor")
    assert plain.code == 0
    assert "durable commit (fsync)" in plain.out
    assert "drift" in plain.out
    assert "1 runs, 0 live runs" in plain.out
    monkeypatch.setattr("interlock.cli.tools._SLOW_COMMIT_MILLISECONDS", 0.0)
    monkeypatch.setattr("interlock.cli.tools._QUICK_COMMIT_MILLISECONDS", 1e9)
    monkeypatch.setattr("interlock.cli.tools._DRIFT_SECONDS", -1.0)
    strange = hello("doctor")
    assert "slow: every step waits for this disk" in strange.err
    assert "suspiciously quick" in strange.err
    assert "it is being set" in strange.out


@pytest.fixture
def broken_stores(typed: Typed) -> dict[str, str]:
    """URLs of stores that cannot be used, with the words that say why."""
    folder = typed.folder
    typed("--store", "sqlite:///good.db", "run", "-", "--detach", stdin=HELLO)
    good = (folder / "good.db").read_bytes()
    (folder / "folder").mkdir()
    (folder / "file").write_text("x")
    (folder / "random.db").write_bytes(bytes(range(256)) * 20)
    (folder / "cut.db").write_bytes(good[: len(good) // 2])
    (folder / "header.db").write_bytes(good[:100])
    with contextlib.closing(sqlite3.connect(folder / "foreign.db")) as foreign, foreign:
        foreign.execute("CREATE TABLE migrations (id)")
    foreign.close()
    (folder / "newer.db").write_bytes(good)
    with contextlib.closing(sqlite3.connect(folder / "newer.db")) as newer, newer:
        newer.execute("INSERT INTO migrations VALUES ('9999_future', 0)")
        newer.execute("INSERT OR REPLACE INTO meta VALUES ('needs', '9999_future')")
    newer.close()
    return {
        "sqlite:///folder": "cannot open the store folder",
        "sqlite:///file/x.db": "cannot open the store file/x.db",
        "sqlite:////proc/nothing/x.db": "cannot open the store /proc/nothing/x.db",
        "sqlite:///random.db": "is not a readable SQLite file",
        "sqlite:///cut.db": "is not a readable SQLite file",
        "sqlite:///header.db": "is not a readable SQLite file",
        "sqlite:///foreign.db": "not an Interlock store",
        "sqlite:///newer.db": "written by a newer Interlock",
    }


def test_database_of_others_is_left_as_it_is(typed: Typed, broken_stores: dict[str, str]) -> None:
    before = (typed.folder / "foreign.db").read_bytes()
    assert typed("--store", "sqlite:///foreign.db", "list").code == 4
    assert (typed.folder / "foreign.db").read_bytes() == before


@pytest.mark.slow
def test_store_that_cannot_be_used_ends_in_one_line_and_exit_code_4(
    typed: Typed, broken_stores: dict[str, str]
) -> None:
    typed.write("hello.yaml", HELLO)
    for url, said in broken_stores.items():
        for command in (("run", "hello.yaml"), ("list",), ("doctor",)):
            if url.endswith("x.db") and command == ("list",):
                continue  # nothing is there: nothing to list
            ended = typed("--store", url, *command)
            assert (ended.code, said in ended.line) == (4, True), (url, command, ended)


@pytest.mark.parametrize("url", ["mysql://x", "foo", "sqlite:///", "sqlite://x", ""])
def test_url_of_no_store_is_wrong_usage(typed: Typed, url: str) -> None:
    typed.write("hello.yaml", HELLO)
    ended = typed("--store", url, "run", "hello.yaml")
    assert ended.code == 2
    assert ended.err.startswith("interlock: ")


@pytest.mark.slow
def test_demo_reports_on_a_repository_and_shows_some_of_it(typed: Typed) -> None:
    ended = typed("demo", str(Path(__file__).parents[3]))
    assert ended.code == 0, ended.err
    assert "the report: " in ended.err


def test_working_folder_that_was_removed_is_told(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = typed.folder / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    ended = typed("list")
    assert (ended.code, ended.line) == (
        4,
        "interlock: the working folder does not exist any more; change to another one",
    )
