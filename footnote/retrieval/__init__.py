"""Search: a vector leg and a keyword leg over the chunks in scope, fusion of their scores, then shaping.

A configured reranker reorders the hits before shaping.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import Written
from footnote.database.tenant_scope import tenant_of
from footnote.embeddings.relatedness import REFERENCE, Scale, scale_of
from footnote.errors import FootnoteError, Invalid
from footnote.extracts.statements import FinancialStatement
from footnote.filters import Filter
from footnote.models import chunk_id
from footnote.providers import Reranker
from footnote.retrieval import (
    candidates,
    expansion,
    fusion,
    openings,
    reranking,
    resolving,
    shaping,
    spaces,
    spelled_out,
    spelling,
    statement_pages,
    vector_leg,
)
from footnote.retrieval.coverage import Searched
from footnote.retrieval.expansion import Context, Expand
from footnote.retrieval.resolving import ResolvedScope
from footnote.retrieval.scope import limits, scope_of
from footnote.retrieval.spaces import QueryVector
from footnote.retrieval.spelling import Correction
from footnote.runtime import Runtime
from footnote.telemetry.metrics import timed, vector_searches_total
from footnote.tenancy.usage import UsageEntry
from footnote.text import folded

Mode = Literal["hybrid", "vector", "keyword"]

CANDIDATES = 3  # looked at for each hit that is wanted
SPARE = 5  # candidates read in addition to the hits, some of which may be near-duplicates
DEPTH = 100  # of each leg, at least, where two are fused
ALONE = 2  # chunks of the vector leg alone for each that is read: a filtered index finds them in a rough order
SHORT = 50_000  # characters that are compared within a few milliseconds


@dataclass(frozen=True)
class Query:
    """What to look for, and where. `diversity` from 0 to 1 prefers hits that are unlike each other.

    `opening`: whether the beginning of the document that the text names comes first.
    `rerank`: whether a reranker is asked; None: if one is configured.
    """

    text: str
    collections: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    filter: Filter | None = None
    mode: Mode = "hybrid"
    top_k: int = 10
    diversity: float = 0.0
    expand: Expand = "none"
    rerank: bool | None = None
    opening: bool = False
    standby: bool = False  # by the model that is not searched otherwise, of collections whose model is being swapped
    key_id: str = ""  # of the caller

    @property
    def is_whole(self) -> bool:
        """Whether collections are looked into as a whole."""
        return self.document_ids is None and self.filter is None

    @property
    def candidates(self) -> int:
        return CANDIDATES * self.top_k

    @property
    def likely_enough(self) -> int:
        """Candidates to be read first, where the hits are the first of them that are not nearly the same."""
        return self.candidates if self.diversity or self.opening else min(self.candidates, self.top_k + SPARE)


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. `text` is `page.text[char_start:char_end]` of the page `page_start`.

    `score` is the fused one and `fused_rank` the place by it, from 1; `similarity` is the cosine, `coverage` the share
    of the question's weight in lexemes that the chunk holds, both 0 to 1; `exact_matches` counts the rare identifiers
    and quoted phrases in it. What a leg says is None when it did not find the chunk, `rerank_score` when no reranker
    looked at it.
    """

    chunk_id: str
    document_id: str
    version_id: str
    filename: str
    version: int
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    subject: str = field(repr=False)  # `chunking.Chunk.context`
    text: str
    score: float
    fused_rank: int
    metadata: dict[str, Any]
    similarity: float | None
    coverage: float | None
    vector_rank: int | None
    keyword_rank: int | None
    bm25: float | None
    exact_matches: int | None
    embedding: str | None = field(repr=False, compare=False)  # only where hits are to be unlike each other
    space_id: int = field(repr=False, compare=False)
    language: str = field(default="", repr=False)  # in which its words were stemmed
    scale: Scale = field(default=REFERENCE, repr=False, compare=False)  # of the space
    context: Context | None = None
    rerank_score: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.version_id, self.position

    @property
    def relatedness(self) -> float | None:
        """`similarity` on the scale that all models share."""
        return None if self.similarity is None else self.scale.relatedness(self.similarity)

    @property
    def place(self) -> str:
        """Where the text stands, as a reader needs it: file, headings, and the column names of a table's rows."""
        _, _, columns = self.subject.partition("\n")
        return " > ".join(filter(None, (self.filename, self.heading, columns.replace("\n", " > "))))


