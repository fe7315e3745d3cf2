"""What the tables need beside them: pgvector, a schema, the role of tenants. What a user may not make is said at once.

Whether it may is found out by trying: providers let users make extensions and roles by rules of their own.
"""

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from footnote.errors import Invalid

INSUFFICIENT_PRIVILEGE = "42501"
NOT_INSTALLED = ("0A000", "58P01")

_FOUND = """
SELECT current_user, current_database(), coalesce(current_schema(), 'public'),
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
    EXISTS (SELECT FROM pg_roles WHERE rolname = :role)
"""
_OUTDATED = "SELECT string_to_array(extversion, '.')::int[] < '{0,8}' FROM pg_extension WHERE extname = 'vector'"
_NAME_ROLE = "SELECT set_config('footnote.role', :role, true)"
_ROLE = """
DO $$
DECLARE role text := current_setting('footnote.role');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN  -- another database of the server was faster
            NULL;
        END;
    END IF;
    BEGIN
        PERFORM set_config('role', role, true), set_config('role', 'none', true);
    EXCEPTION WHEN insufficient_privilege THEN
        EXECUTE format('GRANT %I TO CURRENT_USER', role);
    END;
END $$
"""

_LACKING = (
    "The user {user} may not prepare the database {database}. Have an administrator run there `{statements};` "
    "and migrate again."
)
_WITHOUT_ROLE = (
    " Or go without row-level security, the second wall between tenants, which needs the role: FOOTNOTE_TENANT_ROLE= "
    "(empty)."
)
_NO_VECTOR = (
    "The server of the database has no pgvector. Install it there (on Debian the package postgresql-NN-pgvector, NN "
    "being the version of Postgres) and migrate again."
)


def ensure(connection: Connection, role: str) -> None:
    """Makes what is missing. `role`: that of tenants; empty: none is needed.

    Raises Invalid with all statements that an administrator has to run instead. Then nothing was made.
    """
    user, database, schema, may_create, has_role = connection.execute(text(_FOUND), {"role": role}).one()
    lacking = _of_vector(connection)
    if not may_create:
        lacking.append(f"GRANT USAGE, CREATE ON SCHEMA {_quoted(schema)} TO {_quoted(user)}")
    of_role = [] if not role or _may_have(connection, role) else [f"GRANT {_quoted(role)} TO {_quoted(user)}"]
    if of_role and not has_role:
        of_role.insert(0, f"CREATE ROLE {_quoted(role)} NOLOGIN")
    if lacking or of_role:
        connection.rollback()
        told = _LACKING.format(user=user, database=database, statements="; ".join(lacking + of_role))
        raise Invalid("bad_database", told + _WITHOUT_ROLE * bool(of_role))


def _of_vector(connection: Connection) -> list[str]:
    try:
        if not _may(connection, "CREATE EXTENSION IF NOT EXISTS vector"):
            return ["CREATE EXTENSION vector"]
    except DBAPIError as error:
        if _state(error) in NOT_INSTALLED:
            raise Invalid("bad_database", _NO_VECTOR) from error
        raise
    return ["ALTER EXTENSION vector UPDATE"] if connection.scalar(text(_OUTDATED)) else []


def _may_have(connection: Connection, role: str) -> bool:
    connection.execute(text(_NAME_ROLE), {"role": role})
    return _may(connection, _ROLE)


def _may(connection: Connection, statement: str) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except DBAPIError as error:
        if _state(error) != INSUFFICIENT_PRIVILEGE:
            raise
        return False
    return True


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
