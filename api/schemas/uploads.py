"""Uploads: what you send with a file, and uploads that go straight to the object store."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from api.schemas.common import In, Out
from api.schemas.fields import JsonObject, Name, Reference, Url, from_text
from footnote.documents.presigned_uploads import Part
from footnote.models import DirectUpload

Filename = Annotated[str, Field(min_length=1, max_length=255)]


class UploadFields(In):
    """What you can send with a document, in addition to its bytes."""

    collection: Name = "default"
    metadata: JsonObject | None = None
    external_id: Reference | None = None
    callback_url: Url | None = None


class FormFields(UploadFields):
    """The same fields in a form or a query, where every value is a string."""

    metadata: Annotated[JsonObject | None, BeforeValidator(from_text)] = None


class TextIn(UploadFields):
    """A text that becomes a document."""

    text: Annotated[str, Field(min_length=1)]
    filename: Annotated[Filename, Field(description="Its extension gives the type, for example `.md` or `.txt`.")] = (
        "text.txt"
    )


class UrlIn(UploadFields):
    """An address from which a document is fetched."""

    url: Annotated[Url, Field(min_length=1)]
    filename: Annotated[Filename | None, Field(description="Default: the name in the address.")] = None


class DirectIn(UploadFields):
    """A file that you send to the object store directly."""

    filename: Filename
    size: Annotated[int, Field(ge=0, description="Exact size of the file in bytes.")]
    sha256: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-fA-F]{64}$",
            description="SHA-256 of the file. It is checked when you complete the upload.",
        ),
    ] = None


class PartOut(Out):
    number: int
    offset: int
    size: int
    url: Annotated[str, Field(description="Accepts exactly these bytes until the upload expires. It needs no API key.")]


class RefusedUploadOut(Out):
    """A file that was refused at upload."""

    id: str
    filename: str
    code: str
    message: str
    key_id: Annotated[str, Field(description="Id of the API key that sent the file.")]
    request_id: str | None
    created_at: datetime


class DirectUploadOut(Out):
    """The parts to upload, and their addresses."""

    upload_id: str
    expires_at: datetime
    method: Literal["PUT"] = "PUT"
    parts: list[PartOut]

    @classmethod
    def of(cls, upload: DirectUpload, parts: list[Part]) -> "DirectUploadOut":
        shown = [PartOut.model_validate(part) for part in parts]
        return cls(upload_id=upload.id, expires_at=upload.expires_at, parts=shown)
