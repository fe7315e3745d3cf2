"""The composition root: everything a process needs, opened once, closed once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from footnote.errors import Invalid
from footnote.providers import Embedder, Generator, open_embedder, open_generator
from footnote.settings import Settings
from footnote.storage import Store, open_store


@dataclass(frozen=True)
class Runtime:
    """What `open_runtime` opened. Functions of the domain take it as `rt`."""

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    store: Store
    embedder: Embedder
    generator: Generator

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed when the block ends, rolled back when it raises.

        Never held across a call to a provider, a store or a webhook.
        """
        async with self.sessions() as session, session.begin():
            yield session


def database_away(error: BaseException) -> bool:
    """Whether Postgres is unreachable, restarting or overloaded, so that the same work may succeed later.

    By SQLSTATE: class 08 connection, 53 resources, 57P shutdown and start-up, 40 deadlock and serialization.
    """
    if isinstance(error, OSError | TimeoutError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(("08", "53", "57P", "40"))


def database_url(url: str) -> str:
    """`url` for SQLAlchemy's asyncpg dialect; takes what libpq takes, `?host=/socket/dir` included."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql", "postgresql+asyncpg"):
        raise Invalid("bad_setting", f"DATABASE_URL must start with postgresql://, not {parts.scheme}://")
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != "sslmode"]
    ssl = dict(parse_qsl(parts.query)).get("sslmode")
    if ssl:
        query.append(("ssl", ssl))
    # Not urlunsplit: it drops the slashes of a URL without a host.
    return f"postgresql+asyncpg://{parts.netloc}{parts.path}?{urlencode(query)}"


def open_engine(settings: Settings, *, pool_size: int) -> AsyncEngine:
    if not settings.database_url:
        raise Invalid("bad_setting", "DATABASE_URL is not set; `footnote up` sets it for what it starts.")
    return create_async_engine(
        database_url(settings.database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 60,
            "server_settings": {
                "application_name": "footnote",
                "timezone": "UTC",
                # Without iterative scans a filtered vector search silently returns too few rows.
                "hnsw.iterative_scan": "relaxed_order",
                "hnsw.ef_search": "100",
            },
        },
    )


@asynccontextmanager
async def open_runtime(settings: Settings, *, pool_size: int = 10) -> AsyncIterator[Runtime]:
    """Everything opened lazily: this succeeds while Postgres, the store and the providers are away."""
    engine = open_engine(settings, pool_size=pool_size)
    runtime = Runtime(
        settings=settings,
        sessions=async_sessionmaker(engine, expire_on_commit=False),
        store=open_store(settings.storage_location),
        embedder=open_embedder(settings),
        generator=open_generator(settings),
    )
    try:
        yield runtime
    finally:
        await runtime.embedder.close()
        await runtime.generator.close()
        await engine.dispose()
