"""Making a database ready: migrations, and on a new one the first tenant with its key."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.engine import connect, connect_for_pool
from footnote.errors import DatabaseUnavailable, DatabaseUnfit, Invalid, Unavailable
from footnote.models import Tenant
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.tenancy import audit_log, keys, tenants

FIRST_TENANT = "default"
LOCK = 0x626F6F74  # "boot"
DATABASE_SECONDS = 30.0
# After its last revision a migration still grants rights, under its lock. A lock of a statement ends with it.
_REVISION = """
SELECT version_num, obj_description('alembic_version'::regclass), pg_try_advisory_xact_lock_shared($1)
FROM alembic_version
"""


async def database_answers(settings: Settings) -> None:
    """Waits for a server that is just being started. Raises Unavailable; and Invalid for one that does not suit us."""
    clock = asyncio.get_running_loop().time
    end = clock() + DATABASE_SECONDS
    while True:
        try:
            for connecting in (connect_for_pool, connect):
                (await connecting(settings)).terminate()
        except DatabaseUnfit as unfit:
            raise Invalid("bad_setting", unfit.explanation) from unfit
        except DatabaseUnavailable as away:
            if clock() > end:
                url = settings.database_url if connecting is connect_for_pool else settings.database_direct_url
                where = urlsplit(url or settings.database_url or "").hostname or "its socket"
                raise Unavailable("database_unavailable", f"DATABASE_URL: nothing answers at {where}.") from away
            await asyncio.sleep(0.5)
        else:
            return


def migrate() -> None:
    """Runs the migrations; several processes may start this at once."""
    from alembic import command
    from alembic.config import Config

    import migrations

    config = Config(stdout=sys.stderr)
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    command.upgrade(config, "head")


async def migrated(settings: Settings, seconds: float) -> None:
    """Returns when the tables are those of this release or of a newer one. Raises Unavailable after `seconds`."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while obstacle := await _obstacle(settings):
        if clock() >= end:
            raise Unavailable("not_migrated", f"Tables: {obstacle}. Run `footnote migrate`.")
        await asyncio.sleep(0.5)


async def _obstacle(settings: Settings) -> str | None:
    """What keeps this release from working on the tables; None if it can."""
    from migrations import LOCK, fingerprint, newest

    connection = await connect(settings, shared=True)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return "there are none"
        found, made_by, ended = await connection.fetchrow(_REVISION, LOCK) or ("", None, False)
    finally:
        connection.terminate()
    if found > newest() or made_by == fingerprint(settings.tenant_role):
        return None
    if found < newest():
        return f"those of an older release (revision {found or 'none'})"
    return None if ended else "a migration is not complete"


async def ensure_first_tenant(settings: Settings) -> str | None:
    """The first API key, once: if there is no tenant yet. It is also stored in the data directory."""
    async with _acting(settings) as session:
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
        if await session.scalar(select(Tenant.id).limit(1)) is not None:
            return None
        _, secret = await _make(session, FIRST_TENANT)
        # Written before the commit: a crash in between loses a key that was never shown, not the only one.
        _keep(settings.data_dir / "api_key", secret)
        return secret


async def create_tenant(settings: Settings, name: str) -> tuple[str, str]:
    """A new tenant's id and its first key."""
    async with _acting(settings) as session:
        return await _make(session, name)


async def _make(session: AsyncSession, name: str) -> tuple[str, str]:
    tenant = await tenants.create(session, name)
    await audit_log.note_for(session, tenant.id, "tenant.created", tenant.id)
    _, secret = await keys.create(session, tenant.id, "first key")
    return tenant.id, secret


async def webhook_secret(settings: Settings, name: str) -> str:
    """The signing secret of a tenant's webhooks. Raises NotFound."""
    async with _acting(settings) as session:
        tenant = await tenants.find(session, name)
        await audit_log.note_for(session, tenant.id, "tenant.secret_shown", tenant.id)
        return tenant.webhook_secret


@asynccontextmanager
async def _acting(settings: Settings) -> AsyncIterator[AsyncSession]:
    """A transaction of the operator's."""
    async with open_runtime(settings, pool_size=1) as rt, rt.as_actor("operator").transaction() as session:
        yield session


def _keep(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
