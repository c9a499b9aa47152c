"""What every launcher of a kind must do. A new pool subclasses these and gives the `launcher` fixture."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.model.task import (
    Cancelled,
    Done,
    Failed,
    FailureClass,
    Outcome,
    PythonTarget,
    ScriptTarget,
    ShellTarget,
    Target,
)
from interlock.pool.launcher import Launch, Launcher, Running
from pool.conftest import MARK, marked, until
from required import may_skip

HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "; touch owned",
    "&& touch owned",
    "| touch owned",
    "> owned",
    "'; touch owned; '",
    '"; touch owned; "',
    "\n touch owned",
    "$HOME",
    "${HOME}",
    "{spool}",
    "*",
    "~",
    "\\",
    "",
    "  spaced  ",
    "-c",
    "é\t✓ \U0001f600",
    "%s%n",
]

SURVIVOR = "trap '' TERM; sleep 600 & wait"
"""Ignores SIGTERM and has a child."""

ESCAPED = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        time.sleep(600)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "print('escaped', flush=True)\n"
    "time.sleep(600)\n"
)
"""Leaves behind a grandchild in a session of its own."""


class Attempts:
    """Launches targets in a test's folder, and collects what they print."""

    def __init__(self, launcher: Launcher, folder: Path, mark: str, inside: str = "") -> None:
        """`inside`: the folder as the work sees it, "" where that is the same."""
        self.launcher = launcher
        self.folder = folder
        self.inside = inside or str(folder.resolve())
        self.mark = mark
        self.pieces: list[tuple[str, str]] = []
        self._count = 0

    async def start(self, target: Target, **fields: Any) -> Running:
        self._count += 1
        name, _, value = self.mark.partition("=")
        launch = Launch(
            attempt=f"{self.folder.name}/../{self._count}",
            target=target,
            folder=fields.pop("folder", str(self.folder)),
            environment={name: value, "INTERLOCK_RUN": "run-1"} | fields.pop("environment", {}),
            **fields,
        )
        return await self.launcher.launch(launch, lambda stream, text: self.pieces.append((stream, text)))

    async def run(self, target: Target, **fields: Any) -> Outcome:
        running = await self.start(target, **fields)
        async with asyncio.timeout(60):
            return await running.outcome()

    async def shell(self, command: str, *arguments: str, **fields: Any) -> dict[str, Any]:
        """Give the result of a command that must succeed."""
        stdin = fields.pop("stdin", None)
        outcome = await self.run(ShellTarget(command=command, arguments=arguments, stdin=stdin), **fields)
        assert isinstance(outcome, Done), outcome
        return dict(outcome.value)

    def printed(self, stream: str = "stdout") -> str:
        return "".join(text for name, text in self.pieces if name == stream)

    async def has_printed(self, text: str) -> None:
        await until(lambda: text in self.printed(), f"{text!r} was not printed")


@pytest.fixture
def attempts(request: pytest.FixtureRequest, launcher: Launcher, tmp_path: Path, mark: str) -> Attempts:
    return Attempts(launcher, tmp_path, mark, getattr(request.cls, "inside", ""))


class Conformance:
    """What differs between places. `inside`: see `Attempts`. `slack`: seconds that beginning and ending an attempt may take
    on a busy machine; what must not be waited for takes `endless` ones."""

    inside = ""
    slack = 60.0
    endless = 600.0


