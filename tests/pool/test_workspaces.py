"""Workspaces: worktrees of a real repository, leased by real processes that are killed in between."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import interlock
from interlock import errors
from interlock.pool.workspaces import BranchTaken, Workspace, WorkspacePool
from interlock.pool.workspaces.claim import Claim
from pool.conftest import until
from repositories import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "origin")
    made.commit({"a.txt": "one\n", "folder/b.txt": "two\n", "c.bin": bytes(range(256)), ".gitignore": "*.log\n"})
    return made


@pytest.fixture
def pool(repository: Repository, tmp_path: Path) -> WorkspacePool:
    return WorkspacePool(repository.folder, tmp_path / "pool", size=2)


async def leased(pool: WorkspacePool, attempt: str = "1", branch: str | None = None, **fields: object) -> Workspace:
    workspace = await pool.lease(attempt, branch, **fields)  # type: ignore[arg-type]  # as the test names them
    assert workspace is not None
    return workspace


def git(folder: Path, *arguments: str) -> str:
    """Run git in a worktree as an attempt does."""
    identity = {"EMAIL": "agent@example", "GIT_AUTHOR_NAME": "agent", "GIT_COMMITTER_NAME": "agent"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1", **identity}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".git"
    }


# -- leasing -----------------------------------------------------------------------------------------------------------


async def test_leased_worktree_holds_the_base_on_its_branch(repository: Repository, pool: WorkspacePool) -> None:
    workspace = await leased(pool, branch="agent/7")
    assert (workspace.path / "c.bin").read_bytes() == bytes(range(256))
    assert git(workspace.path, "branch", "--show-current") == "agent/7"
    assert workspace.base_commit == repository.git("rev-parse", "HEAD")
    assert await workspace.diff() == b""
    await workspace.release()


async def test_pool_that_is_full_gives_none_and_makes_nothing(repository: Repository, pool: WorkspacePool) -> None:
    """RU-01: no workspace, no runner: the task goes back; and it gets one once another is returned."""
    first, second = await leased(pool), await leased(pool, "2")
    assert first.path != second.path
    assert await pool.lease("3", "agent/3") is None
    assert "agent/3" not in repository.git("branch", "--list")
    await first.release()
    third = await leased(pool, "3", "agent/3")
    assert third.path == first.path
    assert len(repository.git("worktree", "list").splitlines()) == 3


async def test_base_is_any_commit(repository: Repository, pool: WorkspacePool) -> None:
    old = repository.git("rev-parse", "HEAD")
    repository.commit({"a.txt": "newer\n"})
    workspace = await leased(pool, branch="agent/1", base="HEAD~1")
    assert (workspace.base_commit, (workspace.path / "a.txt").read_text()) == (old, "one\n")


@pytest.mark.parametrize(
    "branch", ["", "-d", "a..b", "a b", "a~1", "x.lock", "@{-1}", "/a", "a/", "HEAD", "a\0b", "a\nb", "\ud800"]
)
async def test_name_that_is_no_branch_is_refused(pool: WorkspacePool, branch: str) -> None:
    with pytest.raises(errors.Invalid, match="is no name for a branch"):
        await pool.lease("1", branch)
    assert [slot.state for slot in pool.slots()] == ["available", "available"]


@pytest.mark.parametrize("base", ["", "nowhere", "--all", "HEAD:a.txt", "a\0"])
async def test_base_that_is_no_commit_is_refused(pool: WorkspacePool, base: str) -> None:
    with pytest.raises(errors.Invalid, match="has no commit"):
        await pool.lease("1", None, base)


async def test_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="is no git repository"):
        await WorkspacePool(tmp_path, tmp_path / "pool", size=1).lease("1")


async def test_folder_belongs_to_one_repository(pool: WorkspacePool, tmp_path: Path) -> None:
    await (await leased(pool)).release()
    other = Repository(tmp_path / "other")
    other.commit({"x": "y"})
    with pytest.raises(errors.InvalidSettings, match="give each repository its own"):
        await WorkspacePool(other.folder, tmp_path / "pool", size=1).lease("1")


@pytest.mark.parametrize("fields", [{"size": 0}, {"size": 1, "clean": "sometimes"}])
def test_settings_are_checked(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidSettings):
        WorkspacePool(tmp_path, tmp_path, **fields)  # type: ignore[arg-type]  # that is the point


async def test_branch_that_is_there_is_gone_on_with(repository: Repository, pool: WorkspacePool) -> None:
    first = await leased(pool, "1", "agent/7")
    (first.path / "a.txt").write_text("by the first\n")
    git(first.path, "commit", "--all", "--message", "first")
    await first.release()
    second = await leased(pool, "2", "agent/7")
    assert (second.path / "a.txt").read_text() == "by the first\n"
    assert second.base_commit == repository.git("rev-parse", "agent/7") != repository.git("rev-parse", "HEAD")
    assert await second.diff() == b""
    await second.release()
    with pytest.raises(BranchTaken, match="is there already"):
        await pool.lease("3", "agent/7", go_on=False)


async def test_branch_that_is_checked_out_is_refused_by_where(repository: Repository, pool: WorkspacePool) -> None:
    with pytest.raises(BranchTaken, match=f"checked out in {repository.folder}"):
        await pool.lease("1", "main")
    workspace = await leased(pool, "1", "agent/1")
    with pytest.raises(BranchTaken, match=f"checked out in {workspace.path}"):
        await pool.lease("2", "agent/1")
    assert sorted(slot.state for slot in pool.slots()) == ["allocated", "available"]
    await workspace.release()
    repository.git("switch", "--quiet", "agent/1")  # nothing holds it any more


async def test_branch_below_another_one_is_refused(repository: Repository, pool: WorkspacePool) -> None:
    repository.git("branch", "agent")
    with pytest.raises(BranchTaken, match="cannot be made"):
        await pool.lease("1", "agent/1")
    repository.git("branch", "x/1")
    with pytest.raises(BranchTaken, match="cannot be made"):
        await pool.lease("1", "x")


async def test_two_pools_never_check_out_one_branch_twice(repository: Repository, tmp_path: Path) -> None:
    pools = [WorkspacePool(repository.folder, tmp_path / f"pool-{number}", size=1) for number in range(4)]
    for branch in ("agent/1", "agent/2", "agent/3", "agent/4"):
        repository.git("branch", branch)  # making it is atomic; having one that is there is not
        answers = await asyncio.gather(*(pool.lease("1", branch) for pool in pools), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["BranchTaken"] * 3 + ["Workspace"]
        await asyncio.gather(*(answer.release() for answer in answers if isinstance(answer, Workspace)))


async def test_hooks_of_the_repository_do_not_run(repository: Repository, pool: WorkspacePool, tmp_path: Path) -> None:
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        hook = repository.folder / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    workspace = await leased(pool, branch="agent/1")
    (workspace.path / "new").write_text("x")
    await workspace.release()
    await (await leased(pool, branch="agent/1")).release()
    assert not (tmp_path / "ran").exists()
    git(repository.folder, "switch", "--quiet", "agent/1")
    assert (tmp_path / "ran").exists()  # they are hooks


async def test_bare_repository_has_worktrees_too(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    workspace = await leased(WorkspacePool(tmp_path / "bare", tmp_path / "pool", size=1), branch="agent/1")
    assert (workspace.path / "folder/b.txt").read_text() == "two\n"


# -- diff and return ---------------------------------------------------------------------------------------------------


async def test_diff_holds_everything_and_applies(repository: Repository, pool: WorkspacePool, tmp_path: Path) -> None:
    workspace = await leased(pool, branch="agent/1")
    (workspace.path / "a.txt").write_text("changed\n")
    git(workspace.path, "commit", "--all", "--message", "in a commit")
    (workspace.path / "c.bin").write_bytes(os.urandom(5000))
    (workspace.path / "folder/b.txt").unlink()
    (workspace.path / "new file é\n.txt").write_text("untracked\n")
    (workspace.path / "staged").write_bytes(b"\0\1")
    git(workspace.path, "add", "staged")
    (workspace.path / "run.sh").write_text("#!/bin/sh\n")
    (workspace.path / "run.sh").chmod(0o755)
    (workspace.path / "link").symlink_to("a.txt")
    (workspace.path / "noise.log").write_text("ignored")
    state = git(workspace.path, "status", "--porcelain", "-z")
    (tmp_path / "patch").write_bytes(await workspace.diff())
    assert git(workspace.path, "status", "--porcelain", "-z") == state  # the attempt's own index is as it was
    repository.git("apply", "--index", str(tmp_path / "patch"))
    expected = files(workspace.path)
    del expected["noise.log"]
    assert {name: text for name, text in files(repository.folder).items() if not name.startswith(".git/")} == expected
    assert os.access(repository.folder / "run.sh", os.X_OK)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
async def test_diff_sees_what_git_was_told_not_to_look_at(pool: WorkspacePool, flag: str) -> None:
    workspace = await leased(pool)
    git(workspace.path, "update-index", flag, "a.txt")
    (workspace.path / "a.txt").write_text("hidden\n")
    assert b"+hidden" in await workspace.diff()
    await workspace.release()
    assert (workspace.path / "a.txt").read_text() == "one\n"


async def test_diff_that_is_too_long_is_refused_and_the_files_are_kept(repository: Repository, tmp_path: Path) -> None:
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1, diff_bytes=1000)
    workspace = await leased(pool, branch="agent/1")
    (workspace.path / "big").write_bytes(os.urandom(10_000))
    with pytest.raises(errors.Environment, match="more than 1000 bytes"):
        await workspace.diff()
    returned = await workspace.release()
    assert (returned.diff, returned.is_kept) == (None, True)
    assert "more than 1000 bytes" in str(returned.problem)
    assert (workspace.path / "big").exists()
    repository.git("switch", "--quiet", "agent/1")  # the branch is free nevertheless
    again = await leased(pool, "2")
    assert not (again.path / "big").exists()


async def test_commits_stay_on_the_branch_and_the_rest_is_in_the_diff(
    repository: Repository, pool: WorkspacePool
) -> None:
    workspace = await leased(pool, branch="agent/1")
    (workspace.path / "a.txt").write_text("committed\n")
    git(workspace.path, "commit", "--all", "--message", "work")
    (workspace.path / "later").write_text("not committed\n")
    returned = await workspace.release()
    assert returned.head == repository.git("rev-parse", "agent/1")
    assert repository.git("show", "agent/1:a.txt") == "committed"
    assert returned.diff is not None
    assert b"+not committed" in returned.diff
    assert b"+committed" not in returned.diff


async def test_without_a_branch_the_diff_holds_commits_as_well(pool: WorkspacePool) -> None:
    workspace = await leased(pool)
    (workspace.path / "a.txt").write_text("committed\n")
    git(workspace.path, "commit", "--all", "--message", "work")
    returned = await workspace.release()
    assert b"+committed" in (returned.diff or b"")


async def test_worktree_is_returned_exactly_once(pool: WorkspacePool) -> None:
    """Requirements 3.6 (8): a second release must not free what somebody else has leased meanwhile."""
    workspace = await leased(pool)
    first, second = await asyncio.gather(workspace.release(), workspace.release())
    assert first is second
    others = [await leased(pool, "2"), await leased(pool, "3")]
    assert workspace.path in {other.path for other in others}
    assert await workspace.release() is first
    assert await pool.lease("4") is None
    with pytest.raises(errors.Conflict, match="was returned"):
        await workspace.diff()


async def test_release_that_is_cancelled_is_done_nevertheless(pool: WorkspacePool) -> None:
    workspace = await leased(pool)
    (workspace.path / "new").write_text("x")
    releasing = asyncio.create_task(workspace.release())
    await asyncio.sleep(0)  # it has begun
    releasing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await releasing
    assert pool.slots()[0].state == "available"
    assert not (workspace.path / "new").exists()


async def test_lease_that_is_cancelled_takes_nothing(repository: Repository, pool: WorkspacePool) -> None:
    for turns in (1, 5, 20, 60, 150):
        leasing = asyncio.create_task(pool.lease("1", "agent/1", go_on=False))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        leasing.cancel()
        try:
            workspace = await leasing
        except asyncio.CancelledError:
            assert "agent/1" not in repository.git("branch", "--list")
        else:
            assert workspace is not None
            await workspace.release()
            repository.git("branch", "-D", "agent/1")
    assert await pool.lease("2") is not None
    assert await pool.lease("3") is not None


@pytest.mark.parametrize(
    ("clean", "succeeded", "is_kept"),
    [("always", False, False), ("on-success", True, False), ("on-success", False, True), ("never", True, True)],
)
async def test_files_are_cleaned_as_the_pool_says(
    repository: Repository, tmp_path: Path, clean: str, succeeded: bool, is_kept: bool
) -> None:
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1, clean=clean)
    workspace = await leased(pool, branch="agent/1")
    (workspace.path / "a.txt").write_text("changed\n")
    (workspace.path / "noise.log").write_text("ignored")
    returned = await workspace.release(succeeded=succeeded)
    assert returned.is_kept is pool.slots()[0].is_kept is (workspace.path / "noise.log").exists() is is_kept
    assert ((workspace.path / "a.txt").read_text() == "changed\n") is is_kept
    again = await leased(pool, "2", "agent/1")
    assert not (again.path / "noise.log").exists()
    assert (again.path / "a.txt").read_text() == "one\n"


async def test_kept_files_are_overwritten_last(repository: Repository, tmp_path: Path) -> None:
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=2, clean="on-success")
    failed, good = await leased(pool, "1"), await leased(pool, "2")
    await failed.release(succeeded=False)
    await good.release()
    assert (await leased(pool, "3")).path == good.path


# -- repair ------------------------------------------------------------------------------------------------------------

BREAKAGES = {
    "no .git file": "rm .git",
    "empty .git file": ": > .git",
    ".git leads elsewhere": 'echo "gitdir: $1/.git" > .git',
    ".git is a repository": "rm .git; git init --quiet",
    "folder gone": 'rm -rf "$PWD"',
    "folder is a file": 'here="$PWD"; cd ..; rm -rf "$here"; echo x > "$here"',
    "folder is a link": 'here="$PWD"; cd ..; rm -rf "$here"; ln -s "$1" "$here"',
    "admin folder gone": 'rm -rf "$(git rev-parse --git-dir)"',
    "admin forgets the folder": 'rm "$(git rev-parse --git-dir)/gitdir"',
    "no HEAD": 'rm "$(git rev-parse --git-dir)/HEAD"',
    "HEAD is nonsense": 'echo nonsense > "$(git rev-parse --git-dir)/HEAD"',
    "index.lock": 'touch "$(git rev-parse --git-dir)/index.lock"',
    "HEAD.lock": 'touch "$(git rev-parse --git-dir)/HEAD.lock"',
    "index is nonsense": 'echo nonsense > "$(git rev-parse --git-dir)/index"',
    "no index": 'rm "$(git rev-parse --git-dir)/index"',
    "locked": "git worktree lock .",
    "orphan branch": "git switch --quiet --orphan nothing",
    "another branch": "git switch --quiet --create other",
    "in the middle of a merge": (
        "git switch -q -c left; echo l > a.txt; git commit -qam l; git switch -q -c right HEAD~1;"
        "echo r > a.txt; git commit -qam r; git merge left >/dev/null || :"
    ),
    "sparse": "git sparse-checkout set folder 2>/dev/null",
    "nested repository": "mkdir deep && cd deep && git init --quiet && echo x > y",
    "read-only folder": "mkdir -p shut/in && touch shut/in/f && chmod 500 shut/in shut",
    "own settings": "git config extensions.worktreeConfig true; git config --worktree core.bare true",
    "files for folders": "rm -r folder; echo x > folder; rm a.txt; mkdir a.txt; touch a.txt/x",
}


@pytest.mark.parametrize("how", BREAKAGES)
async def test_broken_worktree_is_repaired(repository: Repository, tmp_path: Path, how: str) -> None:
    origin = {"HEAD": repository.git("rev-parse", "HEAD"), "files": files(repository.folder / "folder")}
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1)
    workspace = await leased(pool, "1", "agent/1")
    expected = files(workspace.path)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "EMAIL": "a@example"}
    subprocess.run(
        ["sh", "-ec", BREAKAGES[how], "sh", str(repository.folder)], cwd=workspace.path, env=environment, check=True
    )
    await workspace.release()
    again = await leased(pool, "2", "agent/1")
    assert files(again.path) == expected
    assert git(again.path, "branch", "--show-current") == "agent/1"
    assert git(again.path, "status", "--porcelain", "--ignored") == ""
    assert git(again.path, "ls-files", "-v", "a.txt") == "H a.txt"
    (again.path / "a.txt").write_text("works\n")
    git(again.path, "commit", "--all", "--message", "works")
    assert len(repository.git("worktree", "list").splitlines()) == 2
    assert {"HEAD": repository.git("rev-parse", "HEAD"), "files": files(repository.folder / "folder")} == origin
    assert repository.git("status", "--porcelain") == ""
    await again.release()


async def test_pool_within_the_repository_never_cleans_the_repository(repository: Repository) -> None:
    """Without its `.git` file a worktree is a folder of the checkout around it, which git would then clean."""
    pool = WorkspacePool(repository.folder, repository.folder / ".interlock", size=1)
    (repository.folder / "precious").write_text("not committed")
    (repository.folder / "a.txt").write_text("not committed either\n")
    workspace = await leased(pool)
    (workspace.path / ".git").unlink()
    await workspace.release()
    await (await leased(pool, "2")).release()
    assert (repository.folder / "precious").read_text() == "not committed"
    assert (repository.folder / "a.txt").read_text() == "not committed either\n"
    assert "interlock" not in repository.git("status", "--porcelain")


async def test_worktrees_of_others_are_left_alone(repository: Repository, pool: WorkspacePool, tmp_path: Path) -> None:
    """One that is on a disk which is not there at the moment would be lost to `git worktree prune`."""
    repository.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "mine"))
    (tmp_path / "mine").rename(tmp_path / "away")
    workspace = await leased(pool)
    (workspace.path / ".git").unlink()
    await workspace.release()
    await (await leased(pool, "2")).release()
    (tmp_path / "away").rename(tmp_path / "mine")
    assert git(tmp_path / "mine", "status", "--porcelain") == ""


async def test_submodules_are_emptied(repository: Repository, pool: WorkspacePool, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library")
    library.commit({"lib.txt": "lib\n"})
    allowed = ("-c", "protocol.file.allow=always")
    repository.git(*allowed, "submodule", "--quiet", "add", str(library.folder), "lib")
    repository.commit({})
    for how in (("submodule", "--quiet", "update", "--init"), ("clone", "--quiet", str(library.folder), "lib")):
        workspace = await leased(pool)
        assert list((workspace.path / "lib").iterdir()) == []
        git(workspace.path, *allowed, *how)
        assert (workspace.path / "lib/lib.txt").exists()
        await workspace.release()
    workspace = await leased(pool)
    assert list((workspace.path / "lib").iterdir()) == []


async def test_pool_that_cannot_be_made_says_why(pool: WorkspacePool, tmp_path: Path) -> None:
    await (await leased(pool)).release()
    for number in range(2):
        lock = tmp_path / "pool" / f"workspace-{number}.lock"
        lock.unlink(missing_ok=True)
        lock.mkdir()
    with pytest.raises(errors.Environment, match=r"no workspace in .* can be made for 9"):
        await pool.lease("9")


# -- processes ---------------------------------------------------------------------------------------------------------

HOLDER = """
    import asyncio, os, sys
    from pathlib import Path
    from interlock.pool.workspaces import WorkspacePool

    async def main():
        pool = WorkspacePool(Path(sys.argv[1]), Path(sys.argv[2]), size=1)
        workspace = await pool.lease("first", "agent/1")
        (workspace.path / "a.txt").write_text("half done\\n")
        {more}
        print(workspace.path, flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


def start(script: str, *arguments: object, mark: str = "A=B") -> subprocess.Popen[str]:
    name, _, value = mark.partition("=")
    environment = os.environ | {"PYTHONPATH": str(Path(interlock.__file__).parents[1]), name: value}
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)
    assert process.stdout is not None
    process.stdout.close()


