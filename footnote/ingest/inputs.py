"""The rows that a step works on, and the document's title."""

import re
from pathlib import Path

from footnote.jobs import Claim
from footnote.models import Collection, Document, Version
from footnote.runtime import Runtime


async def version_and_collection(rt: Runtime, claim: Claim) -> tuple[Version, Collection]:
    async with rt.transaction() as session:
        version = await session.get_one(Version, claim.version_id)
        document = await session.get_one(Document, claim.document_id)
        return version, await session.get_one(Collection, document.collection_id)


def title(filename: str) -> str:
    """What the document is called, in words: `3M_2018_10K.pdf` is `3M 2018 10K`."""
    return re.sub(r"[_\s]+", " ", Path(filename).stem).strip()
