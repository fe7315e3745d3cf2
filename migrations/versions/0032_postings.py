"""The keyword leg searches postings; the index on `chunk.tsv` and the statistics of large collections go.

Revision ID: 0032
Revises: 0031
"""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: None = None
depends_on: None = None

BATCH = 500  # versions that are filled in one transaction

# No reference to other tables: triggers on `chunk` remove the rows, and need to find the blocks when they do. Pages
# are vacuumed early: search reads the index alone where a page's rows are known to be visible to all.
_TABLES = """
CREATE SEQUENCE posting_block_number
;
CREATE TABLE posting_block (
    number integer NOT NULL CONSTRAINT pk_posting_block PRIMARY KEY,
    version_id varchar(40) NOT NULL, tenant_id varchar(40) NOT NULL, collection_id varchar(40) NOT NULL,
    document_id varchar(40) NOT NULL,
    first_position integer NOT NULL, last_position integer NOT NULL,
    chunks integer NOT NULL, words integer NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05)
;
CREATE INDEX ix_posting_block_document_id_version_id ON posting_block (document_id, version_id)
;
CREATE INDEX ix_posting_block_collection_id_number ON posting_block (collection_id, number)
    INCLUDE (tenant_id, chunks, words)
;
CREATE TABLE posting (
    key bigint NOT NULL,
    block integer NOT NULL,
    chunks bytea NOT NULL,
    CONSTRAINT pk_posting PRIMARY KEY (key, block) INCLUDE (chunks)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05)
;
CREATE FUNCTION posting_key(tenant text, collection text, lexeme text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended(lexeme, hashtextextended(collection, hashtextextended(tenant, 0)))
;
CREATE VIEW posting_block_of_tenant AS
    SELECT * FROM posting_block WHERE tenant_id = current_setting('footnote.tenant', true)
"""

# 2654435769 is 2^32 divided by the golden ratio: its multiples modulo 2^32 are all different, and lie evenly. No joins:
# the plan is made once a connection, and must do for one chunk and for thousands.
_POST = """
    WITH given AS MATERIALIZED (
        SELECT *, max(fresh) OVER part AS number, min(position) OVER part AS first_position
        FROM (
            SELECT version_id, tenant_id, collection_id, document_id, position, words, tsv, position >> 8 AS place,
                   CASE WHEN row_number() OVER (PARTITION BY version_id, position >> 8) = 1
                        THEN CAST((nextval('posting_block_number') * 2654435769 & 4294967295) - 2147483648 AS integer)
                   END AS fresh
            FROM {source}
        ) AS chunk
        WINDOW part AS (PARTITION BY version_id, place)
    ),
    block AS (
        INSERT INTO posting_block
        SELECT number, version_id, tenant_id, collection_id, document_id, first_position, max(position), count(*),
               sum(words)
        FROM given GROUP BY 1, 2, 3, 4, 5, 6
    )
    INSERT INTO posting
    SELECT posting_key(g.tenant_id, g.collection_id, l.lexeme), g.number, string_agg(substr(int4send(
               ((g.position - g.first_position) << 16) + (least(coalesce(cardinality(l.positions), 1), 255) << 8)
               + least(CAST(16 / ln(CAST(2 AS float8)) * ln(CAST(greatest(g.words, 1) AS float8)) AS integer), 255)
           ), 2), '')
    FROM given g, unnest(g.tsv) AS l GROUP BY 1, 2;
"""

# The same identifiers as before, in a quarter of the time: what lies between spaces is matched only if it has a digit,
# `_`, `@`, `/` or a dot. A downgrade leaves it.
_IDENTIFIERS = r"""
CREATE OR REPLACE FUNCTION identifiers(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT lower(found[1])), '{}')
    FROM string_to_table(given, ' ') AS piece, LATERAL (
        SELECT regexp_matches(piece, '([[:alnum:]](?:[[:alnum:]_.@:/#+~\-]*[[:alnum:]])?)', 'g')
        UNION ALL
        SELECT regexp_matches(piece, '([[:alnum:]](?:[[:alnum:]_.+~\-]*[[:alnum:]])?)', 'g')
    ) AS token(found)
    WHERE piece <> translate(piece, '0123456789_@/.', '') AND length(found[1]) <= 100
      AND found[1] ~ '[0-9].*[^0-9]|[^0-9].*[0-9]|[_@/]|[[:alnum:]]{2}\.[[:alnum:]]{2}|[0-9]{6}'
$$
"""

