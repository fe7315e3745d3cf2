"""How far the documents of collections and of batches are, counted by their jobs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.documents.reading import DocumentDetails
from footnote.jobs import UNFINISHED
from footnote.tenancy import tallies
from footnote.tenancy.tallies import DocumentTally

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
_ENDED: dict[str, FileStatus] = {"succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}
STATES: dict[FileStatus, Sequence[str]] = {
    "in_progress": UNFINISHED,
    "completed": ("succeeded",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}


@dataclass(frozen=True)
class FileCounts:
    """How many files are in each status; `bytes` are those of the documents, as stored."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    bytes: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


def status_of(details: DocumentDetails) -> FileStatus:
    """A document that queries see is completed, also while it is re-ingested because its collection changed."""
    if details.job.reingestion and details.document.active_version_id is not None:
        return "completed"
    return _ENDED.get(details.job.state, "in_progress")


# As `status_of` has it, in the words of jobs.
STATE = (
    "CASE WHEN job.reingestion AND document.active_version_id IS NOT NULL THEN 'succeeded' "
    "WHEN job.state IN ('queued', 'running', 'waiting') THEN 'queued' ELSE job.state END"
)
# Of the documents only those that are not completed: what is left of the tally is. Of batches what is no document: it
# waits, or could not be attached, unless the file has been attached otherwise since.
_OF_COLLECTIONS = f"""
SELECT document.collection_id, {STATE} AS state, true AS is_document, count(*)
FROM job JOIN document ON document.id = job.document_id AND document.job_id = job.id
WHERE job.tenant_id = $1 AND job.state IN ('queued', 'running', 'waiting', 'failed', 'cancelled')
  AND document.collection_id = ANY($2::text[])
GROUP BY 1, 2
UNION ALL
SELECT b.collection_id, {{}} AS state, false, count(*)
FROM file_batch b JOIN file_batch_item i ON i.batch_id = b.id AND i.document_id IS NULL
WHERE b.tenant_id = $1 AND b.collection_id = ANY($2::text[])
  AND NOT EXISTS (SELECT FROM document d WHERE d.collection_id = b.collection_id AND d.file_id = i.file_id)
GROUP BY 1, 2
"""  # noqa: S608  constants
ITEM_STATE = (
    "CASE WHEN i.error IS NOT NULL THEN 'failed' WHEN b.cancelled_at IS NOT NULL THEN 'cancelled' ELSE 'queued' END"
)
_OF_COLLECTIONS = _OF_COLLECTIONS.format(ITEM_STATE)
_OF_BATCH = f"""
SELECT CASE WHEN i.document_id IS NULL THEN {ITEM_STATE} ELSE {STATE} END AS state, count(*)
FROM file_batch b JOIN file_batch_item i ON i.batch_id = b.id
LEFT JOIN document ON document.id = i.document_id LEFT JOIN job ON job.id = document.job_id
WHERE b.tenant_id = $1 AND b.id = $2 GROUP BY 1
"""  # noqa: S608  constants


async def of_collections(session: AsyncSession, collection_ids: Sequence[str]) -> dict[str, FileCounts]:
    """By id, for each of them."""
    rows = await (await driver(session)).fetch(_OF_COLLECTIONS, tenant_of(session), list(collection_ids))
    held = await tallies.of_collections(session, collection_ids)
    found: dict[str, Counter[str]] = {each: Counter() for each in collection_ids}
    for collection_id, state, is_document, number in rows:
        found[collection_id][state] += number
        found[collection_id]["documents"] += number if is_document and state != "succeeded" else 0
    counts = {}
    for each, states in found.items():
        tally = held.get(each, DocumentTally())
        states["succeeded"] = tally.documents - states.pop("documents", 0)
        counts[each] = _counts(states, tally.bytes)
    return counts


async def of_batch(session: AsyncSession, batch_id: str) -> FileCounts:
    rows = await (await driver(session)).fetch(_OF_BATCH, tenant_of(session), batch_id)
    return _counts(dict(rows))


def _counts(states: "dict[str, int] | Counter[str]", size: int = 0) -> FileCounts:
    def number(state: str) -> int:
        return states.get(state, 0)

    return FileCounts(number("queued"), number("succeeded"), number("failed"), number("cancelled"), size)
