"""multipart/form-data, part by part as it arrives. Nothing is buffered or stored."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.hints import not_a_form
from footnote.errors import Invalid


@dataclass
class BodyPart:
    """A part of the body; `data` are its bytes, to be read before the next part is asked for."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    data: AsyncIterator[bytes] = field(init=False)

    def read_headers(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            self.filename = options[b"filename"].decode("utf-8", "replace")


_Piece = tuple[BodyPart, bytes | None]  # None: the part has ended


async def parts(request: Request) -> AsyncIterator[BodyPart]:
    """The body's parts in order; what is not read of one is skipped. Raises Invalid(bad_multipart)."""
    pieces = _pieces(request)
    async for part, data in pieces:
        part.data = _data(data, pieces)
        yield part
        async for _ in part.data:
            pass


async def _data(first: bytes | None, rest: AsyncIterator[_Piece]) -> AsyncIterator[bytes]:
    data = first
    while data is not None:
        yield data
        _, data = await anext(rest)


async def _pieces(request: Request) -> AsyncGenerator[_Piece, None]:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Invalid("bad_multipart", not_a_form(request.headers.get("content-type")))
    try:
        form = _Form(options[b"boundary"])
        async for data in request.stream():
            for piece in form.feed(data):
                yield piece
    except FormParserError as error:
        raise Invalid("bad_multipart", f"The multipart body is malformed: {error}") from error
    if not form.complete:  # the parser accepts a body that breaks off, and half a file would pass for a whole one
        raise Invalid("bad_multipart", "The multipart body ends before its last boundary.")


class _Form:
    """Bytes in, pieces of parts out. The parser calls the `on_*` methods."""

    def __init__(self, boundary: bytes) -> None:
        names = [name for name in dir(self) if name.startswith("on_")]
        self._parser = MultipartParser(boundary, {name: getattr(self, name) for name in names})  # type: ignore[arg-type]
        self._pieces: list[_Piece] = []
        self._part = BodyPart()
        self._header = self._value = b""
        self.complete = False

    def feed(self, data: bytes) -> list[_Piece]:
        """The pieces in these bytes. Raises FormParserError."""
        self._pieces = []
        self._parser.write(data)
        return self._pieces

    def on_part_begin(self) -> None:
        self._part = BodyPart()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._part.headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        self._part.read_headers()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append((self._part, data[start:end]))

    def on_part_end(self) -> None:
        self._pieces.append((self._part, None))

    def on_end(self) -> None:
        self.complete = True
