"""The secrets of a node: read in a thread, kept for a while, given to runs by the names that they declare."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from interlock import config, errors
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.task import Failed, FailureClass
from interlock.secrets import attempt, callback, key
from interlock.secrets import revealed as revealing
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.bound import Bound
from interlock.secrets.callback import Callback
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers
from interlock.secrets.revealed import Revealed
from interlock.secrets.sources import Sources
from interlock.service import Clock

_MISSING_SECONDS: Final = 5.0
"""How long a secret stays missing: a run with several steps asks once, and who just wrote it need not wait."""

T = TypeVar("T")


class Keeper:
    """Gives the secrets of runs.

    Values are read again after `secrets.cache`. The store key is read, or made, when a run first needs it.
    """

    def __init__(
        self,
        store_url: str,
        settings: config.Secrets,
        clock: Clock,
        environ: Mapping[str, str],
        public_url: str | None = None,
        socket: str = "",
    ) -> None:
        """`public_url`: where those who were given tokens find a server of this store; None: nobody has said that there is
        one, so that only those are sent there who will report later. `socket`: where programs of this machine find one."""
        self._clock = clock
        self._public_url = public_url or callback.PUBLIC_URL
        self._near_url = public_url or callback.BY_SOCKET
        self._socket = socket
        self.is_served: Final = public_url is not None or bool(socket)
        """Whether programs that run now can report over HTTP."""
        self._cache_seconds = settings.cache_seconds
        self._sources = Sources(settings, environ)
        self._make_ring: Callable[[], KeyRing] = lambda: key.ring(store_url, settings, environ)
        self._ring: KeyRing | None = None
        self._known: dict[str, tuple[float, Json | errors.NotFound]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def bound(self, run: str, names: tuple[str, ...]) -> Bound:
        """Give the secrets that a run declares. One that cannot be read is a problem of who uses it, not an error here.

        Without a store key none can be used.
        """
        try:
            markers = await self.markers(run)
        except errors.InterlockError as error:
            return Bound(Markers(KeyRing([secrets.token_hex()]), run), {}, dict.fromkeys(names, str(error)))
        found = {name: await self._value(name) for name in names}
        values = {name: value for name, value in found.items() if not isinstance(value, errors.NotFound)}
        problems = {name: str(value) for name, value in found.items() if isinstance(value, errors.NotFound)}
        return Bound(markers, values, problems)

    async def values(self, names: Iterable[str]) -> dict[str, Json]:
        """Give secrets by name, for what happens outside of runs. Raises NotFound for one that cannot be read."""
        values: dict[str, Json] = {}
        for name in names:
            value = await self._value(name)
            if isinstance(value, errors.NotFound):
                raise value
            values[name] = value
        return values

    async def revealed(self, run: str, thing: T) -> Revealed[T]:
        """Give the target of an effect with the values of its secrets.

        Only markers that a node of this store made for this run are read, which it does for what the run's definition
        declares. Raises NotFound for a secret, or a part of one, that is not there, Environment for an unreadable key.
        """
        if not revealing.may_hold(thing):
            return Revealed(thing, {})
        try:
            markers = await self.markers(run)
        except errors.Invalid:  # no key was ever configured: nobody can have made a marker, so this is text
            return Revealed(thing, {})
        names = {reference.name for reference in revealing.references(thing, markers)}
        return revealing.reveal(thing, markers, await self.values(sorted(names)))

    async def markers(self, run: str) -> Markers:
        """Give the markers of a run. Raises Invalid or Environment when there is no store key."""
        return Markers(await self._key(), run)

    async def token(self, namespace: str, token: str) -> str:
        """Give the text of a step token: `id.key.mac`, the same whenever it is asked for under the same key.

        Raises Invalid where no store key is configured, Environment where it cannot be read.
        """
        return f"{token}.{(await self._key()).sign('token', namespace, token)}"

    async def callback(self, namespace: str, token: str) -> Callback:
        """Give what an effect is given to hand on, for the token that its target names. Raises as `token`."""
        return callback.callback(await self.token(namespace, token), self._public_url)

    async def proven(self, namespace: str, text: str) -> str | None:
        """Give the id of a step token whose text is genuine, None for another, whatever it looks like; in constant time."""
        token, _, proof = text.partition(".")
        try:
            return token if (await self._key()).proves(proof, "token", namespace, token) else None
        except UnicodeEncodeError:  # half of a character, which no token has
            return None

    async def attempt_token(self, given: AttemptKey) -> str:
        """Give the text by which a program reports for its attempt. Raises as `token`."""
        return f"{given.id}.{(await self._key()).sign('attempt', given.id)}"

    async def proven_attempt(self, text: str) -> AttemptKey | None:
        """Give the attempt whose token a text is, None for another; in constant time."""
        given = attempt.key(text)
        proof = text.partition(".")[2]
        if given is None or not proof.isascii():
            return None
        return given if (await self._key()).proves(proof, "attempt", given.id) else None

    async def attempt(self, given: AttemptKey) -> Callback | None:
        """Give what a program is given to report with for its attempt; None where no server is known, or no store key."""
        if not self.is_served:
            return None
        try:
            return callback.callback(await self.attempt_token(given), self._near_url, self._socket)
        except errors.Invalid:  # without a key there are no tokens, and programs that need none go on as ever
            return None

    async def derived(self, purpose: str) -> bytes | None:
        """Give a key for one purpose, the same in all processes with the same store key; None where there is none."""
        try:
            return (await self._key()).sign("derived", purpose).encode()
        except errors.Invalid:
            return None

    async def ring(self) -> KeyRing:
        """Give the store key, read or made when it is first needed. Raises Invalid where none is configured, Environment."""
        return await self._key()

    async def _key(self) -> KeyRing:
        if self._ring is None:
            self._ring = await asyncio.to_thread(self._make_ring)
        return self._ring

    async def _value(self, name: str) -> Json | errors.NotFound:
        """Give a value that is fresh enough; those who want it at the same time read it once."""
        async with self._locks[name]:
            until, value = self._known.get(name, (0.0, None))
            now = self._clock.monotonic()
            if name not in self._known or until <= now:
                value = await asyncio.to_thread(self._read, name)
                is_missing = isinstance(value, errors.NotFound)
                seconds = min(_MISSING_SECONDS, self._cache_seconds) if is_missing else self._cache_seconds
                self._known[name] = (now + seconds, value)
            return value

    def _read(self, name: str) -> Json | errors.NotFound:
        try:
            return self._sources.read(name)
        except errors.NotFound as error:
            return error


def no_secret(detail: str) -> Failed:
    """Give the outcome of an effect whose secrets cannot be had (OWS 1.0.3: a missing secret is `authorization`)."""
    error = Fault(type=fault.AUTHORIZATION, status=403, title="Secret not available", detail=detail, code="no-secret")
    return Failed(FailureClass.INVALID, error)


def no_key(detail: str) -> Failed:
    """Give the outcome of an effect that was to go out with a token, which cannot be made without the store key."""
    error = Fault(type=fault.CONFIGURATION, status=500, title="Token not available", detail=detail, code="no-store-key")
    return Failed(FailureClass.INVALID, error)
