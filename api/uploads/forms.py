"""Uploads as clients send them: a form with one file or several, a bare body, a text in JSON. All are streamed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from api.body_limits import MULTIPART_OVERHEAD
from api.errors import invalid
from api.schemas.uploads import FormFields, UploadFields
from api.uploads.multipart import BodyPart, parts
from footnote import text
from footnote.documents import objects, refused_uploads
from footnote.documents.uploads import Upload, receive, safe_filename
from footnote.errors import FootnoteError, Invalid, TooLarge, Unavailable
from footnote.runtime import Runtime

FIELD_BYTES = 64 * 1024
MOST_FIELDS = 16
MOST_FILES = 100


@dataclass(frozen=True)
class Rejected:
    """A file of a batch that was refused; the others are not affected."""

    filename: str
    error: FootnoteError


@asynccontextmanager
async def one_file(
    request: Request, rt: Runtime, *, on_trial: bool = False
) -> AsyncIterator[tuple[Upload, UploadFields]]:
    """The form's part `file`, already in the store, and its fields. It stays in the store if the block accepts it.

    A refusal is recorded, unless the upload is `on_trial`.
    """
    fields = _Fields()
    upload: Upload | None = None

    def noted(filename: str | None) -> AbstractAsyncContextManager[None]:
        return nullcontext() if on_trial else refused_uploads.recorded(rt, safe_filename(filename or ""))

    async with objects.new(rt) as key:
        async for part in _allowed(request, rt):
            if part.name != "file":
                await fields.add(part)
            elif upload is None:
                async with noted(part.filename):
                    check_length(request, rt)
                    upload = await receive(rt, key, part.filename or "", part.data)
            else:
                raise Invalid("too_many_files", "Send one part named `file`; /v1/documents/batch takes several.")
        if upload is None:
            raise fields.missing_file()
        given = fields.checked()
        async with noted(upload.filename):
            yield upload, given


@asynccontextmanager
async def many_files(request: Request, rt: Runtime) -> AsyncIterator[tuple[list[Upload | Rejected], UploadFields]]:
    """The form's parts `file` in order, each in the store or rejected, and the fields for all of them."""
    fields = _Fields()
    taken: list[Upload | Rejected] = []
    async with AsyncExitStack() as reserved:
        async for part in parts(request):
            if part.name != "file":
                await fields.add(part)
                continue
            if len(taken) == MOST_FILES:
                raise Invalid("too_many_files", f"A batch has {MOST_FILES} files at most.")
            key = await reserved.enter_async_context(objects.new(rt))
            try:
                async with refused_uploads.recorded(rt, safe_filename(part.filename or "")):
                    taken.append(await receive(rt, key, part.filename or "", part.data))
            except FootnoteError as error:
                if isinstance(error, Unavailable) or error.code == "bad_multipart":
                    raise
                taken.append(Rejected(safe_filename(part.filename or ""), error))
        if not taken:
            raise fields.missing_file()
        yield taken, fields.checked()


@asynccontextmanager
async def bare(request: Request, rt: Runtime, filename: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[Upload]:
    """A bare body, already in the store. It stays there if the block accepts it."""
    async with refused_uploads.recorded(rt, safe_filename(filename)), objects.new(rt) as key:
        check_length(request, rt)
        yield await receive(rt, key, filename, pieces)


async def _allowed(request: Request, rt: Runtime) -> AsyncIterator[BodyPart]:
    """The form's parts. If the form is malformed and too large, the error is that it is too large."""
    try:
        async for part in parts(request):
            yield part
    except Invalid as error:
        if error.code == "bad_multipart":
            check_length(request, rt)
        raise


def check_length(request: Request, rt: Runtime) -> None:
    """Raises TooLarge if the body declares more than one allowed file can have, before any of it is read."""
    declared, limit = request.headers.get("content-length", ""), rt.settings.max_upload_bytes
    if declared.isdigit() and int(declared) > limit + MULTIPART_OVERHEAD:
        request.state.headers["connection"] = "close"  # the rest of the body is not read
        raise TooLarge("too_large", f"The file is over the limit of {limit} bytes.")


class _Fields:
    """The small parts of a form, without its files."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def add(self, part: BodyPart) -> None:
        if part.name in self._values:
            raise Invalid.in_fields([{"field": part.name, "message": "given more than once"}])
        if part.filename and part.name not in UploadFields.model_fields:
            name = text.clean(part.name[:64])
            raise Invalid("missing_file", f"The file came as the part `{name}`; name the part `file`.")
        self._values[part.name] = b""
        async for data in part.data:
            self._values[part.name] += data
            self._check_size()
        self._check_size()

    def _check_size(self) -> None:
        if len(self._values) > MOST_FIELDS or sum(map(len, self._values.values())) > FIELD_BYTES:
            raise TooLarge("too_large", f"The form fields are over the limit of {FIELD_BYTES} bytes.")

    def missing_file(self) -> Invalid:
        """The error for a form without a file."""
        there = f" It has: {', '.join(f'`{text.clean(name[:64])}`' for name in self._values)}." if self._values else ""
        how = "send it as `curl -F file=@report.pdf` does"
        return Invalid("missing_file", f"The multipart body has no part named `file`: {how}.{there}")

    def checked(self) -> UploadFields:
        try:
            return checked({name: value.decode() for name, value in self._values.items() if value})
        except UnicodeDecodeError as error:
            raise Invalid("invalid_request", "The form fields must be UTF-8.") from error


def checked(given: dict[str, Any]) -> UploadFields:
    """Raises Invalid with the error of each field."""
    try:
        return UploadFields.model_validate(FormFields.model_validate(given).model_dump())
    except ValidationError as error:
        raise invalid(error) from error
