"""Answers given again to questions that mean the same, as long as nothing changed that they were found in.

What is saved is the model: the documents are searched anew, and what an answer cites must be among what is shown.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pgvector import HalfVector
from sqlalchemy import Float, case, cast, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.answering.events import Citation, Done, Question
from footnote.answering.same_question import alike
from footnote.answering.support import Unsupported
from footnote.collections import revisions
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped
from footnote.errors import DatabaseAway
from footnote.models import CachedAnswer
from footnote.providers import Usage
from footnote.providers.messages import RULES
from footnote.retrieval import Hit
from footnote.retrieval.spaces import Point
from footnote.runtime import Runtime
from footnote.telemetry import answers_cached_total
from footnote.text import folded

LOOKED_AT = 500  # of the newest answers in a scope
LARGEST = 64 * 1024  # characters of an answer with its citations


@dataclass(frozen=True)
class CacheKey:
    """What an answer is kept under: `scope` says all that it depends on beside the words of the question."""

    question: str
    scope: bytes
    revisions: Mapping[str, int]


async def key_of(rt: Runtime, question: Question) -> CacheKey | None:
    """To be asked before the search, so that what changes meanwhile counts as later.

    None for a question that leans on others, and where nothing is kept. Raises NotFound.
    """
    if question.history or not rt.settings.answer_cache_seconds:
        return None
    query = question.query
    async with rt.transaction() as session:
        chosen = await collections.chosen(session, query.collections)
        at = await revisions.of(session, [each.id for each in chosen])
    looked_for = asdict(replace(query, text="", key_id="", collections=None)) | {"filter": repr(query.filter)}
    asked_for = asdict(replace(question, query=query, history=())) | {"query": looked_for}
    generator = (rt.settings.generator, rt.generator.provider, rt.generator.address, rt.generator.model)
    parts = [sorted(at.items()), asked_for, generator, RULES, rt.settings.least_evidence]
    scope = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return CacheKey(folded(query.text), scope, at)


async def find(rt: Runtime, key: CacheKey | None, points: Sequence[Point], shown: Sequence[Hit]) -> Done | None:
    """The answer to a question that means the same, made from passages that are shown for this one, too."""
    if key is None:
        return None
    async with rt.transaction() as session:
        rows = await _nearest(session, rt, key, points[0] if points else None)
    ids = {hit.chunk_id for hit in shown}
    for question, answer in rows:
        done = _restored(answer)
        if alike(question, key.question) and all(each.chunk_id in ids for each in done.citations):
            answers_cached_total.labels("hit").inc()
            return done
    answers_cached_total.labels("miss").inc()
    return None


async def _nearest(
    session: AsyncSession, rt: Runtime, key: CacheKey, point: Point | None
) -> Sequence[tuple[str, dict[str, Any]]]:
    """Questions and answers, the nearest first."""
    settings = rt.settings
    newest = (
        scoped(session, CachedAnswer)
        .where(CachedAnswer.scope == key.scope, CachedAnswer.created_at > from_now(-settings.answer_cache_seconds))
        .order_by(CachedAnswer.created_at.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    same = newest.c.question == key.question
    distance: Any = case((same, 0.0))
    if point is not None:
        apart = cast(newest.c.embedding.op("<=>")(HalfVector(point.vector)), Float)
        distance = case((same, 0.0), (newest.c.space_id == point.space.id, apart))
    near = select(newest.c.question, newest.c.answer).where(distance <= 1 - settings.answer_cache_similarity)
    return [(row.question, row.answer) for row in await session.execute(near.order_by(distance).limit(5))]


async def keep(rt: Runtime, key: CacheKey | None, points: Sequence[Point], done: Done) -> None:
    """Keeps a whole answer, unless what it was found in has changed. Should it fail, there is no answer to keep."""
    if key is None or done.answer_status == "not_found" or done.truncated:
        return
    answer = {
        "answer": done.answer,
        "answer_status": done.answer_status,
        "model": done.model,
        "document_ids": list(done.document_ids),
        "citations": [asdict(each) for each in done.citations],
        "unsupported": [asdict(each) for each in done.unsupported],
    }
    if len(json.dumps(answer)) > LARGEST:
        return
    row = CachedAnswer(
        id=new_id("can"),
        tenant_id=rt.tenant,
        scope=key.scope,
        collection_ids=sorted(key.revisions),
        question=key.question,
        space_id=points[0].space.id if points else None,
        embedding=HalfVector(points[0].vector) if points else None,
        answer=answer,
    )
    with suppress(DatabaseAway):
        async with rt.transaction() as session:
            if await revisions.hold(session, key.revisions):
                session.add(row)


def _restored(answer: dict[str, Any]) -> Done:
    """Without what is its own each time: the id, the times."""
    rows = {
        "citations": [Citation(**each) for each in answer["citations"]],
        "unsupported": [Unsupported(**each) for each in answer["unsupported"]],
    }
    return Done(**answer | rows, id="", usage=Usage(0, 0), timings={}, cached=True)


async def purge(session: AsyncSession, seconds: float) -> None:
    """Answers that are too old to be given again."""
    await session.execute(delete(CachedAnswer).where(CachedAnswer.created_at <= from_now(-seconds)))
