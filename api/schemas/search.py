"""Hits, citations and answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.common import Out

OnRequest = Field(exclude_if=lambda value: value is None)


class ContextOut(Out):
    """What stands around a hit on its page."""

    text: str
    char_start: int
    char_end: int


class ExplanationOut(Out):
    """Rank and score in each leg, the rank when fused, and the reranker's score.

    Null for a leg that did not find the chunk, or was not asked.
    """

    vector_rank: int | None
    similarity: float | None
    keyword_rank: int | None
    bm25: float | None
    coverage: float | None
    needles: Annotated[int | None, Field(validation_alias="exact_matches")]
    fused_rank: int
    rerank_score: float | None


class HitOut(Out):
    chunk_id: str
    document_id: str
    filename: str
    version: int
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    text: str
    score: float
    metadata: dict[str, Any]
    context: Annotated[ContextOut | None, OnRequest] = None
    explain: Annotated[ExplanationOut | None, OnRequest] = None


class CitationOut(Out):
    marker: int
    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    quote: str
    verified: bool
    score: float
    chunk_id: str
    url: str
    highlights_url: Annotated[str | None, Field(description="Where the quote stands on the page's picture; PDFs only.")]


class UnsupportedOut(Out):
    """A sentence that no verified footnote stands behind: `answer[char_start:char_end]`."""

    text: str
    char_start: int
    char_end: int


class UsageOut(Out):
    """What the provider counted; null where it did not count."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Annotated[
        float | None, Field(description="US dollars; null where no price is known, or the tokens are not.")
    ] = None


class CoverageOut(Out):
    """What was looked into. An answer may lack what is in the `unfinished` ones: ask again when they are ready."""

    documents: Annotated[int, Field(description="In scope and searchable, as far as a filter and names let them.")]
    unfinished: Annotated[int, Field(description="In scope and still being ingested; counted to 1,000.")]


class RerankedOut(Out):
    """Whether the hits were reranked, where they were to be; if not, they stand as fused, and why is said in a word."""

    reranked: Annotated[bool | None, OnRequest] = None
    rerank_failure: Annotated[str | None, OnRequest] = None
    searched: Annotated[CoverageOut | None, OnRequest] = None


class SearchOut(RerankedOut):
    data: list[HitOut]
    timings: dict[str, float]


class SearchedOut(RerankedOut):
    """`question_as_searched`: what was looked for, if the question leaned on others and was made to stand alone."""

    question_as_searched: Annotated[str | None, OnRequest] = None


class SourcesOut(SearchedOut):
    hits: list[HitOut]


class AnswerOut(SearchedOut):
    id: str
    answer: str
    answer_status: Literal["supported", "partial", "not_found"]
    citations: list[CitationOut]
    unsupported: list[UnsupportedOut]
    hits: list[HitOut]
    usage: UsageOut
    timings: dict[str, float]
    model: str
    cached: bool
    truncated: Annotated[bool, Field(description="The model was not allowed to say more, or would not go on.")]
    conversation_id: Annotated[str | None, OnRequest] = None
    message_id: Annotated[str | None, OnRequest] = None
