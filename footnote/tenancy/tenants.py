"""Tenants: made, found, named."""

import base64
import secrets

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.ids import new_id
from footnote.database.tenant_scope import tenant_of
from footnote.errors import Conflict, NotFound
from footnote.models import Tenant


def new_webhook_secret() -> str:
    """`whsec_` and 32 random bytes in base64, as Standard Webhooks has it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def find(session: AsyncSession, name: str, *, to_change: bool = False) -> Tenant:
    """`to_change`: locked against other changes until the transaction ends. Raises NotFound."""
    query = select(Tenant).where(Tenant.name == name)
    found = await session.scalar(query.with_for_update(key_share=True) if to_change else query)
    if found is None:
        raise NotFound("tenant_not_found", f"There is no tenant {name!r}.")
    return found


async def name_of(session: AsyncSession) -> str | None:
    return await session.scalar(select(Tenant.name).where(Tenant.id == tenant_of(session)))


async def create(session: AsyncSession, name: str) -> Tenant:
    """Raises Conflict for a name that is taken."""
    if await session.scalar(select(Tenant.id).where(Tenant.name == name)) is not None:
        raise Conflict("tenant_exists", f"There is a tenant {name!r} already.")
    tenant = Tenant(id=new_id("ten"), name=name, webhook_secret=new_webhook_secret())
    session.add(tenant)
    await session.flush()
    return tenant
