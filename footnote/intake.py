"""Bytes on their way into the store: measured, hashed and their type told as they pass; nothing is kept in memory."""

import hashlib
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass

from footnote.errors import Invalid, TooLarge
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.runtime import Runtime
from footnote.storage import writing
from footnote.text import clean

WRITE_BYTES = 512 * 1024
FILENAME_CHARACTERS = 255


@dataclass(frozen=True)
class Upload:
    """Bytes that are safely in the store, and what was learned while they came in.

    Or, where there is a `source_url` and no `object_key`, the promise of bytes that are to be fetched.
    """

    filename: str
    media_type: str
    sha256: bytes
    bytes: int
    object_key: str | None
    source_url: str | None = None


async def take_in(rt: Runtime, key: str, filename: str, pieces: AsyncIterator[bytes]) -> Upload:
    """Writes a file to the store under `key`, which the caller has reserved.

    Raises Invalid(empty_file, type_mismatch), Unsupported or TooLarge; then nothing is in the store, and `pieces` has
    not been read to its end.
    """
    name = safe_filename(filename)
    limit = rt.settings.max_upload_bytes
    size, digest, head = 0, hashlib.sha256(), b""
    media_type: str | None = None
    async with writing(rt.store, key) as out:
        waiting = bytearray()
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise TooLarge("too_large", f"The file is over the limit of {limit} bytes.")
            digest.update(piece)
            if media_type is None:
                head += piece[: HEAD_BYTES - len(head)]
                if len(head) == HEAD_BYTES:
                    media_type = sniff(head, name)
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                await out.write(bytes(waiting))
                waiting.clear()
        if not size:
            raise Invalid("empty_file")
        media_type = media_type or sniff(head, name)
        await out.write(bytes(waiting))
    return Upload(filename=name, media_type=media_type, sha256=digest.digest(), bytes=size, object_key=key)


def safe_filename(given: str) -> str:
    """The last part of the name, without control characters, short enough for every file system."""
    name = unicodedata.normalize("NFC", clean(given)).replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable()).strip(" .")
    if len(name) > FILENAME_CHARACTERS:
        stem, dot, extension = name.rpartition(".")
        name = stem[: FILENAME_CHARACTERS - 12] + dot + extension[:10] if dot else name[:FILENAME_CHARACTERS]
    return name or "document"
