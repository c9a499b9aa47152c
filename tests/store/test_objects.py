"""Artifacts in a bucket, at a server that speaks S3: whole or not at all, under keys that nobody else chooses."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import config, errors
from interlock.app.artifacts import artifacts, refuse_unusable
from interlock.store import objects
from interlock.store.objects import ObjectFiles
from interlock.store.open import open_store
from s3 import BUCKET, bucket, endpoint, needs_server

PART = objects._PART
__all__ = ["bucket", "endpoint"]


@pytest.fixture
def files(bucket: Any, endpoint: str) -> ObjectFiles:
    return ObjectFiles(f"s3://{BUCKET}/deep/artifacts", endpoint)


async def given(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    raise ConnectionResetError


async def content(files: ObjectFiles, place: str) -> bytes:
    return b"".join([piece async for piece in files.read(place)])


def there(bucket: Any) -> list[str]:
    return sorted(each.key for each in bucket.objects.all())


def parts(bucket: Any) -> list[str]:
    return [each.object_key for each in bucket.multipart_uploads.all()]


@pytest.mark.slow
@needs_server
@pytest.mark.parametrize(
    "chunks", [(), (b"",), (b"a" * 70_000, b"", b"b"), (b"x" * PART,), (b"x" * (PART + 1),), (b"y" * (2 * PART), b"z")]
)
async def test_object_is_read_as_it_came(files: ObjectFiles, bucket: Any, chunks: tuple[bytes, ...]) -> None:
    whole = b"".join(chunks)
    kept = await files.receive("0197-run", given(*chunks), 4 * PART)
    assert (kept.size, kept.digest) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert await content(files, kept.place) == whole
    assert there(bucket) == [f"deep/artifacts/{kept.place}"]
    assert parts(bucket) == []


@needs_server
@pytest.mark.parametrize("first", [b"x", b"x" * (2 * PART)], ids=["small", "parts"])
async def test_object_that_is_too_large_or_ends_in_the_middle_leaves_nothing(
    files: ObjectFiles, bucket: Any, first: bytes
) -> None:
    with pytest.raises(errors.Invalid, match=r"artifacts\.max_size"):
        await files.receive("r", given(first, b"x" * PART), len(first) + 1)
    with pytest.raises(errors.Environment, match="did not come whole"):
        await files.receive("r", broken(first), 4 * PART)
    assert (there(bucket), parts(bucket)) == ([], [])


@needs_server
@pytest.mark.parametrize("run", ["../../etc", "a/b", "..", "", "ä", "a\0b", "\udc80"])
async def test_run_is_no_key_whatever_it_is_called(files: ObjectFiles, bucket: Any, run: str) -> None:
    kept = await files.receive(run, given(b"x"), 10)
    assert [key.count("/") for key in there(bucket)] == [3]
    assert await content(files, kept.place) == b"x"
    await files.remove_run(run)
    assert there(bucket) == []


@needs_server
async def test_what_belongs_to_others_stays(files: ObjectFiles, bucket: Any) -> None:
    """Another run whose name begins as this one's, and what else is in the bucket."""
    bucket.put_object(Key="deep/other", Body=b"x")
    kept = [await files.receive(run, given(b"x"), 10) for run in ("r1", "r1", "r11")]
    await files.remove(kept[0].place)
    assert len(there(bucket)) == 3
    await files.remove_run("r1")
    assert there(bucket) == [f"deep/artifacts/{kept[2].place}", "deep/other"]
    with pytest.raises(errors.StoreCorrupt):
        await content(files, "../other")


@needs_server
async def test_object_that_is_gone_is_told_and_can_be_removed_again(files: ObjectFiles) -> None:
    kept = await files.receive("r", given(b"x"), 10)
    for _ in range(2):
        await files.remove(kept.place)
        await files.remove_run("r")
    with pytest.raises(errors.NotFound, match=r"artifacts\.url"):
        await content(files, kept.place)


@needs_server
async def test_parts_that_a_crash_left_are_swept(files: ObjectFiles, bucket: Any) -> None:
    bucket.Object("deep/artifacts/r/aa").initiate_multipart_upload()
    await files.sweep(1_000_000_000.0)  # for this server every upload began in 2010
    assert parts(bucket) == ["deep/artifacts/r/aa"]
    await files.sweep(time.time() + 3600)
    assert parts(bucket) == []


@needs_server
async def test_bucket_that_there_is_not_is_told(endpoint: str, bucket: Any) -> None:
    files = ObjectFiles("s3://nowhere-at-all", endpoint)
    with pytest.raises(errors.Environment, match=r"s3://nowhere-at-all \(artifacts.url\) cannot be used: NoSuchBucket"):
        await files.receive("r", given(b"x"), 10)


@needs_server
async def test_service_that_does_not_answer_is_told(bucket: Any) -> None:
    files = ObjectFiles(f"s3://{BUCKET}", "http://127.0.0.1:9")
    async with asyncio.timeout(60):
        with pytest.raises(errors.Environment, match=r"cannot be used: Could not connect to the endpoint"):
            await files.remove_run("r")


@needs_server
async def test_artifacts_of_a_store_are_in_its_bucket(bucket: Any, endpoint: str) -> None:
    """As the settings say, by what a node and a server ask for."""
    settings = config.Settings(artifacts=config.Artifacts(url=f"s3://{BUCKET}", endpoint=endpoint))
    store = await open_store("sqlite:///:memory:")
    try:
        refuse_unusable(settings)
        found = artifacts(settings, store)._files
        assert isinstance(found, ObjectFiles)
        kept = await found.receive("r", given(b"x"), 10)
        assert there(bucket) == [kept.place]
    finally:
        await store.close()


async def test_two_places_and_a_url_without_a_bucket_are_refused() -> None:
    store = await open_store("sqlite:///:memory:")
    try:
        with pytest.raises(errors.InvalidSettings, match=r"are both set; leave one of them out"):
            artifacts(config.Settings(artifacts=config.Artifacts(url="s3://bucket", folder="x")), store)
        for url in ("https://bucket", "s3://", "s3://B", "s3://bucket?x"):
            with pytest.raises(errors.InvalidSettings, match=r"names no bucket; it is like s3://BUCKET"):
                artifacts(config.Settings(artifacts=config.Artifacts(url=url)), store)
    finally:
        await store.close()


async def test_missing_extra_is_named_before_work_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.InvalidSettings, match=r"pip install 'interlock\[s3\]'"):
        refuse_unusable(config.Settings(artifacts=config.Artifacts(url="s3://bucket")))
    with pytest.raises(errors.InvalidSettings, match=r"pip install 'interlock\[s3\]'"):
        await ObjectFiles("s3://bucket").receive("r", given(b"x"), 10)
