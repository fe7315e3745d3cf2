"""What tenants use, by day and key: documents, queries, tokens as providers count them, and what they cost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Date, cast, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import tenant_of
from footnote.errors import Busy, DatabaseAway
from footnote.models import ApiKey, UsageOfDay
from footnote.providers import ModelRef, Uncounted, Usage
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log

Kind = Literal["document", "query", "embedding", "generation"]
Group = Literal["day", "key", "model"]
Writing = Callable[[AsyncSession], Awaitable[None]]

MILLION = 1_000_000
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


def cost(settings: Settings, model: str, prompt_tokens: int, completion_tokens: int = 0) -> Decimal | None:
    """US dollars by the price table; None where it does not know the model. Nothing costs nothing."""
    if not prompt_tokens and not completion_tokens:
        return Decimal(0)
    price = settings.prices.get(model)
    if price is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / MILLION


async def record(session: AsyncSession, settings: Settings, key_id: str, *spent: UsageEntry) -> None:
    """Adds to today's counts. Call it last in a transaction: other requests of the key wait for its end.

    `key_id` is empty for work that no key asked for.
    """
    # All transactions write in the same order, so that they cannot deadlock.
    for each in sorted(spent, key=lambda each: (each.kind, each.provider, each.model)):
        tokens = each.prompt_tokens, each.completion_tokens
        row = insert(UsageOfDay).values(
            tenant_id=tenant_of(session),
            day=TODAY,
            key_id=key_id,
            kind=each.kind,
            provider=each.provider,
            model=each.model,
            calls=1,
            estimated_calls=int(each.estimated),
            prompt_tokens=each.prompt_tokens,
            completion_tokens=each.completion_tokens,
            cost=cost(settings, each.model, *tokens) if each.paid else Decimal(0),
        )
        kept, new = UsageOfDay, row.excluded
        counted = ("calls", "estimated_calls", "prompt_tokens", "completion_tokens")
        counts = {name: getattr(kept, name) + new[name] for name in counted}
        # What is known of the cost, as long as anything is.
        known = func.coalesce(kept.cost + new.cost, kept.cost, new.cost)
        changes = {**counts, "cost": known}
        await session.execute(row.on_conflict_do_update(constraint="pk_usage", set_=changes))


async def record_apart(rt: Runtime, key_id: str, *spent: UsageEntry, before: Writing | None = None) -> None:
    """In a transaction of its own that does not wait for the disk: a crash loses the counts of a moment.

    So does a database that is away: what was found or answered is there all the same. What is to be written `before`
    is left out if it has to wait for others too long.
    """
    try:
        async with rt.transaction() as session:
            await session.execute(text("SET LOCAL synchronous_commit = off"))
            if before is not None:
                await before(session)
            await record(session, rt.settings, key_id, *spent)
    except DatabaseAway as error:
        if before is not None and isinstance(error, Busy):
            await record_apart(rt, key_id, *spent)
            return
        log.warning("usage not counted", tenant_id=rt.tenant, spent=[each.kind for each in spent])


@dataclass(frozen=True)
class Month:
    """What was used since the calendar month began, in UTC."""

    tokens: int
    usd: Decimal  # of what a price is known for


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
            case Uncounted(told, asked, answered):
                self.usage += Usage(told.prompt_tokens, told.completion_tokens)
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
