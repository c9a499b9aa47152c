"""The server that a URL names: how it is reached, and what stands between us and it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import asyncpg

from interlock import errors
from interlock.store.address import is_readable, masked, place
from interlock.store.sql.postgresql.failures import translated, understood

CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 30.0  # beyond any statement of ours; a server that is silent for so long is away
_OLDEST: Final = 14

# Statements are planned once per connection and search indexes whatever the statistics of a young table say: a plan that is
# made while a table is empty must be right when it is full. Compiling them costs more than running them.
_SETTINGS: Final = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class Connection(asyncpg.Connection):
    """A connection that is given back as it is: nothing of ours outlives a transaction, so there is nothing to reset."""

    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the store is. `pooled`: a pooler in transaction mode is between, so no state outlives a transaction."""

    url: str = field(repr=False)  # it may hold a password
    pooled: bool
    version: str
    relaxed: bool = False
    """The server answers before it has written (`synchronous_commit = off`), which our transactions must not accept."""

    @property
    def place(self) -> str:
        return place(self.url)

    @property
    def begin(self) -> str:
        """What begins a transaction; behind a pooler the settings come with it, else the connection has them."""
        return f"BEGIN; {self._set('SET LOCAL')}" if self.pooled else "BEGIN"

    def _set(self, command: str) -> str:
        settings = _SETTINGS | {"synchronous_commit": "on"} if self.relaxed else _SETTINGS
        return "; ".join(f"{command} {name} = {value}" for name, value in settings.items())

    async def prepare(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Give a connection the settings that our statements are planned with."""
        await connection.execute(self._set("SET"))

    async def connect(self) -> Connection:
        """Open a connection of its own, for the bell or renewals."""
        with translated(self.place):
            connection = await connect(self.url, pooled=self.pooled)
            try:
                if not self.pooled:
                    await self.prepare(connection)
            except BaseException:  # a caller that is cancelled here never learns of the connection
                connection.terminate()
                raise
            return connection

    async def pool(self, connections: int) -> asyncpg.Pool[asyncpg.Record]:
        """Give a pool that opens connections as they are needed."""
        with translated(self.place):
            return await asyncpg.create_pool(
                self.url,
                min_size=0,
                max_size=connections,
                max_inactive_connection_lifetime=0,
                connection_class=Connection,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                statement_cache_size=0 if self.pooled else 200,
                init=None if self.pooled else self.prepare,
            )


async def find(url: str) -> Server:
    """Look at a server. Raises StoreUnavailable; Invalid for a URL that is none, and a server older than Interlock needs."""
    check(url)
    with translated(place(url)):
        connection = await connect(url, pooled=True)
        try:
            async with connection.transaction():
                backend = await connection.fetchval("SELECT pg_backend_pid()")
                # Behind a pooler the server that answers is not the one that the connection was promised.
                pooled = backend != connection.get_server_pid()
                number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
                relaxed = await connection.fetchval("SELECT current_setting('synchronous_commit')") == "off"
                version = await connection.fetchval("SELECT current_setting('server_version')")
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    if number < _OLDEST * 10_000:
        raise errors.Invalid(
            f"the server at {place(url)} is PostgreSQL {version}; Interlock needs PostgreSQL {_OLDEST} or newer"
        )
    return Server(url, pooled, version, relaxed)


def check(url: str) -> None:
    """Raise Invalid for a URL that can be read in several ways."""
    if not is_readable(url):
        raise errors.Invalid(
            f"the store URL {masked(url)} cannot be read; in a password write %2F for /, %3F for ?, %23 for #, %40 for @"
        )


async def connect(url: str, *, pooled: bool) -> Connection:
    with understood(place(url)):
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            connection_class=Connection,
            statement_cache_size=0 if pooled else 200,
        )
