"""Cached answers for questions that mean the same, as long as the collections they were found in do not change.

This saves the model call: the documents are searched again, and what an answer cites must be among the hits.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pgvector import HalfVector
from sqlalchemy import Float, case, cast, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.answering.events import Citation, Done, Question
from footnote.answering.same_question import equivalent
from footnote.answering.support import UnsupportedSentence
from footnote.collections import revisions
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.embeddings.relatedness import scale_of
from footnote.models import CachedAnswer
from footnote.providers import Usage
from footnote.providers.messages import RULES
from footnote.retrieval import Hit
from footnote.retrieval.spaces import QueryVector
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry.metrics import answers_cached_total
from footnote.text import folded

LOOKED_AT = 500  # of the newest answers in a scope
# The code that writes answers: after an upgrade they are written again, by rules that may be others.
_ROOM = Path(__file__).parents[1]
_CODE = hashlib.sha256(
    b"".join(path.read_bytes() for room in ("answering", "extracts") for path in sorted((_ROOM / room).glob("*.py")))
).hexdigest()
LARGEST = 64 * 1024  # characters of an answer with its citations


@dataclass(frozen=True)
class CacheKey:
    """What an answer is stored under: `scope` covers all that it depends on except the words of the question."""

    question: str
    scope: bytes
    revisions: Mapping[str, int]


def key_of(rt: Runtime, question: Question, revisions: Mapping[str, int]) -> CacheKey | None:
    """`revisions` are read before the search, so that changes during the search invalidate the answer.

    None for a question that leans on others, and where nothing is stored.
    """
    if question.history or not rt.settings.answer_cache_seconds:
        return None
    query = question.query
    looked_for = asdict(replace(query, text="", key_id="", collections=None)) | {"filter": repr(query.filter)}
    asked_for = asdict(replace(question, query=query, history=())) | {"query": looked_for}
    generator = (rt.settings.generator, rt.generator.provider, rt.generator.address, rt.generator.model)
    parts = [sorted(revisions.items()), asked_for, generator, RULES, rt.settings.least_evidence, _CODE]
    scope = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return CacheKey(folded(query.text), scope, revisions)


def choose(key: CacheKey, near: Sequence[tuple[str, dict[str, Any]]], shown: Sequence[Hit]) -> Done | None:
    """Chooses an answer whose question means the same and whose passages are among the hits."""
    ids = {hit.chunk_id for hit in shown}
    for question, answer in near:
        done = _restored(answer)
        if equivalent(question, key.question) and all(each.chunk_id in ids for each in done.citations):
            answers_cached_total.labels("hit").inc()
            return done
    answers_cached_total.labels("miss").inc()
    return None


async def nearest(
    session: AsyncSession, settings: Settings, key: CacheKey, query_vectors: Sequence[QueryVector]
) -> Sequence[tuple[str, dict[str, Any]]]:
    """Questions and answers, the nearest first."""
    query_vector = query_vectors[0] if query_vectors else None
    newest = (
        scoped(session, CachedAnswer)
        .where(CachedAnswer.scope == key.scope, CachedAnswer.created_at > from_now(-settings.answer_cache_seconds))
        .order_by(CachedAnswer.created_at.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    same = newest.c.question == key.question
    distance: Any = case((same, 0.0))
    if query_vector is not None:
        apart = cast(newest.c.embedding.op("<=>")(HalfVector(query_vector.vector)), Float)
        distance = case((same, 0.0), (newest.c.space_id == query_vector.space.id, apart))
    least = settings.answer_cache_similarity
    if query_vector is not None:
        least = scale_of(query_vector.space).cosine(least)
    near = select(newest.c.question, newest.c.answer).where(distance <= 1 - least)
    return [(row.question, row.answer) for row in await session.execute(near.order_by(distance).limit(5))]


def worth_storing(done: Done) -> bool:
    """Whether it is a complete answer."""
    return done.answer_status in ("supported", "partial") and not done.truncated


async def store(session: AsyncSession, key: CacheKey, query_vectors: Sequence[QueryVector], done: Done) -> None:
    """Stores an answer, unless it is too long or what it was found in has changed."""
    answer = {
        "answer": done.answer,
        "answer_status": done.answer_status,
        "model": done.model,
        "not_mentioned": list(done.not_mentioned),
        "document_ids": list(done.document_ids),
        "citations": [asdict(each) for each in done.citations],
        "unsupported": [asdict(each) for each in done.unsupported],
    }
    if len(json.dumps(answer)) > LARGEST or not await revisions.hold(session, key.revisions):
        return
    row = CachedAnswer(
        id=new_id("can"),
        tenant_id=tenant_of(session),
        scope=key.scope,
        collection_ids=sorted(key.revisions),
        question=key.question,
        space_id=query_vectors[0].space.id if query_vectors else None,
        embedding=HalfVector(query_vectors[0].vector) if query_vectors else None,
        answer=answer,
    )
    session.add(row)
    await session.flush()


def _restored(answer: dict[str, Any]) -> Done:
    """The answer without its id and times, which are new each time."""
    rows = {
        "citations": [Citation(**each) for each in answer["citations"]],
        "unsupported": [UnsupportedSentence(**each) for each in answer["unsupported"]],
    }
    return Done(**answer | rows, id="", usage=Usage(0, 0), timings={}, cached=True)


async def purge(session: AsyncSession, seconds: float) -> None:
    """Removes answers that are too old to be used for another question."""
    await session.execute(delete(CachedAnswer).where(CachedAnswer.created_at <= from_now(-seconds)))
