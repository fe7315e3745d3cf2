"""The HNSW index of second vectors in a space: built when a swap has filled it, dropped when no swap needs it."""

from footnote.database.engine import connect
from footnote.embeddings.vector_index import LONGEST_BUILD, WORTHWHILE
from footnote.models import EmbeddingSpace
from footnote.runtime import Runtime
from footnote.telemetry import log

LOCK = 0x7365636F6E64  # "second": one process builds or drops at a time

_ENOUGH = "SELECT count(*) >= $2 FROM (SELECT FROM chunk_vector WHERE space_id = $1 LIMIT $2) AS counted"
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
_IN_USE = """
SELECT EXISTS (SELECT FROM model_swap WHERE ended_at IS NULL AND $1 IN (from_space_id, to_space_id))
"""


def _name(space_id: int) -> str:
    return f"ix_chunk_vector_embedding_space_{space_id}"


async def build(rt: Runtime, space: EmbeddingSpace) -> None:
    """Builds the index beside the work, if the space has second vectors enough for one and it is not there."""
    async with rt.glance() as looking:
        if not await looking.fetchval(_ENOUGH, space.id, WORTHWHILE):
            return
    connection = await connect(rt.settings, statement_seconds=LONGEST_BUILD)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        if await connection.fetchval(_IS_VALID, _name(space.id)):
            return
        log.info("building an index of second vectors", space_id=space.id)
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_name(space.id)}")  # of a build that was killed
        await connection.execute(
            f"CREATE INDEX CONCURRENTLY {_name(space.id)} ON chunk_vector "
            f"USING hnsw ((embedding::halfvec({space.dimensions})) halfvec_cosine_ops) "
            f"WITH (m = 16, ef_construction = 64) WHERE space_id = {space.id}"
        )
    finally:
        connection.terminate()


async def drop(rt: Runtime, *space_ids: int) -> None:
    """Drops the indexes of the spaces in which no swap that goes on has second vectors."""
    connection = await connect(rt.settings, statement_seconds=LONGEST_BUILD)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        for space_id in space_ids:
            if not await connection.fetchval(_IN_USE, space_id):
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_name(space_id)}")
    finally:
        connection.terminate()
