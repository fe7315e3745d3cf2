"""The beginning of the document that a question is about, where it names one: by its file name, or by words of it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.extracts.question import meaning
from footnote.extracts.wording import STOP
from footnote.models import chunk_id
from footnote.retrieval.fusion import HITS
from footnote.retrieval.resolving import ResolvedScope

if TYPE_CHECKING:
    from footnote.retrieval import Hit, Query

CHUNKS = 5  # of the beginning
MOST_NAMES = 5  # of files in a question

_FILE_NAME = re.compile(r"[\w][\w.()+~-]{0,200}\.[A-Za-z]\w{1,5}\b")
# Words for a document, and for what is asked of one.
_GENERIC = STOP | meaning(
    "about document documents file files text report paper article book presentation slides page summary summarize "
    "summarise overview content contents dokument datei worum geht document fichier documento archivo"
)
_IN_NAMES = re.compile(r"[_.\-\s]+")
# Of a file that is named to the letter, or else of a document that was found.
_OPENING = f"""
WITH about AS (
    SELECT d.id, d.filename = ANY($3) AS named FROM document d
    WHERE d.tenant_id = $1 AND ((d.collection_id = ANY($2) AND d.filename = ANY($3)) OR d.id = $4)
      AND (CAST($5 AS text[]) IS NULL OR d.id = ANY($5))
    ORDER BY named DESC, d.id LIMIT 1
),
fused AS (
    SELECT c.version_id, c.position, 1::float AS score, NULL::float AS similarity, NULL::float AS coverage,
           NULL::bigint AS vector_rank, NULL::bigint AS keyword_rank, NULL::float AS bm25,
           CASE WHEN about.named OR $6 THEN 1::bigint END AS exact_matches
    FROM about JOIN chunk c ON c.document_id = about.id AND c.tenant_id = $1 WHERE c.position < {CHUNKS}
)
""" + HITS.replace("CASE WHEN :diverse THEN c.embedding::text END", "NULL::text")


async def opening(session: AsyncSession, query: "Query", place: ResolvedScope, found: "Sequence[Hit]") -> list["Hit"]:
    """The first chunks, if the question names a document's file, or is about one of those found."""
    from footnote.retrieval import Hit

    names = _FILE_NAME.findall(query.text)[:MOST_NAMES] if query.filter is None else []
    nearest = _nearest(query.text, found)
    if not names and nearest is None:
        return []
    collections = [each.id for each in place.filled]
    documents = None if query.document_ids is None else list(query.document_ids)
    only = place.searched.documents == 1 and not _words(query.text) - _GENERIC
    parameters = (collections, names, nearest, documents, only)
    rows = await (await driver(session)).fetch(_OPENING, tenant_of(session), *parameters)
    return [
        Hit(chunk_id=chunk_id(row["version_id"], row["position"]), fused_rank=rank, **row)
        for rank, row in enumerate(rows, 1)
    ]


def _nearest(question: str, found: "Sequence[Hit]") -> str | None:
    """The document that has most of the question's words in its name and title; of several, the one found first."""
    asked = _words(question)

    def named(hit: "Hit") -> int:
        return len(asked & (_words(hit.filename) | _words(hit.subject.partition("\n")[0].partition(" > ")[0])))

    return max(found, key=named).document_id if found else None


def _words(text: str) -> frozenset[str]:
    """Stems, and of what is joined by a hyphen both the parts and the whole: `8-K` meets `8K`."""
    return meaning(_IN_NAMES.sub(" ", text)) | meaning(text.replace("-", ""))
