"""What a tenant may have and spend: documents, bytes, and in a calendar month (UTC) tokens and US dollars."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import tenant_of
from footnote.errors import Forbidden, Invalid, TenantDeleted
from footnote.models import Tenant
from footnote.settings import Settings
from footnote.tenancy import audit_log, tallies, tenants, usage
from footnote.tenancy.tallies import DocumentTally
from footnote.tenancy.usage import Month

NAMES = ("documents", "bytes", "tokens", "usd")


async def of(session: AsyncSession, settings: Settings) -> dict[str, Decimal]:
    """The tenant's quotas, by name: its own, or the configured ones. Unlimited quantities are left out.

    Raises TenantDeleted.
    """
    own = await session.scalar(
        select(Tenant.quotas).where(Tenant.id == tenant_of(session), Tenant.deleted_at.is_(None))
    )
    if own is None:  # since the request began
        raise TenantDeleted
    return among(settings, own)


def among(settings: Settings, own: Mapping[str, str]) -> dict[str, Decimal]:
    """A tenant's quotas, of which these are its `own`; else the configured ones."""
    quotas = settings.quotas | {name: Decimal(str(value)) for name, value in own.items()}
    return {name: quotas[name] for name in NAMES if quotas.get(name)}


async def check_room(session: AsyncSession, settings: Settings, own: Mapping[str, str] | None = None) -> None:
    """To be called when a document is added and before that is committed. Raises Forbidden, TenantDeleted.

    `own`: the tenant's quotas, if they were read in the transaction; they are read now by default.
    Uploads of a tenant with such a quota run one after the other from here to their commit, so that the quota is exact.
    """
    quotas = await of(session, settings) if own is None else among(settings, own)
    if not limits_storage(quotas):
        return
    # Foreign keys to the tenant do not wait for this.
    await session.execute(select(Tenant.id).where(Tenant.id == tenant_of(session)).with_for_update(key_share=True))
    _compare(quotas, await _held(session), over=True)


async def check_left(session: AsyncSession, settings: Settings, *, adding: bool) -> None:
    """Call it before work is received or paid: raises Forbidden if a quota is used up. Running work may exceed it."""
    quotas = await of(session, settings)
    if adding:
        await check_storage(session, quotas)
    if quotas.keys() & {"tokens", "usd"}:
        check_spending(quotas, await usage.this_month(session))


def limits_storage(quotas: Mapping[str, Decimal]) -> bool:
    return bool(quotas.keys() & {"documents", "bytes"})


async def check_storage(session: AsyncSession, quotas: Mapping[str, Decimal]) -> None:
    """Raises Forbidden where the tenant has as many documents or bytes as it may."""
    if limits_storage(quotas):
        _compare(quotas, await _held(session), over=False)


def check_spending(quotas: Mapping[str, Decimal], month: Month) -> None:
    """Raises Forbidden where this month's tokens or dollars are used up."""
    _compare(quotas, {"tokens": Decimal(month.tokens), "usd": month.usd}, over=False)


async def used_and_left(session: AsyncSession, settings: Settings) -> dict[str, dict[str, Decimal | None]]:
    """By name: the amounts `used` and `left`, and the `quota`; None without a quota."""
    quotas = await of(session, settings)
    month = await usage.this_month(session)
    used = await _held(session) | {"tokens": Decimal(month.tokens), "usd": month.usd}
    return {
        name: {
            "used": used[name],
            "quota": quotas.get(name),
            "left": max(Decimal(0), quotas[name] - used[name]) if name in quotas else None,
        }
        for name in NAMES
    }


async def change(session: AsyncSession, tenant: str, changes: Mapping[str, Decimal | None]) -> dict[str, Any]:
    """Sets quotas of the tenant of that name; 0: no limit, None: as configured. Raises NotFound, Invalid."""
    if any(value is not None and value < 0 for value in changes.values()):
        raise Invalid("invalid_request", "A quota is not negative.")
    found = await tenants.find(session, tenant, to_change=True)
    merged = {**found.quotas, **{name: None if value is None else str(value) for name, value in changes.items()}}
    kept = {name: value for name, value in merged.items() if value is not None}
    await session.execute(update(Tenant).where(Tenant.id == found.id).values(quotas=kept))
    await audit_log.note_for(session, found.id, "tenant.quotas_changed", found.id, quotas=kept)
    return kept


async def storage_by_tenant(session: AsyncSession) -> Sequence[tuple[Tenant, int, int]]:
    """Tenants, oldest first, with their documents and the bytes of those."""
    held = await tallies.of_all_tenants(session)
    found = (await session.scalars(select(Tenant).order_by(Tenant.id))).all()
    of_each = [(tenant, held.get(tenant.id, DocumentTally())) for tenant in found]
    return [(tenant, tally.documents, tally.bytes) for tenant, tally in of_each]


async def _held(session: AsyncSession) -> dict[str, Decimal]:
    tally = await tallies.of_tenant(session, tenant_of(session))
    return {"documents": Decimal(tally.documents), "bytes": Decimal(tally.bytes)}


def _compare(quotas: Mapping[str, Decimal], used: Mapping[str, Decimal], *, over: bool) -> None:
    for name, value in used.items():
        quota = quotas.get(name)
        if quota is not None and (value > quota if over else value >= quota):
            what = "US dollars a month" if name == "usd" else "tokens a month" if name == "tokens" else name
            raise Forbidden("quota_exceeded", f"The tenant's quota of {quota} {what} does not allow more.")
