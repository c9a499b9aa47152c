"""Reading real repositories through git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from interlock import errors
from interlock.demo import git
from repositories import Repository

ODD = 'a "b"\t$(touch pwned);`x`\n.py'
_WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.example",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.example",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "shop")


def test_history_is_read_with_renames_binaries_and_odd_names(repository: Repository) -> None:
    """OP-07: a name is never a command, an option or a pattern."""
    repository.commit({ODD: "one\n", "-n": "two\n2\n3\n4\n", "bin": b"\x00\x01", ":(top)*": "x\n"}, author="Ünal <b>")
    repository.git("mv", "--", "-n", "grün.py")
    repository.commit({"grün.py": "two\n2\n3\n4\n5\n", "bin": None})
    repository.git("commit", "--quiet", "--allow-empty", "--message", "empty", **_WHO)

    empty, second, first = git.history(str(repository.folder), "HEAD", 10)

    assert empty.changes == ()
    assert {change.path: (change.added, change.deleted) for change in second.changes} == {
        "bin": (None, None),
        "grün.py": (1, 0),
    }
    assert {change.path for change in first.changes} == {ODD, "-n", "bin", ":(top)*"}
    assert first.author == "Ünal b"  # git itself drops the angle brackets
    assert next(change for change in first.changes if change.path == "bin").lines == 0
    assert [commit.id for commit in git.history(str(repository.folder), "HEAD", 10, ":(top)*")] == [first.id]
    assert not (repository.folder / "pwned").exists()


def test_history_is_bounded_and_may_be_left_early(repository: Repository) -> None:
    for number in range(5):
        repository.commit({"a": f"{number}\n"})

    assert len(list(git.history(str(repository.folder), "HEAD", 3))) == 3
    history = git.history(str(repository.folder), "HEAD", 5)
    next(history)
    history.close()


def test_a_file_that_never_was_has_no_history(repository: Repository) -> None:
    repository.commit({"a": "1\n"})

    assert list(git.history(str(repository.folder), "HEAD", 3, "b")) == []


def test_a_damaged_repository_is_told(repository: Repository) -> None:
    repository.commit({"a": "1\n"})
    repository.commit({"a": "2\n"})
    first = repository.git("rev-parse", "HEAD~1")
    (repository.folder / ".git" / "objects" / first[:2] / first[2:]).unlink()

    with pytest.raises(errors.Environment, match=r"git log ended early in .*shop; look for damage"):
        list(git.history(str(repository.folder), "HEAD", 3))


def test_the_tree_is_read_with_sizes_and_lines(repository: Repository) -> None:
    repository.commit({ODD: "one\ntwo\n", "bin": b"\x00\x01", "empty": "", "deep/er/a.py": "x"})
    (repository.folder / "link").symlink_to("bin")
    repository.commit({})

    assert git.sizes(str(repository.folder), "HEAD") == {ODD: 8, "bin": 2, "empty": 0, "deep/er/a.py": 1}
    assert git.line_counts(str(repository.folder), "HEAD") == {ODD: 2, "deep/er/a.py": 1}


def test_an_empty_tree_has_no_lines(repository: Repository) -> None:
    repository.git("commit", "--quiet", "--allow-empty", "--message", "empty", **_WHO)

    assert git.line_counts(str(repository.folder), "HEAD") == {}
    assert git.sizes(str(repository.folder), "HEAD") == {}


@pytest.mark.parametrize(
    ("path", "expected"), [("a.py", "one\n"), ("bin", None), ("large", None), ("absent", None), ("latin", "gr\ufffdn")]
)
def test_content_is_text_within_the_bound(repository: Repository, path: str, expected: str | None) -> None:
    repository.commit({"a.py": "one\n", "bin": b"\x00", "large": "x" * 101, "latin": "grün".encode("latin-1")})

    assert git.content(str(repository.folder), "HEAD", path, 100) == expected


def test_the_top_folder_is_found_from_within(repository: Repository) -> None:
    repository.commit({"deep/er/a.py": "x"})

    assert git.top_folder(str(repository.folder / "deep" / "er")) == str(repository.folder)


def test_a_bare_repository_is_its_own_top(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a.py": "one\n"})
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository.folder), str(bare)], check=True)

    assert git.top_folder(str(bare)) == str(bare)
    assert git.line_counts(str(bare), "HEAD") == {"a.py": 1}


def test_programs_named_by_the_repository_are_not_run(repository: Repository, tmp_path: Path) -> None:
    """OP-07: reading must not execute."""
    trap = tmp_path / "trap"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    program.chmod(0o755)
    for key in ("diff.external", "diff.trap.textconv", "core.fsmonitor", "core.pager", "gpg.program"):
        repository.git("config", key, str(program))
    repository.git("config", "log.showSignature", "true")
    repository.git("config", "diff.trap.command", str(program))
    (repository.folder / ".gitattributes").write_text("* diff=trap\n")
    repository.git("-c", "core.fsmonitor=false", "add", "--all")
    repository.git("-c", "core.fsmonitor=false", "commit", "--quiet", "--message", "one", **_WHO)
    trap.unlink(missing_ok=True)

    list(git.history(str(repository.folder), "HEAD", 10))
    git.line_counts(str(repository.folder), "HEAD")
    git.content(str(repository.folder), "HEAD", ".gitattributes", 100)

    assert not trap.exists()


def test_a_variable_of_git_does_not_lead_elsewhere(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit({"a.py": "one\n"})
    monkeypatch.setenv("GIT_DIR", os.devnull)

    assert git.top_folder(str(repository.folder)) == str(repository.folder)


def test_what_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match=r"git cannot read .*: fatal: not a git repository"):
        git.top_folder(str(tmp_path))
    with pytest.raises(errors.Invalid, match=r"there is no folder .*nowhere"):
        git.top_folder(str(tmp_path / "nowhere"))


def test_a_machine_without_git_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.folder))

    with pytest.raises(errors.Environment, match="git is not installed"):
        git.top_folder(str(repository.folder))
    with pytest.raises(errors.Environment, match="git is not installed"):
        next(git.history(str(repository.folder), "HEAD", 1))
