"""Secrets that go from one run to another, into a child run or back from it.

A marker means something in one run only. What is handed over gets the markers of the run that takes it, as long as that
run's definition declares their secrets: nobody is given a secret whose use he has not stated.
"""

from __future__ import annotations

import msgspec

from interlock import errors
from interlock.engine.live import Graphs, Keeps
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.task import Done, Failed, FailureClass
from interlock.secrets import form
from interlock.secrets.keeper import no_secret
from interlock.secrets.markers import Markers


class Handing:
    """Makes what one run gives another one's own."""

    def __init__(self, graphs: Graphs, secrets: Keeps) -> None:
        self._graphs = graphs
        self._secrets = secrets

    async def value(self, given: Payload, *, giver: str, taker: str, definition: str, name: str) -> Payload | Failed:
        """Give a value as the run `taker` of `definition` may have it, or why it may not.

        `name`: what messages call the taker's workflow.
        """
        text = given.text.decode()
        markers = await self._markers(text, giver)
        if not isinstance(markers, Markers):
            return given if markers is None else markers
        undeclared = await self._undeclared(text, markers, definition)
        if isinstance(undeclared, Failed):
            return undeclared
        if undeclared:
            return _refused(undeclared[0], name)
        return Payload(text=markers.moved_text(text, taker).encode())

    async def outcome(
        self, given: Done | Failed, *, giver: str, taker: str, definition: str, name: str
    ) -> Done | Failed:
        """Give how a run ended as the run that waits for it may know it.

        In an error, the secrets that the taker has not declared are hidden: it is told that error, not another one.
        """
        if isinstance(given, Failed):
            return Failed(given.failure, await self._fault(given.fault, giver, taker, definition))
        value = Payload(given.value)
        taken = await self.value(value, giver=giver, taker=taker, definition=definition, name=name)
        return taken if isinstance(taken, Failed) else Done(taken.value)

    async def _fault(self, error: Fault, giver: str, taker: str, definition: str) -> Fault:
        text = f"{error.title} {error.detail}"
        markers = await self._markers(text, giver)
        if markers is None:
            return error
        if isinstance(markers, Markers) and not await self._undeclared(text, markers, definition):
            return markers.moved(error, taker)
        texts = {name: form.hidden(text) for name in ("title", "detail") if (text := getattr(error, name)) is not None}
        return msgspec.structs.replace(error, **texts)

    async def _markers(self, text: str, giver: str) -> Markers | Failed | None:
        """Give the markers of the run that gives something; None when there can be none in it."""
        if form.START not in text:
            return None
        try:
            return await self._secrets.markers(giver)
        except errors.Invalid:  # no key was ever configured: nobody can have made a marker, so this is text
            return None
        except errors.Environment as error:
            return no_secret(str(error))

    async def _undeclared(self, text: str, markers: Markers, definition: str) -> list[str] | Failed:
        """Give the names of the secrets in a text that a definition does not declare."""
        names = {reference.name for reference in markers.found(text)}
        if not names:
            return []
        try:
            declared = (await self._graphs.graph(definition)).secrets
        except errors.Invalid as error:  # another version of this program published it, or began the run
            return _unknown(str(error))
        return sorted(names.difference(declared))


def _refused(secret: str, workflow: str) -> Failed:
    detail = (
        f"the secret {secret!r} would go to {workflow}, which does not declare it; add it to `use.secrets` there, or leave"
        " it out"
    )
    error = Fault(
        type=fault.AUTHORIZATION, status=403, title="Secret not declared", detail=detail, code="secret-not-declared"
    )
    return Failed(FailureClass.INVALID, error)


def _unknown(reason: str) -> Failed:
    detail = f"which secrets the other workflow declares is not known here: {reason}"
    error = Fault(type=fault.CONFIGURATION, status=400, title="Unknown definition", detail=detail)
    return Failed(FailureClass.INVALID, error)
