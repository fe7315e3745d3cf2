"""The wall between tenants: every row that a caller names is looked up with `scoped`.

Behind it stands row-level security, which binds a Runtime that acts for a tenant (`Runtime.for_tenant`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.models import Base

Row = TypeVar("Row", bound=Base)

_TAKE_ROLE = text("SELECT set_config('role', :role, true)")


class NoTenant(AssertionError):
    """A transaction of the operator, who sees all tenants, came to code that works for one."""


@dataclass(frozen=True)
class Acting:
    """The tenant of a transaction, and its actor."""

    tenant_id: str | None = None  # None: for the operator
    actor: str = ""  # a key's id, "operator"; empty: the system itself
    request_id: str = ""

    @property
    def tenant(self) -> str:
        """Raises NoTenant."""
        if not self.tenant_id:
            raise NoTenant("The session has no tenant: use `Runtime.for_tenant`.")
        return self.tenant_id


def acting(session: AsyncSession) -> Acting:
    """What `Runtime.transaction` noted; without it, the session is the operator's."""
    noted: Acting = session.info.get("acting", Acting())
    return noted


def tenant_of(session: AsyncSession) -> str:
    """The tenant that the session's transaction acts for. Raises NoTenant."""
    return acting(session).tenant


def scoped(session: AsyncSession, table: type[Row]) -> Select[Row]:
    """The rows of `table` that belong to the session's tenant, and no others. Raises NoTenant."""
    owned: Any = table
    return select(table).where(owned.tenant_id == tenant_of(session))


@asynccontextmanager
async def unbound(session: AsyncSession) -> AsyncIterator[None]:
    """Not bound by row-level security, where it would cost the index (`@>`): what the block says names the tenant."""
    role = await session.scalar(text("SELECT current_setting('role')"))
    await session.execute(_TAKE_ROLE, {"role": "none"})
    yield
    await session.execute(_TAKE_ROLE, {"role": role})  # unless the block raised: then nothing follows but a rollback