class ShellConformance(Conformance):
    """Shell commands: results, output, input, environment."""

    async def test_result_holds_code_and_both_streams(self, attempts: Attempts) -> None:
        result = await attempts.shell("echo out; echo err >&2")
        assert result == {"code": 0, "stdout": "out\n", "stderr": "err\n"}
        assert sorted(attempts.pieces) == [("stderr", "err\n"), ("stdout", "out\n")]

    async def test_output_comes_as_it_is_made_and_in_order(self, attempts: Attempts) -> None:
        fifo = attempts.folder / "go"
        os.mkfifo(fifo)
        running = await attempts.start(ShellTarget(command="echo first; read line <go; echo $line; echo last"))
        await attempts.has_printed("first\n")
        await asyncio.to_thread(fifo.write_text, "second\n")
        assert await running.outcome() == Done({"code": 0, "stdout": "first\nsecond\nlast\n", "stderr": ""})
        assert attempts.printed() == "first\nsecond\nlast\n"

    async def test_other_exit_codes_are_failures_with_the_last_words(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="echo working; echo 'disk is gone' >&2; exit 3"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.APPLICATION
        assert (outcome.fault.status, outcome.fault.detail) == (500, "disk is gone")
        assert "xited with 3" in str(outcome.fault.title)

    @pytest.mark.parametrize("code", [1, 126, 127, 255])
    async def test_any_exit_code_is_a_result_when_asked(self, attempts: Attempts, code: int) -> None:
        result = await attempts.shell(f"exit {code}", any_exit_code=True)
        assert result["code"] == code

    async def test_command_killed_by_a_signal_fails_by_its_name(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="kill -SEGV $$"), any_exit_code=True)
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.APPLICATION
        assert "SIGSEGV" in str(outcome.fault.title)

    async def test_input_is_given_and_ends(self, attempts: Attempts) -> None:
        text = "line é\n" * 50_000
        assert (await attempts.shell("cat", stdin=text))["stdout"] == text
        assert (await attempts.shell("cat", stdin=""))["stdout"] == ""
        assert (await attempts.shell("cat"))["stdout"] == ""

    async def test_input_that_nobody_reads_does_no_harm(self, attempts: Attempts) -> None:
        assert (await attempts.shell("exec 0<&-; echo done", stdin="x" * 1_000_000))["stdout"] == "done\n"

    async def test_what_is_printed_long_after_input_was_refused_is_heard(self, attempts: Attempts) -> None:
        """Engines that give up a connection over such input would take the output with it."""
        result = await attempts.shell("echo on; exec 0<&-; sleep 2; echo done", stdin="x" * 1_000_000)
        assert (result["stdout"], result["stderr"]) == ("on\ndone\n", "")
        assert (attempts.printed(), attempts.printed("stderr")) == ("on\ndone\n", "")

    @pytest.mark.parametrize("argument", HOSTILE)
    async def test_arguments_arrive_as_they_are(self, attempts: Attempts, argument: str) -> None:
        """OP-07: no argument, variable or input ever meets a shell."""
        result = await attempts.shell(
            'printf "%s|" "$1" "$VALUE"; cat', argument, stdin=argument, environment={"VALUE": argument}
        )
        assert result["stdout"] == f"{argument}|{argument}|{argument}"
        assert not (attempts.folder / "owned").exists()

    async def test_command_is_passed_as_it_is(self, attempts: Attempts) -> None:
        assert (await attempts.shell("echo '{spool}'"))["stdout"] == "{spool}\n"

    async def test_arguments_are_counted_from_one(self, attempts: Attempts) -> None:
        assert (await attempts.shell('echo "$# $1 $3"', "a", "b c", "d"))["stdout"] == "3 a d\n"

    async def test_environment_is_clean(self, attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_THE_NODE", "s3cret")
        target = ShellTarget(command="env", environment={"MINE": "1", "INTERLOCK_RUN": "mine"})
        outcome = await attempts.run(target, environment={"INTERLOCK_STEP": "/do/0/a"})
        assert isinstance(outcome, Done)
        variables = dict(line.split("=", 1) for line in outcome.value["stdout"].splitlines())
        assert variables.keys() >= {"PATH", "MINE", "INTERLOCK_RUN", "INTERLOCK_STEP", MARK}
        assert (variables["MINE"], variables["INTERLOCK_STEP"]) == ("1", "/do/0/a")
        assert "s3cret" not in variables.values()

    async def test_command_starts_in_the_folder_of_the_run(self, attempts: Attempts) -> None:
        assert (await attempts.shell("pwd -P"))["stdout"].strip() == attempts.inside

    async def test_missing_folder_is_named(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="true"), folder=str(attempts.folder / "gone"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID
        assert outcome.fault.code == "no-such-folder"
        assert str(attempts.folder / "gone") in str(outcome.fault.detail)

    @pytest.mark.parametrize(
        "target",
        [
            ShellTarget(command="echo a\0b"),
            ShellTarget(command="true", arguments=("a\0b",)),
            ShellTarget(command="true", environment={"A": "a\0b"}),
            ShellTarget(command="true", environment={"A=B": "c"}),
            ShellTarget(command="true", environment={"": "c"}),
        ],
        ids=["command", "argument", "variable", "name with =", "empty name"],
    )
    async def test_what_no_process_can_be_given_is_refused(self, attempts: Attempts, target: ShellTarget) -> None:
        outcome = await attempts.run(target)
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID

    async def test_nul_and_other_bytes_in_output_are_kept_or_replaced(self, attempts: Attempts) -> None:
        result = await attempts.shell(r"printf 'a\000b\377\303\251\303'")
        assert result["stdout"] == attempts.printed() == "a\0b�é�"

    async def test_characters_are_not_cut_between_pieces(self, attempts: Attempts) -> None:
        fifo = attempts.folder / "go"
        os.mkfifo(fifo)
        running = await attempts.start(ShellTarget(command=r"printf 'x\303'; cat go >/dev/null; printf '\251y'"))
        await attempts.has_printed("x")
        await asyncio.to_thread(fifo.write_text, "")
        outcome = await running.outcome()
        assert isinstance(outcome, Done)
        assert attempts.printed() == outcome.value["stdout"] == "xéy"

    async def test_large_output_is_complete(self, attempts: Attempts) -> None:
        size = 5_000_000
        result = await attempts.shell(
            f"head -c {size} /dev/zero | tr '\\0' x; head -c {size} /dev/zero | tr '\\0' y >&2"
        )
        assert (len(result["stdout"]), len(result["stderr"])) == (size, size)
        assert (len(attempts.printed()), len(attempts.printed("stderr"))) == (size, size)


class ScriptConformance(Conformance):
    """Scripts in Python and JavaScript."""

    @pytest.mark.parametrize("argument", ["plain", "$(touch owned)", "'\"\n{spool}", ""])
    async def test_python_script_gets_arguments_input_and_environment(self, attempts: Attempts, argument: str) -> None:
        code = "import os, sys\nprint(sys.argv[1:], os.environ['VALUE'], sys.stdin.read(), os.getcwd(), sep='|')"
        target = ScriptTarget(
            language="python", code=code, arguments=(argument, "b"), environment={"VALUE": "v"}, stdin="in"
        )
        outcome = await attempts.run(target)
        assert isinstance(outcome, Done), outcome
        assert outcome.value["stdout"] == f"{[argument, 'b']}|v|in|{attempts.inside}\n"

    async def test_python_script_imports_from_the_folder_of_the_run(self, attempts: Attempts) -> None:
        (attempts.folder / "mine.py").write_text("answer = 42")
        outcome = await attempts.run(ScriptTarget(language="python", code="import mine; print(mine.answer)"))
        assert isinstance(outcome, Done), outcome
        assert outcome.value["stdout"] == "42\n"

    async def test_failing_script_tells_its_traceback(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ScriptTarget(language="python", code="raise ValueError('no é')"))
        assert isinstance(outcome, Failed)
        assert str(outcome.fault.detail).endswith("ValueError: no é")

    @pytest.mark.skipif(may_skip("node", shutil.which("node") is not None), reason="Node.js is not installed")
    async def test_js_script_is_a_module(self, attempts: Attempts) -> None:
        code = "import process from 'node:process'; console.log(await Promise.resolve(process.argv.slice(2).join('|')))"
        outcome = await attempts.run(ScriptTarget(language="js", code=code, arguments=("a b", "{spool}")))
        assert isinstance(outcome, Done), outcome
        assert outcome.value["stdout"] == "a b|{spool}\n"

    async def test_unknown_language_is_named(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ScriptTarget(language="cobol", code="1"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID
        assert "cobol" in str(outcome.fault.detail)


class ProcessConformance(Conformance):
    """What holds for processes of this machine only."""

    async def test_missing_interpreter_is_named(self, attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(attempts.folder))
        outcome = await attempts.run(ScriptTarget(language="js", code="1"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.LAUNCH
        assert "Node.js" in str(outcome.fault.detail)


class EndingConformance(Conformance):
    """Nothing is left behind, however an attempt ends."""

    async def test_timeout_kills_the_whole_tree(self, attempts: Attempts) -> None:
        started = time.monotonic()
        outcome = await attempts.run(ShellTarget(command=SURVIVOR), timeout_seconds=0.3)
        assert time.monotonic() - started < 2.0 + self.slack
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.status) == (FailureClass.TIMEOUT, 408)
        assert marked(attempts.mark) == []

    async def test_cancel_kills_the_whole_tree(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
        await attempts.has_printed("on")
        started = time.monotonic()
        await running.cancel()
        assert time.monotonic() - started < 1.0 + self.slack
        assert await running.outcome() == Cancelled()
        await running.cancel()
        assert marked(attempts.mark) == []

    async def test_grandchild_in_a_session_of_its_own_is_killed(self, attempts: Attempts) -> None:
        running = await attempts.start(ScriptTarget(language="python", code=ESCAPED))
        await attempts.has_printed("escaped")
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert marked(attempts.mark) == []

    async def test_what_a_command_leaves_behind_is_killed_when_it_exits(self, attempts: Attempts) -> None:
        command = "sleep 600 & setsid sleep 600 & (trap '' TERM; sleep 600) & echo done"
        started = time.monotonic()
        assert (await attempts.shell(command))["stdout"] == "done\n"
        assert time.monotonic() - started < 3.0 + self.slack
        await until(lambda: not marked(attempts.mark), "the rest was not killed", 60)

    async def test_command_may_clean_up_when_asked_to_end(self, attempts: Attempts) -> None:
        running = await attempts.start(
            ShellTarget(command="trap 'echo cleaned > cleaned; exit' TERM; echo on; while :; do sleep 0.05; done")
        )
        await attempts.has_printed("on")
        await running.cancel()
        assert (attempts.folder / "cleaned").exists()

    async def test_stopped_process_is_killed_too(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="echo on; kill -STOP $$"))
        await attempts.has_printed("on")
        await running.cancel()
        assert await running.outcome() == Cancelled()

    async def test_outcome_may_be_asked_for_often_and_by_many(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="echo $INTERLOCK_RUN"))
        outcomes = await asyncio.gather(*(running.outcome() for _ in range(3)))
        assert outcomes == [await running.outcome()] * 3
        await running.cancel()
        assert await running.outcome() == outcomes[0]

    async def test_waiting_may_be_given_up_without_harm(self, attempts: Attempts) -> None:
        running = await attempts.start(ShellTarget(command="sleep 0.2; echo done"))
        waiting = asyncio.create_task(running.outcome())
        await asyncio.sleep(0)
        waiting.cancel()
        assert isinstance(await running.outcome(), Done)

    async def test_many_attempts_at_once_are_kept_apart(self, attempts: Attempts) -> None:
        results = await asyncio.gather(*(attempts.shell("echo $1; sleep 0.05", str(number)) for number in range(12)))
        assert [result["stdout"] for result in results] == [f"{number}\n" for number in range(12)]


FUNCTIONS = """
import asyncio, os, sys, time

def add(a, b=1): return {"sum": a + b}
async def later(value):
    await asyncio.sleep(0)
    return [value]
def fail(): raise KeyError("nothing there")
async def fail_later(): raise ValueError("not now")
def nothing(): return None
def no_json(): return {1, 2}
def not_a_number(): return float("nan")
def exhaust(): raise MemoryError("all of it")
def sleep(seconds): time.sleep(seconds); return "slept"
def linger(seconds):
    with open("lingering", "a") as mark: mark.write("x")
    time.sleep(seconds)
    return "slept"
def leave(): sys.exit(3)
async def leave_later(): sys.exit(3)
async def stubborn(seconds):
    try: await asyncio.sleep(seconds)
    except asyncio.CancelledError: await asyncio.sleep(seconds)
async def sleep_later(seconds): await asyncio.sleep(seconds); return "slept"
def where(): return [os.getcwd(), sys.path[0]]
def speak(): print("spoken"); print("aside", file=sys.stderr); return 1
def large(size): return "x" * size
class Shop:
    @staticmethod
    def price(of): return len(of)
answer = 42
"""


class FunctionConformance(Conformance):
    """Python functions, sync and async."""

    @pytest.fixture(autouse=True)
    def _module(self, tmp_path: Path) -> None:
        self.module = f"functions_{abs(hash(str(tmp_path)))}"
        (tmp_path / f"{self.module}.py").write_text(FUNCTIONS)

    def call(self, name: str, **arguments: object) -> PythonTarget:
        return PythonTarget(function=f"{self.module}:{name}", arguments=arguments)

    @pytest.mark.parametrize(
        ("name", "arguments", "value"),
        [
            ("add", {"a": 2, "b": 2**70}, {"sum": 2**70 + 2}),
            ("add", {"a": 2}, {"sum": 3}),
            ("later", {"value": {"é": [None, True, 1.5]}}, [{"é": [None, True, 1.5]}]),
            ("nothing", {}, None),
            ("Shop.price", {"of": "abc"}, 3),
        ],
    )
    async def test_result_of_a_function_is_its_value(
        self, attempts: Attempts, name: str, arguments: dict[str, object], value: object
    ) -> None:
        assert await attempts.run(self.call(name, **arguments)) == Done(value)

    @pytest.mark.parametrize(
        ("name", "title", "detail"),
        [("fail", "KeyError", "'nothing there'"), ("fail_later", "ValueError", "not now")],
    )
    async def test_exception_is_a_failure_of_the_application(
        self, attempts: Attempts, name: str, title: str, detail: str
    ) -> None:
        outcome = await attempts.run(self.call(name))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.APPLICATION
        assert (outcome.fault.status, outcome.fault.title, outcome.fault.detail) == (500, title, detail)

    async def test_result_must_be_json(self, attempts: Attempts) -> None:
        outcome = await attempts.run(self.call("no_json"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.APPLICATION
        assert "set" in str(outcome.fault.detail)

    @pytest.mark.parametrize("name", ["leave", "leave_later"])
    async def test_function_that_exits_does_not_take_the_node_along(self, attempts: Attempts, name: str) -> None:
        outcome = await attempts.run(self.call(name))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.title) == (FailureClass.APPLICATION, "SystemExit")

    async def test_result_that_is_no_number_is_refused(self, attempts: Attempts) -> None:
        outcome = await attempts.run(self.call("not_a_number"))
        assert isinstance(outcome, Failed)

    async def test_module_that_exits_or_fails_when_imported_is_invalid(self, attempts: Attempts) -> None:
        (attempts.folder / f"{self.module}_exits.py").write_text("import sys; sys.exit(1)")
        (attempts.folder / f"{self.module}_fails.py").write_text("1 / 0")
        for ending, complaint in (("exits", "SystemExit"), ("fails", "ZeroDivisionError")):
            outcome = await attempts.run(PythonTarget(function=f"{self.module}_{ending}:f"))
            assert isinstance(outcome, Failed)
            assert outcome.failure is FailureClass.INVALID
            assert complaint in str(outcome.fault.detail)

    async def test_memory_error_has_its_class(self, attempts: Attempts) -> None:
        outcome = await attempts.run(self.call("exhaust"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.OUT_OF_MEMORY

    @pytest.mark.parametrize(
        ("target", "complaint"),
        [
            (PythonTarget(function="no_such_module_at_all:f"), "no_such_module_at_all"),
            (PythonTarget(function="json:no_such_function"), "no_such_function"),
            (PythonTarget(function="json:no.such.function"), "no.such.function"),
            (PythonTarget(function="json:__name__"), "__name__"),
            (PythonTarget(function="json"), "json"),
            (PythonTarget(function="json:dumps", arguments={"nonsense": 1}), "dumps"),
        ],
    )
    async def test_function_that_cannot_be_called_is_invalid(
        self, attempts: Attempts, target: PythonTarget, complaint: str
    ) -> None:
        outcome = await attempts.run(target)
        assert isinstance(outcome, Failed), outcome
        assert outcome.failure is FailureClass.INVALID
        assert complaint in str(outcome.fault.detail)

    async def test_arguments_are_checked_before_the_call(self, attempts: Attempts) -> None:
        outcome = await attempts.run(self.call("add", a=1, c=2))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID

    @pytest.mark.parametrize("name", ["sleep", "sleep_later"])
    async def test_timeout_of_a_function(self, attempts: Attempts, name: str) -> None:
        started = time.monotonic()
        outcome = await attempts.run(self.call(name, seconds=self.endless), timeout_seconds=0.2)
        assert time.monotonic() - started < 2 + self.slack
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.status) == (FailureClass.TIMEOUT, 408)

    async def test_cancel_of_an_async_function_ends_it(self, attempts: Attempts) -> None:
        running = await attempts.start(self.call("sleep_later", seconds=self.endless))
        started = time.monotonic()
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert time.monotonic() - started < 1.5 + self.slack
