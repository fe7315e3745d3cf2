"""The composition root: everything a process needs, opened once, closed once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Executable, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from footnote import deadline
from footnote.database.admission import Line, Lines
from footnote.database.liveness import PROBE_SECONDS, Pulse
from footnote.database.redis_client import REDIS_SECONDS, Shared
from footnote.errors import Busy, DatabaseAway, Invalid, TenantDeleted
from footnote.outbound.oidc_keys import Issuer
from footnote.providers import Embedder, Generator, Reranker, open_embedder, open_generators, open_reranker
from footnote.providers.guarded import Embedders, guard_embedder, guard_generators, guard_reranker
from footnote.settings import Settings
from footnote.storage import Store, open_store
from footnote.telemetry import log

if TYPE_CHECKING:
    import asyncpg
    from redis.asyncio import Redis

Done = TypeVar("Done")

BUSY_SECONDS = 30.0  # for which work that meets locks of others is tried again
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # between two tries
CONNECT_SECONDS = 5.0
PROMPT_CONNECT_SECONDS = 2.0  # where people wait
PROMPT_STATEMENT_SECONDS = (
    600.0  # there the request's deadline ends it, and a server that is silent (`footnote.database.liveness`)
)

# Until the transaction ends. The views of tenants (`chunk_of_tenant`, ...) go by the tenant without the role, too; the
# audit log takes down who acts, and for which request.
_ACT_FOR = text(
    "SELECT set_config('footnote.tenant', :tenant, true), set_config('footnote.actor', :actor, true), "
    "set_config('footnote.request', :request, true), set_config('role', :role, true)"
)


@dataclass(frozen=True)
class Runtime:
    """What `open_runtime` opened. Functions of the domain take it as `rt`."""

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    redis: "Redis | None"  # None only where no REDIS_URL is needed
    store: Store
    embedder: Embedder  # the configured one
    others: Embedders  # of collections that have another model
    generator: Generator
    reranker: Reranker | None = None
    issuer: Issuer | None = None  # of people's tokens
    shared: Shared = field(default_factory=lambda: Shared(None))  # scripts on Redis
    line: Line = field(default_factory=lambda: Line(1, 30.0))  # before the connections to Postgres
    lines: Lines = field(default_factory=lambda: Lines(BUSY_SECONDS))  # before locks that many may want
    pulse: Pulse | None = None  # of Postgres, where people wait for it
    in_flight: Counter[str] = field(default_factory=Counter)  # requests that are being answered, by tenant
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # set when the process should end soon
    tenant_id: str | None = None  # for whom it acts; None: for the operator, who sees all tenants
    actor: str = ""  # whose deeds these are: a key's id, "operator"; empty: the system's own
    request_id: str = ""

    def of(self, tenant_id: str) -> "Runtime":
        """The same, acting for the tenant: Postgres hides all rows of others from it (row-level security)."""
        return self if tenant_id == self.tenant_id else replace(self, tenant_id=tenant_id)

    def by(self, actor: str, request_id: str = "") -> "Runtime":
        """The same, at somebody's request: so the audit log has it."""
        return replace(self, actor=actor, request_id=request_id)

    @property
    def operator(self) -> "Runtime":
        """The same, seeing all tenants: for what is nobody's, or is about many."""
        return replace(self, tenant_id=None)

    def embedder_of(self, provider: str, model: str, dimensions: int | None = None) -> Embedder:
        """`dimensions`: the length that it asks for, 0 for none; by default as configured, if the model is.

        Raises Invalid or ProviderRejected: there is none.
        """
        as_configured = dimensions in (None, self.settings.embedding_dimensions or 0)
        if (provider, model) == (self.embedder.provider, self.embedder.model) and as_configured:
            return self.embedder
        return self.others[(provider, model, dimensions) if dimensions else (provider, model)]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed when the block ends, rolled back when it raises.

        Never held across a call to a provider, a store or a webhook. Raises DatabaseAway, also when the request's time
        is over; Busy; and TenantDeleted where that is why something cannot be written.
        """
        listening = self.pulse.listening() if self.pulse else nullcontext()
        try:
            async with (
                deadline.limited(),
                listening,
                self.line.place(),
                self.sessions() as session,
                session.begin(),
            ):
                if self.tenant_id is not None or self.actor:
                    role = self.settings.tenant_role if self.tenant_id is not None else ""
                    acting = {"tenant": self.tenant_id or "", "role": role or "none"}
                    said = {"actor": self.actor, "request": self.request_id}
                    await session.execute(_ACT_FOR, acting | said)
                yield session
        except Exception as error:
            if busy(error):
                raise Busy from error
            if database_away(error):
                log.warning("database away", error=f"{type(error).__name__}: {error}"[:300])
                if isinstance(error, TimeoutError) or (self.pulse and self.pulse.silent):
                    deadline.spend()
                raise DatabaseAway from error
            if _tenant_deleted(error):
                raise TenantDeleted from error
            raise

    @asynccontextmanager
    async def alone(self, *name: str, places: int = 1) -> AsyncIterator[None]:
        """Before a transaction that wants a lock: of its tenant's with that name, one goes on (or so many).

        The others wait without a connection, of which a crowd would leave none. Raises Busy if nothing moves.
        """
        entered = False
        try:
            async with self.lines.place("\n".join((self.tenant_id or "", *name)), places):
                entered = True
                yield
        except TimeoutError as error:
            if entered:
                raise
            raise Busy from error

    async def again_while_busy(self, work: Callable[[], Awaitable[Done]]) -> Done:
        """What the work answers; it is done again where a transaction of it was rolled back for others. Raises Busy."""
        clock = asyncio.get_running_loop().time
        end, pause = clock() + deadline.left(BUSY_SECONDS), SHORTEST_PAUSE
        while True:
            try:
                return await work()
            except Busy:
                if clock() + pause > end:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreading, not secrecy
            pause = min(2 * pause, LONGEST_PAUSE)

    async def execute(self, statement: Executable) -> None:
        """One statement in a transaction of its own. Raises DatabaseAway."""
        async with self.transaction() as session:
            await session.execute(statement)

    @asynccontextmanager
    async def repeating(self, statement: Executable, seconds: float) -> AsyncIterator[None]:
        """Executes the statement every so many seconds while the block runs: what is held is held on to."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                with suppress(DatabaseAway):
                    await self.execute(statement)

        repeated = asyncio.create_task(repeat())
        try:
            yield
        finally:
            repeated.cancel()
            await asyncio.wait({repeated})  # which, unlike awaiting it, tells its cancellation from ours


