"""The beginning of the document that a question is about, where it names one: by its file name, or by words of it.

Or the section of it that the question asks for: its conclusions, and the like.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.extracts.question import meaning, understood
from footnote.extracts.sections import GENERIC, NEAR, AskedSection
from footnote.models import chunk_id
from footnote.retrieval.fusion import HITS
from footnote.retrieval.resolving import ResolvedScope

if TYPE_CHECKING:
    from footnote.retrieval import Hit, Query

CHUNKS = 5  # of the beginning
LOOKED_THROUGH = 2000  # chunks, at most, for the documents that have a section
MOST_WORDS = 6  # of a question, that are looked for in names of files
MOST_NAMES = 5  # of files in a question

_FILE_NAME = re.compile(r"[\w][\w.()+~-]{0,200}\.[A-Za-z]\w{1,5}\b")
_WORD = re.compile(r"[^\W_]{3,}")
_IN_NAMES = re.compile(r"[_.\-\s]+")
# Of a file that is named to the letter, or else of a document that was found.
_OPENING = """
WITH about AS (
    SELECT d.id, d.filename = ANY($3) AS named FROM document d
    WHERE d.tenant_id = $1 AND ((d.collection_id = ANY($2) AND d.filename = ANY($3)) OR d.id = $4)
      AND (CAST($5 AS text[]) IS NULL OR d.id = ANY($5))
    ORDER BY named DESC, d.id LIMIT 1
),
{chosen}
fused AS (
    SELECT c.version_id, c.position, 1::float AS score, NULL::float AS similarity, NULL::float AS coverage,
           NULL::bigint AS vector_rank, NULL::bigint AS keyword_rank, NULL::float AS bm25,
           CASE WHEN about.named OR $6 THEN 1::bigint END AS exact_matches
    FROM about JOIN chunk c ON c.document_id = about.id AND c.tenant_id = $1
    WHERE c.position IN (SELECT position FROM chosen)
)
""" + HITS.replace("CASE WHEN :diverse THEN c.embedding::text END", "NULL::text")
# The documents whose names have all the words, of those whose pieces have them.
_CALLED = """
SELECT id AS document_id FROM document
WHERE tenant_id = $1 AND collection_id = ANY($2) AND (CAST($3 AS text[]) IS NULL OR id = ANY($3))
  AND active_version_id IS NOT NULL
  AND name_parts(tenant_id, filename, external_id)
      @@ (SELECT string_agg(CAST(name_part($1, word) AS text), ' & ')::tsquery FROM unnest(CAST($4 AS text[])) AS word)
  AND filename ILIKE ALL (SELECT '%' || word || '%' FROM unnest(CAST($4 AS text[])) AS word)
LIMIT 2
"""
# The documents that have such a section: if it is one alone, "the report" means that one.
_HOLDERS = """
SELECT DISTINCT document_id FROM chunk
WHERE tenant_id = $1 AND collection_id = ANY($2) AND (CAST($3 AS text[]) IS NULL OR document_id = ANY($3))
  AND (heading ~* $4 OR text ~* $5)
