"""Artifacts in a folder: whole or not at all, under names that nobody else chooses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock import errors
from interlock.store.folder import FolderFiles


async def given(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken(first: bytes) -> AsyncIterator[bytes]:
    yield first
    raise ConnectionResetError


async def content(files: FolderFiles, place: str) -> bytes:
    return b"".join([piece async for piece in files.read(place)])


def there(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("chunks", [(), (b"",), (b"a" * 70_000, b"", b"b"), (b"x" * (3 * 2**20),)])
async def test_file_is_read_as_it_came(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    files = FolderFiles(tmp_path / "deep" / "artifacts")
    whole = b"".join(chunks)
    kept = await files.receive("0197-run", given(*chunks), 4 * 2**20)
    assert (kept.size, kept.digest) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert await content(files, kept.place) == whole
    assert there(files.folder) == [kept.place]
    assert (files.folder / kept.place).stat().st_mode & 0o077 == 0


async def test_file_that_is_too_large_or_ends_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    with pytest.raises(errors.Invalid, match=r"artifacts\.max_size"):
        await files.receive("r", given(b"x" * 11), 10)
    with pytest.raises(errors.Environment, match="cannot be used"):
        await files.receive("r", broken(b"x"), 10)
    assert there(tmp_path) == []


@pytest.mark.parametrize("run", ["../../etc", "a/b", ".", "..", "", "x" * 300, "ä", "a\0b", ".drafts", "\udc80"])
async def test_run_is_no_path_whatever_it_is_called(tmp_path: Path, run: str) -> None:
    files = FolderFiles(tmp_path / "in")
    kept = await files.receive(run, given(b"x"), 10)
    (path,) = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert path.resolve().parent.parent == (tmp_path / "in").resolve()
    assert await content(files, kept.place) == b"x"
    await files.remove_run(run)
    assert there(tmp_path) == []


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "r/../../secret", "r", "", "r/aa/bb", ".drafts/aa"])
async def test_place_that_is_none_of_ours_is_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(errors.StoreCorrupt):
        await content(FolderFiles(tmp_path / "in"), place)


async def test_file_that_is_gone_is_told_and_can_be_removed_again(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    kept = await files.receive("r", given(b"x"), 10)
    for _ in range(2):
        await files.remove(kept.place)
        await files.remove_run("r")
    with pytest.raises(errors.NotFound, match=r"artifacts\.folder"):
        await content(files, kept.place)


async def test_drafts_of_processes_that_died_are_swept(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    await files.sweep(1e12)
    await files.receive("r", given(b"x"), 10)
    for name, at in (("old", 100.0), ("new", 300.0)):
        (tmp_path / ".drafts" / name).write_text("half")
        os.utime(tmp_path / ".drafts" / name, (at, at))
    await files.sweep(200.0)
    assert [path.name for path in (tmp_path / ".drafts").iterdir()] == ["new"]
    assert len(there(tmp_path)) == 2


async def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.Environment, match="file/in"):
        await FolderFiles(tmp_path / "file" / "in").receive("r", given(b"x"), 10)
    with pytest.raises(errors.Environment, match="file/in"):
        await FolderFiles(tmp_path / "file" / "in").remove_run("r")
    with pytest.raises(errors.Environment, match="file"):
        await content(FolderFiles(tmp_path / "file"), "r/aa")


async def test_disk_that_is_full_is_told_as_such() -> None:
    error = FolderFiles(Path("/nowhere"))._translated(OSError(28, "No space left on device"))
    assert isinstance(error, errors.StoreFull)
