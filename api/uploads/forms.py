"""Uploads as people send them: a form with one file or many, a bare body, a text in JSON. All of it streams."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request
from pydantic import BeforeValidator, StringConstraints, ValidationError

from api.errors import invalid
from api.schemas.common import In
from api.uploads.multipart import Part, parts
from footnote import text
from footnote.documents import new_key, objects, refused_uploads
from footnote.documents.uploads import Upload, receive, safe_filename
from footnote.errors import FootnoteError, Invalid, TooLarge, Unavailable
from footnote.runtime import Runtime

FIELD_BYTES = 64 * 1024
MULTIPART_OVERHEAD = 128 * 1024  # boundaries, part headers and small fields beside the files
MOST_FIELDS = 16
MOST_FILES = 100
METADATA_DEPTH = 32


def _json_object(given: Any) -> Any:
    try:
        return _storable(given, METADATA_DEPTH)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _from_text(given: Any) -> Any:
    """What a field of a form, or a query parameter, says in JSON."""
    try:
        return json.loads(given, parse_constant=_refuse_constant) if isinstance(given, str) else given
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _storable(value: Any, depth: int) -> Any:
    """`value` as Postgres keeps it in jsonb; what it cannot keep, or we could not send back, is refused."""
    if depth < 0:
        raise ValueError("is nested too deeply")
    match value:
        case str():
            return text.clean(value)
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that is too large")
        case list():
            return [_storable(each, depth - 1) for each in value]
        case dict():
            return {text.clean(name): _storable(each, depth - 1) for name, each in value.items()}
    return value


def _plain(value: Any) -> Any:
    return text.clean(value) if isinstance(value, str) else value


Name = Annotated[str, BeforeValidator(_plain), StringConstraints(min_length=1, max_length=63)]
Reference = Annotated[str, BeforeValidator(_plain), StringConstraints(min_length=1, max_length=512)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Url = Annotated[str, BeforeValidator(_plain), StringConstraints(max_length=2048)]


class UploadFields(In):
    """What may be said of a document beside its bytes."""

    collection: Name = "default"
    metadata: JsonObject | None = None
    external_id: Reference | None = None
    callback_url: Url | None = None


class _FormFields(UploadFields):
    """The same where a value is a text."""

    metadata: Annotated[JsonObject | None, BeforeValidator(_from_text)] = None


@dataclass(frozen=True)
class Rejected:
    """A file of a batch that could not be taken in; the others are not touched by it."""

    filename: str
    error: FootnoteError


@asynccontextmanager
async def one_file(
    request: Request, rt: Runtime, *, on_trial: bool = False
) -> AsyncIterator[tuple[Upload, UploadFields]]:
    """The form's part `file`, safely in the store, and its fields; kept there if the block has it accepted.

    What is refused is noted, unless it is `on_trial`.
    """
    key = new_key(rt.tenant)
    fields = _Fields()
    upload: Upload | None = None

    def noted(filename: str | None) -> AbstractAsyncContextManager[None]:
        return nullcontext() if on_trial else refused_uploads.recorded(rt, safe_filename(filename or ""))

    async with objects.reserved(rt, key):
        async for part in _allowed(request, rt):
            if part.name != "file":
                await fields.add(part)
            elif upload is None:
                async with noted(part.filename):
                    _check_length(request, rt)
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
    """The form's parts `file` in order, each in the store or rejected, and the fields that hold for all of them."""
    fields = _Fields()
    taken: list[Upload | Rejected] = []
    async with AsyncExitStack() as kept:
        async for part in parts(request):
            if part.name != "file":
                await fields.add(part)
                continue
            if len(taken) == MOST_FILES:
                raise Invalid("too_many_files", f"A batch has {MOST_FILES} files at most.")
            key = new_key(rt.tenant)
            await kept.enter_async_context(objects.reserved(rt, key))
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
    """Bytes without a form around them, safely in the store; kept there if the block has them accepted."""
    key = new_key(rt.tenant)
    async with refused_uploads.recorded(rt, safe_filename(filename)), objects.reserved(rt, key):
        _check_length(request, rt)
        yield await receive(rt, key, filename, pieces)


async def _allowed(request: Request, rt: Runtime) -> AsyncIterator[Part]:
    """The form's parts. Of one that is too large anyway it does not matter what else is wrong with it."""
    try:
        async for part in parts(request):
            yield part
    except Invalid as error:
        if error.code == "bad_multipart":
            _check_length(request, rt)
        raise


def _check_length(request: Request, rt: Runtime) -> None:
    """Raises TooLarge for a body that cannot be one allowed file, before any of it is read."""
    declared, limit = request.headers.get("content-length", ""), rt.settings.max_upload_bytes
    if declared.isdigit() and int(declared) > limit + MULTIPART_OVERHEAD:
        request.state.headers["connection"] = "close"  # the rest of the body is not read
        raise TooLarge("too_large", f"The file is over the limit of {limit} bytes.")


class _Fields:
    """The small parts of a form."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def add(self, part: Part) -> None:
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
            raise TooLarge("too_large", f"The fields beside the file are over the limit of {FIELD_BYTES} bytes.")

    def missing_file(self) -> Invalid:
        """What to say where there was no file."""
        there = f" It has: {', '.join(f'`{text.clean(name[:64])}`' for name in self._values)}." if self._values else ""
        how = "send it as `curl -F file=@report.pdf` does"
        return Invalid("missing_file", f"The multipart body has no part named `file`: {how}.{there}")

    def checked(self) -> UploadFields:
        try:
            return checked({name: value.decode() for name, value in self._values.items() if value})
        except UnicodeDecodeError as error:
            raise Invalid("invalid_request", "The fields beside the file must be UTF-8.") from error


def checked(given: dict[str, Any]) -> UploadFields:
    """Raises Invalid, with what is wrong with each field."""
    try:
        return UploadFields.model_validate(_FormFields.model_validate(given).model_dump())
    except ValidationError as error:
        raise invalid(error) from error