LIMIT 2
"""
_BEGINNING = f"chosen AS (SELECT generate_series(0, {CHUNKS - 1}) AS position),"
# The chunks of a section (2), or of one that is near to it (1), or the beginning (0). Where a heading stands in the
# text, the chunk behind it belongs to the section, too. Each chunk is looked at once.
_OF_SECTION = f"""looked_at AS MATERIALIZED (
    SELECT s.position, s.heading ~* $7 OR s.text ~* $8 OR s.text ~ $9 AS is_own,
           s.heading ~* $10 OR s.text ~* $11 OR s.text ~ $12 AS is_near
    FROM about JOIN chunk s ON s.document_id = about.id AND s.tenant_id = $1
),
kinds AS (
    SELECT position, CASE WHEN is_own OR lag(is_own) OVER (ORDER BY position) THEN 2
                          WHEN is_near OR lag(is_near) OVER (ORDER BY position) THEN 1
                          WHEN position < {CHUNKS} THEN 0 END AS kind
    FROM looked_at
),
chosen AS MATERIALIZED (
    SELECT position FROM kinds WHERE kind = (SELECT max(kind) FROM kinds) ORDER BY position LIMIT {CHUNKS}
),"""


async def opening(session: AsyncSession, query: "Query", place: ResolvedScope, found: "Sequence[Hit]") -> list["Hit"]:
    """The first chunks, if the question names a document's file, or is about one of those found."""
    from footnote.retrieval import Hit

    names = _FILE_NAME.findall(query.text)[:MOST_NAMES] if query.filter is None else []
    nearest = _nearest(query.text, found)
    if not names and nearest is None:
        return []
    collections = [each.id for each in place.filled]
    documents = None if query.document_ids is None else list(query.document_ids)
    section, own = understood(query.text).section, _words(query.text) - GENERIC
    is_named = (place.searched.documents == 1 and not own) or (bool(own) and _is_named(own, nearest, found))
    is_sure = is_named and (section is not None or not own)
    if query.filter is None and not is_named and not names:
        meant = await _only_one(session, query.text, own, section, place, documents)
        is_sure, nearest = meant is not None, meant or nearest
    parameters = (collections, names, nearest, documents, is_sure)
    chosen, patterns = _BEGINNING, tuple[str, ...]()
    if section is not None:
        chosen, patterns = _OF_SECTION, (*_patterns(section), *_patterns(NEAR))
    rows = await (await driver(session)).fetch(
        _OPENING.format(chosen=chosen), tenant_of(session), *parameters, *patterns
    )
    return [
        Hit(chunk_id=chunk_id(row["version_id"], row["position"]), fused_rank=rank, **row)
        for rank, row in enumerate(rows, 1)
    ]


async def _only_one(
    session: AsyncSession,
    question: str,
    own: frozenset[str],
    section: AskedSection | None,
    place: ResolvedScope,
    documents: list[str] | None,
) -> str | None:
    """The one document that can be meant: whose file name has the question's own words, or which has the section."""
    connection, scope = await driver(session), ([each.id for each in place.filled], documents)
    if own:
        words = sorted({word for word in _WORD.findall(question.lower()) if not own.isdisjoint(meaning(word))})
        may_name = len(words) <= MOST_WORDS and own <= frozenset[str]().union(*map(meaning, words))
        found = await connection.fetch(_CALLED, tenant_of(session), *scope, words) if may_name else []
    elif section is not None and place.chunks <= LOOKED_THROUGH:
        found = await connection.fetch(_HOLDERS, tenant_of(session), *scope, section.in_path, section.in_text)
    else:
        found = []
    return str(found[0]["document_id"]) if len(found) == 1 else None


def _patterns(section: AskedSection) -> tuple[str, str, str]:
    return section.in_path, section.in_text, section.in_capitals


def _nearest(question: str, found: "Sequence[Hit]") -> str | None:
    """The document that has most of the question's words in its name and title; of several, the one found first."""
    asked = _words(question)
    return max(found, key=lambda hit: len(asked & _naming(hit))).document_id if found else None


def _is_named(words: frozenset[str], document_id: str | None, found: "Sequence[Hit]") -> bool:
    """Whether name and title of the document have all the words."""
    return any(words <= _naming(hit) for hit in found if hit.document_id == document_id)


def _naming(hit: "Hit") -> frozenset[str]:
    return _words(hit.filename) | _words(hit.subject.partition("\n")[0].partition(" > ")[0])


def _words(text: str) -> frozenset[str]:
    """Stems, and of what is joined by a hyphen both the parts and the whole: `8-K` meets `8K`."""
    return meaning(_IN_NAMES.sub(" ", text)) | meaning(text.replace("-", ""))
