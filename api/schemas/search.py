"""Hits, citations and answers."""

from typing import Any, Literal

from api.schemas.common import Out


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


class UsageOut(Out):
    prompt_tokens: int
    completion_tokens: int


class SearchOut(Out):
    data: list[HitOut]
    timings: dict[str, float]


class AnswerOut(Out):
    id: str
    answer: str
    answer_status: Literal["supported", "partial", "not_found"]
    citations: list[CitationOut]
    hits: list[HitOut]
    usage: UsageOut
    timings: dict[str, float]
    model: str
    cached: bool
