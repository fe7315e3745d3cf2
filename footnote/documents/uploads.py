"""Writes uploads to the store. The bytes are measured, hashed and sniffed as they pass, never collected in memory."""

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from footnote.errors import Invalid, TooLarge, Unsupported
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.runtime import Runtime
from footnote.storage import writing
from footnote.text import clean

WRITE_BYTES = 512 * 1024
FILENAME_CHARACTERS = 255


@dataclass(frozen=True)
class Upload:
    """A file that is safely in the store, and what was learned while it was received.

    With a `source_url` and no `object_key`: a file that is still to be fetched. If it is `shared`, a file owns the
    object, and so no version does.
    """

    filename: str
    media_type: str
    sha256: bytes
    bytes: int
    object_key: str | None
    source_url: str | None = None
    shared: bool = False


async def receive(
    rt: Runtime, key: str, filename: str, pieces: AsyncIterator[bytes], *, any_type: bool = False
) -> Upload:
    """Writes a file to the store under `key`, which the caller has reserved.

    With `any_type`, one that we do not read is stored with an empty media type; ingestion says what is wrong with it.
    Raises Invalid(empty_file, type_mismatch), Unsupported or TooLarge; then nothing is in the store, and `pieces` has
    not been read to its end.
    """
    seen = _Seen(filename, rt.settings.max_upload_bytes, any_type=any_type)
    async with writing(rt.store, key) as out:
        waiting = bytearray()
        async for piece in pieces:
            seen.add(piece)
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                await out.write(bytes(waiting))
                waiting.clear()
        upload = seen.upload(key)
        await out.write(bytes(waiting), last=True)
    return upload


async def inspect_stored(rt: Runtime, key: str, filename: str) -> Upload:
    """An upload of a file that is in the store already. Raises as `receive` does."""
    seen = _Seen(filename, rt.settings.max_upload_bytes)
    async with aclosing(rt.store.read(key)) as pieces:
        async for piece in pieces:
            await asyncio.to_thread(seen.add, piece)  # large pieces, for which other requests need not wait
    return seen.upload(key)


class _Seen:
    """Computes size, hash and type of a file while its bytes are read."""

    def __init__(self, filename: str, limit: int, *, any_type: bool = False) -> None:
        self._filename = safe_filename(filename)
        self._limit = limit
        self._sniff = _sniff_or_empty if any_type else sniff
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._head = b""
        self._media_type: str | None = None

    def add(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._bytes > self._limit:
            raise TooLarge("too_large", f"The file is over the limit of {self._limit} bytes.")
        self._digest.update(piece)
        if self._media_type is None:
            self._head += piece[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                self._media_type = self._sniff(self._head, self._filename)

    def upload(self, key: str) -> Upload:
        if not self._bytes:
            raise Invalid("empty_file")
        media_type = self._media_type
        if media_type is None:
            media_type = self._sniff(self._head, self._filename)
        return Upload(self._filename, media_type, self._digest.digest(), self._bytes, key)


def _sniff_or_empty(head: bytes, filename: str) -> str:
    try:
        return sniff(head, filename)
    except (Invalid, Unsupported):
        return ""


def safe_filename(given: str) -> str:
    """The last part of the name, without control characters, short enough for every file system."""
    name = unicodedata.normalize("NFC", clean(given)).replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if character.isprintable()).strip(" .")
    if len(name) > FILENAME_CHARACTERS:
        stem, dot, extension = name.rpartition(".")
        name = stem[: FILENAME_CHARACTERS - 12] + dot + extension[:10] if dot else name[:FILENAME_CHARACTERS]
    return name or "document"
