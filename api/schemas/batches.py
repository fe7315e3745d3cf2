"""Many questions in one request, and their results."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.errors import stored_problem_body
from api.schemas.common import In, Out, PageOf, ProblemOut
from api.schemas.fields import Url
from api.schemas.search import AnswerOut, OnRequest
from footnote.answering import Citation
from footnote.answering.events import answer_kind
from footnote.errors import TooLarge
from footnote.models import QueryBatch, QueryBatchItem

MOST_QUESTIONS = 1000
MOST_AT_ONCE = 20  # answered within the request
MOST_OF_DEFAULTS = 16 * 1024 * 1024  # characters, counted once for each question, since each is stored with them


class QuestionsIn(In):
    """Questions with the fields of `POST /v1/query`, except `stream` and `conversation_id`."""

    questions: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_QUESTIONS)]
    defaults: Annotated[
        dict[str, Any], Field(description="Fields for every question that does not set them itself.")
    ] = {}
    background: Annotated[
        bool, Field(description=f"Answer in the background. More than {MOST_AT_ONCE} questions always are.")
    ] = False
    callback_url: Annotated[
        Url | None, Field(description="An address that is notified when a batch in the background has ended.")
    ] = None

    @model_validator(mode="after")
    def _is_not_huge_with_its_defaults(self) -> Self:
        if len(json.dumps(self.defaults)) * len(self.questions) > MOST_OF_DEFAULTS:
            message = f"The defaults, once for each question, are over the limit of {MOST_OF_DEFAULTS} characters."
            raise TooLarge("too_large", message)
        return self


class ResultOut(Out):
    """The answer or the error of question `index`, and the status that it would have alone; null: not answered yet."""

    index: int
    status: int | None
    answer: Annotated[AnswerOut | None, OnRequest] = None
    error: Annotated[ProblemOut | None, OnRequest] = None

    @classmethod
    def failed(cls, index: int, problem: dict[str, Any]) -> "ResultOut":
        return cls(index=index, status=problem["status"], error=ProblemOut.model_validate(problem))

    @classmethod
    def of(cls, item: QueryBatchItem, request_id: str) -> "ResultOut":
        if item.error is not None:
            return cls.failed(item.position, stored_problem_body(request_id, item.error))
        if item.answer is None:
            return cls(index=item.position, status=None)
        citations = [Citation(**each) for each in item.answer["citations"]]
        kind = answer_kind(item.answer["model"])
        answer = AnswerOut.model_validate({**item.answer, "answer_kind": kind, "citations": citations, "hits": []})
        return cls(index=item.position, status=200, answer=answer)


class ResultsOut(Out):
    data: list[ResultOut]


class QueryBatchOut(Out):
    id: str
    status: Literal["queued", "running", "waiting", "completed", "cancelled"]
    total: int
    ended: Annotated[int, Field(description="Questions that have an answer or an error.")]
    failed: int
    waiting_for: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def fields_of(cls, batch: QueryBatch, failed: int) -> dict[str, Any]:
        names = ("id", "total", "ended", "waiting_for", "next_attempt_at", "created_at", "finished_at")
        return {**{name: getattr(batch, name) for name in names}, "status": batch.state, "failed": failed}

    @classmethod
    def of(cls, batch: QueryBatch, failed: int) -> "QueryBatchOut":
        return cls(**cls.fields_of(batch, failed))


class QueryBatchWithResultsOut(QueryBatchOut):
    """The batch with a page of its results, in the order of the questions. Results have no hits."""

    results: PageOf[ResultOut]
