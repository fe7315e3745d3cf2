"""Poolers that lend a session of Postgres for the length of a transaction: recognised, and refused if unfit.

A session of Postgres knows the statements that were prepared in it. A pooler that lends another one for each
transaction has to prepare them there again, as PgBouncer does since 1.21.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex
from typing import TYPE_CHECKING

import asyncpg

from footnote.errors import DatabaseUnfit

if TYPE_CHECKING:
    from footnote.database.opening import OpeningConnection

ROUNDS = 3  # in which statements of a connection may come to the same session by chance
ANSWER_SECONDS = 1.0  # longer, and a transaction has the only session

_UNFIT = (
    "DATABASE_URL leads to a pooler that {does}. Use PgBouncer 1.21 or newer with `pool_mode = transaction` and "
    "`max_prepared_statements = 200`, or set DATABASE_URL to the address of Postgres itself (docs/scaling.md)."
)
# Settings that a transaction has, and others than it should.
_DIFFERENCES = """
    SELECT name FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
    WHERE current_setting(name, true) IS DISTINCT FROM set_config(name, value, true)
"""


async def is_shared(connecting: Callable[[], Awaitable["OpeningConnection"]]) -> bool:
    """Whether statements of one connection run in other sessions while another connection has a transaction."""
    connection, other = await connecting(), await connecting()
    try:
        return any([await _wanders(connection, other) for _ in range(ROUNDS)])
    except TimeoutError:
        return True
    except asyncpg.PostgresConnectionError as error:
        if not _refuses_transactions(error):
            raise
        return True
    finally:
        connection.terminate()
        other.terminate()


async def _wanders(connection: "OpeningConnection", other: "OpeningConnection") -> bool:
    mark = token_hex(8)
    here = f"SELECT WHERE current_setting('footnote.session', true) = '{mark}'"
    async with asyncio.timeout(ANSWER_SECONDS):
        await connection.execute(f"SELECT set_config('footnote.session', '{mark}', false)")
        stayed = await connection.execute(here) == "SELECT 1"  # poolers that take turns
        await other.execute("BEGIN")  # poolers that lend the session that came back last
        stayed = await connection.execute(here) == "SELECT 1" and stayed
        await other.execute("ROLLBACK")
    return not stayed


def _refuses_transactions(error: asyncpg.PostgresConnectionError) -> bool:
    """Whether a session is lent for a statement only."""
    return "pooling mode" in str(error)


async def check(connection: "OpeningConnection", wanted: Mapping[str, str]) -> None:
    """Raises DatabaseUnfit: the pooler loses prepared statements, or a transaction has not the settings `wanted`."""
    name = f"footnote_{token_hex(8)}"
    try:
        async with connection.transaction():
            prepared = await connection.prepare("SELECT name FROM pg_prepared_statements", name=name)
            if any(row["name"] == name for row in await prepared.fetch()):
                await connection.execute(f"DEALLOCATE {name}")  # the session is not ours
                raise DatabaseUnfit(_UNFIT.format(does="does not pass prepared statements from session to session"))
            different = await connection.fetch(_DIFFERENCES, list(wanted), list(wanted.values()))
    except asyncpg.PostgresConnectionError as error:
        if not _refuses_transactions(error):
            raise
        raise DatabaseUnfit(_UNFIT.format(does="allows no transactions")) from error
    if different:
        names = ", ".join(f"`{row['name']}`" for row in different)
        raise DatabaseUnfit(_UNFIT.format(does=f"does not pass these settings on: {names}"))
