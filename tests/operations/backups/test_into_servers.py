"""A backup goes into an empty database and another store, whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from footnote.errors import Conflict, Invalid, Unavailable
from footnote.operations.backups.restoring import restore_into_servers
from footnote.operations.backups.taking import back_up
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.storage import open_store
from tests import driving
from tests.conftest import named_database, run_sql
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty(postgres_url: str, tmp_path: Path) -> AsyncIterator[Settings]:
    """Servers without anything: a new database, a folder as the store."""
    name = f"i_{uuid4().hex[:12]}"
    await run_sql(named_database(postgres_url, "postgres"), f"CREATE DATABASE {name}")
    url = named_database(postgres_url, name)
    store = (tmp_path / "bucket").as_uri()
    yield Settings(_env_file=None, database_url=url, storage_url=store, data_dir=tmp_path / "node")
    await run_sql(named_database(postgres_url, "postgres"), f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_backup_goes_into_empty_servers_or_leaves_them_empty(
    committing_rt: Runtime, empty: Settings, tmp_path: Path
) -> None:
    rt, backups = committing_rt, tmp_path / "backups"
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, paragraphs(3))
    await back_up(rt.settings, backups)

    # A type that a table of ours would have: the transaction fails in the middle.
    await run_sql(empty.database_url or "", "CREATE TYPE webhook_delivery AS ENUM ()")
    with pytest.raises(Unavailable, match="webhook_delivery"):
        await asyncio.to_thread(restore_into_servers, empty, backups, None)
    await run_sql(empty.database_url or "", "DROP TYPE webhook_delivery")

    restored = await asyncio.to_thread(restore_into_servers, empty, backups, None)
    assert restored.is_clean
    assert (restored.documents, restored.same, restored.data_dir) == (1, 1, None)
    connection = await asyncpg.connect(empty.database_url)
    assert await connection.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'chunk'") == restored.chunks
    await connection.close()
    keys = [key async for key in open_store(empty.storage_location).keys("objects")]
    assert keys == [key async for key in rt.store.keys("objects")]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("node")) == []
    with pytest.raises(Conflict, match="name an empty database"):
        await asyncio.to_thread(restore_into_servers, empty, backups, None)


async def test_both_servers_must_be_named(empty: Settings, tmp_path: Path) -> None:
    no_store = empty.model_copy(update={"storage_url": None})
    with pytest.raises(Invalid, match="STORAGE_URL"):
        await asyncio.to_thread(restore_into_servers, no_store, tmp_path, None)
