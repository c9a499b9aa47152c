"""Outcomes as webhooks: a POST of JSON through the one door for HTTP, signed, never redirected."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from interlock.handshake import signature
from interlock.handshake.outcome import Cancelled, Completed, Failed, Letter
from interlock.handshake.sender import Accepted, Alive, Answer, Postponed, Refused
from interlock.model import json
from interlock.model.callback import Webhook
from interlock.model.json import Json
from interlock.net.client import Cause, Client, NoResponse, Request
from interlock.service import Clock

_PASSING: Final = frozenset({408, 425, 429})
"""Answers of the 4xx that mean: later. All others mean: never."""
_NEVER: Final = frozenset({Cause.ADDRESS_REFUSED, Cause.INVALID_REQUEST})
_MOST_RETRY_SECONDS: Final = 3600.0  # a receiver that says more is asked every hour all the same


class Webhooks:
    """Sends webhooks; see Sender."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, letter: Letter, callback: Webhook) -> Answer:
        body = json.encode(message(letter))
        signed = signature.headers(letter.delivery, self._clock.now(), body, callback.secret_bytes)
        headers = {**callback.headers, "content-type": "application/json", **signed}
        request = Request(method="POST", uri=callback.url, headers=headers, body=body, reads_body=False)
        answer = await self._client.send(request)
        if isinstance(answer, NoResponse):
            if answer.cause in _NEVER:
                return Refused(status=answer.cause, detail=_shown(answer.detail, callback))
            return Postponed(status=answer.cause, detail=_shown(answer.detail, callback))
        status = str(answer.status)
        if 200 <= answer.status < 300:
            return Accepted(status=status)
        if 300 <= answer.status < 400:
            return Refused(
                status=status, detail="it answered with a redirect, which is not followed; give the new address"
            )
        if answer.status >= 500 or answer.status in _PASSING:
            after = self._after(answer.headers.get("retry-after"))
            return Postponed(status=status, detail=f"it answered {status}", after_seconds=after)
        return Refused(status=status, detail=f"it answered {status}, which no further try changes")

    async def beat(self, id: str, callback: Webhook) -> Alive:
        """Webhooks have no heartbeats."""
        return Alive()

    async def close(self) -> None:
        """The client is its maker's to close."""

    def _after(self, text: str | None) -> float | None:
        """Give the seconds of a `Retry-After`: a number, or a date (RFC 9110, 10.2.3); None for none that can be read."""
        if text is None:
            return None
        if text.strip().isdecimal():
            return min(float(text.strip()[:9]), _MOST_RETRY_SECONDS)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max(0.0, moment.timestamp() - self._clock.now()), _MOST_RETRY_SECONDS)


def message(letter: Letter) -> dict[str, Json]:
    """Give the body of a webhook."""
    told: dict[str, Json] = {
        "type": f"run.{'overdue' if letter.status not in _ENDED else letter.status}",
        "run": letter.id,
        "namespace": letter.namespace,
        "workflow": letter.workflow,
        "version": letter.version,
        "status": letter.status,
        "ended_at": datetime.fromtimestamp(letter.at, UTC).isoformat() if letter.status in _ENDED else None,
    }
    match letter.outcome:
        case Completed(output=output):
            told["output"] = output
        case Cancelled(message=text):
            told["error"] = {"type": "cancelled", "message": text, "retryable": False, "details": None}
        case Failed(type=type_, message=text, retryable=retryable, details=details):
            told["error"] = {"type": type_, "message": text, "retryable": retryable, "details": details}
    return told


_ENDED: Final = frozenset({"completed", "faulted", "cancelled", "lost"})


def _shown(detail: str, callback: Webhook) -> str:
    """Give a message without the path of the URL, which often is a secret."""
    return detail.replace(callback.url, callback.target)
