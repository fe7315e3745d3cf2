"""The tenant wall in Postgres: row-level security, and the role that is subject to it.

Built after every migration, so that no table can be forgotten: whichever has a column `tenant_id` gets the policy.
The owner of the tables is not subject to it: the dispatcher, housekeeping and the look-up of keys see all tenants.
"""

import json

from sqlalchemy import Connection, text

from migrations import rights

# Tables of no tenant that a request or a step needs, and what for; `unowned_object` holds random keys without a text,
# `posting` hashes and counts: what they are about stands in `posting_block`.
SHARED = {
    "backup": "SELECT",
    "embedding_space": "SELECT",
    "pause": "SELECT",
    "posting": "SELECT",
    "unowned_object": "SELECT, INSERT, UPDATE, DELETE",
}
# Tables of tenants in which they do not do everything; to lock a tenant takes the right to write something of it.
LIMITED = {
    "tenant": "SELECT, UPDATE (id)",
    "posting_block": "SELECT",
    "audit_event": "SELECT, INSERT",
    "tally": "SELECT",
    "tally_change": "SELECT, INSERT",
    "vocabulary": "SELECT, INSERT",
    "vocabulary_removal": "SELECT",
}

# Only what is missing: a policy locks its table, and every replica that starts comes by here.
_POLICIES = """
DO $$
DECLARE walled record;
BEGIN
    FOR walled IN
        SELECT c.oid::regclass AS name, a.attname AS tenant
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
          AND (a.attname = 'tenant_id' OR c.relname = 'tenant' AND a.attname = 'id')
          AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', walled.name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON %s USING (%I = current_setting(''footnote.tenant'', true))',
            walled.name, walled.tenant
        );
    END LOOP;
END $$
"""

_GRANTS = """
DO $$
DECLARE
    role text := current_setting('footnote.role');
    granted jsonb := current_setting('footnote.granted');
    found record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
    FOR found IN
        SELECT c.oid::regclass AS name,
               coalesce(granted ->> c.relname, CASE WHEN c.relkind = 'v' THEN 'SELECT' END,
                        'SELECT, INSERT, UPDATE, DELETE') AS privileges
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace
          AND (c.relkind = 'r' AND c.relrowsecurity OR granted ? c.relname
               OR c.relkind = 'v' AND c.relname LIKE '%\\_of\\_tenant')
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', found.privileges, found.name, role);
    END LOOP;
END $$
"""


def build(connection: Connection, role: str) -> None:
    """What is missing of policies, role and privileges; without a `role` only the policies, which then bind nobody.

    Raises Invalid if the role is not there and cannot be made.
    """
    connection.execute(text(_POLICIES))
    if not role:
        return
    granted = json.dumps(SHARED | LIMITED)
    rights.ensure(connection, role)
    settings = "SELECT set_config('footnote.role', :role, true), set_config('footnote.granted', :granted, true)"
    connection.execute(text(settings), {"role": role, "granted": granted})
    connection.execute(text(_GRANTS))
