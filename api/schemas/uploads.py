"""Uploads that go straight to the object store."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.common import Out
from footnote.documents.presigned_uploads import Part
from footnote.models import DirectUpload


class PartOut(Out):
    number: int
    offset: int
    size: int
    url: Annotated[str, Field(description="Takes just these bytes, until the upload expires; needs no API key.")]


class RefusedUploadOut(Out):
    """A file that was refused at upload."""

    id: str
    filename: str
    code: str
    message: str
    key_id: Annotated[str, Field(description="Of the API key that sent it.")]
    request_id: str | None
    created_at: datetime


class DirectUploadOut(Out):
    """What is to be sent, and where."""

    upload_id: str
    expires_at: datetime
    method: Literal["PUT"] = "PUT"
    parts: list[PartOut]

    @classmethod
    def of(cls, upload: DirectUpload, parts: list[Part]) -> "DirectUploadOut":
        shown = [PartOut.model_validate(part) for part in parts]
        return cls(upload_id=upload.id, expires_at=upload.expires_at, parts=shown)