def database_away(error: BaseException) -> bool:
    """Whether an error says that Postgres is unreachable, restarting or overloaded.

    By SQLSTATE: class 08 connection, 53 resources, 57P shutdown and start-up. asyncpg's bare TimeoutError is a
    statement that took longer than it may.
    """
    if isinstance(error, DatabaseAway | ConnectionError | TimeoutError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # asyncpg's words for a connection that was cut while it waited for an answer.
    cut = "cannot switch to state" in str(error.orig) or "connection was closed" in str(error.orig)
    return cut or error.connection_invalidated or _state(error).startswith(("08", "53", "57P"))


def busy(error: BaseException) -> bool:
    """Whether Postgres rolled the work back for others' sake: class 40 deadlock and serialization, 55P03 a lock."""
    return isinstance(error, Busy) or (isinstance(error, DBAPIError) and _state(error).startswith(("40", "55P03")))


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _tenant_deleted(error: BaseException) -> bool:
    """By the name that foreign keys to the tenant have."""
    return isinstance(error, IntegrityError) and "_tenant_id_tenant" in str(error.orig)


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


async def connect(
    settings: Settings, *, seconds: float = CONNECT_SECONDS, statement_seconds: float = 60.0, **options: Any
) -> "asyncpg.Connection[Any]":
    """A bare connection, with the timeouts that every process of ours needs. Raises DatabaseAway."""
    import asyncpg

    if not settings.database_url:
        raise Invalid("bad_setting", "DATABASE_URL is not set; `footnote up` sets it for what it starts.")
    server_settings = {
        "application_name": "footnote",
        "timezone": "UTC",
        # A process that froze inside a transaction must not keep its locks longer than a lease.
        "idle_in_transaction_session_timeout": str(int(settings.lease_seconds * 1000)),
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        # Without iterative scans a filtered vector search silently returns too few rows. They end here, before
        # their memory does (work_mem), and what is still missing is looked for without the index.
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.ef_search": "100",
        "hnsw.max_scan_tuples": "20000",
        # A plan made without the values is far from right where tenants, collections and filters differ in size.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",  # statements have branches that are costly on paper and never taken
        **options,
    }
    dsn = database_dsn(settings.database_url)
    try:
        return await asyncpg.connect(
            dsn,
            timeout=deadline.left(seconds),
            command_timeout=statement_seconds,
            server_settings=server_settings,
        )
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        raise DatabaseAway from error


def open_engine(
    settings: Settings,
    *,
    pool_size: int,
    patience: float = 30.0,
    connecting: "Callable[..., Awaitable[asyncpg.Connection[Any]]]" = connect,
) -> AsyncEngine:
    """`patience` in seconds: how long to wait for a connection of the pool or a lock; 20 times that for a statement."""
    options = {"lock_timeout": str(int(patience * 1000))}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connecting(settings, statement_seconds=20 * patience, **options),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,  # document texts and secrets do not belong into logs
    )
    event.listen(engine.sync_engine, "checkout", _check_open)
    return engine


