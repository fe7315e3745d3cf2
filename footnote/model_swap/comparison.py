"""Compares both models of a swap on the same questions."""

import asyncio
import math
import statistics
from collections.abc import Sequence, Set
from dataclasses import dataclass

from footnote import collections, model_swap, retrieval
from footnote.database.driver import driver
from footnote.errors import Conflict
from footnote.retrieval import Query
from footnote.runtime import Runtime
from footnote.tenancy import usage

MOST = 50  # questions
DEPTH = 10  # hits of each
AT_ONCE = 4  # searches


@dataclass(frozen=True)
class JudgedQuestion:
    """A question and, if a person judged it, the ids of the documents that answer it."""

    question: str
    relevant: Set[str] = frozenset()


@dataclass(frozen=True)
class ComparedQuestion:
    """`overlap` is the share of passages among the first ten that both models find, from 0 to 1.

    nDCG at ten, by documents: of the model that is searched, and of the standby one; None without judgements.
    """

    question: str
    overlap: float
    ndcg_active: float | None
    ndcg_standby: float | None


@dataclass(frozen=True)
class Comparison:
    """The means, None where there is nothing to be averaged, and each question."""

    overlap: float | None
    ndcg_active: float | None
    ndcg_standby: float | None
    questions: Sequence[ComparedQuestion]


async def compare(rt: Runtime, name_or_id: str, given: Sequence[JudgedQuestion], key_id: str) -> Comparison:
    """Asks the given questions, or the newest that are stored of the collection: 50 at most.

    Raises NotFound, Conflict, and what a search raises.
    """
    async with rt.transaction() as session:
        collection = await collections.find(session, name_or_id)
        details = await model_swap.get(session, collection.id)
        if details is None or details.swap.ended_at is not None:
            raise Conflict("no_model_swap", f"There is no model swap of {collection.name!r}.")
        if details.swap.state in ("backfilling", "dropping"):
            raise Conflict("model_swap_not_ready", "Not all chunks have vectors of both models.")
        rows = await (await driver(session)).fetch(_STORED, rt.tenant, collection.id, collection.name, MOST)
    asked = list(given[:MOST]) or [JudgedQuestion(row["question"]) for row in rows]
    slots = asyncio.Semaphore(AT_ONCE)
    compared = await asyncio.gather(*(_compared(rt, collection.id, each, key_id, slots) for each in asked))
    return Comparison(
        _mean([each.overlap for each in compared]),
        _mean([each.ndcg_active for each in compared]),
        _mean([each.ndcg_standby for each in compared]),
        compared,
    )


async def _compared(
    rt: Runtime, collection_id: str, asked: JudgedQuestion, key_id: str, slots: asyncio.Semaphore
) -> ComparedQuestion:
    found: list[list[retrieval.Hit]] = []
    for standby in (False, True):
        query = Query(asked.question, [collection_id], top_k=DEPTH, rerank=False, standby=standby, key_id=key_id)
        async with slots:
            result = await retrieval.search(rt, query)
        await usage.record_apart(rt, key_id, *result.spent)
        found.append(result.hits)
    both = [{hit.chunk_id for hit in hits} for hits in found]
    overlap = len(both[0] & both[1]) / max(1, len(both[0]), len(both[1]))
    gains = [ndcg([hit.document_id for hit in hits], asked.relevant) if asked.relevant else None for hits in found]
    return ComparedQuestion(asked.question, round(overlap, 4), *gains)


def ndcg(documents: Sequence[str], relevant: Set[str]) -> float:
    """Normalised discounted cumulative gain of a ranking with binary judgements (Järvelin and Kekäläinen, 2002).

    A document counts where it stands first.
    """
    ranking = list(dict.fromkeys(documents))[:DEPTH]
    gained = sum(1 / math.log2(rank + 2) for rank, each in enumerate(ranking) if each in relevant)
    best = sum(1 / math.log2(rank + 2) for rank in range(min(len(relevant), DEPTH)))
    return round(gained / best, 4)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return round(statistics.fmean(known), 4) if known else None


# Of the newest conversations, and of the answers in the cache.
_STORED = """
WITH asked AS (
    SELECT coalesce(a.question_as_searched, u.content) AS question, a.created_at
    FROM (SELECT id FROM conversation WHERE tenant_id = $1 ORDER BY id DESC NULLS LAST LIMIT 200) AS c
    JOIN message a ON a.conversation_id = c.id AND a.role = 'assistant'
    JOIN message u ON u.conversation_id = c.id AND u.position = a.position - 1 AND u.role = 'user'
    WHERE a.details -> 'searched' -> 'collections' ? $3
    UNION ALL
    SELECT question, created_at FROM cached_answer
    WHERE tenant_id = $1 AND id = ANY(ARRAY(
        SELECT id FROM cached_answer_of_tenant WHERE collection_ids @> ARRAY[CAST($2 AS text)]))
)
SELECT question FROM asked GROUP BY question ORDER BY max(created_at) DESC LIMIT $4
"""
