"""Real Postgres and Valkey for every test, started once; a savepoint around each test that needs no commit."""

import asyncio
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from xdist.scheduler import LoadFileScheduling

from api.app import create_app
from footnote.database.engine import connect_for_pool, open_engine
from footnote.database.redis_client import Shared, open_redis
from footnote.local_stack.postgres import running_postgres
from footnote.local_stack.valkey import running_valkey
from footnote.operations import bootstrap
from footnote.providers.guarded import Embedders
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.storage import open_store
from footnote.telemetry import configure_logging
from footnote.tenancy import keys, tenants
from tests import pgbouncer
from tests.fakes import FakeEmbedder, FakeGenerator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pgbouncer", action="store_true", help="reach Postgres through PgBouncer")


def pytest_configure() -> None:
    # Set, it makes each of the many processes that tests start compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Ignored, as by what a shell starts in the background, it is ignored by the processes that tests interrupt, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays: the garbage collector would look through all of it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Ends with the names of what failed: where CI is set, the lines before them are whole logs."""
    yield
    for outcome in ("failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            terminalreporter.write_line(f"{outcome}: {report.nodeid}")
    if any("no browser" in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line("The web page was not tested: `apt install chromium`.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for processes of their own go first: they take longest, and leave the processor to others."""
    stacks = {item.path for item in items if item.get_closest_marker("stack")}
    workers = {item.path for item in items if item.get_closest_marker("worker")}
    items.sort(key=lambda item: (item.path not in stacks, item.path not in workers))


class ByFileOrProduct(LoadFileScheduling):  # type: ignore[misc]
    """The files of the web page share one product and one browser, so they go to one process; others go by file."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/ui" if nodeid.startswith("tests/ui/") else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileOrProduct | None:
    return ByFileOrProduct(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def logging_as_in_production() -> None:
    configure_logging(Settings(_env_file=None, log_format="json", log_level="WARNING"))


@pytest.fixture(scope="session", autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests do not see the configuration that the command line stores for the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def patience_with_servers() -> Iterator[None]:
    """On a busy machine, an answer that takes seconds does not mean that Redis or Postgres is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("footnote.database.redis_client.REDIS_SECONDS", 10.0)
        patch.setattr("footnote.database.engine.PROMPT_CONNECT_SECONDS", 20.0)
        patch.setattr("footnote.database.engine.PROBE_SECONDS", 20.0)
        yield


IN_MEMORY = "/dev/shm"
IN_MEMORY_BYTES = 2 * 1024**3  # that must be free there: each process of the tests takes up to a quarter


def place_of_databases() -> str | None:
    """In memory, where there is room; None: where other temporary files are.

    A database is six hundred files. Many tests make and drop one, which takes a file system on a disk twenty times as
    long: ext4 without a journal looks at each file that was removed in the last minutes before it makes another.
    """
    try:
        return IN_MEMORY if shutil.disk_usage(IN_MEMORY).free >= IN_MEMORY_BYTES else None
    except OSError:
        return None


@pytest.fixture(scope="session")
def stack_directory() -> Iterator[Path]:
    """Short, because a unix socket's path has 108 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix="fn-", dir=place_of_databases()))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(stack_directory: Path) -> Iterator[str]:
    with running_postgres(stack_directory / "pg") as url:
        yield url


@pytest.fixture(scope="session", autouse=True)
def through_pgbouncer(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--pgbouncer`, transactions reach the Postgres of the tests through PgBouncer."""
    if not request.config.getoption("--pgbouncer"):
        yield
        return
    url: str = request.getfixturevalue("postgres_url")
    server = urlsplit(url).query
    with pgbouncer.running(pgbouncer.binary(), url) as pooler, pytest.MonkeyPatch.context() as patch:

        async def connecting(settings: Settings, **options: Any) -> Any:
            parts = urlsplit(settings.database_url or "")
            pooled = pooler.url.replace("/footnote", parts.path) if parts.query == server else settings.database_url
            return await connect_for_pool(settings.model_copy(update={"database_url": pooled}), **options)

        patch.setattr("footnote.database.engine.connect_for_pool", connecting)
        yield


@pytest.fixture(scope="session")
def redis_url(stack_directory: Path) -> Iterator[str]:
    with running_valkey(stack_directory / "kv") as url:
        yield url


def named_database(url: str, name: str) -> str:
    return url.replace("/footnote?", f"/{name}?", 1)


async def run_sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def migrated_url(postgres_url: str) -> str:
    """The database `footnote`, migrated; its copy `pristine`, which has no connections, is a template."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", postgres_url)
        bootstrap.migrate()
    asyncio.run(run_sql(named_database(postgres_url, "postgres"), "CREATE DATABASE pristine TEMPLATE footnote"))
    return postgres_url


@pytest.fixture
def settings(migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return settings_of(migrated_url, redis_url, tmp_path)


def settings_of(database_url: str, redis_url: str, directory: Path) -> Settings:
    """What most tests want; the store is below the directory."""
    own = {
        "database_url": database_url,
        "redis_url": redis_url,
        "storage_url": directory.as_uri() + "/objects",
        "data_dir": directory / "data",
    }
    return _usual_settings().model_copy(update=own)


@cache
def _usual_settings() -> Settings:
    """Made once: to look for each of them in the environment takes longer than many a test."""
    return Settings(
        _env_file=None,
        webhook_allow_private=True,
        ocr="off",
        chunk_size=400,
        chunk_overlap=50,
        embedding_batch=8,
        # Tests ask the same question again and expect another answer.
        answer_cache_seconds=0,
        question_cache_seconds=0,
    )


# A savepoint that is released leaves the role, the tenant and the kind of plans to what follows, as the end of a
# transaction does not:
# they are taken back at its end for a statement without a transaction, and at its beginning for any other.
_ACT_FOR_NO_TENANT = "SET LOCAL ROLE none; SET LOCAL plan_cache_mode = force_custom_plan; " + "; ".join(
    f"SET LOCAL footnote.{name} = ''" for name in ("tenant", "actor", "request")
)


class Savepoints(PGDialect_asyncpg):
    """Savepoints in one round trip each: SQLAlchemy would prepare a statement for every name."""

    supports_statement_cache = True

    def do_savepoint(self, connection: Connection, name: str) -> None:
        _send(connection, f"SAVEPOINT {name}; {_ACT_FOR_NO_TENANT}")

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        _send(connection, f"RELEASE SAVEPOINT {name}; {_ACT_FOR_NO_TENANT}")


def _send(connection: Connection, statements: str) -> None:
    adapted: Any = connection.connection.dbapi_connection

    async def send(driver: "asyncpg.Connection[Any]") -> None:
        async with adapted._execute_mutex:
            await driver.execute(statements)

    adapted.run_async(send)


@asynccontextmanager
async def engine_with_savepoints(url: str) -> AsyncIterator[AsyncEngine]:
    # A test is one transaction, which Postgres would end after a lease in which a busy machine let it do nothing.
    engine = open_engine(Settings(_env_file=None, database_url=url, lease_seconds=3600), pool_size=2)
    engine.dialect.__class__ = Savepoints
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def engine(migrated_url: str, anyio_backend: str) -> AsyncIterator[AsyncEngine]:
    async with engine_with_savepoints(migrated_url) as engine:
        yield engine


@pytest.fixture
async def rt(settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """A Runtime inside one transaction that is rolled back; its commits are savepoints.

    There is one connection for all: a heart beats beside a step only where settings make it, however slow it all is.
    """
    monkeypatch.setattr("footnote.jobs.heartbeat.TICK_SECONDS", 3600.0)
    redis = open_redis(settings)
    shared = Shared(redis)
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.exec_driver_sql("SELECT")  # without which the driver has not begun yet
        runtime = Runtime(
            settings=settings,
            sessions=async_sessionmaker(
                connection,
                expire_on_commit=False,
                join_transaction_mode="create_savepoint",
                info={"public_url": settings.public_url},
            ),
            redis=redis,
            store=open_store(settings.storage_location),
            embedder=FakeEmbedder(),
            others=Embedders(settings, shared, interactive=True),
            generator=FakeGenerator(),
            shared=shared,
        )
        yield runtime
        await runtime.others.close()
        await outer.rollback()
    assert redis is not None
    await shared.drain()
    await redis.aclose()


@asynccontextmanager
async def new_database(migrated_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database that is dropped at the end of the block."""
    name = f"t_{uuid4().hex[:12]}"
    server = named_database(migrated_url, "postgres")
    await run_sql(server, f"CREATE DATABASE {name} TEMPLATE pristine STRATEGY FILE_COPY")
    yield named_database(migrated_url, name)
    await run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def own_database(migrated_url: str, anyio_backend: str) -> AsyncIterator[str]:
    """A database of this test's own, for claims about commits, races and other processes."""
    async with new_database(migrated_url) as url:
        yield url


@pytest.fixture
async def committing_rt(settings: Settings, own_database: str) -> AsyncIterator[Runtime]:
    """A Runtime that really commits, with as many connections as it wants."""
    async with committing(settings.model_copy(update={"database_url": own_database})) as rt:
        yield rt


@asynccontextmanager
async def committing(settings: Settings) -> AsyncIterator[Runtime]:
    async with open_runtime(settings, pool_size=8) as rt:
        yield replace(rt, embedder=FakeEmbedder(), generator=FakeGenerator())


def stored_once(prepare: Callable[[Runtime], Awaitable[Any]]) -> tuple[Any, Any]:
    """Two fixtures for a module whose tests read the same documents: its `engine`, and what `prepare` returned.

    `prepare` runs once, in a database of the module's own; each test with `rt` still ends with a rollback.
    """
    made: list[Any] = []

    @pytest.fixture(scope="module")
    async def engine(
        migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
    ) -> AsyncIterator[AsyncEngine]:
        async with new_database(migrated_url) as url:
            async with committing(settings_of(url, redis_url, tmp_path_factory.mktemp("stored"))) as rt:
                made.append(await prepare(rt))
            async with engine_with_savepoints(url) as engine:
                yield engine

    @pytest.fixture(scope="module")
    def stored(engine: AsyncEngine) -> Any:
        return made[-1]

    return engine, stored


@dataclass(frozen=True)
class Person:
    """A user with a key. Alice and Bob share a tenant; Charlie has another one."""

    tenant_id: str
    key: str
    client: httpx2.AsyncClient


@pytest.fixture
async def ours(rt: Runtime) -> str:
    """The tenant of Alice and Bob."""
    async with rt.transaction() as session:
        return (await tenants.create(session, "ours")).id


@pytest.fixture
async def people(rt: Runtime, ours: str) -> AsyncIterator[dict[str, Person]]:
    async with rt.transaction() as session:
        theirs = await tenants.create(session, "theirs")
        made = {
            "alice": (ours, (await keys.create(session, ours, "alice"))[1]),
            "bob": (ours, (await keys.create(session, ours, "bob", ("read",)))[1]),
            "charlie": (theirs.id, (await keys.create(session, theirs.id, "charlie"))[1]),
        }
    transport = httpx2.ASGITransport(_app_over(rt), raise_app_exceptions=False)
    found = {
        name: Person(
            tenant_id,
            key,
            httpx2.AsyncClient(
                transport=transport, base_url="http://footnote", headers={"Authorization": f"Bearer {key}"}
            ),
        )
        for name, (tenant_id, key) in made.items()
    }
    yield found
    for person in found.values():
        await person.client.aclose()


_APPS: dict[str, FastAPI] = {}
_IDLE: dict[str, FastAPI] = {}


def _app_over(rt: Runtime) -> FastAPI:
    """One app for all tests with the same settings: FastAPI takes a sixth of a second to build the routes of each."""
    chosen = _chosen(rt)
    app = _APPS[chosen] = _APPS.get(chosen) or create_app(runtime=rt)
    app.state.runtime = rt
    return app


@asynccontextmanager
async def running_app(rt: Runtime) -> AsyncIterator[FastAPI]:
    """An app that has started; also one for all tests with the same settings, unless it runs already."""
    chosen = _chosen(rt)
    app = _IDLE.pop(chosen, None) or create_app(runtime=rt)
    app.state.runtime = rt
    async with app.router.lifespan_context(app):
        yield app
    _IDLE[chosen] = app


def _chosen(rt: Runtime) -> str:
    """The settings that an app depends on."""
    return rt.settings.model_dump_json(exclude={"database_url", "redis_url", "storage_url", "data_dir"})


@pytest.fixture
def alice(people: dict[str, Person]) -> Person:
    return people["alice"]


@pytest.fixture
def bob(people: dict[str, Person]) -> Person:
    return people["bob"]


@pytest.fixture
def charlie(people: dict[str, Person]) -> Person:
    return people["charlie"]
