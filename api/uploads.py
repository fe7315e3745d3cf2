"""An upload as it streams in: multipart parsed piece by piece, the file written straight to the store.

Nothing is spooled and nothing is kept in memory but small fields and the first bytes of the file, from which its
type is told.
"""

import hashlib
import json
import math
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from footnote import objects, text
from footnote.documents import Upload, object_key
from footnote.errors import Invalid, TooLarge
from footnote.formats.sniffing import sniff
from footnote.runtime import Runtime
from footnote.storage import writing

HEAD_BYTES = 64 * 1024  # enough to tell a type from
WRITE_BYTES = 512 * 1024
FIELD_BYTES = 64 * 1024
FILENAME_CHARACTERS = 255
METADATA_DEPTH = 32


def _json_object(given: Any) -> Any:
    if not isinstance(given, str):
        return given

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return _storable(json.loads(given, parse_constant=refuse), METADATA_DEPTH)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


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


Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=512)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]


class UploadFields(BaseModel):
    """What may stand beside the file."""

    model_config = ConfigDict(extra="forbid")

    collection: Name = "default"
    metadata: JsonObject | None = None
    external_id: Reference | None = None
    callback_url: Annotated[str, StringConstraints(max_length=2048)] | None = None


@dataclass
class _Part:
    """A part of the multipart body, as far as its headers have been read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None

    def read_headers(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            self.filename = options[b"filename"].decode("utf-8", "replace")


Piece = tuple[_Part, bytes | None]  # None: the part is over


async def _pieces(request: Request) -> AsyncIterator[Piece]:
    """The body's parts in pieces as they arrive. Raises Invalid(bad_multipart)."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Invalid("bad_multipart", "Send multipart/form-data with a part named `file`.")
    parsed: list[Piece] = []
    current = _Part()
    whole = False
    header: list[bytes] = [b"", b""]

    def begin() -> None:
        nonlocal current
        current = _Part()

    def end_body() -> None:
        nonlocal whole
        whole = True

    def end_header() -> None:
        current.headers[header[0].lower()] = header[1]
        header[:] = [b"", b""]

    def add(which: int, data: bytes, start: int, end: int) -> None:
        header[which] += data[start:end]

    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": begin,
                "on_header_field": lambda data, start, end: add(0, data, start, end),
                "on_header_value": lambda data, start, end: add(1, data, start, end),
                "on_header_end": end_header,
                "on_headers_finished": lambda: current.read_headers(),
                "on_part_data": lambda data, start, end: parsed.append((current, data[start:end])),
                "on_part_end": lambda: parsed.append((current, None)),
                "on_end": end_body,
            },
        )
        async for data in request.stream():
            parser.write(data)
            for piece in parsed:
                yield piece
            parsed.clear()
    except FormParserError as error:
        raise Invalid("bad_multipart", f"The multipart body is malformed: {error}") from error
    if not whole:  # the parser itself does not mind, and half a file would pass for a whole one
        raise Invalid("bad_multipart", "The multipart body ends before its last boundary.")


class _Intake:
    """The file part on its way into the store: size, hash and type are learned as it passes."""

    def __init__(self, filename: str, limit: int) -> None:
        self.filename = safe_filename(filename)
        self.limit = limit
        self.size = 0
        self.digest = hashlib.sha256()
        self.head = b""
        self.media_type: str | None = None

    def take(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise TooLarge("too_large", f"The file is over the limit of {self.limit} bytes.")
        self.digest.update(data)
        if self.media_type is None:
            self.head += data[: HEAD_BYTES - len(self.head)]
            if len(self.head) == HEAD_BYTES:
                self.media_type = sniff(self.head, self.filename)

    def upload(self, key: str) -> Upload:
        return Upload(
            filename=self.filename,
            media_type=self.media_type or sniff(self.head, self.filename),
            sha256=self.digest.digest(),
            bytes=self.size,
            object_key=key,
        )


@asynccontextmanager
async def received(request: Request, rt: Runtime, tenant_id: str) -> AsyncIterator[tuple[Upload, UploadFields]]:
    """The file, safely in the store, and the fields beside it; kept there if the block has it accepted."""
    key = object_key(tenant_id)
    async with objects.reserved(rt, key):
        yield await _receive(request, rt, key)


async def _receive(request: Request, rt: Runtime, key: str) -> tuple[Upload, UploadFields]:
    fields: dict[str, tuple[_Part, bytes]] = {}
    intake: _Intake | None = None
    async with writing(rt.store, key) as writer:
        waiting = bytearray()
        async for part, data in _pieces(request):
            if part.name != "file":
                _add_field(fields, part, data)
                continue
            if intake is None:
                intake = _Intake(part.filename or "", rt.settings.max_upload_bytes)
                owner = part
            elif part is not owner:
                raise Invalid("too_many_files", "Send one part named `file`.")
            if data:
                intake.take(data)
                waiting += data
            if len(waiting) >= WRITE_BYTES:
                await writer.write(bytes(waiting))
                waiting.clear()
        if intake is None:
            raise Invalid("missing_file", "The multipart body has no part named `file`.")
        if intake.size == 0:
            raise Invalid("empty_file")
        upload, checked = intake.upload(key), _checked(fields)
        await writer.write(bytes(waiting))
    return upload, checked


def _add_field(fields: dict[str, tuple[_Part, bytes]], part: _Part, data: bytes | None) -> None:
    owner, value = fields.get(part.name, (part, b""))
    if owner is not part:
        problem = {"field": part.name, "message": "given more than once"}
        raise Invalid("invalid_request", "See errors.", fields=[problem])
    fields[part.name] = part, value + (data or b"")
    if len(fields) > 16 or sum(len(value) for _, value in fields.values()) > FIELD_BYTES:
        raise TooLarge("too_large", f"The fields beside the file are over the limit of {FIELD_BYTES} bytes.")


def _checked(fields: dict[str, tuple[_Part, bytes]]) -> UploadFields:
    try:
        given = {name: text.clean(value.decode()) for name, (_, value) in fields.items() if value}
        return UploadFields.model_validate(given)
    except UnicodeDecodeError as error:
        raise Invalid("invalid_request", "The fields beside the file must be UTF-8.") from error
    except ValidationError as error:
        problems = [{"field": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
        raise Invalid("invalid_request", "See errors.", fields=problems) from error


def safe_filename(given: str) -> str:
    """The last part of the name, without control characters, short enough for every file system."""
    name = unicodedata.normalize("NFC", text.clean(given)).replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable()).strip(" .")
    if len(name) > FILENAME_CHARACTERS:
        stem, dot, extension = name.rpartition(".")
        name = stem[: FILENAME_CHARACTERS - 12] + dot + extension[:10] if dot else name[:FILENAME_CHARACTERS]
    return name or "document"
