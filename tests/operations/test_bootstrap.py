"""The first start: one tenant and one key, stored where the command line finds it, even if several start at once."""

import asyncio
import os
import stat
import sys

import pytest
from sqlalchemy import func, select

from footnote.database.engine import connect
from footnote.errors import Conflict, Unavailable
from footnote.local_stack import services
from footnote.models import ApiKey, Tenant
from footnote.operations import bootstrap
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys
from migrations import LOCK, fingerprint
from tests.conftest import run_sql

pytestmark = pytest.mark.anyio


@pytest.fixture
def own(settings: Settings, own_database: str) -> Settings:
    return settings.model_copy(update={"database_url": own_database})


async def counted(own: Settings) -> tuple[int, int]:
    async with open_runtime(own, pool_size=1) as rt, rt.sessions() as session:
        tenants = (await session.scalars(select(func.count()).select_from(Tenant))).one()
        return tenants, (await session.scalars(select(func.count()).select_from(ApiKey))).one()


async def test_the_first_start_makes_one_tenant_and_keeps_its_key_for_the_owner_only(own: Settings) -> None:
    secret = await bootstrap.ensure_first_tenant(own)
    kept = own.data_dir / "api_key"
    assert secret is not None
    assert kept.read_text() == secret + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in own.data_dir.iterdir()] == ["api_key"]
    async with open_runtime(own, pool_size=1) as rt:
        assert await keys.verify(rt, secret)
    assert await bootstrap.ensure_first_tenant(own) is None, "a second start changes nothing"
    assert kept.read_text() == secret + "\n"
    assert await counted(own) == (1, 1)


async def test_five_first_starts_at_once_make_one_tenant(own: Settings) -> None:
    secrets = await asyncio.gather(*(bootstrap.ensure_first_tenant(own) for _ in range(5)))
    (secret,) = [each for each in secrets if each is not None]
    assert (own.data_dir / "api_key").read_text() == secret + "\n"
    assert await counted(own) == (1, 1)


async def test_a_first_start_that_broke_off_is_made_up_for(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    own.data_dir.mkdir()
    (own.data_dir / "api_key.part").write_text("half")
    (own.data_dir / "api_key").write_text("fn_never_committed\n")
    secret = await bootstrap.ensure_first_tenant(own)
    assert (own.data_dir / "api_key").read_text() == f"{secret}\n"


async def test_a_key_that_cannot_be_kept_is_not_made(own: Settings) -> None:
    own.data_dir.write_text("a file where the directory should be")
    with pytest.raises(OSError, match="data"):
        await bootstrap.ensure_first_tenant(own)
    assert await counted(own) == (0, 0)


async def test_tenants_are_made_by_name_once(own: Settings) -> None:
    tenant_id, secret = (await bootstrap.create_tenant(own, "lighthouse"))[:2]
    assert tenant_id.startswith("ten_")
    assert secret.startswith("fn_")
    with pytest.raises(Conflict, match="tenant_exists"):
        await bootstrap.create_tenant(own, "lighthouse")
    assert await counted(own) == (1, 1)


async def test_several_processes_may_migrate_a_new_database_at_once(own: Settings, own_database: str) -> None:
    await run_sql(own_database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    script = "from footnote.operations import bootstrap; bootstrap.migrate()"
    environment = dict(os.environ, DATABASE_URL=own_database)
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, env=environment, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in started:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    assert await counted(own) == (0, 0)


UNMARKED = "COMMENT ON TABLE alembic_version IS 'another'"
STATES = {  # one after the other: what changes the tables, and what is missing then
    "this release made them": ("SELECT 1", None),
    "another build of this release made them": (UNMARKED, None),
    "a newer release made them": ("UPDATE alembic_version SET version_num = '9999'", None),
    "an older release made them": ("UPDATE alembic_version SET version_num = '0030'", "of an older release"),
    "the first migration has not ended": ("DELETE FROM alembic_version", "revision none"),
    "there are no tables": ("DROP TABLE alembic_version", "there are none"),
}


async def obstacle(own: Settings) -> str | None:
    try:
        await bootstrap.migrated(own, 0)
    except Unavailable as error:
        return error.message
    return None


async def test_whether_the_tables_are_ready(own: Settings, own_database: str) -> None:
    for state, (statement, expected) in STATES.items():
        await run_sql(own_database, statement)
        said = await obstacle(own)
        assert (expected in said) if expected and said else said is expected, state


async def test_a_migration_that_still_grants_rights_is_waited_for(own: Settings, own_database: str) -> None:
    await run_sql(own_database, UNMARKED)
    migrating = await connect(own)
    await migrating.execute(f"SELECT pg_advisory_lock({LOCK})")
    with pytest.raises(Unavailable, match="not complete"):
        await bootstrap.migrated(own, 0)
    waiting = asyncio.create_task(bootstrap.migrated(own, 60))
    await migrating.execute(f"COMMENT ON TABLE alembic_version IS '{fingerprint(own.tenant_role)}'")
    await waiting
    migrating.terminate()


async def test_waiting_changes_nothing_and_says_what_is_missing(own: Settings, own_database: str) -> None:
    await run_sql(own_database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": own_database, "FOOTNOTE_DATA_DIR": str(own.data_dir)}
    waiting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "footnote", "migrate", "--wait", "0"), env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await waiting.communicate()
    assert said.decode() == "Tables: there are none. Run `footnote migrate`.\n"
    assert waiting.returncode == 1
    assert not own.data_dir.exists()


@pytest.mark.parametrize("shown", [True, False])
async def test_the_first_key_is_printed_only_where_it_is_wanted(own: Settings, shown: bool) -> None:
    """The local stack keeps what `footnote migrate` prints in a log."""
    command = [sys.executable, "-m", "footnote", "migrate", *(() if shown else ("--no-show-key",))]
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": str(own.database_url), "FOOTNOTE_DATA_DIR": str(own.data_dir)}
    migrating = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await migrating.communicate()
    assert migrating.returncode == 0
    assert ((own.data_dir / "api_key").read_text().strip() in said.decode()) is shown


def test_the_local_stack_logs_no_key() -> None:
    assert "--no-show-key" in services.programs(Settings(_env_file=None)).migrate
