"""Search, and questions with cited answers."""

import time
from typing import Any

from fastapi import APIRouter, Request

from api.deps import Asker, RuntimeDep
from api.disconnect import while_there
from api.rendering import STREAM, respond
from api.schemas.questions import QueryIn, SearchIn
from api.schemas.search import AnswerOut, CoverageOut, ExplanationOut, HitOut, SearchOut
from footnote import answering, retrieval
from footnote.answering import conversations
from footnote.tenancy import usage
from footnote.tenancy.usage import UsageEntry

router = APIRouter(prefix="/v1", tags=["query"])


@router.post("/search", operation_id="search")
async def search(body: SearchIn, request: Request, rt: RuntimeDep, caller: Asker, explain: bool = False) -> SearchOut:
    """The passages that fit the query best, with their anchors; `explain` tells how each leg ranked them.

    `rerank`: whether the configured reranker is asked; null: if there is one. Should it fail, the hits stand as fused.
    """
    started = time.monotonic()
    found = await while_there(request, retrieval.search(rt, body.looking_for(body.query, caller)))
    await usage.record_apart(rt, caller.key_id, UsageEntry("query"), *found.spent)
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
        searched=CoverageOut.model_validate(found.searched),
    )


@router.post("/query", operation_id="query", response_model=AnswerOut, responses=STREAM)
async def query(body: QueryIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """An answer from the documents, each claim with a footnote that was checked against the stored page.

    With `conversation_id` it is asked in the conversation and kept there; `messages` are what was said before and the
    question. A question that leans on others is made to stand alone first: `question_as_searched` tells how.
    """
    if body.conversation_id is None:
        events = answering.answer(rt, body.question_of(caller))
    else:
        async with rt.transaction() as session:
            conversation = await conversations.get(session, body.conversation_id)
        events = conversations.ask(rt, conversation.id, body.as_in(conversation).question_of(caller))
    return await respond(events, request, stream=body.stream)
