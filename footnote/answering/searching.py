"""The search for a question, or the parallel searches for its parts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from footnote.answering.cited_text import PageExcerpt
from footnote.answering.events import Question
from footnote.extracts import Passage, tables
from footnote.extracts.question import understood
from footnote.retrieval import Beside, Hit, Query, SearchResult, search
from footnote.runtime import Runtime
from footnote.tenancy.usage import UsageEntry

PASSAGES = 8  # hits a generator sees
FURTHER_PASSAGES = 4  # for each further part
MOST_PASSAGES = 16
READ_WITHOUT_MODEL = 16  # passages out of which sentences are chosen without a model
SURE = 0.8  # the score of a row from which on no other is looked for


def shown(question: Question, hits: Sequence[Hit]) -> Sequence[Hit]:
    """The hits that a generator sees."""
    further = max(0, len(question.parts) - 1)
    return hits[: min(PASSAGES + FURTHER_PASSAGES * further, MOST_PASSAGES)]


def passages_without_model(question: Question, hits: Sequence[Hit], candidates: Sequence[Hit]) -> Sequence[Hit]:
    """The hits that are read without a model, plus further candidates, because that is cheap.

    Not where the caller wants few hits or strong ones, or where the candidates of several searches are mixed; nor where
    any sentence may answer, of which the search knows best.
    """
    is_one = not question.parts and understood(question.query.text).kind not in ("fact", "yes_no")
    if not is_one or question.least_relevance or len(hits) < PASSAGES:
        return shown(question, hits)
    known = {hit.chunk_id for hit in hits}
    return [*hits, *(hit for hit in candidates if hit.chunk_id not in known)][:READ_WITHOUT_MODEL]


def with_rows(
    question: Question, hits: Sequence[Hit], candidates: Sequence[Hit], excerpts: Mapping[str, PageExcerpt]
) -> list[Hit]:
    """The hits, the last of those shown replaced by the candidate after them whose table has the value asked for.

    A row of figures has few of the question's words, so that its chunk is often found after others that only speak of
    the matter. Long work: not for the event loop.
    """
    first = shown(question, hits)
    rows = tables.rows(question.query.text, passages(first, excerpts))
    if rows and rows[0].score >= SURE:
        return list(hits)
    known, last = {hit.chunk_id for hit in hits}, len(first)
    pool = [*hits, *(hit for hit in candidates if hit.chunk_id not in known)]
    rows = tables.rows(question.query.text, passages(pool, excerpts))
    if not rows or rows[0].marker <= last or rows[0].score < tables.ANSWERS:
        return list(hits)
    best = pool[rows[0].marker - 1]
    others = [hit for hit in hits if hit is not best]
    return [*others[: last - 1], best, *others[last - 1 :]][: len(hits)]


def passages(hits: Sequence[Hit], excerpts: Mapping[str, PageExcerpt]) -> list[Passage]:
    """As generators see them, numbered from 1."""
    before = [excerpts[hit.chunk_id].before(hit.char_start) if hit.chunk_id in excerpts else "" for hit in hits]
    return [
        Passage(number, hit.place, hit.text, before[number - 1], hit.document_id) for number, hit in enumerate(hits, 1)
    ]


async def found(rt: Runtime, question: Question, beside: Beside) -> SearchResult:
    """The hits of all parts, the best of each first, at most `top_k`. Raises what `search` raises."""
    if not question.parts:
        return await search(rt, question.query, beside)
    parts = [replace(question.query, text=part) for part in question.parts]
    return _together(await in_parallel(rt, parts, beside), question.query.top_k)


async def in_parallel(rt: Runtime, queries: Sequence[Query], beside: Beside | None = None) -> list[SearchResult]:
    """The result of each. Raises what `search` raises for one of them; the others are stopped then."""
    try:
        async with asyncio.TaskGroup() as group:
            searches = [group.create_task(search(rt, query, beside)) for query in queries]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [each.result() for each in searches]


def _together(results: Sequence[SearchResult], most: int) -> SearchResult:
    """Each further part counts as a query."""
    first = results[0]
    failure = next((each.rerank_failure for each in results if each.rerank_failure), None)
    timings = {name: max(each.timings.get(name, 0.0) for each in results) for name in first.timings}
    spent = [entry for each in results for entry in each.spent] + [UsageEntry("query")] * (len(results) - 1)
    reranked = first.reranked and all(each.reranked for each in results)
    corrected = dict.fromkeys(each for result in results for each in result.searched_for)
    hits = interleaved([each.hits for each in results])[:most]
    return replace(
        first,
        hits=hits,
        reranked=reranked,
        rerank_failure=failure,
        timings=timings,
        spent=spent,
        searched_for=[*corrected],
    )


def interleaved(found: Sequence[Sequence[Hit]]) -> list[Hit]:
    """The first of each, then the second of each; a hit of several once."""
    unlike: dict[str, Hit] = {}
    for rank in zip_longest(*found):
        for hit in rank:
            if hit is not None:
                unlike.setdefault(hit.chunk_id, hit)
    return list(unlike.values())
