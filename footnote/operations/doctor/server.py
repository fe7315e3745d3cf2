"""Postgres: version, tables, role, settings, connections, indexes, dead rows, old transactions."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from footnote.database.driver import driver
from footnote.database.engine import connect, settings_of_transactions
from footnote.errors import DatabaseUnavailable, DatabaseUnfit, FootnoteError
from footnote.jobs import workers
from footnote.local_stack import memory
from footnote.operations.doctor.diagnosis import Diagnosis, age, broken, ok, size, warning
from footnote.retrieval.scope import limits
from footnote.runtime import Runtime

LEAST_POSTGRES, LEAST_PGVECTOR = 16, (0, 8)
DISPATCHER_CONNECTIONS = 10  # for transactions 8, one for notifications, one while an index is built (docs/scaling.md)
RESERVED = 3  # by Postgres, for administrators
DEAD_SHARE, DEAD_ROWS = 0.2, 1000
LONG_SECONDS = 600.0

_VERSIONS = """
SELECT current_setting('server_version_num')::int / 10000 AS postgres, current_setting('server_version') AS said,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector
"""
_ROLE = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS there, current_user AS user_name"
_CONNECTIONS = "SELECT current_setting('max_connections')::int AS most, (SELECT count(*) FROM pg_stat_activity) AS used"
_INDEXES = """
SELECT i.indexrelid::regclass::text AS name, i.indisvalid AS valid, pg_relation_size(i.indexrelid) AS bytes,
       am.amname = 'hnsw' AS hnsw
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS am ON am.oid = c.relam
WHERE c.relnamespace = current_schema()::regnamespace
"""
_BUILDING = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)"
_DEAD = """
SELECT relname AS name, n_dead_tup AS dead, n_live_tup AS live FROM pg_stat_user_tables
WHERE n_dead_tup > $1 AND n_dead_tup > $2 * (n_dead_tup + n_live_tup) ORDER BY n_dead_tup DESC LIMIT 3
"""
_OLDEST = """
SELECT pid, extract(epoch FROM now() - xact_start)::float AS seconds, state FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 1
"""


async def answers(rt: Runtime) -> Iterable[Diagnosis]:
    where = urlsplit(rt.settings.database_url or "").hostname or "its socket"
    try:
        connection = await connect(rt.settings)
    except DatabaseUnfit as unfit:
        return [broken("postgres", unfit.why or f"what answers at {where} is no Postgres for us.", unfit.remedy)]
    except DatabaseUnavailable as away:
        why = f"nothing answers at {where}: {away.__cause__}"
        return [broken("postgres", why, "Start Postgres, or correct DATABASE_URL.")]
    except FootnoteError as error:  # a setting
        return [broken("postgres", error.message, "Correct DATABASE_URL.")]
    try:
        return [ok("postgres", f"{await connection.fetchval('SHOW server_version')} at {where}")]
    finally:
        await connection.close()


async def migrations(rt: Runtime) -> Iterable[Diagnosis]:
    from migrations import fingerprint, newest

    async with rt.autocommit() as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return [broken("tables", "there are none", "Run `footnote migrate`.")]
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        made_by = await connection.fetchval("SELECT obj_description('alembic_version'::regclass)")
    if revision > newest():
        remedy = "Run that release, or restore the backup from before the upgrade."
        return [broken("tables", f"a newer release made them ({revision} after {newest()})", remedy)]
    if made_by != fingerprint(rt.settings.tenant_role):
        return [broken("tables", f"they are not those of this release ({revision})", "Run `footnote migrate`.")]
    return [ok("tables", f"revision {revision}")]


async def versions(rt: Runtime) -> Iterator[Diagnosis]:
    async with rt.autocommit() as connection:
        found = await connection.fetchrow(_VERSIONS)
    return judged_versions(found["postgres"], found["said"], found["pgvector"])


def judged_versions(postgres: int, said: str, pgvector: str | None) -> Iterator[Diagnosis]:
    if postgres < LEAST_POSTGRES:
        yield broken("postgres version", said, f"Upgrade Postgres to {LEAST_POSTGRES} or newer.")
    if pgvector is None:
        yield broken("pgvector", "the extension is missing", "Have an administrator run `CREATE EXTENSION vector;`.")
    elif tuple(map(int, pgvector.split(".")[:2])) < LEAST_PGVECTOR:
        yield broken("pgvector", pgvector, "Install pgvector 0.8 or newer, then `ALTER EXTENSION vector UPDATE;`.")
    else:
        yield ok("pgvector", pgvector)


async def role(rt: Runtime) -> Iterable[Diagnosis]:
    name = rt.settings.tenant_role
    if not name:
        remedy = "Unset FOOTNOTE_TENANT_ROLE and run `footnote migrate`, unless you mean it so."
        return [warning("tenant role", "none: only the code keeps tenants apart", remedy)]
    async with rt.autocommit() as connection:
        found = await connection.fetchrow(_ROLE, name)
        may = found["there"] and await connection.fetchval("SELECT pg_has_role($1, 'member')", name)
    if may:
        return [ok("tenant role", name)]
    statements = f'CREATE ROLE "{name}" NOLOGIN; GRANT "{name}" TO "{found["user_name"]}";'
    lacks = "may not be taken on" if found["there"] else "is missing"
    return [broken("tenant role", f"{name} {lacks}", f"Run `{statements}`, then `footnote migrate`.")]


async def session(rt: Runtime) -> Iterable[Diagnosis]:
    """What a search is run with: a pooler may drop settings, and then rows are missing silently."""
    given = settings_of_transactions(rt.settings)
    wanted = {name: value for name, value in given.items() if not name.endswith("_timeout")}
    async with rt.transaction(**limits()) as opened:
        connection = await driver(opened)
        found = {name: await connection.fetchval("SELECT current_setting($1, true)", name) for name in wanted}
    wrong = ", ".join(f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name])
    if wrong:
        remedy = "A pooler drops our settings: see docs/scaling.md, or connect to Postgres directly."
        return [broken("settings of a search", wrong, remedy)]
    return [ok("settings of a search", "as wanted")]


async def connections(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        found = await connection.fetchrow(_CONNECTIONS)
    alive = await workers.alive(rt.shared)
    slots = max(alive.slots if alive else 0, rt.settings.worker_concurrency)
    # One more of each API process, while streams of events are open.
    api, of_slots = rt.settings.api_workers * (rt.settings.api_connections + 1), slots * rt.settings.worker_connections
    wanted = api + of_slots + DISPATCHER_CONNECTIONS + RESERVED
    said = f"{found['used']} of {found['most']} in use; this API, {slots} slots and a dispatcher take {wanted} at most"
    if wanted > found["most"]:
        remedy = f"Set max_connections = {-(-wanted // 50) * 50}, or start fewer processes (WEB_CONCURRENCY)."
        return [broken("connections", said, remedy)]
    return [ok("connections", said)]


async def indexes(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        found = await connection.fetch(_INDEXES)
        building = await connection.fetchval(_BUILDING)
    invalid = [each["name"] for each in found if not each["valid"]]
    if invalid and not building:
        remedy = (
            f"Run `REINDEX INDEX CONCURRENTLY {invalid[0]};` if `footnote dispatcher` does not build it in minutes."
        )
        return [broken("indexes", f"not valid: {', '.join(invalid)}", remedy)]
    vectors = sum(each["bytes"] for each in found if each["hnsw"])
    return [ok("indexes", f"{len(found)} valid"), judged_memory(vectors, memory.of_machine())]


def judged_memory(vectors: int, installed: int) -> Diagnosis:
    said = f"{size(vectors)} of vector indexes; this machine has {size(installed)} of memory"
    if vectors > installed / 2:
        return warning("memory", said, "If Postgres runs here, give it more memory: searches read the index from disk.")
    return ok("memory", said)


async def tables(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        dead = await connection.fetch(_DEAD, DEAD_ROWS, DEAD_SHARE)
        bytes_ = await connection.fetchval("SELECT pg_database_size(current_database())")
    if dead:
        said = ", ".join(f"{each['name']} ({each['dead']} dead rows beside {each['live']})" for each in dead)
        remedy = f"Run `VACUUM (ANALYZE) {dead[0]['name']};` and see that autovacuum is on."
        return [warning("dead rows", said, remedy)]
    return [ok("dead rows", f"few; the database has {size(bytes_)}")]


async def transactions(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        oldest: Any = await connection.fetchrow(_OLDEST)
    if oldest and oldest["seconds"] > LONG_SECONDS:
        remedy = (
            f"Find out what it is, or run `SELECT pg_terminate_backend({oldest['pid']});`: no dead row goes before."
        )
        said = f"one has been open for {age(oldest['seconds'])} ({oldest['state']})"
        return [broken("transactions", said, remedy)]
    return [ok("transactions", "none is old")]
