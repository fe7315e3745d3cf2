"""Many documents at once: their selection, and which files the server has."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from api.schemas.common import In, Out
from api.schemas.documents import DocumentOut
from api.schemas.fields import Plain
from api.schemas.filters import FilterIn
from api.schemas.jobs import DocumentStatus, job_states
from footnote.documents import DocumentDetails, DocumentFilter

Id = Annotated[Plain, StringConstraints(min_length=1, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")]


class SelectionFilterIn(In):
    """Conditions on documents, as in their list. At least one is required, so that you cannot select all by mistake."""

    collection: Annotated[Id | None, Field(description="Name or id of a collection.")] = None
    status: Annotated[list[DocumentStatus], Field(max_length=6)] = []
    parent_id: Annotated[Id | None, Field(description="Files found in this document.")] = None
    q: Annotated[
        Plain | None, Field(min_length=1, max_length=200, description="A part of the name or of the external id.")
    ] = None
    filter: FilterIn | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "SelectionFilterIn":
        if not self.model_fields_set:
            raise ValueError("needs at least one condition")
        return self

    def wanted(self) -> DocumentFilter:
        return DocumentFilter(
            self.collection, job_states(self.status), parent_id=self.parent_id, q=self.q, filter=self.filter
        )


class SelectionIn(In):
    """Either the ids of documents, or conditions."""

    ids: Annotated[list[Id] | None, Field(min_length=1, max_length=1000)] = None
    where: SelectionFilterIn | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "SelectionIn":
        if (self.ids is None) == (self.where is None):
            raise ValueError("give either `ids` or `where`")
        return self

    @property
    def chosen(self) -> list[str] | DocumentFilter:
        return self.where.wanted() if self.where else self.ids or []


class MoveIn(SelectionIn):
    """Documents, and where they are moved to."""

    collection: Annotated[Id, Field(description="Id or name of the collection to move them to; a new name creates it.")]


class KnownIn(In):
    sha256: Annotated[list[Sha256], Field(min_length=1, max_length=1000, description="SHA-256 of files.")]
    collection: Annotated[Id, Field(description="Name or id of a collection.")] = "default"


class KnownDocumentOut(Out):
    sha256: str
    document_id: str
    external_id: str | None
    filename: str
    status: DocumentStatus

    @classmethod
    def of(cls, details: DocumentDetails) -> "KnownDocumentOut":
        found = DocumentOut.of(details)
        same = {name: getattr(found, name) for name in cls.model_fields.keys() - {"document_id"}}
        return cls(document_id=found.id, **same)


class KnownOut(Out):
    """The files that the server has: documents whose newest version has their bytes."""

    data: list[KnownDocumentOut]
