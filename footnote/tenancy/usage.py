"""What tenants use, by day and key: documents, queries, tokens as providers count them, and what they cost."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Date, cast, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.errors import Busy, DatabaseUnavailable, TenantDeleted
from footnote.models import ApiKey, UsageOfDay
from footnote.providers import Embedder, Embeddings, ModelRef, Uncounted, Usage
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log

Kind = Literal["document", "query", "embedding", "generation"]
Group = Literal["day", "key", "model"]
Writing = Callable[[AsyncSession], Awaitable[None]]

MILLION = 1_000_000
WRITTEN_AFTER = 1.0  # seconds, at most, where a process counts in memory
TODAY: ColumnElement[date] = cast(func.timezone("UTC", func.now()), Date)


@dataclass(frozen=True)
class UsageEntry:
    """One document, one query or one call of a provider; `paid`: it is asked over a network.

    `estimated`: the provider did not count, or not all of it.
    """

    kind: Kind
    provider: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    paid: bool = True
    estimated: bool = False


def of_embedding(embedder: Embedder, answer: Embeddings) -> UsageEntry:
    paid, estimated = embedder.address is not None, answer.estimated
    return UsageEntry("embedding", embedder.provider, embedder.model, answer.tokens, paid=paid, estimated=estimated)


def cost(settings: Settings, model: str, prompt_tokens: int, completion_tokens: int = 0) -> Decimal | None:
    """US dollars by the price table; None where it does not know the model. Nothing costs nothing."""
    if not prompt_tokens and not completion_tokens:
        return Decimal(0)
    price = settings.prices.get(model)
    if price is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / MILLION


@dataclass
class _Counts:
    """Of one kind, provider and model, for one key."""

    calls: int = 0
    estimated: int = 0
    prompt: int = 0
    completion: int = 0
    cost: Decimal | None = None  # what is known of it, as long as anything is

    def add(self, settings: Settings, spent: UsageEntry) -> None:
        self.calls += 1
        self.estimated += spent.estimated
        self.prompt += spent.prompt_tokens
        self.completion += spent.completion_tokens
        tokens = spent.prompt_tokens, spent.completion_tokens
        costs = cost(settings, spent.model, *tokens) if spent.paid else Decimal(0)
        if costs is not None:
            self.cost = (self.cost or Decimal(0)) + costs


_Counted = defaultdict[tuple[str, str, str, str], _Counts]  # by key, kind, provider and model


def _add(counted: _Counted, settings: Settings, key_id: str, spent: Sequence[UsageEntry]) -> None:
    for each in spent:
        counted[key_id, each.kind, each.provider, each.model].add(settings, each)


# All transactions write in the same order, so that they cannot deadlock.
_WRITE = """
INSERT INTO usage (tenant_id, day, key_id, kind, provider, model,
                   calls, estimated_calls, prompt_tokens, completion_tokens, cost)
SELECT $1, CAST(timezone('UTC', now()) AS date), new.*
FROM unnest(CAST($2 AS text[]), CAST($3 AS text[]), CAST($4 AS text[]), CAST($5 AS text[]), CAST($6 AS bigint[]),
            CAST($7 AS bigint[]), CAST($8 AS bigint[]), CAST($9 AS bigint[]), CAST($10 AS numeric[])) AS new
ORDER BY 3, 4, 5, 6
ON CONFLICT ON CONSTRAINT pk_usage DO UPDATE
SET calls = usage.calls + excluded.calls, estimated_calls = usage.estimated_calls + excluded.estimated_calls,
    prompt_tokens = usage.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = usage.completion_tokens + excluded.completion_tokens,
    cost = coalesce(usage.cost + excluded.cost, usage.cost, excluded.cost)
