"""Reads a git repository: the one place where git is called.

Arguments are lists and paths follow `--`, so a name is never an option or a command. The repository's own configuration
could name programs to run for diffs and signatures; they are switched off, since reading must not execute.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from interlock import errors

_TIMEOUT_SECONDS: Final = 300.0  # for one call: a deadline for broken disks, not for large repositories
_CHUNK: Final = 1 << 16
_COMMIT: Final = re.compile(rb"\x01([0-9a-f]+)\x02(\d+)\x02(.*)", re.DOTALL)
_GIT: Final = (
    *("git", "--no-pager", "--literal-pathspecs", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.quotePath=false"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to a file. `added` and `deleted` count lines; a binary file has None."""

    path: str
    added: int | None
    deleted: int | None

    @property
    def lines(self) -> int:
        return (self.added or 0) + (self.deleted or 0)


@dataclass(frozen=True, slots=True)
class Commit:
    """`time` is the author's, in UTC seconds. Renames are changes of the new path."""

    id: str
    time: int
    author: str
    changes: tuple[Change, ...]


def text(repository: str, *arguments: str) -> str | None:
    """Give what git prints, stripped; None where it answers no (a ref that does not exist, no match)."""
    done = _run(repository, *arguments)
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def top_folder(path: str) -> str:
    """Give the absolute top folder of the repository that holds `path` (of a bare one, its own folder).

    Raises Invalid when there is none, Environment when git is not installed.
    """
    if not Path(path).is_dir():
        raise errors.Invalid(f"there is no folder {path}; give the folder of a git repository")
    done = _run(path, "rev-parse", "--is-bare-repository")
    if done.returncode != 0:
        raise errors.Invalid(f"git cannot read {path}: {done.stderr.decode(errors='replace').strip()}")
    bare = done.stdout.strip() == b"true"
    found = text(path, "rev-parse", "--absolute-git-dir") if bare else text(path, "rev-parse", "--show-toplevel")
    return str(Path(found or path).resolve())


def history(repository: str, head: str, max_commits: int, path: str | None = None) -> Iterator[Commit]:
    """Give the commits that led to `head`, the newest first, without merges; with `path`, those that changed it.

    Raises Environment when git stops before the end, as it does in a damaged repository.
    """
    arguments = [
        *("log", "-z", "--numstat", "-M", "--no-merges", "--no-ext-diff", "--no-textconv", "--no-color"),
        *(f"--max-count={max_commits}", "--format=%x01%H%x02%at%x02%aN", head, "--"),
    ]
    paths = [path] if path is not None else []
    with _started(repository, *arguments, *paths, stderr=subprocess.DEVNULL) as process:
        try:
            yield from _commits(_tokens(process.stdout))
            if process.wait() != 0:
                raise errors.Environment(f"git log ended early in {repository}; look for damage with `git fsck`")
        finally:
            process.kill()


def times(repository: str, head: str, max_commits: int) -> list[int]:
    """Give the times of the commits that `history` gives, without the work of comparing files."""
    found = text(repository, "log", "--no-merges", f"--max-count={max_commits}", "--format=%at", head, "--")
    return [int(line) for line in (found or "").split()]


def sizes(repository: str, head: str) -> dict[str, int]:
    """Give the bytes of each file at `head` by path; links and submodules are left out."""
    listed = _run(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", head).stdout
    found = {}
    for entry in filter(None, listed.split(b"\0")):
        description, _, path = entry.partition(b"\t")
        mode, _, _, size = description.split()
        if mode in (b"100644", b"100755"):
            found[_path(path)] = int(size)
    return found


def line_counts(repository: str, head: str) -> dict[str, int]:
    """Give the lines of each text file at `head` by path; binary and empty files are left out.

    `repository` must be its top folder, since git searches from where it stands.
    """
    tokens = _run(repository, "grep", "-I", "-z", "--count", "-e", "", head).stdout
    prefix = len(head) + 1
    found = {}
    path = b""
    for part in tokens.split(b"\0"):
        count, newline, following = part.partition(b"\n")
        if newline and count.isdigit():
            found[_path(path[prefix:])] = int(count)
            path = following
        else:
            path = part
    return found


def content(repository: str, head: str, path: str, max_bytes: int) -> str | None:
    """Give the text of a file at `head`; None when it is absent, binary or larger than `max_bytes`."""
    size = text(repository, "cat-file", "-s", f"{head}:{path}")
    if size is None or int(size) > max_bytes:
        return None
    found = _run(repository, "cat-file", "blob", f"{head}:{path}").stdout
    return None if b"\0" in found else found.decode(errors="replace")


def _run(repository: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    with _started(repository, *arguments, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=_TIMEOUT_SECONDS)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _started(repository: str, *arguments: str, stderr: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [*_GIT, "-C", repository, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
        )
    except FileNotFoundError as error:
        raise errors.Environment("git is not installed, or not on PATH; install it and resume the run") from error


def _environment() -> dict[str, str]:
    """Give the environment without git's own variables, which could point to another repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}


def _tokens(stream: IO[bytes] | None) -> Iterator[bytes]:
    rest = b""
    while stream is not None and (chunk := stream.read(_CHUNK)):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
    yield rest


def _commits(tokens: Iterator[bytes]) -> Iterator[Commit]:
    commit: tuple[str, int, str] | None = None
    changes: list[Change] = []
    for token in tokens:
        if header := _COMMIT.match(token):
            if commit is not None:
                yield Commit(*commit, tuple(changes))
            commit = (header.group(1).decode(), int(header.group(2)), header.group(3).decode(errors="replace"))
            changes = []
        elif token.strip():
            added, deleted, path = token.lstrip(b"\n").split(b"\t", 2)
            if not path:  # a rename: the old path and the new one follow
                next(tokens)
                path = next(tokens)
            changes.append(Change(_path(path), _number(added), _number(deleted)))
    if commit is not None:
        yield Commit(*commit, tuple(changes))


def _number(text_: bytes) -> int | None:
    return int(text_) if text_.isdigit() else None


def _path(raw: bytes) -> str:
    return raw.decode(errors="replace")
