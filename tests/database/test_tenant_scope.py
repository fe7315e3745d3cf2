"""The tenant wall in Postgres: every table of tenants has it, and it binds each session that acts for a tenant."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from footnote import documents
from footnote.database.engine import connect
from footnote.database.tenant_scope import NoTenant, scoped
from footnote.errors import Invalid, NotFound
from footnote.models import Base, Document
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, usage
from footnote.tenancy.usage import UsageEntry
from migrations import wall
from tests import driving
from tests.conftest import named_database, run_sql

pytestmark = pytest.mark.anyio

# Tables without a tenant, and why.
NOBODYS = {
    "backup": "the operator's, of everything",
    "embedding_space": "a model and the length of its vectors",
    "installation": "a random name, by which browsers tell the cookies of several on one host apart",
    "pause": "the operator's, of all work",
    "posting": "hashes, and counts of words; its blocks carry the tenant",
    "signing_key": "what tokens of all tenants are signed with, seen by the operator only",
    "tenant": "is the tenant",
    "unowned_object": "random keys of objects that nothing names any more, and nothing else",
}


def test_every_table_carries_the_tenant() -> None:
    without = {name for name, table in Base.metadata.tables.items() if "tenant_id" not in table.columns}
    assert without == set(NOBODYS)
    may_be_empty = [
        name for name, table in Base.metadata.tables.items() if getattr(table.c.get("tenant_id"), "nullable", False)
    ]
    assert may_be_empty == []


async def _column(rt: Runtime, sql: str) -> set[Any]:
    async with rt.transaction() as session:
        return set((await session.scalars(text(sql))).all())


async def test_every_tenants_table_has_its_policy(rt: Runtime) -> None:
    guarded = "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid WHERE relrowsecurity"
    assert await _column(rt, guarded) == set(Base.metadata.tables) - set(NOBODYS) | {"tenant"}
    may = "SELECT has_table_privilege('footnote_tenant', oid, '{}') FROM pg_class WHERE relname = '{}'"
    for table in ("alembic_version", "signing_key", *wall.SHARED, *wall.LIMITED):
        allowed = {**wall.SHARED, **wall.LIMITED}.get(table, "").split(", ")
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            assert await _column(rt, may.format(privilege, table)) == {privilege in allowed}, (table, privilege)


async def _ids(rt: Runtime) -> Sequence[str]:
    async with rt.transaction() as session:
        return (await session.scalars(select(Document.id))).all()


async def test_only_own_rows_are_seen_and_written(committing_rt: Runtime) -> None:
    rt = committing_rt
    ours, theirs = await driving.new_tenant(rt), await driving.new_tenant(rt)
    document = await driving.ready(rt.for_tenant(ours), ours, driving.paragraphs(3))
    other = await driving.ready(rt, theirs, driving.paragraphs(2))
    assert sorted(await _ids(rt)) == sorted([document, other])
    assert (
        await _ids(rt.for_tenant(ours)),
        await _ids(rt.for_tenant(theirs)),
        await _ids(rt.for_tenant("nobody")),
    ) == (
        [document],
        [other],
        [],
    )
    assert await _ids(rt.for_tenant(ours).operator) == await _ids(rt), "a connection forgets for whom it acted"
    async with rt.for_tenant(theirs).transaction() as session:
        touched = await session.execute(update(Document).where(Document.id == document).values(filename="x"))
        assert touched.rowcount == 0  # type: ignore[attr-defined]
        for view in ("chunk", "document", "version"):
            seen = await session.scalars(text(f"SELECT DISTINCT tenant_id FROM {view}_of_tenant"))
            assert seen.all() == [theirs]
    foreign = text("UPDATE document SET tenant_id = :tenant").bindparams(tenant=ours)
    with pytest.raises(ProgrammingError, match="row-level security"):
        await rt.for_tenant(theirs).execute(foreign)
    with pytest.raises(ProgrammingError, match="permission denied"):
        await rt.for_tenant(theirs).execute(text("DELETE FROM embedding_space"))


async def test_what_works_for_a_tenant_refuses_the_operator(rt: Runtime) -> None:
    """Else it would see the rows of all tenants, or those of none, and say nothing."""
    looks: list[Callable[[AsyncSession], Any]] = [
        lambda session: scoped(session, Document),
        lambda session: documents.list_documents(session, limit=1),
        lambda session: audit_log.note(session, "document.created", "doc_1"),
        lambda session: usage.record(session, rt.settings, "", UsageEntry("query")),
    ]
    for acting in (rt, rt.as_actor("operator"), rt.for_tenant(""), rt.for_tenant("ten_1").operator):
        for look in looks:
            async with acting.transaction() as session:
                with pytest.raises(NoTenant):
                    await look(session)
    with pytest.raises(NoTenant):
        _ = rt.tenant


async def test_what_belongs_to_a_row_goes_with_it_whoever_removes_it(committing_rt: Runtime) -> None:
    """Cascades and checks of references run as the owner, whatever role acts."""
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    document = await driving.ready(rt, tenant, driving.paragraphs(3))
    await rt.for_tenant(tenant).execute(text("DELETE FROM collection"))
    for table in ("document", "version", "page", "chunk", "job", "job_step"):
        assert await _column(rt, f"SELECT count(*) FROM {table}") == {0}, table
    with pytest.raises(NotFound):
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.get(session, document)


async def test_a_user_who_may_make_no_role_is_told_what_to_do(own_database: str, settings: Any) -> None:
    name, role = own_database.split("/")[-1].partition("?")[0], f"plain_{own_database.split('/')[-1][:12]}"
    server = named_database(own_database.replace(f"/{name}?", "/footnote?"), "postgres")
    await run_sql(server, f"CREATE ROLE {role} LOGIN")
    await run_sql(own_database, f"GRANT ALL ON SCHEMA public TO {role}")
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(settings.model_copy(update={"database_url": own_database})),
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SET LOCAL SESSION AUTHORIZATION {role}"))
            with pytest.raises(Invalid, match=f'CREATE ROLE "other_role" NOLOGIN; GRANT "other_role" TO "{role}"'):
                await connection.run_sync(lambda sync: wall.build(sync, "other_role"))
            await connection.rollback()
            await connection.execute(text(f"SET LOCAL SESSION AUTHORIZATION {role}"))
            await connection.run_sync(lambda sync: wall.build(sync, ""))
            await connection.rollback()
    finally:
        await engine.dispose()
        await run_sql(own_database, f"DROP OWNED BY {role}")
        await run_sql(server, f"DROP ROLE {role}")
