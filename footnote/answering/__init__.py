"""Answers a question: yields typed events, which callers send as JSON, server-sent events or text.

The steps are: rewrite a follow-up -> retrieve -> gate -> generate -> check citations -> done. The events are Sources,
then Deltas and Citations while the answer is written, then Done. Errors are raised.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.answering import across, answer_cache, gate, rewriting, searching
from footnote.answering.answer_cache import CacheKey
from footnote.answering.cited_text import Draft, PageExcerpt, page_excerpts
from footnote.answering.events import AnswerStatus, Citation, Delta, Done, Event, Question, Sources
from footnote.answering.support import UnsupportedSentence
from footnote.answering.writing import Writing, listed
from footnote.database.ids import new_id
from footnote.errors import Unavailable
from footnote.extracts import tables
from footnote.extracts.constraints import unmet
from footnote.extracts.parts import parts
from footnote.extracts.question import understood
from footnote.providers import (
    GenerationRequest,
    ModelRef,
    Passage,
    Uncounted,
    Usage,
)
from footnote.providers.extractive import EXTRACTIVE
from footnote.providers.messages import BRIEF_RULES, REPAIR, RULES
from footnote.retrieval import Hit, Mode, SearchResult
from footnote.retrieval.resolving import ResolvedScope
from footnote.retrieval.spaces import QueryVector
from footnote.retrieval.spelling import Correction, applied
from footnote.runtime import Runtime
from footnote.telemetry.metrics import first_token_seconds, queries_total
from footnote.tenancy.usage import UsageEntry, UsageMeter
from footnote.text import folded
from footnote.text.languages import configuration, detected

__all__ = [
    "AnswerStatus",
    "Citation",
    "Delta",
    "Done",
    "Event",
    "Question",
    "Sources",
    "UnsupportedSentence",
    "answer",
    "collect",
]

NOT_FOUND = "The documents do not contain an answer to this question."
NOTHING_TO_SEARCH = "There are no documents to answer from: none is ready for search."


async def answer(rt: Runtime, question: Question) -> AsyncGenerator[Event, None]:
    """Raises what retrieval and the provider raise; nothing is raised after Done.

    Closing it early stops the model: a reader that may stop early must close it.
    """
    meter = UsageMeter(rt.settings, ModelRef(rt.generator.provider, rt.generator.model))
    try:
        async with aclosing(_answered(rt, question, meter)) as events:
            async for event in events:
                yield event
    finally:  # an interrupted answer has costs, too
        await meter.settle(rt, question.query.key_id)


async def collect(events: AsyncGenerator[Event, None]) -> tuple[Sources, Done]:
    """Consumes the events of an answer; returns its sources and its Done. Raises what the answer raises."""
    sources = Sources(())
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Sources):
                sources = event
            elif isinstance(event, Done):
                return sources, event
    raise Unavailable("provider_bad_response", "The answer was interrupted.")


async def _answered(rt: Runtime, question: Question, meter: UsageMeter) -> AsyncGenerator[Event, None]:
    started = time.monotonic()
    timings: dict[str, float] = {}
    asked = question.query.text
    if question.history:
        question = await _standing_alone(rt, question, meter)
        timings["rewrite"] = _since(started)
    searched = question.query.text if question.query.text != asked else None
    about = understood(question.query.text).kind == "about"
    question = replace(question, query=replace(question.query, opening=about))
    question = await _in_parts(rt, question, meter)
    known = _Known(rt, question)
    question, found = await _found(rt, question, known, meter)
    timings |= {"retrieve": _since(started), **found.timings}
    of_search = found.reranked, found.rerank_failure, searched, found.searched
    yield Sources(found.hits, *of_search, parts=question.parts, searched_for=found.searched_for)
    is_free = rt.generator.provider == EXTRACTIVE
    shown = searching.shown(question, found.hits)
    if is_free:
        shown = searching.passages_without_model(question, found.hits, known.candidates)
    missing = await asyncio.to_thread(unmet, question.query.text, [_evidence(hit) for hit in found.hits])
    least = rt.settings.least_evidence, question.query.mode, configuration(detected(question.query.text))
    is_enough = gate.supports(found.hits, *least)
    if not is_enough and not (is_free and gate.nearly_supports(found.hits, *least)):
        events = _refused(rt, NOT_FOUND if found.searched.documents else NOTHING_TO_SEARCH, missing)
    elif given := known.answer(shown):
        events = _given_again(given)
    else:
        events = _made(rt, question, shown, missing, known, meter, is_enough=is_enough)
    async with aclosing(events):
        async for event in events:
            timings.setdefault("first_token", _since(started))
            if isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
                first_token_seconds.observe(timings["first_token"] / 1000)
                meter.spent.append(UsageEntry("query"))
                timings["total"] = _since(started)
                event = replace(
                    _with_evidence(event, found.hits, *least), id=new_id("ans"), usage=meter.usage, timings=timings
                )
            yield event


async def _found(rt: Runtime, question: Question, known: "_Known", meter: UsageMeter) -> tuple[Question, SearchResult]:
    """What the search found, and the question as it was searched for."""
    found = await searching.found(rt, question, known.read)
    meter.spent += found.spent
    if found.searched_for:
        question = _spelled(question, found.searched_for)
    if tables.asks_value(question.query.text):
        hits = await asyncio.to_thread(searching.with_rows, question, found.hits, known.candidates, known.excerpts)
        found = replace(found, hits=hits)
    if question.least_relevance:
        found = replace(found, hits=gate.above(question.least_relevance, found.hits))
    return question, found


@dataclass
class _Known:
    """What is read in the transaction that finds the passages: answers to give again, and the pages of quotes."""

    rt: Runtime
    question: Question
    key: CacheKey | None = None
    revisions: Mapping[str, int] | None = None
    query_vectors: Sequence[QueryVector] = ()
    near: Sequence[tuple[str, dict[str, Any]]] = ()
    candidates: list[Hit] = field(default_factory=list)
    excerpts: dict[str, PageExcerpt] = field(default_factory=dict)

    async def read(
        self, session: AsyncSession, scope: ResolvedScope, candidates: Sequence[Hit], vectors: Sequence[QueryVector]
    ) -> None:
        """Called by each search.

        Of a question in parts, the first search looks for cached answers, by equal words only: no vector stands for the
        whole question.
        """
        first, self.revisions = self.revisions is None, self.revisions or scope.revisions
        if first:
            self.key = answer_cache.key_of(self.rt, self.question, scope.revisions)
            self.query_vectors = () if self.question.parts else vectors
        elif self.revisions != scope.revisions:  # changed between two searches
            self.key = None
        self.candidates += candidates
        # Some are much alike. If tables are looked into, all are needed for the heads of their rows.
        most = len(candidates) if tables.asks_value(self.question.query.text) else 2 * searching.PASSAGES
        self.excerpts |= await page_excerpts(session, candidates[:most])
        if first and self.key is not None:
            self.near = await answer_cache.nearest(session, self.rt.settings, self.key, self.query_vectors)

    def answer(self, shown: Sequence[Hit]) -> Done | None:
        return answer_cache.choose(self.key, self.near, shown) if self.key is not None else None

    async def excerpts_of(self, rt: Runtime, shown: Sequence[Hit]) -> dict[str, PageExcerpt]:
        """The excerpts of the shown hits; those that only the reranker moved up are read now."""
        if unread := [hit for hit in shown if hit.chunk_id not in self.excerpts]:
            async with rt.transaction() as session:
                self.excerpts |= await page_excerpts(session, unread)
        return self.excerpts


def _with_evidence(done: Done, hits: Sequence[Hit], least: float, mode: Mode, asked_in: str) -> Done:
    """Explains why no answer was found."""
    found = gate.evidence(hits, least, mode, asked_in) if done.answer_status == "not_found" else None
    return replace(done, evidence=found)


async def _refused(rt: Runtime, words: str, missing: Sequence[str]) -> AsyncGenerator[Event, None]:
    words = " ".join(filter(None, (words, f"They do not mention {listed(missing)}." if missing else "")))
    yield Delta(words)
    yield replace(_done(words, "not_found", rt.generator.model), not_mentioned=missing)


async def _given_again(known: Done) -> AsyncGenerator[Event, None]:
    yield Delta(known.answer)
    for footnote in known.citations:
        yield footnote
    yield known


async def _made(
    rt: Runtime,
    question: Question,
    shown: Sequence[Hit],
    missing: Sequence[str],
    known: _Known,
    meter: UsageMeter,
    *,
    is_enough: bool,
) -> AsyncGenerator[Event, None]:
    """By the generator, to be stored with what it used."""
    prompts = (question.system_prompt or "", RULES, BRIEF_RULES, REPAIR)
    around = await known.excerpts_of(rt, shown)
    new = partial(Draft, shown, around, prompts, question.query.text, max(1, len(question.parts)))
    first_choice = meter.writer = ModelRef(rt.generator.provider, question.model or rt.generator.model)
    request = replace(_request(question, searching.passages(shown, around), missing), near_only=not is_enough)
    if first_choice.provider == EXTRACTIVE:
        asked_in = configuration(detected(question.query.text))
        of_meaning = await across.related(rt, asked_in, shown, request.passages, known.query_vectors)
        request = replace(request, related=of_meaning)
    writing = Writing(rt, request, new, first_choice)
    async with aclosing(writing.events()) as events:
        async for event in events:
            if isinstance(event, Usage | Uncounted | ModelRef):
                meter.take(event)
            else:
                yield event
    draft = writing.draft
    unsupported = await asyncio.to_thread(lambda: draft.unsupported)  # long answers take tens of milliseconds
    if not draft.text:
        yield Delta(NOT_FOUND)
    done = replace(
        _done(draft.text or NOT_FOUND, draft.status, meter.writer.model),
        citations=list(draft.footnotes.values()),
        unsupported=unsupported,
        not_mentioned=missing,
        truncated=writing.truncated,
        document_ids=sorted({hit.document_id for hit in shown}) if draft.text else (),
    )
    # Another one writes only as long as the first is unavailable.
    if known.key is not None and meter.writer == first_choice and answer_cache.worth_storing(done):
        meter.before = partial(answer_cache.store, key=known.key, query_vectors=known.query_vectors, done=done)
    yield done


def _done(answer: str, status: AnswerStatus, model: str) -> Done:
    """Without what every answer has: its id, what was used, how long it took."""
    return Done("", answer, status, (), Usage(0, 0), {}, model)


async def _standing_alone(rt: Runtime, question: Question, meter: UsageMeter) -> Question:
    """With as much of its history as fits, by which it is made to stand alone."""
    history = rewriting.fitting(question.history, rt.settings.history_tokens)
    if not history:
        return replace(question, history=())
    text = await rewriting.standalone(rt, question.query.text, history, question.model, meter)
    return replace(question, query=replace(question.query, text=text), history=history)


def _spelled(question: Question, corrections: Sequence[Correction]) -> Question:
    """The question as it was searched, and each part of it."""
    query = replace(question.query, text=applied(folded(question.query.text), corrections))
    return replace(question, query=query, parts=[applied(folded(each), corrections) for each in question.parts])


async def _in_parts(rt: Runtime, question: Question, meter: UsageMeter) -> Question:
    found = parts(question.query.text)
    if len(found) > 1:
        found = await rewriting.parted(rt, question.query.text, found, question.model, meter)
    return replace(question, parts=found if len(found) > 1 else ())


def _evidence(hit: Hit) -> str:
    """The text of a hit, with its title and headings."""
    return "\n".join((hit.filename, hit.subject, hit.text, *map(str, hit.metadata.values())))


def _request(question: Question, passages: Sequence[Passage], missing: Sequence[str]) -> GenerationRequest:
    return GenerationRequest(
        question=question.query.text,
        passages=passages,
        history=question.history,
        not_mentioned=missing,
        parts=question.parts,
        system_prompt=question.system_prompt,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
