"""The composition root: the resources of a process, opened and closed once."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from footnote import deadline
from footnote.database.admission import AdmissionQueue, AdmissionQueues
from footnote.database.driver import given_back, lent, setting, transacting
from footnote.database.engine import (
    answers,
    busy,
    connecting_promptly,
    database_unavailable,
    open_engine,
    tenant_deleted,
)
from footnote.database.liveness import Pulse
from footnote.database.redis_client import Shared, open_redis
from footnote.database.reserved_names import ReservedNames
from footnote.database.tenant_scope import Acting
from footnote.errors import Busy, DatabaseUnavailable, DatabaseUnfit, TenantDeleted
from footnote.providers import Embedder, Generator, ModelRef, Reranker, open_embedder, open_generators, open_reranker
from footnote.providers.guarded import Embedders, guard_embedder, guard_generators, guard_reranker
from footnote.settings import Settings
from footnote.storage import Store, open_store
from footnote.telemetry import log

if TYPE_CHECKING:
    from asyncpg import Connection
    from redis.asyncio import Redis

    from footnote.outbound.oidc_keys import Issuer

Done = TypeVar("Done")

BUSY_SECONDS = 30.0  # for which work that is blocked by locks of others is retried
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # between two tries


@dataclass(frozen=True)
class Runtime:
    """The resources that `open_runtime` opened. Domain functions take it as `rt`."""

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    redis: "Redis | None"  # None only where no REDIS_URL is needed
    store: Store
    embedder: Embedder  # the configured one
    others: Embedders  # for collections with another model
    generator: Generator
    reranker: Reranker | None = None
    issuer: "Issuer | None" = None  # of people's tokens
    shared: Shared = field(default_factory=lambda: Shared(None))  # scripts on Redis
    admission_queue: AdmissionQueue = field(default_factory=lambda: AdmissionQueue(1, 30.0))  # for connections
    # For locks that many may want.
    admission_queues: AdmissionQueues = field(default_factory=lambda: AdmissionQueues(BUSY_SECONDS))
    pulse: Pulse | None = None  # of Postgres, where people wait for it
    citing: dict[ModelRef, bool] = field(default_factory=dict)  # whether a model's last answer had footnotes
    in_flight: Counter[str] = field(default_factory=Counter)  # requests that are being answered, by tenant
    # Usage that `footnote.tenancy.usage` writes soon, by tenant; None: it is written at once.
    unwritten_usage: dict[str, Any] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # set when the process should end soon
    spare_keys: defaultdict[str, ReservedNames] = field(
        default_factory=lambda: defaultdict(ReservedNames)
    )  # of objects, by tenant
    tenant_id: str | None = None  # for whom it acts; None: for the operator, who sees all tenants
    actor: str = ""  # who acts: a key's id, "operator"; empty: the system itself
    request_id: str = ""

    def for_tenant(self, tenant_id: str) -> "Runtime":
        """The same, acting for the tenant: Postgres hides all rows of others from it (row-level security)."""
        return self if tenant_id == self.tenant_id else replace(self, tenant_id=tenant_id)

    def as_actor(self, actor: str, request_id: str = "") -> "Runtime":
        """The same, at the request of this actor, whom the audit log names."""
        return replace(self, actor=actor, request_id=request_id)

    @property
    def tenant(self) -> str:
        """The tenant it acts for. Raises NoTenant where it acts for the operator."""
        return Acting(self.tenant_id).tenant

    @property
    def operator(self) -> "Runtime":
        """The same, seeing all tenants: for what belongs to no tenant, or concerns several."""
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
    async def transaction(self, **settings: str) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed when the block ends, rolled back when it raises.

        `settings` are Postgres' own, until its end. Never held across a call to a provider, a store or a webhook.
        Raises DatabaseUnavailable, also when the request's time is over; Busy; and TenantDeleted if a write fails
        because of that.
        """
        async with self._connected(), transacting(self.sessions) as session:
            if settings or self.tenant_id is not None or self.actor:
                await self.narrow(session, **settings)
            yield session

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator["Connection[Any]"]:
        """The driver's connection for statements that read, for the operator: each is a transaction of its own.

        That is one round trip instead of three. Raises what `transaction` does.
        """
        async with self._connected(), lent(self.sessions.kw["bind"]) as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """In its turn, and with errors that say what is wrong with the database."""
        listening = self.pulse.listening() if self.pulse else nullcontext()
        try:
            async with deadline.limited(), listening, self.admission_queue.admission():
                yield
                if self.pulse:
                    self.pulse.hear()  # statements of the driver are not heard one by one
        except Exception as error:
            if busy(error):
                raise Busy from error
            if isinstance(error, DatabaseUnfit):
                log.error("database unfit", remedy=error.explanation)
                raise
            if database_unavailable(error):
                log.warning("database unavailable", error=f"{type(error).__name__}: {error}"[:300])
                if isinstance(error, TimeoutError) or (self.pulse and self.pulse.silent):
                    deadline.spend()
                raise DatabaseUnavailable from error
            if tenant_deleted(error):
                raise TenantDeleted from error
            raise

    async def narrow(self, session: AsyncSession, **settings: str) -> None:
        """From here on, a transaction of the operator acts as this Runtime does, until it ends.

        The views of tenants (`chunk_of_tenant`, ...) go by the tenant without the role, too; the audit log records who
        acts, and for which request.
        """
        session.info["acting"] = Acting(self.tenant_id, self.actor, self.request_id)
        role = self.settings.tenant_role if self.tenant_id is not None else ""
        said = {"footnote.actor": self.actor, "footnote.request": self.request_id}
        await setting(session, settings | {"footnote.tenant": self.tenant_id or "", **said, "role": role or "none"})

    @asynccontextmanager
    async def exclusive(self, *name: str, slots: int = 1) -> AsyncIterator[None]:
        """Before a transaction that takes a lock: admits one of the tenant's with that name, or `slots` of them.

        The others wait without a connection. Raises Busy if none is admitted in time.
        """
        entered = False
        try:
            async with self.admission_queues.admission("\n".join((self.tenant_id or "", *name)), slots):
                entered = True
                yield
        except TimeoutError as error:
            if entered:
                raise
            raise Busy from error

    async def again_while_busy(self, work: Callable[[], Awaitable[Done]]) -> Done:
        """The result of `work`, which is repeated if a transaction was rolled back because of others. Raises Busy."""
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
        """One statement in a transaction of its own. Raises DatabaseUnavailable."""
        async with self.transaction() as session:
            await session.execute(statement)


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, pool_size: int = 10, patience: float = 30.0, interactive: bool = False
) -> AsyncIterator[Runtime]:
    """Opens everything lazily: this succeeds even if Postgres, Redis, the store and the providers are unavailable.

    `interactive`: a person waits for the providers' answers.
    """
    admission_queue = AdmissionQueue(pool_size, patience)
    if interactive:
        connecting = connecting_promptly(admission_queue)
        engine = open_engine(settings, pool_size=pool_size, patience=patience, connecting=connecting)
        pulse = Pulse(engine, partial(answers, settings), admission_queue.reject_all)
    else:
        engine = open_engine(settings, pool_size=pool_size, patience=patience)
        pulse = None
    redis = open_redis(settings)
    shared = Shared(redis)
    runtime = Runtime(
        settings=settings,
        sessions=async_sessionmaker(engine, expire_on_commit=False, info={"public_url": settings.public_url}),
        admission_queue=admission_queue,
        pulse=pulse,
        redis=redis,
        shared=shared,
        store=open_store(settings.storage_location, settings.s3_public_endpoint_url),
        embedder=guard_embedder(open_embedder(settings), shared, settings, interactive=interactive),
        others=Embedders(settings, shared, interactive=interactive),
        generator=guard_generators(open_generators(settings), shared, settings, interactive=interactive),
        reranker=guard_reranker(open_reranker(settings), shared, settings),
        issuer=_issuer(settings.oidc_issuer) if settings.oidc_issuer else None,
    )
    async with AsyncExitStack() as closing:  # each of them, whichever fails to close
        closing.push_async_callback(engine.dispose)
        closing.push_async_callback(given_back)
        if pulse is not None:
            closing.push_async_callback(pulse.close)
        if redis is not None:
            closing.push_async_callback(redis.aclose)
            closing.push_async_callback(shared.drain)
        for opened in (runtime.issuer, runtime.reranker, runtime.generator, runtime.others, runtime.embedder):
            if opened is not None:
                closing.push_async_callback(opened.close)
        yield runtime


def _issuer(address: str) -> "Issuer":
    from footnote.outbound.oidc_keys import Issuer  # takes 12 MiB, and few have one

    return Issuer(address)


def preload(settings: Settings) -> None:
    """Imports what a Runtime imports when it is first used, so that the processes forked from this one share it."""
    asyncio.run(_open_and_close(settings))
    import_early(settings)


def import_early(settings: Settings) -> None:
    """Imports what would hold up an event loop when it is first used: `openai` takes a third of a second."""
    # Starlette imports the backend of anyio during the first request.
    for name in (
        "anyio._backends._asyncio",
        "footnote.database.opening",
        "footnote.database.pooler",
        "numpy.ma",
        "redis.asyncio.connection",
    ):
        import_module(name)
    if any(each.provider == "openai" for each in open_generators(settings)):
        import_module("openai")
        import_module("openai.resources.chat.completions")


async def _open_and_close(settings: Settings) -> None:
    async with open_runtime(settings):
        pass
