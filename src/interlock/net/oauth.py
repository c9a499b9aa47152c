"""What a client says to an OAuth 2 authority to get a token, and what it hears (RFC 6749, 7523, 8693; OWS 1.0.3).

Pure: properties of an authentication in, a request out; an answer in, a grant or a refusal out.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from interlock.model import json
from interlock.model.json import Json
from interlock.net.client import Cause, NoResponse, Request, Response, UnusableCredentials

Form: TypeAlias = dict[str, str | list[str]]
DEFAULT_ENDPOINT: Final = "/oauth2/token"
_DISCOVERY: Final = "/.well-known/openid-configuration"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_BEARER_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 60
_FORBIDDEN: Final = frozenset(
    {"access_denied", "unauthorized_client", "invalid_scope", "insufficient_scope", "invalid_target"}
)
_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as the authority gave it. `lasts_seconds`: None when it did not say."""

    token: str
    lasts_seconds: float | None
    refresh_token: str | None


def discovery(properties: Mapping[str, Json]) -> Request:
    """Give the request for the configuration of an OpenID Connect authority."""
    return Request(method="GET", uri=_authority(properties) + _DISCOVERY, follow_redirects=True)


def discovered(properties: Mapping[str, Json], answer: Response) -> str:
    """Give the token endpoint from the configuration of an authority. Raises UnusableCredentials."""
    try:
        found = json.decode(answer.body)
    except msgspec.DecodeError:
        found = None
    endpoint = found.get("token_endpoint") if isinstance(found, dict) else None
    if answer.status != 200 or not isinstance(endpoint, str):
        place = _authority(properties) + _DISCOVERY
        raise UnusableCredentials(f"{place} answered {answer.status} and names no token endpoint; check `authority`")
    issuers = properties.get("issuers")
    if issuers and found.get("issuer") not in issuers:
        raise UnusableCredentials(f"the authority calls itself {found.get('issuer')!r}, which `issuers` does not name")
    return endpoint


def endpoint(properties: Mapping[str, Json]) -> str:
    """Give the token endpoint of an OAuth 2 authority: below it, unless it is written whole."""
    endpoints = properties.get("endpoints")
    path = endpoints.get("token", DEFAULT_ENDPOINT) if isinstance(endpoints, dict) else DEFAULT_ENDPOINT
    if not isinstance(path, str):
        raise UnusableCredentials("`endpoints.token` must be a text")
    return path if "://" in path else f"{_authority(properties)}/{path.lstrip('/')}"


def request(
    properties: Mapping[str, Json], uri: str, now: float, uuid: Callable[[], str], refresh_token: str | None = None
) -> Request:
    """Give the request for a token. `refresh_token`: one that the authority gave with the last token.

    Raises UnusableCredentials for properties that are missing or that this kind of client cannot use.
    """
    form = _grant(properties)
    if refresh_token is not None:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    _add_list(form, "scope", properties, "scopes", join=True)
    _add_list(form, "audience", properties, "audiences", join=False)
    headers = {"Accept": "application/json"}
    _authenticate(properties, uri, form, headers, now, uuid)
    encoding = _map(properties, "request").get("encoding", "application/x-www-form-urlencoded")
    headers["Content-Type"] = str(encoding)
    as_json = encoding == "application/json"
    body = json.encode(form) if as_json else urllib.parse.urlencode(form, doseq=True).encode()
    return Request(method="POST", uri=uri, headers=headers, body=body)


def granted(properties: Mapping[str, Json], answer: Response) -> Grant | NoResponse:
    """Give the token of an answer, or why there is none. What the authority says is told, without any property."""
    try:
        found = json.decode(answer.body)
    except msgspec.DecodeError:
        found = None
    content = found if isinstance(found, dict) else {}
    token = content.get("access_token") or content.get("id_token")
    if answer.status == 200 and isinstance(token, str):
        lasts, refresh = content.get("expires_in"), content.get("refresh_token")
        return Grant(token, _number(lasts), refresh if isinstance(refresh, str) else None)
    said = " ".join(str(content[name]) for name in ("error", "error_description") if content.get(name))
    detail = f"{answer.request_uri} gave no token: {answer.status} {hidden(properties, said)}".rstrip()
    if answer.status >= 500:
        return NoResponse(Cause.INTERRUPTED, detail)
    is_forbidden = answer.status == 403 or content.get("error") in _FORBIDDEN
    return NoResponse(Cause.FORBIDDEN if is_forbidden else Cause.UNAUTHENTICATED, detail)


