"""Files, and uploads in parts."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints

from api.openai import ids
from api.openai.schemas.common import LenientIn, seconds
from api.schemas.fields import Plain
from api.schemas.search import OnRequest
from footnote.documents.files import FileDetails
from footnote.documents.presigned_uploads import SECONDS
from footnote.models import DirectUpload, File

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]


class FileExpiryIn(LenientIn):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


def _with_members(given: Any) -> Any:
    """Fields of a form, in which `expires_after[seconds]` is a member."""
    if not isinstance(given, dict):
        return given
    plain = {name: value for name, value in given.items() if "[" not in name}
    expiry = {member: given[name] for member in ("anchor", "seconds") if (name := f"expires_after[{member}]") in given}
    if str(expiry.get("seconds", "")).isdecimal():
        expiry["seconds"] = int(expiry["seconds"])
    return {**plain, "expires_after": expiry} if expiry else plain


class FileFieldsIn(LenientIn):
    """The fields of a form, without its file."""

    purpose: Purpose
    expires_after: FileExpiryIn | None = None


FileFields = Annotated[FileFieldsIn, BeforeValidator(_with_members)]


class FileOut(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    expires_at: Annotated[int | None, OnRequest] = None

    @classmethod
    def of(cls, file: FileDetails | File) -> "FileOut":
        return cls(
            id=ids.file_id(file.id),
            bytes=file.bytes,
            created_at=seconds(file.created_at),
            filename=file.filename,
            purpose=file.purpose,
            expires_at=seconds(file.expires_at) if file.expires_at else None,
        )


class FileDeletedOut(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class PartedUploadIn(LenientIn):
    bytes: Annotated[int, Field(ge=1)]
    filename: Annotated[Plain, StringConstraints(max_length=512)]
    mime_type: Annotated[Plain, StringConstraints(max_length=256)]
    purpose: Purpose
    expires_after: FileExpiryIn | None = None


class CompletionIn(LenientIn):
    part_ids: Annotated[list[Plain], Field(min_length=1, max_length=10_000)]
    md5: Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{32}$"), AfterValidator(str.lower)] | None = None


class UploadPartOut(BaseModel):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


class PartedUploadOut(BaseModel):
    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileOut | None = None

    @classmethod
    def of(cls, upload: DirectUpload, file: File | None = None) -> "PartedUploadOut":
        expires_at = seconds(upload.expires_at)
        return cls(
            id=upload.id,
            bytes=upload.bytes,
            created_at=expires_at - SECONDS,
            expires_at=expires_at,
            filename=upload.filename,
            purpose=upload.fields["purpose"],
            status=upload.fields["status"],
            file=FileOut.of(file) if file else None,
        )
