"""A server that speaks S3, on loopback, with one bucket: the fixtures `endpoint` and `bucket`, for tests of artifacts there."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

import required

BUCKET = "of-artifacts"
_ABSENT = any(importlib.util.find_spec(name) is None for name in ("boto3", "moto", "flask", "flask_cors"))
needs_server = pytest.mark.skipif(
    required.may_skip("s3", not _ABSENT),
    reason="boto3 and a server that speaks S3 (moto, flask, flask-cors) are not installed",
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = importlib.import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of somebody else who looks into the bucket, which is empty."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    found = (
        importlib.import_module("boto3").resource("s3", endpoint_url=endpoint, region_name="us-east-1").Bucket(BUCKET)
    )
    found.create()
    yield found
    found.objects.all().delete()
    for upload in found.multipart_uploads.all():
        upload.abort()
    found.delete()