@dataclass(frozen=True)
class SearchResult:
    """The best hits, best first, and what became of their reranking: None where no reranker was asked.

    If `reranked` is False, the hits are in the fused order, and `rerank_failure` says why in a word. `timings` are in
    milliseconds.
    """

    hits: list[Hit]
    reranked: bool | None = None
    rerank_failure: str | None = None
    timings: dict[str, float] = field(default_factory=dict)
    spent: list[UsageEntry] = field(default_factory=list)
    query_vectors: Sequence[QueryVector] = ()  # where the question stands, if a model was asked
    searched: Searched = field(default_factory=Searched)
    text: str = ""  # what was looked for: the question, folded, with misspelt words corrected
    searched_for: Sequence[Correction] = ()


# Reads more in the transaction that finds the candidates.
Beside = Callable[[AsyncSession, ResolvedScope, Sequence[Hit], Sequence[QueryVector]], Awaitable[None]]


@timed("whole")
async def search(rt: Runtime, query: Query, beside: Beside | None = None) -> SearchResult:
    """Raises NotFound for an unknown collection, Conflict after a change of model, Invalid without a reranker to ask.

    No session is held while a provider embeds the question or reranks the hits. A reranker that fails is no error.
    """
    query = replace(query, text=folded(query.text))
    reranker = rt.reranker if query.rerank is not False else None
    if query.rerank and reranker is None:
        raise Invalid("no_reranker", "No reranker is configured (FOOTNOTE_RERANKER).")
    asked = rt.settings.rerank_candidates if reranker else 0
    first, hits = await _unlike(rt, query, asked, beside)
    query, found = first.query, SearchResult(hits)
    if reranker is not None and hits:
        found = await _reranked(reranker, query, hits, asked)
    hits = await _in_thread_if_long(_chosen, query, found.hits)
    if query.expand != "none" and hits:
        async with rt.transaction() as session:
            around = await expansion.around(session, [each.key for each in hits], query.expand)
        hits = [replace(each, context=around.get(each.key)) for each in hits]
    return replace(
        found,
        hits=hits,
        query_vectors=first.query_vectors,
        spent=first.spent,
        searched=first.scope.searched,
        text=query.text,
        searched_for=first.searched_for,
    )


async def _unlike(rt: Runtime, query: Query, asked: int, beside: Beside | None) -> "tuple[_First, list[Hit]]":
    """What was found, and of it what is not nearly the same as something before it.

    Where only the hits themselves are wanted, few candidates are read, and the others only if too many are alike.
    """
    most = max(query.candidates, asked)
    enough = most if asked or beside is not None else query.likely_enough
    first = await _first(rt, query, most, enough, beside)
    hits = await _in_thread_if_long(_distinct, first.query, first.candidates, asked)
    if enough < most and len(first.candidates) >= enough and len(hits) < query.top_k:
        again = await _first(rt, query, most, most, beside)
        hits = await _in_thread_if_long(_distinct, again.query, again.candidates, asked)
        first = replace(again, spent=[*first.spent, *again.spent])
    return first, hits


@dataclass(frozen=True)
class _First:
    """What a search found in one transaction, and the question's vectors that it took.

    If words of the question were misspelt, `query` asks for others, and it is what a second transaction found.
    """

    query: Query
    searched_for: Sequence[Correction]
    scope: ResolvedScope
    candidates: list[Hit]
    query_vectors: Sequence[QueryVector]
    spent: list[UsageEntry]


