"""Forms with one file, streamed to the store, as OpenAI's clients send them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request

from api.openai.errors import missing, wrong
from api.uploads.multipart import BodyPart, parts
from footnote.errors import Invalid, TooLarge

FIELD_BYTES = 64 * 1024
NAMELESS = "upload"  # file name of an upload without one
Stored = TypeVar("Stored")


async def one_part(
    request: Request, name: str, store: Callable[[str, AsyncIterator[bytes]], Awaitable[Stored]]
) -> tuple[dict[str, str], Stored]:
    """The fields of the form, and what `store` made of the file name and the bytes of its part `name`.

    Raises Invalid, TooLarge and what `store` raises.
    """
    fields: dict[str, str] = {}
    stored: list[Stored] = []
    async for part in parts(request):
        if part.name != name:
            fields[part.name] = await _text(part, sum(map(len, fields.values())))
        elif stored:
            raise wrong(name, f"Send one part named '{name}'.")
        else:
            stored.append(await store(part.filename or NAMELESS, part.data))
    if not stored:
        raise missing(name)
    return fields, stored[0]


async def _text(part: BodyPart, before: int) -> str:
    held = b""
    async for data in part.data:
        held += data
        if before + len(held) > FIELD_BYTES:
            raise TooLarge("too_large", f"The form fields are over the limit of {FIELD_BYTES} bytes.")
    try:
        return held.decode()
    except UnicodeDecodeError as error:
        raise Invalid("invalid_request", "The form fields must be UTF-8.") from error
