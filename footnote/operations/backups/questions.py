"""Questions that are asked when a backup is made, and again after it was restored: the hits must be the same."""

from dataclasses import dataclass

from footnote import retrieval
from footnote.database.driver import driver
from footnote.errors import NotFound
from footnote.retrieval import Mode, Query
from footnote.runtime import Runtime

WANTED = 3
WORDS = 12  # of a passage, which make a question
HITS = 5


@dataclass(frozen=True)
class CheckQuestion:
    """Words of a stored passage, where they were looked for, and the chunks that were found, best first.

    `revision`: of the collection. If it is another one, something was changed since, and the hits may differ.
    """

    tenant: str
    collection: str
    revision: int
    mode: Mode
    text: str
    hits: list[str]


# A passage from the middle of each of the newest documents.
_PASSAGES = """
SELECT d.tenant_id AS tenant, c.name AS collection, chunk.text, space.provider LIKE 'local%' AS local
FROM (SELECT * FROM document WHERE active_version_id IS NOT NULL ORDER BY id DESC LIMIT $1) AS d
JOIN collection AS c ON c.id = d.collection_id JOIN version ON version.id = d.active_version_id
JOIN chunk ON chunk.version_id = version.id AND chunk.position = version.chunks / 2
JOIN embedding_space AS space ON space.id = chunk.space_id
WHERE c.deleted_at IS NULL ORDER BY d.id DESC
"""
_REVISION = """
SELECT revision FROM collection_revision JOIN collection ON collection.id = collection_id
WHERE collection.tenant_id = $1 AND name = $2 AND deleted_at IS NULL
"""


async def make(rt: Runtime, *, same_index: bool) -> list[CheckQuestion]:
    """Questions about the newest documents, of whatever tenants, with their hits.

    Vectors are looked for, too, if that asks no other server and the restored vector index is the `same_index`.
    """
    async with rt.transaction() as session:
        passages = await (await driver(session)).fetch(_PASSAGES, WANTED)
    made: list[CheckQuestion] = []
    for each in passages:
        mode: Mode = "hybrid" if same_index and each["local"] else "keyword"
        made.append(await ask(rt, CheckQuestion(each["tenant"], each["collection"], 0, mode, _words(each["text"]), [])))
    return made


async def ask(rt: Runtime, question: CheckQuestion) -> CheckQuestion:
    """The same question with the hits and the revision of now; without hits if its collection is gone."""
    async with rt.transaction() as session:
        revision = await (await driver(session)).fetchval(_REVISION, question.tenant, question.collection)
    of_tenant = rt.for_tenant(question.tenant)
    query = Query(question.text, collections=[question.collection], mode=question.mode, top_k=HITS, rerank=False)
    try:
        hits = [each.chunk_id for each in (await retrieval.search(of_tenant, query)).hits]
    except NotFound:
        hits = []
    place = question.tenant, question.collection, revision or 0
    return CheckQuestion(*place, question.mode, question.text, hits)


def _words(passage: str) -> str:
    return " ".join(passage.split()[:WORDS])
