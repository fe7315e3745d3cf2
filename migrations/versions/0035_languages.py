"""Words in scripts that put no space between them, languages of documents, and what the cosines of a model are worth.

New collections have their documents stemmed in the language that each is in; those that there are stay as they are.

Chunks in such scripts are indexed again by pairs of letters, beside the work: a document is locked for as long as its
own chunks take. What is done already stays as it is if an interrupted upgrade is repeated.

Revision ID: 0035
Revises: 0034
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import text

from footnote.text import UNSPACED, searched

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: None = None
depends_on: None = None

BATCH = 50  # versions that are indexed again in one transaction

# A collection's language, by name. No text is stemmed by it: it says that each document's own language is told.
_AUTO = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_ts_config WHERE cfgname = 'auto' AND pg_ts_config_is_visible(oid)) THEN
        CREATE TEXT SEARCH CONFIGURATION auto (COPY = english);
    END IF;
END $$
"""
_UNSPACED = "SELECT DISTINCT version_id FROM chunk WHERE text ~ :unspaced OR context ~ :unspaced"
_CHUNKS = "SELECT version_id, position, context, text FROM chunk WHERE version_id = ANY (:versions)"
# Who replaces or deletes a document locks it first. The text of a version's chunks never changes.
_INDEX = """
WITH held AS MATERIALIZED (
    SELECT v.id FROM version v JOIN document d ON d.id = v.document_id AND d.active_version_id = v.id
    WHERE v.id = ANY (:versions) FOR SHARE OF d {wait}
), given AS (
    SELECT c.version_id, c.position, row.words,
           to_tsvector(c.language, row.searched) || array_to_tsvector(identifiers(row.searched)) AS tsv
    FROM unnest(CAST(:of_versions AS text[]), CAST(:positions AS int[]), CAST(:texts AS text[]), CAST(:words AS int[]))
         AS row(version_id, position, searched, words)
    JOIN chunk c ON c.version_id = row.version_id AND c.position = row.position
    WHERE c.version_id IN (SELECT id FROM held)
), changed AS (
    UPDATE chunk SET tsv = given.tsv, words = given.words FROM given
    WHERE chunk.version_id = given.version_id AND chunk.position = given.position AND chunk.tsv <> given.tsv
)
SELECT id FROM held
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE embedding_space ADD COLUMN IF NOT EXISTS noise real")
        op.execute("ALTER TABLE embedding_space ADD COLUMN IF NOT EXISTS related real")
        op.execute(_AUTO)
        op.execute("ALTER TABLE collection ALTER language SET DEFAULT 'auto'")
        _index_again()


def _index_again() -> None:
    """Passes over documents that are locked at that moment, and comes back to them one by one."""
    versions = op.get_bind().scalars(text(_UNSPACED), {"unspaced": f"[{UNSPACED}]"}).all()
    left: list[str] = []
    for start in range(0, len(versions), BATCH):
        batch = versions[start : start + BATCH]
        left += set(batch) - _index(batch, "SKIP LOCKED")
    for version in left:
        _index([version], "")


def _index(versions: Sequence[str], wait: str) -> set[str]:
    """Those of the versions that were not locked."""
    rows = op.get_bind().execute(text(_CHUNKS), {"versions": list(versions)}).all()
    texts = [(searched(row.context), searched(row.text)) for row in rows]
    values: dict[str, Any] = {
        "versions": list(versions),
        "of_versions": [row.version_id for row in rows],
        "positions": [row.position for row in rows],
        "texts": ["\n".join(each) for each in texts],
        "words": [len(body.split()) for _, body in texts],
    }
    return set(op.get_bind().scalars(text(_INDEX.format(wait=wait)), values).all())


def downgrade() -> None:
    """The release before does not find the words of such scripts until their documents are ingested again."""
    op.execute("ALTER TABLE embedding_space DROP COLUMN noise, DROP COLUMN related")
    op.execute("ALTER TABLE collection ALTER language SET DEFAULT 'english'")
    op.execute("UPDATE collection SET language = 'english' WHERE language = CAST('auto' AS regconfig)")
    op.execute("UPDATE version SET language = 'english' WHERE language = CAST('auto' AS regconfig)")
    op.execute("DROP TEXT SEARCH CONFIGURATION auto")