async def test_worktree_of_a_killed_process_is_free_and_cleaned(
    repository: Repository, tmp_path: Path, mark: str
) -> None:
    holder = start(HOLDER.format(more=""), repository.folder, tmp_path / "pool", mark=mark)
    path = await asyncio.to_thread(said, holder)
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1)
    assert await pool.lease("second") is None
    end(holder)
    workspace = await leased(pool, "second", "agent/1")  # which the dead one had checked out
    assert str(workspace.path) == path
    assert (workspace.path / "a.txt").read_text() == "one\n"


async def test_what_a_diff_was_taken_with_goes_after_its_process_was_killed(
    repository: Repository, tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds copies of all that the attempt had changed."""
    victim, temporary = tmp_path / "victim", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    repository.commit({".gitattributes": "*.txt filter=deadly\n"})
    repository.git("config", "filter.deadly.clean", f"! test -e {victim} || kill -9 $(cat {victim}); cat")
    more = f"Path({str(victim)!r}).write_text(str(os.getpid())); await workspace.diff()"
    holder = start(HOLDER.format(more=more), repository.folder, tmp_path / "pool", mark=mark)
    assert await asyncio.to_thread(holder.wait, 60) == -signal.SIGKILL
    end(holder)
    victim.unlink()
    assert len([*temporary.iterdir(), *(tmp_path / "pool").glob("*.diff-*")]) == 1
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1)
    async with asyncio.timeout(60):
        while await pool.lease("second") is None:
            await asyncio.sleep(0.01)
    assert [*temporary.iterdir(), *(tmp_path / "pool").glob("*.diff-*")] == []


@pytest.mark.parametrize(
    "more",
    [
        "if os.fork() == 0: os.execlp('sleep', 'sleep', '60')",
        "if os.fork() == 0: print(end='', flush=True); os.pause = __import__('signal').pause()",
    ],
    ids=["executes", "forked only"],
)
async def test_lock_is_not_inherited_by_children(repository: Repository, tmp_path: Path, mark: str, more: str) -> None:
    holder = start(HOLDER.format(more=more), repository.folder, tmp_path / "pool", mark=mark)
    await asyncio.to_thread(said, holder)
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    assert children
    end(holder)
    try:
        assert await WorkspacePool(repository.folder, tmp_path / "pool", size=1).lease("second") is not None
        assert all(Path(f"/proc/{child}").exists() for child in children)
    finally:
        for child in children:
            os.kill(int(child), signal.SIGKILL)


async def test_worktree_in_which_somebody_still_works_waits(repository: Repository, tmp_path: Path, mark: str) -> None:
    """The runner of an attempt may outlive its node for a while."""
    more = "__import__('subprocess').Popen(['sleep', '60'], cwd=workspace.path)"
    holder = start(HOLDER.format(more=more), repository.folder, tmp_path / "pool", mark=mark)
    await asyncio.to_thread(said, holder)
    (child,) = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    end(holder)
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1)
    assert await pool.lease("second") is None
    os.kill(int(child), signal.SIGKILL)
    async with asyncio.timeout(60):
        while await pool.lease("second") is None:
            await asyncio.sleep(0.01)


async def test_attempt_of_a_dead_node_is_adopted_with_its_worktree(
    repository: Repository, tmp_path: Path, mark: str
) -> None:
    holder = start(HOLDER.format(more=""), repository.folder, tmp_path / "pool", mark=mark)
    await asyncio.to_thread(said, holder)
    pool = WorkspacePool(repository.folder, tmp_path / "pool", size=1, orphan_grace_seconds=60)
    end(holder)
    assert await pool.lease("second") is None  # within the grace
    assert await pool.adopt("another") is None
    workspace = await pool.adopt("first")
    assert workspace is not None
    assert (workspace.branch, (workspace.path / "a.txt").read_text()) == ("agent/1", "half done\n")
    assert b"+half done" in ((await workspace.release()).diff or b"")
    assert await pool.adopt("first") is None


async def test_worktree_of_a_holder_that_leaves_it_is_adopted_while_that_lives(
    repository: Repository, tmp_path: Path
) -> None:
    old, new = (WorkspacePool(repository.folder, tmp_path / "pool", size=1, orphan_grace_seconds=60) for _ in range(2))
    left = await old.lease("first", "agent/1")
    assert left is not None
    (left.path / "a.txt").write_text("half done\n")
    left.leave()
    left.leave()
    with pytest.raises(errors.Conflict, match="left to whoever adopts"):
        await left.release()
    with pytest.raises(errors.Conflict):
        await left.diff()
    assert await new.lease("second") is None  # within the grace
    workspace = await new.adopt("first")
    assert workspace is not None
    assert b"+half done" in ((await workspace.release()).diff or b"")
    workspace.leave()  # it is returned already
    assert await old.lease("second") is not None


async def test_record_that_was_cut_short_is_that_of_a_dead_holder(pool: WorkspacePool, tmp_path: Path) -> None:
    await (await leased(pool)).release()
    (tmp_path / "pool" / "workspace-0.lock").write_text('{"state":"lea')
    assert pool.slots()[0].state == "allocated"
    assert {(await leased(pool, "2")).path.name, (await leased(pool, "3")).path.name} == {"workspace-0", "workspace-1"}


WORKER = """
    import asyncio, json, os, random, sys
    from pathlib import Path
    from interlock.pool.workspaces import WorkspacePool

    async def main():
        repository, folder, log, seed = sys.argv[1:]
        choice = random.Random(int(seed))
        pool = WorkspacePool(Path(repository), Path(folder), size=3)
        for number in range(1000):
            workspace = await pool.lease(f"{seed}-{number}", choice.choice([None, f"agent/{seed}"]))
            if workspace is None:
                await asyncio.sleep(0.005)
                continue
            seen = [path.name for path in workspace.path.glob("owner-*")]
            mine = workspace.path / f"owner-{os.getpid()}-{number}"
            mine.write_text("x")
            await asyncio.sleep(choice.uniform(0, 0.03))
            left = [path.name for path in workspace.path.glob("owner-*")]
            with open(log, "a") as file:
                file.write(json.dumps([seen, left == [mine.name]]) + "\\n")
            await workspace.release()

    asyncio.run(main())
"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_processes_that_are_killed_share_no_worktree_and_lose_none(
    repository: Repository, tmp_path: Path, mark: str, seed: int
) -> None:
    """Who leases finds nothing of others, and what it wrote alone when it looks again; in the end all places are free."""
    choice = random.Random(seed)
    log = tmp_path / "log"
    log.touch()
    folder = tmp_path / "pool"
    names = iter(range(1000 * seed, 1000 * seed + 999))
    workers = [start(WORKER, repository.folder, folder, log, next(names), mark=mark) for _ in range(4)]
    try:
        for kill in range(1, 9):
            wanted = kill * 6
            await until(lambda wanted=wanted: len(log.read_text().splitlines()) >= wanted, "nobody gets on", seconds=60)
            victim = choice.randrange(len(workers))
            end(workers[victim])
            workers[victim] = start(WORKER, repository.folder, folder, log, next(names), mark=mark)
        assert [worker.poll() for worker in workers] == [None] * 4
    finally:
        for worker in workers:
            end(worker)
    assert [json.loads(line) for line in log.read_text().splitlines() if line != "[[], true]"] == []
    pool = WorkspacePool(repository.folder, folder, size=3)
    workspaces = [await leased(pool, str(number)) for number in range(3)]
    assert len({workspace.path for workspace in workspaces}) == 3
    assert await pool.lease("one more") is None
    for workspace in workspaces:
        assert git(workspace.path, "status", "--porcelain", "--ignored") == ""
        await workspace.release()
    assert len(repository.git("worktree", "list").splitlines()) == 4


def test_lock_is_taken_once_per_machine(tmp_path: Path) -> None:
    first = Claim.take(tmp_path / "lock")
    assert first is not None
    assert Claim.take(tmp_path / "lock") is None
    first.let_go()
    first.let_go()
    again = Claim.take(tmp_path / "lock")
    assert again is not None
    again.let_go()
