"""`$authorization`: what a request will say of who sends it (OWS 1.0.3, "Authorization Descriptor").

    {"scheme": "Bearer", "parameter": "abc"}

The parameter is null where it is not known before the request is made (digest, OAuth 2, OpenID Connect), and where it
would be computed from a secret, which expressions must not see in disguise.
"""

from __future__ import annotations

import base64
from typing import Final

from interlock.model.json import Json
from interlock.secrets.form import START

_NAMES: Final = {"basic": "Basic", "bearer": "Bearer", "digest": "Digest", "oauth2": "Bearer", "oidc": "Bearer"}


def described(credentials: Json) -> Json:
    """Give the descriptor of evaluated credentials, whose secrets are markers."""
    scheme, properties = credentials["scheme"], credentials["properties"]
    return {"scheme": _NAMES[scheme], "parameter": _parameter(scheme, properties)}


def _parameter(scheme: str, properties: Json) -> str | None:
    if scheme == "bearer":
        return properties if isinstance(properties, str) else _text(properties, "token")
    if scheme != "basic":
        return None
    pair = f"{_text(properties, 'username')}:{_text(properties, 'password')}"
    return None if START in pair else base64.b64encode(pair.encode()).decode("ascii")


def _text(properties: Json, name: str) -> str:
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, str) else ""
