"""Fetches what a definition needs from elsewhere, once, before its first run or its publication.

Only this process's folder and public addresses are reached, as everywhere; a text that came from elsewhere may not name
files of this machine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from interlock import errors
from interlock.effects import http
from interlock.expr.evaluation import Evaluation, Pending
from interlock.flow import calling, check, resources
from interlock.flow import document as doc
from interlock.flow.check import Loaded
from interlock.flow.meaning import limits
from interlock.flow.reading import Reader
from interlock.flow.resources import Wanted
from interlock.model import fault
from interlock.model.json import Json
from interlock.model.task import Credentials, Failed
from interlock.secrets.keeper import Keeper

_FILE: Final = "file:"
_MOST: Final = 100  # resources of one definition
_DEEPEST: Final = 8  # functions that call functions
_LARGEST_BYTES: Final = 1024 * 1024  # of one resource: what people write by hand is a hundredth of it


@dataclass(frozen=True, slots=True)
class _Asked:
    wanted: Wanted
    depth: int
    by: str
    """The URI of the function that needs it, empty for the workflow itself."""


class Fetcher:
    """Fetches resources. `client` reaches what is on the network, `secrets` gives what authenticates there."""

    def __init__(self, client: http.Sends, secrets: Keeper, allowed: limits.Limits) -> None:
        self._client = client
        self._secrets = secrets
        self._allowed = allowed

    async def fetch(self, loaded: Loaded, folder: Path) -> dict[str, str]:
        """Give the texts that a checked document needs, by URI, with those that its functions need.

        `folder`: where `file:` starts, and what it may not leave. Raises InvalidDefinition for a function with problems,
        Invalid for a resource that is not there or too much, Environment for one that cannot be reached now.
        """
        workflow = loaded.required()
        plain = loaded.value.get("use", {})
        texts: dict[str, str] = {}
        open_ = deque(_Asked(each, 1, "") for each in resources.wanted(workflow, workflow.use))
        while open_:
            asked = open_.popleft()
            if asked.wanted.uri in texts:
                continue
            _check_amount(asked, len(texts))
            text = texts[asked.wanted.uri] = await self._text(asked, workflow.use, folder)
            if asked.wanted.is_function:
                task, _ = check.load_function(text, asked.wanted.uri, plain, allowed=self._allowed)
                needed = resources.wanted(task, workflow.use)
                open_.extend(_Asked(each, asked.depth + 1, asked.wanted.uri) for each in needed)
        return texts

    async def _text(self, asked: _Asked, use: doc.Use, folder: Path) -> str:
        uri = asked.wanted.uri
        if uri.startswith(_FILE):
            raw = await asyncio.to_thread(_read, asked, folder)
        else:
            raw = await self._download(asked.wanted, use)
        if len(raw) > _LARGEST_BYTES:
            raise errors.Invalid(f"{asked.wanted.thing}, {uri}, has more than {_LARGEST_BYTES} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise errors.Invalid(f"{asked.wanted.thing}, {uri}, is no UTF-8 text") from error

    async def _download(self, wanted: Wanted, use: doc.Use) -> bytes:
        answer = await http.fetch(wanted.uri, await self._credentials(wanted, use), self._client)
        if not isinstance(answer, Failed):
            return answer.body
        message = f"{wanted.thing} cannot be fetched: {answer.fault.detail}"
        is_away = answer.fault.type in (fault.COMMUNICATION, fault.TIMEOUT) and answer.fault.status in (408, 500, 503)
        raise errors.Environment(message) if is_away else errors.Invalid(message)

    async def _credentials(self, wanted: Wanted, use: doc.Use) -> Credentials | None:
        """Give the credentials for a resource; before a run begins there is no data, so they see secrets only.

        Without data there is nothing for a text outside of `${ }` to read, whatever the mode.
        """
        made = calling.credentials(wanted.authentication, use, Reader("strict"))
        if made is None:
            return None
        arguments: Mapping[str, Json] = {}
        if "secrets" in made.arguments:
            arguments = {"secrets": await self._secrets.values(use.secrets if made.secrets is None else made.secrets)}
        try:
            return msgspec.convert(made.evaluate(Evaluation(), None, arguments), Credentials)
        except (errors.ExpressionError, Pending, msgspec.ValidationError) as error:
            text = (
                f"the authentication for {wanted.thing}, {wanted.uri}, may read nothing but $secrets, and that simply"
            )
            raise errors.Invalid(text) from error


def _check_amount(asked: _Asked, count: int) -> None:
    if count >= _MOST:
        raise errors.Invalid(f"the definition needs more than {_MOST} resources; {asked.wanted.uri} is one too many")
    if asked.depth > _DEEPEST:
        raise errors.Invalid(
            f"functions that call functions more than {_DEEPEST} deep: {asked.by} calls {asked.wanted.uri}"
        )
    if asked.wanted.uri.startswith(_FILE) and asked.by and not asked.by.startswith(_FILE):
        raise errors.Invalid(f"{asked.by} asks for {asked.wanted.uri}, and what was fetched may not read files here")


def _read(asked: _Asked, folder: Path) -> bytes:
    """Read a file of the folder. Raises Invalid for one that is elsewhere, links included, or not there."""
    uri = asked.wanted.uri
    place = (folder / uri.removeprefix(_FILE).removeprefix("//")).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise errors.Invalid(
            f"{uri} is outside of the folder {folder}; resources lie in the folder that a run starts in"
        )
    try:
        with place.open("rb") as stream:
            return stream.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise errors.Invalid(f"{asked.wanted.thing} cannot be read from {place}: {error.strerror}") from error
