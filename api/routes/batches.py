"""Batches of questions, answered at once or in the background."""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from api.answer_stream import collect
from api.body_limits import TEXT, takes
from api.deps import Asker, Reader, RuntimeDep, again_while_busy
from api.disconnect import while_connected
from api.errors import invalid, problem_body, request_id_of
from api.paging import Limit
from api.schemas.batches import (
    MOST_AT_ONCE,
    MOST_QUESTIONS,
    QueryBatchOut,
    QueryBatchWithResultsOut,
    QuestionsIn,
    ResultOut,
    ResultsOut,
)
from api.schemas.common import PageOf
from api.schemas.fields import Plain
from api.schemas.questions import QuestionIn
from footnote import answering, deadline
from footnote.answering import question_batches
from footnote.errors import FootnoteError
from footnote.outbound import guard
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy.keys import Principal

router = APIRouter(prefix="/v1/query", tags=["query"])
BatchId = Annotated[Plain, Path(max_length=64)]
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": QueryBatchOut, "description": "The batch is answered in the background."}
}


@router.post("/batch", response_model=ResultsOut, responses=_ACCEPTED)
@takes(TEXT)
async def ask_batch(body: QuestionsIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Ask up to 1,000 questions. You get a result for each, in the same order; an error affects only its own question.

    Up to 20 questions are answered within the request, unless you set `background`. More are accepted (202) and
    answered in the background, also across restarts of the server. Results are stored for a week. `callback_url`
    is notified when the batch has ended.
    """
    if body.callback_url:
        guard.check_url(body.callback_url, allow_private=rt.settings.webhook_allow_private)
    questions = [_read({**body.defaults, **each}) for each in body.questions]
    if len(questions) <= MOST_AT_ONCE and not body.background:
        deadline.allow(inf)  # each of them has limits of its own
        return await while_connected(request, _answered(rt, questions, caller, request_id_of(request)))
    items = [each if isinstance(each, FootnoteError) else each[0].stored(each[1], caller) for each in questions]
    async with rt.transaction() as session:
        batch = await question_batches.create(session, items, body.callback_url)
        failed = await question_batches.failures(session, batch)
    shown = QueryBatchOut.of(batch, failed).model_dump(mode="json")
    return JSONResponse(shown, 202, {"Location": f"/v1/query/batches/{batch.id}"})


def _read(given: dict[str, Any]) -> tuple[QuestionIn, dict[str, Any]] | FootnoteError:
    """The question and the request that it was parsed from, or what is wrong with it."""
    try:
        return QuestionIn.model_validate(given), given
    except ValidationError as error:
        return invalid(error)
    except FootnoteError as error:
        return error


async def _answered(
    rt: Runtime, questions: Sequence[tuple[QuestionIn, dict[str, Any]] | FootnoteError], caller: Principal, asked: str
) -> ResultsOut:
    """Answers all questions, a few at once. An unexpected error fails only its own question."""
    room = asyncio.Semaphore(rt.settings.batch_concurrency)

    async def result(index: int, read: tuple[QuestionIn, dict[str, Any]] | FootnoteError) -> ResultOut:
        try:
            if isinstance(read, FootnoteError):
                raise read
            async with room:
                answer = await collect(answering.answer(rt, read[0].question_of(caller)))
        except FootnoteError as error:
            return ResultOut.failed(index, problem_body(asked, error))
        except Exception as error:
            log.error("question of a batch failed", exc_info=error)
            return ResultOut.failed(index, problem_body(asked, FootnoteError("internal_error")))
        return ResultOut(index=index, status=200, answer=answer)

    return ResultsOut(data=await asyncio.gather(*(result(*each) for each in enumerate(questions))))


@router.get("/batches/{query_batch_id}")
async def get_query_batch(
    query_batch_id: BatchId,
    request: Request,
    rt: RuntimeDep,
    caller: Reader,
    limit: Limit = 50,
    cursor: Annotated[int, Query(ge=0, le=MOST_QUESTIONS, description="`next_cursor` of the previous page.")] = 0,
) -> QueryBatchWithResultsOut:
    """Get the state of a batch that is answered in the background, with the results it has so far."""
    async with rt.transaction() as session:
        batch = await question_batches.get(session, query_batch_id)
        failed = await question_batches.failures(session, batch)
        items = await question_batches.items_of(session, batch, limit=limit, start=cursor)
    more = str(cursor + limit) if cursor + limit < batch.total else None
    results = [ResultOut.of(each, request_id_of(request)) for each in items]
    page = PageOf[ResultOut](data=results, next_cursor=more)
    return QueryBatchWithResultsOut(**QueryBatchOut.fields_of(batch, failed), results=page)


@router.post("/batches/{query_batch_id}/cancel")
@again_while_busy
async def cancel_query_batch(query_batch_id: BatchId, rt: RuntimeDep, caller: Reader) -> QueryBatchOut:
    """Stop a batch that has not ended. Existing answers are kept."""
    async with rt.transaction() as session:
        batch = await question_batches.cancel(session, query_batch_id)
        return QueryBatchOut.of(batch, await question_batches.failures(session, batch))