"""


async def _write(session: AsyncSession, counted: _Counted) -> None:
    rows = [
        (*names, each.calls, each.estimated, each.prompt, each.completion, each.cost) for names, each in counted.items()
    ]
    if rows:
        await (await driver(session)).execute(_WRITE, tenant_of(session), *map(list, zip(*rows, strict=True)))


async def record(session: AsyncSession, settings: Settings, key_id: str, *spent: UsageEntry) -> None:
    """Adds to today's counts. Call it last in a transaction: other requests of the key wait for its end.

    `key_id` is empty for work that no key asked for.
    """
    counted = _Counted(_Counts)
    _add(counted, settings, key_id, spent)
    await _write(session, counted)


async def record_apart(rt: Runtime, key_id: str, *spent: UsageEntry, before: Writing | None = None) -> None:
    """In a transaction of its own that does not wait for the disk: a crash loses the counts of a moment.

    So does an unavailable database: what was found or answered remains. What is to be written `before`
    is left out if it has to wait for others too long. Where a process is `writing` each second, what is only to be
    counted waits for that.
    """
    if rt.unwritten_usage is not None and before is None:
        _add(rt.unwritten_usage.setdefault(rt.tenant, _Counted(_Counts)), rt.settings, key_id, spent)
        return
    try:
        async with rt.transaction(synchronous_commit="off") as session:
            if before is not None:
                await before(session)
            await record(session, rt.settings, key_id, *spent)
    except DatabaseUnavailable as error:
        if before is not None and isinstance(error, Busy):
            await record_apart(rt, key_id, *spent)
            return
        log.warning("usage not counted", tenant_id=rt.tenant, spent=[each.kind for each in spent])


# -- counted in memory ---------------------------------------------------------------------------------------


@asynccontextmanager
async def writing(rt: Runtime) -> AsyncIterator[Runtime]:
    """A Runtime whose requests count in memory. It is written each second and at the end of the block.

    A request then does not write, and a process that is killed loses the counts of a second.
    """
    counting, end = replace(rt, unwritten_usage={}), asyncio.Event()
    task = asyncio.create_task(_write_each_second(counting, end))
    try:
        yield counting
    finally:
        end.set()
        await task


async def _write_each_second(rt: Runtime, end: asyncio.Event) -> None:
    ended = False
    while not ended:
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITTEN_AFTER):
                await end.wait()
        ended = end.is_set()
        for tenant_id in list(rt.unwritten_usage or ()):
            try:
                await write_counted(rt.for_tenant(tenant_id))
            except Exception as error:  # those of others are still to be written
                log.error("usage not counted", tenant_id=tenant_id, exc_info=error)


async def write_counted(rt: Runtime) -> None:
    """Writes what this process has counted for the tenant."""
    counted: _Counted | None = (rt.unwritten_usage or {}).pop(rt.tenant, None)
    if counted is None:
        return
    try:
        async with rt.transaction(synchronous_commit="off") as session:
            await _write(session, counted)
    except TenantDeleted:
        pass  # and its counts with it
    except DatabaseUnavailable:
        log.warning("usage not counted", tenant_id=rt.tenant, spent=sorted({kind for _, kind, _, _ in counted}))


@dataclass(frozen=True)
class Month:
    """What was used since the calendar month began, in UTC."""

    tokens: int
    usd: Decimal  # of what a price is known for


NOTHING = Month(0, Decimal(0))


async def this_month(session: AsyncSession, key_id: str | None = None) -> Month:
    """Of the tenant, or of one of its keys."""
    table = UsageOfDay
    tokens = func.coalesce(func.sum(table.prompt_tokens + table.completion_tokens), 0)
    used = select(tokens, func.coalesce(func.sum(table.cost), 0)).where(
        table.tenant_id == tenant_of(session), table.day >= func.date_trunc("month", TODAY)
    )
    row = (await session.execute(used.where(table.key_id == key_id) if key_id is not None else used)).one()
    return Month(int(row[0]), Decimal(row[1] or 0))


@dataclass
class UsageMeter:
    """What one question has used so far; `writer` is the model at work, until another reports itself."""

    settings: Settings
    writer: ModelRef
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0.0))
    spent: list[UsageEntry] = field(default_factory=list)
    before: Writing | None = None  # written in the same transaction, if the answer has one

    def take(self, event: Usage | Uncounted | ModelRef) -> None:
        """What the provider did not count is unknown to the caller; budgets count the estimate."""
        match event:
            case ModelRef():
                self.writer = event
            case Uncounted(counted, asked, answered):
                self.usage += Usage(counted.prompt_tokens, counted.completion_tokens)
                self._spend(asked, answered, estimated=True)
            case Usage(int(asked), int(answered)):
                costs = cost(self.settings, self.writer.model, asked, answered)
                self.usage += Usage(asked, answered, None if costs is None else float(costs))
                self._spend(asked, answered)

    def _spend(self, asked: int, answered: int, *, estimated: bool = False) -> None:
        writer = self.writer
        self.spent.append(UsageEntry("generation", writer.provider, writer.model, asked, answered, estimated=estimated))

    async def settle(self, rt: Runtime, key_id: str) -> None:
        """Records the usage, also if the client has disconnected."""
        if self.spent:
            await asyncio.shield(record_apart(rt, key_id, *self.spent, before=self.before))


async def report(session: AsyncSession, since: date, until: date, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A row for each of the groups in which anything was used, from the day `since` to `until`, both included."""
    tenant_id = tenant_of(session)
    table = UsageOfDay
    columns: dict[Group, list[Any]] = {
        "day": [table.day],
        "key": [table.key_id],
        "model": [table.provider, table.model],
    }
    chosen = [column for group in groups for column in columns[group]]

    def total(column: Any, *kinds: Kind) -> Any:
        counted = func.sum(column).filter(table.kind.in_(kinds)) if kinds else func.sum(column)
        return func.coalesce(counted, literal_column("0"))

    totals = [
        total(table.calls, "document").label("documents"),
        total(table.calls, "query").label("queries"),
        total(table.prompt_tokens, "embedding").label("embedding_tokens"),
        total(table.prompt_tokens, "generation").label("prompt_tokens"),
        total(table.completion_tokens).label("completion_tokens"),
        func.sum(table.cost).label("cost"),
        (total(table.estimated_calls) > 0).label("estimated"),
    ]
    used = select(*chosen, *totals).where(table.tenant_id == tenant_id, table.day.between(since, until))
    found = await session.execute(used.group_by(*chosen).order_by(*chosen))
    rows = [dict(row) for row in found.mappings()]
    if "key" in groups:
        ids = {row["key_id"] for row in rows}
        named = select(ApiKey.id, ApiKey.name).where(ApiKey.tenant_id == tenant_id, ApiKey.id.in_(ids))
        names = {row.id: row.name for row in await session.execute(named)}
        rows = [row | {"key_name": names.get(row["key_id"])} for row in rows]
    return rows


LEAST_DAYS = 62.0  # budgets and reports look at this month and the one before
_PURGE = """
WITH gone AS (
    DELETE FROM usage WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM usage WHERE day < timezone('UTC', now())::date - $1::int ORDER BY day LIMIT $2
    )) RETURNING 1
) SELECT count(*) FROM gone
"""
_PURGED_AT_ONCE = 1000


async def purge(rt: Runtime) -> None:
    """Removes the usage of days longer ago than configured, some in each transaction."""
    days = rt.settings.usage_days
    more = bool(days)
    while more:
        async with rt.transaction() as session:
            removed = await (await driver(session)).fetchval(_PURGE, round(max(days, LEAST_DAYS)), _PURGED_AT_ONCE)
        more = removed == _PURGED_AT_ONCE
