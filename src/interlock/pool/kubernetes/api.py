"""The one door to the API server: kr8s knows where it is and who we are; the rest are a few requests over it.

kr8s' own watch begins again where it was after a 410, which is what the server has just refused, and it knows no timeout: so
watching is done here. Answers of the server become `ApiError`; nothing of kr8s or httpx gets past this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

from interlock import errors

if TYPE_CHECKING:
    from kr8s.asyncio import Api

Object: TypeAlias = dict[str, Any]

JOBS: Final = "jobs"
PODS: Final = "pods"
SECRETS: Final = "secrets"
OPENED: Final = "OPENED"
_VERSIONS: Final = {JOBS: "batch/v1", PODS: "v1", SECRETS: "v1"}

_REQUEST_SECONDS: Final = 10.0
_WATCH_SECONDS: Final = 60
"""After which the server ends a watch, which goes on with the next request: what a dead connection can hide is bounded."""
_SILENCE_SECONDS: Final = 15.0  # more than the server's own end of a watch, before a connection counts as dead
_LOG_SILENCE_SECONDS: Final = 300.0  # a program may be silent for long; its log is read in full at its end in any case
_PAGE: Final = 500
_ROOT: Final = "/."  # kr8s takes no empty base, and `/readyz/` with a slash is no path of the server


class ApiError(Exception):
    """The API server refused, or did not answer. `status`: of HTTP, 0 for no answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later: it is away or busy, or what was asked for is being changed."""
        return self.status in (0, 408, 429) or self.status >= 500

    @property
    def is_gone(self) -> bool:
        """Whether a watch asked for changes that the server has forgotten."""
        return self.status == 410


class KubernetesApi:
    """The requests of one pool, in one namespace."""

    def __init__(self, kubeconfig: str, context: str, namespace: str) -> None:
        """`kubeconfig`, `context`, `namespace`: "" for what the environment says."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._api: Api | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Log in; no request is made. Raises Environment without the client or any credentials."""
        try:
            await self._opened()
        except ApiError as error:
            raise errors.Environment(str(error)) from error

    async def close(self) -> None:
        api, self._api = self._api, None
        if api is not None and api._session is not None:
            await api._session.aclose()  # kr8s has no way to say so

    async def create(self, kind: str, manifest: Object) -> Object:
        """Create an object, by name. Raises ApiError 409 where there is one of this name."""
        # fields that the server does not know would be dropped otherwise
        return await self._request("POST", kind, content=manifest, params={"fieldValidation": "Strict"})

    async def get(self, kind: str, name: str) -> Object | None:
        """Give an object; None when there is none of this name."""
        try:
            return await self._request("GET", kind, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def patch(self, kind: str, name: str, changes: Object) -> Object:
        """Merge changes into an object (RFC 7386)."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return await self._request("PATCH", kind, name, content=changes, headers=headers)

    async def delete(self, kind: str, name: str, *, propagation: str = "Background") -> bool:
        """Delete an object; with `Foreground` it stays until what depends on it is gone. False when there is none."""
        try:
            await self._request("DELETE", kind, name, content={"propagationPolicy": propagation})
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def list(self, kind: str, selector: str) -> tuple[list[Object], str]:
        """Give all objects with these labels, and the version of the whole, from which a watch goes on."""
        found: list[Object] = []
        params = {"labelSelector": selector, "limit": str(_PAGE)}
        while True:
            page = await self._request("GET", kind, params=params)
            found += page.get("items") or ()
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion", ""))
            params["continue"] = metadata["continue"]

    async def watch(self, kind: str, selector: str, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        """Give changes since a version: ADDED, MODIFIED, DELETED or BOOKMARK with an object, until the server ends it.

        The first of all is OPENED, with nothing: the server has taken the request.
        Raises ApiError, with status 410 when the version is too old.
        """
        params = {
            "watch": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._stream(_path(kind), kind, params, _WATCH_SECONDS + _SILENCE_SECONDS) as response:
            yield OPENED, {}
            async for line in response.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _refusal(int(event["object"].get("code", 500)), event["object"])
                yield event["type"], event["object"]

    async def log(self, pod: str, container: str, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Give what a container has printed, from the beginning; with `follow` until it ends."""
        params = {"container": container} | ({"follow": "true"} if follow else {})
        silence = _LOG_SILENCE_SECONDS if follow else _REQUEST_SECONDS
        async with self._stream(f"{_path(PODS, pod)}/log", PODS, params, silence) as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def ready(self) -> str | None:
        """Say whether the server is ready; None, or what it answered."""
        api = await self._opened()
        with _translated():
            async with api.call_api(
                "GET", version="", base=_ROOT, url="readyz", raise_for_status=False, timeout=_REQUEST_SECONDS
            ) as response:
                if response.status_code == 200:
                    return None
                return f"the API server answers {response.status_code} {response.text[:200].strip()}"

    async def _request(
        self,
        method: str,
        kind: str,
        name: str = "",
        *,
        content: Object | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        api = await self._opened()
        given: dict[str, Any] = {"params": params, "timeout": _REQUEST_SECONDS}
        given |= {} if content is None else {"content": json.dumps(content)}
        given |= {} if headers is None else {"headers": headers}
        for raises in (False, True):
            with _translated():
                # kr8s answers every 401 and 403 by logging in again, which breaks the streams of the others, and a quota
                # that is full is a 403: only a 401 is given to it
                async with api.call_api(
                    method,
                    version=_VERSIONS[kind],
                    namespace=api.namespace,
                    url=_path(kind, name),
                    raise_for_status=raises,
                    **given,
                ) as response:
                    if response.status_code == 401 and not raises:
                        continue
                    body = _body(response)
                    if response.is_error:
                        raise _refusal(response.status_code, body)
                    return body
        raise AssertionError("the second round returns or raises")

    @contextlib.asynccontextmanager
    async def _stream(
        self, path: str, kind: str, params: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[httpx.Response]:
        api = await self._opened()
        timeout = httpx.Timeout(_REQUEST_SECONDS, read=silence_seconds)
        with _translated():
            async with api.call_api(
                "GET",
                version=_VERSIONS[kind],
                namespace=api.namespace,
                url=path,
                raise_for_status=False,
                stream=True,
                params=params,
                timeout=timeout,
            ) as response:
                if response.is_error:
                    await response.aread()
                    if response.status_code != 401:
                        raise _refusal(response.status_code, _body(response))
                    await self.close()  # the next request logs in again
                    raise ApiError(0, "Unauthorized", "the API server does not know us any more")
                yield response

    async def _opened(self) -> Api:
        """Give kr8s, logged in. Raises ApiError where there is nothing to log in with."""
        async with self._opening:
            if self._api is None:
                self._api = await self._open()
            return self._api

    async def _open(self) -> Api:
        try:
            from kr8s.asyncio import Api  # noqa: PLC0415 (the extra `kubernetes`, which need not be installed)
        except ImportError as error:
            raise errors.Environment(
                "the client of Kubernetes is not installed here; `pip install 'interlock[kubernetes]'` on the nodes"
            ) from error
        # not kr8s' own factory: it shares one session among all who name the same cluster, and whoever closes it closes all
        api = Api(
            bypass_factory=True,
            kubeconfig=self._kubeconfig or None,
            context=self._context or None,
            namespace=self._namespace or None,
        )
        try:
            await api.auth
            await api._create_session()  # here, since two first requests at once would open two
        except (OSError, ValueError, KeyError, IndexError) as error:
            where = self._kubeconfig or "KUBECONFIG, ~/.kube/config or a service account"
            raise ApiError(0, "NoCredentials", f"no way to a cluster is found in {where}: {error}") from error
        return api


def _path(kind: str, name: str = "") -> str:
    return f"{kind}/{name}" if name else kind


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the client raises into ApiError: where there was no answer, the status is 0."""
    from kr8s import APITimeoutError, ServerError  # noqa: PLC0415 (as above)

    try:
        yield
    except APITimeoutError as error:
        raise ApiError(0, "Timeout", "the API server does not answer in time") from error
    except ServerError as error:
        status = 0 if error.response is None else error.response.status_code
        raise ApiError(status, "", str(error)) from error
    except (httpx.HTTPError, httpx.StreamError, OSError, json.JSONDecodeError, RuntimeError) as error:
        raise ApiError(0, "NoAnswer", f"the API server cannot be reached: {type(error).__name__}: {error}") from error


def _body(response: httpx.Response) -> Object:
    try:
        found = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": response.text[:500]}


def _refusal(status: int, body: Mapping[str, Any]) -> ApiError:
    message = str(body.get("message") or f"the API server answers {status}")
    return ApiError(status, str(body.get("reason", "")), message)
