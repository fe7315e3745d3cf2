"""Connections to Postgres: opened with the timeouts that every process needs, and what their errors mean."""

import asyncio
import select
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from footnote import deadline
from footnote.database.admission import AdmissionQueue
from footnote.database.driver import settings_of
from footnote.database.liveness import PROBE_SECONDS
from footnote.errors import Busy, DatabaseUnavailable, DatabaseUnfit, Invalid
from footnote.settings import Settings

if TYPE_CHECKING:
    import asyncpg

    from footnote.database.opening import OpeningConnection

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 30.0  # after which a connection that nothing uses is ended: it takes 4 to 20 MiB
PROMPT_CONNECT_SECONDS = 2.0  # where people wait
PROMPT_STATEMENT_SECONDS = (
    600.0  # there the request's deadline ends it, and a server that is silent (`footnote.database.liveness`)
)


# Known to libpq and without a counterpart in asyncpg, which would send them to the server as settings.
_LIBPQ_ONLY = {"channel_binding", "connect_timeout", "gssencmode", "keepalives", "sslcompression"}


def database_dsn(url: str) -> str:
    """DATABASE_URL as asyncpg takes it: what libpq takes, with SQLAlchemy's scheme allowed too."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgres", "postgresql", "postgresql+asyncpg") or not separator:
        raise Invalid("bad_setting", f"DATABASE_URL must start with postgresql://, not {scheme}://")
    where, _, options = rest.partition("?")
    kept = [pair for pair in options.split("&") if pair and pair.partition("=")[0] not in _LIBPQ_ONLY]
    return f"postgresql://{where}" + ("?" + "&".join(kept) if kept else "")


# Of each connection; PgBouncer passes them on by itself.
_OF_CONNECTIONS = {
    "application_name": "footnote",
    "timezone": "UTC",
    "standard_conforming_strings": "on",  # `driver.settings_of` writes values so
}
# Of a session that belongs to one connection.
_OF_SESSIONS = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
_SHARED = (
    "{name} is the address of a pooler that gives a Postgres session to a client for one transaction only. "
    "Set DATABASE_DIRECT_URL to the address of Postgres itself."
)
_REFUSED = "Correct user, password and database in DATABASE_URL."
_shared: dict[str, bool] = {}  # whether a pooler lends sessions, by address


def settings_of_transactions(settings: Settings) -> dict[str, str]:
    """Settings on which results and locks depend: a session's or, behind a pooler, each transaction's."""
    return {
        # A process that froze inside a transaction must not keep its locks longer than a lease.
        "idle_in_transaction_session_timeout": str(int(settings.lease_seconds * 1000)),
        # Without iterative scans a filtered vector search silently returns too few rows. They end here, before
        # their memory does (work_mem), and what is still missing is looked for without the index.
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.ef_search": "100",
        "hnsw.max_scan_tuples": "20000",
        # A plan made without the values is far from right where tenants, collections and filters differ in size.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",  # statements have branches that are costly on paper and never taken
    }


async def connect(
    settings: Settings, *, shared: bool = False, seconds: float = CONNECT_SECONDS, **options: Any
) -> "OpeningConnection":
    """A connection past any pooler, for LISTEN and for locks that outlive a transaction.

    `shared`: or through the pooler, if there is no way past it; then it is not `alone`. Raises DatabaseUnavailable; and
    Invalid where it would be shared and may not be.
    """
    connection = await _connect(settings, _past_the_pooler(settings), seconds, **options)
    if connection.alone or shared:
        return connection
    connection.terminate()
    name = "DATABASE_DIRECT_URL" if settings.database_direct_url else "DATABASE_URL"
    raise Invalid("bad_setting", _SHARED.format(name=name))


async def connect_for_pool(
    settings: Settings, *, seconds: float = CONNECT_SECONDS, **options: Any
) -> "OpeningConnection":
    """A connection for transactions, perhaps through a pooler. Raises DatabaseUnavailable."""
    return await _connect(settings, settings.database_url, seconds, **options)


def is_polling(settings: Settings) -> bool:
    """Whether Postgres cannot notify processes of anything, as far as this one knows."""
    return _shared.get(_past_the_pooler(settings) or "", False)


def _past_the_pooler(settings: Settings) -> str | None:
    return settings.database_direct_url or settings.database_url


async def _connect(
    settings: Settings, url: str | None, seconds: float, *, statement_seconds: float = 60.0, **options: str
) -> "OpeningConnection":
    """`options`: further settings of Postgres."""
    import asyncpg

    if not url:
        raise Invalid("bad_setting", "DATABASE_URL is not set; `footnote up` sets it for what it starts.")
    seconds = deadline.left(seconds)
    opening = partial(_open, database_dsn(url), seconds, statement_seconds)
    try:
        async with asyncio.timeout(seconds):
            connection = await opening()
            try:
                await _settle(connection, url, opening, settings_of_transactions(settings) | options)
            except BaseException:
                connection.terminate()
                raise
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        raise DatabaseUnavailable from error
    except asyncpg.PostgresConnectionError as error:  # a pooler's that has no session to lend
        raise DatabaseUnavailable from error
    return connection


async def _open(dsn: str, seconds: float, statement_seconds: float) -> "OpeningConnection":
    import asyncpg

    from footnote.database.opening import OpeningConnection

    refusals = asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError
    try:
        connection: OpeningConnection = await asyncpg.connect(
            dsn,
            timeout=seconds,
            command_timeout=statement_seconds,
            server_settings=_OF_CONNECTIONS,
            connection_class=OpeningConnection,
        )
    except (*refusals, asyncpg.ClientConfigurationError, OverflowError) as error:  # the last: a port that is none
        raise DatabaseUnfit(_REFUSED, f"Postgres refuses the connection: {error}.") from error
    return connection


async def _settle(
    connection: "OpeningConnection",
    url: str,
    opening: "Callable[[], Awaitable[OpeningConnection]]",
    wanted: dict[str, str],
) -> None:
    """Gives the settings to the session if it is the connection's own, and otherwise to each transaction."""
    from footnote.database import pooler

    of_session = f"SELECT {settings_of(wanted | _OF_SESSIONS, local=False)}"
    if not _shared.get(url):
        # What a pooler calls the number of the session is none. But others may do so and still lend it permanently.
        own = f"{of_session} WHERE pg_backend_pid() = {connection.get_server_pid()}"
        connection.alone = await connection.execute(own) == "SELECT 1"
        if connection.alone:
            return
    connection.settings = wanted
    if url not in _shared:
        shared = await pooler.is_shared(opening)
        if shared:
            await pooler.check(connection, wanted | _OF_CONNECTIONS)
        _shared[url] = shared
    if not _shared[url]:
        await connection.execute(of_session)
        connection.alone, connection.settings = True, {}


