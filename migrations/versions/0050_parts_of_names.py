"""An index of the parts of documents' names, for lists by a part of a name.

Built beside the work: nothing is rewritten or locked.

Revision ID: 0050
Revises: 0049
"""

from alembic import op

revision: str = "0050"
down_revision: str | None = "0049"
branch_labels: None = None
depends_on: None = None

NAME = "ix_document_name_parts"

# A name is indexed by the three characters at each of its places; there are fewer at its end. So a part of one or two
# characters is the beginning of such a piece. The tenant is in front: what others call their documents is not read.
# The lower case is Postgres' own in the index and in the question, as in the comparison that follows (ILIKE).
FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION name_parts(tenant text, filename text, external_id text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_agg(DISTINCT (SELECT left(md5(tenant), 8)) || substr(name, place, 3)))
    FROM (SELECT lower(filename) UNION SELECT lower(external_id)) AS named(name),
         generate_series(1, length(name)) AS place
$$
""",
    """
CREATE OR REPLACE FUNCTION name_part(tenant text, part text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CAST(string_agg(
        '''' || replace(replace(left(md5(tenant), 8) || substr(folded, place, 3), '\\', '\\\\'), '''', '''''')
        || CASE WHEN length(folded) < 3 THEN ''':*' ELSE '''' END, ' & ') AS tsquery)
    FROM lower(part) AS folded, generate_series(1, greatest(1, length(folded) - 2)) AS place
$$
""",
)


def upgrade() -> None:
    for function in FUNCTIONS:
        op.execute(function)
    with op.get_context().autocommit_block():
        # What is added waits in a list, which every search reads: a short one.
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON document "
            "USING gin (name_parts(tenant_id, filename, external_id)) WITH (gin_pending_list_limit = 128)"
        )


def downgrade() -> None:
    op.execute(f"DROP INDEX IF EXISTS {NAME}")
    op.execute("DROP FUNCTION IF EXISTS name_parts, name_part")
