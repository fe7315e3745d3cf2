"""The rows that a step works on, and the document's title."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.formats import is_container
from footnote.jobs import LARGE_BYTES, STEPS, Claim
from footnote.models import Collection, Document, Version
from footnote.runtime import Runtime


async def version_and_collection(rt: Runtime, claim: Claim) -> tuple[Version, Collection]:
    async with rt.transaction() as session:
        version = await session.get_one(Version, claim.version_id)
        document = await session.get_one(Document, claim.document_id)
        return version, await session.get_one(Collection, document.collection_id)


@dataclass(frozen=True)
class Subject:
    """A document whose steps may follow each other in one run. The rows belong to no session."""

    version: Version  # with chunking and language as the document or the collection has them
    collection: Collection
    new: bool  # nothing was stored of the document before


_SUBJECT = """
SELECT v.id, v.tenant_id, v.document_id, v.filename, v.media_type, v.bytes, v.object_key, v.key_id,
       c.id AS collection_id, c.name, coalesce(d.chunking, c.chunking) AS chunking,
       CAST(c.language AS text) AS language, c.embedding_provider, c.embedding_model,
       NOT EXISTS (SELECT FROM version AS other WHERE other.document_id = d.id AND other.id <> v.id)
       AND NOT EXISTS (SELECT FROM embedding WHERE embedding.document_id = d.id) AS new
FROM version AS v JOIN document AS d ON d.id = v.document_id JOIN collection AS c ON c.id = d.collection_id
WHERE v.id = $1 AND v.object_key IS NOT NULL AND v.media_type <> '' AND v.bytes < $2 AND c.standby_space_id IS NULL
  AND NOT EXISTS (SELECT FROM artifact WHERE artifact.version_id = v.id)
"""


async def subject(session: AsyncSession, claim: Claim) -> Subject | None:
    """None: the steps must be apart.

    The document is large, a container, of no known type, to be fetched, or read in part already; its collection's model
    is being swapped; or its worker crashed before: then what was finished must be stored before the next step begins,
    or its crashes could not be counted.
    """
    if claim.step != STEPS[0] or claim.attempts > 1:
        return None
    row = await (await driver(session)).fetchrow(_SUBJECT, claim.version_id, LARGE_BYTES)
    if row is None or is_container(row["media_type"]):
        return None
    found = dict(row)
    new, name, chunking = found.pop("new"), found.pop("name"), found.pop("chunking")
    model = {name: found.pop(name) for name in ("embedding_provider", "embedding_model")}
    collection = Collection(id=found.pop("collection_id"), tenant_id=claim.tenant_id, name=name, **model)
    return Subject(Version(**found, chunking=chunking), collection, new)


@lru_cache(maxsize=1024)
def title(filename: str) -> str:
    """What the document is called, in words: `3M_2018_10K.pdf` is `3M 2018 10K`."""
    return re.sub(r"[_\s]+", " ", Path(filename).stem).strip()
