"""Alembic's environment: one async connection, under an advisory lock so that replicas may start together."""

import asyncio
import time
from typing import Any

from alembic import context
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from footnote.database.engine import connect, open_engine
from footnote.errors import Invalid
from footnote.models import Base
from footnote.settings import Settings
from migrations import LOCK, LOCK_SECONDS, RELEASED, WAIT_SECONDS, fingerprint, rights, wall

BESIDE_SECONDS = 60.0  # for an index that is built beside the work, which waits for all transactions of before
GIVEN_WAY = {"55P03", "40P01"}  # no lock in time; a deadlock with work that goes on
_INVALID = """
SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace
  AND c.relname NOT LIKE 'ix\\_chunk\\_embedding\\_space\\_%'
"""


def include(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """The vector index of an embedding space is made with the space, at run time."""
    return not (kind == "index" and name is not None and name.startswith("ix_chunk_embedding_space_"))


def check_revision(found: str | None) -> None:
    """Raises Invalid for a revision that no migration here starts from, with what to do about it."""
    if found is None or found in {each.revision for each in context.script.walk_revisions()}:
        return
    if found < RELEASED:
        what = (
            f"older than this release upgrades from ({RELEASED}). Run `footnote migrate` of the release before first."
        )
    else:
        what = "not known to this release: a newer one migrated the database. Run that release, or a newer one."
    raise Invalid("bad_database", f"The database is at revision {found}, which is {what}")


def migrate(connection: Connection) -> None:
    # The session's, not the transaction's: a migration may commit on its way, to build indexes beside the work.
    # And asked for again and again: an index that is built beside the work waits for every statement that waits.
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")):
        connection.commit()
        time.sleep(0.1)
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=include,
        compare_type=True,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    check_revision(context.get_context().get_current_revision())
    role = Settings().tenant_role
    rights.ensure(connection, role)
    connection.commit()
    run(connection)
    wall.build(connection, role)
    # After the rest, in its transaction; a dump has it, too. By it `footnote up` sees that nothing is left to do.
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{fingerprint(role)}'"))
    connection.commit()


def run(connection: Connection) -> None:
    """Runs the migrations; one that does not get a table soon gives way to others, and is tried again."""
    end = time.monotonic() + LOCK_SECONDS
    limit_waiting(connection)
    while True:
        try:
            drop_invalid(connection)
            with context.begin_transaction():
                context.run_migrations()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in GIVEN_WAY or time.monotonic() > end:
                raise
        else:
            return
        connection.rollback()
        time.sleep(0.5)


def limit_waiting(connection: Connection) -> None:
    """From here on, a transaction waits WAIT_SECONDS for locks, whatever the number of tables that it locks.

    A limit for each table would add up, while those that it has already are closed to all others. Indexes that are
    built beside the work close nothing while they wait; other statements outside a transaction hold nothing else.
    """
    began = 0.0

    def begin(_connection: Connection) -> None:
        nonlocal began
        began = time.monotonic()

    def limit(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        left = WAIT_SECONDS
        if " CONCURRENTLY " in statement:
            left = BESIDE_SECONDS
        elif connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            left -= time.monotonic() - began
        cursor.execute(f"SET lock_timeout = {max(1, round(1000 * left))}")

    event.listen(connection, "begin", begin)
    event.listen(connection, "before_cursor_execute", limit)


def drop_invalid(connection: Connection) -> None:
    """Drops indexes whose building was interrupted, so that IF NOT EXISTS does not take them for built ones."""
    for name in connection.scalars(text(_INVALID)).all():
        connection.execute(text(f"DROP INDEX {name}"))
    connection.commit()


async def main() -> None:
    engine = open_engine(Settings(), pool_size=1, connecting=connect)  # past a pooler, which knows no locks of sessions
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(main())
