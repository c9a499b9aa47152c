"""Where values of secrets come from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from interlock import config, errors
from interlock.secrets.sources import Sources


def read(name: str, environ: dict[str, str] | None = None, **settings: Any) -> Any:
    return Sources(config.Secrets(**settings), environ or {}).read(name)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("token", "INTERLOCK_SECRET_TOKEN"), ("db-main.x", "INTERLOCK_SECRET_DB_MAIN_X"), ("aB", "INTERLOCK_SECRET_aB")],
)
def test_value_comes_from_a_variable(name: str, variable: str) -> None:
    assert read(name, {variable: "v"}) == "v"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"user": "u", "ports": [1, 2]}', {"user": "u", "ports": [1, 2]}),
        (' {"a": 1}', {"a": 1}),
        ("{not json", "{not json"),
        ("[1]", "[1]"),
        ("5432", "5432"),
        ("", ""),
    ],
)
def test_only_a_json_object_is_structured(text: str, value: Any) -> None:
    assert read("x", {"INTERLOCK_SECRET_X": text}) == value


@pytest.mark.parametrize(("raw", "value"), [(b"v", "v"), (b"v\n", "v"), (b"v\r\n", "v"), (b" v \n\n", " v \n")])
def test_file_gives_its_text_without_the_last_line_end(tmp_path: Path, raw: bytes, value: str) -> None:
    (tmp_path / "token").write_bytes(raw)
    assert read("token", folder=str(tmp_path)) == value


def test_command_gets_the_name_as_its_last_argument() -> None:
    program = (sys.executable, "-c", "import sys; print('of ' + sys.argv[-1])")
    assert read("a b", command=program) == "of a b"


def test_environment_counts_before_files_and_files_before_commands(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("file")
    settings: dict[str, Any] = {"folder": str(tmp_path), "command": ("echo", "command")}
    assert read("a", {"INTERLOCK_SECRET_A": "variable"}, **settings) == "variable"
    assert read("a", **settings) == "file"
    assert read("b", **settings) == "command b"


def missing(name: str, **settings: Any) -> str:
    with pytest.raises(errors.NotFound) as found:
        read(name, **settings)
    return str(found.value)


def test_missing_secret_says_where_it_was_looked_for(tmp_path: Path) -> None:
    assert missing("api-key") == (
        "the secret 'api-key' was not found; looked for the variable INTERLOCK_SECRET_API_KEY; or set secrets.folder or"
        " secrets.command"
    )
    text = missing("a", folder=str(tmp_path), command=("sh", "-c", "echo sealed >&2; exit 3"))
    assert text == (
        f"the secret 'a' was not found; looked for the variable INTERLOCK_SECRET_A and the file {tmp_path}/a and the"
        " command sh (which exited with 3: sealed)"
    )


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", ""])
def test_name_that_is_no_file_name_is_not_looked_for_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "outside").write_text("v")
    (folder / ".hidden").write_text("v")
    assert "file" not in missing(name, folder=str(folder))


def test_what_cannot_be_read_says_why_and_shows_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xffhush")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "folder").mkdir()
    assert "binary (which cannot be read: it is no UTF-8 text)" in missing("binary", folder=str(tmp_path))
    assert "larger than 1048576 bytes" in missing("large", folder=str(tmp_path))
    assert "Is a directory" in missing("folder", folder=str(tmp_path))


def test_command_that_fails_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/no/such/program (which failed: No such file" in missing("a", command=("/no/such/program",))
    assert "false (which exited with 1)" in missing("a", command=("false",))
    monkeypatch.setattr("interlock.secrets.sources._COMMAND_SECONDS", 0.05)
    assert "took longer than 0.05 s" in missing("a", command=("sh", "-c", "exec sleep 5"))
