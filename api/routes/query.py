"""Search, and questions with cited answers."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.deps import Plain, Reader, RuntimeDep
from api.errors import problem_body, request_id_of
from api.presence import while_there
from api.schemas.filters import FilterIn
from api.schemas.search import AnswerOut, CitationOut, ExplanationOut, HitOut, SearchOut, SourcesOut
from footnote import answering, retrieval, text
from footnote.answering import Citation, Delta, Done, Question, Sources
from footnote.errors import FootnoteError, Unavailable
from footnote.keys import Principal
from footnote.retrieval.expansion import Expand
from footnote.telemetry import log, queries_total

router = APIRouter(prefix="/v1", tags=["query"])


def _clean(value: str) -> str:
    cleaned = text.clean(value).strip()
    if not cleaned:
        raise ValueError("must hold a word")
    return cleaned


QueryText = Annotated[str, StringConstraints(min_length=1, max_length=8192), AfterValidator(_clean)]
Names = Annotated[list[Annotated[Plain, StringConstraints(max_length=64)]], Field(max_length=100)]


class _RetrievalIn(BaseModel):
    """Where and how to look, for a search and a question alike."""

    model_config = ConfigDict(extra="forbid")

    collections: Names | None = None
    document_ids: Names | None = None
    filters: FilterIn | None = None
    top_k: Annotated[int, Field(ge=1, le=100)] = 10
    mode: retrieval.Mode = "hybrid"
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    expand: Expand = "none"
    rerank: bool | None = None

    def looking_for(self, words: str, caller: Principal) -> retrieval.Query:
        return retrieval.Query(
            tenant_id=caller.tenant_id,
            text=words,
            collections=self.collections,
            document_ids=self.document_ids,
            filter=self.filters,
            mode=self.mode,
            top_k=self.top_k,
            diversity=self.diversity,
            expand=self.expand,
            rerank=self.rerank,
        )


class SearchIn(_RetrievalIn):
    query: QueryText


class QueryIn(_RetrievalIn):
    question: QueryText
    stream: bool = False
    model: Annotated[Plain, StringConstraints(max_length=128)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None
    system_prompt: Annotated[Plain, StringConstraints(max_length=8192)] | None = None


@router.post("/search", operation_id="search")
async def search(body: SearchIn, request: Request, rt: RuntimeDep, caller: Reader, explain: bool = False) -> SearchOut:
    """The passages that fit the query best, with their anchors; `explain` tells how each leg ranked them.

    `rerank`: whether the configured reranker is asked; null: if there is one. Should it fail, the hits stand as fused.
    """
    started = time.monotonic()
    found = await while_there(request, retrieval.search(rt, body.looking_for(body.query, caller)))
    took = round((time.monotonic() - started) * 1000, 1)
    data = [HitOut.model_validate(hit) for hit in found.hits]
    if explain:
        data = [
            shown.model_copy(update={"explain": ExplanationOut.model_validate(hit)})
            for shown, hit in zip(data, found.hits, strict=True)
        ]
    return SearchOut(
        data=data,
        timings={**found.timings, "total": took},
        reranked=found.reranked,
        rerank_failure=found.rerank_failure,
    )


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events named sources, delta, citation, done, "
        "error.",
        "content": {"text/event-stream": {}},
    }
}


@router.post("/query", operation_id="query", response_model=AnswerOut, responses=_STREAM)
async def query(body: QueryIn, request: Request, rt: RuntimeDep, caller: Reader) -> Any:
    """An answer from the documents, each claim with a footnote that was checked against the stored page."""
    events = answering.answer(rt, _question(body, caller))
    if body.stream:
        # The first event is awaited here, so that what fails before it is still a plain error response.
        first = await while_there(request, anext(events))
        return StreamingResponse(
            _sse(first, events, request_id_of(request)),
            media_type=EventSourceResponse.media_type,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
    return await while_there(request, _collect(events))


def _question(body: QueryIn, caller: Principal) -> Question:
    return Question(
        query=body.looking_for(body.question, caller),
        system_prompt=body.system_prompt,
        model=body.model,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
    )


async def _collect(events: AsyncGenerator[answering.Event, None]) -> AnswerOut:
    sources = Sources(())
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Sources):
                sources = event
            elif isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
                return _answer_out(event, sources)
    raise Unavailable("provider_bad_response", "The answer broke off.")


def _answer_out(done: Done, sources: Sources) -> AnswerOut:
    return AnswerOut.model_validate({**vars(done), **vars(sources)})


async def _sse(
    first: answering.Event, events: AsyncGenerator[answering.Event, None], request_id: str
) -> AsyncIterator[bytes]:
    """Each event as one frame. An error after the first byte becomes the event `error` with the problem."""
    sources = Sources(())
    event: answering.Event | None = first
    try:
        while event is not None:
            if isinstance(event, Sources):
                sources = event
            if isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
            yield _frame(event, sources)
            event = await anext(events, None)
    except Exception as error:
        known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
        if known is not error:
            log.error("answer broke off", exc_info=error)
        yield format_sse_event(event="error", data_str=json.dumps(problem_body(request_id, known)))
    finally:
        await events.aclose()  # a reader who left stops the model


def _frame(event: answering.Event, sources: Sources) -> bytes:
    name: Literal["sources", "delta", "citation", "done"]
    body: BaseModel
    match event:
        case Sources():
            name, body = "sources", SourcesOut.model_validate(event)
        case Delta():
            name, body = "delta", _DeltaOut(text=event.text)
        case Citation():
            name, body = "citation", CitationOut.model_validate(event)
        case Done():
            name, body = "done", _answer_out(event, sources)
    return format_sse_event(event=name, data_str=body.model_dump_json())


class _DeltaOut(BaseModel):
    text: str