# Runs as the owner: a tenant reads postings through the views, and writes none but by writing chunks.
_FUNCTIONS = f"""
CREATE FUNCTION chunk_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    {_POST.format(source="added")}
    RETURN NULL;
END $$
;
CREATE FUNCTION post_versions(versions text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    {_POST.format(source="chunk WHERE version_id = ANY (versions)")}
END $$
;
-- A version's chunks come and go together; if only some go, or change, those that stay are posted again.
CREATE FUNCTION chunk_removed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
DECLARE versions text[];
BEGIN
    versions := ARRAY(SELECT DISTINCT version_id FROM removed);
    DELETE FROM posting p USING (
        SELECT DISTINCT posting_key(c.tenant_id, c.collection_id, l.lexeme) AS key, b.number
        FROM (
            SELECT version_id, tenant_id, collection_id, document_id, position, tsv FROM removed
            UNION ALL
            SELECT version_id, tenant_id, collection_id, document_id, position, tsv
            FROM chunk WHERE version_id = ANY (versions)
        ) AS c
        JOIN posting_block b ON b.document_id = c.document_id AND b.version_id = c.version_id
             AND c.position BETWEEN b.first_position AND b.last_position, unnest(c.tsv) AS l
    ) AS held WHERE p.key = held.key AND p.block = held.number;
    DELETE FROM posting_block b USING removed r WHERE b.document_id = r.document_id AND b.version_id = r.version_id;
    PERFORM post_versions(versions) WHERE EXISTS (SELECT FROM chunk WHERE version_id = ANY (versions));
    RETURN NULL;
END $$
"""  # noqa: S608  constants

_TRIGGERS = """
CREATE TRIGGER added AFTER INSERT ON chunk REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION chunk_added()
;
CREATE TRIGGER removed AFTER DELETE ON chunk REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION chunk_removed()
;
CREATE TRIGGER changed AFTER UPDATE ON chunk REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION chunk_removed()
"""

_BEFORE = """
CREATE INDEX ix_chunk_tsv ON chunk USING gin (tsv)
;
CREATE TABLE corpus (
    collection_id varchar(40) CONSTRAINT pk_corpus PRIMARY KEY
        CONSTRAINT fk_corpus_collection_id_collection REFERENCES collection ON DELETE CASCADE,
    tenant_id varchar(40) NOT NULL CONSTRAINT fk_corpus_tenant_id_tenant REFERENCES tenant ON DELETE CASCADE,
    chunks bigint NOT NULL, words float8 NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now()
)
;
CREATE TABLE frequent_lexeme (
    collection_id varchar(40) NOT NULL
        CONSTRAINT fk_frequent_lexeme_collection_id_corpus REFERENCES corpus ON DELETE CASCADE,
    lexeme text NOT NULL,
    tenant_id varchar(40) NOT NULL CONSTRAINT fk_frequent_lexeme_tenant_id_tenant REFERENCES tenant ON DELETE CASCADE,
    share real NOT NULL,
    CONSTRAINT pk_frequent_lexeme PRIMARY KEY (collection_id, lexeme)
)
"""

# Who replaces or deletes a document locks it first. What a trigger has posted meanwhile is left out.
_FILL_BATCH = """
SELECT post_versions(ARRAY(
    SELECT v.id FROM version v JOIN document d ON d.id = v.document_id AND d.active_version_id = v.id
    WHERE v.id = ANY (:versions)
      AND NOT EXISTS (SELECT FROM posting_block b WHERE b.document_id = d.id AND b.version_id = v.id)
    FOR SHARE OF d {wait}
))
"""
_LEFT = """
SELECT v.id FROM version v JOIN document d ON d.id = v.document_id AND d.active_version_id = v.id
WHERE EXISTS (SELECT FROM chunk c WHERE c.version_id = v.id)
  AND NOT EXISTS (SELECT FROM posting_block b WHERE b.document_id = d.id AND b.version_id = v.id)
"""


def upgrade() -> None:
    """Chunks that are there already are posted in batches, each in a transaction of its own: uploads and searches of
    the release before go on meanwhile. The lock on `chunk` is held for as long as three triggers take to make.
    """
    if op.get_bind().scalar(text("SELECT to_regclass('posting')")) is None:  # else an upgrade was interrupted
        _execute(_IDENTIFIERS, _TABLES, _FUNCTIONS, _TRIGGERS)
    with op.get_context().autocommit_block():
        _fill()
        op.execute("VACUUM ANALYZE posting, posting_block")
    _execute("DROP INDEX ix_chunk_tsv", "DROP TABLE frequent_lexeme", "DROP TABLE corpus")


def downgrade() -> None:
    _execute(_BEFORE, *(f"DROP TRIGGER {name} ON chunk" for name in ("added", "removed", "changed")))
    _execute("DROP VIEW posting_block_of_tenant", "DROP TABLE posting, posting_block")
    _execute("DROP FUNCTION chunk_added, chunk_removed, post_versions, posting_key")
    _execute("DROP SEQUENCE posting_block_number")


def _execute(*scripts: str) -> None:
    for script in scripts:
        for statement in script.split("\n;\n"):
            op.get_bind().exec_driver_sql(statement)


def _fill() -> None:
    """Passes over documents that are locked at that moment, and comes back to them one by one: it never waits for one
    lock while it holds another.
    """
    left: Sequence[str] = op.get_bind().scalars(text(_LEFT)).all()
    for start in range(0, len(left), BATCH):
        _post(left[start : start + BATCH], "SKIP LOCKED")
    for version in op.get_bind().scalars(text(_LEFT)).all():
        _post([version], "")


def _post(versions: Sequence[str], wait: str) -> None:
    op.get_bind().execute(text(_FILL_BATCH.format(wait=wait)), {"versions": list(versions)})
