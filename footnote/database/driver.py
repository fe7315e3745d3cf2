"""The driver under a session, for the statements that run for each document or request.

A statement costs a fifth to a tenth of the processor time that it costs through SQLAlchemy; asyncpg prepares it once a
connection. It is written by hand, with `$1` for the first value, so a test must run it against the real schema.
"""

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession

if TYPE_CHECKING:
    from asyncpg import Connection


async def driver(session: AsyncSession) -> "Connection[Any]":
    """The session's own connection, within its transaction, which it begins if no statement has.

    What the session has not flushed is not seen by its statements. Do not begin a transaction on it, nor use it after
    the session's block. Its errors become those of `Runtime.transaction`.
    """
    adapted: Any = (await (await session.connection()).get_raw_connection()).dbapi_connection
    if adapted._transaction is None:  # SQLAlchemy begins with its first own statement
        await adapted._start_transaction()
    return cast("Connection[Any]", adapted.driver_connection)


async def planning_once(session: AsyncSession) -> "Connection[Any]":
    """As `driver`; from here to the transaction's end, a statement is planned once a connection, whatever its values.

    For statements that find rows by their keys: to plan them takes longer than to run them. Postgres plans them again
    when the statistics of their tables change.
    """
    connection = await driver(session)
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    return connection