def open_engine(
    settings: Settings,
    *,
    pool_size: int,
    patience: float = 30.0,
    connecting: "Callable[..., Awaitable[OpeningConnection]] | None" = None,
) -> AsyncEngine:
    """`patience` in seconds: how long to wait for a connection of the pool or a lock; 20 times that for a statement."""
    limits = {"lock_timeout": str(int(patience * 1000)), "idle_session_timeout": str(int(IDLE_SECONDS * 1000))}
    options: dict[str, Any] = {"statement_seconds": 20 * patience, **limits}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: (connecting or connect_for_pool)(settings, **options),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=patience,
        pool_use_lifo=True,  # so that the others are idle
        hide_parameters=True,  # document texts and secrets do not belong into logs
    )
    event.listen(engine.sync_engine, "checkout", _check_open)
    return engine


def connecting_promptly(queue: AdmissionQueue) -> "Callable[..., Awaitable[OpeningConnection]]":
    """Connects where people wait: if one attempt is not answered, all that wait in the queue are refused."""

    promptly = {"seconds": PROMPT_CONNECT_SECONDS, "statement_seconds": PROMPT_STATEMENT_SECONDS}

    async def connecting(settings: Settings, **options: Any) -> "OpeningConnection":
        try:
            return await connect_for_pool(settings, **options | promptly)
        except DatabaseUnavailable as away:
            if isinstance(away.__cause__, OSError | TimeoutError):
                queue.reject_all()
                deadline.spend()
            raise

    return connecting


async def answers(settings: Settings) -> bool:
    """Whether Postgres answers on a new connection; a pooler may do so while Postgres is unavailable."""
    import asyncpg

    try:
        async with asyncio.timeout(PROBE_SECONDS):
            (await connect_for_pool(settings, seconds=PROBE_SECONDS)).terminate()
            connection = await connect(settings, seconds=PROBE_SECONDS, shared=True)
            try:
                await connection.execute("SELECT")
            finally:
                connection.terminate()
    except (DatabaseUnavailable, TimeoutError) as away:
        busy = asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError
        refusing = asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError
        return isinstance(away.__cause__, (*busy, *refusing))
    except asyncpg.PostgresError:
        return True
    return True


def _check_open(connection: Any, *_: Any) -> None:
    """Replaces a connection that Postgres has closed. To ask (pool_pre_ping) would be three round trips each time.

    The event loop of a worker that had nothing to do has not noticed yet: on an idle connection, nothing but its end
    can be read.
    """
    if connection.driver_connection.is_closed() or _says_something(connection.driver_connection):
        connection.driver_connection.terminate()
        raise DisconnectionError


def _says_something(connection: "asyncpg.Connection[Any]") -> bool:
    looking = select.poll()
    looking.register(connection._transport.get_extra_info("socket"), select.POLLIN)
    return bool(looking.poll(0))


def database_unavailable(error: BaseException) -> bool:
    """Whether an error says that Postgres is unreachable, restarting or overloaded.

    By SQLSTATE: class 08 connection, 53 resources, 57P shutdown and start-up. asyncpg's bare TimeoutError is a
    statement that took longer than it may. The error is SQLAlchemy's, or the driver's own.
    """
    if isinstance(error, DatabaseUnavailable | ConnectionError | TimeoutError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # asyncpg's words for a connection that was cut while it waited for an answer.
    words = str(_original(error)) if _is_of_the_driver(error) else ""
    cut = "cannot switch to state" in words or "connection was closed" in words or "connection is closed" in words
    return cut or _state(error).startswith(("08", "53", "57P"))


def busy(error: BaseException) -> bool:
    """Whether Postgres rolled the work back for others' sake: class 40 deadlock and serialization, 55P03 a lock."""
    return isinstance(error, Busy) or _state(error).startswith(("40", "55P03"))


def _original(error: BaseException) -> Any:
    return error.orig if isinstance(error, DBAPIError) else error


def _is_of_the_driver(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) or type(error).__module__.startswith("asyncpg.")


def _state(error: BaseException) -> str:
    return (getattr(_original(error), "sqlstate", None) or "") if _is_of_the_driver(error) else ""


def tenant_deleted(error: BaseException) -> bool:
    """By the name that foreign keys to the tenant have. SQLSTATE 23503: a foreign key is violated."""
    return _state(error) == "23503" and "_tenant_id_tenant" in str(_original(error))
