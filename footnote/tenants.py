"""Tenants, and the wall between them: every read of a tenant's rows starts with `scoped`."""

import base64
import secrets
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.errors import Conflict
from footnote.ids import new_id
from footnote.models import Base, Tenant

Row = TypeVar("Row", bound=Base)


def scoped(table: type[Row], tenant_id: str) -> Select[Row]:
    """The rows of `table` that belong to the tenant, and no others."""
    owned: Any = table
    return select(table).where(owned.tenant_id == tenant_id)


def new_webhook_secret() -> str:
    """`whsec_` and 32 random bytes in base64, as Standard Webhooks has it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def create(session: AsyncSession, name: str) -> Tenant:
    """Raises Conflict for a name that is taken."""
    if await session.scalar(select(Tenant.id).where(Tenant.name == name)) is not None:
        raise Conflict("tenant_exists", f"There is a tenant {name!r} already.")
    tenant = Tenant(id=new_id("ten"), name=name, webhook_secret=new_webhook_secret())
    session.add(tenant)
    await session.flush()
    return tenant
