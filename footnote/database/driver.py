"""The driver under a session, for the statements that run for each document or request.

A statement costs a fifth to a tenth of the processor time that it costs through SQLAlchemy; asyncpg prepares it once a
connection. It is written by hand, with `$1` for the first value, so a test must run it against the real schema.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session
from sqlalchemy.util.concurrency import greenlet_spawn

if TYPE_CHECKING:
    from asyncpg import Connection


STOP_SECONDS = 1.0  # for a request to Postgres to cancel a statement
# Connections on their way back to the pool; their callers may have stopped waiting.
_ending: set["asyncio.Task[None]"] = set()
# Settings of a transaction whose statements are planned once a connection: to plan what finds rows by keys takes longer
# than to run it. A plan may be made while the tables are small, or for a tenant with less: the plan that is right for
# many rows looks each of them up by an index.
PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def driver(session: AsyncSession) -> "Connection[Any]":
    """The session's own connection, within its transaction, which it begins if no statement has.

    What the session has not flushed is not seen by its statements. Do not begin a transaction on it, nor use it after
    the session's block. Its errors become those of `Runtime.transaction`.
    """
    adapted = await _adapted(session)
    if adapted._transaction is None:  # SQLAlchemy begins with its first own statement
        await _begin(adapted)
    return cast("Connection[Any]", adapted.driver_connection)


async def planning_once(session: AsyncSession) -> "Connection[Any]":
    """As `driver`; from here to the transaction's end, a statement is planned once a connection, whatever its values.

    For statements that find rows by their keys: to plan them takes longer than to run them. Postgres plans them again
    when the statistics of their tables change.
    """
    connection = await driver(session)
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    return connection


async def setting(session: AsyncSession, values: Mapping[str, str]) -> None:
    """Settings of the session's transaction until it ends. If it has not begun, they go with its BEGIN: one round trip.

    The values are our own, or those of callers who were checked. The isolation of a transaction that has begun stays.
    """
    adapted = await _adapted(session)
    connection = adapted.driver_connection
    settings = dict(values)
    isolation = settings.pop("transaction_isolation", None)
    if adapted._transaction is None:
        isolated = f"SET TRANSACTION ISOLATION LEVEL {isolation};" if isolation else ""
        connection.opening = f"{isolated}SELECT {settings_of(connection.settings | settings)};"
        await _begin(adapted)
    else:
        await connection.execute(f"SELECT {settings_of(settings)};")


def settings_of(values: Mapping[str, str], *, local: bool = True) -> str:
    """The columns of a statement that sets them, for the transaction or (not `local`) the session."""
    return ", ".join(f"set_config('{name}', {_literal(value)}, {local})" for name, value in values.items())


def _literal(value: str) -> str:
    """As Postgres reads it with `standard_conforming_strings`, which each connection has."""
    return "'" + value.replace("'", "''") + "'"


async def _adapted(session: AsyncSession) -> Any:
    """SQLAlchemy's object around the driver's connection, which is the session's as long as there is one."""
    if "adapted" not in session.info:
        session.info["adapted"] = await session.run_sync(lambda it: it.connection().connection.dbapi_connection)
    return session.info["adapted"]


async def _begin(adapted: Any) -> None:
    try:
        await adapted._start_transaction()
    except BaseException:
        adapted.driver_connection.terminate()  # it may have begun, which the pool does not know
        raise


