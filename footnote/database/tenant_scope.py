"""The wall between tenants: every row that a caller names is looked up with `scoped`.

Behind it stands row-level security, which binds a Runtime that acts for a tenant (`Runtime.of`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.models import Base

Row = TypeVar("Row", bound=Base)

_TAKE_ROLE = text("SELECT set_config('role', :role, true)")


def scoped(table: type[Row], tenant_id: str) -> Select[Row]:
    """The rows of `table` that belong to the tenant, and no others."""
    owned: Any = table
    return select(table).where(owned.tenant_id == tenant_id)


@asynccontextmanager
async def unbound(session: AsyncSession) -> AsyncIterator[None]:
    """Not bound by row-level security, where it would cost the index (`@>`): what the block says names the tenant."""
    role = await session.scalar(text("SELECT current_setting('role')"))
    await session.execute(_TAKE_ROLE, {"role": "none"})
    yield
    await session.execute(_TAKE_ROLE, {"role": role})  # unless the block raised: then nothing follows but a rollback
