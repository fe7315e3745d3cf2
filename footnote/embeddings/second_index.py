"""The HNSW index of second vectors in a space: built when a swap has filled it, dropped when no swap needs it."""

from footnote.embeddings.vector_index import WORTHWHILE, building, create, name_of, yield_to_searches
from footnote.models import EmbeddingSpace
from footnote.runtime import Runtime
from footnote.telemetry import log

TABLE = "chunk_vector"
_NAMES = name_of(TABLE, "")
_ENOUGH = "SELECT count(*) >= $2 FROM (SELECT FROM chunk_vector WHERE space_id = $1 LIMIT $2) AS counted"
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
# Of a collection that is being deleted, the swap does not continue.
_UNUSED = """
SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'chunk_vector'::regclass AND starts_with(relname, $1) AND NOT EXISTS (
    SELECT FROM model_swap JOIN collection ON collection.id = collection_id
    WHERE ended_at IS NULL AND deleted_at IS NULL AND model_swap.id <> $2
      AND substr(relname, length($1) + 1) IN (CAST(from_space_id AS text), CAST(to_space_id AS text))
)
"""


async def build(rt: Runtime, space: EmbeddingSpace) -> bool:
    """Builds the index in the background, if the space has enough second vectors and no index yet.

    False while another index is being built: then to be tried again.
    """
    name = name_of(TABLE, space.id)
    async with rt.autocommit() as looking:
        if not await looking.fetchval(_ENOUGH, space.id, WORTHWHILE) or await looking.fetchval(_IS_VALID, name):
            return True
    async with building(rt) as connection:
        if connection is None:
            return False
        log.info("building a vector index of second vectors", space_id=space.id)
        yield_to_searches(connection)
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # of a build that was killed
        await connection.execute(create(TABLE, space.id, space.dimensions, "CONCURRENTLY"))
        return True


async def drop(rt: Runtime, swap_id: str) -> bool:
    """Drops the indexes that only this swap needs, which ends, and those that none needs.

    False while an index is being built: then to be tried again.
    """
    async with rt.autocommit() as looking:
        if not await looking.fetch(_UNUSED, _NAMES, swap_id):
            return True
    async with building(rt) as connection:
        if connection is None:
            return False
        for unused in await connection.fetch(_UNUSED, _NAMES, swap_id):
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {unused['relname']}")
        return True