@asynccontextmanager
async def transacting(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
    """A session whose work is committed when the block ends, and rolled back when it raises.

    It has a connection of the pool from the start. SQLAlchemy takes part in its transaction only once a statement of
    its own is executed: it changes stacks for each of its calls, which takes as long as a statement of the driver.
    """
    bind, session = sessions.kw["bind"], sessions()
    checked_out = None
    try:
        if isinstance(bind, AsyncEngine):
            checked_out = await bind.raw_connection()
            session.info["adapted"] = checked_out.dbapi_connection
            session.sync_session.bind = SyncConnection(bind.sync_engine, connection=checked_out)
        yield session
        await _commit(session)
    except BaseException as error:
        cut_off = isinstance(error, asyncio.CancelledError)
        await _to_its_end(_rolled_back(session, checked_out, cut_off=cut_off))
        raise
    if checked_out is not None:
        await greenlet_spawn(checked_out.close)  # with nothing to roll back, it waits for nothing


async def _to_its_end(ending: Coroutine[Any, Any, None]) -> None:
    """In a task of its own: who waits for it may be cancelled again and again."""
    task = asyncio.create_task(ending)
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    await asyncio.shield(task)


async def _rolled_back(session: AsyncSession, checked_out: Any, *, cut_off: bool) -> None:
    try:
        if cut_off:
            await _cut_off(session)
        await session.close()
    finally:
        if checked_out is not None:
            await greenlet_spawn(checked_out.close)


async def given_back() -> None:
    """Waits until what was cancelled has given its connections back, before their pool is closed."""
    loop = asyncio.get_running_loop()
    if pending := [each for each in _ending if each.get_loop() is loop]:
        await asyncio.wait(pending, timeout=2 * STOP_SECONDS)


async def _commit(session: AsyncSession) -> None:
    adapted = session.info.get("adapted")
    if adapted is None or session.in_transaction():
        await session.run_sync(_committed)
    elif (transaction := adapted._transaction) is not None:
        try:
            await transaction.commit()
        finally:
            adapted._transaction = None


def _committed(session: Session) -> None:
    """Commits and closes the session: SQLAlchemy changes stacks for each of its calls, which takes as long as they."""
    session.commit()
    session.close()


async def _cut_off(session: AsyncSession) -> None:
    """After the session's task was cancelled: a statement of the driver may still run, and would be waited for."""
    if (adapted := session.info.get("adapted")) is not None:
        await _ended(adapted.driver_connection)
        if session.in_transaction():
            await session.invalidate()
        adapted._transaction = None  # or the pool would roll it back


async def _ended(connection: "Connection[Any]") -> None:
    """Ends a connection whose statement may still run.

    The driver has begun to ask Postgres to stop it, and `terminate` takes that back. Postgres itself looks for a client
    that is gone only when it writes to it.
    """
    try:
        if asking := [each for each in connection._cancellations if not each.done()]:
            await asyncio.wait(asking, timeout=STOP_SECONDS)
    finally:
        connection.terminate()


def array(values: Iterable[Any]) -> str:
    """Numbers or ids as text that a statement casts to an array: the driver would look at each element of a list."""
    return "{" + ",".join("NULL" if each is None else str(each) for each in values) + "}"


# As in SQLAlchemy's `text`: not the second colon of `::`, nor `[:alpha:]`.
_NAMED = re.compile(r"(?<![:\w]):([a-z]\w*)\b(?!:)")
_CASTS = {bool: "::boolean", int: "::bigint", float: "::float8", str: "::text"}


class Written(float):
    """A number that is written into the statement, so that a plan for all values knows it. Only for a few values."""


def positional(statement: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A statement with names such as `:tenant` as the driver takes it, and its values: their types are given.

    The type of a list, or of None, is what the statement casts it to. What is `Written` is no value any more.
    """
    types = tuple(
        (name, _literal_number(value) if isinstance(value, Written) else _CASTS.get(type(value), ""))
        for name, value in values.items()
    )
    written, names = _written(statement, types)
    return written, [values[name] for name in names]


def _literal_number(value: float) -> str:
    return f"{int(value)}::bigint" if value.is_integer() else f"{value!r}::float8"


@lru_cache(maxsize=512)
def _written(statement: str, types: tuple[tuple[str, str], ...]) -> tuple[str, tuple[str, ...]]:
    casts, positions = dict(types), dict[str, int]()

    def parameter(found: re.Match[str]) -> str:
        name = found[1]
        if casts[name][:1].isdigit():
            return casts[name]
        return f"${positions.setdefault(name, len(positions) + 1)}{casts[name]}"

    return _NAMED.sub(parameter, statement), tuple(positions)


@asynccontextmanager
async def lent(bind: AsyncEngine | AsyncConnection) -> AsyncIterator["Connection[Any]"]:
    """A connection without a transaction: each statement is one of its own."""
    if isinstance(bind, AsyncConnection):
        yield cast("Connection[Any]", (await bind.get_raw_connection()).driver_connection)
        return
    checked_out = await bind.raw_connection()
    found = cast("Connection[Any]", checked_out.driver_connection)
    try:
        yield found
    except BaseException as error:
        await _to_its_end(_given_back(checked_out, cut_off=not isinstance(error, Exception)))
        raise
    await greenlet_spawn(checked_out.close)  # with nothing to roll back, it waits for nothing


async def _given_back(checked_out: Any, *, cut_off: bool) -> None:
    try:
        if cut_off:
            await _ended(checked_out.driver_connection)
    finally:
        await greenlet_spawn(checked_out.close)
