"""Events of `GET /v1/events`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas.common import Out
from api.schemas.documents import DocumentOut
from api.schemas.jobs import JobOut
from footnote.documents import DocumentDetails
from footnote.documents.changes import Counts, Event, Paused, Removed, Reset


class DocumentEventOut(Out):
    """A document that is new or has changed, with its newest job."""

    document: DocumentOut
    job: JobOut


class RemovedEventOut(Out):
    """A document that is no longer there."""

    document_id: str


class CountsEventOut(Out):
    """How many documents there are, by status."""

    documents: int
    ready: int
    queued: int
    running: int
    waiting: int
    failed: int
    cancelled: int


class PauseEventOut(Out):
    """Whether all work is paused."""

    paused_since: Annotated[datetime | None, Field(description="Null while work is not paused.")]


class ResetEventOut(Out):
    """You may have missed changes: read your lists again."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "document": DocumentEventOut,
    "removed": RemovedEventOut,
    "counts": CountsEventOut,
    "pause": PauseEventOut,
    "reset": ResetEventOut,
}


def rendered(event: Event) -> tuple[str, str]:
    """Its name, and its data as JSON."""
    match event:
        case DocumentDetails():
            name, body = "document", _of_document(event)
        case Removed():
            name, body = "removed", RemovedEventOut.model_validate(event)
        case Counts():
            name, body = "counts", CountsEventOut.model_validate(event)
        case Paused():
            name, body = "pause", PauseEventOut(paused_since=event.since)
        case Reset():
            name, body = "reset", ResetEventOut()
    return name, body.model_dump_json()


def _of_document(details: DocumentDetails) -> BaseModel:
    return DocumentEventOut(document=DocumentOut.of(details), job=JobOut.of(details.job))
