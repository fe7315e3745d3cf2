"""Answers and what is found, as the API sends them.

`make docs` writes this file from the OpenAPI document.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict

from footnote.client.shapes import Json, Shape


class ConversationTurn(TypedDict):
    """`TurnIn` of the API."""

    role: Literal["user", "assistant"]
    content: str


class SearchOptions(TypedDict, total=False):
    """`SearchIn` of the API."""

    collections: Sequence[str] | None
    document_ids: Sequence[str] | None
    filters: Json | None
    top_k: int
    mode: Literal["hybrid", "vector", "keyword"]
    diversity: float
    expand: Literal["none", "neighbours", "section"]
    rerank: bool | None


class QuestionOptions(TypedDict, total=False):
    """`QueryIn` of the API."""

    collections: Sequence[str] | None
    document_ids: Sequence[str] | None
    filters: Json | None
    top_k: int
    mode: Literal["hybrid", "vector", "keyword"]
    diversity: float
    expand: Literal["none", "neighbours", "section"]
    rerank: bool | None
    model: str | None
    temperature: float | None
    max_tokens: int | None
    system_prompt: str | None
    messages: Sequence[ConversationTurn] | None
    conversation_id: str | None


class DocumentOptions(TypedDict, total=False):
    """`UrlIn` of the API. An address from which a document is fetched."""

    collection: str
    metadata: Json | None
    external_id: str | None
    callback_url: str | None


class ConversationOptions(TypedDict, total=False):
    """`ConversationIn` of the API. `collections`, `filters` and `system_prompt` are defaults for the questions of
    the conversation.
    """

    title: str | None
    metadata: Json | None
    collections: Sequence[str] | None
    filters: Json | None
    system_prompt: str | None


class CollectionOptions(TypedDict, total=False):
    """`CollectionIn` of the API."""

    language: str
    chunking: Json
    embedding: Json
    metadata: Json | None


class WordCorrection(Shape):
    """`CorrectionOut` of the API. A word that is not in the searched documents, and what was searched instead: the
    nearest words, or its parts.
    """

    word: str
    searched: tuple[str, ...]


class HitContext(Shape):
    """`ContextOut` of the API. The text around a hit on its page."""

    text: str
    char_start: int
    char_end: int


class SearchCoverage(Shape):
    """`CoverageOut` of the API. What was searched. The answer does not use `unfinished` documents: ask again when
    they are ready.
    """

    documents: int
    unfinished: int
    passages: int | None = None
    collections: tuple[str, ...] = ()
    filtered: bool = False


class AnswerEvidence(Shape):
    """`EvidenceOut` of the API. Why an answer was not found: the strength of the best passage, and what is needed to
    answer from one.
    """

    found: float
    needed: float


class HitExplanation(Shape):
    """`ExplanationOut` of the API. Rank and score in each part of the search, the fused rank, and the reranker's
    score.
    """

    vector_rank: int | None
    similarity: float | None
    relatedness: float | None
    keyword_rank: int | None
    bm25: float | None
    coverage: float | None
    exact_matches: int | None
    needles: int | None
    fused_rank: int
    rerank_score: float | None


class UnsupportedText(Shape):
    """`UnsupportedOut` of the API. A sentence that its footnotes do not support: `answer[char_start:char_end]`."""

    text: str
    char_start: int
    char_end: int
    reason: Literal["no_footnote", "quote_not_found", "not_in_quote", "quote_denies"] = "no_footnote"
    missing: tuple[str, ...] = ()


class TokenUsage(Shape):
    """`UsageOut` of the API. Tokens as the provider counted them; null if it did not."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None = None


class AnswerCitation(Shape):
    """`CitationOut` of the API."""

    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    marker: int
    heading: str = ""
    quote: str
    verified: bool
    score: float
    chunk_id: str
    url: str
    reader_path: str
    highlights_url: str | None
    reader_url: str


class SearchHit(Shape):
    """`HitOut` of the API."""

    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    chunk_id: str
    position: int
    heading: str
    text: str
    score: float
    metadata: Json
    context: HitContext | None = None
    explain: HitExplanation | None = None
    reader_url: str


class SearchHits(Shape):
    """`SearchOut` of the API."""

    reranked: bool | None = None
    rerank_failure: str | None = None
    searched: SearchCoverage | None = None
    searched_for: tuple[WordCorrection, ...] = ()
    data: tuple[SearchHit, ...]
    timings: dict[str, float]


class SourcesEvent(Shape):
    """`SourcesOut` of the API."""

    reranked: bool | None = None
    rerank_failure: str | None = None
    searched: SearchCoverage | None = None
    searched_for: tuple[WordCorrection, ...] = ()
    question_as_searched: str | None = None
    parts: tuple[str, ...] = ()
    hits: tuple[SearchHit, ...]


class Answer(Shape):
    """`AnswerOut` of the API."""

    reranked: bool | None = None
    rerank_failure: str | None = None
    searched: SearchCoverage | None = None
    searched_for: tuple[WordCorrection, ...] = ()
    question_as_searched: str | None = None
    parts: tuple[str, ...] = ()
    id: str
    answer: str
    answer_status: Literal["supported", "partial", "related", "not_found"]
    answer_kind: Literal["extract", "generated"]
    not_mentioned: tuple[str, ...]
    citations: tuple[AnswerCitation, ...]
    unsupported: tuple[UnsupportedText, ...]
    hits: tuple[SearchHit, ...]
    usage: TokenUsage
    timings: dict[str, float]
    model: str
    cached: bool
    truncated: bool
    evidence: AnswerEvidence | None = None
    conversation_id: str | None = None
    message_id: str | None = None


class MessagePassage(Shape):
    """`PassageOut` of the API. The position of a passage that was found for an answer."""

    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    chunk_id: str
    heading: str
    reader_url: str


class StoredMessage(Shape):
    """`MessageOut` of the API. An answer also has what was searched and found; null for a question, and for answers
    of earlier versions.
    """

    id: str
    role: Literal["user", "assistant"]
    content: str
    citations: tuple[AnswerCitation, ...]
    unsupported: tuple[UnsupportedText, ...]
    answer_status: Literal["supported", "partial", "related", "not_found", "stopped", "removed"] | None
    answer_kind: Literal["extract", "generated"] | None
    question_as_searched: str | None = None
    model: str | None
    usage: TokenUsage | None
    searched: SearchCoverage | None = None
    passages: tuple[MessagePassage, ...] | None = ()
    timings: dict[str, float] | None = None
    truncated: bool | None = None
    cached: bool | None = None
    not_mentioned: tuple[str, ...] | None = ()
    parts: tuple[str, ...] | None = ()
    searched_for: tuple[WordCorrection, ...] | None = ()
    evidence: AnswerEvidence | None = None
    created_at: datetime


class StoredConversation(Shape):
    """`ConversationOut` of the API."""

    id: str
    title: str | None
    metadata: Json
    collections: tuple[str, ...] | None
    filters: Json | None
    system_prompt: str | None
    message_count: int
    created_at: datetime
    updated_at: datetime


class DeletedConversation(Shape):
    """`ConversationDeletionOut` of the API."""

    conversation_id: str
    messages: int