async def _first(rt: Runtime, query: Query, most: int, enough: int, beside: Beside | None) -> _First:
    """The legs look as deep as for `most` candidates, of which `enough` are read.

    The question is embedded for what the place was when it was asked last, then the place is read: so one transaction
    is enough. If other models are to be asked by now, they are.
    """
    named, spent = query.collections is not None, list[UsageEntry]()
    blank = not query.text.strip()  # and not embedded
    corrected: Sequence[Correction] | None = None
    remembered = resolving.remembered(rt, query)
    scope = remembered or await _resolved(rt, query)
    while True:
        looked_into = () if blank else scope.spaces
        try:
            vectors, costs = await spaces.query_vectors(rt, query.text, looked_into, scope.filled, named=named)
        except FootnoteError:
            if scope is not remembered:
                raise
            now = await _resolved(rt, query)
            if now.asks_as(scope):
                raise
            scope = now
            continue
        spent += costs
        async with rt.transaction(**limits(whole=query.is_whole)) as session:
            now = await resolving.of(session, rt, query)
            if blank or now.asks_as(scope):
                candidates, has_unknown = await _candidates(session, query, now, vectors, most, enough)
                if corrected is None:
                    texts = [f"{each.subject}\n{each.text}" for each in candidates] if has_unknown else []
                    corrected = await spelling.corrections(session, now, query.text, texts) if has_unknown else ()
                    if corrected:
                        query, scope = replace(query, text=spelling.applied(query.text, corrected)), now
                        continue
                candidates = await _put_first(session, query, now, candidates)
                if beside is not None:
                    await beside(session, now, candidates, vectors)
                return _First(query, corrected, now, candidates, vectors, spent)
        scope = now


async def _resolved(rt: Runtime, query: Query) -> ResolvedScope:
    async with rt.transaction(**limits(whole=query.is_whole)) as session:
        return await resolving.of(session, rt, query)


async def _candidates(
    session: AsyncSession,
    query: Query,
    place: ResolvedScope,
    query_vectors: Sequence[QueryVector],
    most: int,
    enough: int,
) -> tuple[list[Hit], bool]:
    """Best first, and whether words of the question may be unknown.

    If all that is to be searched is to be embedded again, and none of it has been: by words alone.
    """
    if not place.filled or not query.text.strip() or (query.mode == "vector" and not query_vectors):
        return [], False
    depth = max(most, min(DEPTH, ALONE * most) if query.mode == "vector" else DEPTH)
    filled = [each.id for each in place.filled]
    about = query.document_ids, query.filter
    scope = scope_of(tenant_of(session), filled, *about, chunks=place.chunks, swapped=place.swapped)
    scope.parameters["depth"] = Written(depth)
    await scope.measure(session, vector_leg.most_exact(scope))
    if query.mode == "vector":
        fused = f"WITH {vector_leg.leg(scope, query_vectors)}{fusion.by_vectors(len(query_vectors))}"
        suspects = spelling.looked_for(query.text, place)
        written: dict[str, Any] = {"suspects": suspects}
        also, has_unknown = (
            ("", True) if suspects is None else (f"{spelling.ARE_MISSING} AS has_unknown", bool(suspects))
        )
        vector_searches_total.labels("index" if scope.size is None else "exact").inc()
    else:
        found = await candidates.found(session, scope, query.text, place.languages, query_vectors, depth=depth)
        ranked = fusion.by_both(found, depth) if query_vectors else fusion.by_words(found)
        fused, written = fusion.written(ranked, enough)
        also, has_unknown = "", found.has_unknown
    async with timed("legs" if query.mode == "vector" else "fusion"):
        written |= {"candidates": Written(enough), "diverse": query.diversity > 0}
        rows = await scope.run(session, fused + fusion.hits(place.swapped, also), **written)
    scales = {each.id: scale_of(each) for each in place.spaces}
    names = list(rows[0].keys()) if rows else []  # rows as mappings are slow
    mapped = [dict(zip(names, row, strict=True)) for row in rows]
    unknown = [each.pop("has_unknown") for each in mapped if also]
    return [_hit(row, rank, scales) for rank, row in enumerate(mapped, 1)], any(unknown) if unknown else has_unknown


