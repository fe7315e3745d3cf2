"""What must hold in the end: every accepted document there, once, whole, and told of once."""

from typing import Any

from scripts.faults.corpus import Source
from scripts.faults.edges import Receiver
from scripts.faults.load import Load
from scripts.faults.report import Report
from scripts.faults.watch import Watch

CHUNKS = """
    SELECT chunk.document_id AS id, position, page_start AS page, char_start, char_end, text
    FROM chunk JOIN document ON document.id = chunk.document_id AND document.active_version_id = chunk.version_id
    ORDER BY chunk.document_id, position
"""
WITHOUT_VECTOR = """
    SELECT count(*) FROM chunk LEFT JOIN embedding USING (tenant_id, space_id, text_sha256)
    WHERE chunk.embedding IS DISTINCT FROM embedding.embedding
"""
NAMING = " UNION ALL ".join(
    f"SELECT FROM {table} WHERE {column} = ANY($1)"
    for table, column in (
        ("document", "id"),
        ("version", "document_id"),
        ("chunk", "document_id"),
        ("job", "document_id"),
        ("embedding", "document_id"),
    )
)


async def documents(report: Report, watch: Watch, load: Load, sources: list[Source]) -> None:
    """Against the chunks that the parser and splitter make of the same bytes in peace."""
    report.exactly("uploads accepted", len(sources), len(load.accepted))
    states = await _rows(watch, "SELECT state, count(*) FROM job GROUP BY state ORDER BY state")
    report.exactly("jobs", f"{len(sources)} succeeded", ", ".join(f"{count} {state}" for state, count in states))
    ids = {accepted.document_id for accepted in load.accepted.values()}
    there = {row["id"] for row in await _rows(watch, "SELECT id FROM document")}
    report.exactly("documents missing, or there twice", 0, len(ids ^ there) + len(load.accepted) - len(ids))
    found: dict[str, list[tuple[object, ...]]] = {}
    for row in await _rows(watch, CHUNKS):
        found.setdefault(row["id"], []).append(tuple(row)[1:])
    wanted = {
        load.accepted[each.number].document_id: each.anchors() for each in sources if each.number in load.accepted
    }
    wrong = [each for each in wanted if found.get(each) != wanted[each]]
    report.exactly("documents with another chunk set than in peace", 0, len(wrong))
    report.exactly("chunks of no active version", 0, await count(watch, "SELECT count(*) FROM chunk") - _size(found))
    report.exactly("chunks without their vector", 0, await count(watch, WITHOUT_VECTOR))


async def webhooks(report: Report, watch: Watch, receiver: Receiver) -> None:
    """Every job that ended was told of, under one id."""
    ended = await _rows(watch, "SELECT id, state FROM job WHERE state IN ('succeeded', 'failed')")
    events = {(row["id"], "document.ready" if row["state"] == "succeeded" else "document.failed") for row in ended}
    report.exactly("events told", len(events), len(receiver.ids.keys() & events))
    several = [each for each, ids in receiver.ids.items() if len(ids) != 1 or each not in events]
    report.exactly("events told under several ids, or wrongly", 0, len(several))


def requests(report: Report, watch: Watch, load: Load) -> None:
    """Redis, workers and the dispatcher may be away: who uploads or asks must not notice."""
    for kind, limit in (("upload", 100.0), ("query", 99.9), ("status", 99.9)):
        counted = [each for each in load.finished(kind) if not watch.excused(each)]
        good = sum(each.ok for each in counted)
        share = 100 * good / max(1, len(counted))
        report.at_least(f"{kind} requests that succeeded, API and Postgres being there ({len(counted)})", limit, share)
        for each in counted:
            if not each.ok:
                print(f"   {kind} failed after {each.seconds:.1f} s: {each.status} {each.problem}")


async def _rows(watch: Watch, query: str, *values: object) -> list[Any]:
    rows = await watch.rows(query, *values)
    assert rows is not None, "Postgres is away"
    return rows


async def count(watch: Watch, query: str, *values: object) -> int:
    return int((await _rows(watch, query, *values))[0][0])


async def rows_naming(watch: Watch, document_ids: list[str]) -> int:
    """Rows of any table that has a document's id, but for its receipt."""
    return await count(watch, f"SELECT count(*) FROM ({NAMING}) AS found", document_ids)  # noqa: S608  constants


def _size(found: dict[str, list[tuple[object, ...]]]) -> int:
    return sum(map(len, found.values()))
