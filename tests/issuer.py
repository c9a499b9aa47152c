"""An authority for tests: it checks who asks for what, gives numbered tokens, and guards a resource with them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt

from loopback import Asked, Reply, Server

ID, SECRET = "our client", "the client's secret, of some length"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def answer(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@dataclass
class Issuer:
    """Answers at /realm/... of a server. `public_key`: that of the client, for private_key_jwt.

    `granted`: the grants in order. `valid`: the tokens that the resource accepts; `expires_in` and `gives_refresh` say
    what comes with a token. `refusal` is answered instead of any token.
    """

    server: Server
    public_key: str = ""
    granted: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    expires_in: Any = 300
    gives_refresh: bool = False
    refusal: Reply | None = None
    resource: Callable[[Asked], Reply] = lambda asked: answer({"sent": asked.headers.get("authorization")})

    def __post_init__(self) -> None:
        self.server.replies |= {
            "/realm/oauth2/token": self.token,
            "/realm/elsewhere": self.token,
            "/realm/.well-known/openid-configuration": lambda _: answer(
                {"issuer": self.authority, "token_endpoint": self.server.url("/realm/elsewhere")}
            ),
            "/resource": self.guarded,
        }

    @property
    def authority(self) -> str:
        return self.server.url("/realm")

    def guarded(self, asked: Asked) -> Reply:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        return self.resource(asked) if scheme == "Bearer" and token in self.valid else Reply(401)

    def token(self, asked: Asked) -> Reply:
        if self.refusal is not None:
            return self.refusal
        form = self._form(asked)
        self.asked.append(form)
        if not self._knows(asked, form):
            return answer({"error": "invalid_client", "error_description": "who are you?"}, 401)
        flaw = self._flaw(form)
        if flaw:
            return answer({"error": "invalid_grant", "error_description": flaw}, 400)
        self.granted.append(form["grant_type"])
        token = f"token-{len(self.granted)}"
        self.valid.add(token)
        given: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        if self.gives_refresh:
            given["refresh_token"] = f"refresh-{len(self.granted)}"
        return answer(given)

    @staticmethod
    def _form(asked: Asked) -> dict[str, Any]:
        if asked.headers["content-type"] == "application/json":
            form: dict[str, Any] = json.loads(asked.body)
            return form
        pairs = urllib.parse.parse_qs(asked.body.decode(), strict_parsing=True)
        return {name: values if len(values) > 1 else values[0] for name, values in pairs.items()}

    def _knows(self, asked: Asked, form: dict[str, Any]) -> bool:
        """Whether the client proved who it is, or is a public one."""
        if "client_assertion" in form:
            key, algorithms = (self.public_key, ["RS256", "ES256"]) if self.public_key else (SECRET, ["HS256"])
            try:
                claims = jwt.decode(
                    form["client_assertion"], key, algorithms=algorithms, audience=self.server.url(asked.target)
                )
            except jwt.InvalidTokenError:
                return False
            return claims["iss"] == claims["sub"] == ID and bool(claims["jti"])
        if "authorization" in asked.headers:
            pair = ":".join(urllib.parse.quote_plus(part) for part in (ID, SECRET))
            return asked.headers["authorization"] == "Basic " + base64.b64encode(pair.encode()).decode()
        if "client_secret" in form:
            return (form.get("client_id"), form["client_secret"]) == (ID, SECRET)
        return form.get("client_id") == "public"

    @staticmethod
    def _flaw(form: dict[str, Any]) -> str:
        match form["grant_type"]:
            case "password" if (form.get("username"), form.get("password")) != ("jo", "passw0rd"):
                return f"no such person with {form.get('password')}"
            case "refresh_token" if not str(form.get("refresh_token", "")).startswith("refresh-"):
                return "no such refresh token"
            case grant if grant == EXCHANGE and form.get("subject_token") != "theirs":
                return "no such subject"
            case _:
                return ""


def digest_guard(username: str, password: str, algorithm: str = "MD5") -> Callable[[Asked], Reply]:
    """Give what answers only requests that are authenticated by a digest (RFC 7616, qop=auth)."""
    challenge = f'Digest realm="tests", qop="auth", nonce="n0nce", opaque="o", algorithm={algorithm}'
    hashed = hashlib.sha256 if algorithm == "SHA-256" else hashlib.md5

    def h(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    def guard(asked: Asked) -> Reply:
        sent = dict(re.findall(r'(\w+)="?([^",]*)"?', asked.headers.get("authorization", "")))
        expected = h(
            f"{h(f'{username}:tests:{password}')}:n0nce:{sent.get('nc')}:{sent.get('cnonce')}:auth:"
            f"{h(f'{asked.method}:{asked.target}')}"
        )
        if sent.get("response") == expected:
            return answer({"user": sent["username"], "body": asked.body.decode()})
        return Reply(401, b"x" * 5000, {"WWW-Authenticate": challenge})

    return guard
