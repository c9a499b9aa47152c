"""Signatures of webhooks, so that a receiver knows who sent them, and that they are not sent again by somebody else.

Source: Standard Webhooks 1.0.0, "Signature scheme" (https://www.standardwebhooks.com): HMAC-SHA256 of `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def headers(id: str, at: float, body: bytes, secret: bytes | None) -> Mapping[str, str]:
    """Give the headers of a webhook; without a secret they name it and prove nothing. `at`: when it is sent, UTC seconds."""
    timestamp = str(int(at))
    named = {"webhook-id": id, "webhook-timestamp": timestamp}
    if secret is None:
        return named
    signed = hmac.new(secret, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return named | {"webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}
