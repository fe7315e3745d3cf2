"""Search, and questions with cited answers."""

import time
from typing import Any

from fastapi import APIRouter, Request

from api.answer_stream import STREAM, respond
from api.deps import Asker, RuntimeDep
from api.disconnect import while_connected
from api.schemas.questions import QueryIn, SearchIn
from api.schemas.search import AnswerOut, CorrectionOut, CoverageOut, ExplanationOut, HitOut, SearchOut
from footnote import answering, retrieval
from footnote.answering import conversations
from footnote.tenancy import usage
from footnote.tenancy.usage import UsageEntry

router = APIRouter(prefix="/v1", tags=["query"])


@router.post("/search")
async def search(body: SearchIn, request: Request, rt: RuntimeDep, caller: Asker, explain: bool = False) -> SearchOut:
    """Find the passages that fit the query best, each with its position in a document.

    `explain` adds how each part of the search ranked a hit. `rerank` says whether the configured reranker is used; by
    default it is used if there is one. If it fails, the hits keep their order, and `rerank_failure` says why.
    """
    started = time.monotonic()
    found = await while_connected(request, retrieval.search(rt, body.looking_for(body.query, caller)))
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
        searched_for=[CorrectionOut.model_validate(each) for each in found.searched_for],
    )


@router.post("/query", response_model=AnswerOut, responses=STREAM)
async def ask(body: QueryIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Ask a question. The answer cites your documents, and every citation was checked against the stored page.

    With `conversation_id` the question belongs to that conversation and is stored there. With `messages` you send the
    earlier messages yourself, the question last. A question that builds on earlier ones is first rewritten to stand
    alone: see `question_as_searched`. With `stream: true` the answer comes as server-sent events.
    """
    if body.conversation_id is None:
        events = answering.answer(rt, body.question_of(caller))
    else:
        async with rt.transaction() as session:
            conversation = await conversations.get(session, body.conversation_id)
        question = body.as_in(conversation).question_of(caller)
        events = conversations.ask(rt, conversation.id, question, store_stopped=body.stream)
    return await respond(events, request, stream=body.stream)