def _promptly(line: Line) -> "Callable[..., Awaitable[asyncpg.Connection[Any]]]":
    """Connects where people wait: one attempt that is not answered stands for all that wait in the line."""

    promptly = {"seconds": PROMPT_CONNECT_SECONDS, "statement_seconds": PROMPT_STATEMENT_SECONDS}

    async def connecting(settings: Settings, **options: Any) -> "asyncpg.Connection[Any]":
        try:
            return await connect(settings, **options | promptly)
        except DatabaseAway as away:
            if isinstance(away.__cause__, OSError | TimeoutError):
                line.turn_away()
                deadline.spend()
            raise

    return connecting


async def _answers(settings: Settings) -> bool:
    """Whether Postgres answers a connection of its own, with whatever."""
    import asyncpg

    try:
        async with asyncio.timeout(PROBE_SECONDS):
            connection = await connect(settings, seconds=PROBE_SECONDS)
    except (DatabaseAway, TimeoutError) as away:
        return isinstance(away.__cause__, asyncpg.PostgresError)
    except asyncpg.PostgresError:
        return True
    connection.terminate()
    return True


def _check_open(connection: Any, *_: Any) -> None:
    """Replaces a connection that Postgres has closed. To ask (pool_pre_ping) would be three round trips each time."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def open_redis(settings: Settings) -> "Redis | None":
    """Connects at first use. What asks it must get on without: it answers soon, or counts as away."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as ConnectionLost

    if not settings.redis_url:
        return None
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 1, (ConnectionLost,)),  # a connection of the pool that a restart has cut
    )


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, pool_size: int = 10, patience: float = 30.0, interactive: bool = False
) -> AsyncIterator[Runtime]:
    """Everything opened lazily: this succeeds while Postgres, Redis, the store and the providers are away.

    `interactive`: somebody waits for what is asked of the providers.
    """
    line = Line(pool_size, patience)
    if interactive:
        engine = open_engine(settings, pool_size=pool_size, patience=patience, connecting=_promptly(line))
        pulse = Pulse(engine, partial(_answers, settings), line.turn_away)
    else:
        engine, pulse = open_engine(settings, pool_size=pool_size, patience=patience), None
    redis = open_redis(settings)
    shared = Shared(redis)
    runtime = Runtime(
        settings=settings,
        sessions=async_sessionmaker(engine, expire_on_commit=False),
        line=line,
        pulse=pulse,
        redis=redis,
        shared=shared,
        store=open_store(settings.storage_location, settings.s3_public_endpoint_url),
        embedder=guard_embedder(open_embedder(settings), shared, settings, interactive=interactive),
        others=Embedders(settings, shared, interactive=interactive),
        generator=guard_generators(open_generators(settings), shared, settings, interactive=interactive),
        reranker=guard_reranker(open_reranker(settings), shared, settings),
        issuer=Issuer(settings.oidc_issuer) if settings.oidc_issuer else None,
    )
    async with AsyncExitStack() as closing:  # each of them, whichever fails to close
        closing.push_async_callback(engine.dispose)
        if pulse is not None:
            closing.push_async_callback(pulse.close)
        if redis is not None:
            closing.push_async_callback(redis.aclose)
        for opened in (runtime.issuer, runtime.reranker, runtime.generator, runtime.others, runtime.embedder):
            if opened is not None:
                closing.push_async_callback(opened.close)
        yield runtime
