"""Answers: one generator of typed events, rendered elsewhere as JSON, SSE or text.

rewrite a follow-up -> retrieve -> gate -> generate -> check citations -> done. The order of events is Sources, then
Deltas and Citations as the answer grows, then Done. Errors are raised.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from footnote.answering import evidence, rewriting
from footnote.answering.draft import Draft, places
from footnote.answering.events import AnswerStatus, Citation, Delta, Done, Event, Sources
from footnote.answering.support import Unsupported
from footnote.ids import new_id
from footnote.providers import Claim, GenerationRequest, Passage, Token, Turn, Usage, Writer
from footnote.providers.messages import RULES
from footnote.retrieval import Hit, Query, search
from footnote.runtime import Runtime
from footnote.usage import Bill

__all__ = [
    "AnswerStatus",
    "Citation",
    "Delta",
    "Done",
    "Event",
    "Question",
    "Sources",
    "Unsupported",
    "answer",
    "made_from",
]

NOT_FOUND = "The documents do not hold an answer to this question."
PASSAGES = 8  # hits a generator sees


@dataclass(frozen=True)
class Question:
    """What is asked, after the turns of `history`, oldest first."""

    query: Query
    history: Sequence[Turn] = ()
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None


async def answer(rt: Runtime, question: Question) -> AsyncGenerator[Event, None]:
    """Raises what retrieval and the provider raise; nothing is raised after Done.

    Closing it early stops the model: whoever may stop reading closes it.
    """
    started = time.monotonic()
    timings: dict[str, float] = {}
    asked, bill = question.query.text, Bill(rt.settings, Writer(rt.generator.provider, rt.generator.model))
    if question.history:
        question = await _standing_alone(rt, question, bill)
        timings["rewrite"] = _since(started)
    searched = question.query.text if question.query.text != asked else None
    found = await search(rt, question.query)
    hits = found.hits
    bill.spent += found.spent
    timings |= {"retrieve": _since(started), **found.timings}
    yield Sources(hits, found.reranked, found.rerank_failure, searched)
    answer_id = new_id("ans")
    if not evidence.supports(hits, rt.settings.least_evidence, question.query.mode):
        yield Delta(NOT_FOUND)
        timings["total"] = _since(started)
        await bill.settle(rt, question.query.tenant_id, question.query.key_id)
        yield Done(answer_id, NOT_FOUND, "not_found", (), bill.usage, timings, rt.generator.model)
        return
    shown = hits[:PASSAGES]
    prompts = (question.system_prompt or "", RULES)
    draft = Draft(shown, await places(rt, question.query.tenant_id, shown), prompts)
    bill.writer = Writer(rt.generator.provider, question.model or rt.generator.model)
    async with aclosing(_generate(rt, question, draft)) as events:
        async for event in events:
            if isinstance(event, Usage | Writer):
                bill.take(event)
                continue
            timings.setdefault("first_token", _since(started))
            yield event
    if not draft.text:
        yield Delta(NOT_FOUND)
    await bill.settle(rt, question.query.tenant_id, question.query.key_id)
    timings["total"] = _since(started)
    footnotes = list(draft.footnotes.values())
    said = draft.text or NOT_FOUND
    yield Done(answer_id, said, draft.status, footnotes, bill.usage, timings, bill.writer.model, draft.unsupported)


def made_from(done: Done, sources: Sources) -> set[str]:
    """The documents that the answer can have been made from: a refusal in our own words from none."""
    return {hit.document_id for hit in sources.hits[:PASSAGES]} if done.answer != NOT_FOUND else set()


async def _standing_alone(rt: Runtime, question: Question, bill: Bill) -> Question:
    """With as much of its history as fits, by which it is made to stand alone."""
    history = rewriting.fitting(question.history, rt.settings.history_tokens)
    if not history:
        return replace(question, history=())
    text = await rewriting.standalone(rt, question.query.text, history, question.model, bill)
    return replace(question, query=replace(question.query, text=text), history=history)


async def _generate(rt: Runtime, question: Question, draft: Draft) -> AsyncGenerator[Event | Usage | Writer, None]:
    async with aclosing(rt.generator.generate(_request(question, draft.hits))) as events:
        async for event in events:
            match event:
                case Token(text):
                    for rendered in draft.feed(text):
                        yield rendered
                case Claim(text, marker, quote):
                    for rendered in draft.state(text, marker, quote):
                        yield rendered
                case Usage() | Writer():
                    yield event
    for rendered in draft.close():
        yield rendered


def _request(question: Question, hits: Sequence[Hit]) -> GenerationRequest:
    return GenerationRequest(
        question=question.query.text,
        passages=[
            Passage(number, " > ".join(filter(None, (hit.filename, hit.heading))), hit.text)
            for number, hit in enumerate(hits, 1)
        ],
        history=question.history,
        system_prompt=question.system_prompt,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
