"""multipart/form-data, part by part as it arrives: nothing is spooled, nothing is kept."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.hints import not_a_form
from footnote.errors import Invalid


@dataclass
class Part:
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


_Piece = tuple[Part, bytes | None]  # None: the part is over


async def parts(request: Request) -> AsyncIterator[Part]:
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
    parsed: list[_Piece] = []
    current = Part()
    whole = False
    header: list[bytes] = [b"", b""]

    def begin() -> None:
        nonlocal current
        current = Part()

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
