"""Answers: one generator of typed events, rendered elsewhere as JSON, SSE or text.

rewrite a follow-up -> retrieve -> gate -> generate -> check citations -> done. The order of events is Sources, then
Deltas and Citations as the answer grows, then Done. Errors are raised.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.answering import answer_cache, gate, rewriting
from footnote.answering.answer_cache import CacheKey
from footnote.answering.cited_text import Draft, PageExcerpt, places
from footnote.answering.events import AnswerStatus, Citation, Delta, Done, Event, Question, Sources
from footnote.answering.support import UnsupportedSentence
from footnote.database.ids import new_id
from footnote.errors import Unavailable
from footnote.providers import GenerationRequest, ModelRef, Passage, Statement, Token, Truncated, Uncounted, Usage
from footnote.providers.messages import RULES
from footnote.retrieval import Hit, search
from footnote.retrieval.resolving import ResolvedScope
from footnote.retrieval.spaces import QueryVector
from footnote.runtime import Runtime
from footnote.telemetry import queries_total
from footnote.tenancy.usage import UsageEntry, UsageMeter
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
    "whole",
]

NOT_FOUND = "The documents do not hold an answer to this question."
NOTHING_TO_SEARCH = "There are no documents to answer from here: none is ready to be searched."
PASSAGES = 8  # hits a generator sees


async def answer(rt: Runtime, question: Question) -> AsyncGenerator[Event, None]:
    """Raises what retrieval and the provider raise; nothing is raised after Done.

    Closing it early stops the model: a reader that may stop early must close it.
    """
    meter = UsageMeter(rt.settings, ModelRef(rt.generator.provider, rt.generator.model))
    try:
        async with aclosing(_answered(rt, question, meter)) as events:
            async for event in events:
                yield event
    finally:  # what was spent on an answer that broke off was spent, too
        await meter.settle(rt, question.query.key_id)


async def whole(events: AsyncGenerator[Event, None]) -> tuple[Sources, Done]:
    """What an answer was found in, and its end. Raises what the answer raises."""
    sources = Sources(())
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Sources):
                sources = event
            elif isinstance(event, Done):
                return sources, event
    raise Unavailable("provider_bad_response", "The answer broke off.")


async def _answered(rt: Runtime, question: Question, meter: UsageMeter) -> AsyncGenerator[Event, None]:
    started = time.monotonic()
    timings: dict[str, float] = {}
    asked = question.query.text
    if question.history:
        question = await _standing_alone(rt, question, meter)
        timings["rewrite"] = _since(started)
    searched = question.query.text if question.query.text != asked else None
    known = _Known(rt, question)
    found = await search(rt, question.query, known.read)
    meter.spent += found.spent
    timings |= {"retrieve": _since(started), **found.timings}
    if found.searched_for:
        question = replace(question, query=replace(question.query, text=found.text))
    yield Sources(found.hits, found.reranked, found.rerank_failure, searched, found.searched, found.searched_for)
    shown = found.hits[:PASSAGES]
    asked_in = configuration(detected(question.query.text))
    if not gate.supports(found.hits, rt.settings.least_evidence, question.query.mode, asked_in):
        events = _refused(rt, NOT_FOUND if found.searched.documents else NOTHING_TO_SEARCH)
    elif given := known.answer(shown):
        events = _given_again(given)
    else:
        events = _made(rt, question, shown, known, meter)
    async with aclosing(events):
        async for event in events:
            timings.setdefault("first_token", _since(started))
            if isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
                meter.spent.append(UsageEntry("query"))
                timings["total"] = _since(started)
                event = replace(event, id=new_id("ans"), usage=meter.usage, timings=timings)
            yield event


@dataclass
class _Known:
    """What is read in the transaction that finds the passages: answers to give again, and the pages of quotes."""

    rt: Runtime
    question: Question
    key: CacheKey | None = None
    query_vectors: Sequence[QueryVector] = ()
    near: Sequence[tuple[str, dict[str, Any]]] = ()
    places: dict[str, PageExcerpt] = field(default_factory=dict)

    async def read(
        self, session: AsyncSession, scope: ResolvedScope, candidates: Sequence[Hit], vectors: Sequence[QueryVector]
    ) -> None:
        self.key = answer_cache.key_of(self.rt, self.question, scope.revisions)
        self.query_vectors = vectors
        self.places = await places(session, candidates[: 2 * PASSAGES])  # of which some are much alike
        if self.key is not None:
            self.near = await answer_cache.nearest(session, self.rt.settings, self.key, vectors)

    def answer(self, shown: Sequence[Hit]) -> Done | None:
        return answer_cache.choose(self.key, self.near, shown) if self.key is not None else None

    async def places_of(self, rt: Runtime, shown: Sequence[Hit]) -> dict[str, PageExcerpt]:
        """Those that a reranker put forward are read now."""
        if lacking := [hit for hit in shown if hit.chunk_id not in self.places]:
            async with rt.transaction() as session:
                self.places |= await places(session, lacking)
        return self.places


async def _refused(rt: Runtime, words: str) -> AsyncGenerator[Event, None]:
    yield Delta(words)
    yield _done(words, "not_found", rt.generator.model)


async def _given_again(known: Done) -> AsyncGenerator[Event, None]:
    yield Delta(known.answer)
    for footnote in known.citations:
        yield footnote
    yield known


async def _made(
    rt: Runtime, question: Question, shown: Sequence[Hit], known: _Known, meter: UsageMeter
) -> AsyncGenerator[Event, None]:
    """By the generator, to be stored with what it used."""
    prompts = (question.system_prompt or "", RULES)
    draft = Draft(shown, await known.places_of(rt, shown), prompts)
    first_choice = meter.writer = ModelRef(rt.generator.provider, question.model or rt.generator.model)
    truncated = False
    async with aclosing(_generate(rt, question, draft)) as events:
        async for event in events:
            match event:
                case Usage() | Uncounted() | ModelRef():
                    meter.take(event)
                case Truncated():
                    truncated = True
                case _:
                    yield event
    if not draft.text:
        yield Delta(NOT_FOUND)
    done = replace(
        _done(draft.text or NOT_FOUND, draft.status, meter.writer.model),
        citations=list(draft.footnotes.values()),
        unsupported=draft.unsupported,
        truncated=truncated,
        document_ids=sorted({hit.document_id for hit in shown}) if draft.text else (),
    )
    # Another one writes only as long as the first is away.
    if known.key is not None and meter.writer == first_choice and answer_cache.worth_storing(done):
        meter.before = partial(answer_cache.store, key=known.key, query_vectors=known.query_vectors, done=done)
    yield done


def _done(answer: str, status: AnswerStatus, model: str) -> Done:
    """Without what is told of every answer alike: its id, what was used, how long it took."""
    return Done("", answer, status, (), Usage(0, 0), {}, model)


async def _standing_alone(rt: Runtime, question: Question, meter: UsageMeter) -> Question:
    """With as much of its history as fits, by which it is made to stand alone."""
    history = rewriting.fitting(question.history, rt.settings.history_tokens)
    if not history:
        return replace(question, history=())
    text = await rewriting.standalone(rt, question.query.text, history, question.model, meter)
    return replace(question, query=replace(question.query, text=text), history=history)


async def _generate(
    rt: Runtime, question: Question, draft: Draft
) -> AsyncGenerator[Event | Usage | Uncounted | ModelRef | Truncated, None]:
    async with aclosing(rt.generator.generate(_request(question, draft.hits))) as events:
        async for event in events:
            match event:
                case Token(text):
                    for rendered in draft.feed(text):
                        yield rendered
                case Statement(text, marker, quote):
                    for rendered in draft.state(text, marker, quote):
                        yield rendered
                case Usage() | Uncounted() | ModelRef() | Truncated():
                    yield event
    for rendered in draft.close():
        yield rendered


def _request(question: Question, hits: Sequence[Hit]) -> GenerationRequest:
    return GenerationRequest(
        question=question.query.text,
        passages=[Passage(number, hit.place, hit.text) for number, hit in enumerate(hits, 1)],
        history=question.history,
        system_prompt=question.system_prompt,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
