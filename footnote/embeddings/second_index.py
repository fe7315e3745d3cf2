"""The HNSW index of second vectors in a space: built when a swap has filled it, dropped when no swap needs it."""

from footnote.embeddings.vector_index import WORTHWHILE, building, create, name_of, yield_to_searches
from footnote.models import EmbeddingSpace, ModelSwap
from footnote.runtime import Runtime
from footnote.telemetry import log

TABLE = "chunk_vector"
_ENOUGH = "SELECT count(*) >= $2 FROM (SELECT FROM chunk_vector WHERE space_id = $1 LIMIT $2) AS counted"
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
_IN_USE = """
SELECT EXISTS (SELECT FROM model_swap WHERE ended_at IS NULL AND id <> $2 AND $1 IN (from_space_id, to_space_id))
"""


async def build(rt: Runtime, space: EmbeddingSpace) -> bool:
    """Builds the index beside the work, if the space has second vectors enough for one and it is not there.

    False while another index is being built: then to be tried again.
    """
    name = name_of(TABLE, space.id)
    async with rt.glance() as looking:
        if not await looking.fetchval(_ENOUGH, space.id, WORTHWHILE) or await looking.fetchval(_IS_VALID, name):
            return True
    async with building(rt) as connection:
        if connection is None:
            return False
        log.info("building an index of second vectors", space_id=space.id)
        yield_to_searches(connection)
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # of a build that was killed
        await connection.execute(create(TABLE, space.id, space.dimensions, "CONCURRENTLY"))
        return True


async def drop(rt: Runtime, swap: ModelSwap) -> bool:
    """Drops the indexes of the swap's spaces, where no other swap that goes on has second vectors.

    False while an index is being built: then to be tried again.
    """
    async with building(rt) as connection:
        if connection is None:
            return False
        for space_id in (swap.from_space_id, swap.to_space_id):
            if not await connection.fetchval(_IN_USE, space_id, swap.id):
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name_of(TABLE, space_id)}")
        return True
