"""How to authenticate, and the endpoints and resources at which that is said.

A reusable authentication (`use.authentications`) is open, one at its place of use is closed: so says the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar import patterns
from interlock.flow.grammar.shapes import Choice, Either, Further, Record, Shape, Text, fits, listed, wrong_type
from interlock.flow.grammar.values import ENDPOINT_TEXT, PLAIN_TEXT, TEXT, TEXTS, URI
from interlock.model.json import Json

_SECRET_NAME: Final = Text("a name", patterns.is_filled, "empty", role=Role.SECRET_NAME)
_AUTHENTICATION_NAME: Final = Text("a name", patterns.is_filled, "empty", role=Role.AUTHENTICATION_NAME)
_TOKEN: Final = Record(who="a token", fields={"token": TEXT, "type": TEXT}, required=("token", "type"))
_OAUTH2: Final[dict[str, Shape]] = {
    "authority": URI,
    "grant": Choice(
        (
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        )
    ),
    "client": Record(
        who="`client`",
        fields={
            "id": TEXT,
            "secret": TEXT,
            "assertion": TEXT,
            "authentication": Choice(
                ("client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none")
            ),
        },
    ),
    "request": Record(
        who="`request`",
        fields={"encoding": Choice(("application/x-www-form-urlencoded", "application/json"))},
        further=Further.IGNORED,
    ),
    "issuers": TEXTS,
    "scopes": TEXTS,
    "audiences": TEXTS,
    "username": TEXT,
    "password": TEXT,
    "subject": _TOKEN,
    "actor": _TOKEN,
}
_OAUTH2_ENDPOINTS: Final = Record(
    who="`endpoints`", fields={"token": TEXT, "revocation": TEXT, "introspection": TEXT}, further=Further.IGNORED
)


@dataclass(frozen=True, slots=True)
class _OrSecret:
    """The properties of a scheme, or `use:` with the name of a secret that holds them."""

    inline: Record
    expected: str = "a map"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        by_secret = isinstance(value, dict) and "use" in value and not any(key in value for key in self.inline.required)
        findings.note(Role.SCHEME, path, value)
        (_SECRET if by_secret else self.inline).check(value, path, findings)


_SECRET: Final = Record(who="a secret reference", fields={"use": _SECRET_NAME}, required=("use",))
_LOGIN: Final[Mapping[str, Shape]] = {"username": TEXT, "password": TEXT}
SCHEMES: Final[dict[str, Shape]] = {
    "basic": _OrSecret(Record(who="`basic`", fields=_LOGIN, required=("username", "password"))),
    "bearer": _OrSecret(Record(who="`bearer`", fields={"token": TEXT}, required=("token",))),
    "digest": _OrSecret(Record(who="`digest`", fields=_LOGIN, required=("username", "password"))),
    "oauth2": _OrSecret(
        Record(who="`oauth2`", fields={**_OAUTH2, "endpoints": _OAUTH2_ENDPOINTS}, required=("authority", "grant"))
    ),
    "oidc": _OrSecret(Record(who="`oidc`", fields=_OAUTH2, required=("authority", "grant"))),
}
AUTHENTICATION: Final = Record(
    who="an authentication",
    fields={"use": _AUTHENTICATION_NAME, **SCHEMES},
    one_of=(("use", *SCHEMES),),
    expected="a map",
)


@dataclass(frozen=True, slots=True)
class ReusableAuthentication:
    """Exactly one scheme must be valid; the schema looks at nothing else in the map, not even at a broken scheme."""

    expected: str = "a map with one authentication scheme"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        there = [name for name in SCHEMES if name in value]
        valid = [name for name in there if fits(SCHEMES[name], value[name])]
        if len(valid) > 1:
            message = f"an authentication has {listed(valid, 'and')}; only one of them may stand"
            findings.add("exclusive-properties", message, pointer.child(path, valid[1]), at_key=True)
        elif there:
            name = (valid or there)[0]
            SCHEMES[name].check(value[name], pointer.child(path, name), findings)
        else:
            self._miss(value, path, findings)

    def _miss(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        names = listed(list(SCHEMES))
        near = next((near for key in value if (near := nearest.name(key, SCHEMES))), None)
        advice = f"; did you mean `{near}`?" if near else ""
        message = f"an authentication needs {names}{advice}"
        findings.add("missing-property", message, path, at_key=True, expected=" or ".join(SCHEMES), nearest=near)


ENDPOINT: Final = Either(
    "a URI, an expression or a map with `uri`",
    text=ENDPOINT_TEXT,
    mapping=Record(
        who="an endpoint", fields={"uri": ENDPOINT_TEXT, "authentication": AUTHENTICATION}, required=("uri",)
    ),
)
RESOURCE: Final = Record(who="a resource", fields={"name": PLAIN_TEXT, "endpoint": ENDPOINT}, required=("endpoint",))
