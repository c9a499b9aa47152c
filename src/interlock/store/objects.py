"""Artifacts as objects of a service that speaks S3: one object each, under a name of ours, so that no name of theirs is a
key.

<prefix>/<run>/<random>

An object is there whole or not at all: a small file goes in one request, a larger one in parts that count only when they are
completed. What a crash leaves of parts is aborted by the next sweep. Every request is made in a thread, since the client
(boto3, the extra `s3`) knows no event loop; it takes its credentials where all its programs do.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import importlib.util
import re
import secrets
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.store.folder import PLACE, of_run, pieces
from interlock.store.ports import ReceivedFile

T = TypeVar("T")

_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([0-9A-Za-z!_.*'()/-]{0,400}))?")
_PART: Final = 8 << 20
"""Bytes of a part: the service wants 5 MiB at least, and at most 10,000 of them."""
_PIECE: Final = 1 << 20
"""Bytes that are read by one turn of a thread."""
_AT_ONCE: Final = 1000
"""Objects that one request may list or remove."""
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 60
_TRIES: Final = 4
_GONE: Final = {"NoSuchKey", "404"}


class ObjectFiles:
    """See ports.Files. `url`: s3://BUCKET/PREFIX; `endpoint`: of a service other than AWS, "" for that."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        """Raises InvalidSettings for a URL that names no bucket."""
        match = _URL.fullmatch(url)
        if match is None:
            raise errors.InvalidSettings(
                f"artifacts.url: {url!r} names no bucket; it is like s3://BUCKET or s3://BUCKET/PREFIX"
            )
        prefix = (match.group(2) or "").strip("/")
        self.url: Final = url
        self._bucket: Final[str] = match.group(1)
        self._prefix: Final = f"{prefix}/" if prefix else ""
        self._endpoint: Final = endpoint
        self._making = asyncio.Lock()
        self._client: Any = None

    async def receive(self, run: str, chunks: AsyncIterator[bytes], max_bytes: int) -> ReceivedFile:
        place = f"{of_run(run)}/{secrets.token_hex(16)}"
        digest, size, upload = hashlib.sha256(), 0, _Upload(self, self._prefix + place)
        try:
            async for piece in pieces(chunks):
                size += len(piece)
                if size > max_bytes:
                    raise errors.Invalid(f"the artifact is larger than {max_bytes} bytes (artifacts.max_size)")
                digest.update(piece)
                await upload.write(piece)
            await upload.finish()
        except OSError as error:  # of whoever sends it
            raise errors.Environment(f"the artifact did not come whole: {error or type(error).__name__}") from error
        finally:
            await asyncio.shield(upload.discard())
        return ReceivedFile(place=place, size=size, digest=digest.hexdigest())

    async def read(self, place: str) -> AsyncIterator[bytes]:
        if not PLACE.fullmatch(place):
            raise errors.StoreCorrupt(f"{place[:100]!r} is no place of an artifact")
        body = (await self.call("get_object", Key=self._prefix + place))["Body"]
        try:
            while piece := await self.guarded(lambda: body.read(_PIECE)):
                yield piece
        finally:
            body.close()

    async def remove(self, place: str) -> None:
        with contextlib.suppress(errors.Environment):  # what is left goes with its run
            await self.call("delete_object", Key=self._prefix + place)

    async def remove_run(self, run: str) -> None:
        prefix = f"{self._prefix}{of_run(run)}/"
        while found := (await self.call("list_objects_v2", Prefix=prefix, MaxKeys=_AT_ONCE)).get("Contents"):
            keys = [{"Key": each["Key"]} for each in found]
            done = await self.call("delete_objects", Delete={"Objects": keys, "Quiet": True})
            if failed := done.get("Errors"):
                first = failed[0]
                raise self._unusable(f"{len(failed)} objects of a run stay, such as {first['Key']}: {first['Message']}")

    async def sweep(self, before: float) -> None:
        with contextlib.suppress(errors.Environment):  # it is tried again in an hour
            found = await self.call("list_multipart_uploads", Prefix=self._prefix, MaxUploads=_AT_ONCE)
            for upload in found.get("Uploads", ()):
                if upload["Initiated"].timestamp() < before:
                    await self.call("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])

    # -- the service ---------------------------------------------------------------------------------------------

    async def call(self, name: str, **arguments: Any) -> Any:
        """Make one request about the bucket. Raises NotFound for an object that is gone, Environment."""
        client = await self._connected()
        return await self.guarded(lambda: getattr(client, name)(Bucket=self._bucket, **arguments))

    async def guarded(self, work: Callable[[], T]) -> T:
        """Do something in a thread, and translate what is wrong with the service."""
        exceptions = importlib.import_module("botocore.exceptions")
        try:
            return await to_thread(work)
        except exceptions.ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if code in _GONE:
                raise errors.NotFound(f"the file of this artifact is not in {self.url} (artifacts.url)") from None
            raise self._unusable(f"{code}: {message}") from error
        except exceptions.BotoCoreError as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> errors.Environment:
        return errors.Environment(f"the artifacts in {self.url} (artifacts.url) cannot be used: {why}")

    async def _connected(self) -> Any:
        async with self._making:
            if self._client is None:
                refuse_without_client()
                self._client = await to_thread(self._connect)
        return self._client

    def _connect(self) -> Any:
        boto3 = importlib.import_module("boto3")
        settings = importlib.import_module("botocore.config").Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "max_attempts": _TRIES},
            s3={"addressing_style": "path" if self._endpoint else "auto"},
            # Services other than AWS may not know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = boto3.session.Session()  # the default one is not for threads
        region = session.region_name or "us-east-1"  # which a service other than AWS takes for any
        return session.client("s3", endpoint_url=self._endpoint or None, region_name=region, config=settings)


def refuse_without_client() -> None:
    """Raises InvalidSettings where the extra `s3` is not installed."""
    if importlib.util.find_spec("boto3") is None:
        raise errors.InvalidSettings(
            "artifacts.url names a bucket, and the client for it is not installed here: pip install 'interlock[s3]'"
        )


class _Upload:
    """One object that comes in pieces: in one request while it is small, else in parts."""

    def __init__(self, files: ObjectFiles, key: str) -> None:
        self._files = files
        self._key = key
        self._waiting = bytearray()
        self._upload = ""
        self._parts: list[dict[str, Any]] = []

    async def write(self, piece: bytes) -> None:
        self._waiting += piece
        while len(self._waiting) > _PART:
            part = bytes(self._waiting[:_PART])
            del self._waiting[:_PART]
            await self._send(part)

    async def finish(self) -> None:
        """Let it be there, whole."""
        body = bytes(self._waiting)
        if not self._parts:
            await self._files.call("put_object", Key=self._key, Body=body)
            return
        await self._send(body)
        parts = {"Parts": self._parts}
        await self._files.call("complete_multipart_upload", Key=self._key, UploadId=self._upload, MultipartUpload=parts)
        self._upload = ""

    async def discard(self) -> None:
        """Remove what is left of it; nothing is when it was finished. What cannot be removed is swept later."""
        if self._upload:
            with contextlib.suppress(errors.Environment, errors.NotFound):
                await self._files.call("abort_multipart_upload", Key=self._key, UploadId=self._upload)

    async def _send(self, part: bytes) -> None:
        if not self._upload:
            self._upload = (await self._files.call("create_multipart_upload", Key=self._key))["UploadId"]
        number = len(self._parts) + 1
        sent = await self._files.call("upload_part", Key=self._key, UploadId=self._upload, PartNumber=number, Body=part)
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})