def hidden(properties: Mapping[str, Json], text: str) -> str:
    """Give a text without what is secret in the properties, should the other side repeat it."""
    client = _map(properties, "client")
    secrets = [client.get("secret"), client.get("assertion"), properties.get("password")]
    secrets += [_map(properties, who).get("token") for who in ("subject", "actor")]
    for secret in sorted((each for each in secrets if isinstance(each, str) and each), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _authority(properties: Mapping[str, Json]) -> str:
    return _text(properties, "authority").rstrip("/")


def _grant(properties: Mapping[str, Json]) -> Form:
    grant = _text(properties, "grant")
    match grant:
        case "client_credentials":
            return {"grant_type": grant}
        case "password":
            return {
                "grant_type": grant,
                "username": _text(properties, "username"),
                "password": _text(properties, "password"),
            }
        case "refresh_token":
            return {"grant_type": grant, "refresh_token": _token(properties, "subject")["token"]}
        case _ if grant == _EXCHANGE:
            form: Form = {"grant_type": grant}
            for who in ("subject", "actor"):
                if who == "subject" or who in properties:
                    given = _token(properties, who)
                    form |= {f"{who}_token": given["token"], f"{who}_token_type": given["type"]}
            return form
        case "authorization_code":
            raise UnusableCredentials(
                "the grant authorization_code needs a person with a browser, and a run has none; use client_credentials,"
                " or refresh_token with a token that a person obtained"
            )
        case _:
            raise UnusableCredentials(f"the grant {grant!r} is not known")


def _token(properties: Mapping[str, Json], who: str) -> dict[str, str]:
    given = _map(properties, who)
    return {name: _text(given, name, f"{who}.{name}") for name in ("token", "type")}


def _authenticate(
    properties: Mapping[str, Json], uri: str, form: Form, headers: dict[str, str], now: float, uuid: Callable[[], str]
) -> None:
    """Say who the client is, in the way that `client.authentication` names."""
    client = _map(properties, "client")
    if not client:
        return
    method = client.get("authentication", "client_secret_post")
    match method:
        case "client_secret_post":
            form["client_id"] = _text(client, "id", "client.id")
            if "secret" in client:
                form["client_secret"] = _text(client, "secret", "client.secret")
        case "client_secret_basic":
            pair = (_text(client, name, f"client.{name}") for name in ("id", "secret"))
            encoded = ":".join(urllib.parse.quote_plus(part) for part in pair)  # RFC 6749, 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(encoded.encode()).decode("ascii")
        case "client_secret_jwt" | "private_key_jwt":
            form["client_id"] = _text(client, "id", "client.id")
            form["client_assertion_type"] = _BEARER_ASSERTION
            form["client_assertion"] = _assertion(
                client, uri, is_symmetric=method == "client_secret_jwt", now=now, uuid=uuid
            )
        case "none":
            form["client_id"] = _text(client, "id", "client.id")
        case _:
            raise UnusableCredentials(f"the client authentication {method!r} is not known")


def _assertion(client: Mapping[str, Json], uri: str, *, is_symmetric: bool, now: float, uuid: Callable[[], str]) -> str:
    """Give the signed statement of who the client is (RFC 7523): the one written, else one signed with its secret."""
    import jwt  # noqa: PLC0415 (start-up: it brings the whole of cryptography, and few runs sign)

    if "assertion" in client:
        return _text(client, "assertion", "client.assertion")
    id = _text(client, "id", "client.id")
    secret = _text(client, "secret", "client.secret")
    claims = {"iss": id, "sub": id, "aud": uri, "jti": uuid(), "iat": int(now), "exp": int(now) + _ASSERTION_SECONDS}
    if is_symmetric:
        return jwt.encode(claims, secret, algorithm="HS256")
    for algorithm in ("RS256", "ES256", "EdDSA"):  # the key fits one of them
        try:
            return jwt.encode(claims, secret, algorithm=algorithm)
        except (jwt.InvalidKeyError, ValueError, TypeError):
            continue
    raise UnusableCredentials(
        "`client.secret` is no private key in PEM, which private_key_jwt signs with; or give `client.assertion`"
    )


def _add_list(form: Form, name: str, properties: Mapping[str, Json], key: str, *, join: bool) -> None:
    given = properties.get(key)
    if given is None or given == []:
        return
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise UnusableCredentials(f"`{key}` must be a list of texts")
    form[name] = " ".join(given) if join else given


def _map(properties: Mapping[str, Json], name: str) -> dict[str, Json]:
    given = properties.get(name, {})
    if not isinstance(given, dict):
        raise UnusableCredentials(f"`{name}` must be a map")
    return given


def _text(properties: Mapping[str, Json], name: str, place: str | None = None) -> str:
    given = properties.get(name)
    if not isinstance(given, str) or not given:
        raise UnusableCredentials(f"`{place or name}` is missing, or no text")
    return given


def _number(value: Json) -> float | None:
    if isinstance(value, str) and value.isdecimal():
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
