"""Conversations and their messages."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from api.schemas.common import In, Out, PageOf
from api.schemas.fields import JsonObject, Plain
from api.schemas.filters import FILTER_SCHEMA
from api.schemas.questions import Names, SystemPrompt
from api.schemas.search import (
    AnchoredOut,
    CitationOut,
    CorrectionOut,
    CoverageOut,
    EvidenceOut,
    OnRequest,
    UnsupportedOut,
    UsageOut,
)
from footnote import filters
from footnote.answering import Citation
from footnote.answering.events import answer_kind
from footnote.models import Conversation, Message


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    filters.parse(given, "body.filters")
    return given


# Stored as you send it, and parsed again for each question.
StoredFilter = Annotated[JsonObject, AfterValidator(_checked), WithJsonSchema(FILTER_SCHEMA)]


class ConversationIn(In):
    """`collections`, `filters` and `system_prompt` are defaults for the questions of the conversation."""

    title: Annotated[Plain, StringConstraints(min_length=1, max_length=200)] | None = None
    metadata: JsonObject | None = None
    collections: Names | None = None
    filters: StoredFilter | None = None
    system_prompt: SystemPrompt | None = None

    def defaults(self) -> dict[str, Any]:
        return self.model_dump(include={"collections", "filters", "system_prompt"}, exclude_none=True)


class ConversationPatch(In):
    title: Annotated[Plain, StringConstraints(min_length=1, max_length=200)]


class ConversationOut(Out):
    id: str
    title: str | None
    metadata: dict[str, Any]
    collections: list[str] | None
    filters: dict[str, Any] | None
    system_prompt: str | None
    message_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def fields_of(cls, found: Conversation) -> dict[str, Any]:
        defaults = dict.fromkeys(("collections", "filters", "system_prompt")) | found.defaults
        named = {"metadata": found.attributes, "message_count": found.messages}
        return {
            **{name: getattr(found, name) for name in ("id", "title", "created_at", "updated_at")},
            **named,
            **defaults,
        }

    @classmethod
    def of(cls, found: Conversation) -> "ConversationOut":
        return cls(**cls.fields_of(found))


class PassageOut(AnchoredOut):
    """The position of a passage that was found for an answer."""

    chunk_id: str
    heading: str


class MessageOut(Out):
    """An answer also has what was searched and found; null for a question, and for answers of earlier versions."""

    id: str
    role: Literal["user", "assistant"]
    content: str
    citations: list[CitationOut]
    unsupported: list[UnsupportedOut]
    answer_status: Annotated[
        Literal["supported", "partial", "related", "not_found", "stopped", "removed"] | None,
        Field(description="`stopped`: the client ended the stream. `removed`: a source document was deleted."),
    ]
    answer_kind: Literal["extract", "generated"] | None
    question_as_searched: Annotated[str | None, OnRequest] = None
    model: str | None
    usage: UsageOut | None
    searched: CoverageOut | None = None
    passages: list[PassageOut] | None = None
    timings: dict[str, float] | None = None
    truncated: bool | None = None
    cached: bool | None = None
    not_mentioned: list[str] | None = None
    parts: list[str] | None = None
    searched_for: list[CorrectionOut] | None = None
    evidence: EvidenceOut | None = None
    created_at: datetime

    @classmethod
    def of(cls, found: Message) -> "MessageOut":
        citations = [CitationOut.model_validate(Citation(**each)) for each in found.citations]
        others = (
            name for name in cls.model_fields if name not in ("citations", "answer_kind") and hasattr(found, name)
        )
        details = {name: value for name, value in found.details.items() if name in cls.model_fields}
        kind = answer_kind(found.model) if found.model else None
        given = {name: getattr(found, name) for name in others}
        return cls(citations=citations, answer_kind=kind, **given, **details)


class ConversationWithMessagesOut(ConversationOut):
    """The conversation with a page of its messages, in the order that was asked for."""

    messages: PageOf[MessageOut]


class ConversationDeletionOut(Out):
    conversation_id: str
    messages: int