def _hit(row: Mapping[str, Any], rank: int, scales: Mapping[int, Scale]) -> Hit:
    scale = scales.get(row["space_id"], REFERENCE)
    return Hit(chunk_id=chunk_id(row["version_id"], row["position"]), fused_rank=rank, scale=scale, **row)


async def _put_first(session: AsyncSession, query: Query, place: ResolvedScope, found: list[Hit]) -> list[Hit]:
    """Before the others: what the question names but says little of."""
    if query.opening:
        return _before(await openings.opening(session, query, place, found), found)
    if stated := statement_pages.wanted(query):
        found = await _with_statements(session, query, place, found, stated)
    if short := spelled_out.wanted(query):
        found = _before(await spelled_out.spelled_out(session, query, place, short), found)
    return found


def _before(first: Sequence[Hit], candidates: Sequence[Hit]) -> list[Hit]:
    """The first ones as they match to the letter, with what is known of them, then the others."""
    known = {each.key: each for each in candidates}
    before = [replace(known.pop(each.key, each), exact_matches=each.exact_matches) for each in first]
    return [*before, *known.values()]


async def _with_statements(
    session: AsyncSession, query: Query, place: ResolvedScope, found: list[Hit], stated: Sequence[FinancialStatement]
) -> list[Hit]:
    """The likeliest chunk of each statement first."""
    likely = []
    for each in stated[: statement_pages.MOST]:
        focused = statement_pages.focused(query, each, found)
        hits, _ = await _candidates(session, focused, place, (), statement_pages.LOOKED_AT, statement_pages.LOOKED_AT)
        likely.append(statement_pages.first(each, query, hits))
    return _before([hit for rank in zip_longest(*likely) for hit in rank if hit], found)


async def _in_thread_if_long(
    choose: Callable[..., list[Hit]], query: Query, hits: Sequence[Hit], *more: int
) -> list[Hit]:
    """Hundreds of long texts take a second or two to compare, in which others are answered."""
    is_long = sum(len(each.text) for each in hits) > SHORT and len(hits) > 1
    return await asyncio.to_thread(choose, query, hits, *more) if is_long else choose(query, hits, *more)


def _distinct(query: Query, candidates: Sequence[Hit], asked: int) -> list[Hit]:
    """As many as are chosen from, or the reranker is asked about."""
    most = len(candidates) if query.diversity else max(query.top_k, asked)
    return [candidates[place] for place in shaping.distinct([each.text for each in candidates], most)]


async def _reranked(reranker: Reranker, query: Query, hits: list[Hit], asked: int) -> SearchResult:
    """The first hits by what the reranker says of them, the others behind."""
    started = time.monotonic()
    first, others = hits[:asked], hits[asked:]
    scores, failure = await reranking.scores(reranker, query.text, [f"{each.subject}\n\n{each.text}" for each in first])
    timings = {"rerank": round((time.monotonic() - started) * 1000, 1)}
    if failure:
        return SearchResult(hits, False, failure, timings)
    order = sorted(range(len(first)), key=lambda place: -scores[place])
    reranked = [replace(first[place], rerank_score=scores[place]) for place in order]
    return SearchResult([*reranked, *others], True, None, timings)


def _chosen(query: Query, hits: list[Hit]) -> list[Hit]:
    if not query.diversity or not hits:
        return hits[: query.top_k]
    pool = hits[: query.candidates]
    embeddings, embedded_in = [each.embedding or "" for each in pool], [each.space_id for each in pool]
    order = shaping.diverse(embeddings, embedded_in, _relevance(pool), query.diversity, query.top_k)
    return [pool[place] for place in order]


def _relevance(hits: Sequence[Hit]) -> list[float]:
    """The reranker's scores, if there are any: what it was not asked about is worth as little as the least of them."""
    least = min((each.rerank_score for each in hits if each.rerank_score is not None), default=None)
    if least is None:
        return [each.score for each in hits]
    return [least if each.rerank_score is None else each.rerank_score for each in hits]
